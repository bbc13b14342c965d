"""Parts of a comparison of two outputs that every task has."""

import heapq
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import NamedTuple, Self

import numpy as np

from scorer.model.reference import SCORE_EDGES, Histogram
from scorer.report.scored_file import Scored

MOVE_EDGES = (-1, -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, -0.001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
"""Bin edges for differences of probabilities; the middle bin is for rows that moved by at most a thousandth."""

_MISSING_SHOWN = 5

FLIPPED_SHOWN = 200
"""Largest number of rows on a page whose labels differ."""


Spelling = Callable[[float, str], str]
"""Function that writes a number, given the sign of positive ones: ``+`` or nothing."""


def four_decimals(value: float, sign: str = "") -> str:
    """Write a probability.

    >>> four_decimals(0.25), four_decimals(0.25, "+")
    ('0.2500', '+0.2500')
    """
    return f"{value:{sign}.4f}"


class Moved(NamedTuple):
    """Row that is in both outputs.

    Attributes:
        before, after: the row in each of them.
        difference: second value minus the first, of the value that the row is ranked by.
        at: position of this value in `Scored.values` of each output.
    """

    before: Scored
    after: Scored
    difference: float
    at: tuple[int, int] = (0, 0)

    @property
    def values(self) -> tuple[float, float]:
        """The first value and the second."""
        return self.before.values[self.at[0]], self.after.values[self.at[1]]


class Farthest:
    """Rows that moved most.

    Args:
        most: largest number of rows to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Moved]] = []
        self._order = count()

    def add(self, moved: Moved) -> None:
        # Among rows that moved equally far, the first one wins.
        heapq.heappush(self._heap, (abs(moved.difference), -next(self._order), moved))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    @property
    def rows(self) -> list[Moved]:
        """Rows, the largest moves first."""
        return [moved for _, _, moved in sorted(self._heap, reverse=True)]


@dataclass
class Missing:
    """Rows that are in one output only: their number, and the keys of the first few."""

    rows: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.rows += 1
        if len(self.first) < _MISSING_SHOWN:
            self.first.append(key)


class Distances(NamedTuple):
    """Differences of values: the mean, then the mean, three quantiles and the maximum of their absolute values."""

    mean: float
    size: float
    median: float
    percentile_95: float
    percentile_99: float
    biggest: float

    @classmethod
    def of(cls, differences: "array[float]") -> Self:
        """Summarize differences, at least one."""
        moves = np.array(differences)
        sizes = np.abs(moves)
        half, most, nearly_all = np.quantile(sizes, (0.5, 0.95, 0.99))
        return cls(
            float(moves.mean()), float(sizes.mean()), float(half), float(most), float(nearly_all), float(sizes.max())
        )

    def words(self, spell: "Spelling") -> str:
        """Return a sentence about the differences, with numbers as ``spell`` writes them."""
        return (
            f"moved by {spell(self.size, '')} on average (signed mean {spell(self.mean, '+')}); 50% of the rows by at most "
            f"{spell(self.median, '')}, 95% by {spell(self.percentile_95, '')}, 99% by {spell(self.percentile_99, '')}, "
            f"all by {spell(self.biggest, '')}"
        )


class Comparison(ABC):
    """Result of a comparison of two outputs of the same task.

    Args:
        by: key that joins their rows, ``id`` or ``row``.

    Attributes:
        by: that key.
        only_before, only_after: rows that are only in the first output, and only in the second.
        rows: number of rows in both outputs.
        texts: beginnings of the texts of rows to show, by their keys; where it has none, the outputs may.
        flips_are: words that follow the share of `flipped`.
    """

    flips_are = ""

    def __init__(self, by: str) -> None:
        self.by = by
        self.only_before = Missing()
        self.only_after = Missing()
        self.rows = 0
        self.texts: Mapping[str, str] = {}

    def text_of(self, moved: Moved) -> str | None:
        """Return the beginning of a row's text, if it is known."""
        return self.texts.get(moved.after.key) or moved.after.text or moved.before.text

    def shown_text(self, moved: Moved) -> str:
        """Return the beginning of a row's text as the end of a line; empty if it is unknown."""
        text = self.text_of(moved)
        return f"  {text[:60]}" if text else ""

    @property
    @abstractmethod
    def shown(self) -> list[Moved]:
        """Rows to show."""

    @abstractmethod
    def add(self, before: Scored, after: Scored) -> None:
        """Count a row that is in both outputs."""

    @property
    @abstractmethod
    def flipped(self) -> int | None:
        """Number of rows whose labels differ; None if the outputs have no labels."""

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield the lines that describe the differences, of at least one row."""


class ProbabilityComparison(Comparison):
    """Comparison of outputs whose values are probabilities.

    Args:
        by: key that joins their rows.
        most: largest number of rows that moved most to keep; without any, no flipped ones are kept either.

    Attributes:
        most: that number.
        differences: second probability minus the first, of the value that moved most, for each row in both outputs.
        together: number of pairs of a row and a value, by the bins of both probabilities.
    """

    def __init__(self, by: str, most: int) -> None:
        super().__init__(by)
        self.differences: array[float] = array("d")
        self.together: Counter[tuple[int, int]] = Counter()
        self.most = most
        self._flipped = Farthest(max(most, FLIPPED_SHOWN) if most else 0)
        self._moved = Farthest(most)

    @cached_property
    def flipped_rows(self) -> list[Moved]:
        """Rows whose labels differ, the largest moves first."""
        return self._flipped.rows

    @cached_property
    def moved(self) -> list[Moved]:
        """Rows with the same labels of which a probability moved, the largest moves first."""
        return self._moved.rows

    @property
    def shown(self) -> list[Moved]:
        return [*self.flipped_rows, *self.moved]

    def keep(self, moved: Moved, *, flipped: bool) -> None:
        """Keep a row if it is one of those to show."""
        if flipped:
            self._flipped.add(moved)
        elif moved.difference:
            self._moved.add(moved)

    def lines_of_rows(self, spell: Callable[[Moved], str]) -> Iterator[str]:
        """Yield lines about rows: first those whose labels differ, then others that moved.

        Args:
            spell: function that describes a row.
        """
        others = "largest moves of other rows:" if self.flipped else "largest moves:"
        for heading, rows in (("flipped:", self.flipped_rows[: self.most]), (others, self.moved)):
            if rows:
                yield heading
            for one in rows:
                yield f"  {self.by} {one.after.key}: {spell(one)}{self.shown_text(one)}"

    @property
    def scores(self) -> tuple[Histogram, Histogram]:
        """Histograms of the values of rows in both outputs: the first output's and the second's."""
        return sides(self.together, SCORE_EDGES)

    @cached_property
    def distances(self) -> Distances:
        """Differences over the rows in both outputs, summarized."""
        return Distances.of(self.differences)

    def moves(self) -> Histogram:
        """Return a histogram of the differences, by `MOVE_EDGES`."""
        return Histogram(MOVE_EDGES, np.histogram(np.array(self.differences), MOVE_EDGES)[0].tolist())


def sides(together: Counter[tuple[int, int]], edges: tuple[float, ...]) -> tuple[Histogram, Histogram]:
    """Return the histograms of both outputs.

    Args:
        together: number of values by the bin of the first and the bin of the second.
        edges: edges of these bins.
    """
    before, after = Histogram.empty(edges), Histogram.empty(edges)
    for (row, column), rows in together.items():
        before.counts[row] += rows
        after.counts[column] += rows
    return before, after
