"""CSV and TSV to parsed records: the standard library's parser, with its silent traps closed.

By itself, that parser lets an unterminated quote swallow the rest of the file, and stops at fields of 131,072
characters. Here a bad record costs only its first physical line, and parsing continues at the next one. A record is bad
if it does not parse, or if its quote is open at the limit or at the end of the file. With --escape-char, it costs the
lines up to the first line end that is not escaped.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from itertools import chain, islice
from typing import NamedTuple, cast

from scorer.base.errors import InputError, UsageError
from scorer.base.text import counted
from scorer.rows.blank_lines import BlankLines
from scorer.rows.columns import Selection
from scorer.rows.csv_records import Record, RecordReader
from scorer.rows.dialect import DELIMITERS, Dialect
from scorer.rows.encodings import UndecodedHeader
from scorer.rows.header import Header, header_apart
from scorer.rows.header_advice import LINES, FirstLine, header_advice, separator_advice, separator_of
from scorer.rows.hints import Shape, csv_hint
from scorer.rows.input_file import InputFile, Source, opened_lines
from scorer.rows.lines import Line, decoded, joined, lines
from scorer.rows.record import NULL, Parsed, Position, Reason, Value

_SHOWN = 1 << 16
"""Bytes of a line that may be the header, of which advice is made."""


class _Row(NamedTuple):
    """A record before its columns are known.

    Attributes:
        parsed: record without fields.
        values: values in order; empty if it could not be parsed.
    """

    parsed: Parsed
    values: Sequence[str | None]


class CsvFile(InputFile):
    """An open CSV or TSV file.

    Blank lines are not records, except in a file of one column, where they are empty records if another one follows.

    Args:
        source: name of the file, for positions and messages.
        physical_lines: lines of the file, cut at ``\\n``, ``\\r\\n`` and ``\\r``.
        dialect: dialect of the file, with its delimiter.
        limit: largest size of a record, in bytes.

    Raises:
        InputError: the file is empty, or its header does not parse.
        UsageError: its first line sets the delimiter as Excel does, and would be a record.
    """

    def __init__(self, source: str, physical_lines: Iterator[Line], dialect: Dialect, limit: int) -> None:
        # The csv module's limit holds for the whole process and raises; the record's own limit bounds fields and rejects.
        csv.field_size_limit(max(csv.field_size_limit(), limit + 1))
        self._source = source
        self._dialect = dialect
        self._first: _Row | None = None
        skipped = sum(1 for _ in islice(physical_lines, dialect.skip_lines))
        if 0 < skipped < dialect.skip_lines and not dialect.allow_empty_files:
            raise InputError(
                f"{source} has only {counted(skipped, 'line')}, and --skip-lines skips {dialect.skip_lines:,}: give a smaller number."
            )
        whole = physical_lines
        if dialect.escape_char:
            whole = joined(whole, limit, dialect.encoding, dialect.escape_char, dialect.comment)
        self._rows = self._each(RecordReader(whole, limit, dialect), limit)
        first = next(self._rows, None)
        if first is None:
            if dialect.header and not dialect.allow_empty_files:
                raise InputError(_without_header(source, dialect))
            return
        if dialect.header:
            self._first = first
            self.header = self._header(first)
        else:
            self._refuse_separator(first)
            self._rows = chain([first], self._rows)

    def unnamed(self) -> Iterator[Parsed]:
        """Yield the rejects before the first record that parses, which sets the number of columns if there is no header."""
        for row in self._rows if self.header is None else ():
            if row.parsed.problem is None:
                self.header = Header(tuple(f"column_{number}" for number in range(1, len(row.values) + 1)))
                self._first = row
                self._rows = chain([row], self._rows)
                return
            yield row.parsed

    def records(self, selection: Selection) -> Iterator[Parsed]:
        columns = self.header.names if self.header is not None else ()
        null, has_nulls = self._dialect.null_values, bool(self._dialect.null)
        for parsed, values in self._rows:
            if parsed.problem is None and len(values) != len(columns):
                values = self._fitted(values, len(columns))
                if len(values) != len(columns):
                    parsed = parsed._replace(problem="column_count")
            if parsed.problem is None:
                known = _with_nulls(values, null) if has_nulls else cast("Sequence[str]", values)
                parsed = parsed._replace(fields=dict(zip(columns, known, strict=True)))
            yield parsed

    def advice(self, names: Sequence[str]) -> str:
        ahead = list(islice(self._rows, LINES))
        self._rows = chain(ahead, self._rows)
        rows = [self._first, *ahead] if self._first is not None and self._dialect.header else ahead
        return header_advice([self._first_line(row) for row in rows], names, self._dialect) if rows else ""

    def hint(self, parsed: Parsed) -> str:
        if parsed.problem is None:
            return ""
        raw = bytes(parsed.raw)
        again = next(
            iter(RecordReader(lines(BytesIO(raw), len(raw), carriage_returns=True), len(raw), self._dialect)), None
        )
        values = len(again.values or ()) if again is not None else 0
        columns = len(self.header.names) if self.header is not None else 0
        is_first = self._first is not None and parsed.position.line == self._first.parsed.position.line + 1
        return csv_hint(parsed.problem, raw, self._dialect, Shape(values, columns, is_first))

    def _each(self, records: Iterable[Record], limit: int) -> Iterator[_Row]:
        """Yield records, with the blank lines that are records."""
        waiting = BlankLines()
        for first, rest, values in records:
            if values is not None and not values:
                if self.header is None or len(self.header.names) == 1:
                    waiting.add(first)
                continue
            length = first.length + len(rest)
            at = Position(self._source, first.number, first.offset)
            problem = "too_long" if length > limit else _problem(values)
            row = _Row(Parsed(at, first.data + rest, length, {}, problem=problem), values or ())
            if waiting:
                blank = waiting.take()
                yield from map(self._blank, blank if self._has_one_column(row) else ())
            yield row

    def _blank(self, line: Line) -> _Row:
        at = Position(self._source, line.number, line.offset)
        return _Row(Parsed(at, line.data, line.length, {}), ("",))

    def _has_one_column(self, row: _Row) -> bool:
        """Return whether the file has one column, as far as is known when a record follows blank lines."""
        if self.header is not None:
            return len(self.header.names) == 1
        if self._dialect.header:  # the row is the header
            return False
        return len(row.values) == 1 or not (row.values or self._delimiter_in(row.parsed))

    def _delimiter_in(self, parsed: Parsed) -> bool:
        return (self._dialect.delimiter or "") in decoded(bytes(parsed.raw), self._dialect.encoding)

    def _header(self, row: _Row) -> Header:
        """Return the columns that the first record names."""
        if row.parsed.problem == "invalid_encoding":
            raise UndecodedHeader(self._source, bytes(row.parsed.raw))
        if row.parsed.problem is not None:
            advice = self.hint(row.parsed) or "Check --encoding, --delimiter and --quote-char."
            raise InputError(f"{self._source}: the header line cannot be read ({row.parsed.problem}). {advice}")
        return header_apart([value or "" for value in row.values])

    def _refuse_separator(self, row: _Row) -> None:
        """Refuse a line that sets the delimiter, where it would be scored as a record."""
        line = self._first_line(row)
        delimiter = separator_of(line.text)
        if delimiter is not None:
            raise UsageError(f"{self._source}: {separator_advice(delimiter, line.number)}")

    def _first_line(self, row: _Row) -> FirstLine:
        text = decoded(bytes(row.parsed.raw)[:_SHOWN], self._dialect.encoding).rstrip("\r\n")
        return FirstLine(row.parsed.position.line, text, row.values)

    def _fitted(self, values: Sequence[str | None], count: int) -> Sequence[str | None]:
        """Return values with empty ones added or dropped at the end, as far as --ragged pad allows."""
        if self._dialect.ragged == "reject":
            return values
        if any(values[count:]) or None in values[count:]:
            return values
        return [*values[:count], *[""] * (count - len(values))]


@contextmanager
def opened(source: Source) -> Iterator[CsvFile]:
    """Open a CSV or TSV file; raise as `CsvFile` and `opened_lines` do."""
    with opened_lines(source, carriage_returns=True) as (physical_lines, encoding):
        delimiter = source.dialect.delimiter or DELIMITERS[source.kind]
        dialect = replace(source.dialect, delimiter=delimiter, encoding=encoding)
        yield CsvFile(source.path, physical_lines, dialect, source.max_record_bytes)


def _without_header(source: str, dialect: Dialect) -> str:
    """Return the message on a file without a header."""
    after = f" after the {counted(dialect.skip_lines, 'line')} of --skip-lines" if dialect.skip_lines else ""
    return (
        f"{source} is empty{after}: it has no header line. Remove it, or use --allow-empty-files to read empty files as "
        "files without records."
    )


def _problem(values: Sequence[str | None] | None) -> Reason | None:
    if values is None:
        return "unterminated_quote"
    return "invalid_encoding" if _undecodable(values) else None


def _undecodable(values: Sequence[str | None]) -> bool:
    """Return whether ``surrogateescape`` had to replace a byte."""
    try:
        for value in values:
            if value is not None:
                value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _with_nulls(values: Sequence[str | None], null: frozenset[str]) -> Iterator[Value]:
    """Yield values, with null in place of its markers."""
    return (NULL if value is None or value in null else value for value in values)
