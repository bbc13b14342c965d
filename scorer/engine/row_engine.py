"""Engine for CPUs: computes token rows without padding, and each as if it were alone."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np

from scorer.base.errors import BundleError
from scorer.base.timing import Phases
from scorer.engine.batches import equal_lengths
from scorer.engine.pending import Pending, cancelled_on_error
from scorer.engine.protocols import Session, finite

RUN_TOKENS = 256
"""Largest number of tokens in a run of several rows; more together are no faster (docs/PERFORMANCE.md)."""

_CHECKING = 1 / 8  # largest share of the time for checks


class RowEngine:
    """Engine that computes rows unpadded, with one thread a core on a single-threaded session.

    Short rows of equal length can share a run. A row's logits must not depend on its neighbours. So the first run of a
    shape is also computed row by row, and if a single bit differs, rows never share a run again. These checks take at
    most an eighth of the time.

    Of the rows submitted together, the longest come first, so that no long row is left for the end while the other
    cores idle.

    Args:
        session: session that computes with one thread, for all threads.
        threads: number of runs at a time.
        output: name of the graph's output.
        phases: phases that get the seconds of the computation.
        phase: name of its phase.
        share: whether rows may share a run; only for a graph with `scorer.engine.runtime.INDEPENDENT_ROWS`.
    """

    chunk_rows = 256
    journal_rows = 256
    batch_tokens = None
    padding = None

    def __init__(
        self,
        session: Session,
        threads: int,
        output: str = "logits",
        phases: Phases | None = None,
        phase: str = "compute",
        *,
        share: bool = False,
    ) -> None:
        self._session = session
        self._threads = threads
        self._phases = phases or Phases()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=phase)
        self._output = output
        self._phase = phase
        self._share = share
        self._seconds, self._checking = 0.0, 0.0  # of rows computed alone, of checks
        self._checked: set[tuple[int, ...]] = set()  # (rows, sequence) of runs that gave the bits of single rows

    def warm_up(self, token: int) -> None:
        """Do nothing: the largest row is computed at the start anyway, and a run of several rows is small."""

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        # At least two runs a thread, so that few rows keep every core busy.
        budget = min(RUN_TOKENS, sum(map(len, rows)) // (2 * self._threads)) if self._share else 0
        job = _Rows(self._run, rows, budget)
        pending = Pending(job.logits, job.cancel)
        with cancelled_on_error(pending):
            for _ in job.runs:
                job.tasks.append(self._pool.submit(job.one))
        return pending

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return self.submit(rows).result()

    def _run(self, rows: list[np.ndarray]) -> np.ndarray:
        """Compute rows of equal length: (rows, logits), or whatever output the graph has of them, one after the other."""
        ids = np.stack(rows)  # (rows, sequence)
        with self._phases.timed(self._phase):
            return finite(self._shared(ids) if len(rows) > 1 else self._together(ids))

    def _shared(self, ids: np.ndarray) -> np.ndarray:
        if self._share and ids.shape in self._checked:
            return self._together(ids)
        start = time.perf_counter()
        alone = np.concatenate([self._together(row[np.newaxis]) for row in ids])
        computed = time.perf_counter()
        self._seconds += computed - start
        if self._share and self._checking <= self._seconds * _CHECKING:
            if alone.tobytes() == self._together(ids).tobytes():
                self._checked.add(ids.shape)
            else:
                self._share = False
            self._checking += time.perf_counter() - computed
        return alone

    def _together(self, ids: np.ndarray) -> np.ndarray:
        return self._session.run([self._output], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]


class _Rows:
    """Rows submitted to a `RowEngine`: one task a run, each of which takes the longest rows left."""

    def __init__(self, run: Callable[[list[np.ndarray]], np.ndarray], rows: Sequence[np.ndarray], budget: int) -> None:
        self.tasks: list[Future[None]] = []
        self.runs = equal_lengths([len(row) for row in rows], budget)
        self._run = run
        self._rows = rows
        self._waiting = deque(self.runs)
        self._done: list[np.ndarray | None] = [None] * len(rows)

    def one(self) -> None:
        try:
            numbers = self._waiting.popleft()
        except IndexError:  # cancelled
            return
        try:
            found = self._run([self._rows[number] for number in numbers])
            if len(numbers) > 1 and len(found) != len(numbers):
                raise BundleError(f"the graph gives logits of {len(found)} rows for {len(numbers)} rows.")
            for number, logits in zip(numbers, np.split(found, len(numbers)), strict=True):
                self._done[number] = logits
        except BaseException:
            self.cancel()
            raise

    def logits(self) -> np.ndarray:
        for task in self.tasks:
            task.result()
        done = [logits for logits in self._done if logits is not None]
        if len(done) < len(self._rows):
            raise CancelledError
        return np.concatenate(done) if done else np.empty((0, 0))

    def cancel(self) -> None:
        """Drop the rows that no thread has started."""
        self._waiting.clear()
