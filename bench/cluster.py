"""Speed of score-ray with one worker and with more, and of `score` with as many threads, in alternating rounds.

    python bench/cluster.py TEXTS.parquet --rows 3200 --parts 16 --workers 2 --rounds 3

All runs read the same parts, and each worker has one core. Seconds are those of the whole command. A run that finds
every part finished shows the start-up time of the cluster and its workers. The rows per second of `score-ray` exclude
that time; those of `score` include its start, a few tenths of a second. Prints the rates and, as its last line,
one JSON object.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet
from report import print_report

RAY = [sys.executable, "-c", "from scorer.cli.score_ray import main; main()"]
SCORE = [sys.executable, "-m", "scorer"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with the columns id and text")
    parser.add_argument("--rows", type=int, default=3200)
    parser.add_argument("--parts", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = pyarrow.parquet.read_table(arguments.texts, columns=["id", "text"])
    sample = table.take(list(range(0, len(table), max(1, len(table) // arguments.rows)))[: arguments.rows])
    counts = (1, arguments.workers)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake = folder / "lake"
        lake.mkdir()
        each = -(-len(sample) // arguments.parts)
        for part in range(arguments.parts):
            pyarrow.parquet.write_table(sample.slice(part * each, each), lake / f"part-{part:04}.parquet")
        for number in range(arguments.rounds):
            for count in counts if number % 2 else counts[::-1]:
                out = folder / f"out-{number}-{count}"
                ray = [*RAY, lake, "-o", out, "--workers", count, "--threads", 1, "-q"]
                whole, again = seconds(ray), seconds(ray)
                scored = seconds([*SCORE, lake, "-o", folder / "one.parquet", "--restart", "--threads", count, "-q"])
                for what, value in {
                    f"ray {count} start": again,
                    f"ray {count}": len(sample) / (whole - again),
                    f"score {count}": len(sample) / scored,
                }.items():
                    found.setdefault(what, []).append(value)
    medians = {what: statistics.median(values) for what, values in found.items()}
    result: dict[str, object] = {"rows": len(sample), "parts": arguments.parts, "medians": medians, "rounds": found}
    for kind in ("ray", "score"):
        one, more = (found[f"{kind} {count}"] for count in counts)
        ratios = [b / a for a, b in zip(one, more, strict=True)]
        result[f"{kind} ratio"] = statistics.median(ratios)
        print(
            f"{kind}: {medians[f'{kind} 1']:.1f} rows/s with one, {medians[f'{kind} {counts[1]}']:.1f} with {counts[1]}: "
            f"{statistics.median(ratios):.2f} times ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
        )
    print(
        f"start: {medians['ray 1 start']:.1f} s with one worker, {medians[f'ray {counts[1]} start']:.1f} s with {counts[1]}"
    )
    print_report(arguments, result)


def seconds(command: list[object]) -> float:
    start = time.monotonic()
    environment = {**os.environ, "SCORE_PROVIDER": "cpu", "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run(list(map(str, command)), env=environment, check=True)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
