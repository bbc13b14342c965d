"""A cache in any state: the output is that of a run without it, or the run ends with exit code 2 and names the file."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from harness import (
    ENVIRONMENT,
    FAST,
    FULL,
    HERE,
    MARKS,
    Ended,
    by,
    counted,
    leftovers,
    published,
    runners,
    windows_done,
    write_input,
)

pytestmark = MARKS

ROWS = counted(60, 32)
SUFFIXES = ("", "-wal", "-shm", "-journal")
# Calls of SQLite that change a file, or a lock.
CHANGING = "pwrite64,fdatasync,fsync,ftruncate,unlink,openat,fcntl,mmap,close"


@pytest.fixture(scope="module")
def both():
    """Two runners."""
    with runners(2) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(folder, both):
    """An input, and the files that a run without a cache publishes."""
    return plain(both[0], folder, ROWS, width=40)


@pytest.fixture(scope="module")
def other(folder, both):
    """Another input; some of its texts are in the first one."""
    return plain(both[0], folder, ROWS, width=70)


@pytest.fixture(scope="module")
def filled(folder, both, whole):
    """A cache with the texts of the input, whose log was moved into it."""
    cache = folder / "filled" / "scores.sqlite"
    cache.parent.mkdir()
    assert score(both[0], whole, folder / "first", cache)
    assert [file.name for file in cache.parent.iterdir()] == [cache.name]
    return cache


@pytest.fixture(scope="module")
def interrupted(folder, both, whole):
    """A cache with a log, as a killed run leaves it."""
    cache = folder / "interrupted" / "scores.sqlite"
    cache.parent.mkdir()
    output = folder / "killed" / "out.csv"
    output.parent.mkdir()
    fault = {"under": str(output.parent), "call": "fsync", "nth": counted(18, 11), "kill": "after"}
    assert both[0](whole[0], "-o", output, "--cache", cache, engine=FAST, fault=fault).code == -signal.SIGKILL
    assert cache.with_name("scores.sqlite-wal").stat().st_size > 20_000
    return cache


@pytest.fixture(scope="module")
def strace():
    """Skip a test if calls of SQLite cannot be made to fail."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")


def plain(run, folder, rows, width):
    """Write an input, and score it without a cache."""
    source = write_input(folder / f"in{width}.jsonl", rows, width)
    output = folder / f"plain{width}" / "out.csv"
    output.parent.mkdir()
    assert run(source, "-o", output, engine=FAST).code == 3
    return source, published(output)


def score(run, whole, folder, cache, *options, **request):
    """Score into a new folder; return whether all is as without a cache, or refused by name."""
    folder.mkdir(exist_ok=True)
    ended = run(whole[0], "-o", folder / "out.csv", "--cache", cache, *options, engine=FAST, **request)
    return is_right(ended, whole, folder) or is_refused(ended, cache)


def is_right(ended, whole, folder):
    return (
        ended.code == 3
        and published(folder / "out.csv") == whole[1]
        and not leftovers(folder)
        and "Traceback" not in ended.err
        and ended.err.count("Warning: The cache") <= 1
    )


def is_refused(ended, cache):
    return ended.code == 2 and f"--cache {cache} " in ended.err and "Traceback" not in ended.err


def from_cache(run, whole, folder, cache):
    """Count the rows that a further run takes from a cache, and check its structure."""
    folder.mkdir(exist_ok=True)
    ended = run(whole[0], "-o", folder / "out.csv", "--cache", cache, engine=FAST)
    assert is_right(ended, whole, folder), ended.err
    assert "Warning" not in ended.err
    with closing(sqlite3.connect(cache)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT entries FROM totals").fetchone() == (entries(cache),)
    found = re.search(r"([\d,]+) rows \([\d.]+%\) came from the cache", ended.err)
    assert found is not None
    return int(found[1].replace(",", ""))


def entries(cache):
    with closing(sqlite3.connect(cache)) as connection:
        return connection.execute("SELECT count(*) FROM scores").fetchone()[0]


def copied(cache, folder):
    """Copy a cache, and the files beside it, to a new folder."""
    folder.mkdir()
    for suffix in SUFFIXES:
        part = cache.with_name(cache.name + suffix)
        if part.exists():
            shutil.copy(part, folder)
    return folder / cache.name


def traced(whole, folder, cache, *inject, seconds=None):
    """Run `score` in one thread, with faults in its calls on the cache's files; return its end."""
    folder.mkdir(exist_ok=True)
    environment = {**ENVIRONMENT, "ONE_THREAD": "1"} | ({} if seconds is None else {"BUSY_SECONDS": str(seconds)})
    command = ["strace", "-f", "-o", folder / "trace"]
    for suffix in SUFFIXES:
        command += ["-P", f"{cache}{suffix}"]
    for expression in (f"trace={CHANGING},pread64,newfstatat", *(f"inject={one}" for one in inject)):
        command += ["-e", expression]
    command += [sys.executable, HERE / "runner.py", "--once", whole[0], "-o", folder / "out.csv", "--cache", cache]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return Ended(done.returncode, done.stderr, 0, 0)


# The file itself


def test_cut_anywhere(tmp_path, tally, both, whole, filled, interrupted):
    def one(run, cut):
        name, suffix, length = cut
        cache = copied(filled if name == "filled" else interrupted, tmp_path / f"{name}{suffix}{length}")
        os.truncate(f"{cache}{suffix}", length)
        return score(run, whole, tmp_path / f"{cache.parent.name}-out", cache) and score(
            run, whole, tmp_path / f"{cache.parent.name}-again", cache
        )

    chosen = random.Random(7)
    for suffix, cache in (("", filled), ("-wal", interrupted)):
        size = os.stat(f"{cache}{suffix}").st_size
        edges = [length for page in range(0, size, 4096) for length in (page - 1, page, page + 1) if 0 <= length < size]
        lengths = chosen.sample(edges, counted(len(edges), 4)) + chosen.sample(range(size), counted(100, 4))
        held = by(both, one, [(cache.parent.name, suffix, length) for length in {0, 1, 99, 100, 101, *lengths}])
        tally(
            f"FILE{suffix} of the cache is cut anywhere: same bytes, or exit code 2 that names it", len(held), sum(held)
        )


def test_flipped_bit_by_bit(tmp_path, tally, both, whole, filled, interrupted):
    def one(run, flip):
        name, suffix, at, bit = flip
        cache = copied(filled if name == "filled" else interrupted, tmp_path / f"{name}{suffix}{at}-{bit}")
        with open(f"{cache}{suffix}", "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
        held = score(run, whole, tmp_path / f"{cache.parent.name}-out", cache)
        return held and score(run, whole, tmp_path / f"{cache.parent.name}-again", cache)

    chosen = random.Random(8)
    with closing(sqlite3.connect(filled)) as connection:  # that of a killed run has some of the same values
        values = [value for (value,) in connection.execute("SELECT value FROM scores ORDER BY id LIMIT 16")]
    for suffix, cache in (("", filled), ("-wal", interrupted)):
        content, header = Path(f"{cache}{suffix}").read_bytes(), 100 if suffix == "" else 32
        places = chosen.sample(range(header), counted(32, 4))
        places += chosen.sample(range(header, len(content)), counted(100, 8))
        for value in chosen.sample(values, counted(len(values), 8)):
            # The bits of the first logit that are its sign, its exponent and its first digits.
            places += [content.index(value) + at for at in (10, 10, 11, 11)]
        flips = dict.fromkeys((cache.parent.name, suffix, at, chosen.randrange(8)) for at in places)
        held = by(both, one, flips)
        tally(
            f"a bit of FILE{suffix} of the cache is flipped: same bytes, or exit code 2 that names it",
            len(held),
            sum(held),
        )


def test_every_entry_is_exchanged_with_another(tmp_path, tally, both, whole, filled):
    """The structure is valid, and every text finds the value of another text."""
    cache = copied(filled, tmp_path / "exchanged")
    with closing(sqlite3.connect(cache)) as connection, connection:
        values = [value for (value,) in connection.execute("SELECT value FROM scores ORDER BY id")]
        for number, value in enumerate(values[1:] + values[:1], 1):
            connection.execute("UPDATE scores SET value = ? WHERE id = ?", (value, number))
    held = score(both[0], whole, tmp_path / "out", cache)
    tally("the values of the cache are exchanged: same bytes", 1, held)
    assert from_cache(both[0], whole, tmp_path / "again", cache) == len(values)


def test_damage_is_set_aside_by_one_of_several_runs_at_once(tmp_path, tally, both, whole, filled):
    def one(run, number):
        return score(run, whole, tmp_path / f"out{number}", cache)

    held = []
    with runners(2) as two:
        for number in range(counted(20, 3)):
            cache = copied(filled, tmp_path / f"damaged{number}")
            with cache.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xff" * 4096)
            held += by([*both, *two], one, [f"{number}-{each}" for each in range(4)])
            assert from_cache(both[0], whole, tmp_path / f"then{number}", cache) > 0
    tally("several runs at once find the same damaged cache: same bytes", len(held), sum(held))


# Kills


def test_killed_at_every_call_of_the_run_what_the_journal_calls_done_is_in_the_cache(tmp_path, tally, both, whole):
    def all_calls(run, moment):
        held = []
        for nth in range(1, 500, counted(1, 4)):
            folder = tmp_path / f"{moment}{nth}"
            folder.mkdir()
            cache = tmp_path / f"{folder.name}.sqlite"
            fault = {"under": str(folder), "call": "any", "nth": nth, "kill": moment}
            slow = {"write_seconds": 0.03}
            killed = run(whole[0], "-o", folder / "out.csv", "--cache", cache, engine=FAST, fault=fault, cache=slow)
            if killed.code != -signal.SIGKILL:
                return held
            durable = min(8 * windows_done(folder / "out.csv"), ROWS)
            scored = sum(number % 7 != 0 for number in range(1, durable + 1))
            held.append(not scored or entries(copied(cache, tmp_path / f"{folder.name}-copy")) >= scored)
            held.append(score(run, whole, folder, cache))
        return [False]

    for moment, held in zip(("before", "after"), by(both, all_calls, ("before", "after")), strict=True):
        tally(
            f"kill -9 right {moment} the Nth call on the output's files: its rows are in the cache",
            len(held),
            sum(held),
        )


@pytest.mark.parametrize("state", ["no file", "a full cache", "a cache with a log"])
def test_killed_at_every_call_on_the_cache(tmp_path, tally, strace, both, whole, other, filled, interrupted, state):
    """Texts of an earlier run are looked up and others are added, or a file is created, or recovered."""
    start = {"no file": None, "a full cache": filled, "a cache with a log": interrupted}[state]
    source = whole if start is None else other

    def begin(name):
        if start is not None:
            return copied(start, tmp_path / name)
        (tmp_path / name).mkdir()
        return tmp_path / name / "scores.sqlite"

    cache = begin("counted")
    assert is_right(traced(source, tmp_path / "counted-out", cache), source, tmp_path / "counted-out")
    # Calls are counted by their names.
    lines = (tmp_path / "counted-out" / "trace").read_text().splitlines()
    names = Counter(line.split()[1].partition("(")[0] for line in lines)
    calls = [(name, nth) for name in CHANGING.split(",") for nth in range(1, names[name] + 1)]
    assert len(calls) > 100

    def one(run, call):
        cache = begin("killed{}{}".format(*call))
        folder = tmp_path / f"{cache.parent.name}-out"
        ended = traced(source, folder, cache, "{}:signal=KILL:when={}".format(*call))
        (folder / "trace").unlink()
        assert ended.code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        held = score(run, source, folder, cache)
        rows = from_cache(run, source, tmp_path / f"{cache.parent.name}-then", cache)
        return held and rows == source[1][0].count(b"\n") - 1

    held = by(both, one, calls if FULL else random.Random(9).sample(calls, 8))
    tally(
        f"kill -9 before the Nth call on the cache, which begins with {state}: same bytes, the cache works",
        len(held),
        sum(held),
    )


# Calls that fail

# Errors by call, and whether all calls fail, or the one after some that did not.
ERRORS = {
    "ENOSPC": "pwrite64",
    "EIO": "pwrite64",
    "EIO ": "pread64",
    "EIO  ": "fdatasync",
    "ENOLCK": "fcntl",
    "ENOSYS": "fcntl",
    "EROFS": "openat",
    "EACCES": "openat",
    "EMFILE": "openat",
    "ENOMEM": "mmap",
    "EPERM": "unlink",
    "EIO   ": "ftruncate",
}


@pytest.mark.parametrize("state", ["no file", "a full cache"])
@pytest.mark.parametrize(
    ("error", "call"), ERRORS.items(), ids=[f"{error.strip()}-{call}" for error, call in ERRORS.items()]
)
def test_failing_calls(tmp_path, tally, strace, both, whole, filled, state, error, call):
    def one(run, when):
        cache = tmp_path / when / "scores.sqlite"
        if state == "no file":
            cache.parent.mkdir()
        else:
            copied(filled, cache.parent)
        folder = tmp_path / f"{when}-out"
        ended = traced(whole, folder, cache, f"{call}:error={error.strip()}:when={when}", seconds=0.3)
        (folder / "trace").unlink()
        assert is_right(ended, whole, folder), ended.err
        # Without the fault all is well again, or the file is damaged, and replaced.
        return score(run, whole, tmp_path / f"{when}-then", cache)

    chosen = random.Random(f"{error}{call}{state}")
    whens = [f"{first}{more}" for first in (1, 2, 3, 5, 8, 13, 21, 34, 55) for more in ("+", "")]
    held = by(both, one, whens if FULL else [chosen.choice(whens)])
    tally(f"{call} on the cache's files fails ({error.strip()}): same bytes, at most one warning", len(held), sum(held))


def test_a_disk_that_is_full_for_the_cache_alone_is_reported_once(tmp_path, strace, whole):
    cache = tmp_path / "scores.sqlite"
    ended = traced(whole, tmp_path / "out", cache, "pwrite64:error=ENOSPC:when=50+")
    assert is_right(ended, whole, tmp_path / "out")
    assert (
        f"Warning: The cache {cache} cannot be written (database or disk is full). The run adds nothing more"
        in ended.err
    )


def test_a_limit_on_file_sizes_for_the_cache_alone(tmp_path, tally, both, whole):
    held = [
        score(both[0], whole, tmp_path / f"out{limit}", tmp_path / f"{limit}.sqlite", limit=limit)
        for limit in (50_000, 60_000, 80_000)  # the files of the run itself are smaller
    ]
    tally("the cache reaches a limit on file sizes: same bytes", len(held), sum(held))


# Several runs at once


def test_two_runs_create_one_cache(tmp_path, tally, both, whole, other):
    held = []
    with ThreadPoolExecutor(2) as pool:
        for number in range(counted(50, 5)):
            cache = tmp_path / f"{number}.sqlite"
            pair = [
                pool.submit(score, run, source, tmp_path / f"{number}-{source[0].stem}", cache)
                for run, source in zip(both, (whole, other), strict=True)
            ]
            held += [each.result() for each in pair]
            for source in (whole, other):
                rows = from_cache(both[0], source, tmp_path / f"{number}-{source[0].stem}-again", cache)
                assert rows == source[1][0].count(b"\n") - 1
    tally("two runs at once create and fill one cache: same bytes, all texts are in it", len(held), sum(held))


def test_another_program_that_holds_the_write_lock(tmp_path, both, other, filled):
    """One warning, and a run that is not delayed for long."""
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        command = (other[0], "-o", tmp_path / "out.csv", "--cache", filled)
        ended = both[0](*command, engine=FAST, cache={"busy_seconds": 0.2})
    assert is_right(ended, other, tmp_path)
    assert (
        f"Warning: The cache {filled} cannot be used (database is locked). The run continues without it." in ended.err
    )
    assert ended.seconds < 5


def test_a_run_is_stopped_promptly_while_another_program_holds_the_write_lock(tmp_path, filled):
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps({"text": f"another {row}"}) + "\n" for row in range(2_000)))
    environment = {**ENVIRONMENT, "ROW_SECONDS": "0.01"}
    command = [sys.executable, HERE / "runner.py", "--once", many, "-o", tmp_path / "out.csv", "--cache", filled]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while windows_done(tmp_path / "out.csv") < 2 and running.poll() is None:
        pass
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN IMMEDIATE")
        done = windows_done(tmp_path / "out.csv")
        running.terminate()
        running.communicate(timeout=5)
    assert running.returncode == 143
    assert windows_done(tmp_path / "out.csv") <= done + 1
