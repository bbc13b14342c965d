"""Forecast and fact: `score --plan` before `score`, for ten kinds of files.

    python bench/forecast.py imdb/test.parquet
    python bench/forecast.py imdb/test.parquet --only tiny,long --size 0.5

Each kind is a file of texts made of reviews, large enough that a run takes a quarter of a minute on two cores. The plan comes first,
and the run, with its --forecast, right after it. The error is the share of the run's seconds by which the forecast was too
long; negative if it was too short. `counts` is the largest error of the other figures that the record of the run has.
`outside` names the figures whose fact is outside of their range. The last line of the output is one JSON object.
"""

import argparse
import gzip
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from report import print_message, print_report

AIM = 0.15
"""Largest error of a forecast on a quiet machine."""

COUNTS = (
    "rows_in", "rows_rejected", "duplicates", "rows_from_cache", "rows_truncated", "tokens", "rows_decided_early", "tokens_decided_early",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """Kind of a file.

    Attributes:
        name: name in the table.
        rows: number of rows at size 1.
        extension: extension of the file.
        options: options of the plan and the run.
        is_cached: whether a run over half of the rows has filled a cache.
    """

    name: str
    rows: int
    extension: str = "jsonl"
    options: tuple[str, ...] = ()
    is_cached: bool = False


KINDS = (
    Kind("short", 7_000),
    Kind("long", 1_600),
    Kind("duplicates", 8_000, "csv"),
    Kind("half cached", 6_000, is_cached=True),
    Kind("gz", 3_000, "jsonl.gz"),
    Kind("Parquet", 3_000, "parquet"),
    Kind("rejects", 3_500),
    Kind("no cascade", 1_000, options=("--no-cascade",)),
    Kind("other precision", 1_000),
    Kind("tiny", 12_000),
)


def texts_of(kind: Kind, reviews: Sequence[str], rows: int, draw: random.Random) -> list[str]:
    """Make the texts of a kind."""
    some = [draw.choice(reviews) for _ in range(rows)]
    if kind.name == "short":
        return [f"{' '.join(text.split()[:20])} {number}" for number, text in enumerate(some)]
    if kind.name == "tiny":
        return [f"{' '.join(text.split()[:2])} {number}" for number, text in enumerate(some)]
    if kind.name == "long":
        return [f"{text} {draw.choice(reviews)} {draw.choice(reviews)}" for text in some]
    if kind.name == "duplicates":
        few = draw.sample(reviews, min(len(reviews), rows // 3))
        return [draw.choice(few) for _ in range(rows)]
    return draw.sample(reviews, rows) if rows <= len(reviews) else some


def write(path: Path, kind: Kind, texts: Sequence[str]) -> None:
    """Write a file of a kind; every tenth record of those with rejects has no text."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=500)
        return
    if path.suffix == ".csv":
        data = "text\n" + "".join('"' + text.replace('"', '""') + '"\n' for text in texts)
    else:
        records = [{"text": text} for text in texts]
        if kind.name == "rejects":
            records = [{} if number % 10 == 9 else record for number, record in enumerate(records)]
        data = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(data.encode()) if path.suffix == ".gz" else data.encode())


def score(*arguments: str | Path) -> None:
    """Run `score` in a process of its own; rejects are no failure."""
    command = [sys.executable, "-m", "scorer", *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def compared(kind: Kind, reviews: Sequence[str], folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Plan and run one kind of file."""
    rows = max(20, round(kind.rows * arguments.size))
    texts = texts_of(kind, reviews, rows, random.Random(1))
    source, output = folder / f"in.{kind.extension}", folder / "out.csv"
    plan, record = folder / "plan.json", folder / "run.json"
    write(source, kind, texts)
    options = [*kind.options, *(["--model", str(arguments.model)] if arguments.model else [])]
    if kind.name == "other precision":
        options += ["--precision", arguments.precision]
    if kind.is_cached:
        options += ["--cache", str(folder / "scores.sqlite")]
        write(folder / "before.jsonl", kind, texts[::2])
        score(folder / "before.jsonl", "-o", folder / "before.csv", *options)
    score(source, "-o", output, "--plan", "--summary", plan, *options)
    score(source, "-o", output, "--forecast", plan, "--summary", record, *options)
    planned, found = (json.loads(path.read_text()) for path in (plan, record))
    errors, outside = {}, []
    for name in COUNTS:
        figure, fact = planned["forecast"][name], found[name]
        if figure is None:
            continue
        errors[name] = abs(figure["value"] - fact) / fact if fact else float(figure["value"] > 0)
        if not figure["low"] <= fact <= figure["high"]:
            outside.append(name)
    seconds = planned["forecast"]["seconds"]
    if not seconds["low"] <= found["seconds"] <= seconds["high"]:
        outside.append("seconds")
    return {
        "rows": found["rows_in"],
        "forecast": seconds,
        "seconds": found["seconds"],
        "error": found["forecast"]["error"],
        "plan_seconds": planned["seconds"],
        "counts": max(errors.values()),
        "outside": outside,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with a column text")
    parser.add_argument("--size", type=float, default=1.0, help="factor for the number of rows")
    parser.add_argument("--only", help="names of kinds, separated by commas")
    parser.add_argument("--model", type=Path, help="bundle; default: the one of the package")
    parser.add_argument("--precision", default="fp16", help="precision of the kind `other precision`")
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else [kind.name for kind in KINDS]
    reviews = pyarrow.parquet.read_table(arguments.texts, columns=["text"])["text"].to_pylist()
    found = {}
    print(
        "| kind | rows | forecast, s | range | run, s | error | counts | outside | plan, s |\n|---|---|---|---|---|---|---|---|---|"
    )
    for kind in KINDS:
        if kind.name not in only:
            continue
        print_message(kind.name)
        with tempfile.TemporaryDirectory() as folder:
            one = found[kind.name] = compared(kind, reviews, Path(folder), arguments)
        value, low, high = (one["forecast"][name] for name in ("value", "low", "high"))
        print(
            f"| {kind.name} | {one['rows']:,} | {value:.1f} | {low:.1f} to {high:.1f} | {one['seconds']:.1f} | {one['error']:+.1%} | "
            f"{one['counts']:.1%} | {', '.join(one['outside'])} | {one['plan_seconds']:.1f} |",
            flush=True,
        )
    errors = [abs(one["error"]) for one in found.values()]
    print(f"median error {statistics.median(errors):.1%}, largest {max(errors):.1%}; aim {AIM:.0%}")
    print_report(arguments, {"kinds": found})


if __name__ == "__main__":
    main()
