"""A person's first hour: from one file of labelled texts to a scored file, in seconds, with the accuracy beside TF-IDF.

    pip install '.[bench]'
    python bench/first_hour.py reviews/train.parquet --encoder FOLDER --rows 100,300,1000

The labels are domains: "which department is this review for". One of them is rare. Each size is trained, trained again
from the cached vectors, and its file is scored. Prints a table, and as the last line one JSON object.
"""

import argparse
import csv
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet
from report import print_report

ROOT = Path(__file__).parent.parent

# Domains with their shares of the texts.
_SHARES = "amazon-books=0.35,amazon-electronics=0.31,amazon-kitchen=0.28,airport-seat=0.06"
_HEAD = ("rows", "train", "again", "score", "tested on", "accuracy", "95%", "cross-validated", "TF-IDF")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with the columns id, text and domain")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a frozen encoder")
    parser.add_argument("--rows", default="100,300,1000", help="sizes of the file")
    parser.add_argument("--shares", default=_SHARES, help="domains, with their shares of the rows")
    parser.add_argument("--more", type=shlex.split, default=[], help="further options of score-model train, in quotes")
    arguments = parser.parse_args()
    shares = {name: float(share) for name, share in (one.split("=") for one in arguments.shares.split(","))}
    rows = pyarrow.parquet.read_table(arguments.texts, columns=["id", "text", "domain"]).to_pylist()
    found = []
    print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}")
    for count in map(int, arguments.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            one = measured(Path(folder), drawn(rows, shares, count), arguments.encoder, arguments.more)
        found.append(one)
        print(f"| {' | '.join(cells(one))} |", flush=True)
    print_report(arguments, {"sizes": found})


def drawn(rows: list[dict], shares: dict[str, float], count: int) -> list[dict]:
    """Draw so many rows, the same share of each domain, in random order."""
    chance, found = random.Random(1), []
    for domain, share in shares.items():
        some = [row for row in rows if row["domain"] == domain]
        chance.shuffle(some)
        found += some[: round(count * share)]
    chance.shuffle(found)
    return found


def measured(folder: Path, rows: list[dict], encoder: Path, more: list[str]) -> dict:
    """Write the file, run the commands, and return their seconds and the figures of the bundle."""
    file = folder / "reviews.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("id", "text", "department"), *(row.values() for row in rows)])
    train = (
        "export", "train", "--train-file", file, "--label-column", "department", "--encoder", encoder,
        "--encoder-name", encoder.name, "--cache-dir", folder / "cache", "-q", *more,
    )  # fmt: skip
    seconds = {
        "train": run(*train, "-o", folder / "model"),
        "again": run(*train, "-o", folder / "again"),
        "score": run("scorer", file, "-o", folder / "scored.csv", "--model", folder / "model", "-q"),
    }
    metrics = json.loads((folder / "model" / "manifest.json").read_text())["metrics"]
    crossed = metrics.get("cross_validation")
    return {
        "rows": len(rows),
        "seconds": seconds,
        "test": metrics["test"],
        "baseline": metrics["baseline"],
        "cross_validated": crossed and crossed["metrics"],
    }


def run(module: str, *arguments: object) -> float:
    """Run a command of the package; return its seconds."""
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True, env=environment, stdout=sys.stderr)
    return time.monotonic() - start


def cells(one: dict) -> list[str]:
    """Return a row of the table."""
    test, crossed = one["test"], one["cross_validated"]
    low, high = test["interval"]
    return [
        f"{one['rows']:,}",
        *(f"{one['seconds'][name]:.0f} s" for name in ("train", "again", "score")),
        f"{test['texts']:,}",
        f"{test['accuracy']:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{crossed['accuracy']:.1%}" if crossed else "",
        f"{one['baseline']['accuracy']:.1%}",
    ]


if __name__ == "__main__":
    main()
