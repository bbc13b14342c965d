"""Parquet to parsed records: row groups streamed, only the needed columns read, every value with its type."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.base.errors import InputError, UsageError
from scorer.rows.arrow_value import ArrowValue, bytes_of, is_bytes_type, is_string_type, is_text_type, json_text
from scorer.rows.columns import Selection
from scorer.rows.input_file import InputFile, Source
from scorer.rows.record import Parsed, Position, Reason
from scorer.storage.digest import DigestingReader
from scorer.storage.inputs import opened_file, opened_seekable

# Values of rows that are decoded at a time, in bytes, and rows at most: how long a value in a dictionary is, is only
# known when it is decoded, however often it comes.
_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 64
_PIECE = 1 << 20


class ParquetFile(InputFile):
    """An open Parquet file; its digests get it row group by row group, as far as records were read.

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
        self._unread = DigestingReader(cast(BinaryIO, DigestingReader(stream, source.content)), source.consumed)
        with reading(source.path):
            self._file = open_parquet(stream)
            self.schema = self._schema = self._file.schema_arrow
        self.columns = tuple(self._schema.names)

    def records(self, selection: Selection) -> Iterator[Parsed]:
        names = self._schema.names
        if self._is_first:
            check_text(self._path, self._schema, selection.text, self._text_option)
        # Without the text all is rejected, and whoever looks at the rejects wants to see what is there instead.
        needed = {selection.text, *selection.carried} if selection.text in names else set(names)
        before = 0
        for number in range(self._file.metadata.num_row_groups):
            group = self._file.metadata.row_group(number)
            self._digest_to(_end(group))
            columns = [name for name in names if name in needed]
            for batch in _batches(self._path, self._file, number, _batch_rows(group), columns):
                yield from _parsed(self._path, before, batch, selection.text, self._limit)
                before += batch.num_rows
        self._digest_to(None)

    def _digest_to(self, end: int | None) -> None:
        """Read the file once more, from where its digests are, to an offset or to the end."""
        before = self._stream.tell()
        self._stream.seek(self._content.count)
        while end is None or self._content.count < end:
            if not self._unread.read(_PIECE if end is None else min(_PIECE, end - self._content.count)):
                break
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


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """What pyarrow says against a file is about the file; what the system says passes."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{source} is no Parquet file, cut short or damaged: {str(error).rstrip('.')}. Get it again."
        ) from error


def open_parquet(stream: BinaryIO) -> pq.ParquetFile:
    """Open a file whose pages are read as they are needed, and checked where they have checksums.

    Raises:
        ArrowInvalid, OSError: it is none, or its directory contradicts itself.
    """
    file = pq.ParquetFile(stream, buffer_size=_PIECE, pre_buffer=False, page_checksum_verification=True)
    found = sum(file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups))
    if found != file.metadata.num_rows:
        raise pa.ArrowInvalid(f"its row groups have {found} rows, its directory says {file.metadata.num_rows}")
    return file


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


def _end(group: pq.RowGroupMetaData) -> int:
    """Where a row group ends in its file."""
    ends = [0]
    for number in range(group.num_columns):
        column = group.column(number)
        first = column.data_page_offset
        if column.dictionary_page_offset is not None:
            first = min(first, column.dictionary_page_offset)
        ends.append(first + column.total_compressed_size)
    return max(ends)


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    """Rows to decode at a time; from the file alone, so that every run cuts it alike."""
    row_bytes = group.total_byte_size // max(1, group.num_rows)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))


def _batches(source: str, file: pq.ParquetFile, group: int, rows: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    batches = file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)
    while True:
        with reading(source):
            batch = next(batches, None)
        if batch is None:
            return
        # By number: two columns that nobody needs may have one name.
        yield batch.select([at for at, name in enumerate(batch.schema.names) if name in columns])


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
        if not _is_utf8(values):  # a copy of each: a slice of a list would still have the others' texts
            found |= {row: "invalid_encoding" for row in range(len(values)) if not _is_utf8(values.take([row]))}
    return found


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
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
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
