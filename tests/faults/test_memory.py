"""Memory does not grow with the number of rows."""

import json
import random
import subprocess
import sys

from conftest import BAD, FILLER, GOOD
from harness import ENVIRONMENT, MARKS, ROOT, counted

pytestmark = MARKS


# What the system counts from exec on; a child's ru_maxrss begins with what its parent had.
MEASURED = """
import atexit, re, sys
from pathlib import Path
found = lambda: re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(found(), file=sys.stderr))
from scorer.cli import main
main()
"""


def peak(bundle, source, output):
    """Peak memory of a run of the tiny model, in MB."""
    arguments = [sys.executable, "-c", MEASURED, source, "-o", output, "--model", bundle.path, "-q"]
    run = subprocess.run(arguments, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(run.stderr) / 1024


def test_peak_memory_for_many_rows_is_that_for_some(bundle, tmp_path, tally):
    words, chosen = [*GOOD, *BAD, *FILLER], random.Random(7)
    few, many = counted(10_000, 10_000), counted(1_000_000, 60_000)
    for rows in (few, many):
        with open(tmp_path / f"{rows}.jsonl", "w") as file:
            for row in range(rows):
                text = " ".join(chosen.choices(words, k=15))
                file.write(json.dumps({"id": row, "text": text}) + "\n")
    used = {rows: peak(bundle, tmp_path / f"{rows}.jsonl", tmp_path / "out.csv") for rows in (few, many)}
    share = used[many] / used[few]
    what = f"peak memory for {many:,} rows within 10% of that for {few:,} ({used[many]:.0f} and {used[few]:.0f} MB)"
    tally(what, 1, int(share <= 1.1))
