"""Rows worth looking at: those that the model is least sure of or surest of, extreme values, and rejected records."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from scorer.base.text import shown_source
from scorer.model.interpretation import Answer, Interpretation, MultiLabel, Regression
from scorer.rows.record import Record, Reject, plain

_CHARACTERS = 300
_ID_CHARACTERS = 60
_DOUBTFUL = 6
_SURE = 3
_REJECTED = 2
LOWEST, HIGHEST = "lowest", "highest"
"""Names of the examples of a regression."""

_Kind = TypeVar("_Kind")

# With more labels than this, the surest rows are kept over all labels together, not for each.
_LABELS = 6


class Example(NamedTuple):
    """Scored row, ordered by its value as an example.

    Attributes:
        rank: rank among examples; lower is better.
        row: row number.
        id: its id; None if the rows have none.
        source: name of its input file.
        label: label that makes the row an example; if it is uncertain, with the most probable one; empty for a value.
        value: probability of that label, or of the most probable one if the label is uncertain; or the value.
        text: beginning of its text.
    """

    rank: float
    row: int
    id: str | None
    source: str
    label: str
    value: float
    text: str


class RejectedExample(NamedTuple):
    """Rejected record.

    Attributes:
        row: row number.
        source, line: name of its input file, and its first line there.
        text: beginning of its bytes.
    """

    row: int
    source: str
    line: int
    text: str


class _Ranking(NamedTuple):
    """Order of the rows of a chunk as examples.

    Attributes:
        rank: rank of each row, float64 (rows,); NaN for a row that is no example.
        labels: label to show with each row.
        values: value to show with each row, float64 (rows,); see `Example.value`.
        most: largest number of examples.
    """

    rank: np.ndarray
    labels: Sequence[str]
    values: np.ndarray
    most: int


@dataclass
class Examples:
    """Best examples so far; each text appears once, from its first row.

    Attributes:
        doubtful: rows nearest to a change of label, the nearest first; none of a regression.
        sure: surest rows of each label, the surest first; with many labels, those of all under the empty label. Of a
            regression, the rows with the values at either end, under `LOWEST` and `HIGHEST`.
        rejected: first rejected records of each reason.
    """

    doubtful: list[Example] = field(default_factory=list)
    sure: dict[str, list[Example]] = field(default_factory=dict)
    rejected: dict[str, list[RejectedExample]] = field(default_factory=dict)

    def add(
        self,
        records: Sequence[Record],
        answers: Sequence[Answer],
        values: np.ndarray,
        interpretation: Interpretation,
        id_at: int | None = None,
    ) -> None:
        """Take the rows of a chunk that are better examples than the present ones.

        Args:
            records: records of the rows.
            answers: their labels; empty for a row without one.
            values: probabilities or values, float64 (rows, labels); NaN for a row without them.
            interpretation: meaning of the model's logits.
            id_at: position of the id among the values that each record carries; None if they have none.
        """

        def offer(best: list[Example], ranking: _Ranking) -> None:
            rank, most = ranking.rank, ranking.most
            for row in np.argsort(rank, kind="stable").tolist():
                if np.isnan(rank[row]) or (len(best) == most and rank[row] >= best[-1].rank):
                    break
                record = records[row]
                if record.duplicate:
                    continue
                text, label, value = beginning(record.text), ranking.labels[row], float(ranking.values[row])
                source = shown_source(record.position.source)
                one = Example(float(rank[row]), record.row, shown_id(record, id_at), source, label, value, text)
                if all(text != other.text for other in best):  # two texts may begin alike
                    insort(best, one)
                    del best[most:]

        doubtful, sure = _rankings(answers, values, interpretation)
        if doubtful is not None:
            offer(self.doubtful, doubtful)
        for name, ranking in sure.items():
            offer(self.sure.setdefault(name, []), ranking)

    def add_rejects(self, rejects: Sequence[Reject]) -> None:
        """Take the first rejects of each reason."""
        for one in rejects:
            first = self.rejected.setdefault(one.reason, [])
            if len(first) < _REJECTED:
                text = beginning(one.raw[: 16 * _CHARACTERS].decode(errors="backslashreplace"))
                first.append(RejectedExample(one.row, shown_source(one.position.source), one.position.line, text))

    @property
    def scored(self) -> list[Example]:
        """All examples of scored rows."""
        return [*self.doubtful, *(one for best in self.sure.values() for one in best)]

    def copy(self) -> Self:
        return type(self)(self.doubtful.copy(), _copies(self.sure), _copies(self.rejected))

    def as_json(self) -> list[Any]:
        return list(astuple(self))

    @classmethod
    def from_json(cls, fields: Sequence[Any]) -> Self:
        """Restore examples from the form of `as_json`.

        >>> one, rejected = Example(0.1, 7, "R7", "a.csv", "positive", 0.6, "So so."), RejectedExample(8, "a.csv", 9, "")
        >>> found = Examples([one], {"positive": [one]}, {"empty_text": [rejected]})
        >>> Examples.from_json(found.as_json()) == found
        True
        """
        doubtful, sure, rejected = fields
        return cls(
            [Example(*one) for one in doubtful],
            {label: [Example(*one) for one in best] for label, best in sure.items()},
            {reason: [RejectedExample(*one) for one in first] for reason, first in rejected.items()},
        )


def _copies(lists: dict[str, list[_Kind]]) -> dict[str, list[_Kind]]:
    return {name: one.copy() for name, one in lists.items()}


def shown_id(record: Record, at: int | None) -> str | None:
    """Return the id of a record, shortened if it is long; None without one."""
    found = None if at is None else plain(record.carried[at])
    return found if found is None or len(found) <= _ID_CHARACTERS else f"{found[:_ID_CHARACTERS]}…"


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
    places, given = {name: at for at, name in enumerate(names)}, np.array(labels)
    probable = values.argmax(axis=1).tolist()
    columns = [places.get(label, best) for label, best in zip(labels, probable, strict=True)]
    shown = values[np.arange(len(values)), columns]
    named = [
        label if label in places else f"{label}, rather {names[best]}"
        for label, best in zip(labels, probable, strict=True)
    ]
    doubtful = _Ranking(interpretation.doubt(values), named, shown, _DOUBTFUL)
    if len(names) > _LABELS:
        return doubtful, {"": _Ranking(-shown, named, shown, _SURE * 2)}
    return doubtful, {
        label: _Ranking(np.where(given == label, -shown, np.nan), labels, shown, _SURE)
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
