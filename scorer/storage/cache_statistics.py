"""Statistics of a cache file, which stays as it is."""

import contextlib
import os
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scorer.storage.cache_database import CacheDamaged, is_damage, opened_for_reading, whole


@dataclass
class Uses:
    """Entries and their uses; each write of an entry is a use, too.

    Attributes:
        entries: number of entries.
        oldest, newest: start of the run that used an entry, in seconds since 1970: of the entry whose last use was the
            longest ago, and of the one that was used last. None without entries.
    """

    entries: int = 0
    oldest: int | None = None
    newest: int | None = None


@dataclass(frozen=True)
class Statistics:
    """Statistics of a cache file.

    Attributes:
        size: size of the file and of those beside it that SQLite needs, in bytes.
        stated: number of entries by the file's own count.
        all: all entries, counted.
        contexts: description and entries of each context, the last used one first.
    """

    size: int
    stated: int
    all: Uses
    contexts: list[tuple[str, Uses]] = field(default_factory=list)


class Unreadable(Exception):
    """Failure to read a cache file; the message is the reason.

    Args:
        error: error of the database.

    Attributes:
        is_missing: whether the file is missing or empty.
        is_damaged: whether the content is damaged.
    """

    def __init__(self, error: Exception, *, is_missing: bool = False) -> None:
        super().__init__(str(error))
        self.is_missing = is_missing
        self.is_damaged = is_damage(error)


def statistics(path: Path) -> Statistics:
    """Count the entries of a cache file, which takes about a second for three million of them.

    Raises:
        Unreadable: the file is missing, damaged, or cannot be read.
    """
    try:
        if not path.stat().st_size:
            raise FileNotFoundError("it is empty")
        with contextlib.closing(opened_for_reading(path)) as connection:
            connection.execute("BEGIN")  # one state of the file, whatever other processes add meanwhile
            return _statistics(connection, path)
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise Unreadable(error, is_missing=isinstance(error, FileNotFoundError)) from error


def _statistics(connection: sqlite3.Connection, path: Path) -> Statistics:
    stated = whole(connection.execute("SELECT entries FROM totals"))
    runs = sorted(_whole_numbers(connection.execute("SELECT first, CAST(started AS INTEGER) FROM runs")))
    used = list(
        _whole_numbers(connection.execute("SELECT context, count(*), min(id), max(id) FROM scores GROUP BY context"))
    )
    described = {}
    for number, description in connection.execute("SELECT id, description FROM contexts"):
        described[number] = description.decode(errors="replace") if isinstance(description, bytes) else "unknown"
    contexts = [
        (described.get(context, "unknown"), Uses(entries, _start(first, runs), _start(last, runs)))
        for context, entries, first, last in sorted(used, key=lambda one: -one[3])
    ]
    together = Uses()
    if used:
        _, entries, firsts, lasts = zip(*used, strict=True)
        together = Uses(sum(entries), _start(min(firsts), runs), _start(max(lasts), runs))
    return Statistics(_size(path), stated, together, contexts)


def _start(number: int, runs: Sequence[tuple[int, ...]]) -> int | None:
    """Return the start of the run that gave an id; of runs at the same time, that of the last one before the id.

    Args:
        number: id of an entry.
        runs: first id and start of each run, in the order of the ids.
    """
    at = bisect_right(runs, number, key=lambda run: run[0])
    return runs[at - 1][1] if at else None


def _whole_numbers(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[int, ...]]:
    for row in rows:
        if not all(isinstance(value, int) for value in row):
            raise CacheDamaged("a number is something else")
        yield row  # type: ignore[misc]


def _size(path: Path) -> int:
    found = 0
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            found += os.stat(f"{path}{suffix}").st_size
    return found
