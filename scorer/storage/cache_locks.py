"""Locks of cache files, beside those of SQLite.

Locks of the system belong to a process and a file. If a process closes any descriptor of a file, it releases those that SQLite
has on it. A child of a fork has none of them, although its copy of SQLite supposes so. Files that SQLite has open are noted.
"""

import contextlib
import fcntl
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Bytes of a database that SQLite locks: its connections share the last 510 of them while they read, or as long as they are
# open if the database has a write-ahead log.
_FIRST, _NUMBER = 0x40000000, 512


class Identity(NamedTuple):
    """File, whatever its name.

    Attributes:
        device: number of its device.
        inode: its number there.
    """

    device: int
    inode: int


# Number of connections of this process to each file, and files that its parent had open when it was forked.
_connections: Counter[Identity] = Counter()
_of_parent: set[Identity] = set()
_lock = threading.Lock()


def note(path: Path) -> Identity:
    """Note a new connection to a file, before its first lock.

    Raises:
        OSError: the file is missing, or was opened before this process was forked.
    """
    with _lock:
        identity = _identity(path.stat())
        if identity in _of_parent:
            raise OSError("the process that this one was forked from has it open")
        _connections[identity] += 1
    return identity


def forget(identity: Identity) -> None:
    """Note that a connection was closed."""
    with _lock:
        _connections[identity] -= 1


@contextlib.contextmanager
def opened_apart(path: Path, flags: int) -> Iterator[int | None]:
    """Open a file without SQLite; None if a connection of this process would lose its locks.

    Meanwhile no other thread can note a connection.

    Raises:
        OSError: the file cannot be opened.
    """
    with _lock:
        with contextlib.suppress(FileNotFoundError):
            if _connections[_identity(path.stat())] > 0:
                yield None
                return
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o644)  # the mode that SQLite gives
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def check_locks(path: Path, flags: int) -> None:
    """Raise `OSError` if a file system has no locks, for which SQLite would wait as for those of another process.

    Args:
        path: path of the file.
        flags: flags to open it with.
    """
    with opened_apart(path, flags) as descriptor:
        if descriptor is None:
            return
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, _NUMBER, _FIRST)
        except (BlockingIOError, PermissionError):  # another process has a lock
            return
        except OSError as error:
            raise OSError(error.errno, f"its file system has no locks: {error.strerror}") from error


def lock_alone(descriptor: int) -> None:
    """Lock a file until it is closed, so that no process can read it as a database.

    Raises:
        OSError: another process reads it.
    """
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _NUMBER, _FIRST)


def _identity(found: os.stat_result) -> Identity:
    return Identity(found.st_dev, found.st_ino)


def _forked() -> None:
    global _lock
    _lock = threading.Lock()
    _of_parent.update(identity for identity, number in _connections.items() if number > 0)
    _connections.clear()


os.register_at_fork(after_in_child=_forked)
