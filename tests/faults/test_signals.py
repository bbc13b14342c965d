"""SIGINT and SIGTERM: the run stops, durable rows are kept, and the message explains how to resume."""

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ENVIRONMENT, HERE, MARKS, counted, leftovers, published, windows_done, write_input

pytestmark = MARKS


def launch(*arguments, environment=None, **options):
    """Start Python with these arguments; Ctrl-C works even if this test runs in the background."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**ENVIRONMENT, **(environment or {})}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


def start(*arguments, row_seconds=0.0, **options):
    """Start the program with an injected engine."""
    return launch(HERE / "runner.py", "--once", *arguments, environment={"ROW_SECONDS": str(row_seconds)}, **options)


def wait_until(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_the_first_signal_stops_the_run_and_keeps_what_is_done(tmp_path, tally, number, code, word):
    source = write_input(tmp_path / "in.jsonl", 150)
    assert start(source, "-o", tmp_path / "whole.csv").wait() == 3
    expected, held, slowest = published(tmp_path / "whole.csv"), [], 0.0
    for run in range(counted(25, 2)):
        folder = tmp_path / str(run)
        folder.mkdir()
        command = (source, "-o", folder / "out.csv")
        process = start(*command, row_seconds=0.05)  # the rest takes seconds, however late the signal is sent
        wait_until(lambda folder=folder: windows_done(folder / "out.csv") > 1, process)
        process.send_signal(number)
        sent = time.monotonic()
        _, err = process.communicate(timeout=30)
        slowest = max(slowest, time.monotonic() - sent)
        said = re.fullmatch(rf"\n{word}: (\d+) rows are done and kept\. The same command resumes at row \d+\.\n", err)
        held.append(process.returncode == code and said is not None and published(folder / "out.csv") == (None, None))
        again = start(*command)
        _, err = again.communicate()
        held[-1] &= said is not None and err.startswith(f"Resuming at row {int(said[1]) + 1}:")
        held[-1] &= again.returncode == 3 and published(folder / "out.csv") == expected and not leftovers(folder)
    assert slowest < 5
    tally(
        f"{signal.Signals(number).name} while scoring: exit {code} within 5 s, resumed, same bytes",
        len(held),
        sum(held),
    )


SLOW_PUBLICATION = """
import time
from scorer.storage.atomic import FileDestination
publish = FileDestination.publish

def slow(place):
    publish(place)
    if "rejects" in place.place.name:
        time.sleep({seconds})

FileDestination.publish = slow
import runner, scorer.run.score
scorer.run.score.LoadedModel = runner.Injected
from scorer.cli.score import main
main()
"""


def between_the_renames(folder, seconds):
    """Start a run that waits between publishing its rejects and its output; return its input and the process."""
    source = write_input(folder / "in.jsonl", 20)
    path = {"PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{HERE}"}
    code = SLOW_PUBLICATION.format(seconds=seconds)
    process = launch("-c", code, source, "-o", folder / "out.csv", environment=path)
    wait_until(lambda: (folder / "out.csv.rejects.jsonl").exists(), process)
    return source, process


def caught(pid, number):
    """Return whether a process has a handler of its own for a signal."""
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_run_that_the_first_one_does_not_stop(tmp_path, number):
    source, process = between_the_renames(tmp_path, 600)
    process.send_signal(number)
    wait_until(lambda: not caught(process.pid, number), process)  # the first one has arrived
    assert process.poll() is None  # it would finish the publication first
    process.send_signal(number)
    assert process.wait() == -number
    assert not (tmp_path / "out.csv").exists()
    again = start(source, "-o", tmp_path / "out.csv")
    _, err = again.communicate()
    assert err.startswith("Resuming at row 21:")


def test_a_signal_at_any_moment_of_a_run_from_stdin_leaves_nothing_and_says_why(tmp_path, tally):
    moments, held = random.Random(8), []
    for number in range(counted(50, 5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start("-", "--input-format", "jsonl", "-o", folder / "out.csv", stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write('{"text": "good"}\n' * 100)
        process.stdin.flush()
        # At any moment after its first file appears: while it starts threads, scores, or waits for more.
        wait_until(lambda folder=folder: leftovers(folder) != [], process)
        time.sleep(moments.choice([0, 0, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1]))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        said = "\nInterrupted: Nothing was published. Input from a stream cannot be read again, so this run cannot be resumed.\n"
        held.append((process.returncode, err) == (130, said) and list(folder.iterdir()) == [])
    tally("SIGINT at any moment, input from stdin: exit 130, nothing left, the message says why", len(held), sum(held))


def test_a_signal_at_any_moment_of_a_run_from_a_file(tmp_path, tally):
    source, moments, held = write_input(tmp_path / "in.jsonl", 60), random.Random(9), []
    assert start(source, "-o", tmp_path / "whole.csv").wait() == 3
    for number in range(counted(50, 5)):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(source, "-o", folder / "out.csv", row_seconds=0.002)
        wait_until(lambda folder=folder: leftovers(folder) != [], process)
        time.sleep(moments.uniform(0, 0.12))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        # A signal during or after the publication changes nothing.
        stopped = process.returncode == 143 and published(folder / "out.csv") == (None, None)
        again = start(source, "-o", folder / "out.csv")
        again.communicate()
        held.append((stopped or process.returncode == 3) and again.returncode == 3 and leftovers(folder) == [])
        held[-1] &= published(folder / "out.csv") == published(tmp_path / "whole.csv")
    tally("SIGTERM at any moment: stopped or complete; the rerun has the same bytes", len(held), sum(held))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_the_two_renames_does_not_stop_the_publication(tmp_path, number):
    _, process = between_the_renames(tmp_path, 1)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3, err
    assert (tmp_path / "out.csv").exists()
    assert leftovers(tmp_path) == []


def test_no_process_is_started(tmp_path):
    process = start(write_input(tmp_path / "in.jsonl", 15_000), "-o", tmp_path / "out.csv", row_seconds=0.01)
    wait_until(lambda: windows_done(tmp_path / "out.csv") > 1, process)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        assert children.read() == ""
    process.kill()
    process.wait()
