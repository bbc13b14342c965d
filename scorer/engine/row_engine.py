"""The engine of CPUs: token rows to logits, a row a run."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np

from scorer.base.timing import Phases
from scorer.engine.batches import by_length
from scorer.engine.pending import Pending, given_up_on_error
from scorer.engine.protocols import Session, finite


class RowEngine:
    """A row a run: each row alone and unpadded, one caller thread a core, the session itself single-threaded.

    No padding is computed, and a row's score cannot depend on its neighbours. Of what is submitted together the longest
    rows go first, so that no long one is left for the end while the other cores idle.

    Args:
        session: a session with one thread of its own.
        threads: how many rows are computed at a time.
        output: the graph's output to take.
        phases: where the seconds go that it computes.
        phase: what they are called there.
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
    ) -> None:
        self._session = session
        self._phases = phases or Phases()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=phase)
        self._output = output
        self._phase = phase

    def warm_up(self, token: int) -> None:
        """A row alone needs no more memory than the largest one, which is tried anyway."""

    def remarks(self) -> list[str]:
        return []

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        job = _Rows(self._run, rows)
        pending = Pending(job.logits, job.cancel)
        with given_up_on_error(pending):
            for _ in rows:
                job.tasks.append(self._pool.submit(job.one))
        return pending

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return self.submit(rows).result()

    def _run(self, row: np.ndarray) -> np.ndarray:
        ids = row[np.newaxis]  # (1, sequence)
        with self._phases.timed(self._phase):
            found = self._session.run([self._output], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        return finite(found)


class _Rows:
    """Rows of a `RowEngine`: one task a row, each takes the longest row that is left."""

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], rows: Sequence[np.ndarray]) -> None:
        self.tasks: list[Future[None]] = []
        self._run = run
        self._rows = rows
        self._waiting = deque(by_length([len(row) for row in rows]))
        self._done: list[np.ndarray | None] = [None] * len(rows)

    def one(self) -> None:
        try:
            row = self._waiting.popleft()
        except IndexError:  # cancelled
            return
        try:
            self._done[row] = self._run(self._rows[row])
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
        """Leave the threads no row but those that they have."""
        self._waiting.clear()
