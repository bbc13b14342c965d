"""Cost of making finished rows durable: `score` with its journal and without, in alternating rounds.

    python bench/journal.py TEXTS.parquet --rows 1024 --rounds 5

Prints the medians and, as its last line, one JSON object. `share` is the part of a run's time that goes to commits.
The engine computes meanwhile, so a run loses less than that. `ratio` compares whole runs, from file to file.
"""

import argparse
import json
import statistics
import tempfile
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pyarrow.parquet
from report import print_report

from scorer.cli.program import run_command
from scorer.cli.score import command
from scorer.run.checkpoint import Work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a Parquet file with the columns id and text")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="folder for all files; default: the system's temporary folder")
    arguments = parser.parse_args()
    table = pyarrow.parquet.read_table(arguments.texts, columns=["id", "text"])
    sample = table.take(list(range(0, len(table), max(1, len(table) // arguments.rows)))[: arguments.rows])
    found: dict[str, list[float]] = {"with": [], "without": [], "commits": [], "each_ms": []}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        source = Path(name) / "in.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in sample.to_pylist()))
        for number in range(arguments.rounds):
            for journaled in (True, False) if number % 2 else (False, True):
                seconds, commits = run(source, journaled=journaled)
                found["with" if journaled else "without"].append(seconds)
                if journaled:
                    found["commits"].append(sum(commits) / seconds)
                    found["each_ms"].append(1000 * statistics.median(commits))
    medians = {name: statistics.median(values) for name, values in found.items()}
    ratios = [a / b for a, b in zip(found["with"], found["without"], strict=True)]
    print(f"{len(sample)} rows: {medians['with']:.2f} s with the journal, {medians['without']:.2f} s without")
    print(f"commits: {medians['each_ms']:.2f} ms each, {medians['commits']:.3%} of the run")
    result = {"rows": len(sample), "share": medians["commits"], "ratio": statistics.median(ratios), "rounds": found}
    print_report(arguments, result)


def run(source: Path, *, journaled: bool) -> tuple[float, list[float]]:
    """Measure the seconds of a run from its first row to its publication, and of each of its commits."""
    commit, commits = Work.commit, []

    def timed(work: Work, summary: object, *, complete: bool = False) -> None:
        start = time.perf_counter()
        if journaled:
            commit(work, summary, complete=complete)
        commits.append(time.perf_counter() - start)

    begun: list[float] = []
    begin = Work.begin
    Work.commit = timed
    Work.begin = lambda *a, **k: (begin(*a, **k), begun.append(time.perf_counter()))[0]
    try:
        with redirect_stderr(StringIO()):
            output = source.with_name("out.csv")
            code = run_command(command, [str(source), "-o", str(output), "-q"], name="score", interrupted="")
        if code:
            raise SystemExit(f"score ended with exit code {code}")
        return time.perf_counter() - begun[0], commits
    finally:
        Work.commit, Work.begin = commit, begin


if __name__ == "__main__":
    main()
