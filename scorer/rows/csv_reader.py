"""CSV and TSV to parsed records: the standard library's parser, with its silent traps closed.

By itself, that parser lets an unterminated quote swallow the rest of the file, and stops at fields of 131,072
characters. Here a bad record costs only its first physical line, and parsing continues at the next one. A record is bad
if it does not parse, or if its quote is open at the limit or at the end of the file. With --escape-char, it costs the
lines up to the first line end that is not escaped.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

from scorer.base.errors import InputError
from scorer.rows.columns import Selection
from scorer.rows.csv_records import Format, RecordReader
from scorer.rows.dialect import DELIMITERS, Dialect
from scorer.rows.encodings import UndecodedHeader, hint
from scorer.rows.input_file import InputFile, Source, opened_lines
from scorer.rows.lines import Line, joined
from scorer.rows.record import Parsed, Position, Reason


class CsvFile(InputFile):
    """An open CSV or TSV file. Blank lines are not records.

    Args:
        source: name of the file, for positions and messages.
        physical_lines: lines of the file, cut at ``\\n``, ``\\r\\n`` and ``\\r``.
        dialect: dialect of the file; without a delimiter, fields are separated by commas.
        limit: largest size of a record, in bytes.

    Raises:
        InputError: the file is empty, or its header does not parse.
    """

    def __init__(self, source: str, physical_lines: Iterator[Line], dialect: Dialect, limit: int) -> None:
        # The csv module's limit holds for the whole process and raises; the record's own limit bounds fields and rejects.
        csv.field_size_limit(max(csv.field_size_limit(), limit + 1))
        self._rows = _rows(source, physical_lines, dialect, limit)
        first = next(self._rows, None)
        if first is None:
            raise InputError(f"{source} is empty{': it has no header line' if dialect.header else ''}.")
        if dialect.header:
            self.columns = _names(source, *first)
        else:
            self._rows = chain([first], self._rows)

    def unnamed(self) -> Iterator[Parsed]:
        """Yield the rejects before the first record that parses, which sets the number of columns if there is no header."""
        for parsed, values in self._rows if self.columns is None else ():
            if parsed.problem is None:
                self.columns = tuple(f"column_{number}" for number in range(1, len(values) + 1))
                self._rows = chain([(parsed, values)], self._rows)
                return
            yield parsed

    def records(self, selection: Selection) -> Iterator[Parsed]:
        columns = self.columns or ()
        for parsed, values in self._rows:
            if parsed.problem is None and len(values) != len(columns):
                parsed = parsed._replace(problem="column_count")
            elif parsed.problem is None:
                parsed = parsed._replace(fields=dict(zip(columns, values, strict=True)))
            yield parsed


@contextmanager
def opened(source: Source) -> Iterator[CsvFile]:
    """Open a CSV or TSV file; raise as `CsvFile` and `opened_lines` do."""
    with opened_lines(source, carriage_returns=True) as (physical_lines, encoding):
        delimiter = source.dialect.delimiter or DELIMITERS[source.kind]
        dialect = replace(source.dialect, delimiter=delimiter, encoding=encoding)
        yield CsvFile(source.path, physical_lines, dialect, source.max_record_bytes)


def _names(source: str, parsed: Parsed, values: list[str]) -> tuple[str, ...]:
    """Return the column names of a header."""
    if parsed.problem == "invalid_encoding":
        raise UndecodedHeader(source, bytes(parsed.raw))
    if parsed.problem is not None:
        advice = hint(parsed.problem, bytes(parsed.raw)) or "Check --encoding, --delimiter and --quote-char."
        raise InputError(f"{source}: the header line cannot be read ({parsed.problem}). {advice}")
    return tuple(values)


_Row = tuple[Parsed, list[str]]


def _rows(source: str, physical_lines: Iterator[Line], dialect: Dialect, limit: int) -> Iterator[_Row]:
    csv_format = Format(
        delimiter=dialect.delimiter or DELIMITERS["csv"],
        quotechar=dialect.quote_char or None,
        escapechar=dialect.escape_char or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote_char else csv.QUOTE_NONE,
        strict=True,
    )
    whole = physical_lines
    if dialect.escape_char:
        whole = joined(physical_lines, limit, dialect.encoding, dialect.escape_char)
    for first, rest, values in RecordReader(whole, dialect.encoding, limit, csv_format):
        if values == []:  # a blank line
            continue
        length = first.length + len(rest)
        problem: Reason | None = None
        if length > limit:
            problem = "too_long"
        elif values is None:
            problem = "unterminated_quote"
        elif _undecodable(values):
            problem = "invalid_encoding"
        at = Position(source, first.number, first.offset)
        yield Parsed(at, first.data + rest, length, {}, problem=problem), values or []


def _undecodable(values: list[str]) -> bool:
    """Return whether ``surrogateescape`` had to replace a byte."""
    try:
        for value in values:
            value.encode()
    except UnicodeEncodeError:
        return True
    return False
