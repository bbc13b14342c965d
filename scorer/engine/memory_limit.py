"""A limit on this process's memory, for as long as something is tried out that may want all there is."""

import contextlib
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_M_ARENA_MAX = -8  # of malloc.h
_HELD = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)


def unlimited() -> None:
    """In a process that was started while `limited` held: give it what the system gives."""
    with contextlib.suppress(ImportError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def share_heap() -> None:
    """Have all threads allocate from one heap from now on; with glibc only.

    Each would else reserve 64 MB of address space for a heap of its own, as long as the limit lets it, and leave nothing
    for what cannot do without.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def limited(more: int, status: Path = Path("/proc/self/status")) -> Iterator[None]:
    """Meanwhile allocations fail where this process would hold ``more`` bytes more than now; on Linux only."""
    try:
        import resource

        held = _HELD.search(status.read_text())
    except (ImportError, OSError):
        held = None
    if held is None:
        yield
        return
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [int(held[1]) * 1024 + more, *(limit for limit in (before, most) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))
