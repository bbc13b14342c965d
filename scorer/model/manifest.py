"""The bundle's manifest.json as frozen dataclasses: written by the export stage, read by the scorer."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from scorer.base.errors import BundleError
from scorer.base.text import refuse_constant
from scorer.engine.cascade import Cascade
from scorer.engine.gpu import BATCH_TOKENS
from scorer.model.reference import Histogram, Reference, parse_reference

FORMAT_VERSIONS = (1, 2)
"""Forms of the manifest: 1 of a bundle that every release can score with, 2 of one that `Manifest.needs` something."""

FEATURES = ("cascade",)
"""Features of bundles that this release knows."""

WIDE = "wide"
"""The stage of the wide part, beside the precisions in a golden row."""

# Attention grows with the square of a text's length, and golden rows are scored at every start.
MAX_LENGTH = 32_768
"""Tokens of a text, at most."""

_BATCH_TOKENS = 1 << 24  # and so many ids, whichever are more: 128 MiB of a buffer
_GOLDEN_ROWS = 100
_GOLDEN_CHARACTERS = 10_000
TRUNCATIONS = ("head", "tail", "head+tail")
"""Which tokens the encoder reads of a text that has more than it takes."""

_TEMPERATURE = 1000.0


@dataclass(frozen=True)
class Precision:
    """One graph of the bundle.

    Attributes:
        file: the graph's file name.
        tolerance: by how much a golden row's logits may differ here from where the bundle was made.
    """

    file: str
    tolerance: float


@dataclass(frozen=True)
class GoldenRow:
    """A short text with the logits that each precision gave where the bundle was made.

    Attributes:
        text: the text, written for this purpose; no training data.
        logits: by precision, one float for two labels, C floats for C labels; where the wide part is a graph of its own, its
            exact sums under `WIDE`.
    """

    text: str
    logits: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class WideGraph:
    """The wide part, where it is a graph of its own; the graphs of `Precision` are the encoder's part alone then.

    Attributes:
        file: the graph's file name.
        pairs: weights that pairs of pieces share; the others are the vocabulary's.
    """

    file: str
    pairs: int


@dataclass(frozen=True)
class Manifest:
    """What a bundle is, and all that scoring needs to know beside the graph and the tokenizer.

    Attributes:
        name: for people; the bundle's folder name where it was made.
        labels: in the order of the logits; for two labels, (negative, positive), and the one logit is the positive's.
        positive_label: for two labels the one whose probability is the score; None for more.
        max_length: tokens that the encoder reads at most, special tokens included.
        truncation: which ones of a longer text it reads: the first (``head``), the last of those that are kept (``tail``)
            or some of both (``head+tail``).
        pooling: which of the encoder's vectors the head reads, such as ``cls``, ``mean``, ``cls+mean5`` or ``attention5``.
        precisions: by name (fp32, fp16, int8).
        providers: which precision each execution provider takes unless told otherwise.
        batch_tokens: padded tokens of a batch on CUDA; None for the scorer's own choice.
        max_tokens: tokens kept of a text, of which the graph gives the encoder what it reads; None for max_length.
        calibration: how probabilities are made of logits; None for a temperature of 1, see `temperature`.
        reference: what the test data looks like, that a run can be compared with; None where nobody knows.
        wide: the wide part's own graph, and
        cascade: where it alone decides; both or neither.
        golden: rows scored before the first real one, see `GoldenRow`.
        encoder, head, training, metrics, parity, versions: how it was made; read by people and the card.
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

    def __post_init__(self) -> None:
        _check_types(self)
        if not all(text and text.isprintable() for text in (self.name, *self.labels)):
            raise ValueError("name and labels must be text that can be printed")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be two or more, all different: {list(self.labels)}")
        if (self.positive_label is None) != (len(self.labels) > 2):
            raise ValueError("positive_label belongs to two labels, and only to two")
        if self.positive_label is not None and self.positive_label != self.labels[1]:
            raise ValueError("positive_label must be the second of the two labels")
        unknown = set(self.providers.values()) - set(self.precisions)
        if unknown:
            raise ValueError(f"providers name precisions that are not there: {sorted(unknown)}")
        if self.truncation not in TRUNCATIONS:
            raise ValueError(f"truncation must be one of {', '.join(TRUNCATIONS)}, not {self.truncation!r}")
        if not 0 < self.max_length <= MAX_LENGTH:
            raise ValueError(f"max_length must be between 1 and {MAX_LENGTH}, not {self.max_length}")
        if not self.max_length <= self.tokens_kept <= MAX_LENGTH:
            raise ValueError(f"max_tokens must be between max_length and {MAX_LENGTH}, not {self.max_tokens}")
        if (self.batch_tokens or BATCH_TOKENS) // self.max_length * self.tokens_kept > _BATCH_TOKENS:
            raise ValueError(f"max_tokens ({self.max_tokens}) are too many for a max_length of {self.max_length}")
        if self.truncation != "head" and self.tokens_kept == self.max_length:
            raise ValueError(f"truncation {self.truncation!r} needs max_tokens beyond max_length")
        if self.calibration is not None and "temperature" not in self.calibration:
            raise ValueError("calibration has no temperature")
        if not _is_of(self.temperature, float) or not 1 / _TEMPERATURE <= self.temperature <= _TEMPERATURE:
            raise ValueError(f"a temperature must be between {1 / _TEMPERATURE} and {_TEMPERATURE}")
        if not all(precision.tolerance >= 0 for precision in self.precisions.values()):
            raise ValueError("a tolerance must be 0 or more")
        if self.batch_tokens is not None and not 0 < self.batch_tokens <= _BATCH_TOKENS:
            raise ValueError(f"batch_tokens must be between 1 and {_BATCH_TOKENS}, not {self.batch_tokens}")
        if (self.wide is None) != (self.cascade is None):
            raise ValueError("wide and cascade belong together")
        if self.cascade is not None and len(self.cascade.bias) != self.logit_count:
            raise ValueError(f"the cascade has {len(self.cascade.bias)} biases for {len(self.labels)} labels")
        if self.reference is not None:
            has_both = self.reference.score_without_cascade is not None
            if has_both != (self.cascade is not None):
                raise ValueError("a reference has scores without the cascade where there is one, and only there")
        for row in self.golden:
            row.text.encode()  # half of a surrogate pair is no text
        if len(self.golden) > _GOLDEN_ROWS or any(len(row.text) > _GOLDEN_CHARACTERS for row in self.golden):
            raise ValueError(f"golden rows are at most {_GOLDEN_ROWS} short texts")
        for row in self.golden:
            for precision, logits in row.logits.items():
                if len(logits) != self.logit_count:
                    raise ValueError(f"a golden row has {len(logits)} {precision} logits for {len(self.labels)} labels")

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of `FEATURES` that a scorer must know to score with this bundle."""
        return () if self.cascade is None else ("cascade",)

    def reference_of(self, *, cascade: bool) -> Reference | None:
        """Return what the test data looks like scored with the cascade, if there is one, or without."""
        return self.reference if cascade or self.reference is None else self.reference.without_cascade()

    @property
    def logit_count(self) -> int:
        """One logit for two labels, C for C labels."""
        return 1 if len(self.labels) == 2 else len(self.labels)

    @property
    def tokens_kept(self) -> int:
        """Tokens kept of a text, special tokens included."""
        return self.max_length if self.max_tokens is None else self.max_tokens

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities (Guo et al. 2017, equation 9)."""
        temperature: float = (self.calibration or {}).get("temperature", 1.0)
        return temperature

    def to_json(self) -> bytes:
        """What `parse_manifest` reads.

        Raises:
            ValueError: a number is none, which nothing could read.
        """
        fields = asdict(self)
        if self.reference is not None and self.reference.score_without_cascade is None:
            del fields["reference"]["score_without_cascade"]
        if not self.needs:  # such a bundle is written as it always was
            del fields["wide"], fields["cascade"]
        form = {"format_version": 2, "needs": self.needs} if self.needs else {"format_version": 1}
        text = json.dumps(fields | form, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
        return f"{text}\n".encode()


def parse_manifest(data: bytes, path: Path = Path("manifest.json")) -> Manifest:
    """Read a manifest.

    Args:
        data: its bytes.
        path: where they came from, for messages.

    Raises:
        BundleError: it is no JSON, lacks a field, has one too many or of another type, contradicts itself, or needs what
            this release does not know.
    """
    try:
        fields = json.loads(data, parse_constant=refuse_constant)
        version, needs = fields.pop("format_version"), fields.pop("needs", [])
        if unknown := [str(name) for name in needs if name not in FEATURES]:
            raise BundleError(
                f"{path} needs {', '.join(unknown)[:200]}, which this release does not know; use a newer one."
            )
        if version not in FORMAT_VERSIONS:
            raise ValueError(f"format version {version}, this release reads {' and '.join(map(str, FORMAT_VERSIONS))}")
        fields["labels"] = tuple(fields["labels"])
        fields["precisions"] = {name: Precision(**value) for name, value in fields["precisions"].items()}
        fields["golden"] = tuple(
            GoldenRow(row["text"], {name: tuple(logits) for name, logits in row["logits"].items()})
            for row in fields["golden"]
        )
        found = fields.get("reference")  # it was {} where there is none, once
        fields["reference"] = parse_reference(found) if found else None
        if fields.get("wide") is not None:
            fields["wide"] = WideGraph(**fields["wide"])
        if fields.get("cascade") is not None:
            cascade = fields["cascade"]
            fields["cascade"] = Cascade(
                **{**cascade, "bias": tuple(cascade["bias"]), "limits": tuple(cascade["limits"])}
            )
        manifest = Manifest(**fields)
        if tuple(needs) != manifest.needs or version != (2 if needs else 1):
            raise ValueError(f"format version {version} and needs {needs} are not those of what is in it")
        return manifest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise BundleError(f"{path} cannot be used: {type(error).__name__}: {error}") from error


def _check_types(record: Any) -> None:
    """Raise `TypeError` unless every field of a dataclass is of the type that it is annotated with."""
    for name, hint in typing.get_type_hints(type(record)).items():
        value = getattr(record, name)
        if not _is_of(value, hint):
            raise TypeError(f"{name} is not what it should be: {str(value)[:100]!r}")


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value read from JSON is of a type.

    >>> _is_of((1, 2.5), tuple[float, ...]), _is_of(True, int), _is_of({"a": 1}, Mapping[str, str])
    (True, False, False)
    """
    if hint is Any:
        return True
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(_is_of(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_of(item, inner[0]) for item in value)
    if origin is list:
        return isinstance(value, list) and all(_is_of(item, inner[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_is_of(item, inner[1]) for item in value.values())
    if hint in (int, float):
        kinds = (int, float) if hint is float else (int,)
        return isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)
    if hint in (GoldenRow, Precision, Reference, Histogram, WideGraph, Cascade):
        _check_types(value)
    return isinstance(value, hint)
