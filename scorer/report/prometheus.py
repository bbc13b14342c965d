"""The record of a run in Prometheus' text format, for the textfile collector of node_exporter."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from scorer.base.task import MULTI_LABEL
from scorer.base.text import shown_source

_PREFIX = "review_scorer"


def prometheus(record: Mapping[str, Any], place: str) -> str:
    """Format a record as metrics; docs/RECORD.md explains every name and label.

    Every metric has the label ``run``, the file's name without its extension. A collector reads all files of a folder
    together, and no two of them may have the same metric with the same labels.

    Args:
        record: record, as `scorer.run.record.RunRecord.content` returns it.
        place: name of the metrics file.
    """
    run = {"run": shown_source(Path(place).stem)}
    lines: list[str] = []
    for name, explained, values in (*_counts(record), *_drift(record["drift"])):
        known = [(labels, value) for labels, value in values if value is not None]
        if known:
            lines += _head(name, "gauge", explained)
            lines += [_sample(name, {**run, **labels}, value) for labels, value in known]
    return "\n".join([*lines, *_histogram(record["score_histogram"], run)]) + "\n"


_Gauge = tuple[str, str, list[tuple[Mapping[str, str], float | None]]]
"""A metric's name, its description, and its values with their labels; None for an unknown value."""


def _counts(record: Mapping[str, Any]) -> Iterator[_Gauge]:
    bundle = record["bundle"] or {}
    info = {
        "bundle": bundle.get("name") or "",
        "bundle_id": bundle.get("id") or "",
        "task": record["task"] or "",
        "provider": record["provider"] or "",
        "precision": record["precision"] or "",
        "version": record["versions"]["review-scorer"],
    }
    ended = datetime.fromisoformat(record["ended"]).timestamp()
    yield "info", "Model and version that scored; always 1.", [(info, 1)]
    yield "exit_code", "Exit code of the last run; 0 and 3 published an output.", [({}, record["exit_code"])]
    yield "published", "Whether the last run published an output.", [({}, int(record["published"]))]
    yield "end_timestamp_seconds", "End of the last run, in seconds since 1970.", [({}, ended)]
    yield "duration_seconds", "Duration of the last run in seconds.", [({}, record["seconds"])]
    yield "rows_in", "Rows read.", [({}, record["rows_in"])]
    yield "rows_scored", "Rows scored.", [({}, record["rows_scored"])]
    yield "rows_rejected", "Rows rejected.", [({}, record["rows_rejected"])]
    yield "rows_rejected_by_reason", "Rows rejected, by reason.", _each("reason", record["rows_rejected_by_reason"])
    yield "rows_truncated", "Rows scored whose text was longer than the model reads.", [({}, record["rows_truncated"])]
    yield "rows_duplicate", "Rows scored that repeat the text of an earlier row.", [({}, record["duplicates"])]
    if record["task"] == MULTI_LABEL:
        yield "rows_without_label", "Rows scored that got no label.", [({}, record["rows_without_label"])]
    yield "rows_labelled", "Rows scored, by label.", _each("label", record["labels"])
    yield "rows_uncertain", "Rows scored that are uncertain.", [({}, record["rows_uncertain"])]
    yield from _doubt(record)
    yield "tokens", "Tokens given to the model, special tokens included.", [({}, record["tokens"])]
    yield "windows", "Windows of the texts that the encoder read.", [({}, record["windows"])]
    yield "rows_in_windows", "Rows whose texts it read in several windows.", [({}, record["rows_in_windows"])]
    if record["cascade"] is not None:
        yield "rows_decided_early", "Rows that the wide part alone decided.", [({}, record["rows_decided_early"])]
        yield "tokens_decided_early", "Tokens of these rows.", [({}, record["tokens_decided_early"])]
    if record["cache"] is not None:
        yield "rows_from_cache", "Rows whose result an earlier run computed.", [({}, record["rows_from_cache"])]
    yield "rows_per_second", "Rows per second.", [({}, record["rows_per_second"])]
    yield "tokens_per_second", "Tokens per second.", [({}, record["tokens_per_second"])]
    yield "phase_seconds", "Seconds by phase, summed over all threads.", _each("phase", record["seconds_by_phase"])


def _doubt(record: Mapping[str, Any]) -> Iterator[_Gauge]:
    promise, expected = record["max_error"], record["expected_accuracy"]
    if promise is not None and promise["holds"] is not None:
        yield "max_error_holds", "Whether the promise of --max-error holds.", [({}, int(promise["holds"]))]
    if expected is not None:
        yield "expected_accuracy", "Expected accuracy of labels that are not uncertain.", [({}, expected["value"])]
        yield "expected_accuracy_low", "Lower end of its 95% interval.", [({}, expected["low"])]
        yield "expected_accuracy_high", "Upper end of its 95% interval.", [({}, expected["high"])]


def _drift(found: Mapping[str, Any] | None) -> Iterator[_Gauge]:
    if found is None:
        return
    drift = {name: one for name, one in found.items() if name != "beyond"}
    psi = {name: one["psi"] for name, one in drift.items()}
    by_chance = {name: one["by_chance"] for name, one in drift.items()}
    beyond = {name: int(name in found["beyond"]) for name in drift}
    yield "drift_psi", "Population stability index against the model's test data, by measure.", _each("measure", psi)
    yield "drift_by_chance", "Largest index that chance alone explains, by measure.", _each("measure", by_chance)
    yield "drift_beyond", "Whether the index is beyond --max-drift, by measure.", _each("measure", beyond)


def _each(label: str, values: Mapping[str, float | None]) -> list[tuple[Mapping[str, str], float | None]]:
    """Return values, each with one label of the given name."""
    return [({label: name}, value) for name, value in values.items()]


def _histogram(found: Mapping[str, Any], run: Mapping[str, str]) -> Iterable[str]:
    """Yield the lines of a cumulative histogram. Prometheus counts an edge in the bin below it, we in the one above."""
    yield from _head("score", "histogram", "Scores of the rows scored.")
    total = 0
    for edge, count in zip([*found["edges"][1:-1], math.inf], found["counts"], strict=True):
        total += count
        yield _sample("score_bucket", {**run, "le": "+Inf" if edge == math.inf else repr(edge)}, total)
    yield _sample("score_sum", run, found["sum"])
    yield _sample("score_count", run, total)


def _head(name: str, kind: str, explained: str) -> list[str]:
    return [f"# HELP {_PREFIX}_{name} {explained}", f"# TYPE {_PREFIX}_{name} {kind}"]


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{_PREFIX}_{name}{{{pairs}}} {value!r}"


def _escaped(text: str) -> str:
    r"""Escape a label's value.

    >>> _escaped('a "b"\\c')
    'a \\"b\\"\\\\c'
    """
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
