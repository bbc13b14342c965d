"""Advice on reading CSV and JSON Lines files otherwise, from what their first lines and rejects look like."""

import csv
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scorer.rows.dialect import Dialect
from scorer.rows.record import Reason

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t ]*', re.IGNORECASE)
_DELIMITERS = (",", ";", "\t", "|")
_DATA_LENGTH = 40
_NEAR = 100  # characters beside a name
LINES = 50
"""Number of lines of which one may be the header."""


@dataclass(frozen=True)
class FirstLine:
    """A line at the beginning of a CSV file.

    Attributes:
        number: number of the line, from 1.
        text: text without its line end.
        values: values in the dialect of the file; empty if it does not parse.
    """

    number: int
    text: str
    values: Sequence[str | None]


def separator_of(text: str) -> str | None:
    """Return the delimiter that a line of Excel's sets, or None for any other line.

    >>> separator_of("sep=;"), separator_of("sep;text")
    (';', None)
    """
    match = _SEPARATOR_LINE.fullmatch(text.rstrip("\r\n"))
    return match[1] if match else None


def separator_advice(delimiter: str, line: int) -> str:
    """Return advice on a file whose line sets the delimiter as Excel does."""
    return f"Line {line} is Excel's and sets the delimiter: use --skip-lines {line} --delimiter {_quoted(delimiter)}."


def header_advice(lines: Sequence[FirstLine], names: Sequence[str], dialect: Dialect) -> str:
    """Return advice on a CSV file that lacks a column, or an empty string.

    Args:
        lines: first lines, beginning with the one that was read as header.
        names: names of which the file should have one.
        dialect: dialect that the file was read with.
    """
    header = lines[0]
    delimiter = separator_of(header.text)
    if delimiter is not None:
        return f" {separator_advice(delimiter, header.number)}"
    if any("\0" in (value or "") for value in header.values):
        return " The names contain zero bytes, as UTF-16 does: check --encoding."
    return (
        _named_advice(lines, names, dialect)
        or _title_advice(lines)
        or _delimiter_advice(header, dialect)
        or _data_advice(header)
    )


def _named_advice(lines: Iterable[FirstLine], names: Sequence[str], dialect: Dialect) -> str:
    """Advise to read a line as header that has one of the names, with the delimiter that it has."""
    wanted = {name.strip().casefold() for name in names}
    for at, line in enumerate(lines):
        for delimiter in dict.fromkeys((dialect.delimiter or ",", *_beside(line.text, wanted), *_DELIMITERS)):
            values = _split(line.text, delimiter, dialect.quote_char)
            found = next((value for value in values if value.strip().casefold() in wanted), None)
            options = [f"--skip-lines {line.number - 1}"] if at else []
            options += [f"--delimiter {_quoted(delimiter)}"] if delimiter != dialect.delimiter else []
            if found is not None and options:
                return f" Line {line.number} has {found.strip()!r}: use {' '.join(options)}."
    return ""


def _beside(text: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the characters on both sides of a name, which may be a delimiter of several characters.

    >>> list(_beside("id~|~text~|~stars", ["text"]))
    ['~|~']
    >>> list(_beside('"id"->"text"->"stars"', ["text"])), list(_beside("context", ["text"]))
    (['->'], [])
    """
    for name in names:
        for match in re.finditer(re.escape(name), text, re.IGNORECASE):
            before, after = text[max(0, match.start() - _NEAR) : match.start()], text[match.end() :][:_NEAR]
            sides = {_not_name(before[::-1])[::-1], _not_name(after)} - {""}
            yield from sides if len(sides) == 1 else ()


def _not_name(text: str) -> str:
    """Return the characters at the beginning of a text that hardly belong to a name, without a quote."""
    match = re.match(r"[\"']?([^\w\"']*)", text)
    return match[1].strip(" ") if match else ""


def _title_advice(lines: Sequence[FirstLine]) -> str:
    """Advise to skip lines before the first one that has as many names as most lines have values."""
    widths = [len(line.values) for line in lines[1:]]
    width = max(widths, key=widths.count, default=0)
    if width < 2 or _names(lines[0]) * 2 > width:
        return ""
    line = next((line for line in lines if len(line.values) == width and _names(line) * 2 > width), None)
    if line is None:
        return ""
    return f" If the lines before line {line.number} are titles, use --skip-lines {line.number - 1}."


def _names(line: FirstLine) -> int:
    return sum(1 for value in line.values if value)


def _delimiter_advice(header: FirstLine, dialect: Dialect) -> str:
    if len(header.values) != 1:
        return ""
    counts = {one: header.text.count(one) for one in _DELIMITERS if one != dialect.delimiter}
    most = max(counts, key=lambda one: counts[one])
    return f" If these are several columns, use --delimiter {_quoted(most)}." if counts[most] else ""


def _data_advice(header: FirstLine) -> str:
    names = [value or "" for value in header.values]
    if any(len(name) > _DATA_LENGTH or name.strip().isdigit() for name in names):
        return " If the first line is data rather than a header, use --no-header."
    return ""


def csv_hint(reason: Reason, raw: bytes, dialect: Dialect, values: int = 0, columns: int = 0) -> str:
    """Return advice on a rejected record of a CSV file, or an empty string.

    Args:
        reason: reason of the reject.
        raw: beginning of the record.
        dialect: dialect of the file.
        values: number of its values, if it has any.
        columns: number of columns of the file.

    >>> csv_hint("unterminated_quote", rb'1,"a \\"b\\" c",2', Dialect())
    "Backslashes stand before quotes: if they escape them, as in MySQL's files, use --escape-char '\\\\'."
    """
    escapes = not dialect.escape_char and b'\\"' in raw and dialect.quote_char == '"'
    if escapes and reason in ("unterminated_quote", "column_count"):
        return r"Backslashes stand before quotes: if they escape them, as in MySQL's files, use --escape-char '\'."
    if reason == "unterminated_quote":
        return (
            "A quote is not closed, or text follows it. If quotes have no meaning in this file, use --quote-char ''; if "
            r"a backslash escapes them, use --escape-char '\'."
        )
    if reason != "column_count":
        return ""
    counted = f"The first has {values:,} instead of {columns:,} values."
    if values < columns and dialect.ragged == "reject":
        return f"{counted} If values at the end may be missing, use --ragged pad."
    if values > columns and dialect.ragged == "reject" and _is_padded(raw, values - columns, dialect):
        return f"{counted} If delimiters at the end have no meaning, use --ragged pad."
    return f"{counted} If fields contain delimiters or line ends, check --delimiter, --quote-char and --escape-char."


def _is_padded(raw: bytes, count: int, dialect: Dialect) -> bool:
    """Return whether a record ends in at least ``count`` delimiters."""
    text = raw.decode(dialect.encoding, "replace").rstrip("\r\n")
    return text.endswith((dialect.delimiter or ",") * count)


def json_hint(reason: Reason, raw: bytes, line: int) -> str:
    """Return advice on a rejected record of a JSON Lines file, or an empty string.

    Args:
        reason: reason of the reject.
        raw: beginning of the record.
        line: number of its line, from 1.

    >>> json_hint("invalid_json", b"[\\n", 1)
    "This looks like a single JSON document. JSON Lines has one object per line: convert the file with `jq -c '.[]'`."
    >>> json_hint("invalid_json", b"id,text\\n", 1)
    'JSON Lines has an object on each line. If this file is CSV, use --input-format csv.'
    """
    if reason not in ("invalid_json", "not_an_object"):
        return ""
    start = raw.strip()
    if start in (b"{", b"[") or start.startswith(b"[{"):
        return (
            "This looks like a single JSON document. JSON Lines has one object per line: "
            "convert the file with `jq -c '.[]'`."
        )
    if raw.count(b"\r") > 1 and raw.count(b"\n") < 2:
        return "The lines seem to end in carriage returns alone: convert the file with `tr '\\r' '\\n'`."
    if start.startswith(b"{'"):
        return "JSON has double quotes around names and texts; these are Python's. Write the file with json.dumps."
    if re.search(rb":\s*(?:NaN|-?Infinity)\b", start):
        return "NaN and Infinity are not JSON: write null in their place."
    if line == 1 and not start.startswith((b"{", b"[")):
        return "JSON Lines has an object on each line. If this file is CSV, use --input-format csv."
    return ""


def _split(text: str, delimiter: str, quote_char: str) -> list[str]:
    if len(delimiter) > 1 or not quote_char:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, quotechar=quote_char), [])
    except csv.Error:
        return []


def _quoted(delimiter: str) -> str:
    return r"'\t'" if delimiter == "\t" else shlex.quote(delimiter) if delimiter != "," else "','"
