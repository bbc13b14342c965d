"""Where the time goes: seconds by phase, of all threads together."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator


class Phases:
    """Adds up the seconds that each phase takes; phases of different threads overlap, so they add up to more than a clock.

    The phases of a run: ``read``, ``tokenize``, ``wide`` (where the wide part is apart), ``copy`` (batches to the device;
    none on CPU), ``compute``, ``write``.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """What happens meanwhile belongs to a phase."""
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
