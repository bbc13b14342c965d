"""Compression with gzip and Zstandard: inputs are read to their last byte or refused, outputs written in pieces."""

import gzip
import io
from typing import BinaryIO, cast

from scorer.base.errors import InputError
from scorer.storage.digest import Content, DigestingReader

_ARROW_NAMES = {"gz": "gzip", "zst": "zstd"}
_NAMES = {"gz": "gzip", "zst": "Zstandard"}
# Text expands to 3 to 30 times its archive, a million equal lines to some hundred times. An archive beyond both limits
# was made to fill memory or to keep a machine busy: gzip can reach 1,032 times, Zstandard tens of thousands.
_MOST_TIMES = 500
_HARMLESS_BYTES = 64 << 20
_LEVEL_GZIP = 6
_LEVEL_ZSTD = 3


def decompressed(stream: BinaryIO, compression: str, path: str, stored: Content) -> BinaryIO:
    """Return the content of an archive, with all its members or frames, as a stream.

    Args:
        stream: the archive.
        compression: ``gz`` or ``zst``.
        path: name of the input file, for messages.
        stored: counter of the archive's bytes, at most a buffer ahead.

    Raises:
        InputError: raised by reads, if the archive is truncated, damaged, of another format or a decompression bomb.
    """
    return cast(BinaryIO, io.BufferedReader(_Decompressed(stream, compression, path, stored), 1 << 16))


def first_line(stream: BinaryIO, compression: str | None, most: int) -> bytes:
    """Return the first line of a file, at most some bytes of it; nothing if the file is not compressed as stated.

    Args:
        stream: bytes of the file.
        compression: ``gz`` or ``zst``, or None.
        most: largest number of bytes to return.

    >>> first_line(io.BytesIO(compress(b"a,b\\n1,2\\n", "gz")), "gz", 100), first_line(io.BytesIO(b"a,b\\n"), "gz", 100)
    (b'a,b\\n', b'')
    """
    content = Content()
    if compression is not None:
        stored = cast(BinaryIO, io.BufferedReader(DigestingReader(stream, content)))
        stream = decompressed(stored, compression, "the file", content)
    try:
        return stream.readline(most)
    except InputError:
        return b""


def compress(data: bytes, compression: str | None) -> bytes:
    """Compress bytes into a gzip member or a Zstandard frame of their own; equal bytes give equal results.

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
    """Stream of an archive's content, read by pyarrow, which unlike Python's own readers notices a premature end.

    A Zstandard frame that needs a window of more than 128 MiB is refused (libzstd's own limit).
    """

    def __init__(self, stream: BinaryIO, compression: str, path: str, stored: Content) -> None:
        import pyarrow  # slow to import, and other inputs do not need it

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
            if error.errno is not None:  # the file itself cannot be read
                raise
            raise InputError(
                f"{self._path} is truncated or damaged, has extra bytes after its end, or is not a {self._name} file "
                f"({error}). Get the file again, or see what is left of it with gzip -dc or zstd -dc."
            ) from error
        self._given += len(data)
        if not self._stored.count:
            raise InputError(f"{self._path} is truncated: even an empty {self._name} file has more than 0 bytes.")
        if self._given > max(_HARMLESS_BYTES, _MOST_TIMES * self._stored.count):
            raise InputError(
                f"{self._path} expands to more than {_MOST_TIMES} times its size, which text does not. If it is not a "
                f"decompression bomb, decompress it first."
            )
        buffer[: len(data)] = data
        return len(data)
