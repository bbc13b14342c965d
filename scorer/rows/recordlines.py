"""The physical lines of CSV records, handed to the csv parser one by one, and given back where a record fails."""

import csv
from collections import deque
from collections.abc import Iterator
from typing import TypedDict

from scorer.rows.lines import Line


class Format(TypedDict):
    """The csv module's own names for a dialect."""

    delimiter: str
    quotechar: str | None
    escapechar: str | None
    quoting: int
    strict: bool


class RecordLines:
    """Iterates over a file's lines as text, and remembers those of the record in work.

    A record that fails gives its lines back but the first, and the next record begins with them. A file of lines that
    each leave a quote open would then be read to its end once for every line. To read it about twice instead, it is
    remembered of the lines given back which of them, begun inside quotes, end inside quotes: they cannot close a
    quote, whichever record opened it. With an escape character this is not known, and nothing is remembered.

    Args:
        physical_lines: of the file.
        encoding: of the file.
        limit: bytes of a record at most; beyond, the record looks to the parser like the end of the file.
        csv_format: how the file is written.

    Attributes:
        record: the lines of the record in work.
        length: their bytes.
    """

    def __init__(self, physical_lines: Iterator[Line], encoding: str, limit: int, csv_format: Format) -> None:
        self._lines = physical_lines
        self._encoding = encoding
        self._limit = limit
        self._format = csv_format
        self._returned: deque[Line] = deque()
        self._inside = 0  # so many of the first lines given back keep a quote open
        self._inside_length = 0
        self._dead_end = False  # and the line after them, or the end of the file, fails the record
        self._stopped = False
        self.record: list[Line] = []
        self.length = 0

    def __iter__(self) -> "RecordLines":
        return self

    def __next__(self) -> str:
        if self.record and (self.record[-1].too_long or self.length > self._limit or not self._may_close()):
            self._stopped = True
            raise StopIteration
        try:
            line = self._take()
        except StopIteration:
            self._stopped = True
            raise
        self.record.append(line)
        self.length += line.length
        return "" if line.too_long else self._text(line)

    def start_record(self) -> None:
        self.record, self.length, self._stopped = [], 0, False

    def keep_first_line(self) -> None:
        """The record in work has failed: give back all its lines but the first."""
        rest = self.record[1:]
        # An escaped line end outside quotes goes on to the next line, too: then nothing is known of where it began.
        if rest and self._format["escapechar"] is None:
            # The parser asked for another line after each of them but the last, so it was inside quotes there; after
            # the last, too, if it got none.
            failed_in_last = not self._stopped or rest[-1].too_long
            inside = rest[:-1] if failed_in_last else rest
            self._inside, self._inside_length = len(inside), sum(line.length for line in inside)
            self._dead_end = failed_in_last
        self._returned.extendleft(reversed(rest))
        self.record = self.record[:1]
        self.length = self.record[0].length

    def _take(self) -> Line:
        if not self._returned:
            return next(self._lines)
        line = self._returned.popleft()
        if self._inside:
            self._inside -= 1
            self._inside_length -= line.length
        else:
            self._dead_end = False
        return line

    def _may_close(self) -> bool:
        """Whether the quote that the record's first line left open is closed within the limit, where that is known."""
        if len(self.record) > 1 or not self._inside:
            return True
        while self.length + self._inside_length <= self._limit and not self._dead_end:
            line = self._after_inside()
            if line is None or line.too_long:
                self._dead_end = True
                break
            closes = self._closes(line)
            if closes:
                return True
            if closes is None:
                self._inside += 1
                self._inside_length += line.length
            else:
                self._dead_end = True
        return False

    def _after_inside(self) -> Line | None:
        """The line after those known to stay inside quotes; it is not taken."""
        if self._inside == len(self._returned):
            line = next(self._lines, None)
            if line is None:
                return None
            self._returned.append(line)
        return self._returned[self._inside]

    def _closes(self, line: Line) -> bool | None:
        """What a line begun inside quotes does: True, it ends the record; None, it stays inside; False, it fails."""
        asked_for_more = False

        def text() -> Iterator[str]:
            nonlocal asked_for_more
            yield f"{self._format['quotechar']}{self._text(line)}"
            asked_for_more = True

        try:
            next(csv.reader(text(), **self._format))  # type: ignore[arg-type]
        except csv.Error:
            return None if asked_for_more else False
        return True

    def _text(self, line: Line) -> str:
        # Undecodable bytes must not stop the parser in the middle of a record; who gets the record finds them again.
        return line.data.decode(self._encoding, "surrogateescape")
