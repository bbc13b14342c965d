"""Locked files, each held open by one process at a time, and opened so that no other file can take its place."""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

from scorer.base.errors import Busy, ScorerError
from scorer.base.messages import print_message

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_held: set[int] = set()


def hold(path: Path, purpose: str) -> int:
    """Create or open a file of our own and lock it; the lock ends with the process, however that ends.

    Args:
        path: path of the file. A symbolic link, another user's file or one with a second name is refused:
            it could redirect our output into a file that we did not make.
        purpose: output that needs the file, for messages.

    Returns:
        descriptor for reading and writing, to be passed to `release`.

    Raises:
        Busy: another process holds the file.
        ScorerError: it cannot be opened, or is refused.
    """
    try:
        while True:
            descriptor, created = _open(path)
            try:
                if not created:
                    _check_own(descriptor, path)
                _lock(descriptor, path, purpose)
                if _is_at(descriptor, path):
                    _held.add(descriptor)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its previous holder has just removed it
    except OSError as error:
        problem = "it is a symbolic link; remove it" if error.errno == errno.ELOOP else error.strerror
        raise ScorerError(f"{purpose} cannot be written: {path} cannot be opened: {problem}.") from error


def release(descriptor: int) -> None:
    """Close a file that `hold` opened, which releases its lock."""
    _held.discard(descriptor)
    os.close(descriptor)


def _open(path: Path) -> tuple[int, bool]:
    """Create a file with mode 0600, or open it; return the descriptor and whether the file is new.

    Programs that this process starts do not inherit the descriptor (Python's default).
    """
    while True:
        with contextlib.suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), True
        with contextlib.suppress(FileNotFoundError):
            # Non-blocking: a FIFO would wait for its other end.
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK), False


def _check_own(descriptor: int, path: Path) -> None:
    found = os.fstat(descriptor)
    # Some file systems assign every file to one user, who then owns the folder as well.
    owners = (os.geteuid(), path.parent.stat().st_uid)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners or found.st_nlink > 1:
        raise ScorerError(
            f"{path} is needed for work in progress, but it is not a regular file of this user with a single name; "
            "remove it."
        )


def _lock(descriptor: int, path: Path, purpose: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(f"another run is writing {purpose}; wait until it ends, or write to another file.") from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        print_message(f"Warning: {path.parent} does not support locks; make sure that only one run writes {purpose}.")


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _forget() -> None:
    """Close all held files in a forked child, which must not keep its parent's locks alive."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)
