"""The SQLite database of a cache file: its form, its connections and its statements."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from scorer.storage.atomic import publish_copy_of
from scorer.storage.cache_locks import Identity, check_locks, forget, lock_alone, note, opened_apart
from scorer.storage.cache_settings import APPLICATION, FORM
from scorer.storage.names import derived_name

_SCHEMA = (
    b"CREATE TABLE contexts (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, description BLOB NOT NULL)",
    b"CREATE TABLE runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, first INTEGER NOT NULL)",
    b"CREATE TABLE totals (entries INTEGER NOT NULL)",
    b"CREATE TABLE scores (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, context INTEGER NOT NULL, "
    b"run INTEGER NOT NULL, value BLOB NOT NULL)",
)
# Most seconds to wait for another process's transaction: while the run continues, and once it ends.
_BUSY_SECONDS, _CLOSING_SECONDS = 10.0, 3.0
# Seconds that SQLite waits, within which it cannot be asked to stop waiting, and to try again what it does not wait for.
_STEP_SECONDS, _PAUSE_SECONDS = 0.5, 0.02
_PAGES_KIB = 16_384  # memory of a connection for pages of the file
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
}
# A folder that is not writable lacks the file that SQLite's readers and writers share.
_NOT_SHARED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

_T = TypeVar("_T")


class CacheDamaged(sqlite3.DatabaseError):
    """Content that no version of this program writes."""


class Connection(sqlite3.Connection):
    """Connection to a cache file, which is noted while it is open.

    Attributes:
        identity: the file.
    """

    identity: Identity | None = None

    def is_at(self, path: Path) -> bool:
        """Return whether the file still has its name, and content."""
        try:
            found = path.stat()
        except OSError:
            return False
        return Identity(found.st_dev, found.st_ino) == self.identity and found.st_size > 0

    def close(self) -> None:
        """Close it; the last connection of all processes moves what was written into the file itself."""
        with contextlib.suppress(sqlite3.Error):
            super().close()
        if self.identity is not None:
            forget(self.identity)
            self.identity = None


class Entry(NamedTuple):
    """Entry of the database.

    Attributes:
        id: number that grows with each write and use.
        key: its key.
        run: number of the run that added it.
        value: its value.
    """

    id: int
    key: bytes
    run: int
    value: bytes


def is_damage(error: BaseException) -> bool:
    """Return whether an error means that the content of the database is damaged."""
    return isinstance(error, CacheDamaged | OverflowError | UnicodeDecodeError) or _code(error) in _DAMAGE


def reason(error: BaseException) -> str:
    """Return the reason of an error, for people."""
    if isinstance(error, UnicodeDecodeError):  # SQLite's message quotes what it read
        return "its schema is not text"
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return str(error) or type(error).__name__


def opened(path: Path) -> Connection:
    """Open a cache file for writing; create it if it is missing or empty.

    Raises:
        CacheDamaged: its tables are not those of a cache.
        sqlite3.Error, OSError: it cannot be used.
    """
    check_locks(path, os.O_RDWR | os.O_CREAT)
    _check_header(path)
    connection = connected(path)
    with _closed_on_error(connection):
        with transaction(connection) as write:
            if not _tables(write):
                _create(write)
            _check_tables(write)
        _use_wal(connection)
        # Each commit is durable, as each entry of a run's journal is.
        connection.execute("PRAGMA synchronous = FULL")
        _bound_memory(connection)
    return connection


def opened_for_reading(path: Path) -> Connection:
    """Open a cache file that stays as it is.

    Raises:
        CacheDamaged, sqlite3.Error, OSError: as for `opened`, or it is missing or empty.
    """
    check_locks(path, os.O_RDONLY)
    if not path.stat().st_size:
        raise OSError("it is empty")
    _check_header(path)
    # SQLite would create its log, which another user who writes later may not be allowed to open.
    if has_log(path):
        try:
            return _opened_to_read(path, "?mode=ro")
        except sqlite3.OperationalError as error:
            if _code(error) not in _NOT_SHARED:
                raise
    # A writer may change pages meanwhile, but every value has its own check.
    return _opened_to_read(path, "?mode=ro&immutable=1")


def has_log(path: Path) -> bool:
    """Return whether a cache file has a log, as it has while another process writes it."""
    return os.path.exists(f"{path}-wal")


def opened_beside(path: Path) -> Connection:
    """Open another connection to a cache file that `opened` has checked, for reading.

    Raises:
        CacheDamaged, sqlite3.Error, OSError: as for `opened`.
    """
    return _opened_to_read(path, "?mode=rw")


def connected(path: Path, mode: str = "?mode=rw") -> Connection:
    """Connect to an existing database; nothing is read yet.

    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}{mode}",
        uri=True,
        timeout=_STEP_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    with _closed_on_error(connection):
        connection.identity = note(path)
        connection.text_factory = bytes  # damaged text need not be UTF-8
        for setting in ("trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {setting}")
    return connection


@contextlib.contextmanager
def transaction(connection: Connection, closing: threading.Event | None = None) -> Iterator[sqlite3.Cursor]:
    """Commit what is done meanwhile, or undo it after an error; no other process can write meanwhile.

    Args:
        connection: connection to write with.
        closing: event after which another process is not waited for as long; None without one.
    """
    # The file stays locked until the cursor of a failed statement is closed, which the error's traceback holds.
    with contextlib.closing(connection.cursor()) as cursor:
        _when_free(lambda: cursor.execute("BEGIN IMMEDIATE"), closing)
        try:
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise


def entries(connection: Connection, keys: Sequence[bytes], closing: threading.Event | None = None) -> Iterator[Entry]:
    """Yield the entries of some keys, in any order.

    Args:
        connection: connection to read with.
        keys: different keys.
        closing: event as for `transaction`.

    Raises:
        CacheDamaged: an entry's fields are of the wrong types.
    """
    query = f"SELECT id, key, run, value FROM scores WHERE key IN ({','.join('?' * len(keys))})"
    for entry in map(Entry._make, _when_free(lambda: connection.execute(query, keys).fetchall(), closing)):
        if not (isinstance(entry.key, bytes) and isinstance(entry.run, int) and isinstance(entry.value, bytes)):
            raise CacheDamaged("an entry has fields of the wrong types")
        yield entry


def next_id(write: sqlite3.Cursor) -> int:
    """Return the id of the next entry."""
    return whole(write.execute("SELECT coalesce(max(id), 0) + 1 FROM scores"))


def move(write: sqlite3.Cursor, ids: Sequence[int]) -> None:
    """Give entries the next ids, in order; ids that are gone are left out.

    Consecutive ids, as those of a file whose rows come in the order of last night, are one statement.
    """
    at = next_id(write)
    for first, last in _runs(ids):
        write.execute("UPDATE scores SET id = id + ? WHERE id BETWEEN ? AND ?", (at - first, first, last))
        at += last - first + 1


def _runs(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of numbers that follow each other.

    >>> list(_runs([3, 4, 5, 9, 8, 11, 12]))
    [(3, 5), (9, 9), (8, 8), (11, 12)]
    """
    for _, run in groupby(enumerate(ids), key=lambda one: one[1] - one[0]):
        numbers = [number for _, number in run]
        yield numbers[0], numbers[-1]


def whole(found: sqlite3.Cursor) -> int:
    """Return the only value of a query, a whole number.

    Raises:
        CacheDamaged: it is something else.
    """
    row = found.fetchone()
    if row is None or not isinstance(row[0], int):
        raise CacheDamaged("a count is not a whole number")
    return row[0]


def set_aside(path: Path, before: tuple[int, int] | None) -> bool:
    """Copy a damaged file to another name and empty it, unless a connection uses it; return whether the damage is gone.

    A new cache begins in the same file. If it were another file of that name, a process might have opened the damaged one and
    not read it yet. It would then use the log of the new one.

    Args:
        path: path of the file.
        before: `stamp_aside` before the damage was found; if it changed, another process has set the file aside.
    """
    try:
        with opened_apart(path, os.O_RDWR) as descriptor:
            if descriptor is None:
                return False
            lock_alone(descriptor)
            if stamp_aside(path) == before and os.fstat(descriptor).st_size:
                publish_copy_of(descriptor, aside(path))
                for suffix in ("-wal", "-shm", "-journal"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
                os.ftruncate(descriptor, 0)
    except OSError:
        return False
    return True


def stamp_aside(path: Path) -> tuple[int, int] | None:
    """Return what `set_aside` changes: inode and time of the copy; None if it is missing."""
    try:
        found = aside(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def aside(path: Path) -> Path:
    """Return the name of the copy that `set_aside` makes."""
    return path.with_name(derived_name(path.name, suffix=".damaged"))


def _code(error: BaseException) -> int | None:
    """Return SQLite's code of an error, without what extends it; None if it is not of SQLite."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _when_free(action: Callable[[], _T], closing: threading.Event | None = None) -> _T:
    """Return the result of an action that is tried again as long as another process keeps it from being done."""
    start = time.monotonic()
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            most = _CLOSING_SECONDS if closing is not None and closing.is_set() else _BUSY_SECONDS
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() - start >= most:
                raise
        time.sleep(_PAUSE_SECONDS)


def _opened_to_read(path: Path, mode: str) -> Connection:
    connection = connected(path, mode)
    with _closed_on_error(connection):
        with contextlib.closing(connection.cursor()) as cursor:
            _when_free(lambda: _check_tables(cursor))
        _bound_memory(connection)
    return connection


@contextlib.contextmanager
def _closed_on_error(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _bound_memory(connection: Connection) -> None:
    """Bound the memory of a connection."""
    connection.execute(f"PRAGMA cache_size = -{_PAGES_KIB}")


def _tables(cursor: sqlite3.Cursor) -> list[Any]:
    """Return the statements of everything in the database: a trigger or view could make any statement run for ever."""
    return cursor.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()


def _check_header(path: Path) -> None:
    """Check what SQLite reports as if the file were read-only, or of another version of SQLite."""
    with opened_apart(path, os.O_RDONLY) as descriptor:
        header = b"" if descriptor is None else os.read(descriptor, 100)
    if header and (max(header[18:20]) > 2 or int.from_bytes(header[44:48]) > 4):
        raise CacheDamaged("its header is invalid")


def _create(write: sqlite3.Cursor) -> None:
    for statement in _SCHEMA:
        write.execute(statement.decode())
    write.execute("INSERT INTO totals VALUES (0)")
    write.execute(f"PRAGMA application_id = {APPLICATION}")
    write.execute(f"PRAGMA user_version = {FORM}")


def _check_tables(cursor: sqlite3.Cursor) -> None:
    if _tables(cursor) != [(statement,) for statement in _SCHEMA]:
        raise CacheDamaged("its tables are not those of a cache")


def _use_wal(connection: Connection) -> None:
    """Turn on the write-ahead log, with which readers and a writer do not wait for each other."""
    (mode,) = _when_free(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
    if mode != b"wal":
        raise sqlite3.OperationalError("its file system does not support a write-ahead log")
