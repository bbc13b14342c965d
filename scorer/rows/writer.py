"""Scored rows to bytes, in any format; one module for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from scorer.rows import csv_writer, jsonl_writer
from scorer.rows.columns import Column, Formatter
from scorer.rows.dialect import DELIMITERS
from scorer.rows.formats import PARQUET

if TYPE_CHECKING:
    import pyarrow

    from scorer.rows.reader import Inputs


class TypedInput(Protocol):
    """The part of `scorer.rows.reader.Reader` that knows the types of its columns."""

    @property
    def inputs(self) -> "Inputs": ...

    @property
    def schemas(self) -> "dict[str, pyarrow.Schema]": ...


def carried_types(kind: str, reader: TypedInput, names: Sequence[str]) -> "Sequence[pyarrow.Field]":
    """Return the types of passed-through columns, after the first record was read; empty for an output without types.

    Args:
        kind: format of the output.
        reader: reader of the inputs.
        names: names of the columns, in order.

    Raises:
        UsageError: two files have a column with types that do not go together.
        InputError, ScorerError: a later file cannot be read.
    """
    if kind != PARQUET:
        return ()
    from scorer.rows.parquet_schema import carried_fields  # other formats need not wait for this slow import

    return carried_fields(reader.inputs, reader.schemas, names)


def formatter(
    kind: str, columns: Sequence[Column], types: "Sequence[pyarrow.Field]" = (), *, escape_formulas: bool = False
) -> tuple[bytes, Formatter]:
    """Return the beginning of an output file, and the function that formats its rows.

    Args:
        kind: format of the output; Parquet is an Arrow stream until it is complete.
        columns: columns of the output, in order.
        types: types of the passed-through columns, in order, for Parquet; see `carried_types`.
        escape_formulas: whether CSV and TSV get a ``'`` before passed-through cells that a spreadsheet would take for a
            formula.
    """
    if kind == PARQUET:
        from scorer.rows import parquet_writer  # other formats need not wait for this slow import

        return parquet_writer.formatter(columns, types)
    if kind == "jsonl":
        return jsonl_writer.formatter(columns)
    return csv_writer.formatter(columns, DELIMITERS[kind], escape_formulas=escape_formulas)
