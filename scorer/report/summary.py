"""What a run did, in numbers and examples."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self

from scorer.model.reference import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, Histogram
from scorer.report.examples import Examples

_COUNTERS = ("rejected", "labels")
_HISTOGRAMS = {"scores": SCORE_EDGES, "lengths": TOKEN_EDGES, "unknown": UNKNOWN_EDGES}
_COUNTED = (
    *_COUNTERS,
    *_HISTOGRAMS,
    "rows_in",
    "rows_scored",
    "tokens",
    "rows_truncated",
    "duplicates",
    "score_sum",
    "seconds",
    "bytes_read",
)
# What belongs to one run and not to those that go on with it; and what the journal keeps by itself.
_PASSING = ("seconds", "bytes_read", "examples")


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
        duplicates: scored records with the text of an earlier record; see `scorer.rows.duplicates`.
        scores: of scored records.
        score_sum: of all scores.
        lengths: of scored records, in tokens.
        unknown: of scored records, shares of tokens that stand for what the vocabulary lacks.
        examples: of scored records.
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
    scores: Histogram = field(default_factory=lambda: Histogram.empty(SCORE_EDGES))
    score_sum: float = 0.0
    lengths: Histogram = field(default_factory=lambda: Histogram.empty(TOKEN_EDGES))
    unknown: Histogram = field(default_factory=lambda: Histogram.empty(UNKNOWN_EDGES))
    examples: Examples = field(default_factory=Examples)
    input_hash: str = ""
    seconds: float = 0.0
    bytes_read: int = 0

    @property
    def rows_rejected(self) -> int:
        return self.rejected.total()

    @property
    def measures(self) -> dict[str, Histogram]:
        """What `scorer.report.drift` compares."""
        return {"score": self.scores, "tokens": self.lengths, "unknown": self.unknown}

    def add_score(self, score: float) -> None:
        """Count a score, from 0 to 1."""
        self.scores.add(score)
        self.score_sum += score

    def add(self, other: "Summary") -> None:
        """Count the records of another input, too; of examples and hashes there is no sum."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def copy(self) -> Self:
        parts = {name: getattr(self, name).copy() for name in (*_COUNTERS, *_HISTOGRAMS, "examples")}
        return replace(self, **parts)

    def as_json(self) -> dict[str, Any]:
        """What lasts from one run to the next, but for the examples, which have a form of their own."""
        lasting = {name: value for name, value in vars(self).items() if name not in _PASSING}
        return {**lasting, **{name: getattr(self, name).counts for name in _HISTOGRAMS}}

    @classmethod
    def from_json(cls, fields: dict[str, Any], examples: Examples) -> Self:
        """The opposite of `as_json`.

        >>> summary = Summary(rows_in=2, rows_scored=1, rejected=Counter(too_long=1))
        >>> Summary.from_json(summary.as_json(), Examples()) == summary
        True
        """
        counters = {name: Counter(fields[name]) for name in _COUNTERS}
        histograms = {name: Histogram(edges, fields[name]) for name, edges in _HISTOGRAMS.items()}
        return cls(**{**fields, **counters, **histograms, "examples": examples})


def by_label(summary: Summary) -> str:
    """Scored records by label: ``3 negative, 4 positive``."""
    return ", ".join(f"{count:,} {label}" for label, count in sorted(summary.labels.items()))


def reasons(summary: Summary) -> str:
    """Rejects by reason, most frequent first: ``2 empty_text, 1 invalid_json``."""
    return ", ".join(f"{count} {reason}" for reason, count in summary.rejected.most_common())
