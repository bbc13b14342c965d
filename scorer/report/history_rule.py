"""Rule that finds unusual runs in a series; docs/RECORD.md and the page of a history state it in words."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW = 28
"""Largest number of earlier runs that a run is compared with: four weeks of nights."""

ENOUGH = 7
"""Least number of them: a week, so that days that are quiet every week are known."""

SPREADS = 5
"""Number of usual distances from the median at which a run is unusual, and of standard errors that are chance."""

_NORMAL = 1.4826  # standard deviations of a normal distribution in a median distance from its median


@dataclass(frozen=True)
class Point:
    """Value of a run, on the scale on which runs are compared.

    Attributes:
        value: finite number.
        rows: number of rows that a share is of; None if the value is no share.
        chance: distance from other runs that chance explains, as the run has few rows; known beforehand if it is no share.
        model: id of the model that decides the value; None if no model does.
    """

    value: float
    rows: int | None = None
    chance: float = 0.0
    model: str | None = None

    def chance_from(self, usual: float) -> float:
        """Return the distance from a usual value that chance explains.

        For a share, these are its standard errors. A share near 0 is that of a row or two.

        >>> round(Point(0.1, rows=1000).chance_from(0.02), 3), round(Point(0.1, rows=20).chance_from(0.02), 3)
        (0.023, 0.295)
        """
        if self.rows is None:
            return self.chance
        share = min(max(usual, 0.0), 1.0)
        return SPREADS * math.sqrt(share * (1 - share) / self.rows + 1 / self.rows**2)


@dataclass(frozen=True)
class Verdict:
    """Result of comparing a run with those before it.

    Attributes:
        usual: median of the earlier runs.
        limit: largest distance from it that is usual.
        is_unusual: whether the run is further from it, and from every usual one of the earlier runs.
    """

    usual: float
    limit: float
    is_unusual: bool


def verdicts(points: Sequence[Point | None], least: float) -> list[Verdict | None]:
    """Compare each run with those before it; None for a run without a value, or with too few runs before it.

    Runs of the same model are compared, as a new model may change every score. The first run of a model is compared
    with the runs of others.

    Args:
        points: values of all runs, in order; None for an unknown one.
        least: least distance that matters.

    >>> steady = [Point(value) for value in (9, 10, 11, 10, 9, 10, 11, 10)]
    >>> [verdict and verdict.is_unusual for verdict in verdicts([*steady, None, Point(31), Point(11)], least=1.0)]
    [None, None, None, None, None, None, None, False, None, True, False]
    """
    found: list[Verdict | None] = []
    every: list[int] = []  # places of the runs before that have a value
    of_model: dict[str | None, list[int]] = {}
    for place, point in enumerate(points):
        if point is None:
            found.append(None)
            continue
        same = of_model.setdefault(point.model, [])
        found.append(_verdict(point, [(points[other], found[other]) for other in (same or every)[-WINDOW:]], least))
        every.append(place)
        same.append(place)
    return found


def _verdict(point: Point, earlier: Sequence[tuple[Point | None, Verdict | None]], least: float) -> Verdict | None:
    """Compare a run with earlier ones and their verdicts; None if they are too few."""
    if len(earlier) < ENOUGH:
        return None
    values = [other.value for other, _ in earlier if other is not None]
    usual = statistics.median(values)
    spread = _NORMAL * statistics.median(abs(value - usual) for value in values)
    limit = max(SPREADS * spread, least, point.chance_from(usual))
    # A quiet Sunday is far from the median, but near the last one. Unusual runs excuse nothing.
    others = [other.value for other, verdict in earlier if other is not None and not is_unusual(verdict)]
    return Verdict(usual, limit, all(abs(point.value - value) > limit for value in (usual, *others)))


def is_unusual(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.is_unusual
