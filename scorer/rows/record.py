"""What travels through the pipeline: a record to score, or a record that was rejected and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, SupportsBytes, TypeAlias

if TYPE_CHECKING:
    from scorer.rows.arrow_value import ArrowValue

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

    @property
    def plain(self) -> str | None:
        """As a CSV cell: text as it is, everything else as it was written."""
        return None if self.value is None else str(self.value) if self.is_text else self.source


Value: TypeAlias = "str | JsonValue | ArrowValue"
"""A field's value: a CSV cell as text, a JSON value, one of Parquet. Never type-inferred, never re-spelled."""


Cell: TypeAlias = "Value | int | float | bool | None"
"""A value to write: passed through, or one of the scorer's own; `scorer.rows.columns.Type` says which."""


def plain(value: "Value | None") -> str | None:
    """A field's value as a CSV cell.

    >>> plain("007"), plain(JsonValue("1E400", "1E400")), plain(None)
    ('007', '1E400', None)
    """
    return value if value is None or isinstance(value, str) else value.plain


STAGES = ("encoder", "wide")
"""Names of the stages that decide, by `ScoredRecord.early`."""


class Position(NamedTuple):
    """Where a record begins.

    Attributes:
        source: the file's path as it was given, ``-`` for stdin.
        line: its first physical line, from 1; in Parquet its number in the file.
        offset: of its first byte in the file; of a UTF-16 or UTF-32 file, in its UTF-8 form, of a compressed one in
            what it holds. None in Parquet, where a record's values lie apart.
    """

    source: str
    line: int
    offset: int | None


class Parsed(NamedTuple):
    """A record as its format gives it.

    Attributes:
        position: where it begins.
        raw: its bytes (shortened where it is too long), line end included; of Parquet they are made when asked for.
        length: its whole length in bytes; of Parquet about what it takes in memory.
        fields: its values by column; empty where it could not be parsed.
        duplicates: keys that it has more than once.
        problem: why it could not be parsed, or None.
    """

    position: Position
    raw: SupportsBytes
    length: int
    fields: "Mapping[str, Value]"
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
        duplicate: whether an earlier record has the same text; see `scorer.rows.duplicates`.
    """

    row: int
    text: str
    carried: "tuple[Value | None, ...]"
    position: Position
    raw: SupportsBytes
    length: int
    duplicate: bool = False

    def reject(self, reason: Reason) -> "Reject":
        """The same record as one that cannot be scored after all."""
        return reject(self.row, self.position, reason, self.raw, self.length)


@dataclass(slots=True)
class ScoredRecord:
    """A record with its result.

    Attributes:
        record: with its text.
        tokens: count of the token ids that the model was given.
        truncated: whether the text had more.
        label: predicted label.
        probabilities: of every label, in logit order.
        score: of two labels the probability of the positive one, of more that of the predicted one.
        early: whether the wide part alone decided.
    """

    record: Record
    tokens: int
    truncated: bool
    label: str
    probabilities: Sequence[float]
    score: float
    early: bool = False

    @property
    def stage(self) -> str:
        """Name of the stage that decided."""
        return STAGES[self.early]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be scored; it goes to the rejects file instead."""

    row: int
    position: Position
    reason: Reason
    raw: bytes
    length: int


def reject(row: int, position: Position, reason: Reason, raw: SupportsBytes, length: int) -> Reject:
    """A record's reject, with its bytes, and their length where they are only made now."""
    if isinstance(raw, bytes):
        return Reject(row, position, reason, raw, length)
    made = bytes(raw)
    return Reject(row, position, reason, made, len(made))
