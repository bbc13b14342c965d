"""Physical lines of a binary stream, with their positions, in bounded memory."""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

RAW_LIMIT = 64 * 1024
"""Bytes of an over-long record that are kept for the rejects file."""

MAX_RECORD_BYTES = 10_000_000
"""Default size of the largest record, in bytes; a larger one is rejected."""

_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_TAIL = 64 * 1024  # enough to find out whether the line's end is escaped, unless all of it were escape characters
_PIECE = 1 << 16


class Stream(Protocol):
    """The part of a binary stream that this module uses."""

    def readline(self, limit: int, /) -> bytes: ...

    def read(self, size: int, /) -> bytes: ...


class Line(NamedTuple):
    """A physical line.

    Attributes:
        number: line number, from 1.
        offset: offset of the first byte.
        data: bytes, line end included; of an over-long line only the beginning, at most `RAW_LIMIT` bytes.
        length: length of the whole line, in bytes.
        too_long: whether the line is longer than the limit.
        tail: last bytes of an over-long line.
    """

    number: int
    offset: int
    data: bytes
    length: int
    too_long: bool
    tail: bytes = b""


def lines(stream: Stream, limit: int, *, carriage_returns: bool = False) -> Iterator[Line]:
    """Cut a stream into lines at ``\\n``, and drop a UTF-8 byte order mark before the first line.

    Args:
        stream: stream to read.
        limit: largest size of a line, in bytes; the rest of a longer one is read and dropped.
        carriage_returns: whether to cut at ``\\r\\n`` and a lone ``\\r`` as well, as CSV does.
    """
    ends = (b"\n", b"\r") if carriage_returns else (b"\n",)
    number, offset, length, kept, tail = 1, 0, 0, bytearray(), b""
    for piece in _cut_at_returns(stream) if carriage_returns else iter(lambda: stream.readline(_PIECE), b""):
        if not (offset or length) and piece.startswith(codecs.BOM_UTF8):
            piece, offset = piece[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        if not length and len(piece) <= limit and piece.endswith(ends):
            yield Line(number, offset, piece, len(piece), False)
            number, offset = number + 1, offset + len(piece)
            continue
        length += len(piece)
        if len(kept) <= limit:
            kept += piece
        else:  # too long already: only its end is kept
            tail = (tail + piece)[-_TAIL:]
        if piece.endswith(ends):
            yield _line(number, offset, kept, length, limit, tail)
            number, offset, length, kept, tail = number + 1, offset + length, 0, bytearray(), b""
    if length:
        yield _line(number, offset, kept, length, limit, tail)


def _line(number: int, offset: int, kept: bytearray, length: int, limit: int, tail: bytes = b"") -> Line:
    if length <= limit:
        return Line(number, offset, bytes(kept), length, False)
    return Line(number, offset, bytes(kept[:RAW_LIMIT]), length, True, (bytes(kept[-_TAIL:]) + tail)[-_TAIL:])


def _cut_at_returns(stream: Stream) -> Iterator[bytes]:
    """Yield pieces of lines; a line end is only at the end of a piece, and ``\\r\\n`` is never torn."""
    ahead = b""
    while data := ahead + stream.readline(_PIECE):
        ahead = b""
        if b"\r" not in data:
            yield data
            continue
        if data.endswith(b"\r"):  # perhaps the first half of \r\n
            ahead = stream.read(1)
            data, ahead = (data + ahead, b"") if ahead == b"\n" else (data, ahead)
        # One by one: a list of millions of empty lines would take a hundred times as much memory as their bytes.
        for match in _LINE.finditer(data):
            yield match[0]


def joined(
    physical_lines: Iterator[Line], limit: int, encoding: str, escape_char: str, comment: str = ""
) -> Iterator[Line]:
    """Join each line whose end is escaped with the next one; joined lines longer than the limit are too long.

    An escaped line end is part of a value, inside quotes and outside. A line that may be a comment is not joined with the
    next one; the parser reads a line end that is escaped inside of quotes either way.
    """
    first: Line | None = None
    data, length = bytearray(), 0
    for line in physical_lines:
        continued = _end_is_escaped(line, encoding, escape_char)
        if first is None and comment and decoded(line.data, encoding).startswith(comment):
            continued = False
        if first is None and not continued:
            yield line
            continue
        first = first or line
        length += line.length
        if len(data) <= limit:
            data += line.data
        if not continued:
            yield _line(first.number, first.offset, data, length, limit)
            first, data, length = None, bytearray(), 0
    if first is not None:
        yield _line(first.number, first.offset, data, length, limit)


def decoded(data: bytes, encoding: str) -> str:
    """Return a line's text, with lone surrogates for bytes that cannot be decoded; decoded text never has any.

    >>> decoded(b"a\\xff", "utf-8"), decoded(b"\\x1b$Zb", "iso2022_jp")
    ('a\\udcff', '\\udcff\\x1b$Zb')
    """
    try:
        return data.decode(encoding, "surrogateescape")
    except UnicodeError:  # stateful codecs can fail on bytes that surrogateescape would keep
        return f"\udcff{data.decode('latin-1')}"


def _end_is_escaped(line: Line, encoding: str, escape_char: str) -> bool:
    """Return whether the character that ends a line is escaped. In ``\\r\\n``, the escape holds only for ``\\r``."""
    text = decoded(line.tail if line.too_long else line.data, encoding)
    if text.endswith("\r\n") or not text.endswith(("\r", "\n")):
        return False
    before = text[:-1]
    return (len(before) - len(before.rstrip(escape_char))) % 2 == 1
