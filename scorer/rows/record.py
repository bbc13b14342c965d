"""Records on their way through the pipeline: parsed, to be scored, scored, or rejected with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsBytes, TypeAlias

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
        source: value exactly as written, so that it can be passed through: ``1.10``, ``1E400``, ``"caf\\u00e9"``.
        value: parsed value; numbers stay strings of their digits, and only ``source`` shows that they are numbers.
    """

    source: str
    value: object

    @property
    def is_text(self) -> bool:
        return self.source.startswith('"')

    @property
    def plain(self) -> str | None:
        """The value as a CSV cell: text as it is, null as None, anything else as written."""
        return None if self.value is None else str(self.value) if self.is_text else self.source


NULL = JsonValue("null", None)
"""Value of a CSV field that --null names."""

Value: TypeAlias = "str | JsonValue | ArrowValue"
"""A field's value: a CSV cell as text, a JSON value or a Parquet value. Never type-inferred, never re-spelled."""


Cell: TypeAlias = "Value | int | float | bool | tuple[str, ...] | Mapping[str, Any] | None"
"""A value to write: passed through, or one of the scorer's own, by `scorer.rows.columns.Type`."""


def plain(value: "Value | None") -> str | None:
    """Return a field's value as a CSV cell.

    >>> plain("007"), plain(JsonValue("1E400", "1E400")), plain(None)
    ('007', '1E400', None)
    """
    return value if value is None or isinstance(value, str) else value.plain


STAGES = ("encoder", "wide")
"""Names of the stages that decide a row, indexed by `ScoredRecord.early`."""


class Position(NamedTuple):
    """The beginning of a record.

    Attributes:
        source: path of the file as given; ``-`` for stdin.
        line: first physical line, from 1; in Parquet, the record's number in the file.
        offset: offset of the first byte; None in Parquet, where the values of a record lie apart. In a UTF-16 or UTF-32
            file it counts bytes of the UTF-8 form, in a compressed file those of the decompressed data.
    """

    source: str
    line: int
    offset: int | None


class Parsed(NamedTuple):
    """A record as parsed by its format.

    Attributes:
        position: beginning of the record.
        raw: bytes, line end included, shortened if the record is too long; in Parquet they are made when needed.
        length: length of the whole record in bytes; in Parquet, its approximate size in memory.
        fields: values by column; empty if the record could not be parsed.
        duplicates: keys that occur more than once.
        problem: reason that the record could not be parsed, or None.
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
        row: number over all inputs, from 1, rejects included.
        text: text to score.
        carried: passed-through values, in the order of the output's columns; None for a missing one.
        position: beginning of the record, in case it is rejected after all.
        raw: bytes of the record, for the same case.
        length: length in the input, in bytes.
        duplicate: whether an earlier record has the same text, see `scorer.rows.duplicates`.
    """

    row: int
    text: str
    carried: "tuple[Value | None, ...]"
    position: Position
    raw: SupportsBytes
    length: int
    duplicate: bool = False

    def reject(self, reason: Reason) -> "Reject":
        """Return the reject for a record that cannot be scored after all."""
        return reject(self.row, self.position, reason, self.raw, self.length)

    def alone(self) -> "Record":
        """Return the record without its bytes, and without the neighbours of its values in memory."""
        carried = tuple(one if one is None or isinstance(one, str | JsonValue) else one.alone() for one in self.carried)
        return replace(self, carried=carried, raw=b"")


@dataclass(slots=True)
class ScoredRecord:
    """A record with its result.

    Attributes:
        record: scored record.
        tokens: number of token ids given to the model.
        truncated: whether the text has more tokens than that.
        label: predicted label; all labels of the text, if it can get several; empty if the model gives numbers.
        values: probability of every label, or every number, in logit order.
        score: number that histograms go by: the probability of the positive label of two or of the predicted label of more,
            the highest probability of several labels, or the first number.
        early: whether the wide part alone decided.
        windows: number of windows that the encoder read; 0 if the wide part alone decided.
        decided_by: number of the window that decided, from 1; 0 if the wide part alone decided.
        characters: begin and end of that window in the text, in characters; None if they are unknown, or not asked for.
    """

    record: Record
    tokens: int
    truncated: bool
    label: str | tuple[str, ...]
    values: Sequence[float]
    score: float
    early: bool = False
    windows: int = 1
    decided_by: int = 1
    characters: tuple[int, int] | None = None

    @property
    def stage(self) -> str:
        """Name of the stage that decided."""
        return STAGES[self.early]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be scored, and goes to the rejects file instead."""

    row: int
    position: Position
    reason: Reason
    raw: bytes
    length: int


def reject(row: int, position: Position, reason: Reason, raw: SupportsBytes, length: int) -> Reject:
    """Return a record's reject, with its bytes; if the bytes are made only now, their length replaces ``length``."""
    if isinstance(raw, bytes):
        return Reject(row, position, reason, raw, length)
    made = bytes(raw)
    return Reject(row, position, reason, made, len(made))
