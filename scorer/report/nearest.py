"""Rows that are nearest to another label, kept while a run passes them, for `score --explain`."""

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from scorer.model.outcomes import Outcomes
from scorer.rows.record import Record, Reject

LARGEST_RECORD = 1 << 20
"""Length in bytes beyond which a record is not kept, so that memory is bounded."""


class NearRow(NamedTuple):
    """Scored row, ordered by its distance from another label.

    Attributes:
        doubt: distance from another label, see `scorer.model.interpretation.Interpretation.doubt`.
        row: row number.
        outcome: values of the fields of its `Outcomes`.
    """

    doubt: float
    row: int
    outcome: tuple[Any, ...]


@dataclass
class Nearest:
    """Nearest rows so far; each text counts once, from its first row.

    Attributes:
        most: largest number of rows.
        rows: rows, the nearest first.
        records: their records by row number, without their bytes.
    """

    most: int = 0
    rows: list[NearRow] = field(default_factory=list)
    records: dict[int, Record] = field(default_factory=dict)

    def add(self, records: Sequence[Record], doubt: np.ndarray, outcomes: Outcomes) -> None:
        """Take the rows of a chunk that are nearer than the present ones.

        Args:
            records: records of the rows.
            doubt: distance of each from another label, float64 (rows,); NaN for a row without a label.
            outcomes: outcomes of the rows.
        """
        for at in np.argsort(doubt, kind="stable").tolist() if self.most else ():
            if np.isnan(doubt[at]) or (len(self.rows) == self.most and doubt[at] >= self.rows[-1].doubt):
                break
            record = records[at]
            if record.duplicate or record.length > LARGEST_RECORD:
                continue
            insort(self.rows, NearRow(float(doubt[at]), record.row, tuple(values[at].tolist() for values in outcomes)))
            self.records[record.row] = record.alone()
            if len(self.rows) > self.most:
                del self.records[self.rows.pop().row]

    @property
    def outcomes(self) -> Outcomes:
        """Outcomes of the rows, in their order; there must be a row."""
        found = Outcomes(*map(np.array, zip(*(row.outcome for row in self.rows), strict=True)))
        return found._replace(logits=found.logits.astype(np.float32))

    @property
    def keep(self) -> Callable[[Record | Reject], None] | None:
        """Function that takes the records of rows that were restored; None if no row was."""
        missing = {row.row for row in self.rows} - self.records.keys()

        def take(item: Record | Reject) -> None:
            if isinstance(item, Record) and item.row in missing:
                self.records[item.row] = item.alone()

        return take if missing else None

    def copy(self) -> Self:
        return type(self)(self.most, self.rows.copy(), self.records.copy())

    def since(self, before: Self) -> Self:
        """Return the rows that an earlier state did not have, without their records."""
        known = {row.row for row in before.rows}
        return type(self)(self.most, [row for row in self.rows if row.row not in known])

    def merged(self, later: Self) -> Self:
        """Return the state whose `since` is ``later``, without records.

        >>> one, two = (Nearest(1, [NearRow(doubt, row, ())]) for doubt, row in ((0.5, 1), (0.25, 2)))
        >>> one.merged(two.since(one)) == two
        True
        """
        return type(self)(later.most, sorted([*self.rows, *later.rows])[: later.most])

    def as_json(self) -> list[Any]:
        """Return the JSON form of the rows; their records are in the input."""
        return [self.most, [list(row) for row in self.rows]]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Restore rows from the form of `as_json`, without their records.

        >>> one = Nearest(3, [NearRow(0.25, 7, ([0.5], False, 1, 1, 9, 0, False, False, False))])
        >>> Nearest.from_json(one.as_json()) == one
        True
        """
        most, rows = values
        return cls(most, [NearRow(doubt, row, tuple(outcome)) for doubt, row, outcome in rows])
