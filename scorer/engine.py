"""Token rows to logits, a row a run on CPU and in padded batches on CUDA; logits to probabilities."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from scorer.batches import by_length, pad, token_budget
from scorer.errors import BundleError


class Session(Protocol):
    """The part of onnxruntime.InferenceSession that an engine uses."""

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


class Engine(Protocol):
    """What turns token rows into logits."""

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """int64 token ids, one array of shape (sequence,) a row -> float32 (rows, logits), in the order given."""
        ...


class RowEngine:
    """A row a run: each row alone and unpadded, one caller thread a core, the session itself single-threaded.

    No padding is computed, and a row's score cannot depend on its neighbours, which matters for dynamic int8: its one
    scale a tensor would tie the rows of a batch together. Longest rows go first, so that no long one is left for the
    end while the other cores idle.

    Args:
        session: a session with one thread of its own.
        threads: how many rows are computed at a time.
    """

    def __init__(self, session: Session, threads: int) -> None:
        self._session = session
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="score")

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        waiting = deque(by_length([len(row) for row in rows]))
        done: list[np.ndarray | None] = [None] * len(rows)

        def work() -> None:
            while waiting:
                try:
                    row = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                done[row] = self._run(rows[row])

        try:
            for worker in [self._pool.submit(work) for _ in range(self._threads)]:
                worker.result()
        finally:
            waiting.clear()  # after an error or an interrupt the other threads stop with their row
        return np.concatenate([logits for logits in done if logits is not None]) if rows else np.empty((0, 0))

    def _run(self, row: np.ndarray) -> np.ndarray:
        ids = row[np.newaxis]  # (1, sequence)
        return _finite(self._session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])


class BatchEngine:
    """Rows sorted by length and cut into padded batches, as a GPU wants them.

    Args:
        session: a session on the GPU.
        batch_tokens: padded tokens of a batch at most.
    """

    def __init__(self, session: Session, batch_tokens: int) -> None:
        self._session = session
        self._batch_tokens = batch_tokens

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        result: np.ndarray | None = None
        for batch in token_budget([len(row) for row in rows], self._batch_tokens):
            input_ids, attention_mask = pad([rows[row] for row in batch])
            feed = {"input_ids": input_ids, "attention_mask": attention_mask}
            logits = _finite(self._session.run(["logits"], feed)[0])
            if result is None:
                result = np.empty((len(rows), logits.shape[1]), dtype=np.float32)
            result[batch] = logits
        return result if result is not None else np.empty((0, 0))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Logits of shape (rows, 1) or (rows, labels) -> float64 probabilities of shape (rows, labels).

    One logit is the second label's: sigmoid. More are each label's: softmax.

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:  # the softmax of (0, x) is the sigmoid of x, and does not overflow
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _finite(logits: np.ndarray) -> np.ndarray:
    if not np.isfinite(logits).all():
        raise BundleError("the model computed a logit that is not a number; no score can be given for such a row.")
    return logits
