"""What a run did, in numbers."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self


@dataclass
class Summary:
    """Counts over all records of the input, those of an interrupted run that was gone on with included.

    Attributes:
        rows_in: records read; always rows_scored + rows_rejected.
        rows_scored: records scored.
        rejected: rejected records by reason.
        labels: scored records by predicted label.
        tokens: fed to the model, special tokens included.
        rows_truncated: scored records whose text was longer than the model reads.
        input_hash: sha256 of the raw input as far as it was read for these records, hexadecimal.
        seconds: of this run, from its first record read to the last one written.
    """

    rows_in: int = 0
    rows_scored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    rows_truncated: int = 0
    input_hash: str = ""
    seconds: float = 0.0

    @property
    def rows_rejected(self) -> int:
        return self.rejected.total()

    def copy(self) -> Self:
        return replace(self, rejected=self.rejected.copy(), labels=self.labels.copy())

    def as_json(self) -> dict[str, Any]:
        """What lasts from one run to the next."""
        return {name: value for name, value in vars(self).items() if name != "seconds"}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """The opposite of `as_json`.

        >>> summary = Summary(rows_in=2, rows_scored=1, rejected=Counter(too_long=1))
        >>> Summary.from_json(summary.as_json()) == summary
        True
        """
        counters = {name: Counter(fields[name]) for name in ("rejected", "labels")}
        return cls(**{**fields, **counters})


def reasons(summary: Summary) -> str:
    """Rejects by reason, most frequent first: ``2 empty_text, 1 invalid_json``."""
    return ", ".join(f"{count} {reason}" for reason, count in summary.rejected.most_common())
