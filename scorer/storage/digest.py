"""Digests of bytes as they pass, and the stream that feeds them."""

import hashlib
import io
from typing import BinaryIO, Protocol


class Digest(Protocol):
    """Part of hashlib's interface that `DigestingReader` needs."""

    def update(self, data: bytes, /) -> None: ...


class Content:
    """Size and digest of a stored file or stream, while it is read or written from beginning to end.

    Attributes:
        count: bytes so far.
        ended: True once a reader has reached the end.
    """

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The sha256 of those bytes in hexadecimal, as sha256sum prints it."""
        return self._hash.hexdigest()

    def update(self, data: bytes, /) -> None:
        """Add the next bytes; empty ones mark the end."""
        self.count += len(data)
        self._hash.update(data)
        self.ended = self.ended or not data


class DigestingReader(io.RawIOBase):
    """Stream whose bytes go to a digest exactly as they are read: nothing is read ahead.

    A buffer around it reads ahead, so a digest of consumed lines belongs above the buffer, one of the stored file below.

    Args:
        stream: buffered stream to read.
        digest: digest of the bytes of each read.
    """

    def __init__(self, stream: BinaryIO, digest: Digest) -> None:
        self._stream = stream
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._stream.read1(len(buffer))  # type: ignore[attr-defined]  # takes a pipe's bytes as they come, without waiting for more
        self._digest.update(data)
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def readline(self, size: int = -1, /) -> bytes:  # type: ignore[override]
        data = self._stream.readline(size)  # the base class's reads byte by byte
        self._digest.update(data)
        return data
