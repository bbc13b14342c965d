"""A run's record in Prometheus' text format, for the textfile collector of node_exporter."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from scorer.base.text import shown_source

_PREFIX = "review_scorer"


def prometheus(record: Mapping[str, Any], place: str) -> str:
    """The record as metrics; every name and label is explained in docs/RECORD.md.

    All metrics have the label ``run``, the file's name without its extension: a collector reads all files of a folder
    as one, and two files must not have the same metric with the same labels.

    Args:
        record: as `scorer.run.record.RunRecord.content` gives it.
        place: the metrics file.
    """
    run = {"run": shown_source(Path(place).stem)}
    ended = datetime.fromisoformat(record["ended"]).timestamp()
    bundle = record["bundle"] or {}
    info = {
        "bundle": bundle.get("name") or "",
        "bundle_id": bundle.get("id") or "",
        "provider": record["provider"] or "",
        "precision": record["precision"] or "",
        "version": record["versions"]["review-scorer"],
    }
    rejected = record["rows_rejected_by_reason"].items()
    gauges: list[tuple[str, str, list[tuple[Mapping[str, str], float | None]]]] = [
        ("info", "What scored; always 1.", [(info, 1)]),
        ("exit_code", "Exit code of the last run; 0 and 3 published an output.", [({}, record["exit_code"])]),
        ("published", "Whether the last run published an output.", [({}, int(record["published"]))]),
        ("end_timestamp_seconds", "When the last run ended, in seconds since 1970.", [({}, ended)]),
        ("duration_seconds", "Seconds the last run took.", [({}, record["seconds"])]),
        ("rows_in", "Rows read.", [({}, record["rows_in"])]),
        ("rows_scored", "Rows scored.", [({}, record["rows_scored"])]),
        ("rows_rejected", "Rows rejected.", [({}, record["rows_rejected"])]),
        (
            "rows_rejected_by_reason",
            "Rows rejected, by reason.",
            [({"reason": reason}, count) for reason, count in rejected],
        ),
        ("rows_truncated", "Rows whose text was longer than the model reads.", [({}, record["rows_truncated"])]),
        ("rows_duplicate", "Rows with the text of an earlier one.", [({}, record["duplicates"])]),
        (
            "rows_labelled",
            "Rows scored, by label.",
            [({"label": label}, count) for label, count in record["labels"].items()],
        ),
        ("tokens", "Tokens given to the model.", [({}, record["tokens"])]),
        ("rows_per_second", "Rows a second.", [({}, record["rows_per_second"])]),
        ("tokens_per_second", "Tokens a second.", [({}, record["tokens_per_second"])]),
        (
            "phase_seconds",
            "Seconds by phase, of all threads together.",
            [({"phase": phase}, seconds) for phase, seconds in record["seconds_by_phase"].items()],
        ),
    ]
    if record["drift"] is not None:
        drift = {name: one for name, one in record["drift"].items() if name != "beyond"}
        gauges += [
            (
                "drift_psi",
                "Population stability index against the model's test data, by measure.",
                [({"measure": name}, one["psi"]) for name, one in drift.items()],
            ),
            (
                "drift_by_chance",
                "What chance alone may make of it.",
                [({"measure": name}, one["by_chance"]) for name, one in drift.items()],
            ),
            (
                "drift_beyond",
                "Whether it is beyond --max-drift.",
                [({"measure": name}, int(name in record["drift"]["beyond"])) for name in drift],
            ),
        ]
    lines: list[str] = []
    for name, explained, values in gauges:
        known = [(labels, value) for labels, value in values if value is not None]
        if known:
            lines += _head(name, "gauge", explained)
            lines += [_sample(name, {**run, **labels}, value) for labels, value in known]
    return "\n".join([*lines, *_histogram(record["score_histogram"], run)]) + "\n"


def _histogram(found: Mapping[str, Any], run: Mapping[str, str]) -> Iterable[str]:
    """Cumulative, as Prometheus has them; an edge there belongs to the bin below it, here to the one above."""
    yield from _head("score", "histogram", "Scores of the rows scored.")
    total = 0
    for edge, count in zip([*found["edges"][1:-1], math.inf], found["counts"], strict=True):
        total += count
        yield _sample("score_bucket", {**run, "le": "+Inf" if edge == math.inf else f"{edge:g}"}, total)
    yield _sample("score_sum", run, found["sum"])
    yield _sample("score_count", run, total)


def _head(name: str, kind: str, explained: str) -> list[str]:
    return [f"# HELP {_PREFIX}_{name} {explained}", f"# TYPE {_PREFIX}_{name} {kind}"]


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{_PREFIX}_{name}{{{pairs}}} {value!r}"


def _escaped(text: str) -> str:
    r"""A label's value.

    >>> _escaped('a "b"\\c')
    'a \\"b\\"\\\\c'
    """
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
