"""On-disk arrays for values that take long to compute: filled in parts, resumed after an interruption."""

import errno
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from export.errors import ExportError


def cache_key(rows: Iterable[np.ndarray], *what: object) -> str:
    """Return a file name for values computed from token rows; the ids reflect texts, tokenizer and truncation.

    Args:
        rows: token ids, (sequence,) each.
        what: everything else that the values depend on.
    """
    digest = hashlib.sha256(f"{what}\n".encode())
    for ids in rows:
        digest.update(len(ids).to_bytes(8, "little"))
        digest.update(ids.astype("<i4").tobytes())
    return digest.hexdigest()[:32]


def check_cache(folder: Path) -> None:
    """Create the folder of the cache, and check that it is writable.

    Raises:
        ExportError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ExportError(
            f"the cache {folder} cannot be written: {error.strerror}. Give another folder with --cache-dir."
        ) from error


def missing_bytes(folder: Path, key: str, shape: Sequence[int], dtype: type[np.generic]) -> int:
    """Return the bytes that `CachedArray` will write; 0 if it has begun, since its file is allocated in full."""
    begun = (folder / f"{key}.npy").exists() and (folder / f"{key}.json").exists()
    return 0 if begun else math.prod(shape) * np.dtype(dtype).itemsize


class CachedArray:
    """An array in a file, beside a record of the number of its finished parts.

    Attributes:
        array: array of the file, mapped into memory.
        done: number of finished parts.

    Args:
        folder: folder of the cache; it is created.
        key: name from `cache_key`.
        shape, dtype: shape and type of the array.
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
        """Make the array durable, then record the number of finished parts."""
        self.array.flush()  # an msync: every part that is recorded as done is on disk
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
    """Open a file for writing that appears complete or not at all, even after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _reserve(path: Path) -> None:
    """Allocate a sparse file in full, because a disk that fills up later kills the process without a message.

    Raises:
        ExportError: the disk is too full.
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
                f"{path.parent} has no room for {size / 1e9:.1f} GB: {error.strerror}. Give another folder with --cache-dir."
            ) from error
