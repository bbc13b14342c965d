"""Tables in Arrow's form, scored in batches: a row for each of their rows, with the columns of Parquet output."""

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from scorer.model.texts import kind_of
from scorer.rows.columns import ALL, REJECT, ROW, Column, Selection, Wanted, output_columns, select, take
from scorer.rows.header import header_of
from scorer.rows.lines import MAX_RECORD_BYTES
from scorer.rows.parquet_reader import BATCH_ROWS, may_hold_text, parsed_rows, text_problem
from scorer.rows.parquet_writer import array_of, schema_of
from scorer.rows.record import Cell, Reason, Record, Reject, ScoredRecord
from scorer.run.chunks import Model, scored_ahead
from scorer.run.pipeline import results_of
from scorer.run.scored_chunk import scored_chunk

_TABLE = "the table"


class ArrowStream(Protocol):
    """Table with the Arrow C stream interface: a data frame, a query of a database, or a reader of record batches."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


@dataclass(frozen=True)
class ScoredTable:
    """A table that is scored while its batches are taken.

    Attributes:
        schema: columns and types of the result.
        batches: rows with their results, in order; closing them cancels what was begun ahead.
    """

    schema: pa.Schema
    batches: Generator[pa.RecordBatch, None, None]


def scored_table(table: ArrowStream, wanted: Wanted, model: Model) -> ScoredTable:
    """Return a table with its results, which are computed while they are taken.

    Args:
        table: table to score.
        wanted: columns of the result, from `wanted_columns`.
        model: model that scores.

    Raises:
        TypeError: ``table`` is no table, or its text column has no text.
        UsageError: a column is missing, or there are several of its name.
    """
    source = _stream_of(table)
    selection = select(wanted, header_of(source.schema.names), _TABLE)
    problem = text_problem(_TABLE, source.schema, selection.text, wanted.option)
    if problem is not None:
        raise TypeError(problem)
    columns = output_columns(selection, results_of(model), wanted)
    schema = schema_of(columns, [source.schema.field(name) for name in selection.carried])
    return ScoredTable(schema, _batches(_TableRows(source, selection), columns, schema, wanted.details, model))


def wanted_columns(text: str | None, keep: str | Sequence[str], *, details: bool) -> Wanted:
    """Return the columns that a caller asks for; a single name in ``keep`` needs no list.

    Raises:
        TypeError: a name is no str, as names of pandas may be.
    """
    if not isinstance(text, str | None):
        raise TypeError(f"text= takes the name of a column as a str, not {kind_of(text)}.")
    if not isinstance(keep, Iterable):
        raise TypeError(f"keep= takes the name of a column or a list of names, not {kind_of(keep)}.")
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    for name in kept:
        if not isinstance(name, str):
            raise TypeError(f"keep= takes names of columns as str, not {kind_of(name)}.")
    needed = {name: "keep=" for name in kept if name != ALL}
    return Wanted(text=text, keep=kept, details=details, option="text=", needed=needed, reject=True)


def _stream_of(table: ArrowStream) -> pa.RecordBatchReader:
    if isinstance(table, pa.RecordBatchReader):  # its errors stay what they are, without a C stream between
        return table
    if not hasattr(type(table), "__arrow_c_stream__"):
        raise TypeError(
            f"score_table() takes a table that has the method __arrow_c_stream__, such as a DataFrame of pandas or polars, a "
            f"pyarrow.Table or a relation of DuckDB, not {kind_of(table)}. Convert it first, as with collect() of a lazy frame, "
            "to_reader() of a scanner, or pyarrow.table() of a dict."
        )
    try:
        return pa.RecordBatchReader.from_stream(table)
    except pa.ArrowInvalid as error:
        if "non-struct" not in str(error):
            raise
        raise TypeError(
            f"score_table() takes a table, not a column ({kind_of(table)}); pass columns to score()."
        ) from error


class _TableRows:
    """The texts of a table as records, in order, while the columns to keep stay in Arrow's form.

    Args:
        source: table.
        selection: text column and columns to keep.
    """

    input_hash = ""
    bytes_read = 0

    def __init__(self, source: pa.RecordBatchReader, selection: Selection) -> None:
        names = source.schema.names
        self._source = source
        self._text_alone = Selection(selection.text, ())
        # The command rejects a row for invalid text in any column that it reads. Others need no look: a table may have many.
        texts = {name for name in selection.carried if may_hold_text(source.schema.field(name).type)}
        self._needed = [at for at, name in enumerate(names) if name in {selection.text, *texts}]
        self._carried = [names.index(name) for name in selection.carried]
        self._kept: deque[pa.RecordBatch] = deque()

    def __iter__(self) -> Iterator[Record | Reject]:
        before = 0
        for batch in self._source:
            if not batch.num_rows:
                continue
            self._kept.append(batch.select(self._carried))
            needed = _without_views(batch.select(self._needed))
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield from self._records(before + start, needed.slice(start, BATCH_ROWS))
            before += batch.num_rows

    def kept(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the columns to keep of the next rows, which were read before, in one piece or several."""
        while rows:
            first = self._kept.popleft()
            if first.num_rows > rows:
                self._kept.appendleft(first.slice(rows))
                first = first.slice(0, rows)
            rows -= first.num_rows
            yield first

    def _records(self, before: int, batch: pa.RecordBatch) -> Iterator[Record | Reject]:
        for parsed in parsed_rows("", before, batch, self._text_alone.text, MAX_RECORD_BYTES):
            taken = take(self._text_alone, parsed)
            row, position = parsed.position.line, parsed.position
            if isinstance(taken, str):
                yield Reject(row, position, taken, b"", 1)
            else:
                # Not the size of the batch, which Arrow measures without regard to slices of views and dictionaries.
                yield Record(row, taken[0], (), position, b"", len(taken[0]))


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose dictionaries, as those of polars, have no views as values, which Arrow cannot decode."""
    for at, column in enumerate(batch.columns):
        if isinstance(column, pa.DictionaryArray) and pa.types.is_string_view(column.dictionary.type):
            values = column.dictionary.cast(pa.large_string())
            column = pa.DictionaryArray.from_arrays(column.indices, values)
            batch = batch.set_column(at, batch.schema.names[at], column)
    return batch


@dataclass(frozen=True)
class _Rows:
    """Consecutive rows of a table.

    Attributes:
        numbers: their numbers, from 1.
        scored: those that have a score, by number.
        reasons: reasons of the others, by number.
    """

    numbers: range
    scored: Mapping[int, ScoredRecord]
    reasons: Mapping[int, Reason]

    def cells(self, column: Column) -> Sequence[Cell]:
        """Return the cells of a column that is not passed through."""
        if column.name == ROW:
            return self.numbers
        if column.name == REJECT:
            return [self.reasons.get(row) for row in self.numbers]
        return [column.value(self.scored[row]) if row in self.scored else None for row in self.numbers]


def _batches(
    rows: _TableRows, columns: Sequence[Column], schema: pa.Schema, details: bool, model: Model
) -> Generator[pa.RecordBatch, None, None]:
    """Yield the rows of a table with their results."""
    before = 0
    with contextlib.closing(scored_ahead(rows, model)) as ahead:
        for chunk in ahead:
            found = scored_chunk(chunk.records, chunk.scored.result(), model, details=details)
            rejects = [*chunk.rejects, *found.unscored]
            count = len(chunk.records) + len(chunk.rejects)
            these = _Rows(
                range(before + 1, before + count + 1),
                {row.record.row: row for row in found.rows},
                {reject.row: reject.reason for reject in rejects},
            )
            before += count
            yield from _joined(these, rows.kept(count), columns, schema)


def _joined(
    rows: _Rows, kept: Iterator[pa.RecordBatch], columns: Sequence[Column], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield rows with the columns to keep, which are not copied, however the table was cut."""
    results = {
        column.name: array_of(column, rows.cells(column), field.type)
        for column, field in zip(columns, schema, strict=True)
        if column.type != "carried"
    }
    start = 0
    for piece in kept:
        carried = iter(piece.columns)
        arrays = [
            next(carried) if column.type == "carried" else results[column.name].slice(start, piece.num_rows)
            for column in columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        start += piece.num_rows
