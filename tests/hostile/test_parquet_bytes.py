"""Parquet files with a few changed bytes: the fuzzer's first tries, the same in every run of the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

from factories import ROOT

TRIES = 150


def test_changed_bytes_end_in_an_exit_code_and_change_no_value(tmp_path, tally):
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz_parquet.py"), "--tries", str(TRIES), "--seconds", "3600",
         "--seed", "20261128", "--findings", tmp_path / "findings"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert (found["tried"], found["findings"]) == (TRIES, 0)
    assert run.stdout.count("exit code 4") == run.stdout.count("exit code 0") == 6  # of each writer's shape
    tally("one to three bytes of a Parquet file changed: an exit code, and no value that it does not say", TRIES, TRIES)
