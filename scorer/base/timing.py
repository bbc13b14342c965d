"""Seconds by phase, of all threads together."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator


class Phases:
    """Sums of the seconds that each phase takes; phases of different threads overlap, so the total exceeds the clock.

    A run has these phases: ``read``, ``tokenize``, ``wide`` (if the wide part is a graph of its own), ``copy`` (of
    batches to the device, on GPUs), ``compute``, ``write``.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time that passes meanwhile to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - start)

    def add(self, phase: str, seconds: float) -> None:
        with self._lock:
            self._seconds[phase] += seconds

    @property
    def seconds(self) -> dict[str, float]:
        with self._lock:
            return dict(self._seconds)

    def clear(self) -> None:
        with self._lock:
            self._seconds.clear()
