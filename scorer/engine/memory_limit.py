"""Temporary limit on this process's memory, for attempts that might otherwise take all of the machine's."""

import contextlib
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_M_ARENA_MAX = -8  # of malloc.h
_HELD = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)


def share_heap() -> None:
    """Let all threads share one heap for later allocations; with glibc only.

    Otherwise each thread reserves 64 MB of address space for its own heap while the limit allows it. Too little would
    be left for allocations that must succeed.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def limited(more: int, status: Path = Path("/proc/self/status")) -> Iterator[None]:
    """Let allocations fail meanwhile if this process would hold over ``more`` bytes more than now; on Linux only."""
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
