"""A binary stream cut into physical lines, with their places, in bounded memory."""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

RAW_LIMIT = 64 * 1024
"""How much of an over-long record is kept for the rejects file."""

LINE_END = re.compile(rb"\r\n?|\n")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_TAIL = 1024


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
        tail: its last bytes, of a line that is too long.
    """

    number: int
    offset: int
    data: bytes
    length: int
    too_long: bool
    tail: bytes = b""


def lines(stream: Stream, limit: int, *, carriage_returns: bool = False) -> Iterator[Line]:
    """Cut a stream at ``\\n``; a UTF-8 byte order mark before the first line is dropped.

    Args:
        stream: where to read.
        limit: bytes of a line at most; the rest of a longer one is read and dropped.
        carriage_returns: cut at ``\\r\\n`` and lone ``\\r`` too, as CSV does.
    """
    number, offset, carry = 1, 0, b""
    while data := carry if carry.endswith(b"\n") else carry + stream.readline(max(1, limit + 1 - len(carry))):
        if offset == 0 and data.startswith(codecs.BOM_UTF8):
            data, offset = data[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
            data += b"" if data.endswith(b"\n") else stream.readline(len(codecs.BOM_UTF8))
        data, carry = _whole_lines(data, len(carry), stream) if carriage_returns and b"\r" in data else (data, b"")
        if len(data) > limit and not data.endswith((b"\n", b"\r") if carriage_returns else b"\n"):
            skipped, tail, carry = _skip_line(stream, carriage_returns)
            length = len(data) + skipped
            yield Line(number, offset, data[:RAW_LIMIT], length, True, (data[-_TAIL:] + tail)[-_TAIL:])
            number, offset = number + 1, offset + length
            continue
        # One by one: millions of empty lines would be a hundred times as large as their bytes.
        for part in _parts(data, carriage_returns):
            long = len(part) > limit
            yield Line(number, offset, part, len(part), long, part[-_TAIL:] if long else b"")
            number, offset = number + 1, offset + len(part)


def joined(physical_lines: Iterator[Line], limit: int, encoding: str, escape_char: str) -> Iterator[Line]:
    """Join each line whose end is escaped with the next one; longer ones than the limit are too long.

    Inside quotes and outside, an escaped line end is part of a value.
    """
    first: Line | None = None
    data, length = bytearray(), 0
    for line in physical_lines:
        goes_on = _end_is_escaped(line, encoding, escape_char)
        if first is None and not goes_on:
            yield line
            continue
        first = first or line
        length += line.length
        if len(data) <= limit:
            data += line.data
        if not goes_on:
            yield _whole(first, data, length, limit)
            first, data, length = None, bytearray(), 0
    if first is not None:
        yield _whole(first, data, length, limit)


def _whole(first: Line, data: bytearray, length: int, limit: int) -> Line:
    too_long = length > limit
    return Line(first.number, first.offset, bytes(data[:RAW_LIMIT] if too_long else data), length, too_long)


def _end_is_escaped(line: Line, encoding: str, escape_char: str) -> bool:
    """Whether the one character that ends a line is escaped. Of two, the escape would only mean the first."""
    text = (line.tail if line.too_long else line.data).decode(encoding, "surrogateescape")
    if text.endswith("\r\n") or not text.endswith(("\r", "\n")):
        return False
    before = text[:-1]
    return (len(before) - len(before.rstrip(escape_char))) % 2 == 1


def _parts(data: bytes, carriage_returns: bool) -> Iterator[bytes]:
    if not carriage_returns or b"\r" not in data:
        return iter((data,) if data else ())
    return (match[0] for match in _LINE.finditer(data))


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


def _skip_line(stream: Stream, carriage_returns: bool) -> tuple[int, bytes, bytes]:
    """Read on to the end of the line.

    Returns:
        how many bytes that were, the last of them, and what was read of the next line.
    """
    skipped, tail = 0, b""
    while piece := stream.readline(1 << 20):
        if carriage_returns and b"\r" in piece:
            end = piece.index(b"\r") + 1
            if end == len(piece):
                piece += stream.read(1)  # perhaps the other half of \r\n
            end += piece[end : end + 1] == b"\n"
            return skipped + end, (tail + piece[:end])[-_TAIL:], piece[end:]
        skipped += len(piece)
        tail = (tail + piece)[-_TAIL:]
        if piece.endswith(b"\n"):
            break
    return skipped, tail, b""
