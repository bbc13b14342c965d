"""Values of Parquet files: kept as they are for a Parquet output, and spelled as JSON for the others."""

import base64
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


@dataclass(frozen=True, slots=True)
class ArrowValue:
    """One value of a column.

    Attributes:
        array: the column, or a part of it.
        index: where in it.
    """

    array: pa.Array
    index: int

    @property
    def source(self) -> str:
        """As JSON."""
        return json_text(self.array[self.index])

    @property
    def is_text(self) -> bool:
        return is_text_type(self.array.type)

    @property
    def value(self) -> object:
        """Text as str, null as None; of bytes what they are in UTF-8."""
        value = self.array[self.index].as_py() if self.is_text else None if self.is_null else self.source
        return value.decode() if isinstance(value, bytes) else value

    @property
    def is_null(self) -> bool:
        return not self.array[self.index].is_valid

    @property
    def plain(self) -> str | None:
        """As a CSV cell: text as it is, everything else as JSON."""
        scalar = self.array[self.index]
        if not scalar.is_valid:
            return None
        source = json_text(scalar)
        return json.loads(source) if source.startswith('"') else source


def is_text_type(kind: pa.DataType) -> bool:
    """Whether a column of this type can be scored: text, in a dictionary or not, or the bytes of it.

    >>> is_text_type(pa.dictionary(pa.int8(), pa.large_string())), is_text_type(pa.int64())
    (True, False)
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_string_type(kind) or (is_bytes_type(kind) and not pa.types.is_fixed_size_binary(kind))


def bytes_of(batch: pa.RecordBatch) -> int:
    """What a batch takes in memory, about: of views of text the oldest Arrow that is supported knows its buffers only."""
    try:
        return int(batch.nbytes)
    except pa.ArrowTypeError:
        return int(batch.get_total_buffer_size())


def is_string_type(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def json_text(scalar: pa.Scalar) -> str:
    """A value as JSON, with every digit that it has.

    Dates and times are strings as ISO 8601 has them, with a zone in UTC, and beyond the calendar the number; durations a
    number and its unit, bytes base64, what is not finite ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; a map is an
    object where its keys are text, else a list of pairs.

    >>> json_text(pa.scalar(0.1, pa.float32())), json_text(pa.scalar({"a": [1, None]}))
    ('0.1', '{"a":[1,null]}')
    """
    kind = scalar.type
    if not scalar.is_valid:
        return "null"
    if is_string_type(kind):
        return _quoted(_text(scalar))
    if pa.types.is_dictionary(kind):
        return json_text(scalar.value)
    if pa.types.is_struct(kind):
        # By position: two fields may have one name.
        pairs = (f"{_quoted(kind.field(at).name)}:{json_text(scalar[at])}" for at in range(kind.num_fields))
        return "{" + ",".join(pairs) + "}"
    if pa.types.is_map(kind):
        return _map(scalar)
    if pa.types.is_nested(kind) and scalar.values is not None:
        return "[" + ",".join(map(json_text, scalar.values)) + "]"
    if isinstance(kind, pa.UuidType):
        return _quoted(str(scalar.as_py()))
    if isinstance(kind, pa.BaseExtensionType):
        return json_text(scalar.value)
    if pa.types.is_duration(kind):
        return _quoted(f"{scalar.value} {kind.unit}")
    if is_bytes_type(kind):
        return _quoted(base64.b64encode(scalar.as_buffer().to_pybytes()).decode())
    return _plain(scalar)


def _plain(scalar: pa.Scalar) -> str:
    """Numbers, truth values, dates and times; pyarrow gives the shortest spelling that reads back the same."""
    kind = scalar.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:  # an instant: no database of zones is needed to tell it
        return f'{_plain(pa.scalar(scalar.value, pa.timestamp(kind.unit)))[:-1]}Z"'
    if pa.types.is_float16(kind):  # pyarrow gives the digits of a double
        return _float16(scalar.as_py())
    spelled = scalar.cast(pa.string()).as_py()
    if spelled.startswith("<"):  # pyarrow's remark that it is beyond the calendar
        spelled = str(scalar.value)
    if pa.types.is_floating(kind):
        whole = spelled.lstrip("-").isdigit()
        return _NOT_FINITE.get(spelled) or (f"{spelled}.0" if whole else spelled)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return str(spelled)
    return _quoted(spelled.replace(" ", "T", 1))


def _float16(value: float) -> str:
    """
    >>> _float16(0.0999755859375), _float16(65504.0), _float16(float("nan"))
    ('0.1', '65500.0', '"NaN"')
    """
    return _NOT_FINITE.get(str(value)) or np.format_float_positional(np.float16(value), trim="0")


def _map(scalar: pa.MapScalar) -> str:
    pairs = [(pair[0], pair[1]) for pair in scalar.values]
    if is_string_type(scalar.type.key_type):
        return "{" + ",".join(f"{json_text(key)}:{json_text(value)}" for key, value in pairs) + "}"
    return "[" + ",".join(f"[{json_text(key)},{json_text(value)}]" for key, value in pairs) + "]"


def is_bytes_type(kind: pa.DataType) -> bool:
    return any(
        check(kind)
        for check in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    )


def _text(scalar: pa.Scalar) -> str:
    """What is no UTF-8 becomes halves of surrogate pairs, as they stand for such bytes elsewhere."""
    return scalar.as_buffer().to_pybytes().decode(errors="surrogateescape")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
