"""What engines are; that of CPUs, token rows to logits, a row a run; logits to probabilities."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np

from scorer.batches import by_length
from scorer.errors import BundleError
from scorer.phases import Phases


class Session(Protocol):
    """The part of onnxruntime.InferenceSession that an engine uses."""

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


class Pending(Protocol):
    """Rows that are being computed, or wait for it."""

    def result(self) -> np.ndarray:
        """Wait for the rows' logits; an error in any of them is raised, and the others are given up.

        NaN are the logits of a row for which the device has no memory, and of no other.

        Raises:
            CancelledError: rows were given up.
        """
        ...

    def cancel(self) -> None:
        """Give up the rows that no thread has begun yet."""
        ...


@contextlib.contextmanager
def given_up_on_error(pending: Pending) -> Iterator[None]:
    """After an error or an interrupt nobody would ever wait for these rows."""
    try:
        yield
    except BaseException:
        pending.cancel()
        raise


class Computing(Protocol):
    """What gives rows' logits."""

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """int64 token ids, one array of shape (sequence,) a row -> float32 (rows, logits)."""
        ...


class Engine(Computing, Protocol):
    """What turns token rows into logits, now or while the caller does something else.

    Attributes:
        window_rows: how many rows it wants at a time, to order them by length.
        journal_rows: how many rows it is worth making durable: seconds of work to milliseconds of the disk's.
        batch_tokens: padded tokens of a batch at most, as far as memory allowed; None where there are no batches.
        padding: the share of all tokens computed that was padding; None where nothing is padded.
    """

    window_rows: int
    journal_rows: int

    @property
    def batch_tokens(self) -> int | None: ...

    @property
    def padding(self) -> float | None: ...

    def warm_up(self, token: int) -> None:
        """Meet what is short before the first row is computed.

        Args:
            token: any id that the model knows.
        """
        ...

    def remarks(self) -> list[str]:
        """What is worth knowing of how it computed."""
        ...

    def submit(self, rows: Sequence[np.ndarray]) -> Pending:
        """Begin with token ids, as for `logits`; the result is in the order given.

        What was submitted first is computed first; while it is, the caller reads and tokenizes what comes next.
        """
        ...


class RowEngine:
    """A row a run: each row alone and unpadded, one caller thread a core, the session itself single-threaded.

    No padding is computed, and a row's score cannot depend on its neighbours. Of what is submitted together the longest
    rows go first, so that no long one is left for the end while the other cores idle.

    Args:
        session: a session with one thread of its own.
        threads: how many rows are computed at a time.
        output: the graph's output to take.
        phases: where the seconds go that it computes.
    """

    window_rows = 256
    journal_rows = 256
    batch_tokens = None
    padding = None

    def __init__(self, session: Session, threads: int, output: str = "logits", phases: Phases | None = None) -> None:
        self._session = session
        self._phases = phases or Phases()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="score")
        self._output = output

    def warm_up(self, token: int) -> None:
        """A row alone needs no more memory than the largest one, which is tried anyway."""

    def remarks(self) -> list[str]:
        return []

    def submit(self, rows: Sequence[np.ndarray]) -> "_Rows":
        job = _Rows(self._run, rows)
        with given_up_on_error(job):
            for _ in rows:
                job.tasks.append(self._pool.submit(job.one))
        return job

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return self.submit(rows).result()

    def _run(self, row: np.ndarray) -> np.ndarray:
        ids = row[np.newaxis]  # (1, sequence)
        with self._phases.timed("compute"):
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
        self._result: np.ndarray | None = None

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

    def result(self) -> np.ndarray:
        if self._result is None:
            try:
                for task in self.tasks:
                    task.result()
            finally:
                self.cancel()  # after an error or an interrupt the other threads stop with their row
            done = [logits for logits in self._done if logits is not None]
            if len(done) < len(self._rows):
                raise CancelledError
            self._result = np.concatenate(done) if done else np.empty((0, 0))
        return self._result

    def cancel(self) -> None:
        self._waiting.clear()


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Logits of shape (rows, 1) or (rows, labels) -> float64 probabilities of shape (rows, labels).

    One logit is the second label's: sigmoid. More are each label's: softmax. Divided by a temperature first
    (Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 9).

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """
    logits = logits.astype(np.float64) / temperature
    if logits.shape[1] == 1:  # the softmax of (0, x) is the sigmoid of x, and does not overflow
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def finite(logits: np.ndarray) -> np.ndarray:
    """The same logits; raises `BundleError` if one is not a number."""
    if not np.isfinite(logits).all():
        raise BundleError(
            "the model computed a logit that is not a number; no score can be given for such a row. Perhaps another --precision can."
        )
    return logits
