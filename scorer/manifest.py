"""The bundle's manifest.json as frozen dataclasses: written by the export stage, read by the scorer."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scorer.errors import BundleError

FORMAT_VERSION = 1


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
        logits: by precision, one float for two labels, C floats for C labels.
    """

    text: str
    logits: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Manifest:
    """What a bundle is, and all that scoring needs to know beside the graph and the tokenizer.

    Attributes:
        name: for people; the bundle's folder name where it was made.
        labels: in the order of the logits; for two labels, (negative, positive), and the one logit is the positive's.
        positive_label: for two labels the one whose probability is the score; None for more.
        max_length: tokens kept of a text, special tokens included.
        truncation: ``head``, the beginning of a long text is kept.
        pooling: ``cls`` or ``mean``, over the encoder's last layer.
        precisions: by name (fp32, int8).
        providers: which precision each execution provider takes unless told otherwise.
        golden: rows scored before the first real one, see `GoldenRow`.
        encoder, head, calibration, training, metrics, parity, versions: how it was made; read by people and the card.
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
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format version {self.format_version}, this release reads {FORMAT_VERSION}")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be two or more, all different: {list(self.labels)}")
        if (self.positive_label is None) != (len(self.labels) > 2):
            raise ValueError("positive_label belongs to two labels, and only to two")
        if self.positive_label is not None and self.positive_label != self.labels[1]:
            raise ValueError("positive_label must be the second of the two labels")
        unknown = set(self.providers.values()) - set(self.precisions)
        if unknown:
            raise ValueError(f"providers name precisions that are not there: {sorted(unknown)}")
        for row in self.golden:
            for precision, logits in row.logits.items():
                if len(logits) != self.logit_count:
                    raise ValueError(f"a golden row has {len(logits)} {precision} logits for {len(self.labels)} labels")

    @property
    def logit_count(self) -> int:
        """One logit for two labels, C for C labels."""
        return 1 if len(self.labels) == 2 else len(self.labels)

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BundleError: it is no JSON, lacks a field, has one too many, or contradicts itself.
    """
    try:
        fields = json.loads(data)
        fields["labels"] = tuple(fields["labels"])
        fields["precisions"] = {name: Precision(**value) for name, value in fields["precisions"].items()}
        fields["golden"] = tuple(
            GoldenRow(row["text"], {name: tuple(logits) for name, logits in row["logits"].items()})
            for row in fields["golden"]
        )
        return Manifest(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"manifest.json cannot be used: {type(error).__name__}: {error}") from error
