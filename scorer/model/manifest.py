"""The bundle's manifest.json as frozen dataclasses: written by the export, read by the scorer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from scorer.base.errors import BundleError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.base.text import refuse_constant
from scorer.engine.cascade import Cascade
from scorer.engine.gpu import BATCH_TOKENS
from scorer.engine.windows import Combination
from scorer.model.confidence import Correctness, parse_correctness
from scorer.model.length_calibration import LengthCalibration, parse_length_calibration
from scorer.model.reference import SCORE_EDGES, Reference, parse_reference
from scorer.model.typed import check_types, is_of

FORMAT_VERSIONS = (1, 2)
"""Versions of the manifest: 1 for a bundle that every release can read, 2 for one with features in `Manifest.needs`."""

FEATURES = (
    "cascade", "imported", MULTI_LABEL, REGRESSION, "ordered", "confidence", "windows", "calibration_by_length",
)  # fmt: skip
"""Features of bundles that this release knows."""

WIDE = "wide"
"""Key of the wide part's sums in a golden row, beside the precisions."""

# Attention grows with the square of a text's length, and golden rows are scored at every start.
MAX_LENGTH = 32_768
"""Largest number of tokens of a text."""

_BATCH_TOKENS = 1 << 24  # of a batch, and as many ids: a buffer of 128 MiB
_GOLDEN_ROWS = 100
_GOLDEN_CHARACTERS = 10_000
WINDOWS = "windows"
"""Truncation of a model whose encoder reads all tokens kept of a longer text, in windows."""

TRUNCATIONS = ("head", "tail", "head+tail", WINDOWS)
"""Ways to choose the tokens that the encoder reads of a longer text."""

MOST_IN_WINDOWS = 1 << 17
"""Largest number of tokens in all windows of a text, so that a text needs at most a megabyte."""

LEAST_STRIDE = 8
"""Largest number of times that windows read a token: with more, a chunk of texts could fill the memory."""

_TEMPERATURE = 1000.0
_AT_LEAST = {1: "one", 2: "two"}
_LARGEST = 1e30  # scale or offset of a regression, whose values are still finite
_OMITTED = {
    "source": None,
    "task": SINGLE_LABEL,
    "thresholds": None,
    "unit": None,
    "ordered": False,
    "confidence": None,
    "windows": None,
    "calibration_by_length": None,
}


@dataclass(frozen=True)
class Precision:
    """A graph of the bundle.

    Attributes:
        file: file name of the graph.
        tolerance: largest difference of a golden row's logits from the machine that made the bundle.
    """

    file: str
    tolerance: float


@dataclass(frozen=True)
class GoldenRow:
    """A short text with the logits of each precision on the machine that made the bundle.

    Attributes:
        text: text written for this purpose, not training data.
        logits: logits by precision, one float for two labels, C floats for C labels. If the wide part has its own graph,
            `WIDE` has its exact sums.
    """

    text: str
    logits: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class WideGraph:
    """A wide part with its own graph; the graphs of `Precision` then hold the encoder's part alone.

    Attributes:
        file: file name of the graph.
        pairs: number of weights that pairs of pieces share; the others belong to the vocabulary.
    """

    file: str
    pairs: int


@dataclass(frozen=True)
class Unit:
    """Unit of a regression's outputs, in which training has a mean of 0 and a deviation of 1: ``value = logit * scale + offset``.

    Attributes:
        scale: factor of each output, above 0.
        offset: value of each output whose logit is 0.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True)
class WindowSettings:
    """Windows in which the encoder reads longer texts, see `scorer.engine.windows.Windows`.

    Attributes:
        stride: number of tokens from the begin of a window to that of the next one.
        most: largest number of windows of a text.
        combination: way in which the logits of windows become a text's, one of `scorer.engine.windows.COMBINATIONS`.
    """

    stride: int
    most: int
    combination: Combination = "mean"


@dataclass(frozen=True)
class Manifest:
    """A description of the bundle, and all that scoring needs beside the graph and the tokenizer.

    Attributes:
        name: name for people; the bundle's folder name when it was made.
        labels: label names, in logit order; if one of two is chosen, they are (negative, positive), and the one logit is the
            positive one's. For a regression, the names of its outputs.
        positive_label: label of two whose probability is the score; None for more labels and other tasks.
        max_length: largest number of tokens that the encoder reads, special tokens included.
        truncation: tokens that it reads of a longer text: the first (``head``), the last of those kept (``tail``), some of
            both (``head+tail``), or all of those kept (``windows``).
        pooling: vectors of the encoder that the head reads, such as ``cls``, ``mean``, ``cls+mean5`` or ``attention5``.
        precisions: graphs by name (fp32, fp16, int8).
        providers: default precision of each execution provider.
        batch_tokens: padded tokens of a batch on CUDA; None for the scorer's own choice.
        max_tokens: tokens kept of a text, from which the graph takes those that the encoder reads, or as many as the windows
            cover; None for max_length.
        calibration: calibration of the probabilities; None for temperatures of 1, see `temperatures`.
        reference: histograms of the test data, to compare a run with; None if unknown.
        wide: the wide part's own graph; None if the other graphs include it.
        cascade: rule by which the wide part alone decides; it needs ``wide``, which without it needs ``windows``.
        source: origin of an imported model, with its certificate, for people and the model card; None for a model that was
            trained here.
        task: kind of the model's answers.
        thresholds: least probability at which a text gets each label, if it can get several; None for one half each.
        unit: unit of a regression's outputs; None for other tasks.
        ordered: whether the labels are numbers in an order, and one of them is chosen.
        confidence: correctness of held-out texts by precision, scored with the cascade; None if unknown, or for other tasks.
        windows: windows in which the encoder reads longer texts; set if and only if ``truncation`` names them.
        calibration_by_length: calibration of the logits of texts that the encoder reads, before their temperature; None for
            the same at every length, or for other tasks.
        golden: rows scored before the first real one, see `GoldenRow`.
        encoder, head, training, metrics, parity, versions: origin of the bundle, for people and the model card.
    """

    name: str
    labels: tuple[str, ...]
    positive_label: str | None
    max_length: int
    truncation: str
    pooling: str
    precisions: Mapping[str, Precision]
    providers: Mapping[str, str]
    golden: tuple[GoldenRow, ...]
    encoder: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    batch_tokens: int | None = None
    max_tokens: int | None = None
    reference: Reference | None = None
    wide: WideGraph | None = None
    cascade: Cascade | None = None
    source: Mapping[str, Any] | None = None
    task: Task = SINGLE_LABEL
    thresholds: tuple[float, ...] | None = None
    unit: Unit | None = None
    ordered: bool = False
    confidence: Mapping[str, Correctness] | None = None
    windows: WindowSettings | None = None
    calibration_by_length: LengthCalibration | None = None

    def __post_init__(self) -> None:
        check_types(self)
        self._check_task()
        unknown = set(self.providers.values()) - set(self.precisions)
        if unknown:
            raise ValueError(f"providers name missing precisions: {sorted(unknown)}")
        if self.truncation not in TRUNCATIONS:
            raise ValueError(f"truncation must be one of {', '.join(TRUNCATIONS)}, not {self.truncation!r}")
        if not 0 < self.max_length <= MAX_LENGTH:
            raise ValueError(f"max_length must be between 1 and {MAX_LENGTH}, not {self.max_length}")
        if not self.max_length <= self.tokens_kept <= MAX_LENGTH:
            raise ValueError(f"max_tokens must be between max_length and {MAX_LENGTH}, not {self.max_tokens}")
        self._check_windows()
        cut = self.windows is None and (self.batch_tokens or BATCH_TOKENS) // self.max_length * self.tokens_kept
        if cut > _BATCH_TOKENS:
            raise ValueError(f"max_tokens ({self.max_tokens}) is too large for a max_length of {self.max_length}")
        if self.truncation != "head" and self.tokens_kept == self.max_length:
            raise ValueError(f"truncation {self.truncation!r} needs max_tokens above max_length")
        self._check_temperatures()
        self._check_calibration_by_length()
        if not all(precision.tolerance >= 0 for precision in self.precisions.values()):
            raise ValueError("a tolerance must be at least 0")
        if self.batch_tokens is not None and not 0 < self.batch_tokens <= _BATCH_TOKENS:
            raise ValueError(f"batch_tokens must be between 1 and {_BATCH_TOKENS}, not {self.batch_tokens}")
        if self.wide is None and self.cascade is not None:
            raise ValueError("a cascade needs a wide part with its own graph")
        if self.wide is not None and self.cascade is None and self.windows is None:
            raise ValueError("a wide part has its own graph only with a cascade or windows")
        if self.cascade is not None and len(self.cascade.bias) != self.logit_count:
            raise ValueError(f"the cascade has {len(self.cascade.bias)} biases for {len(self.labels)} labels")
        if self.reference is not None:
            has_both = self.reference.score_without_cascade is not None
            if has_both != (self.cascade is not None):
                raise ValueError(
                    "a reference must have scores without the cascade if the bundle has one, and only then"
                )
        for row in self.golden:
            row.text.encode()  # raises for a lone surrogate, which is not text
        if len(self.golden) > _GOLDEN_ROWS or any(len(row.text) > _GOLDEN_CHARACTERS for row in self.golden):
            raise ValueError(
                f"golden rows must be at most {_GOLDEN_ROWS}, with at most {_GOLDEN_CHARACTERS} characters each"
            )
        for row in self.golden:
            for precision, logits in row.logits.items():
                if len(logits) != self.logit_count:
                    raise ValueError(f"a golden row has {len(logits)} {precision} logits for {len(self.labels)} labels")

    def _check_task(self) -> None:
        """Raise `ValueError` if labels, or fields of one task alone, contradict the task."""
        if not all(text and text.isprintable() for text in (self.name, *self.labels)):
            raise ValueError("name and labels must be text that can be printed")
        least = 2 if self.task == SINGLE_LABEL else 1
        if len(self.labels) < least or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be {_AT_LEAST[least]} or more, all different: {list(self.labels)}")
        if (self.positive_label is not None) != (self.task == SINGLE_LABEL and len(self.labels) == 2):
            raise ValueError("positive_label must be set for two labels of which one is chosen, and only for them")
        if self.positive_label is not None and self.positive_label != self.labels[1]:
            raise ValueError("positive_label must be the second of the two labels")
        if self.ordered and not (self.task == SINGLE_LABEL and are_numbers(self.labels)):
            raise ValueError(f"ordered labels must be different numbers, of which one is chosen: {list(self.labels)}")
        if self.thresholds is not None and not (
            self.task == MULTI_LABEL
            and len(self.thresholds) == len(self.labels)
            and all(0 < threshold <= 1 for threshold in self.thresholds)
        ):
            raise ValueError("thresholds must be above 0 and at most 1, one for each of several labels of a text")
        if (self.unit is not None) != (self.task == REGRESSION):
            raise ValueError("unit must be set for a regression, and only for one")
        if self.unit is not None and not (
            len(self.unit.scale) == len(self.unit.offset) == len(self.labels)
            and all(0 < scale <= _LARGEST for scale in self.unit.scale)
            and all(abs(offset) <= _LARGEST for offset in self.unit.offset)
        ):
            raise ValueError(f"unit must have a scale above 0 and an offset for each output, of at most {_LARGEST:g}")
        if self.task != SINGLE_LABEL and not (self.cascade is None and self.confidence is None):
            raise ValueError("cascade and confidence need a model that chooses one label")
        score = None if self.reference is None else self.reference.score.edges
        if score is not None and self.task != REGRESSION and score != SCORE_EDGES:
            raise ValueError("reference: the histogram score has the wrong bins")

    def _check_windows(self) -> None:
        """Raise `ValueError` if windows contradict themselves or the rest, as far as that shows without the tokenizer."""
        windows = self.windows
        if (windows is not None) != (self.truncation == WINDOWS):
            raise ValueError(f"windows must be set for the truncation {WINDOWS!r}, and only for it")
        if windows is None:
            return
        if windows.combination == "max" and self.task != MULTI_LABEL:
            raise ValueError("the largest logit of windows needs a model that gives any number of labels")
        if not 2 <= windows.most <= MOST_IN_WINDOWS // self.max_length:
            raise ValueError(
                f"a text may have 2 to {MOST_IN_WINDOWS // self.max_length} windows of {self.max_length} tokens, not {windows.most}"
            )
        if not self.max_length <= LEAST_STRIDE * windows.stride:
            raise ValueError(f"stride of windows must be at least 1/{LEAST_STRIDE} of max_length, not {windows.stride}")

    def _check_temperatures(self) -> None:
        if self.calibration is not None and "temperature" not in self.calibration:
            raise ValueError("calibration has no temperature")
        given = (self.calibration or {}).get("temperature", 1.0)
        least, most = 1 / _TEMPERATURE, _TEMPERATURE
        fits = isinstance(given, list) == (self.task == MULTI_LABEL and self.calibration is not None)
        if not fits or not all(is_of(one, float) and least <= one <= most for one in self.temperatures):
            raise ValueError(
                f"a temperature must be between {least} and {most}, and in a list with one for each label if a text can get several"
            )
        if isinstance(given, list) and len(given) != len(self.labels):
            raise ValueError(f"there must be one temperature for each label, not {len(given)}")

    def _check_calibration_by_length(self) -> None:
        found = self.calibration_by_length
        if found is None:
            return
        if self.task != SINGLE_LABEL:
            raise ValueError("calibration_by_length needs a model that chooses one label")
        if found.logit_count != self.logit_count:
            raise ValueError(f"calibration_by_length has {found.logit_count} biases for {len(self.labels)} labels")
        if found.lengths[-1] > self.tokens_kept:
            raise ValueError(
                f"calibration_by_length has lengths of more than the {self.tokens_kept} tokens kept of a text"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """The `FEATURES` that a scorer must know to score with this bundle."""
        has = {
            "cascade": self.cascade is not None,
            "imported": self.source is not None,
            "ordered": self.ordered,
            "confidence": self.confidence is not None,
            "windows": self.windows is not None,
            "calibration_by_length": self.calibration_by_length is not None,
            self.task: True,
        }
        return tuple(name for name in FEATURES if has.get(name))

    def reference_of(self, *, cascade: bool) -> Reference | None:
        """Return the histograms of the test data, scored with the cascade (if the bundle has one) or without."""
        return self.reference if cascade or self.reference is None else self.reference.without_cascade()

    @property
    def logit_count(self) -> int:
        """Number of logits: one if one of two labels is chosen, otherwise one for each label or output."""
        return 1 if self.task == SINGLE_LABEL and len(self.labels) == 2 else len(self.labels)

    @property
    def tokens_kept(self) -> int:
        """Tokens kept of a text, special tokens included."""
        return self.max_length if self.max_tokens is None else self.max_tokens

    @property
    def temperature(self) -> float:
        """The divisor of the logits before they become probabilities, if one label is chosen (Guo et al. 2017, equation 9)."""
        return self.temperatures[0]

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The divisors of the logits: one, or one for each label if a text can get several."""
        given = (self.calibration or {}).get("temperature", 1.0)
        if isinstance(given, list):
            return tuple(given)
        return (given,) * (len(self.labels) if self.task == MULTI_LABEL else 1)

    def to_json(self) -> bytes:
        """Return the bytes of manifest.json, which `parse_manifest` reads.

        Raises:
            ValueError: a number is NaN or infinite, which JSON cannot hold.
        """
        fields = asdict(self)
        if self.reference is not None and self.reference.score_without_cascade is None:
            del fields["reference"]["score_without_cascade"]
        for name in ("wide", "cascade"):  # keep the form that every release can read
            if getattr(self, name) is None:
                del fields[name]
        # A field that has no effect is left out, so that bundles of earlier releases keep their bytes.
        for name, default in _OMITTED.items():
            if getattr(self, name) == default:
                del fields[name]
        form = {"format_version": 2, "needs": self.needs} if self.needs else {"format_version": 1}
        text = json.dumps(fields | form, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
        return f"{text}\n".encode()


def parse_manifest(data: bytes, path: Path = Path("manifest.json")) -> Manifest:
    """Read a manifest.

    Args:
        data: bytes of the manifest.
        path: path of its file, for messages.

    Raises:
        BundleError: the manifest is not JSON, contradicts itself, or needs a feature that this release does not know. Or
            a field is missing, unexpected or of the wrong type.
    """
    try:
        fields = json.loads(data, parse_constant=refuse_constant)
        version, needs = fields.pop("format_version"), fields.pop("needs", [])
        if unknown := [str(name) for name in needs if name not in FEATURES]:
            raise BundleError(
                f"{path} needs {', '.join(unknown)[:200]}, which this release does not know; use a newer one."
            )
        if version not in FORMAT_VERSIONS:
            raise ValueError(
                f"format version {version}, but this release reads {' and '.join(map(str, FORMAT_VERSIONS))}"
            )
        fields["labels"] = tuple(fields["labels"])
        fields["precisions"] = {name: Precision(**value) for name, value in fields["precisions"].items()}
        fields["golden"] = tuple(
            GoldenRow(row["text"], {name: tuple(logits) for name, logits in row["logits"].items()})
            for row in fields["golden"]
        )
        found = fields.get("reference")  # older bundles have {} instead of null
        fields["reference"] = parse_reference(found) if found else None
        if fields.get("wide") is not None:
            fields["wide"] = WideGraph(**fields["wide"])
        if fields.get("windows") is not None:
            fields["windows"] = WindowSettings(**fields["windows"])
        if fields.get("unit") is not None:
            fields["unit"] = Unit(**{name: tuple(numbers) for name, numbers in fields["unit"].items()})
        if fields.get("confidence") is not None:
            fields["confidence"] = {name: parse_correctness(one) for name, one in fields["confidence"].items()}
        if fields.get("calibration_by_length") is not None:
            fields["calibration_by_length"] = parse_length_calibration(fields["calibration_by_length"])
        if fields.get("thresholds") is not None:
            fields["thresholds"] = tuple(fields["thresholds"])
        if fields.get("cascade") is not None:
            cascade = fields["cascade"]
            fields["cascade"] = Cascade(
                **{**cascade, "bias": tuple(cascade["bias"]), "limits": tuple(cascade["limits"])}
            )
        manifest = Manifest(**fields)
        if tuple(needs) != manifest.needs or version != (2 if needs else 1):
            raise ValueError(f"format version {version} and needs {needs} do not match its contents")
        return manifest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise BundleError(f"{path} cannot be used: {type(error).__name__}: {error}") from error


def are_numbers(labels: Sequence[str]) -> bool:
    """Return whether labels are finite numbers, all different.

    >>> are_numbers(["1", "2.5"]), are_numbers(["1", "1.0"]), are_numbers(["low", "high"])
    (True, False, False)
    """
    try:
        values = [float(label) for label in labels]
    except ValueError:
        return False
    return all(map(isfinite, values)) and len(set(values)) == len(values)
