"""Values of Parquet files: kept as they are for Parquet output, written as JSON for the other formats."""

import base64
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


@dataclass(frozen=True, slots=True)
class ArrowValue:
    """A value of a column.

    Attributes:
        array: the column, or a slice of it.
        index: position in the array, from 0.
    """

    array: pa.Array
    index: int

    @property
    def source(self) -> str:
        """The value as JSON."""
        return json_text(self.array[self.index])

    @property
    def is_text(self) -> bool:
        return is_text_type(self.array.type)

    @property
    def value(self) -> object:
        """Text and UTF-8 bytes as str, null as None, anything else as JSON."""
        value = self.array[self.index].as_py() if self.is_text else None if self.is_null else self.source
        return value.decode() if isinstance(value, bytes) else value

    @property
    def is_null(self) -> bool:
        return not self.array[self.index].is_valid

    @property
    def plain(self) -> str | None:
        """The value as a CSV cell: text as it is, null as None, anything else as JSON."""
        scalar = self.array[self.index]
        if not scalar.is_valid:
            return None
        source = json_text(scalar)
        return json.loads(source) if source.startswith('"') else source

    def alone(self) -> "ArrowValue":
        """Return the value in an array of its own, so that the others can be freed."""
        return ArrowValue(_alone(self.array.slice(self.index, 1)), 0)


def _alone(array: pa.Array) -> pa.Array:
    """Return a copy of an array of one value that shares no memory with the array that it is a slice of."""
    if isinstance(array, pa.DictionaryArray) and array.indices[0].is_valid:
        used = array.dictionary.slice(array.indices[0].as_py(), 1)
        first = pa.array([0], array.type.index_type)
        array = pa.DictionaryArray.from_arrays(first, used, ordered=array.type.ordered)
    batch = pa.RecordBatch.from_arrays([array], names=["value"])
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as stream:  # writes the bytes of the slice alone
        stream.write_batch(batch)
    return pa.ipc.open_stream(out.getvalue()).read_next_batch().column(0)


def is_text_type(kind: pa.DataType) -> bool:
    """Return whether a column of this type can be scored: text or bytes of any length, in a dictionary or not.

    >>> is_text_type(pa.dictionary(pa.int8(), pa.large_string())), is_text_type(pa.int64())
    (True, False)
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_string_type(kind) or (is_bytes_type(kind) and not pa.types.is_fixed_size_binary(kind))


def bytes_of(batch: pa.RecordBatch) -> int:
    """Return the approximate size of a batch in memory, in bytes."""
    try:
        return int(batch.nbytes)
    except pa.ArrowTypeError:  # the oldest supported Arrow cannot measure string views, only whole buffers
        return int(batch.get_total_buffer_size())


def is_string_type(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def json_text(scalar: pa.Scalar) -> str:
    """Return a value as JSON, with all its digits.

    Dates and times are ISO 8601 strings, in UTC if they have a zone. Beyond the calendar they are the stored number.
    Durations are a number and its unit. Bytes are base64. Numbers that are not finite are ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``. A map is an object if its keys are text, otherwise a list of pairs.

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
        # By position: two fields may have the same name.
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
    """Return a number, boolean, date or time as JSON; pyarrow gives the shortest spelling that reads back the same."""
    kind = scalar.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:  # an instant: in UTC it needs no time zone database
        return f'{_plain(pa.scalar(scalar.value, pa.timestamp(kind.unit)))[:-1]}Z"'
    if pa.types.is_float16(kind):  # pyarrow would write the digits of a double
        return _float16(scalar.as_py())
    spelled = scalar.cast(pa.string()).as_py()
    if spelled.startswith("<"):  # pyarrow's note that it lies beyond the calendar
        spelled = str(scalar.value)
    if pa.types.is_floating(kind):
        whole = spelled.lstrip("-").isdigit()
        return _NOT_FINITE.get(spelled) or (f"{spelled}.0" if whole else spelled)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return str(spelled)
    return _quoted(spelled.replace(" ", "T", 1))


def _float16(value: float) -> str:
    """Return a float16 as JSON, in the shortest spelling that reads back the same.

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
    """Decode a text; bytes that are not UTF-8 become lone surrogates, as ``surrogateescape`` maps them."""
    return scalar.as_buffer().to_pybytes().decode(errors="surrogateescape")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
