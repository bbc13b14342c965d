"""Parquet to parsed records: row groups are streamed, only needed columns are read, every value keeps its type."""

import contextlib
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.base.errors import InputError, UsageError
from scorer.base.shortage import out_of_memory
from scorer.rows.arrow_value import ArrowValue, bytes_of, is_bytes_type, is_string_type, is_text_type, json_text
from scorer.rows.columns import Selection
from scorer.rows.header import Header, header_of
from scorer.rows.input_file import InputFile, Source
from scorer.rows.parquet_types import TypedFile, open_parquet
from scorer.rows.record import Parsed, Position, Reason
from scorer.storage.inputs import opened_file, opened_seekable

# Bytes and rows that are decoded at a time. The limit on rows is for dictionaries: the length of their values is known
# only once they are decoded, and one value may fill many rows.
_BATCH_BYTES = 8 << 20
BATCH_ROWS = 64
"""Largest number of rows that are decoded at a time; a record of one of them keeps all of them in memory."""

_PIECE = 1 << 20
_MOST_BYTES = 1 << 40


class ParquetFile(InputFile):
    """An open Parquet file; its digests cover the whole file before its first record.

    Args:
        source: file to read.
        stream: bytes of the file, seekable.

    Raises:
        InputError: it is not a Parquet file, or it is damaged.
    """

    def __init__(self, source: Source, stream: BinaryIO) -> None:
        self._path = source.path
        self._limit = source.max_record_bytes
        self._is_first = source.is_first
        self._text_option = source.text_option
        self._stream = stream
        self._content = source.content
        self._consumed = source.consumed
        with reading(source.path):
            self._file = TypedFile(stream)
            self.schema = self._schema = self._file.schema
            self.header = header_of(self._schema.names)

    def records(self, selection: Selection) -> Iterator[Parsed]:
        names = self._schema.names
        if self._is_first:
            check_text(self._path, self._schema, selection.text, self._text_option)
        # Without the text column every record is rejected, and the rejects should show the other columns.
        needed = {selection.text, *selection.carried} if selection.text in names else set(names)
        check_times(self._path, self._file, needed)
        self._digest()
        columns = [name for name in names if name in needed]
        before = 0
        for number in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(number)
            for batch in _batches(self._path, self._file, number, _batch_rows(group), columns):
                yield from parsed_rows(self._path, before, batch, selection.text, self._limit)
                before += batch.num_rows

    def drawn(self, selection: Selection, rows: Sequence[int]) -> Iterator[Parsed]:
        names = self._schema.names
        if self._is_first:
            check_text(self._path, self._schema, selection.text, self._text_option)
        columns = [name for name in names if name in {selection.text, *selection.carried}]
        check_times(self._path, self._file, set(columns))
        before, wanted = 0, np.asarray(rows, dtype=np.int64)
        for number in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(number)
            last = np.searchsorted(wanted, before + group.num_rows)
            at = before
            for batch in _batches(self._path, self._file, number, _batch_rows(group), columns) if last else ():
                count = int(np.searchsorted(wanted, at + batch.num_rows))
                some, wanted = wanted[:count] - at, wanted[count:]
                # A copy of the rows, so that one that is kept does not keep its batch.
                yield from parsed_rows(self._path, at, batch.take(pa.array(some)), selection.text, self._limit)
                at += batch.num_rows
                last -= count
                if not last:
                    break
            before += group.num_rows

    def _digest(self) -> None:
        """Read and hash the whole file. Doing so by row group would need their ends, see `TypedFile.metadata`."""
        before = self._stream.tell()
        self._stream.seek(0)
        while data := self._stream.read(_PIECE):
            self._content.update(data)
        self._content.update(b"")
        self._consumed.update(self._content.digest.encode())
        self._stream.seek(before)


@contextlib.contextmanager
def opened(source: Source) -> Iterator[ParquetFile]:
    """Open a Parquet file.

    Raises:
        InputError: the file is not a Parquet file, or it is damaged.
        ScorerError: the file cannot be opened or read.
    """
    with opened_seekable(source.path) as stream:
        yield ParquetFile(source, stream)


def rows_of(path: str) -> int:
    """Read the number of rows that a Parquet file states.

    Raises:
        InputError: the file is not a Parquet file, or it is damaged.
        ScorerError: the file cannot be read.
    """
    with opened_file(path) as stream, reading(path):
        return int(open_parquet(stream).metadata.num_rows)


def groups_of(path: str) -> list[int]:
    """Read the number of rows in each row group of a Parquet file.

    Raises:
        InputError: the file is not a Parquet file, or it is damaged.
        ScorerError: the file cannot be read.
    """
    with opened_file(path) as stream, reading(path):
        found = open_parquet(stream).metadata
        return [found.row_group(number).num_rows for number in range(found.num_row_groups)]


def header_of_file(path: str) -> Header:
    """Read only the column names of a Parquet file: finding the types may read all values.

    Raises:
        InputError: the file is not a Parquet file, or it is damaged.
        ScorerError: the file cannot be read.
    """
    with opened_file(path) as stream, reading(path):
        return header_of(open_parquet(stream).schema_arrow.names)


def schema_of(path: str) -> pa.Schema:
    """Read the column names and types of a Parquet file.

    Raises:
        InputError: the file is not a Parquet file, or it is damaged.
        ScorerError: the file cannot be read.
    """
    with opened_file(path) as stream, reading(path):
        return TypedFile(stream).schema


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """Turn pyarrow's errors into `InputError`, or into out of memory; errors of the system pass unchanged."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} has a column name that is not UTF-8, which Parquet requires ({error}). "
            "Write the file again with other names."
        ) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, MemoryError) and not _asks_for_too_much(error):
            raise out_of_memory(f"{source} cannot be read") from error
        raise InputError(f"{source} {_problem(error)}") from error


def _asks_for_too_much(error: MemoryError) -> bool:
    """Return whether no machine has as much memory as was asked for, so that the file must be damaged."""
    asked = re.search(r"size (\d+)", str(error))
    return asked is not None and int(asked[1]) > _MOST_BYTES


def _problem(error: Exception) -> str:
    """Return the problem that pyarrow has with a file, and advice on it."""
    found = str(error).rstrip(".")
    if "crypt" in found:
        return f"is encrypted, entirely or in a column that is needed: {found}. Write it again without encryption."
    if isinstance(error, pa.ArrowNotImplementedError):
        return f"contains data that cannot be read: {found}. Write it again without that data, or with another type."
    return f"is not a Parquet file, or it is truncated or damaged: {found}. Get the file again."


def check_times(source: str, file: TypedFile, needed: Set[str]) -> None:
    """Raise `InputError` if a needed column has times that reading would change."""
    for name in sorted(file.unfit & needed):
        raise InputError(
            f"{source}: the column {name!r} has INT96 times that neither microseconds nor nanoseconds (64 bits) can all "
            "hold exactly. Leave the column out, or write it again with another type."
        )


def check_text(source: str, schema: pa.Schema, column: str, option: str | None) -> None:
    """Raise `UsageError` if a column does not hold text; ``option`` is the option that names the text column."""
    problem = text_problem(source, schema, column, option)
    if problem is not None:
        raise UsageError(problem)


def text_problem(source: str, schema: pa.Schema, column: str, option: str | None) -> str | None:
    """Return a message on a column that does not hold text, or None; the arguments are those of `check_text`."""
    kind = schema.field(column).type
    if is_text_type(kind) or pa.types.is_null(kind):
        return None
    texts = [repr(field.name) for field in schema if is_text_type(field.type)]
    others = f"{_name_another(option)}; the text columns are {', '.join(texts)}." if texts else "It has no text column."
    return f"{source}: the column {column!r} is {kind}, not text. {others}"


def _name_another(option: str | None) -> str:
    return f"Name another with {option}" if option else "Rename another"


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    """Return the number of rows to decode at a time; it depends only on the file, so that every run cuts it alike."""
    row_bytes = group.total_byte_size // max(1, group.num_rows)
    return max(1, min(BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))


def _batches(source: str, file: TypedFile, group: int, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    batches, wanted = file.batches(group, rows, columns), frozenset(columns)
    while True:
        with reading(source):
            batch = next(batches, None)
        if batch is None:
            return
        # By number: two unneeded columns may have the same name.
        yield batch.select([at for at, name in enumerate(batch.schema.names) if name in wanted])


def parsed_rows(source: str, before: int, batch: pa.RecordBatch, text: str, limit: int) -> Iterator[Parsed]:
    """Yield the rows of a batch as records.

    Args:
        source: name of the file.
        before: number of rows that precede the batch in the file.
        batch: columns to read.
        text: name of the text column.
        limit: largest size of a text, in bytes; a larger one is rejected.
    """
    columns = {name: batch.column(at) for at, name in enumerate(batch.schema.names)}
    problems = _undecodable(columns, text)
    for row in _too_long(columns.get(text), limit):
        problems[row] = "too_long"
    length = max(1, bytes_of(batch) // batch.num_rows) if batch.num_rows else 0
    for row in range(batch.num_rows):
        problem = problems.get(row)
        fields = {name: ArrowValue(column, row) for name, column in columns.items()} if problem is None else {}
        yield Parsed(Position(source, before + row + 1, None), _Raw(batch, row), length, fields, frozenset(), problem)


def _undecodable(columns: dict[str, pa.Array], text: str) -> dict[int, Reason]:
    """Return the rows with text, or bytes to be scored, that is not UTF-8."""
    found: dict[int, Reason] = {}
    for name, column in columns.items():
        if not (may_hold_text(column.type) or (name == text and is_text_type(column.type))):
            continue
        values = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        if not _is_utf8(values):
            found |= {row: "invalid_encoding" for row in range(len(values)) if not _decodes(values[row])}
    return found


def may_hold_text(kind: pa.DataType) -> bool:
    """Return whether values of a type are or may contain text, so that they are read as UTF-8.

    >>> may_hold_text(pa.list_(pa.string())), may_hold_text(pa.binary())
    (True, False)
    """
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_nested(values)) or is_string_type(values)


def _decodes(scalar: pa.Scalar) -> bool:
    """Return False if a value is or contains text that is not UTF-8."""
    try:
        if scalar.is_valid and is_bytes_type(scalar.type):
            scalar.as_buffer().to_pybytes().decode()
        else:
            json_text(scalar).encode()  # lone surrogates stand for bytes that are not UTF-8
    except UnicodeError:
        return False
    return True


def _is_utf8(values: pa.Array) -> bool:
    try:
        # Casting checks bytes, but trusts a column that is text already.
        checked = values.cast(pa.large_string()) if is_bytes_type(values.type) else values
        checked.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _too_long(column: pa.Array | None, limit: int) -> list[int]:
    if column is None or not is_text_type(column.type):
        return []
    values = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())
    return pc.indices_nonzero(pc.greater(pc.binary_length(values), limit)).to_pylist()


@dataclass(frozen=True, slots=True)
class _Raw:
    """The columns of a row that were read; they become a line of JSON only when its bytes are needed."""

    batch: pa.RecordBatch
    row: int

    def __bytes__(self) -> bytes:
        names = self.batch.schema.names
        pairs = (
            f"{json_text(pa.scalar(name))}:{json_text(self.batch.column(at)[self.row])}"
            for at, name in enumerate(names)
        )
        return ("{" + ",".join(pairs) + "}\n").encode(errors="surrogateescape")
