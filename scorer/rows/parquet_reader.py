"""Parquet to parsed records: row groups streamed, only the needed columns read, every value with its type."""

import contextlib
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.base.errors import InputError, UsageError
from scorer.base.shortage import out_of_memory
from scorer.rows.arrow_value import ArrowValue, bytes_of, is_bytes_type, is_string_type, is_text_type, json_text
from scorer.rows.columns import Selection
from scorer.rows.input_file import InputFile, Source
from scorer.rows.parquet_types import TypedFile, open_parquet
from scorer.rows.record import Parsed, Position, Reason
from scorer.storage.inputs import opened_file, opened_seekable

# Values of rows that are decoded at a time, in bytes, and rows at most: how long a value in a dictionary is, is only
# known when it is decoded, however often it comes.
_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 64
_PIECE = 1 << 20
_MOST_BYTES = 1 << 40


class ParquetFile(InputFile):
    """An open Parquet file; its digests get all of it before its first record.

    Args:
        source: the file.
        stream: its bytes, seekable.

    Raises:
        InputError: it is no Parquet file, or damaged.
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
            self.columns = tuple(self._schema.names)

    def records(self, selection: Selection) -> Iterator[Parsed]:
        names = self._schema.names
        if self._is_first:
            check_text(self._path, self._schema, selection.text, self._text_option)
        # Without the text all is rejected, and whoever looks at the rejects wants to see what is there instead.
        needed = {selection.text, *selection.carried} if selection.text in names else set(names)
        check_times(self._path, self._file, needed)
        self._digest()
        columns = [name for name in names if name in needed]
        before = 0
        for number in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(number)
            for batch in _batches(self._path, self._file, number, _batch_rows(group), columns):
                yield from _parsed(self._path, before, batch, selection.text, self._limit)
                before += batch.num_rows

    def _digest(self) -> None:
        """Read the whole file once more. Where its row groups end cannot be asked for, see `TypedFile.metadata`."""
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
        InputError: as of `ParquetFile`.
        ScorerError: it cannot be opened, or meanwhile it cannot be read.
    """
    with opened_seekable(source.path) as stream:
        yield ParquetFile(source, stream)


def rows_of(path: str) -> int:
    """Read the count of rows that a Parquet file states.

    Raises:
        InputError: it is no Parquet file, or damaged.
        ScorerError: it cannot be read.
    """
    with opened_file(path) as stream, reading(path):
        return int(open_parquet(stream).metadata.num_rows)


def columns_of(path: str) -> tuple[str, ...]:
    """Read the names of a Parquet file's columns, and nothing else: their types may take a look at all values.

    Raises:
        InputError, ScorerError: as of `rows_of`.
    """
    with opened_file(path) as stream, reading(path):
        return tuple(open_parquet(stream).schema_arrow.names)


def schema_of(path: str) -> pa.Schema:
    """Read the columns of a Parquet file, with their types.

    Raises:
        InputError: it is no Parquet file, or damaged.
        ScorerError: it cannot be read.
    """
    with opened_file(path) as stream, reading(path):
        return TypedFile(stream).schema


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """What pyarrow says against a file is about the file; what the system says passes."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} has a column name that is not UTF-8, as Parquet needs it ({error}). Write it again with other names."
        ) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, MemoryError) and not _asks_for_too_much(error):
            raise out_of_memory(f"{source} cannot be read") from error
        raise InputError(f"{source} {_problem(error)}") from error


def _asks_for_too_much(error: MemoryError) -> bool:
    """Return True if no machine has what was asked for, so that the file is to blame."""
    asked = re.search(r"size (\d+)", str(error))
    return asked is not None and int(asked[1]) > _MOST_BYTES


def _problem(error: Exception) -> str:
    """What pyarrow cannot read, and what to do about it."""
    found = str(error).rstrip(".")
    if "crypt" in found:
        return f"is encrypted, as a whole or in a column that is needed: {found}. Write it again without encryption."
    if isinstance(error, pa.ArrowNotImplementedError):
        return f"holds what cannot be read: {found}. Write it again without that, or with another type."
    return f"is no Parquet file, cut short or damaged: {found}. Get it again."


def check_times(source: str, file: TypedFile, needed: Set[str]) -> None:
    """Raise `InputError` if a needed column holds times that would become others."""
    for name in sorted(file.unfit & needed):
        raise InputError(
            f"{source}: the column {name!r} has INT96 times of which neither microseconds nor nanoseconds in 64 bits hold "
            "all exactly. Leave it out, or write it again with another type."
        )


def check_text(source: str, schema: pa.Schema, column: str, option: str | None) -> None:
    """Raise `UsageError` if a column holds no text; ``option`` names the text column."""
    kind = schema.field(column).type
    if not (is_text_type(kind) or pa.types.is_null(kind)):
        texts = [repr(field.name) for field in schema if is_text_type(field.type)]
        raise UsageError(
            f"{source}: the column {column!r} holds no text but {kind}. "
            + (f"{_name_another(option)}; it has text in: {', '.join(texts)}." if texts else "It has no text column.")
        )


def _name_another(option: str | None) -> str:
    return f"Name another with {option}" if option else "Rename another"


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    """Rows to decode at a time; from the file alone, so that every run cuts it alike."""
    row_bytes = group.total_byte_size // max(1, group.num_rows)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))


def _batches(source: str, file: TypedFile, group: int, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    batches, wanted = file.batches(group, rows, columns), frozenset(columns)
    while True:
        with reading(source):
            batch = next(batches, None)
        if batch is None:
            return
        # By number: two columns that nobody needs may have one name.
        yield batch.select([at for at, name in enumerate(batch.schema.names) if name in wanted])


def _parsed(source: str, before: int, batch: pa.RecordBatch, text: str, limit: int) -> Iterator[Parsed]:
    """The rows of a batch, ``before`` rows from the file's beginning on."""
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
    """Rows that hold text, or bytes to be scored, that are no UTF-8."""
    found: dict[int, Reason] = {}
    for name, column in columns.items():
        values = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        nested = pa.types.is_nested(values.type)  # texts may be in there
        if not (nested or is_string_type(values.type) or (name == text and is_text_type(values.type))):
            continue
        if not _is_utf8(values):
            found |= {row: "invalid_encoding" for row in range(len(values)) if not _decodes(values[row])}
    return found


def _decodes(scalar: pa.Scalar) -> bool:
    """Return False if a value is, or holds, text or bytes of a text that are no UTF-8."""
    try:
        if scalar.is_valid and is_bytes_type(scalar.type):
            scalar.as_buffer().to_pybytes().decode()
        else:
            json_text(scalar).encode()  # what is no UTF-8 stands there as halves of surrogate pairs
    except UnicodeError:
        return False
    return True


def _is_utf8(values: pa.Array) -> bool:
    try:
        # Casting checks bytes; what says that it is text already is only taken at its word.
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
    """A row, as a line of JSON once somebody asks for its bytes; of the columns that were read."""

    batch: pa.RecordBatch
    row: int

    def __bytes__(self) -> bytes:
        names = self.batch.schema.names
        pairs = (
            f"{json_text(pa.scalar(name))}:{json_text(self.batch.column(at)[self.row])}"
            for at, name in enumerate(names)
        )
        return ("{" + ",".join(pairs) + "}\n").encode(errors="surrogateescape")
