"""Scored rows to Parquet: written as an Arrow stream, which can grow and be cut, and converted once complete."""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scorer.base.errors import InputError
from scorer.rows.arrow_value import ArrowValue, bytes_of
from scorer.rows.columns import Column, Formatter
from scorer.rows.record import Cell, ScoredRecord, plain

# Limits of a row group, so that memory is bounded and readers can skip row groups.
_GROUP_ROWS = 1 << 17
_GROUP_BYTES = 32 << 20
_PIECE = 1 << 20
_PASSAGES = pa.list_(
    pa.field(
        "element",
        pa.struct(
            [
                ("text", pa.string()),
                ("begin", pa.int64()),
                ("end", pa.int64()),
                ("times", pa.int64()),
                ("amount", pa.float64()),
            ]
        ),
        nullable=False,
    )
)
_TYPES = {
    "integer": pa.int64(),
    "optional": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "labels": pa.list_(pa.field("element", pa.string(), nullable=False)),
    # The JSON form of `scorer.model.explanation.Explanation`.
    "explanation": pa.struct(
        [
            ("label", pa.string()),
            ("against", pa.string()),
            ("margin", pa.float64()),
            ("words", _PASSAGES),
            ("other_words", pa.float64()),
            ("encoder", pa.float64()),
            ("constant", pa.float64()),
            ("sentences", _PASSAGES),
        ]
    ),
}

_Slice = TypeVar("_Slice")


def formatter(columns: Sequence[Column], types: Sequence[pa.Field]) -> tuple[bytes, Formatter]:
    """Return the beginning of an Arrow stream, and the function that formats rows as messages.

    Args:
        columns: columns of the output, in order.
        types: types of the passed-through columns, in order.
    """
    schema = schema_of(columns, types)
    head = schema.serialize().to_pybytes()

    def messages(rows: Sequence[ScoredRecord]) -> bytes:
        cells = [list(map(column.value, rows)) for column in columns]

        def batch(start: int, end: int) -> pa.RecordBatch:
            arrays = [
                array_of(column, column_cells[start:end], field.type)
                for column, column_cells, field in zip(columns, cells, schema, strict=True)
            ]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

        out = pa.BufferOutputStream()
        writer = pa.ipc.new_stream(out, schema)
        for piece in _split_where_needed(batch, 0, len(rows)):
            writer.write_batch(piece)
        # Closing the writer would end the stream. Each call has a new one, so that dictionaries come with their rows.
        return out.getvalue().to_pybytes()[len(head) :]

    return head, messages


def schema_of(columns: Sequence[Column], types: Sequence[pa.Field]) -> pa.Schema:
    """Return the names and types of an output's columns; the arguments are those of `formatter`."""
    carried = iter(types)
    return pa.schema(
        [
            next(carried).with_name(column.name)
            if column.type == "carried"
            else pa.field(column.name, _TYPES[column.type])
            for column in columns
        ]
    )


def array_of(column: Column, cells: Sequence[Cell], kind: pa.DataType) -> pa.Array:
    """Return the cells of a column as an array of its type; None is null."""
    if column.type == "carried":
        return _carried(cells, kind)
    if column.type == "number":
        return pa.array([None if cell is None else round(cell, 6) + 0.0 for cell in cells], kind)  # type: ignore[arg-type]
    return pa.array(cells, kind)


def to_parquet(stream: IO[bytes], write: Callable[[bytes], None]) -> None:
    """Convert an Arrow stream to Parquet; the same stream gives the same bytes."""
    reader = pa.ipc.open_stream(stream)
    sink = io.BufferedWriter(_Sink(write), _PIECE)  # type: ignore[type-var]
    with sink, pq.ParquetWriter(sink, reader.schema, compression="zstd", write_page_checksum=True) as writer:
        for batches in _groups(reader):

            def table(start: int, end: int, batches: list[pa.RecordBatch] = batches) -> pa.Table:
                return pa.Table.from_batches(batches[start:end], reader.schema).unify_dictionaries()

            for piece in _split_where_needed(table, 0, len(batches)):
                writer.write_table(piece, row_group_size=max(1, piece.num_rows))


def _split_where_needed(make: Callable[[int, int], _Slice], start: int, end: int) -> Iterator[_Slice]:
    """Yield one piece, or several if a dictionary for all would have more values than its index type can address."""
    try:
        piece = make(start, end)
    except pa.ArrowInvalid:
        if end - start < 2:
            raise
        middle = (start + end) // 2
        yield from _split_where_needed(make, start, middle)
        yield from _split_where_needed(make, middle, end)
    else:
        yield piece


def _carried(cells: Sequence[Cell], kind: pa.DataType) -> pa.Array:
    """Return passed-through values as one array; values from Parquet are copied unchanged."""
    pieces = [
        piece
        if piece.type == kind
        else pa.nulls(len(piece), kind)
        if pa.types.is_null(piece.type)
        else _as_type(piece, kind)
        for piece in _pieces(cells)
    ]
    joined = pa.concat_arrays(pieces) if pieces else pa.array([], kind)
    return _compact(joined) if isinstance(joined, pa.DictionaryArray) else joined


def _as_type(piece: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a piece with another type that holds its values.

    Raises:
        InputError: a time is out of range for the finer unit of another file.
    """
    try:
        return piece.cast(kind)
    except pa.ArrowInvalid as error:
        if not pa.types.is_timestamp(kind):
            raise
        raise InputError(
            f"a time is out of range for {kind}, the type of this column in another file: {error}. Write CSV or JSONL "
            "instead, or score the files separately."
        ) from error


def _pieces(cells: Sequence[Cell]) -> Iterator[pa.Array]:
    """Yield neighbouring cells of one array as a slice of it, and cells of CSV and JSON as text."""
    at = 0
    while at < len(cells):
        first, start = cells[at], at
        at += 1
        if isinstance(first, ArrowValue):
            while at < len(cells) and _follows(cells[at], first, at - start):
                at += 1
            yield first.array.slice(first.index, at - start)
        else:
            at = next((n for n in range(at, len(cells)) if isinstance(cells[n], ArrowValue)), len(cells))
            texts = [plain(cell) for cell in cells[start:at]]  # type: ignore[arg-type]
            yield pa.array(texts, pa.null() if not any(text is not None for text in texts) else pa.string())


def _follows(cell: Cell, first: ArrowValue, distance: int) -> bool:
    return isinstance(cell, ArrowValue) and cell.array is first.array and cell.index == first.index + distance


def _compact(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Drop unused values, keeping the order, if a chunk's rows would come with a dictionary much longer than they are."""
    if len(array.dictionary) <= 2 * len(array):
        return array
    used = pc.unique(array.indices.drop_null()).sort()
    indices = pc.index_in(array.indices, used).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(indices, array.dictionary.take(used), ordered=array.type.ordered)


def _groups(reader: pa.RecordBatchReader) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        group.append(batch)
        rows, size = rows + batch.num_rows, size + bytes_of(batch)
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group


class _Sink(io.RawIOBase):
    """A stream that passes on what is written to it; errors pass through pyarrow unchanged."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._write(bytes(data))
        return len(data)
