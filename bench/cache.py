"""Cache: a night of which 1% changed, a night without changes, and a night of new texts only, with `--cache` and without.

    python bench/cache.py imdb/train.parquet imdb/test.parquet
    python bench/cache.py imdb/train.parquet imdb/test.parquet --rows 3000 --new-rows 500 --rounds 1
    python bench/cache.py imdb/train.parquet imdb/test.parquet --base base.jsonl --filled base.sqlite --full-rows 10000

The texts are film reviews recombined, the first half of one and the second half of another. Last night's file has --rows of
them, and a run with `--no-cascade` fills the cache. Tonight's file has other texts in 1% of its rows. A full run without the
cache computes it, or the first --full-rows of it. Its bytes are compared with those of the runs with the cache, each of which
begins with the cache of last night. New texts are scored with the bundle's cascade, which makes the cache's share of the time
largest. Runs with a new cache and without one alternate. --base and --filled reuse the file and the cache of an earlier night.
Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow.parquet
from launch import Launched, launch_score
from report import print_message, print_report, spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, nargs="+", help="Parquet files with a column text")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a night")
    parser.add_argument("--changed", type=float, default=0.01, help="share of rows that are new tonight")
    parser.add_argument("--full-rows", type=int, help="rows of the full run; default: all")
    parser.add_argument("--new-rows", type=int, default=2000, help="rows of the night of new texts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--base", type=Path, help="last night's file, JSONL")
    parser.add_argument("--filled", type=Path, help="cache that a run over --base with --no-cascade filled")
    parser.add_argument("--folder", type=Path, help="folder for all files; default: the system's temporary folder")
    arguments = parser.parse_args()
    if arguments.filled and not arguments.base:
        parser.error("--filled needs --base, the file whose texts it has")
    texts = [text for path in arguments.texts for text in pyarrow.parquet.read_table(path)["text"].to_pylist()]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        nights = prepared(texts, arguments, Path(name))
        found = {"changed": changed_night(nights, arguments), "new": new_night(texts, arguments, Path(name))}
    report(found)
    print_report(arguments, found)


@dataclass(frozen=True)
class Nights:
    """Files of two nights.

    Attributes:
        folder: folder for outputs.
        last, tonight: input files.
        changed: numbers of the rows that differ, from 1.
        filled: cache as the last night left it.
    """

    folder: Path
    last: Path
    tonight: Path
    changed: frozenset[int]
    filled: Path


def recombined(texts: list[str], seed: int) -> Iterator[str]:
    """Yield texts of the first half of one text and the second half of another, without end."""
    draw = random.Random(seed)
    while True:
        (first, _), (_, second) = halves(draw.choice(texts)), halves(draw.choice(texts))
        yield f"{first}. {second}"


def halves(text: str) -> tuple[str, str]:
    """Return the sentences of a text in two halves; the second is the whole text if there is one sentence.

    >>> halves("One. Two. Three"), halves("One")
    (('One. Two', 'Three'), ('One', 'One'))
    """
    sentences = text.split(". ")
    middle = (len(sentences) + 1) // 2
    return ". ".join(sentences[:middle]), ". ".join(sentences[middle:]) or text


def prepared(texts: list[str], arguments: argparse.Namespace, folder: Path) -> Nights:
    """Write the files of both nights, and fill the cache."""
    last = arguments.base or written(folder / "last.jsonl", islice(recombined(texts, 1), arguments.rows))
    lines = last.read_text().splitlines(keepends=True)
    count = max(1, round(arguments.changed * len(lines)))
    changed = sorted(random.Random(2).sample(range(len(lines)), count))
    for row, text in zip(changed, recombined(texts, 3), strict=False):
        lines[row] = json.dumps({"id": f"r{row}", "text": text}) + "\n"
    tonight = folder / "tonight.jsonl"
    tonight.write_text("".join(lines))
    filled = arguments.filled
    if filled is None:
        filled = folder / "filled.sqlite"
        print_message(
            f"filling the cache: {launch_score([last, '-o', folder / 'last.csv', *full(), '--cache', filled])}"
        )
    return Nights(folder, last, tonight, frozenset(row + 1 for row in changed), filled)


def written(path: Path, texts: Iterator[str]) -> Path:
    path.write_text("".join(json.dumps({"id": f"r{row}", "text": text}) + "\n" for row, text in enumerate(texts)))
    return path


def full() -> list[str]:
    return ["--no-cascade"]


def changed_night(nights: Nights, arguments: argparse.Namespace) -> dict:
    """Measure tonight's file and last night's with the cache, and tonight's without."""
    folder = nights.folder
    rows = sum(1 for _ in nights.tonight.open("rb"))
    limit = min(arguments.full_rows or rows, rows)
    without = launch_score([nights.tonight, "-o", folder / "full.csv", *full(), "--limit", limit])
    print_message(f"full run of {limit:,} rows: {without}")
    expected = (folder / "full.csv").read_bytes().splitlines()
    tonight, unchanged = [], []
    for number in range(arguments.rounds):
        tonight.append(cached(nights, nights.tonight, "tonight.csv"))
        unchanged.append(cached(nights, nights.last, "unchanged.csv"))
        print_message(f"round {number + 1}: {tonight[-1]}, unchanged {unchanged[-1]}")
        lines = (folder / "tonight.csv").read_bytes().splitlines()
        if lines[: len(expected)] != expected or len(lines) != rows + 1:
            raise SystemExit("the run with the cache gave other bytes than the run without it")
        again = (folder / "unchanged.csv").read_bytes().splitlines()
        if [one for row, one in enumerate(again) if row not in nights.changed] != [
            one for row, one in enumerate(lines) if row not in nights.changed
        ]:
            raise SystemExit("a row that did not change has another score")
    rate = limit / without.seconds
    return {
        "rows": rows,
        "changed": len(nights.changed),
        "full_rows": limit,
        "full": rate,
        "tonight": spread([rows / one.seconds for one in tonight]),
        "times_as_fast": spread([rows / one.seconds / rate for one in tonight]),
        "unchanged": spread([rows / one.seconds for one in unchanged]),
        "unchanged_cpu_s": spread([one.cpu_seconds for one in unchanged]),
        "unchanged_peak_mb": spread([one.peak_mb for one in unchanged]),
        "cache_mb": nights.filled.stat().st_size / 1e6,
        "bytes": "equal",
    }


def cached(nights: Nights, source: Path, output: str) -> Launched:
    """Run with a copy of last night's cache, and check that no unchanged row was computed."""
    cache, summary = nights.folder / "copy.sqlite", nights.folder / "run.json"
    for suffix in ("", "-wal"):
        Path(f"{cache}{suffix}").unlink(missing_ok=True)
        if Path(f"{nights.filled}{suffix}").exists():
            shutil.copy(f"{nights.filled}{suffix}", f"{cache}{suffix}")
    arguments = [source, "-o", nights.folder / output, *full(), "--cache", cache, "--summary", summary]
    found = launch_score(arguments)
    counts = json.loads(summary.read_text())
    new = len(nights.changed) if source == nights.tonight else 0
    if counts["rows_from_cache"] < counts["rows_in"] - new:
        raise SystemExit(f"{counts['rows_from_cache']:,} of {counts['rows_in']:,} rows came from the cache")
    return found


def new_night(texts: list[str], arguments: argparse.Namespace, folder: Path) -> dict:
    """Measure a file of new texts with a new cache and without."""
    source = written(folder / "new.jsonl", islice(recombined(texts, 4), arguments.new_rows))
    cache = folder / "new.sqlite"
    runs: dict[bool, list[Launched]] = {True: [], False: []}
    for number in range(arguments.rounds):
        for with_cache in (True, False) if number % 2 else (False, True):
            cache.unlink(missing_ok=True)
            output = folder / f"new-{with_cache}.csv"
            runs[with_cache].append(launch_score([source, "-o", output, *(["--cache", cache] if with_cache else [])]))
            print_message(f"new texts, {'with' if with_cache else 'without'} the cache: {runs[with_cache][-1]}")
        if (folder / "new-True.csv").read_bytes() != (folder / "new-False.csv").read_bytes():
            raise SystemExit("the run with the cache gave other bytes than the run without it")
    pairs = list(zip(runs[True], runs[False], strict=True))
    return {
        "rows": arguments.new_rows,
        "with": spread([arguments.new_rows / one.seconds for one in runs[True]]),
        "without": spread([arguments.new_rows / one.seconds for one in runs[False]]),
        "cost": spread([one.seconds / other.seconds - 1 for one, other in pairs]),
        "cost_cpu": spread([one.cpu_seconds / other.cpu_seconds - 1 for one, other in pairs]),
    }


def report(found: dict) -> None:
    changed, new = found["changed"], found["new"]
    print("| night | rows | | rows/s, median (range) |\n|---|---|---|---|")
    first = f"{changed['changed']:,} of {changed['rows']:,} rows changed"
    print(f"| {first} | {changed['full_rows']:,} | without the cache | {changed['full']:,.0f} |")
    for what, key in (("with the cache", "tonight"), ("nothing changed, with the cache", "unchanged")):
        print(f"| {first if key == 'tonight' else ''} | {changed['rows']:,} | {what} | {shown(changed[key])} |")
    for key in ("without", "with"):
        print(f"| only new texts, with the cascade | {new['rows']:,} | {key} the cache | {shown(new[key])} |")
    times = changed["times_as_fast"]["median"]
    cost, cpu = new["cost"]["median"], new["cost_cpu"]["median"]
    print(f"\nA changed night is {times:.0f} times as fast as a full run, with equal bytes.")
    print(f"New texts take {cost:+.1%} of the time with the cache, and {cpu:+.1%} of the processor's.")


def shown(rates: dict[str, float]) -> str:
    return f"{rates['median']:,.0f} ({rates['least']:,.0f} to {rates['most']:,.0f})"


if __name__ == "__main__":
    main()
