"""Comparison of two outputs with numbers: how far the values moved, in their own unit."""

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from scorer.base.errors import UsageError
from scorer.base.text import shown_number
from scorer.model.reference import Histogram, bin_of
from scorer.report.comparison import MOVE_EDGES, Comparison, Distances, Farthest, Moved, sides
from scorer.report.scored_file import Scored

_BINS = 20
_SMALLEST = 1e-280  # values closer to 0 than this are hardly more than 0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


class ValueMoves:
    """Values of one output of the model, of the rows that are in both files.

    Args:
        name: name of the output.
        at: position of its value in a row of the first file, and in one of the second.
        most: largest number of rows that moved most to keep.
    """

    def __init__(self, name: str, at: tuple[int, int], most: int) -> None:
        self.name = name
        self._at = at
        self._values: tuple[array[float], array[float]] = (array("d"), array("d"))
        self._farthest = Farthest(most)

    def add(self, before: Scored, after: Scored) -> None:
        first, second = before.values[self._at[0]], after.values[self._at[1]]
        self._values[0].append(first)
        self._values[1].append(second)
        if first != second:
            self._farthest.add(Moved(before, after, second - first, self._at))

    @cached_property
    def moved(self) -> list[Moved]:
        """Rows whose values moved, the largest moves first."""
        return self._farthest.rows

    @property
    def differences(self) -> np.ndarray:
        """Second value minus the first, for each row in both files."""
        return np.subtract(self._values[1], self._values[0])

    @cached_property
    def distances(self) -> Distances:
        """Differences of the values, summarized."""
        return Distances.of(array("d", self.differences))

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """Edges for the values of both files, see `tidy_edges`."""
        return tidy_edges(min(map(min, self._values)), max(map(max, self._values)))

    @cached_property
    def together(self) -> Counter[tuple[int, int]]:
        """Number of rows by the bin of their first value and the bin of their second, by `edges`."""
        return Counter(
            (bin_of(self.edges, one), bin_of(self.edges, other)) for one, other in zip(*self._values, strict=True)
        )

    @property
    def scores(self) -> tuple[Histogram, Histogram]:
        """Histograms of the values: the first file's and the second's."""
        return sides(self.together, self.edges)

    def moves(self) -> Histogram:
        """Return a histogram of the differences, by `MOVE_EDGES` times a tidy number that no row exceeds."""
        scale = _tidy(self.distances.biggest) if self.distances.biggest else 1.0
        edges = tuple(_rounded(edge * scale) for edge in MOVE_EDGES)
        return Histogram(edges, np.histogram(self.differences, edges)[0].tolist())


class ValueComparison(Comparison):
    """Comparison of outputs with one number a row, or with several.

    Args:
        by: key that joins their rows.
        most: largest number of rows that moved most to keep, for each output of the model.
        before, after: names of the model's outputs in the first file and in the second.

    Attributes:
        outputs: values of each output that both files have.
        only_outputs: outputs that only the first file has, and those that only the second has.

    Raises:
        UsageError: the files have no output in common.
    """

    def __init__(self, by: str, most: int, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        super().__init__(by)
        shared = [name for name in before if name in after]
        if not shared:
            raise UsageError(
                f"no value is in both files, so there is nothing to compare: {', '.join(before)} in the first, "
                f"{', '.join(after)} in the second."
            )
        self.outputs = [ValueMoves(name, (before.index(name), after.index(name)), most) for name in shared]
        self.only_outputs = (
            tuple(name for name in before if name not in after),
            tuple(name for name in after if name not in before),
        )

    def add(self, before: Scored, after: Scored) -> None:
        self.rows += 1
        for output in self.outputs:
            output.add(before, after)

    @property
    def flipped(self) -> None:
        return None

    @property
    def shown(self) -> list[Moved]:
        return [moved for output in self.outputs for moved in output.moved]

    def lines(self) -> Iterator[str]:
        for words, names in zip(("first", "second"), self.only_outputs, strict=True):
            if names:
                yield f"values only in the {words} output: {', '.join(names)}"
        for output in self.outputs:
            of = f" of {output.name}" if len(self.outputs) > 1 else ""
            yield f"values{of}: {output.distances.words(shown_number)}"
            if output.moved:
                yield f"largest moves{of}:"
            for one in output.moved:
                before, after = one.values
                yield (
                    f"  {self.by} {one.after.key}: {shown_number(before)} to {shown_number(after)} "
                    f"({shown_number(one.difference, '+')}){self.shown_text(one)}"
                )


def tidy_edges(low: float, high: float) -> tuple[float, ...]:
    """Return at most 22 ascending edges, at equal steps of few digits, that include two values.

    >>> tidy_edges(1.02, 4.98)[:3], len(tidy_edges(1.02, 4.98)), tidy_edges(1.02, 4.98)[-1]
    ((1.0, 1.2, 1.4), 21, 5.0)
    >>> tidy_edges(3.0, 3.0)
    (2.5, 3.0, 3.5, 4.0)
    """
    # Values that differ by no more than rounding get bins that differ in four digits.
    least = max(abs(low), abs(high), _SMALLEST) * 1e-9
    if high - low <= least:
        step = _tidy(max(abs(low) / 10, least)) if low else 0.5
        return tuple(_rounded(step * (math.floor(low / step) + at)) for at in (-1, 0, 1, 2))
    step = _tidy((high - low) / _BINS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return tuple(_rounded(step * at) for at in range(first, max(last, first + 1) + 1))


def _tidy(value: float) -> float:
    """Return the smallest of 1, 2, 2.5 and 5, times a power of ten, that is at least a value above 0.

    >>> _tidy(0.23), _tidy(1.0), _tidy(3000.0)
    (0.25, 1.0, 5000.0)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next((_rounded(step * power) for step in _STEPS if step * power >= value), _rounded(10 * power))


def _rounded(value: float) -> float:
    """Round to twelve digits, so that products of tidy numbers have few digits."""
    return float(f"{value:.12g}")
