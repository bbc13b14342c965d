"""Findings in the history of a job: failed and unusual runs, and what changed with them, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from scorer.base.text import counted
from scorer.report.history_job import Job, Series
from scorer.report.history_rule import ENOUGH

Level = Literal["bad", "look", "change"]


@dataclass(frozen=True)
class Finding:
    """Run, or runs in a row, with something to report.

    Attributes:
        first, last: places of the runs in their job.
        runs: number of them.
        level: ``bad`` if they failed, ``look`` if they are unusual, ``change`` if only the model changed.
        reasons: sentences without a full stop.
        changes: differences from the run before the first one.
    """

    first: int
    last: int
    runs: int
    level: Level
    reasons: tuple[str, ...]
    changes: tuple[str, ...] = ()

    def words(self, job: Job) -> str:
        """Return the finding as one line."""
        when = job.span(self.first, self.last)
        several = f" ({counted(self.runs, 'run')})" if self.runs > 1 else ""
        changes = (
            [f"changed {'with it' if self.reasons else ''}".strip() + f": {', '.join(self.changes)}"]
            if self.changes
            else []
        )
        return f"{when}{several}: {'; '.join([*self.reasons, *changes])}"


def findings(job: Job) -> list[Finding]:
    """Return all findings of a job, the newest first."""
    found = [*_failures(job)]
    episodes = [(runs, series) for series in job.series for runs in _episodes(series)]
    for runs in sorted({runs for runs, _ in episodes}):
        reasons = tuple(_reason(series, runs) for one, series in episodes if one == runs)
        found.append(Finding(runs[0], runs[-1], len(runs), "look", reasons, _changes(job, runs[0])))
    explained = {finding.first for finding in found}
    models = [place for place in range(len(job.runs)) if job.is_new_model(place) and place not in explained]
    found += [Finding(place, place, 1, "change", (), _changes(job, place)) for place in models]
    return sorted(found, key=lambda finding: (finding.last, finding.first), reverse=True)


def _failures(job: Job) -> Iterator[Finding]:
    """Yield failed runs; those in a row with the same error are one finding."""
    for error, runs in groupby(range(len(job.runs)), lambda place: job.runs[place].failure):
        if error is not None:
            places = [*runs]
            yield Finding(places[0], places[-1], len(places), "bad", (f"failed: {error}",))


def _episodes(series: Series) -> Iterator[tuple[int, ...]]:
    """Yield runs in a row that are unusual in the same direction; a run without a value does not end them."""
    known = [place for place, point in enumerate(series.points) if point is not None]
    for direction, runs in groupby(known, series.direction):
        if direction:
            yield tuple(runs)


def _reason(series: Series, runs: Sequence[int]) -> str:
    """Return a measure with its unusual values and the usual one."""
    values = sorted(runs, key=lambda place: series.value(place) or 0.0)
    low, high = series.shown(values[0]), series.shown(values[-1])
    shown = low if low == high else f"{low} to {high}"
    return f"{series.measure.name} {shown}, usually {series.shown_usual(runs[0])}"


def _changes(job: Job, place: int) -> tuple[str, ...]:
    before = job.before(place)
    return () if before is None else tuple(job.runs[place].changes_since(before))


@dataclass(frozen=True)
class Newest:
    """Newest run of a job, judged.

    Attributes:
        level: ``bad`` if it failed, ``look`` if it is unusual, ``good`` if not, empty if it cannot be judged.
        words: sentence on it.
    """

    level: Literal["bad", "look", "good", ""]
    words: str


def newest(job: Job) -> Newest:
    """Judge the newest run of a job."""
    place = len(job.runs) - 1
    failure = job.runs[place].failure
    if failure is not None:
        return Newest("bad", f"The newest failed: {failure.rstrip('.')}.")
    reasons = [_reason(series, [place]) for series in job.unusual(place)]
    if reasons:
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        return Newest("look", f"The newest is unusual: {'; '.join(reasons[:3])}{more}.")
    if not job.is_judged(place):
        return Newest("", f"The newest cannot be judged yet: that takes {ENOUGH} earlier runs.")
    return Newest("good", "The newest is as usual.")


def earlier(job: Job) -> str:
    """Return a sentence on the runs before the newest; empty if none of them was unusual or failed."""
    before = range(len(job.runs) - 1)
    failed = [place for place in before if job.runs[place].failure is not None]
    unusual = [place for place in before if job.unusual(place)]
    if not failed and not unusual:
        return ""
    counts = (_unusual(len(unusual)), f"{len(failed):,} failed" if failed else "")
    words = " and ".join(filter(None, counts))
    return f"Of the {counted(len(before), 'run')} before, {words}, the last on {job.when(max(failed + unusual))}."


def _unusual(count: int) -> str:
    return f"{count:,} {'was' if count == 1 else 'were'} unusual" if count else ""
