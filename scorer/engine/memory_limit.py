"""Temporary limit on this process's memory, for attempts that might otherwise take all of the machine's."""

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

from scorer.base.available_memory import memory_held

_M_ARENA_MAX = -8  # of malloc.h


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

        held = memory_held(status)
    except ImportError:
        held = 0
    if not held:
        yield
        return
    before, most = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [held + more, *(limit for limit in (before, most) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))
