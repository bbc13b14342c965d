"""Rows worth looking at: those that the model is least sure of, and those that it is surest of."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from scorer.base.text import shown_source
from scorer.model.interpretation import Answer, Interpretation
from scorer.rows.record import Record

_CHARACTERS = 300
_DOUBTFUL = 6
_SURE = 3
# With more labels than this, the surest rows are kept over all labels together, not for each.
_LABELS = 6


class Example(NamedTuple):
    """Scored row, ordered by its value as an example.

    Attributes:
        rank: rank among examples; lower is better.
        row: row number.
        source: name of its input file.
        label, score: label and score of the row.
        text: beginning of its text.
    """

    rank: float
    row: int
    source: str
    label: str
    score: float
    text: str


@dataclass
class Examples:
    """Best examples so far; each text appears once, from its first row.

    Attributes:
        doubtful: rows nearest to a change of label, the nearest first.
        sure: surest rows of each label, the surest first; with many labels, those of all under the empty label.
    """

    doubtful: list[Example] = field(default_factory=list)
    sure: dict[str, list[Example]] = field(default_factory=dict)

    def add(
        self,
        records: Sequence[Record],
        labels: Sequence[Answer],
        values: np.ndarray,
        interpretation: Interpretation,
    ) -> None:
        """Take the rows of a chunk that are better examples than the present ones.

        Args:
            records: records of the rows.
            labels: their labels; empty for a row without one.
            values: probabilities or values, float64 (rows, labels); NaN for a row without them.
            interpretation: meaning of the model's logits.
        """
        names = interpretation.labels
        score_of = interpretation.scores(values)
        shown = [label if isinstance(label, str) else ", ".join(label) for label in labels]
        given = np.array(shown)

        def example(row: int, rank: np.ndarray) -> Example:
            record = records[row]
            score, text = float(score_of[row]), beginning(record.text)
            return Example(float(rank[row]), record.row, shown_source(record.position.source), shown[row], score, text)

        def offer(best: list[Example], rank: np.ndarray, most: int) -> None:
            for row in np.argsort(rank, kind="stable").tolist():
                if np.isnan(rank[row]) or (len(best) == most and rank[row] >= best[-1].rank):
                    break
                if records[row].duplicate:
                    continue
                one = example(row, rank)
                if all(one.text != other.text for other in best):  # two texts may begin alike
                    insort(best, one)
                    del best[most:]

        offer(self.doubtful, interpretation.doubt(values), _DOUBTFUL)
        sureness = np.where(given == names[0], 1 - score_of, score_of) if len(names) == 2 else score_of
        few = len(names) <= _LABELS
        for label in sorted({*shown} & {*names}) if few else [""]:
            here = np.where(given == label, -sureness, np.nan) if few else -sureness
            offer(self.sure.setdefault(label, []), here, _SURE if few else _SURE * 2)

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


def beginning(text: str) -> str:
    """Return the beginning of a text, as an example shows it, with runs of white space as single spaces.

    >>> beginning("A  fine\\nfilm."), len(beginning("a" * 5000))
    ('A fine film.', 301)
    """
    words = " ".join(text[: 4 * _CHARACTERS].split())
    return words if len(words) <= _CHARACTERS and len(text) <= 4 * _CHARACTERS else f"{words[:_CHARACTERS]}…"
