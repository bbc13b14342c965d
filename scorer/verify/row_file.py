"""Files of rows in the order of their numbers, as a run writes them: read once, and joined with the rows of its input."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from scorer.base.text import counted
from scorer.rows.columns import Selection
from scorer.rows.formats import PARQUET, Format
from scorer.rows.reader import Inputs, records_of
from scorer.rows.record import Parsed, plain
from scorer.storage.digest import Content
from scorer.storage.inputs import opened

ROW = "row"
_EVERY_COLUMN = Selection("", ())
_LARGEST = 1 << 30  # bytes of a row, which may be much longer than its record


@dataclass(frozen=True)
class Difference:
    """Place at which a file is not as the run must have written it.

    Attributes:
        where: row or line.
        expected: content that it should have, or a description.
        found: content that it has, or a description.
    """

    where: str
    expected: str
    found: str


Report = Callable[[Difference], None]


class Row(NamedTuple):
    """Row of a file.

    Attributes:
        raw: its bytes; in Parquet a line of JSON with all of its columns.
        cells: cells by column, as spelled in the file; in Parquet, as JSON.
    """

    raw: bytes
    cells: Mapping[str, str]


class RowFile:
    """File of rows, read in the order of their numbers.

    Every byte of a text file belongs to its header or to a row; anything else is reported.

    Args:
        path: name or address of the file.
        form: format and compression of the file.
        report: function that is given each difference.

    Attributes:
        path, form: as given.
        count: rows read so far.
        header: number of bytes before the first row; known after `finish`, 0 in Parquet.
    """

    def __init__(self, path: str, form: Format, report: Report) -> None:
        self.path = path
        self.count = 0
        self.header = 0
        self.form = form
        self._report = report
        self._consumed = Content()
        self._rows = self._read()
        self._next = next(self._rows, None)

    def take(self, number: int) -> Parsed | None:
        """Return the row of a number, or None if the file lacks it; numbers must be asked for in ascending order."""
        self._pass(number)
        if self._next is None or self._next[0] != number:
            return None
        found = self._next[1]
        self._next = next(self._rows, None)
        return found

    def finish(self) -> None:
        """Report the rows that nobody took, and what stands behind the last one."""
        self._pass(None)

    def _pass(self, number: int | None) -> None:
        """Report the rows before a number, or all that are left."""
        while self._next is not None and (number is None or self._next[0] < number):
            unknown, parsed = self._next
            self._report(Difference(f"row {unknown}", f"no such row in {self.path}", shown(bytes(parsed.raw))))
            self._next = next(self._rows, None)

    def _read(self) -> Iterator[tuple[int, Parsed]]:
        """Yield the rows whose numbers ascend; report all others."""
        inputs = Inputs((self.path,), _name(self.form), max_record_bytes=_LARGEST)
        last, end = 0, None
        for parsed in records_of(inputs, self.path, _EVERY_COLUMN, is_text=False, consumed=self._consumed):
            where, offset = f"{self.path}, line {parsed.position.line}", parsed.position.offset
            if offset is not None:
                if end is None:
                    self.header = offset
                elif offset != end:
                    self._report(
                        Difference(where, "a row behind the last one", f"{counted(offset - end, 'byte')} between them")
                    )
                end = offset + parsed.length
            self.count += 1
            number = number_of(parsed)
            if number is None:
                self._report(Difference(where, "a row with its number", shown(bytes(parsed.raw))))
            elif number <= last:
                self._report(Difference(f"row {number}", f"not behind row {last}", shown(bytes(parsed.raw))))
            else:
                last = number
                yield number, parsed
        if self.form.kind == PARQUET:
            return
        if end is None:
            self.header = self._consumed.count
        elif end != self._consumed.count:
            self._report(
                Difference(self.path, "its end", f"{counted(self._consumed.count - end, 'byte')} behind the last row")
            )

    def beginning(self) -> bytes:
        """Read the bytes before the first row, decompressed."""
        with opened(self.path, self.form.compression, "utf-8", Content()) as (stream, _):
            return stream.read(self.header)


def number_of(parsed: Parsed) -> int | None:
    """Return the number of a row; None if it has none, or cannot be one of `score`."""
    value = plain(parsed.fields.get(ROW))
    if parsed.problem is not None or parsed.duplicates or value is None:
        return None
    return int(value) if value.isdecimal() and value.isascii() and len(value) < 19 and value[0] != "0" else None


def row_of(parsed: Parsed) -> Row:
    """Return a row apart from its file: in Parquet, a parsed one keeps its neighbours in memory."""
    cells = {name: value if isinstance(value, str) else value.source for name, value in parsed.fields.items()}
    return Row(bytes(parsed.raw), cells)


def shown(raw: bytes, most: int = 300) -> str:
    """Return the beginning of a row for people.

    >>> shown(b'7,"a\\nb",\\xff\\n')
    '7,"a\\\\nb",\\\\xff'
    """
    text = raw.rstrip(b"\r\n").decode(errors="backslashreplace").replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= most else f"{text[:most]}..."


def _name(form: Format) -> str:
    return form.kind if form.compression is None else f"{form.kind}.{form.compression}"
