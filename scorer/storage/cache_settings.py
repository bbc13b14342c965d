"""Settings of a cache file, and its identification before it is opened as a database."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scorer.base.errors import UsageError
from scorer.storage.address import is_address
from scorer.storage.cache_locks import opened_apart

FORM = 1
APPLICATION = 0x53434F52  # SCOR
_MAGIC = b"SQLite format 3\0"
_HEADER = 100


@dataclass(frozen=True)
class CacheSettings:
    """Cache file, and its use.

    Attributes:
        path: path of the file, which is created if it is missing.
        max_rows: largest number of entries, beyond which the least recently used ones go; None for no limit.
        read_only: whether the file stays as it is; ``max_rows`` then has no effect.
    """

    path: str
    max_rows: int | None = None
    read_only: bool = False

    @classmethod
    def of(cls, given: object) -> Self:
        """Return the settings that a Python caller gives: the name of a file, or settings.

        >>> CacheSettings.of(Path("scores.sqlite"))
        CacheSettings(path='scores.sqlite', max_rows=None, read_only=False)

        Raises:
            UsageError: it is something else.
        """
        if isinstance(given, cls):
            return given
        path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
        if not isinstance(path, str):
            raise UsageError(f"cache takes the name of a file or CacheSettings, not {given!r}.")
        return cls(path)

    def check(self) -> None:
        """Raise `UsageError` if a setting is invalid, or if the file cannot be a cache of this version."""
        self.check_alone()
        identify(Path(self.path))

    def check_alone(self) -> None:
        """Raise `UsageError` if a setting is invalid, without a look at the file."""
        if not self.path:
            raise UsageError("the name of the cache is empty.")
        if is_address(self.path):
            raise UsageError(f"--cache {self.path} is an address; name a file on a local disk.")
        if self.max_rows is not None and (type(self.max_rows) is not int or self.max_rows < 1):
            raise UsageError(f"--cache-max-rows takes a whole number of at least 1, not {self.max_rows}.")


def identify(path: Path) -> None:
    """Raise `UsageError` if a file is no cache, is a cache of a newer version, or would lie in a missing folder."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.parent.is_dir():
            return
        raise UsageError(f"--cache {path}: the folder {path.parent} does not exist; create it first.") from None
    except OSError:
        return  # opening it fails as well, which is reported
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"--cache {path} is not a regular file; name another.")
    try:
        with opened_apart(path, os.O_RDONLY) as descriptor:
            if descriptor is None:  # a cache that this process uses
                return
            header = os.read(descriptor, _HEADER)
    except OSError:
        return
    if not header:
        return
    application, form = header[68:72], header[60:64]
    if len(header) < _HEADER or not header.startswith(_MAGIC) or int.from_bytes(application) != APPLICATION:
        raise UsageError(f"--cache {path} exists and is no cache of this program; name another file.")
    if int.from_bytes(form) > FORM:
        raise UsageError(
            f"--cache {path} is of a newer version of this program (form {int.from_bytes(form)}, and this version knows "
            f"{FORM}); name another file."
        )
