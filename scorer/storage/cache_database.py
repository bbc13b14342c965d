"""The SQLite database of a cache file: its form, its connections and its statements."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scorer.storage.cache_settings import APPLICATION, FORM, held

_SCHEMA = (
    b"CREATE TABLE contexts (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, description BLOB NOT NULL)",
    b"CREATE TABLE runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, first INTEGER NOT NULL)",
    b"CREATE TABLE totals (entries INTEGER NOT NULL)",
    b"CREATE TABLE scores (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, context INTEGER NOT NULL, "
    b"run INTEGER NOT NULL, value BLOB NOT NULL)",
)
_BUSY_SECONDS = 10.0
_PAGES_KIB = 16_384  # memory of a connection for pages of the file
_TRIES = 100
# SQLite keeps a shared lock on these bytes of a file while it has the file open in WAL mode: its first, and their number.
_LOCK_BYTES = (0x40000000, 512)
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}


class CacheDamaged(sqlite3.DatabaseError):
    """Content that no version of this program writes."""


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
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, CacheDamaged | OverflowError) or (code is not None and code & 0xFF in _DAMAGE)


def opened(path: Path) -> sqlite3.Connection:
    """Open a cache file for writing; create it if it is missing or empty.

    Raises:
        CacheDamaged: its tables are not those of a cache.
        sqlite3.Error: it cannot be used.
    """
    connection = connected(path)
    try:
        with transaction(connection) as write:
            if not _tables(write):
                _create(write)
            _check_tables(write)
        _use_wal(connection)
        # Each commit is durable, as each entry of a run's journal is.
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        close(connection, path)
        raise
    return connection


def opened_for_reading(path: Path) -> sqlite3.Connection:
    """Open a cache file that stays as it is.

    Raises:
        CacheDamaged, sqlite3.Error: as for `opened`.
        OSError: it is missing.
    """
    path.stat()
    connection = connected(path, "?mode=ro")
    try:
        _check_tables(connection.cursor())
    except sqlite3.OperationalError:
        close(connection, path)
        # A folder that is not writable lacks the file that SQLite's readers and writers share. Without it, a writer of
        # another machine may change pages meanwhile, but every value has its own check.
        connection = connected(path, "?mode=ro&immutable=1")
        try:
            _check_tables(connection.cursor())
        except BaseException:
            close(connection, path)
            raise
    except BaseException:
        close(connection, path)
        raise
    return connection


def connected(path: Path, mode: str = "?mode=rwc") -> sqlite3.Connection:
    """Connect to a database, and bound its memory; nothing is read yet."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}{mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = bytes  # damaged text need not be UTF-8
    held(path, 1)
    for setting in (f"cache_size = -{_PAGES_KIB}", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def close(connection: sqlite3.Connection, path: Path) -> None:
    """Close a connection; the last one moves what was written into the file itself."""
    with contextlib.suppress(sqlite3.Error):
        connection.close()
    held(path, -1)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Cursor]:
    """Commit what is done meanwhile, or undo it after an error; no other process can write meanwhile."""
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    try:
        yield cursor
        cursor.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            cursor.execute("ROLLBACK")
        raise


def entries(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[Entry]:
    """Yield the entries of some keys, in any order.

    Raises:
        CacheDamaged: an entry's fields are of the wrong types.
    """
    marks = ",".join("?" * len(keys))
    for entry in map(
        Entry._make, connection.execute(f"SELECT id, key, run, value FROM scores WHERE key IN ({marks})", keys)
    ):
        if not (isinstance(entry.key, bytes) and isinstance(entry.run, int) and isinstance(entry.value, bytes)):
            raise CacheDamaged("an entry has fields of the wrong types")
        yield entry


def next_id(write: sqlite3.Cursor) -> int:
    """Return the id of the next entry."""
    return whole(write.execute("SELECT coalesce(max(id), 0) + 1 FROM scores"))


def whole(found: sqlite3.Cursor) -> int:
    """Return the only value of a query, a whole number.

    Raises:
        CacheDamaged: it is something else.
    """
    row = found.fetchone()
    if row is None or not isinstance(row[0], int):
        raise CacheDamaged("a count is not a whole number")
    return row[0]


def set_aside(path: Path) -> bool:
    """Rename a damaged file, unless another process uses it; return whether it was renamed.

    No connection of this process may be open.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
        try:
            first, number = _LOCK_BYTES
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, number, first)
            os.replace(path, aside(path))
            for suffix in ("-wal", "-shm", "-journal"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def aside(path: Path) -> Path:
    """Return the name that `set_aside` gives a file."""
    return path.with_name(f"{path.name}.damaged")


def _tables(cursor: sqlite3.Cursor) -> list[Any]:
    return cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()


def _create(write: sqlite3.Cursor) -> None:
    for statement in _SCHEMA:
        write.execute(statement.decode())
    write.execute("INSERT INTO totals VALUES (0)")
    write.execute(f"PRAGMA application_id = {APPLICATION}")
    write.execute(f"PRAGMA user_version = {FORM}")


def _check_tables(cursor: sqlite3.Cursor) -> None:
    if _tables(cursor) != [(statement,) for statement in _SCHEMA]:
        raise CacheDamaged("its tables are not those of a cache")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log, with which readers and a writer do not wait for each other."""
    for left in reversed(range(_TRIES)):
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError:  # another process is turning it on, for which SQLite does not wait
            if not left:
                raise
            time.sleep(_BUSY_SECONDS / _TRIES)
    if mode != b"wal":
        raise sqlite3.OperationalError("its file system does not support a write-ahead log")
