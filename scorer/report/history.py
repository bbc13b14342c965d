"""Histories of jobs, read from the records of their runs: `score-model history`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scorer.base.errors import UsageError
from scorer.base.text import counted, first_few, shown_source
from scorer.report.history_findings import findings, newest
from scorer.report.history_job import Job, PastRun
from scorer.report.history_record import moment, record_in

_MOST_LINES = 20
_MOST_NAMED = 5


@dataclass(frozen=True)
class History:
    """Jobs, by name.

    Attributes:
        jobs: at least one job.
        repeated: names of records that repeat another one.
    """

    jobs: Sequence[Job]
    repeated: Sequence[str]

    @property
    def needs_a_look(self) -> bool:
        """True if the newest run of any job is unusual or failed."""
        return any(newest(job).level in ("look", "bad") for job in self.jobs)


def history_of(paths: Sequence[str]) -> History:
    """Read records, and put the runs of each job in the order of their starts.

    Records in one folder are of one job; runs of different shards are different jobs. A record that repeats another one
    counts once.

    Args:
        paths: names or addresses of the records.

    Raises:
        UsageError: any file is something else; the message names the first of them.
    """
    jobs: dict[str, dict[Any, PastRun]] = {}
    repeated = []
    for path, record in _records(paths):
        run = PastRun(path, moment(record["started"]), record)
        same = (record["started"], record["ended"], (record["output"] or {}).get("path"), record["rows_in"])
        if jobs.setdefault(_job_name(path, record["shard"]), {}).setdefault(same, run) is not run:
            repeated.append(path)
    found = [Job(name, sorted(runs.values(), key=_order)) for name, runs in sorted(jobs.items())]
    return History(found, repeated)


def _records(paths: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield names and records; raise `UsageError` at the end if any file was something else."""
    problems = []
    for path in paths:
        try:
            yield path, record_in(path)
        except UsageError as error:
            problems.append(str(error))
    if problems:
        advice = "Name only JSON files that `score --summary` wrote in runs."
        more = f"\nand {len(problems) - _MOST_NAMED:,} more" if len(problems) > _MOST_NAMED else ""
        raise UsageError("\n".join(problems[:_MOST_NAMED]) + f"{more}\n{advice}")


def _job_name(path: str, shard: dict[str, int] | None) -> str:
    folder = os.path.dirname(path) or "."
    return folder if shard is None else f"{folder}, shard {shard['index']} of {shard['count']}"


def _order(run: PastRun) -> tuple[Any, ...]:
    return run.started, run.path


def lines(history: History) -> Iterator[str]:
    """Yield the lines that describe a history: for each job its newest run, then its findings."""
    if history.repeated:
        names = first_few(history.repeated, _MOST_NAMED, shown_source)
        yield f"{counted(len(history.repeated), 'record')} of a run that another one describes, counted once: {names}"
    for job in history.jobs:
        name = f"{job.shown_name}: " if len(history.jobs) > 1 else ""
        yield f"{name}{counted(len(job.runs), 'run')}, {job.span(0, len(job.runs) - 1)}. {newest(job).words}"
        found = findings(job)
        yield from (f"  {finding.words(job)}" for finding in found[:_MOST_LINES])
        if len(found) > _MOST_LINES:
            yield f"  and {len(found) - _MOST_LINES:,} earlier findings; the page of --output marks every run"
