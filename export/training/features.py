"""Features, the encoder's vectors of every text: computed once, kept on disk, resumed after an interruption.

They are computed by the graph that a classifier is exported as, on onnxruntime, without padding. That is the fastest
exact way known (docs/PERFORMANCE.md), and it trains the head on the very vectors that it will read.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from export.classifier.combining import some_of
from export.encoder.load import FrozenEncoder
from export.encoder.vectors import NO_QUERIES, Queries, Vector, every_vector, vectors
from export.encoder.weights import encoder_weights
from export.errors import ExportError
from export.graph.fp32 import hidden_graph
from export.graph.source import graph_source
from export.graph.writer import graph_bytes
from export.training.cache import CachedArray, cache_key, missing_bytes
from export.training.device import CPU, DeviceEngine
from scorer.base.cores import usable_cores
from scorer.base.progress import Progress
from scorer.engine.batches import by_length
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import Session
from scorer.engine.windows import Split, Windows, split_of

# Number of texts or windows between two saves; a power cut loses at most the work on this many.
_TEXTS_PER_SAVE = 256
# Rows that another device than the CPU is compared on, and the largest difference, relative to the largest number.
_COMPARED, _TOLERANCE = 8, 1e-3

_Compute: TypeAlias = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Function from token ids of rows to their vectors, (rows, vectors, hidden), or hidden states, (tokens, hidden)."""


@dataclass(frozen=True)
class Features:
    """Pooled vectors of texts, or of their windows.

    Attributes:
        vectors: pooled vectors, float32 (windows, vectors, hidden).
        places: positions of each vector along the second axis.
        split: windows of the texts; one for each text that is read at once.
        computed: number of windows computed now; the others came from the cache.
        seconds: duration of the computation, in seconds.
    """

    vectors: np.ndarray
    places: Mapping[Vector, slice]
    split: Split
    computed: int
    seconds: float

    def some(self, texts: np.ndarray) -> "Features":
        """Return the features of some texts, by number."""
        windows, split = some_of(self.split, texts)
        return replace(self, vectors=self.vectors[windows], split=split)

    def pooled(self, pooling: str) -> np.ndarray:
        """Return the input of a head with a pooling, float32 (windows, vectors of the pooling * hidden)."""
        layers = max(vector.layer for vector in self.places)
        found = [self.vectors[:, self.places[vector]] for vector in vectors(pooling, layers)]
        return np.concatenate(found, axis=1).reshape(len(self.vectors), -1)


@dataclass(frozen=True)
class HiddenStates:
    """Output of a layer for every token of rows, which are texts or windows of them.

    Attributes:
        array: hidden states of all rows, end to end, float16 (tokens, hidden).
        ends: end of each row along the first axis, int64 (rows,).
    """

    array: np.ndarray
    ends: np.ndarray

    def rows(self, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Return the hidden states of some rows, float32 (sequence, hidden) each."""
        begins = self.ends - np.diff(self.ends, prepend=0)
        return [self.array[begins[row] : self.ends[row]].astype(np.float32) for row in numbers]


def extract(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    folder: Path,
    *,
    queries: Queries = NO_QUERIES,
    windows: Windows | None = None,
    device: torch.device = CPU,
    name: str,
    quiet: bool = False,
) -> Features:
    """Compute every vector of tokenized texts that a pooling can name, except for those in the cache.

    Args:
        encoder: encoder of the texts.
        rows: token ids of the texts, (sequence,) each: those that the encoder reads, or all of them with windows.
        folder: folder of the cache.
        queries: queries of trained poolings, whose vectors are computed as well.
        windows: rule that cuts long texts; None if the encoder reads each text at once.
        device: device that computes; the cache is the same for all.
        name: name of the texts in the progress bar.
        quiet: show no progress.

    Raises:
        ExportError: another device computes other vectors than the CPU.
        OutOfMemory: the device has too little memory.
    """
    split = split_of(windows, rows)
    rows = split.rows
    places = _places(encoder.layers, queries)
    cached = CachedArray(folder, *_features_array(encoder, rows, queries))

    def store(numbers: list[int], computed: np.ndarray) -> None:
        cached.array[numbers] = computed

    start = time.monotonic()
    open_engine = partial(_features_by, device, encoder, queries)
    count = _fill(cached, rows, open_engine, store, f"features of {name}", unit_of(windows), quiet)
    return Features(np.asarray(cached.array), places, split, count, time.monotonic() - start)


def hidden_states(
    encoder: FrozenEncoder,
    rows: Sequence[np.ndarray],
    layer: int,
    folder: Path,
    *,
    name: str,
    unit: str = "texts",
    device: torch.device = CPU,
    quiet: bool = False,
) -> HiddenStates:
    """Compute the output of a layer for every token, in float16, which is half the size and exact enough to train on.

    Args:
        encoder: encoder of the texts.
        rows: token ids that the encoder reads at once, (sequence,) each.
        layer: number of the layer, counted from 1; 0 for the embeddings.
        folder: folder of the cache.
        name: name of the texts in the progress bar.
        unit: word for a row.
        device: device that computes; the cache is the same for all.
        quiet: show no progress.
    """
    ends = np.cumsum([len(ids) for ids in rows])
    begins = ends - np.diff(ends, prepend=0)
    cached = CachedArray(folder, *_hidden_array(encoder, rows, layer))

    def store(numbers: list[int], computed: np.ndarray) -> None:
        begin = 0
        for row in numbers:
            length = ends[row] - begins[row]
            cached.array[begins[row] : ends[row]] = computed[begin : begin + length]
            begin += length

    open_engine = partial(_hidden_by, device, encoder, layer)
    _fill(cached, rows, open_engine, store, f"layer {layer} of {name}", unit, quiet)
    return HiddenStates(cached.array, ends)


def features_missing(
    encoder: FrozenEncoder, rows: Sequence[np.ndarray], folder: Path, windows: Windows | None = None
) -> int:
    """Return the bytes that `extract` will write for rows, those of trained poolings aside."""
    return missing_bytes(folder, *_features_array(encoder, split_of(windows, rows).rows, NO_QUERIES))


def hidden_missing(encoder: FrozenEncoder, rows: Sequence[np.ndarray], layer: int, folder: Path) -> int:
    """Return the bytes that `hidden_states` will write for rows; 0 for token ids, which are not written."""
    return missing_bytes(folder, *_hidden_array(encoder, rows, layer)) if layer else 0


def _features_array(
    encoder: FrozenEncoder, rows: Sequence[np.ndarray], queries: Queries
) -> tuple[str, tuple[int, ...], type[np.generic]]:
    """Return key, shape and type of the cached features of rows."""
    vectors = max(place.stop for place in _places(encoder.layers, queries).values())
    return features_key(encoder, rows, queries), (len(rows), vectors, encoder.hidden_size), np.float32


def _hidden_array(
    encoder: FrozenEncoder, rows: Sequence[np.ndarray], layer: int
) -> tuple[str, tuple[int, ...], type[np.generic]]:
    """Return key, shape and type of the cached hidden states of rows."""
    key = cache_key(rows, "hidden states", 1, encoder.sha256, layer, _TEXTS_PER_SAVE)
    return key, (sum(map(len, rows)), encoder.hidden_size), np.float16


def feature_engine(encoder: FrozenEncoder, threads: int, queries: Queries = NO_QUERIES) -> RowEngine:
    """Return an engine that computes the features of token rows, float32 (rows, vectors, hidden)."""
    graph = graph_bytes(graph_source(encoder).features(list(_places(encoder.layers, queries)), queries))
    session = Session(graph, "cpu")
    return RowEngine(session, threads, output="features", share=session.independent_rows)


def _features_by(device: torch.device, encoder: FrozenEncoder, queries: Queries) -> _Compute:
    """Return the function that computes the features of rows on a device."""

    def on_cpu() -> _Compute:
        return feature_engine(encoder, usable_cores(), queries).logits

    if device == CPU:
        return on_cpu()
    wanted = list(_places(encoder.layers, queries))
    engine = DeviceEngine(encoder, device)
    return _compared(partial(engine.features, wanted=wanted, queries=queries), on_cpu, device)


def _hidden_by(device: torch.device, encoder: FrozenEncoder, layer: int) -> _Compute:
    """Return the function that computes the hidden states of rows on a device, end to end."""

    def on_cpu() -> _Compute:
        graph = graph_bytes(hidden_graph(encoder_weights(encoder), layer))
        return RowEngine(Session(graph, "cpu"), usable_cores(), output="hidden").logits

    if device == CPU:
        return on_cpu()
    return _compared(partial(DeviceEngine(encoder, device).hidden, layer=layer), on_cpu, device)


def _compared(compute: _Compute, on_cpu: Callable[[], _Compute], device: torch.device) -> _Compute:
    """Return ``compute``, which is compared with the CPU on some of the first rows that it gets.

    Raises:
        ExportError: the vectors differ too much.
    """
    unchecked = [True]

    def compute_checked(rows: Sequence[np.ndarray]) -> np.ndarray:
        if unchecked:
            some = list(rows)[-_COMPARED:]  # the shortest ones
            expected, found = on_cpu()(some), compute(some)
            difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-6))
            if not difference <= _TOLERANCE:  # also true of NaN
                raise ExportError(
                    f"vectors of the device {device.type} differ from those of the CPU by {difference:.1e} of the largest "
                    f"({_TOLERANCE:.0e} is allowed). Give --device cpu."
                )
            unchecked.clear()
        return compute(rows)

    return compute_checked


def features_key(encoder: FrozenEncoder, rows: Sequence[np.ndarray], queries: Queries = NO_QUERIES) -> str:
    """Return the cache key of features, which depend on encoder weights, trained poolings and token ids."""
    own = [(layer, hashlib.sha256(some.tobytes()).hexdigest()) for layer, some in sorted(queries.items())]
    return cache_key(rows, "features", 3, encoder.sha256, _TEXTS_PER_SAVE, *own)


def _places(layers: int, queries: Queries) -> dict[Vector, slice]:
    """Return the position of each vector among all that are computed; an attention pooling has one per query."""
    wanted = [*every_vector(layers), *(Vector("attention", layer) for layer in sorted(queries))]
    counts = [len(queries[vector.layer]) if vector.kind == "attention" else 1 for vector in wanted]
    ends = np.cumsum(counts).tolist()
    return {vector: slice(end - count, end) for vector, end, count in zip(wanted, ends, counts, strict=True)}


def _fill(
    cached: CachedArray,
    rows: Sequence[np.ndarray],
    open_engine: Callable[[], _Compute],
    store: Callable[[list[int], np.ndarray], None],
    what: str,
    unit: str,
    quiet: bool,
) -> int:
    """Compute the missing rows, longest first; return their number."""
    lengths = [len(ids) for ids in rows]
    order = by_length(lengths)
    parts = [order[start : start + _TEXTS_PER_SAVE] for start in range(0, len(order), _TEXTS_PER_SAVE)]
    if cached.done == len(parts):
        return 0
    # Progress counts tokens. If it counted rows, the long ones at the start would make the time left look too long.
    work = [sum(lengths[row] for row in part) for part in parts]
    count = before = sum(map(len, parts[: cached.done]))
    worked = sum(work[: cached.done])
    compute = open_engine()
    with Progress(what, sum(work), quiet=quiet) as progress:
        progress.show(worked, f"{count:,} {unit}")
        for number in range(cached.done, len(parts)):
            store(parts[number], compute([rows[row] for row in parts[number]]))
            count += len(parts[number])
            worked += work[number]
            progress.show(worked, f"{count:,} {unit}")
            cached.save(number + 1)
    return count - before


def unit_of(windows: Windows | None) -> str:
    """Return the word for the rows that the encoder reads at once, for messages."""
    return "texts" if windows is None else "windows"
