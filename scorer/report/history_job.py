"""Runs of one job over time, with the values of each measure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from scorer.base.text import first_line, shown_source
from scorer.report.history_measures import PAUSE, Measure, measures, points_of
from scorer.report.history_rule import Point, Verdict, is_unusual, verdicts

MOST_LABELS = 6
"""Largest number of labels with a measure of their own: the most frequent ones."""

# Options that decide which rows are read and what they get, or how fast.
_OPTIONS = (
    "text", "encoding", "input-format", "delimiter", "quote-char", "null", "ragged", "no-header", "skip-lines", "limit", "threshold",
    "uncertain", "max-error", "no-cascade", "threads", "batch-tokens",
)  # fmt: skip
_VERSIONS = ("review-scorer", "onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True)
class PastRun:
    """Run, as its record describes it.

    Attributes:
        path: name of the record.
        started: its start, UTC.
        record: record, as `scorer.report.history_record.record_in` returns it.
    """

    path: str
    started: datetime
    record: Mapping[str, Any]

    @property
    def failure(self) -> str | None:
        """Error of a run that published nothing; None if it published its output."""
        if self.record["published"]:
            return None
        return first_line(RuntimeError(self.record["error"] or "the record names no error"))

    @cached_property
    def setup(self) -> dict[str, str]:
        """Model, versions, options and CPU, by name; those that the record lacks are missing."""
        record = self.record
        found = {name: record[name] for name in ("provider", "precision") if record[name] is not None}
        if record["bundle"] is not None:
            found["model"] = f"{record['bundle']['name']} ({record['bundle']['id'][:8]})"
        versions, options = record["versions"] or {}, record["arguments"] or {}
        found |= {name: versions[name] for name in _VERSIONS if name in versions}
        found |= {f"--{name}": _option(options[name]) for name in _OPTIONS if name in options}
        features = (record["host"] or {}).get("cpu_features")
        return found | ({"cpu": str(features)} if features is not None else {})

    def changes_since(self, other: "PastRun") -> list[str]:
        """Describe differences between the set-ups of two runs."""
        both = [name for name in self.setup if name in other.setup and self.setup[name] != other.setup[name]]
        return [
            "another type of CPU" if name == "cpu" else f"{name} from {other.setup[name]} to {self.setup[name]}"
            for name in both
        ]


def _option(value: object) -> str:
    if value is None or value is False or value == [] or value == "":
        return "not given"
    return "given" if value is True else ",".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class Series:
    """Values of one measure in the runs of a job.

    Attributes:
        measure: measure.
        points: value of each run; None if it is unknown.
        verdicts: comparison of each run with those before it; None if it cannot be compared.
    """

    measure: Measure
    points: Sequence[Point | None]
    verdicts: Sequence[Verdict | None]

    def value(self, place: int) -> float | None:
        """Return the value of a run, in the unit of the measure."""
        point = self.points[place]
        return None if point is None else self.measure.unit.unscaled(point.value)

    def shown(self, place: int) -> str:
        """Return the value of a run for people; empty if it is unknown."""
        value = self.value(place)
        return "" if value is None else self.measure.unit.shown(value)

    def shown_usual(self, place: int) -> str:
        """Return the usual value that a run was compared with, for people."""
        verdict = self.verdicts[place]
        return "" if verdict is None else self.measure.unit.shown(self.measure.unit.unscaled(verdict.usual))

    def band(self, place: int) -> tuple[float, float] | None:
        """Return the values within the limit of the usual one; None for a run that cannot be compared."""
        verdict = self.verdicts[place]
        if verdict is None:
            return None
        unit = self.measure.unit
        return unit.unscaled(verdict.usual - verdict.limit), unit.unscaled(verdict.usual + verdict.limit)

    def direction(self, place: int) -> int:
        """Return 1 for a run that is unusually high, -1 for an unusually low one, else 0."""
        point, verdict = self.points[place], self.verdicts[place]
        if point is None or verdict is None or not verdict.is_unusual:
            return 0
        return 1 if point.value > verdict.usual else -1

    @cached_property
    def constant(self) -> str | None:
        """Value of all runs for people, if it is the same in each that has one."""
        shown = {self.shown(place) for place in range(len(self.points))} - {""}
        return shown.pop() if len(shown) == 1 else None


@dataclass(frozen=True)
class Job:
    """Runs whose records are in one folder.

    Attributes:
        name: folder of the records, and the shard if the runs have one.
        runs: runs in the order of their starts.
    """

    name: str
    runs: Sequence[PastRun]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels with a measure of their own, by name.

        The other one of two labels has the rest of the rows, so it has none.
        """
        rows: Counter[str] = Counter()
        for run in self.runs:
            rows.update(run.record["labels"])
        frequent = sorted(label for label, _ in rows.most_common(MOST_LABELS))
        tasks = {run.record["task"] for run in self.runs}
        return tuple(frequent[1:] if len(rows) == 2 and "multi_label" not in tasks else frequent)

    @cached_property
    def label_count(self) -> int:
        return len({label for run in self.runs for label in run.record["labels"]})

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """Series of each measure that any run has."""
        values = [points_of(run.record, self.labels) if run.failure is None else {} for run in self.runs]
        found = []
        for measure in measures(self.labels):
            points = self._pauses if measure is PAUSE else [one.get(measure.name) for one in values]
            if any(points):
                found.append(Series(measure, points, verdicts(points, measure.least_distance)))
        return tuple(found)

    @property
    def _pauses(self) -> list[Point | None]:
        """Time between the start of each run and that of the run before it."""
        starts = [run.started.timestamp() for run in self.runs]
        pauses = [later - before for before, later in pairwise(starts)]
        return [None, *(Point(PAUSE.unit.scaled(seconds)) for seconds in pauses)]

    def unusual(self, place: int) -> list[Series]:
        """Return the series in which a run is unusual."""
        return [series for series in self.series if is_unusual(series.verdicts[place])]

    def is_judged(self, place: int) -> bool:
        """Return whether a run is compared with others in any measure."""
        return any(series.verdicts[place] is not None for series in self.series)

    def before(self, place: int) -> PastRun | None:
        """Return the last run before another one that published its output."""
        return next((run for run in reversed(self.runs[:place]) if run.failure is None), None)

    def is_new_model(self, place: int) -> bool:
        """Return whether a run that published its output has another model than the last one before it."""
        run, before = self.runs[place], self.before(place)
        ids = [one.record["bundle"]["id"] if one.record["bundle"] else None for one in (run, before) if one is not None]
        return run.failure is None and len(ids) == 2 and None not in ids and ids[0] != ids[1]

    @cached_property
    def is_daily(self) -> bool:
        """True if no two runs started on the same day, so that a day names a run."""
        return len({run.started.date() for run in self.runs}) == len(self.runs)

    def when(self, place: int) -> str:
        """Return the start of a run, as exact as needed: ``27 December 2026, 02:00``."""
        return self.runs[place].started.strftime("%-d %B %Y" if self.is_daily else "%-d %B %Y, %H:%M")

    def span(self, first: int, last: int) -> str:
        """Return the starts of the first and the last of some runs.

        >>> runs = [PastRun("", datetime(2026, *day), {}) for day in ((11, 28), (11, 30), (12, 27))]
        >>> hours = [PastRun("", datetime(2026, 11, 28, *hour), {}) for hour in ((2,), (2, 0, 31), (14,))]
        >>> Job("", hours).span(0, 1), Job("", hours).span(0, 2)
        ('28 November 2026, 02:00', '28 November 2026, 02:00 to 14:00')
        >>> Job("", runs).span(0, 1), Job("", runs).span(0, 2), Job("", runs).span(2, 2)
        ('28 to 30 November 2026', '28 November to 27 December 2026', '27 December 2026')
        """
        if self.when(first) == self.when(last):
            return self.when(last)
        begin, end = (self.runs[place].started for place in (first, last))
        if begin.date() == end.date():
            return f"{self.when(first)} to {end.strftime('%H:%M')}"
        if not self.is_daily or begin.year != end.year:
            return f"{self.when(first)} to {self.when(last)}"
        return f"{begin.strftime('%-d' if begin.month == end.month else '%-d %B')} to {self.when(last)}"

    @property
    def shown_name(self) -> str:
        return shown_source(self.name)
