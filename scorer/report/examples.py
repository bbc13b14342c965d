"""Rows that are worth a look: those that the model is least sure of, and those that it is surest of."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from scorer.base.text import shown_source
from scorer.model.decision import Decision, scores
from scorer.rows.record import Record

_CHARACTERS = 300
_DOUBTFUL = 6
_SURE = 3
# Of a model with more labels the surest rows are kept over all of them, not for each.
_LABELS = 6


class Example(NamedTuple):
    """A row that was scored; ordered by how well it serves as an example.

    Attributes:
        rank: lower is better.
        row: its number.
        source: the file that it is from.
        label, score: what it was given.
        text: its beginning.
    """

    rank: float
    row: int
    source: str
    label: str
    score: float
    text: str


@dataclass
class Examples:
    """The best examples so far; each text once, and of equal ones the first.

    Attributes:
        doubtful: nearest to where the label changes, the nearest first.
        sure: the surest of each label, the surest first; of many labels together, under the empty label.
    """

    doubtful: list[Example] = field(default_factory=list)
    sure: dict[str, list[Example]] = field(default_factory=dict)

    def add(
        self,
        records: Sequence[Record],
        labels: Sequence[str],
        probabilities: np.ndarray,
        *,
        names: Sequence[str],
        decision: Decision,
    ) -> None:
        """Take the rows of a window that are better than what is there.

        Args:
            records: of the rows.
            labels: that they were given; empty where there is none.
            probabilities: float64 (rows, labels); NaN where there are none.
            names: the model's labels.
            decision: how the labels were chosen.
        """
        score_of = scores(probabilities)
        given = np.array(labels)

        def example(row: int, rank: np.ndarray) -> Example:
            record = records[row]
            score, text = float(score_of[row]), beginning(record.text)
            return Example(float(rank[row]), record.row, shown_source(record.position.source), labels[row], score, text)

        def offer(best: list[Example], rank: np.ndarray, most: int) -> None:
            for row in np.argsort(rank, kind="stable").tolist():
                if np.isnan(rank[row]) or (len(best) == most and rank[row] >= best[-1].rank):
                    break
                if records[row].duplicate:
                    continue
                one = example(row, rank)
                if all(one.text != other.text for other in best):  # it may begin as another does
                    insort(best, one)
                    del best[most:]

        offer(self.doubtful, decision.doubt(probabilities), _DOUBTFUL)
        sureness = np.where(given == names[0], 1 - score_of, score_of) if len(names) == 2 else score_of
        few = len(names) <= _LABELS
        for label in sorted({*labels} & {*names}) if few else [""]:
            here = np.where(given == label, -sureness, np.nan) if few else -sureness
            offer(self.sure.setdefault(label, []), here, _SURE if few else _SURE * 2)

    def copy(self) -> Self:
        return type(self)(self.doubtful.copy(), {label: best.copy() for label, best in self.sure.items()})

    def as_json(self) -> list[Any]:
        return list(astuple(self))

    @classmethod
    def from_json(cls, fields: Sequence[Any]) -> Self:
        """The opposite of `as_json`.

        >>> one = Example(0.1, 7, "a.csv", "positive", 0.6, "So so.")
        >>> Examples.from_json(Examples([one], {"positive": [one]}).as_json()) == Examples([one], {"positive": [one]})
        True
        """
        doubtful, sure = fields
        return cls(
            [Example(*one) for one in doubtful],
            {label: [Example(*one) for one in best] for label, best in sure.items()},
        )


def beginning(text: str) -> str:
    """As much of a text as an example shows, its white space made single spaces.

    >>> beginning("A  fine\\nfilm."), len(beginning("a" * 5000))
    ('A fine film.', 301)
    """
    words = " ".join(text[: 4 * _CHARACTERS].split())
    return words if len(words) <= _CHARACTERS and len(text) <= 4 * _CHARACTERS else f"{words[:_CHARACTERS]}…"
