"""kill -9 at any moment: the next run of the same command ends with the bytes of an undisturbed one."""

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from harness import (
    ENVIRONMENT,
    FAST,
    FORMATS,
    MARKS,
    ROOT,
    counted,
    in_parallel,
    leftovers,
    published,
    runners,
    windows_done,
    write_input,
)

pytestmark = MARKS

SLOW = {"load_seconds": 0.03, "row_seconds": 0.002}
ROWS = 120
BEFORE = "kill -9 before the first durable window: the rerun starts at row 1, same bytes"
RESUMED = "kill -9 after it, while loading, scoring or committing: the rerun says where it resumes, same bytes"
AFTER = "kill -9 after the commit point: the output is complete"


@pytest.fixture
def whole(tmp_path):
    """An undisturbed run: its input, the bytes of its files, and its seconds."""
    source = write_input(tmp_path / "in.jsonl", ROWS)
    with runners(1) as (run,):
        seconds = sorted(run(source, "-o", tmp_path / "whole.csv", engine=SLOW).seconds for _ in range(3))[1]
    return source, published(tmp_path / "whole.csv"), seconds


def resumed_at(ended):
    """Find the row at which a run reports that it resumes, or None."""
    first = ended.err.partition("\n")[0]
    return (
        int(first.removeprefix("Resuming at row ").partition(":")[0].replace(",", "")) if "Resuming" in first else None
    )


def test_kill_at_random_moments(whole, tmp_path, tally):
    source, expected, seconds = whole
    wanted = counted(300, 30)
    moments = random.Random(4)
    found = []

    def one(run, number):
        if sum(kind == RESUMED for kind, _ in found) >= wanted:
            return
        folder = tmp_path / str(number)
        folder.mkdir()
        command = (source, "-o", folder / "out.csv")
        killed = run(*command, engine=SLOW, kill_after=moments.uniform(0, 1.1 * seconds))
        if killed.code != -signal.SIGKILL:
            return  # it had ended before
        done, complete = windows_done(folder / "out.csv"), (folder / "out.csv").exists()
        if complete:
            found.append((AFTER, published(folder / "out.csv") == expected))
            return
        again = run(*command, engine=SLOW)
        held = again.code == 3 and published(folder / "out.csv") == expected and leftovers(folder) == []
        row = resumed_at(again)
        found.append((RESUMED, held and row == min(8 * done, ROWS) + 1) if done else (BEFORE, held and row is None))
        shutil.rmtree(folder)

    in_parallel(one, range(10 * wanted))
    for kind in (BEFORE, RESUMED, AFTER):
        held = [good for name, good in found if name == kind]
        if held or kind == RESUMED:
            tally(kind, len(held), sum(held))
    assert sum(kind == RESUMED for kind, _ in found) >= wanted


def test_chains_of_five_kills(whole, tmp_path, tally):
    source, expected, seconds = whole
    moments = random.Random(5)

    def chain(run, number, seconds=seconds, tries=0):
        """Kill a run five times, each time further on, then run it to the end."""
        folder = tmp_path / f"chain{number}-{tries}"
        folder.mkdir()
        command = (source, "-o", folder / "out.csv")
        done = 0
        for _ in range(5):
            while windows_done(folder / "out.csv") <= done:
                killed = run(*command, engine=SLOW, kill_after=moments.uniform(0.2, 0.6) * seconds)
                if killed.code != -signal.SIGKILL or (folder / "out.csv").exists():
                    # It ended before the fifth kill: perhaps other work slowed down the run that was timed.
                    return chain(run, number, 0.8 * seconds, tries + 1)
                seconds *= 1.05  # or slows down this one
            done = windows_done(folder / "out.csv")
        again = run(*command, engine=SLOW)
        return resumed_at(again) == min(8 * done, ROWS) + 1 and published(folder / "out.csv") == expected

    held = in_parallel(chain, range(counted(50, 4)))
    tally("five times kill -9, each a window further at least, then a run to the end: same bytes", len(held), sum(held))


def uncertain_rows(output):
    """Return options for a file of uncertain rows beside an output."""
    return "--uncertain", "0.3,0.7", "--uncertain-rows", output.with_name(f"{output.name}.doubt.csv")


def explained_rows(output):
    """Return options for a file of explained rows beside an output."""
    return "--explain", "5"


def all_published(output):
    """Read the output, the rejects and the uncertain or explained rows, None if missing."""
    names = (f"{output.name}.doubt.csv", f"{output.name}.explained{output.suffix}")
    more = [path.read_bytes() for path in map(output.with_name, names) if path.exists()]
    return (*published(output), *(more or [None]))


@pytest.mark.parametrize(
    ("name", "out", "rows", "options"),
    [
        *(
            (name, out, rows, lambda output: ())
            for name, out in FORMATS
            for rows in (counted(60, 20 if (name, out) == FORMATS[0] else 10), 0)
        ),
        (*FORMATS[0], counted(60, 20), uncertain_rows),
        ("in.jsonl", "out.parquet", counted(60, 10), explained_rows),
    ],
)
def test_kill_before_and_after_every_call(tmp_path, tally, rows, name, out, options):
    source = write_input(tmp_path / name, rows)
    whole = tmp_path / out.replace("out", "whole")
    with runners(1) as (run,):
        run(source, "-o", whole, *options(whole), engine=FAST)
    expected = all_published(whole)
    assert (expected[2] is not None) == (options in (uncertain_rows, explained_rows))

    def all_calls(run, moment):
        held = []
        for nth in range(1, 5000):
            folder = tmp_path / f"{moment}{nth}"
            folder.mkdir()
            command = (source, "-o", folder / out, *options(folder / out))
            fault = {"under": str(folder), "call": "any", "nth": nth, "kill": moment}
            if run(*command, engine=FAST, fault=fault).code != -signal.SIGKILL:
                return held
            done, complete = windows_done(folder / out), (folder / out).exists()
            intact = not complete or all_published(folder / out) == expected
            again = run(*command, engine=FAST)
            # After the commit point the same command is a new run.
            reported = complete or not done or not rows or resumed_at(again) is not None
            held.append(intact and reported and all_published(folder / out) == expected and not leftovers(folder))
        return [False]

    to = {uncertain_rows: f"{out} with --uncertain-rows", explained_rows: f"{out} with --explain"}.get(options, out)
    for moment, held in zip(("before", "after"), in_parallel(all_calls, ("before", "after")), strict=True):
        what = f"kill -9 right {moment} the Nth system call on a file of the run of {rows} rows from {source.name} to {to}, each N"
        tally(what, len(held), sum(held))


def test_kill_at_every_call_of_a_run_that_leaves_a_record(tmp_path, tally):
    """The record is complete or the old one, describes an output that exists, and is replaced by the next run's."""
    source = write_input(tmp_path / "in.jsonl", 10)

    def all_calls(run, moment):
        held = []
        for nth in range(1, 500):
            folder = tmp_path / f"{moment}{nth}"
            folder.mkdir()
            (folder / "run.json").write_text("{}")
            (folder / "run.prom").write_text("old 1\n")
            command = (
                source,
                "-o",
                folder / "out.csv",
                "--summary",
                folder / "run.json",
                "--metrics",
                folder / "run.prom",
            )
            fault = {"under": str(folder), "call": "any", "nth": nth, "kill": moment}
            killed = run(*command, engine=FAST, fault=fault).code == -signal.SIGKILL
            record, metrics = json.loads((folder / "run.json").read_text()), (folder / "run.prom").read_text()
            whole = record == {} or (record["published"] and (folder / "out.csv").exists())
            whole &= metrics == "old 1\n" or (metrics.endswith("\n") and "review_scorer_score_count" in metrics)
            if not killed:
                return held if whole and record and "old" not in metrics else [False]
            again = run(*command, engine=FAST)
            record = json.loads((folder / "run.json").read_text())
            sums = [record[key]["sha256"] for key in ("output", "rejects")]
            found = [hashlib.sha256(data).hexdigest() for data in published(folder / "out.csv")]
            held.append(whole and again.code == 3 and sums == found and not leftovers(folder))
        return [False]

    for moment, held in zip(("before", "after"), in_parallel(all_calls, ("before", "after")), strict=True):
        tally(
            f"kill -9 right {moment} the Nth system call of a run with --summary and --metrics, each N",
            len(held),
            sum(held),
        )


def test_kill_with_the_default_model(tmp_path, tally):
    """Repeat the first kills in the whole program, with the model that comes with the package."""
    source = tmp_path / "in.jsonl"
    words = [
        "the", "film", "was", "so", "good", "that", "nobody", "left", "before", "its", "dull", "and", "awful", "end", ",",
        "they", "said",
    ]  # fmt: skip
    chosen = random.Random(6)
    source.write_text(
        "".join(f'{{"text": "{" ".join(chosen.choices(words, k=chosen.randint(5, 200)))}"}}\n' for _ in range(700))
    )

    def command(folder, **options):
        arguments = [sys.executable, "-m", "scorer", source, "-o", folder / "out.csv"]
        return subprocess.Popen(arguments, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)

    start = time.monotonic()
    assert command(tmp_path).wait() == 0
    seconds = time.monotonic() - start
    expected, held = published(tmp_path / "out.csv"), []
    while len(held) < counted(12, 2):
        folder = tmp_path / f"{time.monotonic_ns()}"
        folder.mkdir()
        killed = command(folder)
        time.sleep(chosen.uniform(0.1, 0.95) * seconds)
        killed.kill()
        killed.wait()
        if not windows_done(folder / "out.csv"):
            continue
        again = command(folder)
        assert again.stderr is not None
        held.append("Resuming at row " in again.stderr.read() and again.wait() == 0)
        held[-1] &= published(folder / "out.csv") == expected
    tally("kill -9 after the first durable window, with the default model: resumed, same bytes", len(held), sum(held))
