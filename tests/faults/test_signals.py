"""SIGINT and SIGTERM: rows in flight are finished, what is durable is kept, and the message says how to go on."""

import re
import signal
import subprocess
import sys
import time

import pytest
from harness import ENVIRONMENT, HERE, MARKS, counted, leftovers, published, windows_done, write_input

pytestmark = MARKS


def start(*arguments, row_seconds=0.0, **options):
    """The program with an injected engine. Ctrl-C counts, also where this test runs in the background."""
    return subprocess.Popen(
        [sys.executable, HERE / "runner.py", "--once", *arguments],
        env={**ENVIRONMENT, "ROW_SECONDS": str(row_seconds)}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options,
    )  # fmt: skip


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
        process = start(*command, row_seconds=0.01)
        wait_until(lambda folder=folder: windows_done(folder / "out.csv") > 1, process)
        process.send_signal(number)
        sent = time.monotonic()
        _, err = process.communicate(timeout=30)
        slowest = max(slowest, time.monotonic() - sent)
        said = re.fullmatch(rf"\n{word}: (\d+) rows are done and kept: the same command resumes at row \d+\.\n", err)
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_stops_at_once(tmp_path, number):
    process = start(write_input(tmp_path / "in.jsonl", 150), "-o", tmp_path / "out.csv", row_seconds=60)
    wait_until(lambda: leftovers(tmp_path) != [], process)
    time.sleep(1)  # the rows in flight take a minute each
    process.send_signal(number)
    assert process.stderr is not None
    assert process.stderr.readline() == "\n"
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(timeout=5) == -number


def test_a_signal_while_waiting_for_stdin_leaves_nothing_and_says_why(tmp_path):
    process = start("-", "--input-format", "jsonl", "-o", tmp_path / "out.csv", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write('{"text": "good"}\n' * 100)
    process.stdin.flush()
    wait_until(lambda: leftovers(tmp_path) != [], process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (
        130,
        "\nInterrupted: Nothing was published. Input from a stream cannot be read again, so this run cannot be resumed.\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_signal_between_the_two_renames_does_not_stop_the_publication(tmp_path):
    source = write_input(tmp_path / "in.jsonl", 10)
    code = """
import os, signal
from scorer.publish import FileDestination
publish = FileDestination.publish

def then_a_signal(place):
    publish(place)
    if "rejects" in place.place.name:
        os.kill(os.getpid(), signal.SIGTERM)

FileDestination.publish = then_a_signal
import runner, scorer.job
scorer.job.Scorer = runner.Injected
from scorer.cli import main
main()
"""
    run = subprocess.run(
        [sys.executable, "-c", code, source, "-o", tmp_path / "out.csv"],
        env={**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{HERE}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert (tmp_path / "out.csv").exists()
    assert leftovers(tmp_path) == []


def test_no_process_is_started(tmp_path):
    process = start(write_input(tmp_path / "in.jsonl", 150), "-o", tmp_path / "out.csv", row_seconds=0.01)
    wait_until(lambda: windows_done(tmp_path / "out.csv") > 1, process)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        assert children.read() == ""
    process.kill()
    process.wait()
