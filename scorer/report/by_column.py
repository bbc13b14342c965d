"""Scores by the values of kept columns that have few, such as stars or countries."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from scorer.rows.columns import ID
from scorer.rows.record import ScoredRecord, plain

MOST_VALUES = 12
"""Largest number of values of a column by which scores are shown."""

_MOST_COLUMNS = 20
_LONGEST = 60  # characters of a value; longer ones are texts


@dataclass
class Group:
    """Scored rows with the same value in a column.

    Attributes:
        rows: number of rows.
        score_sum: sum of their scores.
        labels: rows by label; a row counts for each of its labels.
    """

    rows: int = 0
    score_sum: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def mean(self) -> float:
        """Mean of the scores, of at least one row."""
        return self.score_sum / self.rows

    def add(self, row: ScoredRecord) -> None:
        self.rows += 1
        self.score_sum += row.score  # one by one, so that the sum does not depend on how rows are divided
        for label in (row.label,) if isinstance(row.label, str) else row.label:
            if label:
                self.labels[label] += 1


@dataclass
class ByColumn:
    """Groups of the scored rows so far, by kept column and value; None as a value is missing or null.

    Attributes:
        columns: groups of each column in the order of their first rows; no groups once a column has too many values.
    """

    columns: dict[str, dict[str | None, Group]] = field(default_factory=dict)
    _dropped: set[str] = field(default_factory=set)

    def add(self, names: Sequence[str], rows: Sequence[ScoredRecord]) -> None:
        """Count scored rows.

        Args:
            names: columns that are passed through, in the order of `Record.carried`.
            rows: rows to count.
        """
        for at, name in enumerate(names[:_MOST_COLUMNS]):
            if name == ID or name in self._dropped:
                continue
            groups = self.columns.setdefault(name, {})
            for row in rows:
                value = plain(row.record.carried[at])
                group = groups.get(value)
                if group is None:
                    if len(groups) == MOST_VALUES or len(value or "") > _LONGEST:
                        del self.columns[name]
                        self._dropped.add(name)
                        break
                    group = groups[value] = Group()
                group.add(row)

    @property
    def shown(self) -> dict[str, list[tuple[str | None, Group]]]:
        """Columns worth showing, and their groups in order: those with several values and twice as many rows."""
        return {
            name: sorted(groups.items(), key=_order(groups))
            for name, groups in self.columns.items()
            if 2 <= len(groups) <= sum(group.rows for group in groups.values()) / 2
        }

    def copy(self) -> Self:
        return type(self).from_json(self.as_json())

    def as_json(self) -> list[Any]:
        groups = {
            name: [[value, group.rows, group.score_sum, group.labels] for value, group in found.items()]
            for name, found in self.columns.items()
        }
        return [groups, sorted(self._dropped)]

    @classmethod
    def from_json(cls, fields: Sequence[Any]) -> Self:
        """Restore groups from the form of `as_json`.

        >>> found = ByColumn({"stars": {"5": Group(2, 1.5, Counter(positive=2)), None: Group(1, 0.5)}}, {"text"})
        >>> ByColumn.from_json(found.as_json()) == found
        True
        """
        columns, dropped = fields
        return cls(
            {
                name: {value: Group(rows, score_sum, Counter(labels)) for value, rows, score_sum, labels in groups}
                for name, groups in columns.items()
            },
            set(dropped),
        )

    def record(self) -> dict[str, Any]:
        """Return the groups of `shown` in the form of a run's record."""
        return {
            name: [
                {"value": value, "rows": group.rows, "score_mean": group.mean, "labels": dict(group.labels)}
                for value, group in groups
            ]
            for name, groups in self.shown.items()
        }


def _order(groups: dict[str | None, Group]) -> Any:
    """Return the function that orders values: numbers by size, others by their rows, and a missing value last."""
    numbers = {value: number for value in groups if value is not None and (number := _number(value)) is not None}
    if len(numbers) == len(groups.keys() - {None}):
        return lambda one: (one[0] is None, numbers.get(one[0], 0.0))
    return lambda one: (one[0] is None, -one[1].rows, one[0] or "")


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number == number else None  # NaN has no place in an order
