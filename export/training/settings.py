"""Settings of a training run, without heavy imports, so that `score-model --help` reads the defaults quickly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.classifier.settings import (
    DEFAULT_MAX_TOKENS,
    MSE,
    PLAIN,
    PRECISIONS,
    CascadeSettings,
    HeadSettings,
    WideSettings,
    WindowOptions,
    tokens_in_windows,
)
from export.data_source import cache_folder
from export.encoder.vectors import AUTO
from scorer.engine.windows import Windows
from scorer.model.manifest import WINDOWS, WindowSettings

if TYPE_CHECKING:
    from export.classifier.truncation import Reading
    from export.data import Split

AUGMENTATIONS = ("crops", "typos")
"""Values of `FitSettings.augment`: crops of long texts beside them, and typing errors in some texts."""

NUMBER_FORMATS = ("fp32", "bf16")
"""Values of `TuneSettings.number_format`. bf16 takes half the time on CPUs that have instructions for it."""

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Values of `FitSettings.device`; ``auto`` is a GPU with CUDA if PyTorch can use one."""

VALIDATION_SHARE = 0.1
"""Share of many texts that is held out for choices and calibration."""

FEW_TEXTS = 2_000
"""Number of training texts below which cross-validation holds out all of them in turn."""

HEAD_ALONE = 3e-3
"""Default of `TuneSettings.head_learning_rate` without trained blocks: higher, because the encoder's output is fixed."""


@dataclass(frozen=True)
class TuneSettings:
    """Settings of block training with AdamW (Loshchilov and Hutter 2019), whose learning rate rises, then falls to 0.

    Attributes:
        blocks: number of blocks, counted from the last; 0 trains only the attention poolings and the head.
        epochs: number of passes over the training texts.
        learning_rate: highest learning rate of the last block.
        decay: learning rate of each earlier block, relative to the next (Howard and Ruder 2018, section 3.2).
        head_learning_rate: highest learning rate of the head and the attention poolings, which start at random.
        batch_size: number of texts per step.
        dropout: share of hidden values dropped.
        weight_decay: weight decay of the matrices.
        warm_up: share of all steps during which the learning rate rises.
        short_epochs: number of first passes that read a stretch of each long text instead of all of it, which is quicker.
        number_format: format of the numbers that products are computed in, of `NUMBER_FORMATS`; sums stay in float32.
        seed: seed of the head's initial weights, the order of texts and dropout.
    """

    blocks: int
    epochs: int = 2
    learning_rate: float = 1e-4
    decay: float = 0.8
    head_learning_rate: float = 1e-3
    batch_size: int = 32
    dropout: float = 0.1
    weight_decay: float = 0.01
    warm_up: float = 0.06
    short_epochs: int = 0
    number_format: str = "fp32"
    seed: int = 0

    def as_used(self) -> dict[str, Any]:
        """Return the settings that training uses, by name."""
        unused = [] if self.blocks else ["blocks", "learning_rate", "decay", "weight_decay"]
        unused += [] if self.short_epochs else ["short_epochs"]
        unused += [] if self.number_format != NUMBER_FORMATS[0] else ["number_format"]
        return {name: value for name, value in asdict(self).items() if name not in unused}


@dataclass(frozen=True)
class DomainSettings:
    """Settings of the weights of domains.

    Attributes:
        power: power of its number of texts that a domain counts by: 1 weighs all texts alike, 0 all domains. Within a
            domain, labels count by the same power of theirs.
        factors: further factor of a domain's texts, by name; 1 for others.
    """

    power: float = 0.5
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FitSettings:
    """Settings of a classifier's training.

    Attributes:
        pooling: vectors that the head reads, see `export.encoder.vectors.vectors`; or ``auto``: ``cls`` with
            trained blocks, otherwise the first of `export.encoder.vectors.cheap_poolings`, unless another one of them is
            clearly better on held-out texts.
        reading: tokens of a long text that the encoder reads; None if its tokenizer keeps no more than it reads.
        head: settings of a head on a frozen encoder.
        tune: settings of the encoder's last blocks and of attention poolings; None trains neither.
        wide: settings of the wide part; None for no wide part.
        cascade: settings of the cascade, which needs a wide part; None for no cascade.
        loss: loss of a regression, one of `export.classifier.settings.LOSSES`.
        balance: weigh the texts of each label by its inverse frequency (one label a text only).
        calibrate: calibration of one label a text, one of `export.classifier.settings.CALIBRATIONS`.
        min_precision: precision on held-out texts that each label's threshold must have, if a text may have any number of
            labels; None for the thresholds with the largest F1.
        domains: weights of the domains of the training texts, if they are of several (one label a text only).
        augment: kinds of versions of texts to train blocks on as well, of `AUGMENTATIONS`.
        validation_share: share of the training split that is held out for choices and calibration; None for a tenth, or for
            cross-validation if the texts are few.
        seed: seed of the held-out texts.
        cache: folder of features and checkpoints.
        device: device of features and trained blocks, one of `DEVICES`.
        quiet: show no progress.
    """

    pooling: str = AUTO
    reading: "Reading" = None
    head: HeadSettings = HeadSettings()
    tune: TuneSettings | None = None
    wide: WideSettings | None = WideSettings()
    cascade: CascadeSettings | None = CascadeSettings()
    loss: str = MSE
    balance: bool = False
    calibrate: str = PLAIN
    min_precision: float | None = None
    domains: DomainSettings = DomainSettings()
    augment: tuple[str, ...] = ()
    validation_share: float | None = None
    seed: int = 0
    cache: Path = field(default_factory=cache_folder)
    device: str = DEVICES[0]
    quiet: bool = False

    @property
    def chooses_pooling(self) -> bool:
        """Return whether held-out texts choose the vectors that the head reads."""
        return self.pooling == AUTO and self.tune is None

    @property
    def given_pooling(self) -> str:
        """The vectors that the head reads; ``cls`` if they are chosen."""
        return "cls" if self.pooling == AUTO else self.pooling

    @property
    def held_out_share(self) -> float:
        """The share of the training split that is held out, unless cross-validation holds out all of it in turn."""
        return VALIDATION_SHARE if self.validation_share is None else self.validation_share

    @property
    def windows(self) -> Windows | None:
        """The rule that cuts long texts into windows; None if the encoder reads each text at once."""
        return self.reading if isinstance(self.reading, Windows) else None


@dataclass(frozen=True)
class Settings:
    """Settings of a bundle.

    Attributes:
        output: folder of the bundle.
        name: name of the bundle, for people.
        fit: settings of the classifier.
        max_length: largest number of tokens of a text that the encoder reads, including special tokens.
        truncation: tokens of a longer text that it reads, one of `scorer.model.manifest.TRUNCATIONS`.
        windows: options for the truncation that reads in windows.
        precisions: precisions to export, of `PRECISIONS`.
        parity_rows: number of test texts that the parity gate compares.
        baseline: train a baseline to compare the bundle with.
        probes: labelled texts to probe the model with, by group, for the model card; or None.
        notes: Markdown for the model card.
        save_encoder: folder for an encoder with trained blocks, or None.
        quiet: show no progress.
    """

    output: Path
    name: str
    fit: FitSettings = field(default_factory=FitSettings)
    max_length: int = 400
    truncation: str = "head"
    windows: WindowOptions = field(default_factory=WindowOptions)
    precisions: tuple[str, ...] = PRECISIONS
    parity_rows: int = 128
    baseline: bool = True
    probes: "Split | None" = None
    notes: str = ""
    save_encoder: Path | None = None
    quiet: bool = False

    @property
    def window_settings(self) -> WindowSettings | None:
        """The windows of the bundle, or None; raises `UsageError` if they do not fit its length."""
        return self.windows.settings(self.max_length) if self.truncation == WINDOWS else None


@dataclass(frozen=True)
class AddSettings:
    """Settings of a bundle that is made from another one by adding a cascade.

    Attributes:
        output: folder of the new bundle.
        cascade: settings of the cascade's choice.
        probes: labelled texts to probe the model with, by group, for the model card; or None.
        notes: Markdown for the model card.
        threads: number of rows scored at a time; None for one per usable core.
        quiet: show no progress.
    """

    output: Path
    cascade: CascadeSettings = CascadeSettings()
    probes: "Split | None" = None
    notes: str = ""
    threads: int | None = None
    quiet: bool = False


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the encoder to load; see `export.encoder.load.load_encoder`.

    Attributes:
        name: hub name or local folder.
        revision: branch, tag or commit on the hub; None for the default.
        called: name in the manifest and the model card; None for `name`, or its last part for a folder.
        max_tokens: number of tokens that the tokenizer keeps of a text; None for the number that is read.
        clean_text: make the tokenizer clean texts of markup and invisible characters.
        emoji: give frequent emoji pieces of their own.
    """

    name: str = "distilbert-base-uncased"
    revision: str | None = None
    called: str | None = None
    max_tokens: int | None = None
    clean_text: bool = False
    emoji: bool = False

    def tokens_kept(self, settings: Settings) -> int:
        """Return the number of tokens that the tokenizer keeps of a text.

        >>> EncoderSettings().tokens_kept(Settings(Path("imdb"), "imdb"))
        1024
        >>> EncoderSettings().tokens_kept(Settings(Path("imdb"), "imdb", FitSettings(wide=None)))
        400
        """
        windows = settings.window_settings
        if windows is not None:
            return tokens_in_windows(settings.max_length, windows)
        if self.max_tokens is not None:
            return self.max_tokens
        if settings.fit.wide is None and settings.truncation == "head":
            return settings.max_length
        return max(DEFAULT_MAX_TOKENS, settings.max_length)
