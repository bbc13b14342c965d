"""Figures of a forecast: exact ones, and estimates with a range that holds the truth in 95% of forecasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np

NORMAL = 1.96
"""Standard errors on each side of an estimate that hold 95% of a normal distribution."""


@dataclass(frozen=True)
class Figure:
    """A number of a forecast.

    Attributes:
        value: number that is expected.
        low, high: range of 95%; equal to the value if the figure is exact.
        exact: whether the number is known.
    """

    value: float
    low: float
    high: float
    exact: bool

    @classmethod
    def known(cls, value: float) -> Self:
        """Return an exact figure.

        >>> Figure.known(3).as_json()
        {'value': 3, 'low': 3, 'high': 3, 'exact': True}
        """
        return cls(value, value, value, exact=True)

    @classmethod
    def estimated(cls, value: float, error: float, least: float = 0.0) -> Self:
        """Return an estimate; without an error it is exact.

        Args:
            value: number that is expected.
            error: standard error.
            least: smallest possible number.

        >>> Figure.estimated(10.0, 2.5, least=8.0)
        Figure(value=10.0, low=8.0, high=14.9, exact=False)
        """
        spread = NORMAL * error
        return cls(value, max(least, value - spread), value + spread, exact=not error)

    def __add__(self, other: "Figure") -> "Figure":
        """Return the sum of two independent figures.

        >>> Figure.estimated(10, 3 / NORMAL) + Figure.estimated(20, 4 / NORMAL) + Figure.known(5)
        Figure(value=35, low=30.0, high=40.0, exact=False)
        """
        value = self.value + other.value
        down = sqrt((self.value - self.low) ** 2 + (other.value - other.low) ** 2)
        up = sqrt((self.high - self.value) ** 2 + (other.high - other.value) ** 2)
        return Figure(value, value - down, value + up, self.exact and other.exact)

    def times(self, factor: float) -> "Figure":
        """Return the figure in another unit."""
        return Figure(self.value * factor, self.low * factor, self.high * factor, self.exact)

    def widened(self, share: float, slack: float = 0.0) -> "Figure":
        """Return an estimate with a wider range.

        Args:
            share: share of the value to add on both sides.
            slack: number to add on both sides, in the unit of the value; below, at most half of the lower end.

        >>> Figure(10.0, 9.0, 12.0, exact=False).widened(0.5)
        Figure(value=10.0, low=4.0, high=17.0, exact=False)
        >>> Figure(10.0, 9.0, 12.0, exact=False).widened(0.5, slack=3)
        Figure(value=10.0, low=2.0, high=20.0, exact=False)
        """
        more = share * self.value
        low = max(0.0, self.low - more)
        return Figure(self.value, max(low / 2, low - slack), self.high + more + slack, self.exact)

    def as_json(self, digits: int | None = None) -> dict[str, Any]:
        """Return the figure in JSON form.

        Args:
            digits: digits after the point; None for a whole number.
        """
        value, low, high = (round(number, digits) for number in (self.value, self.low, self.high))
        return {"value": value, "low": low, "high": high, "exact": self.exact}


NOTHING = Figure.known(0)


def total(
    values: Sequence[float] | np.ndarray,
    sizes: Sequence[float] | np.ndarray,
    whole_size: float,
    rows: float,
    groups: Sequence[int] | np.ndarray | None = None,
) -> Figure:
    """Estimate the sum of a value over all rows from a sample, by the ratio of value to size.

    The better a value follows the size, the narrower the range (W. Cochran, Sampling Techniques, 1977, chapter 6).

    Args:
        values: values of the sampled rows.
        sizes: sizes of the sampled rows, at least 0.
        whole_size: sum of the sizes of all rows.
        rows: number of all rows.
        groups: group of each sampled row, if rows were drawn group by group and few of many groups were drawn; None
            if each row was drawn by itself.

    >>> total([2, 4, 6], [1, 2, 3], 60, 30)
    Figure(value=120.0, low=120.0, high=120.0, exact=False)
    >>> total([2, 5], [1, 2], 3, 2)
    Figure(value=7.0, low=7.0, high=7.0, exact=True)
    """
    y, x = np.asarray(values, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    drawn = len(y)
    if drawn == 0 or rows == 0:
        return NOTHING
    if drawn >= rows:
        return Figure.known(float(y.sum()))
    if not x.sum():
        x, whole_size = np.ones(drawn), rows
    ratio = y.sum() / x.sum()
    rest = y - ratio * x
    if groups is not None:
        rest = np.bincount(np.asarray(groups), weights=rest)[np.unique(groups)]
    many = len(rest)
    # One row, or one group, shows no spread: the whole value may be wrong.
    spread = sqrt(many / (many - 1) * float((rest**2).sum())) if many > 1 else float(y.sum())
    unseen = 1.0 if groups is not None else 1 - drawn / rows
    value = float(ratio * whole_size)
    error = NORMAL * spread * sqrt(unseen) * whole_size / float(x.sum())
    return Figure(value, max(float(y.sum()), value - error), max(value, value + error), exact=False)


def share(found: int, drawn: int, rows: float) -> Figure:
    """Estimate a number of rows from those found in a sample of them, with the interval of Wilson.

    Args:
        found: number of sampled rows that count.
        drawn: number of sampled rows.
        rows: number of all rows.

    >>> share(0, 100, 10_000)
    Figure(value=0.0, low=0.0, high=366.3..., exact=False)
    >>> share(7, 100, 100)
    Figure(value=7, low=7, high=7, exact=True)
    """
    if drawn == 0 or rows == 0:
        return NOTHING
    if drawn >= rows:
        return Figure.known(found)
    part, square = found / drawn, NORMAL**2
    many = drawn / (1 - drawn / rows)  # a sample that is much of the whole leaves less unknown
    middle = (part + square / (2 * many)) / (1 + square / many)
    spread = NORMAL * sqrt(part * (1 - part) / many + square / (4 * many**2)) / (1 + square / many)
    low, high = max(0.0, middle - spread), min(1.0, middle + spread)
    value = part * rows
    return Figure(value, min(value, max(found, low * rows)), max(value, high * rows), exact=False)
