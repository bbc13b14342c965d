"""Names of open descriptors: /dev/stdout, /dev/fd/3, /proc/1/fd/2. The shell opened them, perhaps to append."""

import fcntl
import os
import re
from dataclasses import dataclass
from typing import BinaryIO

from scorer.base.errors import UsageError

_MOST_LINKS = 40
_FOLDER = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd")


@dataclass(frozen=True)
class Descriptor:
    """Open descriptor that a path names.

    Attributes:
        path: name with all links resolved, as in ``/proc/17/fd/3``.
        number: number of a descriptor of this process; None for one of another process.
    """

    path: str
    number: int | None

    def open(self) -> BinaryIO:
        """Open it for writing at its current position; a file opened to append is not emptied.

        Raises:
            OSError: the descriptor is closed, or not open for writing.
        """
        number = os.dup(self.number) if self.number is not None else os.open(self.path, os.O_WRONLY | os.O_APPEND)
        return open(number, "wb", buffering=0)

    def check(self, option: str) -> None:
        """Raise `UsageError` if the descriptor cannot be written."""
        if self.number is None:
            return
        try:
            writes = fcntl.fcntl(self.number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        except OSError:
            writes = False
        if not writes:
            raise UsageError(
                f"{option}: descriptor {self.number} is not open for writing; open it in the shell, as in {self.number}>>FILE."
            )


def descriptor_of(path: str) -> Descriptor | None:
    """Return the descriptor that a name leads to, through any links; None for any other name.

    >>> descriptor_of("/dev/stderr").number, descriptor_of("/proc/self/fd/7").number, descriptor_of("/dev/null")
    (2, 7, None)
    """
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        if name.isdecimal():
            real = os.path.realpath(folder)
            process = _FOLDER.fullmatch(real)
            if process is not None or real == "/dev/fd":
                own = process is None or int(process[1]) == os.getpid()
                return Descriptor(f"{real}/{name}", int(name) if own else None)
        try:
            path = os.path.join(folder, os.readlink(path))
        except (OSError, ValueError):  # not a link, or a NUL in the name
            return None
    return None
