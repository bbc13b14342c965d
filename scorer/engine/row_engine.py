"""Engine for CPUs: computes each token row alone."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np

from scorer.base.timing import Phases
from scorer.engine.batches import by_length
from scorer.engine.pending import Pending, cancelled_on_error
from scorer.engine.protocols import Session, finite


class RowEngine:
    """Engine that computes each row alone and unpadded, with one thread a core on a single-threaded session.

    No padding is computed, and a row's score cannot depend on its neighbours. Of the rows submitted together, the
    longest come first, so that no long row is left for the end while the other cores idle.

    Args:
        session: session that computes with one thread.
        threads: number of rows to compute at a time.
        output: name of the graph's output.
        phases: phases that get the seconds of the computation.
        phase: name of its phase.
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
        """Do nothing: the largest row, which is computed at the start anyway, needs the most memory."""

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        job = _Rows(self._run, rows)
        pending = Pending(job.logits, job.cancel)
        with cancelled_on_error(pending):
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
    """Rows submitted to a `RowEngine`: one task a row, each of which takes the longest row left."""

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
        """Drop the rows that no thread has started."""
        self._waiting.clear()
