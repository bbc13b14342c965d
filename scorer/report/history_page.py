"""The page of a history: `score-model history -o`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from scorer.base.text import counted, shown_source
from scorer.report.history import History
from scorer.report.history_findings import Finding, earlier, findings, newest
from scorer.report.history_job import Job, Series
from scorer.report.history_measures import measures
from scorer.report.history_rule import ENOUGH, SPREADS, WINDOW, is_unusual
from scorer.report.page import is_page, render

KIND = "history"

_TEMPLATE = "history.html"
_MOST_FINDINGS = 50


def is_history(stream: BinaryIO) -> bool:
    """Return whether `history_page` made a page."""
    return is_page(stream, _TEMPLATE)


def history_page(history: History) -> str:
    """Return the page of a history as HTML."""
    charts: dict[str, Any] = {}
    jobs = []
    for number, job in enumerate(history.jobs, start=1):
        jobs.append(_view(job, number))
        charts |= {chart["name"]: chart["data"] for chart in jobs[-1]["charts"]}
    return render(
        _TEMPLATE,
        charts,
        {
            "jobs": jobs,
            "status": _status(history),
            "repeated": [*map(shown_source, history.repeated)],
            "rule": {"window": WINDOW, "enough": ENOUGH, "spreads": SPREADS, "measures": measures(["…"])},
        },
    )


def _status(history: History) -> dict[str, str]:
    """Return the status of the newest runs in words, and the worst level of any."""
    levels = [newest(job).level for job in history.jobs]
    of = "" if len(levels) == 1 else f" of {counted(len(levels), 'job')}"
    words = {"bad": "failed", "look": "is unusual", "good": "is as usual", "": "cannot be judged yet"}
    worst = next(level for level in words if level in levels)
    few = f"The newest run of {levels.count(worst)}{of}" if of else "The newest run"
    return {"level": worst, "words": f"{few} {words[worst]}"}


def _view(job: Job, number: int) -> dict[str, Any]:
    shown = [series for series in job.series if series.constant is None]
    return {
        "name": job.shown_name,
        "anchor": f"job-{number}",
        "runs": counted(len(job.runs), "run"),
        "span": job.span(0, len(job.runs) - 1),
        "newest": newest(job),
        "earlier": earlier(job),
        "findings": [_finding(job, finding) for finding in findings(job)],
        "most": _MOST_FINDINGS,
        "charts": [_chart(job, series, f"job-{number}-{place}") for place, series in enumerate(shown)],
        "constant": [(series.measure.name, series.constant) for series in job.series if series.constant is not None],
        "legend": _legend(job),
        "labels": len(job.labels),
        "label_count": job.label_count,
        "columns": [_capitalized(series.measure.name) for series in shown],
        "rows": [_row(job, place, shown) for place in reversed(range(len(job.runs)))],
    }


def _legend(job: Job) -> list[tuple[str, str]]:
    """Return the kinds of marks in the charts, each with its meaning."""
    found = [("ours", "a run"), ("unusual", "an unusual run"), ("band", "usual values, by the runs before")]
    if any(map(job.is_new_model, range(len(job.runs)))):
        found.append(("model", "a new model"))
    if any(run.failure is not None for run in job.runs):
        found.append(("failed", "a failed run"))
    return found


def _finding(job: Job, finding: Finding) -> dict[str, Any]:
    return {
        "level": finding.level,
        "when": job.span(finding.first, finding.last),
        "runs": counted(finding.runs, "run") if finding.runs > 1 else "",
        "reasons": finding.reasons,
        "changes": finding.changes,
    }


def _chart(job: Job, series: Series, name: str) -> dict[str, Any]:
    """Return a chart with the newest value beside its title."""
    known = [place for place, point in enumerate(series.points) if point is not None]
    last = known[-1]
    return {
        "name": name,
        "title": _capitalized(series.measure.name),
        "value": series.shown(last),
        "usual": series.shown_usual(last),
        "is_unusual": is_unusual(series.verdicts[last]) and last == len(job.runs) - 1,
        "is_old": last != len(job.runs) - 1,
        "data": {
            "kind": "history",
            "unit": series.measure.unit.name,
            "from": _milliseconds(job, 0),
            "to": _milliseconds(job, len(job.runs) - 1),
            "runs": [_mark(job, series, place) for place in range(len(job.runs))],
            "models": [_milliseconds(job, place) for place in range(len(job.runs)) if job.is_new_model(place)],
            "failed": [_milliseconds(job, place) for place, run in enumerate(job.runs) if run.failure is not None],
        },
    }


def _capitalized(name: str) -> str:
    return f"{name[:1].upper()}{name[1:]}"


def _mark(job: Job, series: Series, place: int) -> dict[str, Any]:
    usual = series.shown_usual(place)
    low, high = series.band(place) or (None, None)
    return {
        "time": _milliseconds(job, place),
        "value": series.value(place),
        "low": low,
        "high": high,
        "unusual": is_unusual(series.verdicts[place]),
        "title": f"{job.when(place)}\n{series.shown(place)}{f', usually {usual}' if usual else ''}",
    }


def _milliseconds(job: Job, place: int) -> int:
    return round(job.runs[place].started.timestamp() * 1000)


def _row(job: Job, place: int, shown: Sequence[Series]) -> Mapping[str, Any]:
    run = job.runs[place]
    return {
        "when": run.started.strftime("%Y-%m-%d %H:%M"),
        "record": shown_source(Path(run.path).name),
        "notes": _notes(job, place),
        "is_failed": run.failure is not None,
        "cells": [(series.shown(place), is_unusual(series.verdicts[place])) for series in shown],
    }


def _notes(job: Job, place: int) -> list[str]:
    """Return what the values of a run do not show."""
    record = job.runs[place].record
    notes = []
    if record["published"] is False:
        notes.append("failed")
    elif record["error"]:
        notes.append("failed after its output was published")
    if job.is_new_model(place):
        notes.append("new model")
    if record["resumed_from_row"] is not None:
        notes.append("resumed")
    if record["cache"] is not None and record["cache"]["problem"]:
        notes.append("cache not used to the end")
    return notes
