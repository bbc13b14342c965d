"""Scored rows to bytes: CSV, TSV or JSON Lines, UTF-8, lines ending in ``\\n``; Parquet in `scorer.rows.parquet_writer`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import orjson

from scorer.rows.dialect import DELIMITERS
from scorer.rows.formats import PARQUET
from scorer.rows.record import Cell, plain

if TYPE_CHECKING:
    import pyarrow

    from scorer.rows.reader import Inputs


Formatter = Callable[[Iterable[Sequence["Cell"]]], bytes]
"""Rows of cells, in the order of the columns, to bytes."""


class TypedInput(Protocol):
    """The part of `scorer.rows.reader.Reader` that tells the types of its columns."""

    inputs: "Inputs"
    schemas: "dict[str, pyarrow.Schema]"


def carried_types(kind: str, reader: TypedInput, names: Sequence[str]) -> "Sequence[pyarrow.Field]":
    """Decide the types of passed-through columns, once the first record was read; none for an output without types.

    Args:
        kind: of the output.
        reader: of the input.
        names: names of the columns, in order.

    Raises:
        UsageError: two files have a column with types that do not go together.
        InputError, ScorerError: a later file cannot be read.
    """
    if kind != PARQUET:
        return ()
    from scorer.rows.parquet_schema import carried_fields  # pyarrow takes a moment that others need not wait

    return carried_fields(reader.inputs, reader.schemas, names)


# What spreadsheets take for the beginning of a formula, or skip to find one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def formatter(
    kind: str,
    columns: Sequence[str],
    defused: range = range(0),
    fields: "Mapping[int, pyarrow.Field]" = MappingProxyType({}),
) -> tuple[bytes, Formatter]:
    """What the file begins with, and the function that formats rows.

    Args:
        kind: of the file.
        columns: their names.
        defused: which of them, in CSV and TSV, get a ``'`` before what a spreadsheet would take for a formula.
        fields: the types of those, in Parquet, that are passed through; it is an Arrow stream until it is complete.

    >>> head, rows = formatter("csv", ["row", "label", "score"])
    >>> head + rows([(1, "so, so", 0.25)])
    b'row,label,score\\n1,"so, so",0.250000\\n'
    >>> formatter("jsonl", ["row", "score"])[1]([(1, 0.25)])
    b'{"row":1,"score":0.250000}\\n'
    >>> formatter("csv", ["row", "id"], range(1, 2))[1]([(1, "=1+1")])
    b"1,'=1+1\\n"
    """
    if kind == PARQUET:
        from scorer.rows.parquet_writer import stream_formatter  # pyarrow takes a moment that others need not wait

        return stream_formatter(columns, fields)
    if kind == "jsonl":
        keys = [orjson.dumps(column).decode() + ":" for column in columns]
        return b"", lambda rows: b"".join(_json_line(keys, row) for row in rows)
    delimiter = DELIMITERS[kind]
    # \r too: the csv module leaves it bare, and a reader would then see the end of a row.
    special = re.compile(f'["\r\n{delimiter}]')
    return (
        _csv_line(columns, delimiter, special, defused),
        lambda rows: b"".join(_csv_line(row, delimiter, special, defused) for row in rows),
    )


def _csv_line(row: Sequence[Cell], delimiter: str, special: re.Pattern[str], defused: range) -> bytes:
    cells = (_csv_cell(cell, special, defuse=number in defused) for number, cell in enumerate(row))
    return (delimiter.join(cells) + "\n").encode()


def _csv_cell(cell: Cell, special: re.Pattern[str], *, defuse: bool) -> str:
    if isinstance(cell, (bool, int, float)):
        return _number(cell)
    text = plain(cell)
    if text is None:
        return ""
    if defuse and text.startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if special.search(text) else text


def _json_line(keys: Sequence[str], row: Sequence[Cell]) -> bytes:
    return ("{" + ",".join(key + _json_cell(cell) for key, cell in zip(keys, row, strict=True)) + "}\n").encode()


def _json_cell(cell: Cell) -> str:
    if isinstance(cell, (bool, int, float)):
        return _number(cell)
    if cell is None:
        return "null"
    if isinstance(cell, str):
        return orjson.dumps(cell).decode()
    # Only ever white space, since strings escape it; but there are readers who end a line there.
    return cell.source.replace("\r", " ")


def _number(cell: int | float | bool) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return f"{cell:.6f}" if isinstance(cell, float) else str(cell)
