"""Seconds by phase, of all threads together."""

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


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


class Stopwatch:
    """Seconds of work that comes in pieces, each in a ``with`` block, while this process does nothing else.

    Attributes:
        clock: seconds on the clock.
        cores: seconds of all cores together.
    """

    def __init__(self) -> None:
        self.clock = self.cores = 0.0

    @property
    def busy(self) -> float:
        """Seconds without those of waiting, as for a disk that has what was read once at hand the next time."""
        return min(self.clock, self.cores)

    def __enter__(self) -> Self:
        self._begin = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clock, cores = self._begin
        self.clock += time.perf_counter() - clock
        self.cores += time.process_time() - cores

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items; the time that they take counts, and that of the caller does not."""
        found = iter(items)
        while True:
            with self:
                try:
                    item = next(found)
                except StopIteration:
                    return
            yield item
