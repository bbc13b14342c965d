"""Measures of a run that its history shows, each with the least change that matters."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.base.text import duration, share, shown_number
from scorer.report.history_rule import SPREADS, Point

LABEL = "label "
"""Beginning of the name of a label's measure."""

_SPREAD = 0.1  # least change of a mean, in standard deviations of the run's scores


@dataclass(frozen=True)
class Unit:
    """Unit of a measure.

    Attributes:
        name: its name in charts.js.
        shown: function that writes a value.
        is_ratio: whether values are compared by their ratio; 1 is added first, so that 0 has one.
        least, most: bounds of all values.
    """

    name: str
    shown: Callable[[float], str]
    is_ratio: bool = False
    least: float = 0.0
    most: float = math.inf

    def scaled(self, value: float) -> float:
        """Return a value on the scale on which runs are compared."""
        return math.log1p(value) if self.is_ratio else value

    def unscaled(self, value: float) -> float:
        """Return the value that `scaled` turned into this one, within the bounds.

        >>> round(COUNT.unscaled(COUNT.scaled(500))), SHARE.unscaled(1.2)
        (500, 1.0)
        """
        return min(max(math.expm1(value) if self.is_ratio else value, self.least), self.most)


COUNT = Unit("count", lambda value: f"{value:,.0f}", is_ratio=True)
SECONDS = Unit("seconds", partial(duration, tenths=True), is_ratio=True)
HOURS = Unit("hours", lambda value: f"{value / 3600:,.0f} h", is_ratio=True)
SHARE = Unit("share", share, most=1.0)
SCORES = Unit("number", lambda value: f"{value:.3f}", most=1.0)
INDEX = Unit("number", lambda value: f"{value:.3f}")
NUMBER = Unit("number", shown_number, least=-math.inf)
ERROR = Unit("share", lambda value: f"{100 * value:+,.0f}%", least=-math.inf)


@dataclass(frozen=True)
class Measure:
    """Measure of a run.

    Attributes:
        name: noun phrase, by which a run's values are found.
        unit: its unit.
        least: least change that matters: a factor if values are compared by their ratio, else a difference.
        of_model: whether the model decides it, so that only runs of the same model are compared.
    """

    name: str
    unit: Unit
    least: float
    of_model: bool = True

    @property
    def least_distance(self) -> float:
        """Least change that matters, on the scale on which runs are compared."""
        return math.log(self.least) if self.unit.is_ratio else self.least

    @property
    def least_words(self) -> str:
        """Least change that matters, for people; empty if only the runs' own spread counts.

        >>> Measure("time", SECONDS, 2).least_words, Measure("rejected", SHARE, 0.01).least_words
        ('a factor of 2', '1 percentage point')
        """
        if self.unit.is_ratio:
            return f"a factor of {self.least:g}"
        if self.unit in (SHARE, ERROR):
            points = 100 * self.least
            return f"{points:g} percentage point{'' if points == 1 else 's'}"
        return f"{self.least:g}" if self.least else "a tenth of the standard deviation of the run's scores"


ROWS = Measure("rows read", COUNT, 1.5, of_model=False)
REJECTED = Measure("rejected", SHARE, 0.01, of_model=False)
REPEATED = Measure("repeated texts", SHARE, 0.05, of_model=False)
UNLABELLED = Measure("without a label", SHARE, 0.05)
SCORE = Measure("mean score", SCORES, 0.0)
VALUE = Measure("mean value", NUMBER, 0.0)
DRIFT = {
    key: Measure(f"drift of {words}", INDEX, 0.1)
    for key, words in (("score", "scores"), ("tokens", "lengths"), ("unknown", "unknown word pieces"))
}
TIME = Measure("time", SECONDS, 2)
RATE = Measure("rows per second", COUNT, 2)
CACHED = Measure("from the cache", SHARE, 0.1)
EARLY = Measure("decided by the wide part alone", SHARE, 0.1)
FORECAST = Measure("error of the forecast", ERROR, 0.25)
PAUSE = Measure("time since the run before", HOURS, 1.5, of_model=False)

_BEFORE_LABELS = (ROWS, REJECTED, REPEATED)
_AFTER_LABELS = (UNLABELLED, SCORE, VALUE, *DRIFT.values(), TIME, RATE, CACHED, EARLY, FORECAST, PAUSE)


def label_measure(label: str) -> Measure:
    """Return the measure of a label: its share of the rows scored."""
    return Measure(f"{LABEL}{label}", SHARE, 0.05)


def measures(labels: Sequence[str] = ()) -> tuple[Measure, ...]:
    """Return all measures in the order of the page.

    Args:
        labels: labels with a measure of their own.
    """
    return (*_BEFORE_LABELS, *map(label_measure, labels), *_AFTER_LABELS)


def points_of(record: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Point]:
    """Return the values of a run that published its output, by the name of the measure.

    Args:
        record: record, as `scorer.report.history_record.record_in` returns it.
        labels: labels whose shares are measured; one that a record lacks has no rows.
    """
    bundle = record["bundle"]
    model = bundle["id"] if bundle is not None else None
    found = (*_of_run(record), *(_of_scored(record, labels) if record["rows_scored"] else ()))
    return {
        measure.name: replace(point, value=measure.unit.scaled(point.value), model=model if measure.of_model else None)
        for measure, point in found
    }


def _of_run(record: Mapping[str, Any]) -> Iterator[tuple[Measure, Point]]:
    yield ROWS, Point(record["rows_in"])
    if record["rows_in"]:
        yield REJECTED, _share(record["rows_rejected"], record["rows_in"])
    # A run that resumed another one has taken the time of its own rows, but counts all.
    if record["resumed_from_row"] is None and record["seconds"] is not None:
        yield TIME, Point(record["seconds"])
    if record["rows_per_second"] is not None:
        yield RATE, Point(record["rows_per_second"])
    if record["forecast"] is not None and record["forecast"]["error"] is not None:
        yield FORECAST, Point(record["forecast"]["error"])


def _of_scored(record: Mapping[str, Any], labels: Sequence[str]) -> Iterator[tuple[Measure, Point]]:
    is_known = bool(record["labels"] or record["rows_without_label"])  # no labels are counted for values
    counts = (
        (REPEATED, record["duplicates"]),
        *((label_measure(label), record["labels"].get(label, 0)) for label in labels if is_known),
        (UNLABELLED, record["rows_without_label"] if record["task"] == MULTI_LABEL else None),
        (CACHED, record["rows_from_cache"] if record["cache"] is not None else None),
        (EARLY, record["rows_decided_early"] if record["cascade"] else None),
    )
    yield from ((measure, _share(count, record["rows_scored"])) for measure, count in counts if count is not None)
    yield VALUE if record["task"] == REGRESSION else SCORE, _mean(record)
    for key, one in (record["drift"] or {}).items():
        if key in DRIFT and one["by_chance"] is not None:  # else there are too few rows to judge
            yield DRIFT[key], Point(one["psi"], chance=one["by_chance"])


def _share(part: int, whole: int) -> Point:
    return Point(part / whole, rows=whole)


def _mean(record: Mapping[str, Any]) -> Point:
    """Return the mean score; chance explains its standard errors, and a tenth of the scores' deviation is too little."""
    found, rows = record["score_histogram"], record["rows_scored"]
    middles = [(low + high) / 2 for low, high in pairwise(found["edges"])]
    mean = sum(count * middle for count, middle in zip(found["counts"], middles, strict=True)) / rows
    squares = ((middle - mean) * (middle - mean) for middle in middles)
    deviation = math.sqrt(sum(count * square for count, square in zip(found["counts"], squares, strict=True)) / rows)
    return Point(found["sum"] / rows, chance=deviation * max(SPREADS / math.sqrt(rows), _SPREAD))
