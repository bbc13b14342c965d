"""Sessions of one graph for several threads of a CPU."""

import threading
import time
from collections.abc import Callable

import numpy as np

from scorer.base.available_memory import available_memory
from scorer.base.shortage import memory_left
from scorer.engine.runtime import Session

# Seconds that a thread computes on the shared session before it opens its own, which takes a tenth of that.
_SHARED_SECONDS = 1.0
# Share of the available memory that all own sessions may take, and bytes of one by the bytes of its graph (up to 1.8).
_SHARE = 1 / 4
_TIMES = 2


class ThreadSessions:
    """Session that all threads share at first; each that computes for long gets its own, if memory allows.

    A session keeps its buffers in one arena. The threads of a shared session get each other's buffers, which are still in
    the cache of another core. This costs up to a fifth of the speed if the cores share no cache (docs/PERFORMANCE.md). All
    sessions give the same bits.

    Args:
        open_session: function that opens a session.
        threads: number of threads that will compute.
        size: bytes of the graph with its weights.

    Attributes:
        independent_rows: see `scorer.engine.runtime.Session`.
    """

    def __init__(self, open_session: Callable[[], Session], threads: int, size: int) -> None:
        self._shared = open_session()
        self.independent_rows = self._shared.independent_rows
        self._lock = threading.Lock()
        self._left = min(threads - 1, affordable(size))
        self._open: Callable[[], Session] | None = open_session if self._left else None
        self._of_thread = threading.local()

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the graph as `Session.run` does, on the calling thread's session."""
        own: Session | None = getattr(self._of_thread, "session", None)
        if own is not None:
            return own.run(output_names, input_feed)
        start = time.perf_counter()
        found = self._shared.run(output_names, input_feed)
        seconds = getattr(self._of_thread, "seconds", 0.0) + time.perf_counter() - start
        self._of_thread.seconds = seconds
        if self._open is not None and seconds >= _SHARED_SECONDS:
            self._of_thread.session = self._opened()
        return found

    def _opened(self) -> Session | None:
        """Open a session for the calling thread; None if the others have them all, or it cannot be opened."""
        with self._lock:
            opened, self._left = self._open, self._left - 1
            if self._left <= 0:
                self._open = None  # frees the graph's bytes
        if opened is None:
            return None
        try:
            return opened()
        except Exception:  # the shared one computes the same
            self._open = None
            return None


def affordable(size: int) -> int:
    """Return the number of further sessions that memory has room for; 0 if this process has a limit of its own.

    Args:
        size: bytes of the graph with its weights.
    """
    available = available_memory() if memory_left() is None else None
    return 0 if available is None else int(available * _SHARE) // (_TIMES * size)
