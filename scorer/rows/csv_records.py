"""CSV records out of lines: where a record ends, and its values, by the standard library's parser in strict mode."""

import csv
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypedDict

from scorer.rows.lines import Line, decoded


class Format(TypedDict):
    """The csv module's own names for a dialect."""

    delimiter: str
    quotechar: str | None
    escapechar: str | None
    quoting: int
    strict: bool


class Record(NamedTuple):
    """A record's lines.

    Attributes:
        first: its first line.
        rest: the bytes of its other lines.
        values: of its fields; None where it does not parse, or ends nowhere within the limit: it is then its first
            line alone.
    """

    first: Line
    rest: bytes
    values: list[str] | None


class RecordReader:
    """Iterates over the records of a file.

    A record that fails costs its first line, and the next one begins with the line after it. A file of lines that each
    leave a quote open would then be read to its end once for every line. To read it about twice instead, it is
    remembered up to where lines that begin inside quotes are known to end inside quotes (``_frontier``): a quote that is
    open before any of them is open there, whichever record opened it.

    Args:
        lines: of the file; with an escape character, those joined whose end is escaped.
        encoding: of the file.
        limit: bytes of a record at most; one whose quote is still open there ends nowhere.
        csv_format: how the file is written.
    """

    def __init__(self, lines: Iterator[Line], encoding: str, limit: int, csv_format: Format) -> None:
        self._ahead = LookAhead(lines)
        self._encoding = encoding
        self._limit = limit
        self._format = csv_format
        self._special = [char for char in (csv_format["quotechar"], csv_format["escapechar"]) if char]
        self._frontier = 0  # in lines ahead, as all below
        self._frontier_bytes = 0
        self._dead_end = False  # a quote open at the frontier is never closed, or the record fails there

    def __iter__(self) -> Iterator[Record]:
        while (first := self._take_line()) is not None:
            if first.too_long:
                yield Record(first, b"", None)
                continue
            text = self._text(first.data)
            if not any(char in text for char in self._special):  # most lines of most files
                line = text.rstrip("\r\n")
                yield Record(first, b"", line.split(self._format["delimiter"]) if line else [])
                continue
            values, rest = self._known(first, text) if self._frontier else self._read(first, text)
            yield Record(first, rest, values)

    def _read(self, first: Line, text: str) -> tuple[list[str] | None, bytes]:
        """Values and other lines of a record; the parser gets as many lines as it asks for."""
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
        # It asked for each of the lines because a quote was open before it, and in the last one it failed or not.
        self._dead_end = not still_open
        if count:
            self._frontier, self._frontier_bytes = (count, size) if still_open else (count - 1, size - last)
        return None, b""

    def _known(self, first: Line, text: str) -> tuple[list[str] | None, bytes]:
        """The same, where lines are known which a quote left open would stay open in."""
        values, still_open = self._parse([text])
        if not still_open or not self._ends(first.length):
            return values, b""
        self._frontier = 0
        return self._read(first, text)

    def _ends(self, length: int) -> bool:
        """Whether a record that leaves a quote open in its first line ends within the limit.

        Args:
            length: of its first line.
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
        """The values of a record; or None, and whether that is for a quote still open after the last piece."""
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
        # Undecodable bytes must not stop the parser in the middle of a record; who gets the record finds them again.
        text = decoded(data, self._encoding)
        # After an escaped line end the parser takes a record for ended by a line end only, not by the end of the file.
        return text if text.endswith(("\n", "\r")) else f"{text}\n"


class LookAhead:
    """A file's lines, taken one by one; those that were only looked at are kept as bytes.

    A `Line` each would take a hundred times as much as an empty line's one byte, and a quote that is never closed makes
    many of them wait.

    Args:
        lines: of a file, in order. A line that is too long, of which not all is kept, ends what can be looked at.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._kept = bytearray()
        self._lengths = array("I")  # no record is longer than 2 GB
        self._taken = 0  # of the lengths
        self._start = (1, 0)  # number and offset of the first line that is kept
        self._beyond: Line | None = None  # the line after those kept, too long to be one of them

    def take(self) -> Line | None:
        """The next line, or None at the end."""
        if self._taken == len(self._lengths):
            line, self._beyond = self._beyond, None
            return line or next(self._lines, None)
        number, offset = self._start
        data = self._take_bytes(1)
        return Line(number, offset, data, len(data), False)

    def look(self, index: int) -> int | None:
        """The length of the line ``index`` lines ahead, 0 is the next one; None beyond the last that can be looked at.

        Lines are looked at in order.
        """
        at = self._taken + index
        if at == len(self._lengths) and self._beyond is None:
            self._look_at_one_more()
        return self._lengths[at] if at < len(self._lengths) else None

    def piece(self, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` of those that are looked at."""
        return bytes(self._kept[start:end])

    def take_lines(self, count: int) -> bytes:
        """The next ``count`` lines, which have been looked at, in one piece."""
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
        # One line is more than one where an escape character joined them.
        ends = data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
        self._start = (number + ends, offset + len(data))
        del self._kept[: len(data)]
        self._taken = end
        if 2 * end > len(self._lengths):  # now and then, since what follows is moved
            del self._lengths[:end]
            self._taken = 0
        return data
