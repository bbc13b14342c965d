"""What a run did, in numbers."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self

SCORE_EDGES = tuple(number / 20 for number in range(21))
"""Of the histogram of scores; a bin holds its lower edge, the last one both. Manifests have the same."""


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
        duplicates: scored records with the text of an earlier record; see `scorer.duplicates`.
        scores: scored records by score, a count for each bin of `SCORE_EDGES`.
        score_sum: of all scores.
        input_hash: sha256 of the raw input as far as it was read for these records, hexadecimal.
        seconds: of this run, from its first record read to the last one written.
        bytes_read: of the input in this run, as it is stored.
    """

    rows_in: int = 0
    rows_scored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    rows_truncated: int = 0
    duplicates: int = 0
    scores: list[int] = field(default_factory=lambda: [0] * (len(SCORE_EDGES) - 1))
    score_sum: float = 0.0
    input_hash: str = ""
    seconds: float = 0.0
    bytes_read: int = 0

    @property
    def rows_rejected(self) -> int:
        return self.rejected.total()

    def copy(self) -> Self:
        return replace(self, rejected=self.rejected.copy(), labels=self.labels.copy(), scores=self.scores.copy())

    def add_score(self, score: float) -> None:
        """Count a score, from 0 to 1.

        >>> summary = Summary()
        >>> [summary.add_score(score) for score in (0.0, 0.05, 1.0)] and summary.scores[:2], summary.scores[-1]
        ([1, 1], 1)
        """
        self.scores[min(bisect_right(SCORE_EDGES, score), len(self.scores)) - 1] += 1
        self.score_sum += score

    def as_json(self) -> dict[str, Any]:
        """What lasts from one run to the next."""
        return {name: value for name, value in vars(self).items() if name not in ("seconds", "bytes_read")}

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
