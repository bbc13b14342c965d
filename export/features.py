"""The frozen encoder's vectors of every text: computed once, kept on disk, gone on with after an interruption."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from export.encoder import FrozenEncoder
from scorer.batches import pad, token_budget
from scorer.progress import Progress
from scorer.tokens import Tokens

POOLINGS = ("cls", "mean")

# Padded tokens a batch: measured on 2 cores, 4,096 to 16,384 are equally fast, and more only costs memory.
_BATCH_TOKENS = 8192
_BATCHES_PER_SAVE = 8


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

    Every batch is written at its rows' places in one file; how many batches are done is recorded beside it after
    the file was flushed, so an interrupted extraction goes on from there.

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
    batches = token_budget(lengths, _BATCH_TOKENS)
    done = _batches_done(data, record)
    shape = (len(lengths), len(POOLINGS), encoder.hidden_size)
    if done == 0:
        features = np.lib.format.open_memmap(data, mode="w+", dtype=np.float32, shape=shape)
    else:
        features = np.lib.format.open_memmap(data, mode="r+")
    # Work is counted in tokens: counted in texts, the long ones at the beginning would make the time left look long.
    work = [sum(lengths[row] for row in batch) for batch in batches]
    texts = cached = sum(map(len, batches[:done]))
    worked = sum(work[:done])
    start = time.monotonic()
    with Progress(f"features of {name}", sum(work), quiet=quiet) as progress:
        progress.show(worked, f"{texts:,} texts")
        for number in range(done, len(batches)):
            rows = batches[number]
            features[rows] = encode([tokens.ids[row] for row in rows], encoder.model)
            texts += len(rows)
            worked += work[number]
            progress.show(worked, f"{texts:,} texts")
            if number % _BATCHES_PER_SAVE == 0 or number == len(batches) - 1:
                features.flush()
                _write_record(record, number + 1)
    seconds = time.monotonic() - start
    return Features(np.load(data), texts - cached, seconds)


def encode(rows: Sequence[np.ndarray], model: nn.Module) -> np.ndarray:
    """Pooled last-layer vectors of one padded batch: float32 (batch, poolings, hidden)."""
    input_ids, attention_mask = map(torch.from_numpy, pad(rows))
    with torch.inference_mode():
        hidden = model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return torch.stack([pool(hidden, attention_mask, pooling) for pooling in POOLINGS], dim=1).numpy()


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
    digest = hashlib.sha256(f"1 {encoder.sha256} {_BATCH_TOKENS} {len(tokens.ids)}\n".encode())
    for ids in tokens.ids:
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(ids.astype("<i4").tobytes())
    return digest.hexdigest()[:32]


def _batches_done(data: Path, record: Path) -> int:
    try:
        return int(json.loads(record.read_text())["batches_done"]) if data.exists() else 0
    except FileNotFoundError:
        return 0


def _write_record(record: Path, batches_done: int) -> None:
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps({"batches_done": batches_done}))
    temporary.replace(record)
