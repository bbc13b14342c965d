"""Summary of a run in numbers and examples."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

import numpy as np

from scorer.base.text import shown_number
from scorer.model.confidence import CONFIDENCES
from scorer.model.interpretation import Answer
from scorer.model.outcomes import Outcomes
from scorer.model.reference import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, Histogram
from scorer.report.by_column import ByColumn
from scorer.report.examples import Examples
from scorer.report.nearest import Nearest


@dataclass(frozen=True)
class Range:
    """Least and greatest of some numbers; both None if no number was seen."""

    least: float | None = None
    greatest: float | None = None

    def __add__(self, other: Self) -> Self:
        """Return the range of the numbers of both.

        >>> Range() + Range(3.0, 3.0) + Range(-1.0, 2.0)
        Range(least=-1.0, greatest=3.0)
        """
        if self.least is None or self.greatest is None:
            return other
        if other.least is None or other.greatest is None:
            return self
        return type(self)(min(self.least, other.least), max(self.greatest, other.greatest))


@dataclass
class Counts:
    """Counts of records; the counts of several inputs can be added.

    Attributes:
        rows_in: records read; always rows_scored + rows_rejected.
        rows_scored: records scored.
        rejected: rejected records by reason.
        labels: scored records by predicted label; with several labels, a record counts for each of them.
        rows_without_label: scored records that could have several labels and have none.
        rows_uncertain: scored records that are uncertain, by --max-error or --uncertain.
        tokens: tokens given to the model, special tokens included.
        windows: windows of the texts that the encoder read; a text that fits is one.
        rows_in_windows: scored records whose texts it read in several windows.
        rows_early: scored records that the wide part alone decided.
        tokens_early: tokens of those records.
        rows_truncated: scored records whose text was longer than the model reads.
        rows_from_cache: scored records whose outcome an earlier run computed; see `scorer.model.score_cache`.
        duplicates: scored records that repeat the text of an earlier one; see `scorer.rows.duplicates`.
        scores: histogram of scores.
        score_sum: sum of scores.
        score_range: least and greatest score.
        lengths: histogram of the scored records' lengths in tokens.
        unknown: histogram of the scored records' shares of tokens outside the vocabulary.
        confidences: histogram of the probabilities p of the labels that records got, if there is one label and it is not
            uncertain.
        confidence_sum: sum of these p.
        confidence_variance: sum of p (1 - p).
    """

    rows_in: int = 0
    rows_scored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    rows_without_label: int = 0
    rows_uncertain: int = 0
    tokens: int = 0
    windows: int = 0
    rows_in_windows: int = 0
    rows_early: int = 0
    tokens_early: int = 0
    rows_truncated: int = 0
    rows_from_cache: int = 0
    duplicates: int = 0
    scores: Histogram = field(default_factory=lambda: Histogram.empty(SCORE_EDGES))
    score_sum: float = 0.0
    score_range: Range = field(default_factory=Range)
    lengths: Histogram = field(default_factory=lambda: Histogram.empty(TOKEN_EDGES))
    unknown: Histogram = field(default_factory=lambda: Histogram.empty(UNKNOWN_EDGES))
    confidences: Histogram = field(default_factory=lambda: Histogram.empty(CONFIDENCES))
    confidence_sum: float = 0.0
    confidence_variance: float = 0.0

    @classmethod
    def empty(cls, score_edges: tuple[float, ...]) -> Self:
        """Return counts of no records, with the bins of a model's scores."""
        return cls(scores=Histogram.empty(score_edges))

    @property
    def rows_rejected(self) -> int:
        return self.rejected.total()

    @property
    def measures(self) -> dict[str, Histogram]:
        """Histograms that `scorer.report.drift` compares."""
        return {"score": self.scores, "tokens": self.lengths, "unknown": self.unknown}

    def add_scores(self, scores: np.ndarray) -> None:
        """Count scores, float64 (texts,)."""
        self.scores.add(scores)
        self.score_sum = _added(self.score_sum, scores)
        if len(scores):
            self.score_range += Range(min(scores.tolist()), max(scores.tolist()))

    def add_confidences(self, probabilities: np.ndarray) -> None:
        """Count the probabilities of the labels that records got, float64 (texts,)."""
        self.confidences.add(probabilities)
        self.confidence_sum = _added(self.confidence_sum, probabilities)
        self.confidence_variance = _added(self.confidence_variance, probabilities * (1 - probabilities))

    def add_outcomes(self, outcomes: Outcomes) -> None:
        """Count what the model read of texts, and what decided them."""
        early, tokens = outcomes.early, outcomes.tokens
        self.tokens += int(tokens.sum())
        self.windows += int(outcomes.windows.sum())
        self.rows_in_windows += int((outcomes.windows > 1).sum())
        self.rows_early += int(early.sum())
        self.tokens_early += int(tokens[early].sum())
        self.lengths.add(tokens)
        self.unknown.add(outcomes.unknown / tokens)
        self.rows_truncated += int(outcomes.truncated.sum())
        self.rows_from_cache += int(outcomes.cached.sum())

    def add_labels(self, answers: Iterable[Answer]) -> None:
        """Count the label of each record, or all labels of it; an empty text is no label."""
        for answer, records in Counter(answers).items():
            for label in (answer,) if isinstance(answer, str) else answer:
                if label:
                    self.labels[label] += records
            self.rows_without_label += records if answer == () else 0

    def __add__(self, other: Self) -> Self:
        """Return the sum of both, sharing no object with either."""
        return type(self)(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def copy(self) -> Self:
        return self + self.empty(self.scores.edges)

    def as_json(self) -> dict[str, Any]:
        """Return every field's value by name; for a histogram or a range, its fields."""
        objects = (Histogram, Range)
        return {name: asdict(value) if isinstance(value, objects) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Restore counts from the form of `as_json`; other keys are ignored.

        >>> counts = Counts(rows_in=2, rows_scored=1, rejected=Counter(too_long=1))
        >>> Counts.from_json(counts.as_json()) == counts
        True
        """
        return cls(**{name: _restored(empty, values[name]) for name, empty in vars(cls()).items()})


@dataclass
class Summary:
    """Work of a run so far, including that of the interrupted run that it resumed.

    Attributes:
        counts: counts of all records.
        by_column: scored records by the values of kept columns.
        examples: examples of scored and rejected records.
        nearest: scored records that are nearest to another label, as many as --explain asks for.
        input_hash: sha256 of the raw input up to the last of these records, in hexadecimal.
        seconds: seconds of this run alone, from its first record read to its last one written.
        bytes_read: bytes of the input read in this run alone, as stored.
    """

    counts: Counts = field(default_factory=Counts)
    by_column: ByColumn = field(default_factory=ByColumn)
    examples: Examples = field(default_factory=Examples)
    nearest: Nearest = field(default_factory=Nearest)
    input_hash: str = ""
    seconds: float = 0.0
    bytes_read: int = 0

    def copy(self) -> Self:
        counts, by_column = self.counts.copy(), self.by_column.copy()
        examples, nearest = self.examples.copy(), self.nearest.copy()
        return replace(self, counts=counts, by_column=by_column, examples=examples, nearest=nearest)

    def as_json(self) -> dict[str, Any]:
        """Return the values that last from one run to the next; the rows that are kept have forms of their own."""
        return {**self.counts.as_json(), "by_column": self.by_column.as_json(), "input_hash": self.input_hash}

    @classmethod
    def from_json(cls, values: dict[str, Any], examples: Examples, nearest: Nearest | None = None) -> Self:
        """Restore a summary from the form of `as_json`, and the rows that were kept.

        >>> summary = Summary(Counts(rows_in=2, rows_scored=2), input_hash="e3b0")
        >>> Summary.from_json(summary.as_json(), Examples()) == summary
        True
        """
        by_column = ByColumn.from_json(values["by_column"])
        return cls(Counts.from_json(values), by_column, examples, nearest or Nearest(), values["input_hash"])


def shown_results(counts: Counts, names: Sequence[str]) -> str:
    """Format the results of the scored records; empty without any.

    Args:
        counts: counts of the records.
        names: label names of the model, or names of the outputs of a regression.

    >>> shown_results(Counts(rows_scored=7, labels=Counter(positive=4, negative=3)), ["negative", "positive"])
    '3 negative, 4 positive'
    >>> shown_results(Counts(rows_scored=4, labels=Counter(a=3, b=2), rows_without_label=1), ["a", "b"])
    '3 a, 2 b, 1 without a label'
    >>> shown_results(Counts(rows_scored=2, score_sum=7.5, score_range=Range(2.5, 5.0)), ["stars"])
    'values from 2.5 to 5, mean 3.75'
    """
    none = [f"{counts.rows_without_label:,} without a label"] if counts.rows_without_label else []
    labels = [*(f"{count:,} {label}" for label, count in sorted(counts.labels.items())), *none]
    least, greatest = counts.score_range.least, counts.score_range.greatest
    if labels or least is None or greatest is None:
        return ", ".join(labels)
    mean = shown_number(counts.score_sum / counts.rows_scored)
    of = f" of {names[0]}" if len(names) > 1 else ""
    return f"values{of} from {shown_number(least)} to {shown_number(greatest)}, mean {mean}"


def reasons(counts: Counts) -> str:
    """Format the rejects by reason, most frequent first: ``2 empty_text, 1 invalid_json``."""
    return ", ".join(f"{count} {reason}" for reason, count in counts.rejected.most_common())


def _added(total: float, numbers: np.ndarray) -> float:
    """Add numbers one by one, so that the sum does not depend on how they are divided.

    >>> _added(_added(0.1, np.array([0.2])), np.array([0.3])) == 0.1 + 0.2 + 0.3
    True
    """
    for number in numbers.tolist():
        total += number
    return total


def _restored(empty: Any, value: Any) -> Any:
    """Restore a field's value from JSON, with the type of its empty value."""
    if isinstance(empty, Histogram):
        return Histogram(tuple(value["edges"]), value["counts"])
    if isinstance(empty, Range):
        return Range(**value)
    return Counter(value) if isinstance(empty, Counter) else value
