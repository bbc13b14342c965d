"""Cache files: values by key in an SQLite database that several processes can use at the same time.

A cache never fails a run. A file that is no cache, or a cache of a newer version, is refused before anything is done. Any
other problem is reported once, and the run continues without the cache.

One thread writes, a transaction at a time; values are durable once `CacheFile.wait` returns. Each write and each use gives
an entry the next id, so the lowest ids are those of the least recently used entries.
"""

import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scorer.storage import cache_database as database
from scorer.storage.cache_database import is_damage
from scorer.storage.cache_settings import CacheSettings

_KEYS_A_QUERY = 512
# Entries that a transaction may remove in any case; a much lower limit is reached in steps.
_REMOVED = 10_000
_ERRORS = (sqlite3.Error, OSError, OverflowError)


class Stored(NamedTuple):
    """Value of a key.

    Attributes:
        value: value, as it was put.
        own: whether this run put it.
    """

    value: bytes
    own: bool


@dataclass
class _Batch:
    """Work of a transaction.

    Attributes:
        values: values to add, by key.
        invalid: keys of entries to remove before.
        used: ids of entries that were used, by key.
    """

    values: dict[bytes, bytes] = field(default_factory=dict)
    invalid: set[bytes] = field(default_factory=set)
    used: dict[bytes, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.values or self.invalid or self.used)


def warn(message: str) -> None:
    """Report a problem to a Python caller."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)


class CacheFile:
    """Open cache file.

    Args:
        settings: the file, and its use.
        digest: digest of the context of the values; values of other contexts must have other keys.
        description: description of the context, for people.
        report: function that reports a problem.

    Attributes:
        settings: the file, and its use.
        added, removed: number of entries that this run added and removed.
        problem: reason that the file is not used, or not written, any further; None if all is well.

    Raises:
        UsageError: the file is no cache, or one of a newer version.
    """

    def __init__(
        self, settings: CacheSettings, digest: bytes, description: str, report: Callable[[str], None] = warn
    ) -> None:
        settings.check()
        self.settings = settings
        self.added = self.removed = 0
        self.problem: str | None = None
        self._path = Path(settings.path)
        self._report = report
        self._process = os.getpid()
        self._damaged = False
        self._connections: list[sqlite3.Connection] = []
        self._reading: sqlite3.Connection | None = None
        self._writing: sqlite3.Connection | None = None
        self._query = threading.Lock()
        self._lock = threading.Lock()  # of the batch
        self._batch = _Batch()
        self._written: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._context = self._run = self._first = 0
        try:
            self._open(digest, description)
        except _ERRORS as error:
            self._give_up(error)

    def _open(self, digest: bytes, description: str) -> None:
        if self.settings.read_only:
            self._reading = self._kept(database.opened_for_reading(self._path))
            return
        try:
            writing = database.opened(self._path)
        except sqlite3.Error as error:
            if not is_damage(error) or not database.set_aside(self._path):
                raise
            aside = database.aside(self._path)
            self._report(f"The cache {self._path} is damaged ({error}). It is now {aside}, and a new cache begins.")
            writing = database.opened(self._path)
        self._kept(writing)
        with database.transaction(writing) as write:
            write.execute(
                "INSERT OR IGNORE INTO contexts (digest, description) VALUES (?, ?)", (digest, description.encode())
            )
            self._context = database.whole(write.execute("SELECT id FROM contexts WHERE digest = ?", (digest,)))
            self._first = database.next_id(write)
            write.execute("INSERT INTO runs (started, first) VALUES (?, ?)", (time.time(), self._first))
            self._run = database.whole(write.execute("SELECT last_insert_rowid()"))
        self._reading, self._writing = self._kept(database.connected(self._path)), writing

    def _kept(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        self._connections.append(connection)
        return connection

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        """Return the values of those keys that have one, and note that they were used."""
        connection = self._reading
        if connection is None or os.getpid() != self._process:  # a forked child must not use its parent's connection
            return {}
        distinct = list(dict.fromkeys(keys))
        found: dict[bytes, Stored] = {}
        used: dict[bytes, int] = {}
        try:
            with self._query:
                for start in range(0, len(distinct), _KEYS_A_QUERY):
                    for entry in database.entries(connection, distinct[start : start + _KEYS_A_QUERY]):
                        found[entry.key] = Stored(entry.value, own=entry.run == self._run)
                        if entry.id < self._first:
                            used[entry.key] = entry.id
        except _ERRORS as error:
            self._give_up(error)
            return {}
        if self._writing is not None:
            with self._lock:
                self._batch.used.update(used)
        return found

    def put(self, values: Mapping[bytes, bytes], invalid: Iterable[bytes] = ()) -> None:
        """Take values that the next `write` makes durable.

        Args:
            values: values by key; a key that has a value keeps it.
            invalid: keys whose values are invalid, and are removed.
        """
        if self._writing is not None:
            with self._lock:
                self._batch.values.update(values)
                self._batch.invalid.update(invalid)

    def write(self) -> None:
        """Start to write what was put and used since the last call, whose work is durable on return."""
        self.wait()
        connection = self._writing
        if connection is None or os.getpid() != self._process:
            return
        with self._lock:
            batch, self._batch = self._batch, _Batch()
        if not batch.is_empty:
            self._written = self._writer.submit(self._write, connection, batch)

    def wait(self) -> None:
        """Wait until the work of the last `write` is durable, or has failed, which is reported."""
        written, self._written = self._written, None
        if written is None:
            return
        try:
            written.result()
        except _ERRORS as error:
            self._give_up(error, reading=True)

    def close(self) -> None:
        """Write what is left, and close the file."""
        if os.getpid() != self._process:
            return
        self.write()
        self.wait()
        self._writer.shutdown()
        self._reading = self._writing = None
        for connection in self._connections:
            database.close(connection, self._path)
        self._connections.clear()
        if self._damaged:
            database.set_aside(self._path)

    def _write(self, connection: sqlite3.Connection, batch: _Batch) -> None:
        with database.transaction(connection) as write:
            number = database.next_id(write)
            used = [(at, old, key) for at, (key, old) in enumerate(batch.used.items(), number)]
            write.executemany("UPDATE scores SET id = ? WHERE id = ? AND key = ?", used)
            write.executemany("DELETE FROM scores WHERE key = ?", [(key,) for key in batch.invalid])
            lost = max(write.rowcount, 0)
            new = [
                (at, key, self._context, self._run, value)
                for at, (key, value) in enumerate(batch.values.items(), number + len(used))
            ]
            # Another run may have added the same keys meanwhile.
            write.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING", new)
            added = max(write.rowcount, 0)
            entries = database.whole(write.execute("SELECT entries FROM totals")) + added - lost
            removed = self._remove(write, entries, max(_REMOVED, 2 * added))
            write.execute("UPDATE totals SET entries = ?", (entries - removed,))
        self.added += added
        self.removed += removed

    def _remove(self, write: sqlite3.Cursor, entries: int, most: int) -> int:
        """Remove the least recently used entries beyond the limit, at most ``most``, and return their number."""
        limit = self.settings.max_rows
        if limit is None or entries <= limit:
            return 0
        oldest = "SELECT id FROM scores ORDER BY id LIMIT ?"
        return write.execute(f"DELETE FROM scores WHERE id IN ({oldest})", (min(entries - limit, most),)).rowcount

    def _give_up(self, error: Exception, *, reading: bool = False) -> None:
        """Use the file no further, and report why; after an error in writing, it can still be read unless it is damaged."""
        self._damaged = self._damaged or (is_damage(error) and not self.settings.read_only)
        self._writing = None
        if not reading or is_damage(error):
            self._reading = None
        if self.problem is not None:
            return
        self.problem = str(error)
        if self._damaged:
            self._report(
                f"The cache {self._path} is damaged ({error}). The run continues without it; the next one begins a new cache."
            )
        elif reading:
            self._report(f"The cache {self._path} cannot be written ({error}). The run adds nothing more to it.")
        else:
            self._report(f"The cache {self._path} cannot be used ({error}). The run continues without it.")
