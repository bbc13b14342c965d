"""What takes long to compute, on disk: filled part by part, gone on with after an interruption."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def cache_folder() -> Path:
    """Where it is kept unless --cache-dir says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "review-scorer" / "features"


def cache_key(rows: Iterable[np.ndarray], *what: object) -> str:
    """A name for what is computed of token rows; texts, tokenizer and what is cut are in the ids.

    Args:
        rows: token ids, (sequence,) each.
        what: else it depends on.
    """
    digest = hashlib.sha256(f"{what}\n".encode())
    for ids in rows:
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(ids.astype("<i4").tobytes())
    return digest.hexdigest()[:32]


class CachedArray:
    """An array in a file, and beside it how many of its parts are there.

    Args:
        folder: of the cache; it is made.
        key: of `cache_key`.
        shape, dtype: of the array.
    """

    def __init__(self, folder: Path, key: str, shape: Sequence[int], dtype: type[np.generic]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._data, self._record = folder / f"{key}.npy", folder / f"{key}.json"
        self.done = self._parts_done()
        if self.done == 0:
            self.array = np.lib.format.open_memmap(self._data, mode="w+", dtype=dtype, shape=tuple(shape))
        else:
            self.array = np.lib.format.open_memmap(self._data, mode="r+")

    def save(self, done: int) -> None:
        """Record that so many parts are there, once they are."""
        self.array.flush()
        write_json(self._record, {"parts_done": done})
        self.done = done

    def _parts_done(self) -> int:
        try:
            return int(json.loads(self._record.read_text())["parts_done"]) if self._data.exists() else 0
        except FileNotFoundError:
            return 0


def write_json(path: Path, value: Any) -> None:
    """Write a file that is complete or not there."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)
