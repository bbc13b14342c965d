"""Arrays that take long to compute, on disk: filled part by part, resumed after an interruption."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from export.errors import ExportError


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


def check_cache(folder: Path) -> None:
    """Make the folder of the cache, and see that it can be written.

    Raises:
        ExportError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExportError(
            f"the cache {folder} cannot be written: {error.strerror}. Give another folder with --cache-dir."
        ) from error


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
            _reserve(self._data)
        else:
            self.array = np.lib.format.open_memmap(self._data, mode="r+")

    def save(self, done: int) -> None:
        """Record that so many parts are there, once they are."""
        self.array.flush()  # an msync: what is recorded as done is on the disk
        with replaced(self._record) as file:
            file.write(json.dumps({"parts_done": done}).encode())
        self.done = done

    def _parts_done(self) -> int:
        try:
            return int(json.loads(self._record.read_text())["parts_done"]) if self._data.exists() else 0
        except (FileNotFoundError, ValueError, KeyError):
            return 0


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that afterwards stands there complete, also after a power cut, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _reserve(path: Path) -> None:
    """Take the room of a sparse file, for a disk that is full later ends the process without a word.

    Raises:
        ExportError: there is not so much.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    size = path.stat().st_size
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            path.unlink()
            raise ExportError(
                f"{path.parent} cannot take {size / 1e9:.1f} GB: {error.strerror}. Give another folder with --cache-dir."
            ) from error
