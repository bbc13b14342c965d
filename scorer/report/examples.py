"""Rows worth looking at: those that the model is least sure of, and those that it is surest of, or the extreme values."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from scorer.base.text import shown_source
from scorer.model.interpretation import Answer, Interpretation, MultiLabel, Regression
from scorer.rows.record import Record

_CHARACTERS = 300
_DOUBTFUL = 6
_SURE = 3
LOWEST, HIGHEST = "lowest", "highest"
"""Names of the examples of a regression."""

# With more labels than this, the surest rows are kept over all labels together, not for each.
_LABELS = 6


class Example(NamedTuple):
    """Scored row, ordered by its value as an example.

    Attributes:
        rank: rank among examples; lower is better.
        row: row number.
        source: name of its input file.
        label, score: label and score that make the row an example; no label for a value.
        text: beginning of its text.
    """

    rank: float
    row: int
    source: str
    label: str
    score: float
    text: str


class _Ranking(NamedTuple):
    """Order of the rows of a chunk as examples.

    Attributes:
        rank: rank of each row, float64 (rows,); NaN for a row that is no example.
        labels: label to show with each row.
        scores: score to show with each row, float64 (rows,).
        most: largest number of examples.
    """

    rank: np.ndarray
    labels: Sequence[str]
    scores: np.ndarray
    most: int


@dataclass
class Examples:
    """Best examples so far; each text appears once, from its first row.

    Attributes:
        doubtful: rows nearest to a change of label, the nearest first; none of a regression.
        sure: surest rows of each label, the surest first; with many labels, those of all under the empty label. Of a
            regression, the rows with the values at either end, under `LOWEST` and `HIGHEST`.
    """

    doubtful: list[Example] = field(default_factory=list)
    sure: dict[str, list[Example]] = field(default_factory=dict)

    def add(
        self,
        records: Sequence[Record],
        answers: Sequence[Answer],
        values: np.ndarray,
        interpretation: Interpretation,
    ) -> None:
        """Take the rows of a chunk that are better examples than the present ones.

        Args:
            records: records of the rows.
            answers: their labels; empty for a row without one.
            values: probabilities or values, float64 (rows, labels); NaN for a row without them.
            interpretation: meaning of the model's logits.
        """

        def offer(best: list[Example], ranking: _Ranking) -> None:
            rank, most = ranking.rank, ranking.most
            for row in np.argsort(rank, kind="stable").tolist():
                if np.isnan(rank[row]) or (len(best) == most and rank[row] >= best[-1].rank):
                    break
                record = records[row]
                if record.duplicate:
                    continue
                source, text = shown_source(record.position.source), beginning(record.text)
                score = float(ranking.scores[row])
                one = Example(float(rank[row]), record.row, source, ranking.labels[row], score, text)
                if all(text != other.text for other in best):  # two texts may begin alike
                    insort(best, one)
                    del best[most:]

        doubtful, sure = _rankings(answers, values, interpretation)
        if doubtful is not None:
            offer(self.doubtful, doubtful)
        for name, ranking in sure.items():
            offer(self.sure.setdefault(name, []), ranking)

    def copy(self) -> Self:
        return type(self)(self.doubtful.copy(), {label: best.copy() for label, best in self.sure.items()})

    def as_json(self) -> list[Any]:
        return list(astuple(self))

    @classmethod
    def from_json(cls, fields: Sequence[Any]) -> Self:
        """Restore examples from the form of `as_json`.

        >>> one = Example(0.1, 7, "a.csv", "positive", 0.6, "So so.")
        >>> Examples.from_json(Examples([one], {"positive": [one]}).as_json()) == Examples([one], {"positive": [one]})
        True
        """
        doubtful, sure = fields
        return cls(
            [Example(*one) for one in doubtful],
            {label: [Example(*one) for one in best] for label, best in sure.items()},
        )


def _rankings(
    answers: Sequence[Answer], values: np.ndarray, interpretation: Interpretation
) -> tuple[_Ranking | None, dict[str, _Ranking]]:
    """Return the order of rows as doubtful examples, and their orders as sure ones, by name."""
    if isinstance(interpretation, MultiLabel):
        return _of_several_labels(answers, values, interpretation)
    if isinstance(interpretation, Regression):
        score = interpretation.scores(values)
        none = [""] * len(answers)
        return None, {
            LOWEST: _Ranking(score, none, score, _DOUBTFUL),
            HIGHEST: _Ranking(-score, none, score, _DOUBTFUL),
        }
    return _of_one_label([str(label) for label in answers], values, interpretation)


def _of_one_label(
    labels: list[str], values: np.ndarray, interpretation: Interpretation
) -> tuple[_Ranking, dict[str, _Ranking]]:
    names = interpretation.labels
    score, given = interpretation.scores(values), np.array(labels)
    doubtful = _Ranking(interpretation.doubt(values), labels, score, _DOUBTFUL)
    sureness = np.where(given == names[0], 1 - score, score) if len(names) == 2 else score
    if len(names) > _LABELS:
        return doubtful, {"": _Ranking(-sureness, labels, score, _SURE * 2)}
    return doubtful, {
        label: _Ranking(np.where(given == label, -sureness, np.nan), labels, score, _SURE)
        for label in sorted({*labels} & {*names})
    }


def _of_several_labels(
    answers: Sequence[Answer], values: np.ndarray, interpretation: MultiLabel
) -> tuple[_Ranking, dict[str, _Ranking]]:
    names = interpretation.labels
    rows = np.arange(len(values))

    def ranking(rank: np.ndarray, column: np.ndarray, most: int) -> _Ranking:
        return _Ranking(rank, [names[label] for label in column.tolist()], values[rows, column], most)

    distances = np.abs(values - np.array(interpretation.thresholds))
    doubtful = ranking(distances.min(axis=1), distances.argmin(axis=1), _DOUBTFUL)
    sureness = np.where(interpretation.given(values), -values, np.nan)
    if len(names) > _LABELS:
        best = np.where(np.isnan(sureness), np.inf, sureness).argmin(axis=1)
        return doubtful, {"": ranking(sureness[rows, best], best, _SURE * 2)}
    there = sorted({label for answer in answers for label in answer})
    return doubtful, {
        label: ranking(sureness[:, names.index(label)], np.full(len(values), names.index(label)), _SURE)
        for label in there
    }


def beginning(text: str) -> str:
    """Return the beginning of a text, as an example shows it, with runs of white space as single spaces.

    >>> beginning("A  fine\\nfilm."), len(beginning("a" * 5000))
    ('A fine film.', 301)
    """
    words = " ".join(text[: 4 * _CHARACTERS].split())
    return words if len(words) <= _CHARACTERS and len(text) <= 4 * _CHARACTERS else f"{words[:_CHARACTERS]}…"
