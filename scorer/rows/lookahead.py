"""Physical lines that can be looked at before they are taken, in little more memory than their bytes."""

from array import array
from collections.abc import Iterator

from scorer.rows.lines import Line


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
