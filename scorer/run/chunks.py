"""Records in windows, tokenized and scored ahead of the one that is written: reading, tokenizing and computing overlap."""

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from scorer.base.errors import InputError
from scorer.base.timing import Phases
from scorer.model.decision import Decision
from scorer.model.scorer import Scores
from scorer.model.tokenizer import Tokenizer, Tokens
from scorer.rows.record import Record, Reject

WINDOW_BYTES = 16 << 20
_FIRST_ROWS = 1024
# Windows that wait while the next one is read: one that is computed, one that is ready for when it is done, so that no
# core and no GPU idles at the end of a window, and one that is tokenized.
_AHEAD = 3


class PendingScores(Protocol):
    """The part of `scorer.model.scorer.PendingScores` that is used here."""

    def result(self) -> Scores: ...

    def cancel(self) -> None: ...


class Model(Protocol):
    """The part of `scorer.model.scorer.Scorer` that is used here."""

    labels: tuple[str, ...]
    decision: Decision
    tokenizer: Tokenizer
    window_rows: int
    phases: Phases

    def submit(self, tokens: Tokens) -> PendingScores: ...


class Reading(Protocol):
    """The part of `scorer.rows.reader.Reader` that is used here."""

    @property
    def input_hash(self) -> str: ...

    @property
    def bytes_read(self) -> int: ...

    def __iter__(self) -> Iterator[Record | Reject]: ...


@dataclass(frozen=True)
class Window:
    """Some records in a row, on their way through the model.

    Attributes:
        records: those that are scored.
        rejects: those that cannot be.
        input_hash: of the raw input up to the window's last record.
        bytes_read: of the input so far, as it is stored.
        task: tokenizes the records, and gives them to the model.
    """

    records: Sequence[Record]
    rejects: Sequence[Reject]
    input_hash: str
    bytes_read: int
    task: "Future[tuple[Tokens, PendingScores]]"

    def result(self) -> tuple[Tokens, Scores]:
        """Wait for the records' tokens and scores."""
        tokens, scores = self.task.result()
        return tokens, scores.result()

    def cancel(self) -> None:
        """Give up what has not begun."""
        if not self.task.cancel():
            self.task.add_done_callback(_cancel_scores)


def scored_ahead(reader: Reading, model: Model) -> Generator[Window, None, None]:
    """The windows of an input in order, each one's scores begun some windows before it is given out.

    The reader is read by whoever takes the windows; one other thread tokenizes, in the order of the windows.
    Where the input fails, what was read before it comes out first: a streamed output gets every row that it can get.
    When the generator is closed before its end, what waits is given up.
    """
    waiting: deque[Window] = deque()
    failure: InputError | None = None
    tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
    with contextlib.closing(_begun(reader, model, tokenizing)) as begun:
        try:
            while failure is None:
                try:
                    waiting.append(next(begun))
                except StopIteration:
                    break
                except InputError as error:
                    failure = error
                if len(waiting) > _AHEAD:
                    yield waiting[0]
                    waiting.popleft()
            while waiting:
                yield waiting[0]
                waiting.popleft()
        finally:  # after an error or an interrupt nothing of it is wanted
            for window in waiting:
                window.cancel()
            tokenizing.shutdown(wait=False)
    if failure is not None:
        raise failure


def windows(items: Iterable[Record | Reject], rows: int, size: int = WINDOW_BYTES) -> Iterator[list[Record | Reject]]:
    """Cut records into windows of ``rows``, and where they hold ``size`` bytes; the first ones are shorter.

    So memory is bounded, computing begins soon, and the cuts depend on the input alone: not on the machine, nor on
    where a run was resumed. Where the input fails, what was read before it is the last window.
    """
    window: list[Record | Reject] = []
    held = 0
    failure: InputError | None = None
    try:
        for item in items:
            window.append(item)
            held += item.length
            if item.row % window_rows(item.row, rows) == 0 or held >= size:
                yield window
                window, held = [], 0
    except InputError as error:
        failure = error
    if window:
        yield window
    if failure is not None:
        raise failure


def window_rows(row: int, most: int) -> int:
    """Windows around a row end where the row is a multiple of this: a fourth to half of what is behind it.

    >>> [window_rows(row, 8192) for row in (1, 4095, 4096, 10_000, 100_000)]
    [1024, 1024, 2048, 4096, 8192]
    """
    return min(most, max(_FIRST_ROWS, 1 << (row.bit_length() - 2) if row > 1 else 0))


def _begun(reader: Reading, model: Model, tokenizing: ThreadPoolExecutor) -> Generator[Window, None, None]:
    def begin(records: Sequence[Record]) -> tuple[Tokens, PendingScores]:
        with model.phases.timed("tokenize"):
            tokens = model.tokenizer.encode([record.text for record in records])
        return tokens, model.submit(tokens)

    start = time.perf_counter()
    for window in windows(reader, model.window_rows):
        model.phases.add("read", time.perf_counter() - start)
        records = [item for item in window if isinstance(item, Record)]
        rejects = [item for item in window if isinstance(item, Reject)]
        yield Window(records, rejects, reader.input_hash, reader.bytes_read, tokenizing.submit(begin, records))
        start = time.perf_counter()


def _cancel_scores(task: "Future[tuple[Tokens, PendingScores]]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[1].cancel()
