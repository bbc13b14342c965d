"""Advice on reading a CSV file that lacks a column, from its first lines read in other ways."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scorer.base.look_alikes import appearance, shell_word
from scorer.rows.dialect import Dialect

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t ]*', re.IGNORECASE)
_COMMENT = re.compile(r"#|//|--|;|%")
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f]")
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

    @property
    def filled(self) -> int:
        """Number of values that are not empty."""
        return sum(1 for value in self.values if value)


def separator_of(text: str) -> str | None:
    """Return the delimiter that a line of Excel's sets, or None for any other line.

    >>> separator_of("sep=;"), separator_of("sep;text")
    (';', None)
    """
    match = _SEPARATOR_LINE.fullmatch(text.rstrip("\r\n"))
    return match[1] if match else None


def separator_advice(delimiter: str, line: int) -> str:
    """Return advice on a file whose line sets the delimiter as Excel does."""
    return f"Line {line} is Excel's and sets the delimiter: use --skip-lines {line} {delimiter_option(delimiter)}."


def delimiter_option(delimiter: str) -> str:
    r"""Return the option for a delimiter as a shell reads it, always in quotes, so that nothing after it seems to belong.

    >>> print(delimiter_option("::"), delimiter_option("\t"), delimiter_option("\x01"))
    --delimiter '::' --delimiter '\t' --delimiter '\x01'
    """
    if delimiter == "\t":
        return r"--delimiter '\t'"
    if _CONTROL.fullmatch(delimiter):
        return rf"--delimiter '\x{ord(delimiter):02x}'"
    word = shell_word(delimiter)
    return f"--delimiter {word}" if word[-1] == "'" else f"--delimiter '{word}'"


def header_advice(lines: Sequence[FirstLine], names: Sequence[str], dialect: Dialect) -> str:
    """Return advice on a CSV file that lacks a column, or an empty string.

    Args:
        lines: first lines, beginning with the header, or with the first record of a file without one.
        names: names of which the file should have one.
        dialect: dialect that the file was read with.
    """
    first = lines[0]
    delimiter = separator_of(first.text)
    if delimiter is not None:
        return f" {separator_advice(delimiter, first.number)}"
    if any("\0" in (value or "") for value in first.values):
        return " The names contain zero bytes, as UTF-16 does: check --encoding."
    if first.text.startswith('{"'):
        return f" Line {first.number} is JSON: use --input-format jsonl."
    found = _named_advice(lines, names, dialect)
    if found is None:
        found = _title_advice(lines, dialect) if dialect.header else None
    return found or _delimiter_advice(first, dialect) or _data_advice(first, dialect)


def _named_advice(lines: Sequence[FirstLine], names: Sequence[str], dialect: Dialect) -> str | None:
    """Advise to read a line as header that has one of the names; an empty string if the header has it as it is."""
    wanted = {appearance(name).casefold() for name in names}
    for line in lines:
        for delimiter in _delimiters(line.text, wanted, dialect):
            values = _split(line.text, delimiter, dialect.quote_char)
            name = next((value for value in values if appearance(value.strip("'#")).casefold() in wanted), None)
            if name is not None:
                options = _options(lines, line, name, delimiter, dialect)
                plain = appearance(name).strip("'#")
                return f" Line {line.number} has {plain!r}: {' '.join(options)}." if options else ""
    return None


def _options(lines: Sequence[FirstLine], line: FirstLine, name: str, delimiter: str, dialect: Dialect) -> list[str]:
    """Return the words of the advice to read a line as header with a delimiter."""
    found: list[str] = []
    before = [one.text for one in lines if one.number < line.number and one.text.strip()]
    marks = {match[0] if (match := _COMMENT.match(text)) else "" for text in before}
    if before and len(marks) == 1 and marks != {""} and not dialect.comment:
        found.append(f"--comment '{marks.pop()}'")
    elif line is not lines[0]:
        found.append(f"--skip-lines {line.number - 1}")
    if delimiter != dialect.delimiter:
        found.append(delimiter_option(delimiter))
    if name.startswith(" ") and name[1:].strip(" ") == name[1:].rstrip(" ") and not dialect.skip_initial_space:
        found.append("--skip-initial-space")
    if name.startswith("'") and name.endswith("'") and dialect.quote_char != "'":
        found.append('--quote-char "\'"')
    if dialect.header:
        return ["use", *found] if found else []
    return ["leave out --no-header", *(["and use", *found] if found else [])]


def _delimiters(text: str, names: Iterable[str], dialect: Dialect) -> Iterator[str]:
    """Yield the delimiters that a line may have, each once, that of the file first."""
    control = _CONTROL.findall(text[:_NEAR])
    yield from dict.fromkeys((dialect.delimiter or ",", *_beside(text, names), *_DELIMITERS, *control))


def _beside(text: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the visible characters on both sides of a name, which may be a delimiter of several characters.

    >>> list(_beside("id~|~text~|~stars", ["text"]))
    ['~|~']
    >>> list(_beside('"id"->"text"->"stars"', ["text"])), list(_beside("context", ["text"]))
    (['->'], [])
    """
    for name in filter(None, names):
        for match in re.finditer(re.escape(name), text, re.IGNORECASE):
            before, after = text[max(0, match.start() - _NEAR) : match.start()], text[match.end() :][:_NEAR]
            sides = {_not_name(before[::-1])[::-1], _not_name(after)} - {""}
            yield from (side for side in sides if len(sides) == 1 and side.isprintable())


def _not_name(text: str) -> str:
    """Return the characters at the beginning of a text that hardly belong to a name, without a quote."""
    match = re.match(r"[\"']?([^\w\"']*)", text)
    return match[1].strip(" ") if match else ""


def _title_advice(lines: Sequence[FirstLine], dialect: Dialect) -> str | None:
    """Advise to skip titles: lines before the first one that has as many names as most lines have values."""
    for delimiter in dict.fromkeys((dialect.delimiter or ",", *_DELIMITERS)):
        rows = [FirstLine(one.number, "", _split(one.text, delimiter, dialect.quote_char)) for one in lines]
        widths = [len(row.values) for row in rows[1:]]
        width = max(widths, key=widths.count, default=0)
        is_title = rows[0].filled >= 1 and rows[0].filled * 2 <= width
        if not is_title or width < 2 or 2 * widths.count(width) < len(widths):
            continue
        line = next((row for row in rows if len(row.values) == width and row.filled * 2 > width), None)
        if line is not None:
            more = f" {delimiter_option(delimiter)}" if delimiter != dialect.delimiter else ""
            return f" If the lines before line {line.number} are titles, use --skip-lines {line.number - 1}{more}."
    return None


def _delimiter_advice(first: FirstLine, dialect: Dialect) -> str:
    if len(first.values) != 1:
        return ""
    candidates = dict.fromkeys((*_DELIMITERS, *_CONTROL.findall(first.text[:_NEAR])))
    counts = {one: first.text.count(one) for one in candidates if one != dialect.delimiter}
    most = max(counts, key=lambda one: counts[one])
    return f" If these are several columns, use {delimiter_option(most)}." if counts[most] else ""


def _data_advice(first: FirstLine, dialect: Dialect) -> str:
    if not dialect.header:
        return ""
    if dialect.comment:
        return f" --comment {shell_word(dialect.comment)} ignores lines: if the header is one of them, leave it out."
    names = [value or "" for value in first.values]
    if any(len(name) > _DATA_LENGTH or name.strip().isdigit() for name in names):
        return " If the first line is data rather than a header, use --no-header."
    return ""


def _split(text: str, delimiter: str, quote_char: str) -> list[str]:
    if len(delimiter) > 1 or not quote_char:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, quotechar=quote_char), [])
    except (csv.Error, TypeError, ValueError):  # a delimiter that is the quote as well
        return []
