"""Records in chunks, tokenized and scored ahead of the one that is written: reading, tokenizing and computing overlap."""

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
from scorer.model.decision import Decision
from scorer.model.scorer import StagedScores
from scorer.model.tokenizer import Tokenizer, Tokens
from scorer.rows.record import Record, Reject

CHUNK_BYTES = 16 << 20
_FIRST_ROWS = 1024
# Chunks that wait while the next one is read: one that is computed, one that is ready for when it is done, so that no
# core and no GPU idles at the end of a chunk, and one that is tokenized.
_AHEAD = 3


class Model(Protocol):
    """The part of `scorer.model.scorer.Scorer` that is used here."""

    labels: tuple[str, ...]
    has_cascade: bool
    decision: Decision
    tokenizer: Tokenizer
    chunk_rows: int
    phases: Phases

    def submit(self, tokens: Tokens) -> Pending[StagedScores]: ...


class Reading(Protocol):
    """The part of `scorer.rows.reader.Reader` that is used here."""

    @property
    def input_hash(self) -> str: ...

    @property
    def bytes_read(self) -> int: ...

    def __iter__(self) -> Iterator[Record | Reject]: ...


@dataclass(frozen=True)
class Chunk:
    """Some records in a row, on their way through the model.

    Attributes:
        records: those that are scored.
        rejects: those that cannot be.
        input_hash: of the raw input up to the chunk's last record.
        bytes_read: of the input so far, as it is stored.
        scored: the records' tokens and scores.
    """

    records: Sequence[Record]
    rejects: Sequence[Reject]
    input_hash: str
    bytes_read: int
    scored: Pending[tuple[Tokens, StagedScores]]


def scored_ahead(reader: Reading, model: Model) -> Generator[Chunk, None, None]:
    """Yield the chunks of an input in order, each one's scores begun some chunks before it is given out.

    The caller's thread reads; one other thread tokenizes, in the order of the chunks.
    Where the input fails, what was read before it comes out first: a streamed output gets every row that it can get.
    When the generator is closed before its end, what waits is given up.
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
        finally:  # after an error or an interrupt nothing of it is wanted
            for chunk in waiting:
                chunk.scored.cancel()
            tokenizing.shutdown(wait=False)
    if failure is not None:
        raise failure


def chunks(items: Iterable[Record | Reject], rows: int, size: int = CHUNK_BYTES) -> Iterator[list[Record | Reject]]:
    """Cut records into chunks of ``rows``, and where they hold ``size`` bytes; the first ones are shorter.

    So memory is bounded, computing begins soon, and the cuts depend on the input alone: not on the machine, nor on
    where a run was resumed. Where the input fails, what was read before it is the last chunk.
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
    """Chunks around a row end where the row is a multiple of this: a fourth to half of what is behind it.

    >>> [chunk_rows(row, 8192) for row in (1, 4095, 4096, 10_000, 100_000)]
    [1024, 1024, 2048, 4096, 8192]
    """
    return min(most, max(_FIRST_ROWS, 1 << (row.bit_length() - 2) if row > 1 else 0))


def _begun(reader: Reading, model: Model, tokenizing: ThreadPoolExecutor) -> Generator[Chunk, None, None]:
    def begin(records: Sequence[Record]) -> Pending[tuple[Tokens, StagedScores]]:
        with model.phases.timed("tokenize"):
            tokens = model.tokenizer.encode([record.text for record in records])
        return model.submit(tokens).map(lambda scores: (tokens, scores))

    start = time.perf_counter()
    for chunk in chunks(reader, model.chunk_rows):
        model.phases.add("read", time.perf_counter() - start)
        records = [item for item in chunk if isinstance(item, Record)]
        rejects = [item for item in chunk if isinstance(item, Reject)]
        scored = _scored(tokenizing.submit(begin, records))
        yield Chunk(records, rejects, reader.input_hash, reader.bytes_read, scored)
        start = time.perf_counter()


def _scored(task: "Future[Pending[tuple[Tokens, StagedScores]]]") -> Pending[tuple[Tokens, StagedScores]]:
    """The result of what a task gives to the model; cancelled before the task began, or once it is done."""

    def cancel() -> None:
        if not task.cancel():
            task.add_done_callback(_cancel_scores)

    return Pending(lambda: task.result().result(), cancel)


def _cancel_scores(task: "Future[Pending[tuple[Tokens, StagedScores]]]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().cancel()
