"""A second, independent reader of records: slow, on the whole file at once, and without any of the scorer's code.

It follows the design: a record is scored or rejected, and a CSV record that does not parse costs its first line.
"""

import json
import re
from typing import NamedTuple

TEXT_COLUMNS = ("text", "review", "content", "body", "comment")
DEEPEST = 500


class Found(NamedTuple):
    """A record: the position of its bytes, and its text or the reason to reject it."""

    offset: int
    length: int
    text: str | None
    reason: str | None


class Refused(Exception):
    """An error that refuses the whole file."""


def jsonl(data, limit, text=None, keep=()):
    offset, found, needed = 3 if data.startswith(b"\xef\xbb\xbf") else 0, [], None
    for line in re.findall(rb"[^\n]*\n|[^\n]+", data[offset:]):
        if line.strip(b" \t\r\n") or len(line) > limit:
            values, reason = ([], "too_long") if len(line) > limit else _object(line)
            if reason is None and needed is None:  # the first record sets the columns
                columns = [key for key, _ in values]
                text = text or _text_column(columns)
                needed = {text, *(column for column in columns if column == "id" or "*" in keep), *keep}
            if reason is None:
                reason, value = _text_of(values, text, needed)
            found.append(Found(offset, len(line), value if reason is None else None, reason))
        offset += len(line)
    return found


def _object(line):
    """Return the pairs of a line's object, and the reason to reject it or None."""
    try:
        source = line.decode()
    except UnicodeDecodeError:
        return [], "invalid_encoding"
    depth = 0
    for token in re.findall(r'"(?:\\.|[^"\\])*"?|[][{}]', source, re.DOTALL):
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if depth > DEEPEST:
            return [], "invalid_json"

    class Pairs(list):
        pass

    def refuse(constant):
        raise ValueError(constant)

    try:
        value = json.loads(source, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=refuse)
    except ValueError:
        return [], "invalid_json"
    if not isinstance(value, Pairs):
        return [], "not_an_object"
    if _half_pairs(value):
        return [], "invalid_json"
    return [(key, Pairs(inner) if isinstance(inner, Pairs) else inner) for key, inner in value], None


class Number(str):
    """The digits of a number, which is not text."""


def _half_pairs(value):
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and any("\ud800" <= char <= "\udfff" for char in one):
            return True
        if isinstance(one, list | tuple):
            waiting.extend(one)
    return False


def _text_of(values, text, needed):
    keys = [key for key, _ in values]
    if any(keys.count(key) > 1 for key in needed):
        return "duplicate_key", None
    if text not in dict(values):
        return "missing_text", None
    value = dict(values)[text]
    if value is None:
        return "empty_text", None
    if not isinstance(value, str) or isinstance(value, Number):
        return "not_text", None
    return (None, value) if value.strip() else ("empty_text", None)


class Csv(NamedTuple):
    """A dialect, by the options of `score`; ``space`` is --skip-initial-space, ``skip`` is --skip-lines."""

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    header: bool = True
    space: bool = False
    comment: str = ""
    skip: int = 0
    pad: bool = False
    null: tuple[str, ...] = ()


def csv(data, limit, dialect, text=None, keep=()):
    offset = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    physical = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", data[offset:])
    if 0 < len(physical) < dialect.skip:
        raise Refused("fewer lines than are skipped")
    offset += sum(map(len, physical[: dialect.skip]))
    lines = _joined(physical[dialect.skip :], dialect)
    records, at = [], 0
    while at < len(lines):
        if dialect.comment and lines[at].decode(errors="surrogateescape").startswith(dialect.comment):
            offset, at = offset + len(lines[at]), at + 1
            continue
        count, values, reason = _record(lines, at, limit, dialect)
        length = sum(map(len, lines[at : at + count]))
        if values != [] or reason:
            if length > limit:
                reason = "too_long"
            elif reason is None and any("\udc80" <= char <= "\udcff" for value in values for char in value or ""):
                reason = "invalid_encoding"
        records.append((offset, length, values, reason))
        offset, at = offset + length, at + count
    while records and records[0][2] == [] and dialect.header:
        records.pop(0)
    if not records and dialect.header:
        raise Refused("empty")
    columns = None
    if dialect.header:
        (_, _, names, problem), *records = records
        if problem:
            raise Refused(problem)
        columns = _apart([name or "" for name in names])
        repeated = {name for name in names if name and names.count(name) > 1}
        text = text or _text_column(columns)
        if text not in columns or text in repeated or ("id" in repeated and "*" not in keep):
            raise Refused("columns")
    found = []
    for offset, length, values, reason in _without_blank(records, columns, data, dialect):
        if reason is None and columns is None:
            columns = [f"column_{number}" for number in range(1, len(values) + 1)]
            text = text or _text_column(columns)
            if text not in columns:
                raise Refused("columns")
        value = None
        if reason is None:
            values = _fitted(values, len(columns), dialect)
            reason = None if len(values) == len(columns) else "column_count"
        if reason is None:
            value = values[columns.index(text)]
            plain = [marker for marker in dialect.null if not (dialect.escape and dialect.escape in marker)]
            if value is None or value in plain or not value.strip():
                value, reason = None, "empty_text"
        found.append(Found(offset, length, value, reason))
    return found


def _without_blank(records, columns, data, dialect):
    """Return the records and those blank lines that are records: in a file of one column, before another record."""
    count = None if columns is None else len(columns)
    kept, waiting = [], []
    for offset, length, values, reason in records:
        if values == [] and reason is None:
            waiting.append((offset, length, [""], None))
            continue
        content = data[offset : offset + length].decode(errors="surrogateescape")
        width = count or (len(values) if values else 1 + (dialect.delimiter in content))
        if waiting and width == 1:
            kept += waiting
            count = count or 1
        waiting = []
        kept.append((offset, length, values, reason))
        if reason is None:
            count = count or len(values)
    return kept


def _fitted(values, count, dialect):
    if not dialect.pad or any(value != "" for value in values[count:]):
        return values
    return (values + [""] * count)[:count]


def _apart(names):
    found = []
    for at, name in enumerate(names, start=1):
        new, base, number = name, name or f"column_{at}", max(2, names[:at].count(name) if name else 2)
        if not name:
            new = base
        elif name in names[: at - 1]:
            new = f"{name}_{number}"
        while (new in names and new != name) or new in found:
            new, number = f"{base}_{number}", number + 1
        found.append(new)
    return found


def _text_column(columns):
    found = [name for name in TEXT_COLUMNS if name in columns]
    if len(found) != 1:
        raise Refused("columns")
    return found[0]


def _joined(physical, dialect):
    """Return the lines; an escaped line end does not end one, except that of a comment."""
    lines = []
    for line in physical:
        before = lines[-1].decode(errors="surrogateescape") if lines else ""
        is_comment = (
            dialect.comment and before.startswith(dialect.comment) and len(re.findall("\r\n|\r|\n", before)) == 1
        )
        ends = before.endswith(("\r", "\n")) and not before.endswith("\r\n")
        if dialect.escape and ends and _odd(before[:-1], dialect.escape) and not is_comment:
            lines[-1] += line
        else:
            lines.append(line)
    return lines


def _odd(text, escape):
    return (len(text) - len(text.rstrip(escape))) % 2 == 1


def _record(lines, at, limit, dialect):
    """Return the number of lines of the record that begins at line ``at``, its values, and the reason to reject it.

    A value is None if its field is a marker of --null with an escape, as written.
    """
    delimiter, quote, escape = dialect.delimiter, dialect.quote, dialect.escape
    nulls = [marker for marker in dialect.null if escape and escape in marker]
    if len(lines[at]) > limit:
        return 1, None, "too_long"
    values, value, state, length, raw = [], "", "start", 0, ""
    for count, line in enumerate(lines[at:], start=1):
        if length > limit or len(line) > limit:
            break
        length += len(line)
        content = line.decode(errors="surrogateescape")
        end = re.search(r"(?:\r\n|\r|\n)?\Z", content).start()
        passed = 0
        for place, char in enumerate(content):
            if place < passed:  # the rest of a delimiter
                continue
            begins = state not in ("escaped in field", "escaped in quotes", "quotes") and place < end
            if begins and content.startswith(delimiter, place):
                values, value, state = [*values, None if raw in nulls else value], "", "start"
                raw, passed = "", place + len(delimiter)
                continue
            if not (state == "start" and not raw and dialect.space and char == " ") and place < end:
                raw += char
            if state == "escaped in field":
                value, state = value + char, "field"
            elif state == "escaped in quotes":
                value, state = value + char, "quotes"
            elif state == "quotes":
                if escape and char == escape:
                    state = "escaped in quotes"
                elif char == quote:
                    state = "after quote"
                else:
                    value += char
            elif place >= end:  # the line's end, outside quotes
                if state == "start" and not values and place == 0:
                    return count, [], None
                return count, [*values, None if raw in nulls else value], None
            elif state == "after quote" and char == quote:
                value, state = value + char, "quotes"
            elif state == "after quote":
                return 1, None, "unterminated_quote"
            elif escape and char == escape:
                state = "escaped in field"
            elif state == "start" and quote and char == quote:
                state = "quotes"
            elif state == "start" and dialect.space and char == " ":
                pass
            else:
                value, state = value + char, "field"
        if state in ("start", "field", "after quote") and end == len(content):  # the file's end, without a line end
            return (count, [], None) if not content else (count, [*values, None if raw in nulls else value], None)
    return 1, None, "unterminated_quote"
