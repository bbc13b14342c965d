"""Speed of the `score` command, file to file: reviews per second, share of the engine's own rate, and peak memory.

    python bench/score.py ../shared/imdb/test.parquet
    python bench/score.py ../shared/imdb/test.parquet --formats jsonl --rows 5000 --rounds 3 --cascade

Writes the texts as CSV, JSONL, gzipped JSONL and Parquet, scores each file, and checks that all give the same rows in
order. Prints a table and, as its last line, one JSON object. Each run is a process of its own; its peak memory is what
the system counted. The engine's own rate is measured in this process just before: the same rows from token ids to
logits, every one through the encoder. With --cascade each file is scored with the bundle's cascade and without, in an
order that alternates from round to round. Then the ratios of a round's two runs are printed as well.
"""

import argparse
import csv
import gzip
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet
from launch import launch_score
from report import print_report, spread

from scorer.model.loaded import LoadedModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with the columns id and text")
    parser.add_argument("--model", help="a bundle; default: the package's own")
    parser.add_argument("--rows", type=int, nargs="+", default=[2500, 25000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--formats", nargs="+", choices=list(WRITERS), default=list(WRITERS))
    parser.add_argument("--cascade", action="store_true", help="score with the cascade and without, in turn")
    arguments = parser.parse_args()
    scorer = LoadedModel(arguments.model, provider="cpu")
    table = distinct(pyarrow.parquet.read_table(arguments.texts, columns=["id", "text"]))
    runs = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(arguments.rounds):
            for rows in arguments.rows:
                # Evenly spread, so that a small sample is like a large one.
                sample = table.take(list(range(0, len(table), max(1, len(table) // rows)))[:rows])
                ways = ["--cascade", "--no-cascade"] if arguments.cascade else ["--no-cascade"]
                outputs = {way: [] for way in ways}
                own = engine_rate(scorer, sample["text"].to_pylist())
                for kind in arguments.formats:
                    source = WRITERS[kind](sample, folder)
                    for way in ways if number % 2 == 0 else ways[::-1]:
                        output = folder / f"{source.name}.out.csv"
                        found = score(source, output, arguments.model, way)
                        share = len(sample) / found["seconds"] / own
                        runs.append({"format": kind, "rows": len(sample), "way": way, **found, "of_engine": share})
                        outputs[way].append(output.read_bytes())
                        print(runs[-1], file=sys.stderr)
                for way in ways:
                    check(outputs[way], len(sample))
    medians = print_medians(runs)
    ratios = print_ratios(runs) if arguments.cascade else {}
    print_report(arguments, {"runs": runs, "medians": medians, "ratios": ratios})


def distinct(table: pyarrow.Table) -> pyarrow.Table:
    """Keep each text once: the command computes equal texts only once, but its engine alone does not."""
    first = {text: row for row, text in reversed(list(enumerate(table["text"].to_pylist())))}
    return table.take(sorted(first.values()))


def write_csv(table: pyarrow.Table, folder: Path) -> Path:
    with open(folder / "in.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    return folder / "in.csv"


def write_jsonl(table: pyarrow.Table, folder: Path) -> Path:
    with open(folder / "in.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
    return folder / "in.jsonl"


def write_gzip(table: pyarrow.Table, folder: Path) -> Path:
    data = write_jsonl(table, folder).read_bytes()
    (folder / "in.jsonl.gz").write_bytes(gzip.compress(data))
    return folder / "in.jsonl.gz"


def write_parquet(table: pyarrow.Table, folder: Path) -> Path:
    pyarrow.parquet.write_table(table, folder / "in.parquet")
    return folder / "in.parquet"


WRITERS = {"csv": write_csv, "jsonl": write_jsonl, "jsonl.gz": write_gzip, "parquet": write_parquet}


def engine_rate(scorer: LoadedModel, texts: list[str]) -> float:
    """Measure the reviews per second of the engine alone: token ids to logits, every one through the encoder."""
    rows = scorer.tokenizer.encode(texts).ids
    start = time.perf_counter()
    scorer.whole.logits(rows)
    return len(rows) / (time.perf_counter() - start)


def score(source: Path, output: Path, model: str | None, way: str) -> dict[str, float]:
    """Run the command; return wall seconds from start to exit, start-up included, and peak resident memory in MB."""
    options = [*(["--model", model] if model else []), *([way] if way == "--no-cascade" else [])]
    found = launch_score([source, "-o", output, *options])
    return {"seconds": round(found.seconds, 2), "peak_mb": round(found.peak_mb, 1)}


def check(outputs: list[bytes], rows: int) -> None:
    """Check that every format gave the same bytes, with every row once and in order."""
    if len(set(outputs)) != 1:
        raise SystemExit("two formats gave different scores")
    found = [int(line.split(b",", 1)[0]) for line in outputs[0].splitlines()[1:]]
    if found != list(range(1, rows + 1)):
        raise SystemExit("rows are missing or out of order")


def print_medians(runs: list[dict]) -> list[dict]:
    """Print the medians of each file over the rounds, and return them."""
    groups: dict[tuple[str, int, str], list[dict]] = {}
    for run in runs:
        groups.setdefault((run["format"], run["rows"], run["way"]), []).append(run)
    print(
        "| input | rows | | seconds | reviews/s | of the engine's own rate | peak memory, MB |\n|---|---|---|---|---|---|---|"
    )
    summary = []
    for (kind, rows, way), found in groups.items():
        seconds, peak, share = (
            statistics.median(run[key] for run in found) for key in ("seconds", "peak_mb", "of_engine")
        )
        rate = round(rows / seconds, 1)
        medians = {"seconds": seconds, "rate": rate, "of_engine": share, "peak_mb": peak}
        summary.append({"format": kind, "rows": rows, "way": way, **medians})
        print(f"| {kind} | {rows:,} | {way} | {seconds:.1f} | {rate:.1f} | {share:.2f} | {peak:.0f} |")
    return summary


def print_ratios(runs: list[dict]) -> dict[str, dict[str, float]]:
    """Print the speed-up by the cascade for each file, the median and range over the rounds, and return them."""
    ratios: dict[tuple[str, int], list[float]] = {}
    for one, other in zip(runs[::2], runs[1::2], strict=True):
        seconds = {run["way"]: run["seconds"] for run in (one, other)}
        key = one["format"], one["rows"]
        ratios.setdefault(key, []).append(seconds["--no-cascade"] / seconds["--cascade"])
    found = {}
    for (kind, rows), some in ratios.items():
        found[f"{kind} {rows}"] = spread(some)
        print(f"{kind}, {rows:,} rows: {statistics.median(some):.2f} times ({min(some):.2f} to {max(some):.2f})")
    return found


if __name__ == "__main__":
    main()
