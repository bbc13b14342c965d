"""Helpers of the fault tests: inputs, runners, and the files that a broken run left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pyarrow.parquet
import pytest

from scorer.rows.formats import COMPRESSIONS
from scorer.storage.atomic import sibling
from scorer.storage.compression import compress

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MARKS = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="the faults are made with tools of Linux"),
]
# Each input and output format at least once; most tests use the first pair.
FORMATS = [
    ("in.jsonl", "out.csv"),
    ("in.parquet", "out.parquet"),
    ("in.csv.gz", "out.jsonl.zst"),
    ("in.jsonl.zst", "out.csv.gz"),
]
FULL = os.environ.get("FAULTS") == "full"
FAST = {"row_seconds": 0.0, "load_seconds": 0.0}
"""Settings of an injected engine that takes no time."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "SCORE_PROVIDER": "cpu"}


def counted(full: int, short: int) -> int:
    """Return the number of tries: that of the reliability report, or a sample of it."""
    return full if FULL else short


@dataclass
class Ended:
    """End of a run: its exit code (negative: the signal that killed it) and its messages."""

    code: int
    err: str
    seconds: float
    calls: int


class Runner:
    """Process of `runner.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "runner.py"],
            env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *arguments: str | Path, **request: Any) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request["arguments"] = [str(argument) for argument in arguments]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def runners(count: int = 2) -> Iterator[list[Runner]]:
    with ExitStack() as opened:
        started = [Runner() for _ in range(count)]
        for runner in started:
            opened.callback(runner.close)
        yield started


def in_parallel(work: Callable[[Runner, Any], Any], items: Iterable[Any], count: int = 2) -> list[Any]:
    """Call ``work(runner, item)`` for each item; each runner does one at a time."""
    with runners(count) as started:
        return by(started, work, items)


def by(started: list[Runner], work: Callable[[Runner, Any], Any], items: Iterable[Any]) -> list[Any]:
    """Call ``work(runner, item)`` for each item, with runners that do one at a time."""
    with ThreadPoolExecutor(len(started)) as pool:
        idle: SimpleQueue[Runner] = SimpleQueue()
        for runner in started:
            idle.put(runner)

        def one(item: Any) -> Any:
            runner = idle.get()
            try:
                return work(runner, item)
            finally:
                idle.put(runner)

        return list(pool.map(one, items))


def write_input(path: Path, rows: int, width: int = 40) -> Path:
    """Write texts of some width, in the format of the file's name; every 7th is empty and will be rejected."""
    texts = ["" if row % 7 == 0 else f"review {row} " + "x" * (row * 37 % width) for row in range(1, rows + 1)]
    if path.suffix == ".parquet":
        table = pyarrow.table({"id": pyarrow.array(range(1, rows + 1), pyarrow.int16()), "text": texts})
        pyarrow.parquet.write_table(table, path, row_group_size=max(1, rows // 3))
        return path
    if ".jsonl" in path.suffixes:
        lines = [json.dumps({"id": row, "text": text}) for row, text in enumerate(texts, start=1)]
    else:
        lines = ["id,text", *(f"{row},{text}" for row, text in enumerate(texts, start=1))]
    data = [f"{line}\n".encode() for line in lines]
    # Consecutive archives, as programs that append make them.
    halves = [b"".join(data[: rows // 2]), b"".join(data[rows // 2 :])]
    compression = path.suffix[1:] if path.suffix[1:] in COMPRESSIONS else None
    path.write_bytes(b"".join(compress(half, compression) for half in halves))
    return path


def published(output: Path) -> tuple[bytes | None, bytes | None]:
    """Read the output and the rejects, None if missing."""
    rejects = output.with_name(f"{output.name}.rejects.jsonl")
    return (
        output.read_bytes() if output.exists() else None,
        rejects.read_bytes() if rejects.exists() else None,
    )


def windows_done(output: Path) -> int:
    """Count the durable windows that a run left behind."""
    journal = sibling(output, "journal")
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
