"""What travels through the pipeline: a record to score, or a record that was rejected and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Reason = Literal[
    "invalid_json",
    "not_an_object",
    "duplicate_key",
    "missing_text",
    "empty_text",
    "not_text",
    "column_count",
    "unterminated_quote",
    "invalid_encoding",
    "too_long",
    "out_of_memory",
]


class JsonValue(NamedTuple):
    """A value of a JSON object.

    Attributes:
        source: as it was written, so that it can be passed on to the letter: ``1.10``, ``1E400``, ``"caf\\u00e9"``.
        value: parsed; numbers stay strings of their digits and are told from strings by ``source``.
    """

    source: str
    value: object

    @property
    def is_text(self) -> bool:
        return self.source.startswith('"')


Value = str | JsonValue
"""A field's value: a CSV cell as text, or a JSON value. Never type-inferred, never re-spelled."""


class Position(NamedTuple):
    """Where a record begins.

    Attributes:
        source: the file's path as it was given, ``-`` for stdin.
        line: its first physical line, from 1.
        offset: of its first byte in the file; of a UTF-16 or UTF-32 file, in its UTF-8 form.
    """

    source: str
    line: int
    offset: int


class Header(NamedTuple):
    """A file's column names, known before its first record."""

    position: Position
    columns: tuple[str, ...]


class Parsed(NamedTuple):
    """A record as its format gives it.

    Attributes:
        position: where it begins.
        raw: its bytes (shortened where it is too long), line end included.
        length: its whole length in bytes.
        fields: its values by column; empty where it could not be parsed.
        duplicates: keys that it has more than once.
        problem: why it could not be parsed, or None.
    """

    position: Position
    raw: bytes
    length: int
    fields: Mapping[str, Value]
    duplicates: frozenset[str] = frozenset()
    problem: Reason | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record that will be scored.

    Attributes:
        row: its number over all inputs, from 1, rejects counted.
        text: what is scored.
        carried: the values passed through, in the order of the output's columns; None where the record has none.
        position: where it begins, for the case that it cannot be scored.
        raw: its bytes, for the same.
        length: of its bytes in the input.
    """

    row: int
    text: str
    carried: tuple[Value | None, ...]
    position: Position
    raw: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be scored; it goes to the rejects file instead."""

    row: int
    position: Position
    reason: Reason
    raw: bytes
    length: int
