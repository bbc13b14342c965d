"""Objects of a store, read as streams of bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from scorer.errors import ScorerError
from scorer.stores import filesystem, store_errors

# Bytes asked for at a time: some tenths of a second of any network, while what was read before is scored.
_BLOCK = 8 << 20
_BUFFER = 1 << 17


@contextmanager
def opened_object(address: str) -> Iterator[BinaryIO]:
    """Open an object as it is stored; it can be read again from another place where its server allows that.

    Raises:
        ScorerError: it cannot be opened, or meanwhile it cannot be read.
    """
    store = filesystem(address)
    with store_errors(address, "read"):
        try:
            file = store.open(address, "rb", block_size=_BLOCK)
        except FileNotFoundError as error:
            raise ScorerError(f"{address} cannot be read: it is not there any more.") from error
    with io.BufferedReader(_Object(file, address), _BUFFER) as stream:
        yield cast(BinaryIO, stream)


class _Object(io.RawIOBase):
    """An open file of fsspec, whose errors are ours."""

    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        self._address = address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with store_errors(self._address, "read"):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        with store_errors(self._address, "read"):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
