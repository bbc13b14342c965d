"""A large cache file: its size, look-ups and additions a second, bytes written, and memory.

    python bench/cache_size.py --entries 10000000 --folder /var/tmp/cache
    python bench/cache_size.py --entries 100000 --batch 256

Fills a cache with made-up entries of the size that a model of two labels has, in large transactions. The last --sample
entries are added in transactions of --batch, as a run adds them on a GPU (256 on a CPU). Then it looks --sample entries up: in
the order in which they were added, as the next night does, in random order, and missing ones. The last steps add as many beyond
--cache-max-rows, and beyond half of that. Each step is a process of its own, whose peak memory is what the system counted.
Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from report import print_message, print_report

from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import CacheSettings

FILL_BATCH = 65_536
VALUE_BYTES = 29
"""Bytes of an entry with one logit."""
DIGEST = bytes(32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=8192, help="entries of a transaction, and keys of a look-up")
    parser.add_argument("--sample", type=int, default=200_000, help="keys of each step but the first")
    parser.add_argument("--folder", type=Path, help="folder for the file; default: the system's temporary folder")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(measured(arguments)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        found = {step: run(arguments, step, name) for step in steps(arguments.entries, arguments.sample)}
    print("| | entries | entries/s | written, bytes an entry | slowest batch, ms | size, MB | peak memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for step, one in found.items():
        each, slowest = one["written"] / one["entries"], one["slowest_batch_ms"]
        print(
            f"| {step} | {one['entries']:,} | {one['rate']:,.0f} | {each:,.0f} | {slowest:,.0f} | {one['size_mb']:,.1f} | "
            f"{one['peak_mb']:.0f} |"
        )
    print_report(arguments, {"entries": arguments.entries, "batch": arguments.batch, "steps": found})


@dataclass(frozen=True)
class Step:
    """Step of the benchmark.

    Attributes:
        numbers: numbers of the entries that it adds or looks up; missing ones are below 0.
        work: work on the keys of a batch.
        is_read_only: whether the file stays as it is, so that uses are not noted.
        is_cold: whether the file leaves the system's memory before.
        limit: largest number of entries.
        batch: entries of a transaction; None for --batch.
    """

    numbers: Sequence[int]
    work: Callable[[CacheFile, list[bytes]], None]
    is_read_only: bool = False
    is_cold: bool = False
    limit: int | None = None
    batch: int | None = None


def steps(entries: int, most: int) -> dict[str, Step]:
    """Return the steps, in order, by name."""
    sample = min(most, entries // 2)
    at_random = random.Random(1).sample(range(entries), sample)
    return {
        "fill": Step(range(entries - sample), add, batch=FILL_BATCH),
        "add": Step(range(entries - sample, entries), add),
        "look up in order": Step(range(sample), look_up, is_read_only=True),
        "look up at random": Step(at_random, look_up, is_read_only=True),
        "look up missing ones": Step(range(-sample, 0), miss, is_read_only=True),
        "look up at random, from the disk": Step(at_random, look_up, is_read_only=True, is_cold=True),
        "look up in order, and note it": Step(range(sample), look_up, limit=2 * entries),
        "add beyond the limit": Step(range(entries, entries + sample), add, limit=entries),
        "add beyond half the limit": Step(range(entries + sample, entries + 2 * sample), add, limit=entries // 2),
    }


def run(arguments: argparse.Namespace, step: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", step, "--folder", folder]
    for name in ("entries", "batch", "sample"):
        command += [f"--{name}", str(getattr(arguments, name))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    print_message(f"{step}: {found}")
    return found


def measured(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure a step: seconds, entries a second, bytes written to the disk, and sizes in MB."""
    path, step = arguments.folder / "scores.sqlite", steps(arguments.entries, arguments.sample)[arguments.step]
    if step.is_cold:
        forget(path)
    settings = CacheSettings(str(path), step.limit, read_only=step.is_read_only)
    batches = cut(step.numbers, step.batch or arguments.batch)
    before, start, slowest = written(), time.perf_counter(), 0.0
    file = CacheFile(settings, DIGEST, "{}", print_message)
    for keys in batches:
        began = time.perf_counter()
        step.work(file, keys)
        slowest = max(slowest, time.perf_counter() - began)
    file.close()
    seconds = time.perf_counter() - start
    if file.problem is not None:
        raise SystemExit(file.problem)
    return {
        "entries": len(step.numbers),
        "seconds": seconds,
        "rate": len(step.numbers) / seconds,
        "slowest_batch_ms": 1000 * slowest,
        "written": written() - before,
        "added": file.added,
        "removed": file.removed,
        "size_mb": path.stat().st_size / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def cut(numbers: Sequence[int], batch: int) -> Iterator[list[bytes]]:
    """Yield keys in batches."""
    keys = (blake2b(number.to_bytes(8, "little", signed=True), digest_size=16).digest() for number in numbers)
    while part := list(islice(keys, batch)):
        yield part


def add(file: CacheFile, keys: list[bytes]) -> None:
    file.put({key: key + bytes(VALUE_BYTES - len(key)) for key in keys})
    file.write()
    file.wait()


def look_up(file: CacheFile, keys: list[bytes]) -> None:
    if len(file.get(keys)) != len(keys):
        raise SystemExit("the cache lacks entries that were added")
    file.write()
    file.wait()


def miss(file: CacheFile, keys: list[bytes]) -> None:
    if file.get(keys):
        raise SystemExit("the cache has entries that nobody added")


def written() -> int:
    """Return the bytes that this process has sent to the disk so far; 0 where the system does not count them."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def forget(path: Path) -> None:
    """Drop a file from the system's memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
