"""Calls that fail, a disk that fills up, two runs at once: the destination is absent, old, or complete."""

import errno
import io
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import (
    FAST,
    FORMATS,
    FULL,
    MARKS,
    counted,
    in_parallel,
    leftovers,
    published,
    runners,
    windows_done,
    write_input,
)
from runner import CALLS

pytestmark = MARKS

# Calls tried with the other formats; all of them with FAULTS=full.
SAMPLE = ("read", "write", "fsync", "replace", "open")
OLD = (b"old output", b'{"row":1,"source":"old"}\n')


@pytest.fixture
def whole(tmp_path, name, out):
    source = write_input(tmp_path / name, counted(60, 20 if (name, out) == FORMATS[0] else 12), width=4000)
    with runners(1) as (run,):
        run(source, "-o", tmp_path / f"whole-{out}", engine=FAST)
    return source, published(tmp_path / f"whole-{out}")


def prepare(state, output, source, run):
    """Make a folder with nothing, an old output or an interrupted run; return the files that must stay intact."""
    output.parent.mkdir()
    if state == "an old output":
        output.write_bytes(OLD[0])
        output.with_name(f"{output.name}.rejects.jsonl").write_bytes(OLD[1])
    elif state == "an interrupted run":
        fault = {"under": str(output.parent), "call": "fsync", "nth": 9, "kill": "after"}
        run(source, "-o", output, engine=FAST, fault=fault)
        assert windows_done(output) >= 1
    return published(output)


@pytest.mark.parametrize(
    ("name", "out", "call", "forever"),
    [
        pytest.param(*formats, call, forever, id=f"{'-'.join(formats)}-{call}-{'forever' if forever else 'once'}")
        for formats in FORMATS
        for call in CALLS
        for forever in (False, True)
        if FULL or formats == FORMATS[0] or (not forever and call in SAMPLE)
    ],
)
def test_every_call_fails(whole, tmp_path, tally, call, forever, name, out):
    source, expected = whole
    number = errno.ENOSPC if call == "write" else errno.EIO

    def all_nth(run, state):
        """Let the Nth call fail, for N = 1, 2, ... until the run makes no Nth call."""
        held = []
        for nth in range(1, 2000):
            folder = tmp_path / f"{state}{nth}"
            before = prepare(state, folder / out, source, run)
            earlier = windows_done(folder / out)
            command = (source, "-o", folder / out)
            # The input is outside the folder of the output.
            under = str(tmp_path) if call == "read" else str(folder)
            fault = {"under": under, "call": call, "nth": nth, "forever": forever, "error": number}
            broken = run(*command, engine=FAST, fault=fault)
            output, rejects = published(folder / out)
            if broken.calls < nth:
                return [*held, (broken.code, output, rejects) == (3, *expected)]
            done = windows_done(folder / out)
            again = run(*command, engine=FAST)
            told = broken.code == 1 and "Error: " in broken.err and os_message(number) in broken.err
            # Only the deletion of the journal, after the publication, may fail unnoticed.
            told |= broken.code == 3 and call == "unlink" and output == expected[0]
            # Absent, old or complete, and never complete beside the rejects of another run.
            intact = output in (before[0], expected[0]) and rejects in (before[1], expected[1])
            intact &= output != expected[0] or rejects == expected[1]
            # Durable windows are not lost.
            kept = output == expected[0] or (done >= earlier and again.err.startswith("Resuming ") == (done > 0))
            mended = again.code == 3 and published(folder / out) == expected and not leftovers(folder)
            held.append(told and intact and kept and mended)
        return [False]

    states = ["nothing", "an old output", "an interrupted run"]
    held = [good for found in in_parallel(all_nth, states) for good in found]
    how = "fails, and all later ones" if forever else "fails once"
    tally(
        f"the Nth {call} {how}, each N, {name} to {out}: absent, old or complete; then mended, same bytes",
        len(held),
        sum(held),
    )


def os_message(number):
    return {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error"}[number]


def test_every_read_of_the_bundle_fails(score, tmp_path, monkeypatch, tally):
    source = write_input(tmp_path / "in.jsonl", 20)
    left, held = [0], []

    class Failing(io.FileIO):
        def read(self, size=-1):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    monkeypatch.setattr("scorer.model.bundle.open", Failing, raising=False)
    while True:
        left[0] = len(held) + 1
        result = score(source, "-o", tmp_path / "out.csv")
        if result.code == 3:
            break
        held.append(result.code == 5 and "Input/output error" in result.err and not (tmp_path / "out.csv").exists())
        held[-1] &= leftovers(tmp_path) == []
    tally("the Nth read of the bundle fails, each N: exit 5, nothing left behind", len(held), sum(held))


@pytest.mark.parametrize("share", [0.10, 0.50, 0.99])
def test_disk_full(tmp_path, tally, share):
    source = write_input(tmp_path / "in.jsonl", 2000, width=300)
    options = ("--keep", "*", "--max-rejects", "100000")
    with runners(1) as (run,):
        run(source, "-o", tmp_path / "whole.csv", *options, engine={"window": 50})
    expected = published(tmp_path / "whole.csv")
    size = int(len(expected[0]) * share)

    def one(run, how):
        folder = tmp_path / f"full{how}"
        folder.mkdir()
        mounted = how == "tmpfs" and mount(folder, size)
        if how == "tmpfs" and not mounted:
            return None
        try:
            command = (source, "-o", folder / "out.csv", *options)
            request = {} if mounted else {"limit": size}
            full = run(*command, engine={"window": 50}, **request)
            message = "No space left on device" if mounted else "File too large"
            held = full.code == 1 and message in full.err and "rows are done and kept" in full.err
            held &= published(folder / "out.csv") == (None, None)
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=100m", folder], check=True)
            again = run(*command, engine={"window": 50})
            return held and again.err.startswith("Resuming at row ") and published(folder / "out.csv") == expected
        finally:
            if mounted:
                subprocess.run(["umount", folder], check=True)

    held = [good for good in in_parallel(one, ["limit", "tmpfs"]) if good is not None]
    tally(
        f"disk full at {share:.0%} of the output: exit 1, rows kept, resumed when there is room", len(held), sum(held)
    )


def mount(folder, size):
    """Mount a file system of that many bytes; return False if this user may not."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_two_runs_at_once(tmp_path, tally):
    source, held, refused = write_input(tmp_path / "in.jsonl", 60), [], 0
    with runners(2) as (first, second), ThreadPoolExecutor(2) as pool:
        whole = tmp_path / "whole"
        whole.mkdir()
        fault = {"under": str(whole), "call": "any", "nth": 0}
        calls = first(source, "-o", whole / "out.csv", engine=FAST, fault=fault).calls
        expected, tries = published(whole / "out.csv"), counted(100, 10)
        assert calls > 20
        for number in range(tries):
            folder, paused = tmp_path / f"pair{number}", tmp_path / f"paused{number}"
            folder.mkdir()
            # The second run begins at any call of the first, publication included, and the last one after its end.
            fault = {
                "under": str(folder),
                "call": "any",
                "nth": 1 + number * calls // (tries - 1),
                "pause": str(paused),
            }
            both = [pool.submit(first, source, "-o", folder / "out.csv", engine=FAST, fault=fault)]
            while not paused.exists() and not both[0].done():
                time.sleep(0.001)
            both.append(pool.submit(second, source, "-o", folder / "out.csv", engine=FAST))
            if number % 2:  # the first one waits; otherwise both run at once
                both[1].result()
            paused.unlink(missing_ok=True)
            pair = sorted((each.result() for each in both), key=lambda ended: ended.code)
            refused += pair[0].code == 1
            busy = f"Error: another run is writing {folder / 'out.csv'}; "
            held.append(pair[1].code == 3 and (pair[0].code == 3 or pair[0].err.startswith(busy)))
            held[-1] &= published(folder / "out.csv") == expected and not leftovers(folder)
    assert 0 < refused < len(held)  # some ran at once, and some one after the other
    tally(f"two runs at once on one output: no interleaving ({refused} refused the second)", len(held), sum(held))
