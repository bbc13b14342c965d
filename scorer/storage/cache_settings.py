"""Settings of a cache file, and its identification before it is opened as a database."""

import contextlib
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from scorer.base.errors import UsageError
from scorer.storage.address import is_address

FORM = 1
APPLICATION = 0x53434F52  # SCOR
_MAGIC = b"SQLite format 3\0"
_HEADER = 100

# Files that this process has open, by device and inode. Closing any other descriptor of one would release SQLite's locks.
_held: Counter[tuple[int, int]] = Counter()


@dataclass(frozen=True)
class CacheSettings:
    """Cache file, and its use.

    Attributes:
        path: path of the file, which is created if it is missing.
        max_rows: largest number of entries, beyond which the least recently used ones go; None for no limit.
        read_only: whether the file stays as it is.
    """

    path: str
    max_rows: int | None = None
    read_only: bool = False

    def check(self) -> None:
        """Raise `UsageError` if the settings contradict each other, or if the file cannot be a cache of this version."""
        if is_address(self.path):
            raise UsageError(f"--cache {self.path} is an address; name a file on a local disk.")
        if self.max_rows is not None and self.read_only:
            raise UsageError(
                "--cache-max-rows limits what is added, and --cache-read-only adds nothing; give one of them."
            )
        identify(Path(self.path))


def identify(path: Path) -> None:
    """Raise `UsageError` if a file is no cache, is a cache of a newer version, or would lie in a missing folder."""
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.parent.is_dir():
            return
        raise UsageError(f"--cache {path}: the folder {path.parent} does not exist; create it first.") from None
    except OSError:
        return  # opening it fails as well, which is reported
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"--cache {path} is not a regular file; name another.")
    if not found.st_size or _held[found.st_dev, found.st_ino]:
        return
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return
    application, form = header[68:72], header[60:64]
    if len(header) < _HEADER or not header.startswith(_MAGIC) or int.from_bytes(application) != APPLICATION:
        raise UsageError(f"--cache {path} exists and is no cache of this program; name another file.")
    if int.from_bytes(form) > FORM:
        raise UsageError(
            f"--cache {path} is of a newer version of this program (form {int.from_bytes(form)}, and this version knows "
            f"{FORM}); name another file."
        )


def held(path: Path, change: int) -> None:
    """Note that a connection of this process to a file was opened, 1, or closed, -1."""
    with contextlib.suppress(OSError):
        found = path.stat()
        _held[found.st_dev, found.st_ino] += change
