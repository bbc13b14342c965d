"""Parquet columns that pyarrow reads as the wrong type, with the right one: INT96 times and enums."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_PIECE = 1 << 20
_INT96_ROWS = 1 << 16


class TypedFile:
    """An open Parquet file whose columns have the right types.

    Spark, Hive and Impala write times as INT96, which has room for any day and for nanoseconds. By default pyarrow reads
    them as 64-bit nanoseconds, which changes times before 1677-09-22 and after 2262-04-11. Here they become
    microseconds, or nanoseconds in a file that needs them. ENUM is UTF-8 by Parquet's specification, so it becomes text.

    Args:
        stream: bytes of the file, seekable.

    Attributes:
        schema: names and types of the columns.
        unfit: names of columns with a time that neither unit holds exactly.
        metadata: pyarrow's metadata of the file. Never read that of a column chunk: pyarrow aborts the process if the
            column is encrypted, or if a byte of the footer is damaged.

    Raises:
        ArrowException, OSError, UnicodeDecodeError: it is not a Parquet file, or its footer contradicts itself.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._file = open_parquet(stream)
        self.unfit: frozenset[str] = frozenset()
        leaves = [self._file.schema.column(number) for number in range(len(self._file.schema))]
        times = [leaf.physical_type == "INT96" for leaf in leaves]
        if any(times):
            self._file, self.unfit = _with_fitting_unit(stream, _fields_with(self._file.schema_arrow, times))
        self.metadata = self._file.metadata
        self.schema = self._file.schema_arrow
        enums = [leaf.logical_type.type == "ENUM" for leaf in leaves]
        self._dictionaries = frozenset(field.name for field in self.schema if _has_dictionary(field.type))
        self._enums = frozenset(_fields_with(self.schema, enums))
        if self._enums:
            flags = iter(enums)
            fields = [field.with_type(_with_text(field.type, flags)) for field in self.schema]
            self.schema = pa.schema(fields, self.schema.metadata)

    def batches(self, group: int, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of a row group, at most ``rows`` rows at a time.

        Raises:
            ArrowException, OSError: the file is damaged, or the columns cannot be read.
        """
        for batch in self._file.iter_batches(rows, row_groups=[group], columns=list(columns), use_threads=False):
            for at, name in enumerate(batch.schema.names):
                if name in self._enums:
                    field = self.schema.field(name)
                    options = pc.CastOptions(field.type, allow_invalid_utf8=True)  # later, only its row is rejected
                    batch = batch.set_column(at, field, batch.column(at).cast(options=options))
            for at in (at for at, name in enumerate(batch.schema.names) if name in self._dictionaries):
                for leaf in _leaves(batch.column(at)):
                    if pa.types.is_dictionary(leaf.type):
                        _check_indices(leaf)
            yield batch


def open_parquet(stream: BinaryIO, int96_unit: str | None = None) -> pq.ParquetFile:
    """Open a Parquet file; its pages are read when needed, and their checksums are verified if they have any.

    Raises:
        ArrowException, OSError, UnicodeDecodeError: it is not a Parquet file, or its footer contradicts itself.
    """
    file = pq.ParquetFile(
        stream,
        buffer_size=_PIECE,
        pre_buffer=False,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit=int96_unit,
    )
    found = sum(file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups))
    if found != file.metadata.num_rows:
        raise pa.ArrowInvalid(f"its row groups have {found} rows, but its footer states {file.metadata.num_rows}")
    return file


def _fields_with(schema: pa.Schema, flags: Sequence[bool]) -> list[str]:
    """Return the names of the fields that contain a flagged leaf; ``flags`` has one for each leaf of the file, in order."""
    found, at = [], 0
    for field in schema:
        count = _leaf_count(field.type)
        if any(flags[at : at + count]):
            found.append(field.name)
        at += count
    return found


def _has_dictionary(kind: pa.DataType) -> bool:
    """Return whether a type is or contains a dictionary."""
    return pa.types.is_dictionary(kind) or any(
        _has_dictionary(kind.field(number).type) for number in range(kind.num_fields)
    )


def _leaf_count(kind: pa.DataType) -> int:
    """Return the number of leaf columns that make up a type.

    >>> _leaf_count(pa.map_(pa.string(), pa.struct({"a": pa.int8(), "b": pa.list_(pa.int8())})))
    3
    """
    if isinstance(kind, pa.BaseExtensionType):
        return _leaf_count(kind.storage_type)
    if pa.types.is_map(kind):
        return _leaf_count(kind.key_type) + _leaf_count(kind.item_type)
    if not pa.types.is_nested(kind):
        return 1
    return sum(_leaf_count(kind.field(number).type) for number in range(kind.num_fields))


def _with_text(kind: pa.DataType, flags: Iterator[bool]) -> pa.DataType:
    """Return a type with its flagged leaves made text; take one flag for each leaf."""
    if pa.types.is_struct(kind):
        return pa.struct([_field_with_text(kind.field(number), flags) for number in range(kind.num_fields)])
    if pa.types.is_map(kind):
        key = _field_with_text(kind.key_field, flags)
        return pa.map_(key, _field_with_text(kind.item_field, flags), keys_sorted=kind.keys_sorted)
    if pa.types.is_large_list(kind):
        return pa.large_list(_field_with_text(kind.value_field, flags))
    if pa.types.is_list(kind):
        return pa.list_(_field_with_text(kind.value_field, flags))
    for _ in range(_leaf_count(kind) - 1):  # a fixed-size list or an extension, where no writer puts enums
        next(flags)
    return pa.string() if next(flags) and pa.types.is_binary(kind) else kind


def _field_with_text(field: pa.Field, flags: Iterator[bool]) -> pa.Field:
    return field.with_type(_with_text(field.type, flags))


def _with_fitting_unit(stream: BinaryIO, columns: Sequence[str]) -> tuple[pq.ParquetFile, frozenset[str]]:
    """Open a file with the unit that its INT96 times need, and return the columns with times that do not fit it.

    All times are read in three units and compared: seconds hold every INT96 time except for its fraction.
    """
    files = {unit: open_parquet(stream, unit) for unit in ("s", "us", "ns")}
    unfit: dict[str, set[str]] = {"us": set(), "ns": set()}
    for name in columns:
        try:
            batches = [file.iter_batches(_INT96_ROWS, columns=[name], use_threads=False) for file in files.values()]
            for of_each in zip(*batches, strict=True):
                for leaves in zip(*map(_leaves, of_each), strict=True):
                    if leaves[0].type != leaves[1].type:  # other types are the same in each of the files
                        _note_unfit(name, unfit, *(leaf.drop_null().cast(pa.int64()).to_numpy() for leaf in leaves))
        except (pa.ArrowException, OSError):  # damaged or encrypted: an error only if the column is needed
            continue
    unit = "ns" if unfit["us"] and not unfit["ns"] else "us"
    return files[unit], frozenset(unfit[unit])


def _note_unfit(
    name: str, unfit: dict[str, set[str]], seconds: np.ndarray, micros: np.ndarray, nanos: np.ndarray
) -> None:
    """Note a column under each unit that does not hold all its times; the arrays are int64 (times,), in each unit."""
    # Modulo 2^64, so it is right even where nanoseconds overflow.
    rest = nanos.view(np.uint64) - micros.view(np.uint64) * np.uint64(1000)
    if not ((micros // 10**6 == seconds) & (rest == 0)).all():
        unfit["us"].add(name)
    if not (nanos // 10**9 == seconds).all():
        unfit["ns"].add(name)


def _check_indices(array: pa.DictionaryArray) -> None:
    """Raise `ArrowInvalid` if an index is beyond its dictionary, where pyarrow would read memory outside the file's data."""
    bounds = pc.min_max(array.indices)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if high is not None and not 0 <= low <= high < len(array.dictionary):
        raise pa.ArrowInvalid(f"an index is beyond its dictionary of {len(array.dictionary)} values")


def _leaves(array: pa.Array | pa.RecordBatch) -> Iterator[pa.Array]:
    """Yield all values of a column or a batch, at any depth, as arrays that are not nested."""
    if isinstance(array, pa.RecordBatch):
        for column in array.columns:
            yield from _leaves(column)
    elif pa.types.is_struct(array.type):
        for field in array.flatten():
            yield from _leaves(field)
    elif pa.types.is_map(array.type):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_nested(array.type):
        yield from _leaves(array.flatten())
    else:
        yield array
