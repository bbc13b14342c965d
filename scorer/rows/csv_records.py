"""CSV records from lines: their ends and values, found by the standard library's parser in strict mode."""

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypedDict

from scorer.rows.csv_marks import Marks
from scorer.rows.dialect import Dialect
from scorer.rows.lines import Line, decoded


class _Format(TypedDict):
    """A dialect, in the csv module's own terms."""

    delimiter: str
    quotechar: str | None
    escapechar: str | None
    skipinitialspace: bool
    quoting: int
    strict: bool


class Record(NamedTuple):
    """A record's lines and values.

    Attributes:
        first: first line.
        rest: bytes of the other lines.
        values: values of the fields, see `Marks.restored`; empty for a blank line. None if the record does not parse or does
            not end within the limit. It is then its first line alone.
    """

    first: Line
    rest: bytes
    values: Sequence[str | None] | None


class RecordReader:
    """An iterator over the records of a file.

    A record that fails costs its first line, and the next record begins with the line after it. If every line leaves a
    quote open, this would read the file to its end once for each line. The reader reads it about twice instead: it
    remembers how far lines that begin inside quotes are known to end inside quotes (``_frontier``). A quote that is open
    before any of these lines is open there, whichever record opened it.

    Args:
        lines: lines of the file; those with an escaped end are already joined with the next.
        limit: largest size of a record, in bytes; a record whose quote is still open there does not end.
        dialect: dialect of the file, with its delimiter. Lines with a comment are ignored where a record could begin.
    """

    def __init__(self, lines: Iterator[Line], limit: int, dialect: Dialect) -> None:
        self._ahead = LookAhead(lines)
        self._encoding = dialect.encoding
        self._limit = limit
        self._comment = dialect.comment
        self._marks = Marks(dialect)
        self._format: _Format = {
            "delimiter": self._marks.delimiter,
            "quotechar": dialect.quote_char or None,
            "escapechar": dialect.escape_char or None,
            "skipinitialspace": dialect.skip_initial_space,
            "quoting": csv.QUOTE_MINIMAL if dialect.quote_char else csv.QUOTE_NONE,
            "strict": True,
        }
        self._special = [char for char in (dialect.quote_char, dialect.escape_char) if char]
        self._frontier = 0  # in lines ahead, as is everything below
        self._frontier_bytes = 0
        self._dead_end = False  # whether a quote open at the frontier is never closed, or makes the record fail there

    def __iter__(self) -> Iterator[Record]:
        while (first := self._take_line()) is not None:
            if self._comment and decoded(first.data, self._encoding).startswith(self._comment):
                continue
            if first.too_long:
                yield Record(first, b"", None)
                continue
            text = self._text(first.data)
            if not any(char in text for char in self._special):  # most lines of most files
                yield Record(first, b"", self._split(text.rstrip("\r\n")))
                continue
            values, rest = self._known(first, text) if self._frontier else self._read(first, text)
            yield Record(first, rest, None if values is None else self._marks.restored(values))

    def _split(self, line: str) -> Sequence[str | None]:
        """Return the values of a line without quotes and escapes."""
        values = line.split(self._marks.delimiter) if line else []
        if self._format["skipinitialspace"]:
            values = [value.lstrip(" ") for value in values]
        return self._marks.restored(values)

    def _read(self, first: Line, text: str) -> tuple[list[str] | None, bytes]:
        """Return a record's values and its other lines; the parser gets as many lines as it asks for."""
        count = size = last = 0

        def pieces() -> Iterator[str]:
            nonlocal count, size, last
            yield text
            while first.length + size <= self._limit and (last := self._ahead.look(count) or 0):
                count, size = count + 1, size + last
                yield self._text(self._ahead.piece(size - last, size))

        values, still_open = self._parse(pieces())
        if values is not None:
            return values, self._ahead.take_lines(count)
        # The parser asked for each line because a quote was open before it. It failed in the last one, or ran out.
        self._dead_end = not still_open
        if count:
            self._frontier, self._frontier_bytes = (count, size) if still_open else (count - 1, size - last)
        return None, b""

    def _known(self, first: Line, text: str) -> tuple[list[str] | None, bytes]:
        """Do the same as `_read`, without reading again the lines through which an open quote stays open."""
        values, still_open = self._parse([text])
        if not still_open or not self._ends(first.length):
            return values, b""
        self._frontier = 0
        return self._read(first, text)

    def _ends(self, length: int) -> bool:
        """Return whether a record that leaves a quote open in its first line ends within the limit.

        Args:
            length: length of its first line, in bytes.
        """
        while not self._dead_end and length + self._frontier_bytes <= self._limit:
            size = self._ahead.look(self._frontier)
            if size is None:
                self._dead_end = True
                break
            text = self._text(self._ahead.piece(self._frontier_bytes, self._frontier_bytes + size))
            values, still_open = self._parse([f"{self._format['quotechar']}{text}"])
            if values is not None:
                return True
            if still_open:
                self._frontier += 1
                self._frontier_bytes += size
            else:
                self._dead_end = True
        return False

    def _parse(self, pieces: Iterable[str]) -> tuple[list[str] | None, bool]:
        """Return a record's values; or None, and whether a quote is still open after the last piece."""
        all_given = False

        def given() -> Iterator[str]:
            nonlocal all_given
            yield from pieces
            all_given = True

        try:
            return next(csv.reader(given(), **self._format), None), False  # type: ignore[arg-type]
        except csv.Error:
            return None, all_given

    def _take_line(self) -> Line | None:
        line = self._ahead.take()
        if line is not None and self._frontier:
            self._frontier -= 1
            self._frontier_bytes -= line.length
        return line

    def _text(self, data: bytes) -> str:
        # Undecodable bytes must not stop the parser in the middle of a record; the caller finds them again.
        text = self._marks.marked(decoded(data, self._encoding))
        # After an escaped line end, the parser ends a record only at a line end, not at the end of the file.
        return text if text.endswith(("\n", "\r")) else f"{text}\n"


class LookAhead:
    """A file's lines, taken one by one; lines that were only looked at are kept as bytes.

    A `Line` takes a hundred times as much memory as the one byte of an empty line. A quote that is never closed makes
    many lines wait.

    Args:
        lines: lines of a file, in order. A line that is too long, and so only partly kept, ends the look ahead.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._kept = bytearray()
        self._lengths = array("I")  # no record is longer than 2 GB
        self._taken = 0  # lengths whose lines were taken
        self._start = (1, 0)  # number and offset of the first kept line
        self._beyond: Line | None = None  # the line after the kept ones, too long to be kept

    def take(self) -> Line | None:
        """Return the next line, or None at the end."""
        if self._taken == len(self._lengths):
            line, self._beyond = self._beyond, None
            return line or next(self._lines, None)
        number, offset = self._start
        data = self._take_bytes(1)
        return Line(number, offset, data, len(data), False)

    def look(self, index: int) -> int | None:
        """Return the length of the line ``index`` lines ahead, in bytes; None beyond the last line of the look ahead.

        Lines must be looked at in order, from 0 for the next one.
        """
        at = self._taken + index
        if at == len(self._lengths) and self._beyond is None:
            self._look_at_one_more()
        return self._lengths[at] if at < len(self._lengths) else None

    def piece(self, start: int, end: int) -> bytes:
        """Return bytes ``start`` to ``end`` of the look ahead."""
        return bytes(self._kept[start:end])

    def take_lines(self, count: int) -> bytes:
        """Take the next ``count`` lines of the look ahead, as one piece."""
        return self._take_bytes(count) if count else b""

    def _look_at_one_more(self) -> None:
        line = next(self._lines, None)
        if line is None:
            return
        if line.too_long:
            self._beyond = line
            return
        if not self._kept:
            self._start = (line.number, line.offset)
        self._kept += line.data
        self._lengths.append(line.length)

    def _take_bytes(self, lines: int) -> bytes:
        end = self._taken + lines
        data = bytes(self._kept[: sum(self._lengths[self._taken : end])])
        number, offset = self._start
        # A line that an escape character joined counts as several.
        ends = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
        self._start = (number + ends, offset + len(data))
        del self._kept[: len(data)]
        self._taken = end
        if 2 * end > len(self._lengths):  # only now and then, since it moves all that follows
            del self._lengths[:end]
            self._taken = 0
        return data
