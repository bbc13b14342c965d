"""Speeds for a forecast, measured on this machine: computing, formatting rows, and making them durable."""

import contextlib
import json
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from scorer.base import signals
from scorer.base.timing import Phases, Stopwatch
from scorer.engine.pending import Pending
from scorer.forecast.read_texts import ReadTexts
from scorer.model.loaded import LoadedModel, StagedScores
from scorer.model.outcomes import Outcomes
from scorer.model.tokenizer import Tokens
from scorer.report.summary import Counts, Summary
from scorer.rows.reader import Reader
from scorer.rows.record import Record
from scorer.run.limits import Limits
from scorer.run.pipeline import UncertainRows, score_rows
from scorer.run.resolve import Plan
from scorer.storage.address import is_address
from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import CacheSettings
from scorer.storage.compression import compress
from scorer.storage.output import is_stream

_COMPUTED = 512  # texts to compute, at most
_ROUND = 32  # texts computed together, of all lengths
# Texts of a round for each thread, so that no thread idles at its end; and rounds, where that makes them larger.
_A_THREAD, _ROUNDS = 4, 6
_SECONDS = 20.0  # of computing, after which no further round begins
_UNKNOWN_ERROR = 0.1  # relative error of a speed measured on too few rounds
_TRIES = 5
_PIECE = bytes(1 << 16)
_ENTRIES, _TOGETHER = 2_048, 256  # of the scratch cache


@dataclass(frozen=True)
class Speed:
    """Speed of computing.

    Attributes:
        texts: number of texts that were computed to measure it.
        seconds: seconds on the clock per token computed.
        error: relative standard error.
        cores: cores that were busy meanwhile.
    """

    texts: int
    seconds: float
    error: float
    cores: float


def speed_of(scorer: LoadedModel, read: ReadTexts, threads: int) -> Speed:
    """Compute some of the sampled texts, round by round, two of which overlap as the chunks of a run do.

    Each round has texts of all lengths. GPUs, which need many texts for a batch, get all of them in one round.

    Args:
        scorer: loaded model.
        read: sampled texts.
        threads: number of texts that it computes at a time on CPU.
    """
    ids, work = read.deep, read.work[read.work > 0]
    if not ids:
        return Speed(0, 0.0, 0.0, 0.0)
    by_work = np.argsort(work, kind="stable")
    together = max(_ROUND, _A_THREAD * threads) if scorer.engine.batch_tokens is None else len(ids)
    most = min(len(ids), max(_COMPUTED, _ROUNDS * together))
    spread = by_work[((np.arange(most) + 0.5) * len(ids) / most).astype(np.int64)]  # sorted, evenly spaced
    rounds = -(-most // together)
    waiting: deque[tuple[int, Pending[StagedScores]]] = deque()
    paces: list[float] = []
    done = texts = 0
    watch = Stopwatch()
    with watch:
        begin = last = time.perf_counter()

        def collect() -> None:
            nonlocal done, last
            tokens, pending = waiting.popleft()
            pending.result()
            now = time.perf_counter()
            paces.append((now - last) / tokens)
            done, last = done + tokens, now

        for number in range(rounds):
            signals.check()
            some = spread[number::rounds]
            waiting.append((int(work[some].sum()), scorer.submit(_tokens([ids[one] for one in some]))))
            texts += len(some)
            if len(waiting) > 1:
                collect()
            if last - begin > _SECONDS:
                break
        while waiting:
            collect()
    error = statistics.stdev(paces) / statistics.mean(paces) / sqrt(len(paces)) if len(paces) > 2 else _UNKNOWN_ERROR
    return Speed(texts, watch.clock / done, error, watch.cores / watch.clock)


def _tokens(ids: Sequence[np.ndarray]) -> Tokens:
    return Tokens(list(ids), [False] * len(ids), [False] * len(ids))


def row_seconds(plan: Plan, reader: Reader, scorer: LoadedModel, records: Sequence[Record]) -> float:
    """Return the seconds that a run takes to label, count, format and note a row, without reading and computing it."""
    if not records:
        return 0.0
    nowhere = _Nowhere(plan.output_format.compression)
    doubtful = plan.uncertain
    watch = Stopwatch()
    with watch:
        score_rows(
            _Records(reader, records),
            _Known(scorer),
            nowhere,
            nowhere,
            UncertainRows(_Nowhere(doubtful.format.compression), doubtful.format.kind)
            if doubtful is not None
            else None,
            output_format=plan.output_format.kind,
            wanted=plan.wanted,
            limits=Limits(all=True),
            done=Summary(Counts.empty(scorer.interpretation.score_edges)),
            on_chunk=_as_a_journal,
        )
    return watch.busy / len(records)


def _as_a_journal(summary: Summary) -> None:
    """Do what a run's journal does with a summary, but for writing it."""
    copy = summary.copy()
    json.dumps({"summary": copy.as_json(), "examples": copy.examples.as_json()})


def durable_seconds(place: str) -> float:
    """Return the seconds that it takes to make a file beside another durable; 0 for a stream or a store.

    The file has no name, so that nobody sees it.
    """
    if is_stream(place) or is_address(place):
        return 0.0
    seconds = []
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=os.path.dirname(place) or ".") as file:
        for _ in range(_TRIES):
            file.write(_PIECE)
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) if seconds else 0.0


def cache_seconds(*, limited: bool) -> tuple[float, float]:
    """Return the seconds to add an entry to a cache, and to note the use of one, without waiting for the disk.

    They are measured on a small cache in the temporary folder.

    Args:
        limited: whether the run has --cache-max-rows; without a limit, it notes hardly any use.
    """
    adding, using = Stopwatch(), Stopwatch()
    keys = [number.to_bytes(16, "little") for number in range(_ENTRIES)]
    parts = [keys[start : start + _TOGETHER] for start in range(0, _ENTRIES, _TOGETHER)]
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory() as folder:
        settings = CacheSettings(os.path.join(folder, "scratch"), max_rows=2 * _ENTRIES if limited else None)
        for watch in (adding, using):
            file = CacheFile(settings, b"", "", lambda message: None)
            for part in parts:
                file.get(part)
                file.put(dict.fromkeys(part, b"value" * 8) if watch is adding else {})
                with watch:
                    file.write()
                    file.wait()
            with watch:  # which notes the uses
                file.close()
    return adding.busy / _ENTRIES, using.busy / _ENTRIES


@dataclass(frozen=True)
class _Nowhere:
    """Sink that compresses what it gets and drops it."""

    compression: str | None

    def write(self, data: bytes) -> None:
        compress(data, self.compression)


class _Records:
    """Records that were read before, as `scorer.run.pipeline` reads them."""

    input_hash = ""
    bytes_read = 0
    empty_files: Sequence[str] = ()

    def __init__(self, reader: Reader, records: Sequence[Record]) -> None:
        self.selection, self.inputs, self.schemas = reader.selection, reader.inputs, reader.schemas
        self._records = records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)


class _Known:
    """Model that knows the outcome of every text at once."""

    def __init__(self, scorer: LoadedModel) -> None:
        self.has_cascade = scorer.has_cascade
        self.windows = scorer.windows
        self.interpretation = scorer.interpretation
        self.tokenizer = scorer.tokenizer
        self.chunk_rows = scorer.chunk_rows
        self.phases = Phases()

    def submit_texts(self, texts: Sequence[str]) -> Pending[Outcomes]:
        rows = len(texts)
        ones, none = np.ones(rows, dtype=np.int64), np.zeros(rows, dtype=bool)
        logits = np.zeros((rows, self.interpretation.logit_count), dtype=np.float32)
        outcomes = Outcomes(logits, none, ones, ones, 2 * ones, 0 * ones, none, none, none)
        return Pending(lambda: outcomes)
