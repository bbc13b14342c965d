"""JSON Lines to parsed records: one JSON object a line, strictly, each value kept as it was written."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json.decoder import scanstring  # type: ignore[attr-defined]

from scorer.base.text import refuse_constant
from scorer.rows.columns import Selection
from scorer.rows.input_file import InputFile, Source, opened_lines
from scorer.rows.lines import Line
from scorer.rows.record import JsonValue, Parsed, Position, Reason

# Numbers stay as they are spelled: a float would turn 1.10 into 1.1, and 1E400 into infinity.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse_constant)
_SPACE = re.compile(r"[ \t\n\r]*")
# Most keys: without escapes, with the colon and the space around it. And what is behind a value.
_KEY = re.compile(r'[ \t\n\r]*"([^"\\\x00-\x1f]*+)"[ \t\n\r]*:[ \t\n\r]*')
_COMMA_OR_END = re.compile(r"[ \t\n\r]*([,}])")
_BRACKET_OR_STRING = re.compile(r'[][{}]|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
# Python's own limit depends on its release and on who calls whom; the same record has to have the same result everywhere.
_DEPTH = 500
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Valid JSON in which each high surrogate that is escaped is followed by a low one: in any value, also one that a later
# one of the same key replaces.
_WHOLE_PAIRS = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F])*+", re.DOTALL
)


class NotAnObject(ValueError):
    """Valid JSON, but no object."""


class JsonlFile(InputFile):
    """An open JSON Lines file: a record a line, each with columns of its own; blank lines are no records.

    Args:
        source: name of the file, for positions.
        physical_lines: cut at ``\\n`` only, since JSON strings may hold every other line separator.
        encoding: of the file.
    """

    def __init__(self, source: str, physical_lines: Iterator[Line], encoding: str) -> None:
        self._source = source
        self._physical_lines = physical_lines
        self._encoding = encoding

    def records(self, selection: Selection) -> Iterator[Parsed]:
        for line in self._physical_lines:
            if not line.data.strip(b" \t\r\n") and not line.too_long:
                continue
            fields: dict[str, JsonValue] = {}
            duplicates: frozenset[str] = frozenset()
            problem: Reason | None = None
            text = None if line.too_long else _decoded(line.data, self._encoding)
            if line.too_long:
                problem = "too_long"
            elif text is None:
                problem = "invalid_encoding"
            else:
                try:
                    fields, duplicates = parse_object(text)
                except NotAnObject:
                    problem = "not_an_object"
                except ValueError:
                    problem = "invalid_json"
            position = Position(self._source, line.number, line.offset)
            yield Parsed(position, line.data, line.length, fields, duplicates, problem)


@contextmanager
def opened(source: Source) -> Iterator[JsonlFile]:
    """Open a JSON Lines file; raises as `opened_lines`."""
    with opened_lines(source) as (physical_lines, encoding):
        yield JsonlFile(source.path, physical_lines, encoding)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def parse_object(text: str) -> tuple[dict[str, JsonValue], frozenset[str]]:
    """The top-level values of a JSON object with their spelling, and the keys that it has more than once.

    Of a key's several values the last one counts, as in the standard library.

    Raises:
        NotAnObject: it is another JSON value.
        ValueError: it is not JSON; an escaped lone surrogate, which no UTF-8 file could hold, is not. Nor is what is
            nested deeper than `_DEPTH`.

    >>> parse_object('{"price": 1.10, "id": 007}')
    Traceback (most recent call last):
    json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 24 (char 23)
    >>> parse_object('{"price": 1.10}')[0]["price"].source
    '1.10'
    """
    _check_depth(text)
    fields, duplicates = _parse_object(text)
    if _SURROGATE_ESCAPE.search(text) and not _WHOLE_PAIRS.fullmatch(text):
        raise ValueError("half of a surrogate pair")
    return fields, duplicates


def _check_depth(text: str) -> None:
    """Raise `ValueError` if brackets are nested too deep for the parser, wherever this is called from."""
    if text.count("[") + text.count("{") <= _DEPTH:
        return
    depth = 0
    for bracket in _BRACKET_OR_STRING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket[0], 0)
        if depth > _DEPTH:
            raise ValueError(f"nested deeper than {_DEPTH}")


def _parse_object(text: str) -> tuple[dict[str, JsonValue], frozenset[str]]:
    at = _skip_space(text, 0)
    if not text.startswith("{", at):
        _, end = _DECODER.raw_decode(text, at)
        _expect_end(text, end)
        raise NotAnObject
    fields: dict[str, JsonValue] = {}
    duplicates = set()
    at = _skip_space(text, at + 1)
    if text.startswith("}", at):
        _expect_end(text, at + 1)
        return fields, frozenset()
    while True:
        match = _KEY.match(text, at)
        key, start = (match[1], match.end()) if match else _parse_key(text, at)
        if text.startswith('"', start):
            value, at = scanstring(text, start + 1)
        else:
            value, at = _DECODER.raw_decode(text, start)
        if key in fields:
            duplicates.add(key)
        fields[key] = JsonValue(text[start:at], value)
        behind = _COMMA_OR_END.match(text, at)
        if behind is None:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, _skip_space(text, at))
        at = behind.end()
        if behind[1] == "}":
            _expect_end(text, at)
            return fields, frozenset(duplicates)


def _parse_key(text: str, at: int) -> tuple[str, int]:
    """Any key, and where its value begins."""
    at = _skip_space(text, at)
    if not text.startswith('"', at):
        raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    key, at = scanstring(text, at + 1)
    at = _skip_space(text, at)
    if not text.startswith(":", at):
        raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
    return key, _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # the pattern matches nothing, too
    return match.end()


def _expect_end(text: str, end: int) -> None:
    if _skip_space(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
