"""Digests of bytes that go by, and the stream that feeds them."""

import hashlib
import io
from typing import BinaryIO, Protocol


class Digest(Protocol):
    """The part of hashlib's hashes that `DigestingReader` feeds."""

    def update(self, data: bytes, /) -> None: ...


class Content:
    """A file or a stream as it is stored, while it is read or written from its beginning to its end.

    Attributes:
        count: bytes so far.
        ended: whether these are all, of what is read.
    """

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The sha256 of those bytes, hexadecimal: the output of sha256sum, once all went by."""
        return self._hash.hexdigest()

    def update(self, data: bytes, /) -> None:
        """Take the next bytes; none are the end."""
        self.count += len(data)
        self._hash.update(data)
        self.ended = self.ended or not data


class DigestingReader(io.RawIOBase):
    """A stream whose bytes go to a digest exactly as they are read: nothing is read ahead.

    A buffer around it reads ahead, so a digest of consumed lines belongs above the buffer, one of the stored file below.

    Args:
        stream: a buffered stream.
        digest: gets the bytes of each read.
    """

    def __init__(self, stream: BinaryIO, digest: Digest) -> None:
        self._stream = stream
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._stream.read1(len(buffer))  # type: ignore[attr-defined]  # a pipe's bytes as they come, without a wait for more
        self._digest.update(data)
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def readline(self, size: int = -1, /) -> bytes:  # type: ignore[override]
        data = self._stream.readline(size)  # that of the base class reads byte by byte
        self._digest.update(data)
        return data
