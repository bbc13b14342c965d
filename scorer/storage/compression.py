"""gzip and Zstandard: inputs read to their last byte or refused, outputs written a piece at a time."""

import gzip
import io
from typing import BinaryIO, cast

from scorer.base.errors import InputError
from scorer.storage.digest import Content

_ARROW_NAMES = {"gz": "gzip", "zst": "zstd"}
_NAMES = {"gz": "gzip", "zst": "Zstandard"}
# Text comes to 3 to 30 times its archive, a million equal lines to some hundred. What is beyond both of these is made
# to fill memory or to keep a machine busy: gzip can reach 1,032 times, Zstandard tens of thousands.
_MOST_TIMES = 500
_HARMLESS_BYTES = 64 << 20
_LEVEL_GZIP = 6
_LEVEL_ZSTD = 3


def decompressed(stream: BinaryIO, compression: str, path: str, stored: Content) -> BinaryIO:
    """The content of an archive, all members or frames of it, as a stream.

    Args:
        stream: the archive.
        compression: ``gz`` or ``zst``.
        path: the name of the input file, for messages.
        stored: counts the archive's bytes, at most a buffer ahead.

    Raises:
        InputError: while it is read: it is cut short, damaged, not of this compression, or expands beyond all measure.
    """
    return cast(BinaryIO, io.BufferedReader(_Decompressed(stream, compression, path, stored), 1 << 16))


def compress(data: bytes, compression: str | None) -> bytes:
    """Bytes as a gzip member or a Zstandard frame of their own; the same bytes always give the same.

    >>> gzip.decompress(compress(b"one, ", "gz") + compress(b"two", "gz"))
    b'one, two'
    """
    if compression == "gz":
        return gzip.compress(data, _LEVEL_GZIP, mtime=0)
    if compression == "zst":
        import zstandard

        return zstandard.ZstdCompressor(level=_LEVEL_ZSTD, write_checksum=True).compress(data)
    return data


class _Decompressed(io.RawIOBase):
    """Reads an archive through pyarrow, which knows what Python's own readers leave open: whether it ended too early.

    A Zstandard frame that needs a window of more than 128 MiB is refused (libzstd's own limit).
    """

    def __init__(self, stream: BinaryIO, compression: str, path: str, stored: Content) -> None:
        import pyarrow  # takes a moment that other inputs need not wait

        self._stored = stored
        self._stream = pyarrow.CompressedInputStream(stream, _ARROW_NAMES[compression])
        self._name = _NAMES[compression]
        self._path = path
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            if error.errno is not None:  # of the file, not of what is in it
                raise
            raise InputError(
                f"{self._path} is cut short or damaged, has something behind its end, or is no {self._name} file "
                f"({error}). Get it again, or see what is left of it with gzip -dc or zstd -dc."
            ) from error
        self._given += len(data)
        if not self._stored.count:
            raise InputError(f"{self._path} is cut short: a {self._name} file has more than 0 bytes.")
        if self._given > max(_HARMLESS_BYTES, _MOST_TIMES * self._stored.count):
            raise InputError(
                f"{self._path} expands to more than {_MOST_TIMES} times its size, as text does not. If it is no "
                f"decompression bomb, decompress it first."
            )
        buffer[: len(data)] = data
        return len(data)
