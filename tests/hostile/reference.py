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


def csv(data, limit, delimiter=",", quote='"', escape="", header=True, text=None):
    offset = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    lines = _lines(data[offset:], escape)
    records, at = [], 0
    while at < len(lines):
        count, values, reason = _record(lines, at, limit, delimiter, quote, escape)
        length = sum(map(len, lines[at : at + count]))
        if values != [] or reason:
            if length > limit:
                reason = "too_long"
            elif reason is None and any("\udc80" <= char <= "\udcff" for value in values for char in value):
                reason = "invalid_encoding"
            records.append((offset, length, values, reason))
        offset, at = offset + length, at + count
    if not records:
        raise Refused("empty")
    if header:
        (_, _, columns, problem), *records = records
        if problem:
            raise Refused(problem)
    else:
        first = next((values for _, _, values, reason in records if reason is None), None)
        if first is None:
            return [Found(offset, length, None, reason) for offset, length, _, reason in records]
        columns = [f"column_{number}" for number in range(1, len(first) + 1)]
    text = text or _text_column(columns)
    if columns.count(text) != 1 or columns.count("id") > 1:
        raise Refused("columns")
    found, sized = [], header
    for offset, length, values, reason in records:
        sized = sized or reason is None
        if reason is None and len(values) != len(columns):
            reason = "column_count"
        value = values[columns.index(text)] if reason is None else None
        if value is not None and not value.strip():
            value, reason = None, "empty_text"
        found.append(Found(offset, length, value, reason))
    return found


def _text_column(columns):
    found = [name for name in TEXT_COLUMNS if name in columns]
    if len(found) != 1:
        raise Refused("columns")
    return found[0]


def _lines(data, escape):
    """Return the lines; an escaped line end does not end one."""
    lines = []
    for line in re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", data):
        before = lines[-1].decode(errors="surrogateescape") if lines else ""
        if escape and before.endswith(("\r", "\n")) and not before.endswith("\r\n") and _odd(before[:-1], escape):
            lines[-1] += line
        else:
            lines.append(line)
    return lines


def _odd(text, escape):
    return (len(text) - len(text.rstrip(escape))) % 2 == 1


def _record(lines, at, limit, delimiter, quote, escape):
    """Return the number of lines of the record that begins at line ``at``, its values, and the reason to reject it."""
    if len(lines[at]) > limit:
        return 1, None, "too_long"
    values, value, state, length = [], "", "start", 0
    for count, line in enumerate(lines[at:], start=1):
        if length > limit or len(line) > limit:
            break
        length += len(line)
        content = line.decode(errors="surrogateescape")
        end = re.search(r"(?:\r\n|\r|\n)?\Z", content).start()
        for place, char in enumerate(content):
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
                return count, [*values, value], None
            elif state == "after quote" and char == quote:
                value, state = value + char, "quotes"
            elif char == delimiter:
                values, value, state = [*values, value], "", "start"
            elif state == "after quote":
                return 1, None, "unterminated_quote"
            elif escape and char == escape:
                state = "escaped in field"
            elif state == "start" and quote and char == quote:
                state = "quotes"
            else:
                value, state = value + char, "field"
        if state in ("start", "field", "after quote") and end == len(content):  # the file's end, without a line end
            return (count, [], None) if not content else (count, [*values, value], None)
    return 1, None, "unterminated_quote"
