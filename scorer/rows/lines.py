"""A binary stream cut into physical lines, with their places, in bounded memory."""

import codecs
from collections.abc import Iterator
from typing import NamedTuple, Protocol

RAW_LIMIT = 64 * 1024
"""How much of an over-long record is kept for the rejects file."""


class Stream(Protocol):
    """The part of a binary stream that is used here."""

    def readline(self, limit: int, /) -> bytes: ...

    def read(self, size: int, /) -> bytes: ...


class Line(NamedTuple):
    """A physical line.

    Attributes:
        number: from 1.
        offset: of its first byte.
        data: its bytes, line end included; of a line that is too long perhaps the beginning only.
        length: its whole length in bytes.
        too_long: whether it is longer than the limit.
    """

    number: int
    offset: int
    data: bytes
    length: int
    too_long: bool


def lines(stream: Stream, limit: int, *, carriage_returns: bool = False) -> Iterator[Line]:
    """Cut a stream at ``\\n``; a UTF-8 byte order mark before the first line is dropped.

    Args:
        stream: where to read.
        limit: bytes of a line at most; the rest of a longer one is read and dropped.
        carriage_returns: cut at ``\\r\\n`` and lone ``\\r`` too, as CSV does.
    """
    number, offset, carry = 1, 0, b""
    while data := carry + stream.readline(max(1, limit + 1 - len(carry))):
        data, carry = _whole_lines(data, len(carry), stream) if carriage_returns and b"\r" in data else (data, b"")
        if offset == 0 and data.startswith(codecs.BOM_UTF8):
            data, offset = data[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        if len(data) > limit and not data.endswith((b"\n", b"\r") if carriage_returns else b"\n"):
            skipped, carry = _skip_line(stream, carriage_returns)
            length = len(data) + skipped
            yield Line(number, offset, data[:RAW_LIMIT], length, True)
            number, offset = number + 1, offset + length
            continue
        for part in data.splitlines(keepends=True) if carriage_returns else (data,) if data else ():
            yield Line(number, offset, part, len(part), len(part) > limit)
            number, offset = number + 1, offset + len(part)


def _whole_lines(data: bytes, carried: int, stream: Stream) -> tuple[bytes, bytes]:
    """Cut data that holds ``\\r`` after its last whole line; a ``\\r`` at the end may be the half of ``\\r\\n``.

    Args:
        data: what was read, the first ``carried`` bytes of it before.
        carried: as many bytes as ``data`` has at the end of the stream.
        stream: where to read the byte after a final ``\\r``.

    Returns:
        whole lines, and the beginning of the next one.
    """
    if data.endswith(b"\n") or len(data) == carried:
        return data, b""
    if data.endswith(b"\r"):
        following = stream.read(1)
        return (data + following, b"") if following == b"\n" else (data, following)
    cut = data.rfind(b"\r") + 1
    return data[:cut], data[cut:]


def _skip_line(stream: Stream, carriage_returns: bool) -> tuple[int, bytes]:
    """Read on to the end of the line; returns how many bytes that were, and what was read of the next line."""
    skipped = 0
    while piece := stream.readline(1 << 20):
        if carriage_returns and b"\r" in piece:
            end = piece.index(b"\r") + 1
            rest = piece[end:] or stream.read(1)
            if rest.startswith(b"\n"):
                return skipped + end + 1, rest[1:]
            return skipped + end, rest
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped, b""
