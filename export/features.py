"""The frozen encoder's vectors of every text: computed once, kept on disk, gone on with after an interruption."""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from export.bundle import graph_bytes
from export.encoder import FrozenEncoder
from export.graph import feature_graph
from export.weights import encoder_weights
from scorer.batches import by_length
from scorer.cores import usable_cores
from scorer.engine import RowEngine
from scorer.progress import Progress
from scorer.runtime import open_session
from scorer.tokens import Tokens

POOLINGS = ("cls", "mean")

# Texts between two records of what is done; a power cut costs the work on so many.
_TEXTS_PER_SAVE = 256


@dataclass(frozen=True)
class Features:
    """Pooled vectors of texts.

    Attributes:
        vectors: float32 (texts, poolings, hidden), poolings in the order of `POOLINGS`.
        computed: texts computed now; the others came from the cache.
        seconds: that it took.
    """

    vectors: np.ndarray
    computed: int
    seconds: float

    def pooled(self, pooling: str) -> np.ndarray:
        """(texts, hidden)"""
        return self.vectors[:, POOLINGS.index(pooling)]


def cache_folder() -> Path:
    """Where features are kept unless --cache-dir says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "review-scorer" / "features"


def extract(encoder: FrozenEncoder, tokens: Tokens, folder: Path, *, name: str, quiet: bool = False) -> Features:
    """The pooled last-layer vectors of tokenized texts, from the cache as far as they are there.

    They are computed by the graph that the classifier is exported as, on onnxruntime, a text a run: that is the fastest
    exact way known (docs/PERFORMANCE.md), and the head is trained on what it will read.

    Every part is written at its rows' places in one file; how many parts are done is recorded beside it after the file
    was flushed, so an interrupted extraction goes on from there.

    Args:
        encoder: the frozen encoder.
        tokens: the texts' token ids, cut to the length the model will be used with.
        folder: the cache.
        name: what the progress bar calls these texts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = cache_key(encoder, tokens)
    data, record = folder / f"{key}.npy", folder / f"{key}.json"
    lengths = [len(ids) for ids in tokens.ids]
    order = by_length(lengths)
    parts = [order[start : start + _TEXTS_PER_SAVE] for start in range(0, len(order), _TEXTS_PER_SAVE)]
    done = _parts_done(data, record)
    shape = (len(lengths), len(POOLINGS), encoder.hidden_size)
    if done == 0:
        features = np.lib.format.open_memmap(data, mode="w+", dtype=np.float32, shape=shape)
    else:
        features = np.lib.format.open_memmap(data, mode="r+")
    # Work is counted in tokens: counted in texts, the long ones at the beginning would make the time left look long.
    work = [sum(lengths[row] for row in part) for part in parts]
    texts = cached = sum(map(len, parts[:done]))
    worked = sum(work[:done])
    start = time.monotonic()
    engine = feature_engine(encoder, usable_cores()) if done < len(parts) else None
    with Progress(f"features of {name}", sum(work), quiet=quiet) as progress:
        progress.show(worked, f"{texts:,} texts")
        for number in range(done, len(parts)):
            assert engine is not None
            part = parts[number]
            features[part] = engine.logits([tokens.ids[row] for row in part])
            texts += len(part)
            worked += work[number]
            progress.show(worked, f"{texts:,} texts")
            features.flush()
            _write_record(record, number + 1)
    seconds = time.monotonic() - start
    return Features(np.load(data), texts - cached, seconds)


def feature_engine(encoder: FrozenEncoder, threads: int) -> RowEngine:
    """What computes features: token rows to float32 (rows, poolings, hidden)."""
    graph = graph_bytes(feature_graph(encoder_weights(encoder), POOLINGS))
    return RowEngine(open_session(graph, "cpu"), threads, output="features")


def pool(hidden: torch.Tensor, attention_mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector a text: of its first token ([CLS]), or the mean over all its tokens, padding left out.

    Args:
        hidden: (batch, sequence, hidden).
        attention_mask: (batch, sequence), 1 for a token, 0 for padding.
        pooling: one of `POOLINGS`.

    Returns:
        (batch, hidden)
    """
    if pooling == "cls":
        return hidden[:, 0]
    mask = attention_mask.to(hidden.dtype).unsqueeze(-1)  # (batch, sequence, 1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def cache_key(encoder: FrozenEncoder, tokens: Tokens) -> str:
    """Encoder weights and token ids decide the features; texts, tokenizer and max length are in the ids."""
    digest = hashlib.sha256(f"2 {encoder.sha256} {_TEXTS_PER_SAVE} {len(tokens.ids)}\n".encode())
    for ids in tokens.ids:
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(ids.astype("<i4").tobytes())
    return digest.hexdigest()[:32]


def _parts_done(data: Path, record: Path) -> int:
    try:
        return int(json.loads(record.read_text())["parts_done"]) if data.exists() else 0
    except FileNotFoundError:
        return 0


def _write_record(record: Path, parts_done: int) -> None:
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps({"parts_done": parts_done}))
    temporary.replace(record)
