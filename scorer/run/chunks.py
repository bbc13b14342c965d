"""Chunks of records, scored ahead of the one being written, so that reading, tokenizing and computing overlap."""

import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from scorer.base.errors import InputError
from scorer.base.timing import Phases
from scorer.engine.pending import Pending
from scorer.engine.windows import Windows
from scorer.model.interpretation import Interpretation
from scorer.model.outcomes import Outcomes
from scorer.model.tokenizer import Tokenizer
from scorer.rows.record import Record, Reject

CHUNK_BYTES = 16 << 20
_FIRST_ROWS = 1024
# Chunks in flight while the next one is read: one being computed, one ready to follow it, so that no core or GPU idles
# at the end of a chunk, and one being tokenized.
_AHEAD = 3


class Model(Protocol):
    """The part of `scorer.model.loaded.LoadedModel` that this module uses."""

    has_cascade: bool
    windows: Windows | None
    interpretation: Interpretation
    tokenizer: Tokenizer
    chunk_rows: int
    phases: Phases

    def submit_texts(self, texts: Sequence[str]) -> Pending[Outcomes]: ...


class Reading(Protocol):
    """The part of `scorer.rows.reader.Reader` that this module uses."""

    @property
    def input_hash(self) -> str: ...

    @property
    def bytes_read(self) -> int: ...

    def __iter__(self) -> Iterator[Record | Reject]: ...


@dataclass(frozen=True)
class Chunk:
    """Consecutive records on their way through the model.

    Attributes:
        records: records to score.
        rejects: records that cannot be scored.
        input_hash: sha256 of the raw input up to the chunk's last record, in hexadecimal.
        bytes_read: bytes of the input read so far, as stored.
        scored: pending outcomes of the records.
    """

    records: Sequence[Record]
    rejects: Sequence[Reject]
    input_hash: str
    bytes_read: int
    scored: Pending[Outcomes]


def scored_ahead(reader: Reading, model: Model) -> Generator[Chunk, None, None]:
    """Yield the chunks of an input in order; scoring of each begins some chunks before it is yielded.

    The caller's thread reads; another thread tokenizes, in the order of the chunks.
    If the input fails, all chunks before the failure are yielded first: a streamed output gets every possible row.
    If the generator is closed early, pending chunks are cancelled.
    """
    waiting: deque[Chunk] = deque()
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
        finally:  # after an error or an interrupt, their scores are not needed
            for chunk in waiting:
                chunk.scored.cancel()
            tokenizing.shutdown(wait=False)
    if failure is not None:
        raise failure


def chunks(items: Iterable[Record | Reject], rows: int, size: int = CHUNK_BYTES) -> Iterator[list[Record | Reject]]:
    """Cut records into chunks of ``rows`` records or ``size`` bytes, whichever comes first; early chunks are shorter.

    This bounds memory and lets computing begin soon. The cuts depend on the input alone, not on the machine or on
    where a run was resumed. If the input fails, the records before the failure are the last chunk.
    """
    chunk: list[Record | Reject] = []
    held = 0
    failure: InputError | None = None
    try:
        for item in items:
            chunk.append(item)
            held += item.length
            if item.row % chunk_rows(item.row, rows) == 0 or held >= size:
                yield chunk
                chunk, held = [], 0
    except InputError as error:
        failure = error
    if chunk:
        yield chunk
    if failure is not None:
        raise failure


def chunk_rows(row: int, most: int) -> int:
    """Return the length of chunks around a row: a quarter to half of the rows before it, at most ``most``.

    A chunk ends at a row that is a multiple of this length.

    >>> [chunk_rows(row, 8192) for row in (1, 4095, 4096, 10_000, 100_000)]
    [1024, 1024, 2048, 4096, 8192]
    """
    return min(most, max(_FIRST_ROWS, 1 << (row.bit_length() - 2) if row > 1 else 0))


def _begun(reader: Reading, model: Model, tokenizing: ThreadPoolExecutor) -> Generator[Chunk, None, None]:
    def begin(records: Sequence[Record]) -> Pending[Outcomes]:
        return model.submit_texts([record.text for record in records])

    start = time.perf_counter()
    for chunk in chunks(reader, model.chunk_rows):
        model.phases.add("read", time.perf_counter() - start)
        records = [item for item in chunk if isinstance(item, Record)]
        rejects = [item for item in chunk if isinstance(item, Reject)]
        scored = _scored(tokenizing.submit(begin, records))
        yield Chunk(records, rejects, reader.input_hash, reader.bytes_read, scored)
        start = time.perf_counter()


def _scored(task: "Future[Pending[Outcomes]]") -> Pending[Outcomes]:
    """Return the pending scores of a task; cancelling drops the task, or its outcomes once it is done."""

    def cancel() -> None:
        if not task.cancel():
            task.add_done_callback(_cancel_scores)

    return Pending(lambda: task.result().result(), cancel)


def _cancel_scores(task: "Future[Pending[Outcomes]]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().cancel()
