"""JSON Lines to parsed records: strictly one JSON object per line, each value kept as written."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json.decoder import scanstring  # type: ignore[attr-defined]

from scorer.base.text import refuse_constant
from scorer.rows.columns import Selection
from scorer.rows.hints import json_hint
from scorer.rows.input_file import InputFile, Source, opened_lines
from scorer.rows.lines import Line
from scorer.rows.record import JsonValue, Parsed, Position, Reason

# Numbers keep their spelling: a float would turn 1.10 into 1.1, and 1E400 into infinity.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse_constant)
_SPACE = re.compile(r"[ \t\n\r]*")
# Most keys have no escapes; this includes the colon and the space around it.
_KEY = re.compile(r'[ \t\n\r]*"([^"\\\x00-\x1f]*+)"[ \t\n\r]*:[ \t\n\r]*')
_BRACKET_OR_STRING = re.compile(r'[][{}]|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
# Python's own limit depends on its release and on the call stack; the same record must have the same result everywhere.
_DEPTH = 500
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Valid JSON in which a low surrogate follows each escaped high one, even in a value that a later duplicate key replaces.
_WHOLE_PAIRS = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F])*+", re.DOTALL
)


class NotAnObject(ValueError):
    """Valid JSON that is not an object."""


class JsonlFile(InputFile):
    """An open JSON Lines file: one record per line, each with its own columns. Blank lines are not records.

    Args:
        source: name of the file, for positions.
        physical_lines: lines of the file, cut at ``\\n`` only, since JSON strings may contain other line separators.
        encoding: encoding of the file.
    """

    keyed = True

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

    def hint(self, parsed: Parsed) -> str:
        return json_hint(parsed.problem, bytes(parsed.raw), parsed.position.line) if parsed.problem else ""


@contextmanager
def opened(source: Source) -> Iterator[JsonlFile]:
    """Open a JSON Lines file; raise as `opened_lines` does."""
    with opened_lines(source) as (physical_lines, encoding):
        yield JsonlFile(source.path, physical_lines, encoding)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def parse_object(text: str) -> tuple[dict[str, JsonValue], frozenset[str]]:
    """Return a JSON object's top-level values as written, and the keys that it has more than once.

    The last value of a duplicate key counts, as in the standard library.

    Raises:
        NotAnObject: the text is another JSON value.
        ValueError: the text is not JSON, has an escaped lone surrogate, or is nested deeper than `_DEPTH`. No UTF-8 file
            could hold a lone surrogate.

    >>> parse_object('{"price": 1.10, "id": 007}')
    Traceback (most recent call last):
    json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 24 (char 23)
    >>> parse_object('{"price": 1.10}')[0]["price"].source
    '1.10'
    """
    fields, duplicates = _parse_object(text)
    if _SURROGATE_ESCAPE.search(text) and not _WHOLE_PAIRS.fullmatch(text):
        raise ValueError("half of a surrogate pair")
    return fields, duplicates


def _check_depth(text: str) -> None:
    """Raise `ValueError` if brackets are nested deeper than `_DEPTH`, which the parser can read from any call stack."""
    if text.count("[") + text.count("{") <= _DEPTH:
        return
    depth = 0
    for bracket in _BRACKET_OR_STRING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket[0], 0)
        if depth > _DEPTH:
            raise ValueError(f"nested deeper than {_DEPTH}")


def _parse_object(text: str) -> tuple[dict[str, JsonValue], frozenset[str]]:
    at = 0 if text.startswith("{") else _skip_space(text, 0)
    if not text.startswith("{", at):
        _check_depth(text)
        _, end = _DECODER.raw_decode(text, at)
        _expect_end(text, end)
        raise NotAnObject
    fields: dict[str, JsonValue] = {}
    duplicates = set()
    is_nested = False
    at += 1
    while True:
        match = _KEY.match(text, at)
        if match is not None:
            key, start = match[1], match.end()
        elif not fields and text.startswith("}", end := _skip_space(text, at)):
            _expect_end(text, end + 1)
            return fields, frozenset()
        else:
            key, start = _parse_key(text, at)
        if text.startswith('"', start):
            value, at = scanstring(text, start + 1)
        else:
            if not is_nested and text.startswith(("[", "{"), start):
                is_nested = True
                _check_depth(text)
            value, at = _DECODER.raw_decode(text, start)
        if key in fields:
            duplicates.add(key)
        fields[key] = JsonValue(text[start:at], value)
        if not text.startswith((",", "}"), at):
            at = _skip_space(text, at)
            if not text.startswith((",", "}"), at):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at += 1
        if text[at - 1] == "}":
            _expect_end(text, at)
            return fields, frozenset(duplicates)


def _parse_key(text: str, at: int) -> tuple[str, int]:
    """Return the key at a position, and the position of its value."""
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
    assert match is not None  # the pattern also matches an empty string
    return match.end()


def _expect_end(text: str, end: int) -> None:
    # Nearly every line ends here.
    if text[end:] not in ("\n", "") and _skip_space(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
