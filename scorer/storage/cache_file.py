"""Cache files: values by key in an SQLite database that several processes can use at the same time.

A cache never fails a run. A file that is no cache, or a cache of a newer version, is refused before anything is done. Any
other problem is reported once, and the run continues without the cache.

One thread writes, a transaction at a time; values are durable once `CacheFile.wait` returns. Each write and each use that is
noted gives an entry the next id. So the lowest ids are those of the least recently used entries.
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
# Uses that are noted in one transaction. Each changes a page of the index, and the more there are, the more share a page.
_USES = 65_536
# Without a limit, nothing is removed, and a use is noted only if the last one is longer ago.
_LATELY_SECONDS = 7 * 86_400.0
_ERRORS = (sqlite3.Error, OSError, OverflowError, UnicodeDecodeError, MemoryError)


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
        has_only_others: whether the file had entries, but none of this context.
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
        self._path = Path(os.path.realpath(settings.path))  # SQLite's own files are beside the target of a link
        self._digest, self._description = digest, description
        self._report = report
        self._process = os.getpid()
        self._damaged = False
        self._has_log = True
        self._aside = database.stamp_aside(self._path)
        self._connections: list[database.Connection] = []
        self._reading: database.Connection | None = None
        self._writing: database.Connection | None = None
        self._query = threading.Lock()  # of the connection to read with
        self._lock = threading.Lock()  # of the batch, and of the problem
        self._order = threading.RLock()  # of transactions
        self._batch = _Batch()
        self._written: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._closing = threading.Event()
        self._context = self._run = self._first = self._noted = 0
        self.has_only_others = False
        try:
            self._open()
        except _ERRORS as error:
            self._give_up(error)
        except BaseException:
            self._disconnect()
            raise

    def _open(self) -> None:
        if self.settings.read_only:
            self._open_to_read()
            return
        try:
            self._begin()
        except _ERRORS as error:
            self._disconnect()
            if not is_damage(error) or not database.set_aside(self._path, self._aside):
                raise
            self._aside = database.stamp_aside(self._path)
            aside = database.aside(self._path)
            self._report(
                f"The cache {self.settings.path} is damaged ({database.reason(error)}). It is now {aside}, and a new cache begins."
            )
            self._begin()

    def _open_to_read(self) -> None:
        self._has_log = database.has_log(self._path)
        self._reading = self._kept(database.opened_for_reading(self._path))

    def _begin(self) -> None:
        """Open the file to read and write, and number this run."""
        writing = self._kept(database.opened(self._path))
        with database.transaction(writing) as write:
            write.execute(
                "INSERT OR IGNORE INTO contexts (digest, description) VALUES (?, ?)",
                (self._digest, self._description.encode()),
            )
            is_new = write.rowcount > 0
            self._context = database.whole(write.execute("SELECT id FROM contexts WHERE digest = ?", (self._digest,)))
            self._first = database.next_id(write)
            self.has_only_others = is_new and self._first > 1
            self._noted = self._first
            if self.settings.max_rows is None:
                lately = "SELECT coalesce(min(first), ?) FROM runs WHERE started > ?"
                self._noted = database.whole(write.execute(lately, (self._first, time.time() - _LATELY_SECONDS)))
            write.execute("INSERT INTO runs (started, first) VALUES (?, ?)", (time.time(), self._first))
            self._run = database.whole(write.execute("SELECT last_insert_rowid()"))
        self._reading, self._writing = self._kept(database.opened_beside(self._path)), writing

    def _kept(self, connection: database.Connection) -> database.Connection:
        self._connections.append(connection)
        return connection

    def _disconnect(self) -> None:
        with self._query:
            self._reading = self._writing = None
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    @property
    def _is_own(self) -> bool:
        """Ownership of the connections: a child of a fork must not use those of its parent."""
        return os.getpid() == self._process

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        """Return the values of those keys that have one, and note that they were used."""
        if not self._is_own:
            return {}
        distinct = list(dict.fromkeys(keys))
        found: dict[bytes, Stored] = {}
        used: dict[bytes, int] = {}
        try:
            with self._query:
                if self._reading is None:
                    return {}
                if not self._has_log and database.has_log(self._path):
                    self._open_to_read()  # another process writes now
                for start in range(0, len(distinct), _KEYS_A_QUERY):
                    some = distinct[start : start + _KEYS_A_QUERY]
                    for entry in database.entries(self._reading, some, self._closing):
                        found[entry.key] = Stored(entry.value, own=entry.run == self._run)
                        if entry.id < self._noted:
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
        if self._is_own and self._writing is not None:
            with self._lock:
                self._batch.values.update(values)
                self._batch.invalid.update(invalid)

    def write(self, *, last: bool = False) -> None:
        """Start to write what was put since the last call, whose work is durable on return.

        Uses of values are noted many at a time; those that nobody noted are all that is lost if the process dies.

        Args:
            last: whether to note all uses now.
        """
        if not self._is_own:
            return
        with self._order:
            self.wait()
            connection = self._writing
            with self._lock:
                batch, self._batch = self._batch, _Batch()
                if not last and len(batch.used) < _USES:
                    batch.used, self._batch.used = self._batch.used, batch.used
            if connection is not None and not batch.is_empty:
                self._written = self._writer.submit(self._write, connection, batch)

    def wait(self) -> None:
        """Wait until the work of the last `write` is durable, or has failed, which is reported."""
        if not self._is_own:
            return
        with self._order:
            written, self._written = self._written, None
            if written is None:
                return
            try:
                written.result()
            except _ERRORS as error:
                self._give_up(error, reading=True)

    def finish(self) -> None:
        """Write what is left, with all uses, and report a file that is gone or is another one by now."""
        with self._order:
            self.write(last=True)
            self.wait()
        if self._is_own and self._writing is not None and not self._writing.is_at(self._path):
            self._writing = self._reading = None
            self.problem = "the file was removed, replaced or emptied during the run"
            self._report(
                f"The cache {self.settings.path} was removed, replaced or emptied during the run. What was added to it is lost."
            )

    def close(self) -> None:
        """Write what is left, and close the file; a damaged one makes room for a new one, if no other process uses it."""
        if not self._is_own:
            return
        self._closing.set()
        with self._order:
            self.write(last=True)
            self.wait()
            self._writer.shutdown()
            self._disconnect()
        damaged, self._damaged = self._damaged, False
        if damaged and database.set_aside(self._path, self._aside):
            self._report(f"The damaged cache is now {database.aside(self._path)}. The next run begins a new one.")

    def _write(self, connection: database.Connection, batch: _Batch) -> None:
        with database.transaction(connection, self._closing) as write:
            self._note(write, batch.used)
            write.executemany("DELETE FROM scores WHERE key = ?", [(key,) for key in batch.invalid])
            lost = max(write.rowcount, 0)
            before = database.whole(write.execute("SELECT entries FROM totals")) - lost
            limit = self.settings.max_rows
            if limit is not None and before + len(batch.values) > limit:  # what this run used must not be removed
                with self._lock:
                    used, self._batch.used = self._batch.used, {}
                self._note(write, used)
            new = [
                (at, key, self._context, self._run, value)
                for at, (key, value) in enumerate(batch.values.items(), database.next_id(write))
            ]
            # Another run may have added the same keys meanwhile.
            write.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING", new)
            added = max(write.rowcount, 0)
            entries = before + added
            removed = self._remove(write, entries, max(_REMOVED, 2 * added))
            write.execute("UPDATE totals SET entries = ?", (entries - removed,))
        self.added += added
        self.removed += removed

    def _note(self, write: sqlite3.Cursor, used: Mapping[bytes, int]) -> None:
        """Note the use of entries, ids by key in the order of use: they are the last ones to be removed."""
        database.move(write, list(used.values()))

    def _remove(self, write: sqlite3.Cursor, entries: int, most: int) -> int:
        """Remove the least recently used entries beyond the limit, at most ``most``, and return their number."""
        limit = self.settings.max_rows
        if limit is None or entries <= limit:
            return 0
        oldest = "SELECT id FROM scores ORDER BY id LIMIT ?"
        return write.execute(f"DELETE FROM scores WHERE id IN ({oldest})", (min(entries - limit, most),)).rowcount

    def _give_up(self, error: Exception, *, reading: bool = False) -> None:
        """Use the file no further, and report why; after an error in writing, it can still be read unless it is damaged."""
        with self._lock:
            self._damaged = self._damaged or (is_damage(error) and not self.settings.read_only)
            self._writing = None
            if not reading or is_damage(error):
                self._reading = None
            if self.problem is not None:
                return
            self.problem = database.reason(error)
        if is_damage(error):
            self._report(f"The cache {self.settings.path} is damaged ({self.problem}). The run continues without it.")
        elif reading:
            self._report(
                f"The cache {self.settings.path} cannot be written ({self.problem}). The run adds nothing more to it."
            )
        else:
            self._report(
                f"The cache {self.settings.path} cannot be used ({self.problem}). The run continues without it."
            )
