"""CSV and TSV to parsed records, on the standard library's parser with its silent traps closed.

Left to itself, that parser lets an unterminated quote swallow the rest of the file and stops at fields of 131,072
characters. Here a record that does not parse, or whose quote is still open at the limit or the end of the file, costs
its first physical line only (with --escape-char, up to the first line end that is not escaped), and parsing goes on at
the next one.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from scorer.base.errors import InputError, UsageError
from scorer.rows.csv_records import Format, RecordReader
from scorer.rows.encodings import hint
from scorer.rows.formats import DELIMITERS
from scorer.rows.lines import Line, joined
from scorer.rows.record import Header, Parsed, Position, Reason


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; never guessed.

    Attributes:
        delimiter: one character; None for the format's own, comma or tab.
        quote_char: one character, or empty where quotes mean nothing.
        escape_char: one character, or empty.
        header: whether the first record names the columns; without, they are ``column_1``, ``column_2``, ...
        encoding: of the file.
    """

    delimiter: str | None = None
    quote_char: str = '"'
    escape_char: str = ""
    header: bool = True
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        for option, value, may_be_empty in (
            ("--delimiter", self.delimiter, False),
            ("--quote-char", self.quote_char, True),
            ("--escape-char", self.escape_char, True),
        ):
            if value is None:
                continue
            if len(value) > 1 or (not value and not may_be_empty):
                raise UsageError(f"{option} takes one character, not {value!r}.")
            if value in ("\n", "\r"):
                raise UsageError(f"{option} cannot be a line end.")
        given = [value for value in (self.delimiter, self.quote_char, self.escape_char) if value]
        if len(set(given)) != len(given):
            raise UsageError("--delimiter, --quote-char and --escape-char must differ from each other.")


def parse(source: str, physical_lines: Iterator[Line], dialect: Dialect, limit: int) -> Iterator[Header | Parsed]:
    """Parse a file: its header first, then each record. Blank lines are no records.

    Args:
        source: the file's name, for positions.
        physical_lines: cut at ``\\n``, ``\\r\\n`` and ``\\r``.
        dialect: how the file is written.
        limit: bytes of a record at most.

    Raises:
        InputError: the file is empty where a header is due, or its header does not parse.
    """
    # A C-long limit for the whole process: fields are bounded by the record's limit already, and rejected, not raised.
    csv.field_size_limit(max(csv.field_size_limit(), limit + 1))
    records = _records(source, physical_lines, dialect, limit)
    first = next(records, None)
    if first is None:
        raise InputError(f"{source} is empty: not even a {'header' if dialect.header else 'first'} line is there.")
    parsed, values = first
    # Without a header the first record that parses says how many columns there are.
    while parsed.problem is not None and not dialect.header:
        yield parsed
        first = next(records, None)
        if first is None:
            return
        parsed, values = first
    if dialect.header:
        if parsed.problem is not None:
            what_to_try = hint(parsed.problem, bytes(parsed.raw)) or "Check --encoding, --delimiter and --quote-char."
            raise InputError(f"{source}: the header line cannot be read ({parsed.problem}). {what_to_try}")
        columns = tuple(values)
    else:
        columns = tuple(f"column_{number}" for number in range(1, len(values) + 1))
    yield Header(parsed.position, columns)
    rest = records if dialect.header else chain([first], records)
    for parsed, values in rest:
        if parsed.problem is None and len(values) != len(columns):
            parsed = parsed._replace(problem="column_count")
        elif parsed.problem is None:
            parsed = parsed._replace(fields=dict(zip(columns, values, strict=True)))
        yield parsed


_Row = tuple[Parsed, list[str]]


def _records(source: str, physical_lines: Iterator[Line], dialect: Dialect, limit: int) -> Iterator[_Row]:
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
    """Whether `surrogateescape` had to stand in for a byte."""
    try:
        for value in values:
            value.encode()
    except UnicodeEncodeError:
        return True
    return False
