"""Sessions of one graph for several threads of a CPU."""

import threading
import time
from collections.abc import Callable

import numpy as np

from scorer.base.available_memory import available_memory, memory_held
from scorer.base.shortage import memory_left
from scorer.engine.runtime import Session

# Seconds that a thread computes before it opens a session, by the seconds that opening takes: Python waits meanwhile.
_TIMES_OPENING = 20
# Share of the available memory that the next session may take, and least bytes of one by the bytes of its graph.
_SHARE = 1 / 4
_TIMES_SIZE = 2


class ThreadSessions:
    """Session that all threads share at first; each that computes for long gets its own, if memory allows.

    A session keeps its buffers in one arena. The threads of a shared session get each other's buffers, which are still in
    the cache of another core. This costs up to a fifth of the speed (docs/PERFORMANCE.md). All sessions give the same bits.

    Args:
        open_session: function that opens a session.
        threads: number of threads that will compute.
        size: bytes of the graph with its weights.

    Attributes:
        independent_rows: see `scorer.engine.runtime.Session`.
    """

    def __init__(self, open_session: Callable[[], Session], threads: int, size: int) -> None:
        start, held = time.perf_counter(), memory_held()
        self._shared = open_session()
        self._bytes = max(_TIMES_SIZE * size, memory_held() - held)  # a graph can hold more than its file
        self._patience = _TIMES_OPENING * threads * (time.perf_counter() - start)
        self.independent_rows = self._shared.independent_rows
        self._lock = threading.Lock()
        self._threads = threads
        self._waiting = threads  # threads that keep no session yet
        self._open: Callable[[], Session] | None = open_session if threads > 1 else None
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
        if self._open is not None and seconds >= self._patience:
            self._of_thread.session = self._kept()
        return found

    def _kept(self) -> Session | None:
        """Return the session that the calling thread keeps; None if memory has no room for one now.

        The first thread keeps the shared one, and so do all if another cannot be opened.
        """
        with self._lock:
            is_first, opened = self._waiting == self._threads, self._open
            if opened is None:
                return self._shared
            if not is_first and not has_room(self._bytes):
                self._of_thread.seconds = 0.0
                return None
            self._waiting -= 1
            try:
                own = self._shared if is_first else opened()
            except Exception:  # the shared one computes the same
                own, self._waiting = self._shared, 0
            if self._waiting == 0:
                self._open = None  # frees the graph's bytes
            return own


def has_room(size: int) -> bool:
    """Return whether memory has room for another session; false if this process has a limit of its own.

    Args:
        size: bytes of the session.
    """
    available = available_memory() if memory_left() is None else None
    return available is not None and size <= available * _SHARE
