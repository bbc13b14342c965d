"""Records of runs for tests of histories: those of a steady job, drawn at random."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np

START = datetime(2026, 11, 28, 2, tzinfo=UTC)


def stamp(time):
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def steady(night, draw, rows=1000):
    """Return the record of a night in which nothing is unusual: counts by chance, times of a machine that others use."""
    rows = int(draw.poisson(rows))
    rejected = int(draw.binomial(rows, 0.02))
    scored = rows - rejected
    positive = int(draw.binomial(scored, float(np.clip(draw.normal(0.52, 0.01), 0, 1))))
    counts = [scored - positive] + [0] * 18 + [positive]
    seconds = float(10 * draw.lognormal(0, 0.1))
    start = START + timedelta(days=night, seconds=float(draw.uniform(0, 90)))
    return {
        "format_version": 1, "exit_code": 3, "error": None, "published": True, "started": stamp(start),
        "ended": stamp(start + timedelta(seconds=seconds)), "seconds": seconds, "task": "single_label",
        "rows_in": rows, "rows_scored": scored, "rows_rejected": rejected, "rows_rejected_by_reason": {"empty_text": rejected},
        "duplicates": int(draw.binomial(scored, 0.01)), "resumed_from_row": None, "rows_without_label": 0,
        "labels": {"negative": scored - positive, "positive": positive},
        "score_histogram": {"edges": [edge / 20 for edge in range(21)], "counts": counts, "sum": 0.9 * positive + 0.1 * (scored - positive)},
        "drift": {name: {"psi": float(0.03 * draw.lognormal(0, 0.3)), "by_chance": 0.05} for name in ("score", "tokens", "unknown")} | {"beyond": []},
        "cascade": True, "rows_decided_early": int(draw.binomial(scored, 0.6)), "cache": {"path": "c.sqlite", "problem": None},
        "rows_from_cache": int(draw.binomial(scored, 0.95)), "rows_per_second": scored / seconds,
        "forecast": {"error": float(draw.normal(0, 0.1))}, "provider": "cpu", "precision": "int8",
        "bundle": {"name": "ours", "id": "a" * 64, "path": "models/ours"}, "shard": None, "output": {"path": "scores.csv"},
        "versions": {"review-scorer": "1.0.0", "onnxruntime": "1.31.0"}, "host": {"name": "vm", "cpu_features": ["avx2"]},
        "arguments": {"threshold": None, "no-cascade": False},
    }  # fmt: skip


def nights(count, seed=0, rows=1000):
    """Return the records of a steady job."""
    draw = np.random.default_rng(seed)
    return [steady(night, draw, rows) for night in range(count)]


def write(folder, records):
    """Write records as files of a folder, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:03}.json" for number in range(1, len(records) + 1)]
    for path, record in zip(paths, records, strict=True):
        path.write_text(json.dumps(record))
    return [str(path) for path in paths]
