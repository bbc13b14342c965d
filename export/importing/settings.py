"""Settings of an import; no heavy import, so that `score-model --help` reads the defaults quickly."""

from dataclasses import dataclass, field
from pathlib import Path

from export.classifier.settings import DEFAULT_MAX_TOKENS, WindowOptions, tokens_in_windows
from scorer.base.errors import UsageError
from scorer.base.task import Task
from scorer.model.manifest import WINDOWS, WindowSettings
from scorer.rows.input_options import InputOptions

LONGEST = 512
"""Default of --max-length for a model that reads at least as many tokens."""


@dataclass(frozen=True)
class CheckpointSettings:
    """Settings of the model to load.

    Attributes:
        name: hub name or folder of the checkpoint; with ``state_dict``, of the encoder that it belongs to.
        revision: branch, tag or commit on the hub.
        state_dict: file with the weights of a plain PyTorch module, instead of a checkpoint; or None.
        task: meaning of its outputs; None for the one that its own settings state.
        label_names: names of the labels in the order of their ids; None for those of the checkpoint.
        keep_label_names: whether names such as LABEL_0 are meant.
        positive_label: the one of two labels whose probability is the score; None for the last.
        max_length: largest number of tokens that the model reads; None for `LONGEST`, or fewer if it has fewer positions.
        max_tokens: number of tokens kept of a text; None for the default of ``truncation``.
        truncation: tokens of a longer text that the model reads, one of `scorer.model.manifest.TRUNCATIONS`.
        windows: options for the truncation that reads in windows.
        clean_text: make the tokenizer clean texts of markup and invisible characters.
    """

    name: str
    revision: str | None = None
    state_dict: Path | None = None
    task: Task | None = None
    label_names: tuple[str, ...] | None = None
    keep_label_names: bool = False
    positive_label: str | None = None
    max_length: int | None = None
    max_tokens: int | None = None
    truncation: str = "head"
    windows: WindowOptions = field(default_factory=WindowOptions)
    clean_text: bool = False

    def window_settings(self, max_length: int) -> WindowSettings | None:
        """Return the windows of the bundle, or None; raise `UsageError` if they do not fit a length in tokens."""
        return self.windows.settings(max_length) if self.truncation == WINDOWS else None

    def check_task(self, task: Task) -> None:
        """Raise `UsageError` if the windows cannot be combined in the way that was asked, for the task of the model."""
        if self.truncation == WINDOWS:
            self.windows.check_task(task, str(self.state_dict or self.name))

    def tokens_kept(self, max_length: int) -> int:
        """Return the number of tokens that the tokenizer keeps of a text.

        Args:
            max_length: number of tokens that the model reads.

        Raises:
            UsageError: there is nothing to choose from.

        >>> CheckpointSettings("x").tokens_kept(512), CheckpointSettings("x", truncation="tail").tokens_kept(512)
        (512, 1024)
        """
        if self.truncation == "head":
            return max_length
        windows = self.window_settings(max_length)
        if windows is not None:
            return tokens_in_windows(max_length, windows)
        kept = self.max_tokens or max(DEFAULT_MAX_TOKENS, max_length + 1)
        if kept <= max_length:
            raise UsageError(
                f"--truncation {self.truncation} needs more tokens to choose from than --max-length {max_length}: give a "
                "larger --max-tokens."
            )
        return kept


@dataclass(frozen=True)
class TextSettings:
    """Settings of the texts that calibrate and judge.

    Attributes:
        file: input as `score` takes it.
        text_column: column of the texts; None for the one called text, review, content, body or comment.
        label_column: column of the labels; None for texts without labels.
        most: largest number of texts to use.
        seed: seed of their choice, and of the halves that calibrate and judge.
        reading: options for reading the file.
        label_separator: character between several labels of a text; None if the column holds lists.
    """

    file: str
    text_column: str | None = None
    label_column: str | None = None
    most: int = 1_000
    seed: int = 0
    reading: InputOptions = InputOptions()
    label_separator: str | None = None


@dataclass(frozen=True)
class ImportSettings:
    """Settings of the bundle.

    Attributes:
        output: folder of the bundle.
        name: name of the bundle, for people.
        precisions: precisions to write; None for all that can be made.
        notes: Markdown for the model card.
        threads: number of rows scored at a time; None for one per usable core.
        quiet: show no progress.
    """

    output: Path
    name: str
    precisions: tuple[str, ...] | None = None
    notes: str = ""
    threads: int | None = None
    quiet: bool = False
