"""Engine for GPUs: computes token rows in padded batches of similar lengths, two batches at a time."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from scorer.base.errors import OutOfMemory
from scorer.engine.batches import LENGTH_STEP, Lengths, pad, padded_rows, token_budget
from scorer.engine.pending import Pending, cancelled_on_error
from scorer.engine.protocols import Session, finite


class BatchEngine:
    """Engine that sorts rows by length and cuts them into batches by padded tokens, longest first.

    Each lane has buffers of its own on the device and a thread that fills them. While one lane's batch is computed,
    another copies the ids of the next batch to the device, or the logits of the previous one back.

    A batch for which the GPU runs out of memory is halved, repeatedly if needed, and later batches are cut smaller
    from the start. A row that does not fit even alone is tried on a new session, since the old one's arena may be
    fragmented. If it does not fit there, its logits are NaN, and no later row of its length gets a new session.

    Args:
        open_lanes: function that opens the lanes on one session on the GPU; one thread at a time uses each.
        batch_tokens: largest number of padded tokens in a batch, counted as computed.
        lengths: lengths that rows may have.
    """

    chunk_rows = 8192
    journal_rows = 8192

    def __init__(self, open_lanes: Callable[[], Sequence[Session]], batch_tokens: int, lengths: Lengths) -> None:
        self._lanes = _Lanes(open_lanes)
        self._lengths = lengths
        self._width: int | None = None  # logits of a row, known once one is computed
        self._pool = ThreadPoolExecutor(self._lanes.count, thread_name_prefix="score")
        self._too_long = lengths.longest + LENGTH_STEP  # least padded length that does not fit on a new session
        self._counts = threading.Lock()
        self.batch_tokens = batch_tokens
        self.tokens = 0
        self.padded_tokens = 0

    @property
    def padding(self) -> float | None:
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    def warm_up(self, token: int) -> None:
        """Compute full batches on every lane, one of the longest rows and one of the shortest, which holds most tokens.

        They let the arena grow to its full size, so that running out of memory fails before the first row.

        Args:
            token: any id that the model knows.
        """
        for length in (self._lengths.longest, self._lengths.padded(1)):
            rows = [np.full(length, token, dtype=np.int64)] * max(1, self.batch_tokens // self._lengths.cost(length))
            self.logits(rows * self._lanes.count)
        self.tokens = self.padded_tokens = 0

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        costs = [self._lengths.cost(self._lengths.padded(len(row))) for row in rows]
        batches = token_budget(costs, self.batch_tokens)
        cancelled = threading.Event()
        tasks: list[Future[np.ndarray]] = []

        def collect() -> np.ndarray:
            found = [task.result() for task in tasks]
            logits = np.empty((len(rows), found[0].shape[1] if found else 0), dtype=np.float32)
            for batch, computed in zip(batches, found, strict=True):
                logits[batch] = computed
            return logits

        pending = Pending(collect, cancelled.set)
        with cancelled_on_error(pending):
            tasks.extend(self._pool.submit(self._batch, [rows[row] for row in batch], cancelled) for batch in batches)
        return pending

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return self.submit(rows).result()

    def _batch(self, rows: Sequence[np.ndarray], cancelled: threading.Event) -> np.ndarray:
        """Compute rows that are padded to one length: float32 (rows, logits)."""
        if cancelled.is_set():
            raise CancelledError
        length = self._lengths.padded(max(map(len, rows)))
        cost = self._lengths.cost(length)
        if len(rows) == 1 or len(rows) * cost <= self.batch_tokens:  # the limit may have dropped since they were cut
            logits = self._tried(rows, length)
            if logits is not None:
                return logits
            if len(rows) == 1:
                return self._alone(rows, length)
            with self._counts:
                self.batch_tokens = min(self.batch_tokens, max(len(rows) // 2 * cost, LENGTH_STEP))
        half = len(rows) // 2
        return np.concatenate([self._batch(part, cancelled) for part in (rows[:half], rows[half:])])

    def _tried(self, rows: Sequence[np.ndarray], length: int) -> np.ndarray | None:
        # Not in `_batch`, which would keep the lane, and with it the old session, while a new one opens.
        with self._lanes.one() as lane:
            return self._computed(lane, rows, length)

    def _alone(self, rows: Sequence[np.ndarray], length: int) -> np.ndarray:
        """Retry a row that did not fit beside other batches: first alone, then on a new session."""
        with self._lanes.all() as lanes:
            logits = self._computed(lanes[0], rows, length) if self._lanes.count > 1 else None
            if logits is None and length < self._too_long:
                self._lanes.renew(lanes)
                logits = self._computed(lanes[0], rows, length)
                if logits is None:  # fragmentation was not the reason, so no row of this length needs another session
                    self._too_long = length
        return np.full((1, self._width or 1), np.nan, dtype=np.float32) if logits is None else logits

    def _computed(self, lane: Session, rows: Sequence[np.ndarray], length: int) -> np.ndarray | None:
        """Compute rows on a lane; None if they do not fit in memory."""
        cost = self._lengths.cost(length)
        input_ids, attention_mask = pad(rows, length, padded_rows(len(rows), self.batch_tokens // cost))
        try:
            (logits,) = lane.run(["logits"], {"input_ids": input_ids, "attention_mask": attention_mask})
        except OutOfMemory:
            if len(rows) == 1 and self._width is None:
                raise
            return None
        self._width = logits.shape[1]
        with self._counts:
            self.tokens += sum(self._lengths.cost(len(row)) for row in rows)
            self.padded_tokens += len(input_ids) * cost
        return finite(logits[: len(rows)])


class _Lanes:
    """Queue of free sessions, in the order in which they became free."""

    def __init__(self, open_lanes: Callable[[], Sequence[Session]]) -> None:
        self._open = open_lanes
        self._taking_all = threading.Lock()
        self._free: SimpleQueue[Session] = SimpleQueue()
        lanes = open_lanes()
        self.count = len(lanes)
        for lane in lanes:
            self._free.put(lane)

    @contextlib.contextmanager
    def one(self) -> Iterator[Session]:
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)

    @contextlib.contextmanager
    def all(self) -> Iterator[list[Session]]:
        """Take all lanes, once no other thread has one; free those that are in the list at the end."""
        with self._taking_all:
            lanes = [self._free.get() for _ in range(self.count)]
            try:
                yield lanes
            finally:
                for lane in lanes:
                    self._free.put(lane)

    def renew(self, lanes: list[Session]) -> None:
        """Replace the lanes that `all` gave, and their session, by new ones."""
        lanes.clear()
        try:
            lanes += self._open()
        except BaseException as error:
            lanes += [_Broken(error)] * self.count
            raise


class _Broken:
    """Substitute for a lane that could not be reopened; raises the error in threads that wait for a lane."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        raise self._error
