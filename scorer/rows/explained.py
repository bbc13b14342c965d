"""Explained rows: the columns of their file, and how such a file is recognized."""

import csv
import json
from collections.abc import Callable
from typing import Any, BinaryIO

from scorer.rows.columns import Column
from scorer.rows.dialect import DELIMITERS
from scorer.rows.formats import PARQUET
from scorer.rows.record import ScoredRecord
from scorer.storage.compression import first_line
from scorer.storage.names import beside

EXPLANATION = "explanation"
_MOST_BYTES = 64 << 20  # of a first line, whose kept columns may be as long as --max-record-bytes allows


def explained_beside(output: str, kind: str) -> str:
    """Return the name of the file of explained rows of an output.

    Args:
        output: output, as given.
        kind: its format.

    >>> explained_beside("out.csv.gz", "csv")
    'out.csv.gz.explained.csv'
    """
    return beside(output, f".explained.{kind}")


def explained_columns(
    columns: tuple[Column, ...], explanation: Callable[[ScoredRecord], dict[str, Any]]
) -> tuple[Column, ...]:
    """Return the columns of explained rows: those of the output, and the explanation.

    Args:
        columns: columns of the output; one of that name gets ``input_``.
        explanation: function that returns the explanation of a row.

    >>> kept = Column("Explanation", "carried", str)
    >>> [column.name for column in explained_columns((kept, kept._replace(name="score")), dict)]
    ['input_Explanation', 'score', 'explanation']
    """
    taken = {EXPLANATION, *(column.name.casefold() for column in columns if column.name.casefold() != EXPLANATION)}
    found = []
    for column in columns:
        name = column.name
        while name.casefold() == EXPLANATION or (name != column.name and name.casefold() in taken):
            name = f"input_{name}"
        found.append(column._replace(name=name))
    return (*found, Column(EXPLANATION, "explanation", explanation))


def is_explained(stream: BinaryIO, kind: str) -> bool:
    """Return whether a file begins like one of explained rows.

    Args:
        stream: bytes of the file.
        kind: format of the file.
    """
    if kind == PARQUET:
        return _is_explained_parquet(stream)
    line = first_line(stream, None, _MOST_BYTES)
    try:
        names = (
            list(json.loads(line)) if kind == "jsonl" else next(csv.reader([line.decode()], delimiter=DELIMITERS[kind]))
        )
    except (ValueError, TypeError, StopIteration, RecursionError, csv.Error):
        return False
    return names[:1] == ["row"] and names[-1] == EXPLANATION


def _is_explained_parquet(stream: BinaryIO) -> bool:
    import pyarrow  # slow to import, and other formats do without
    import pyarrow.parquet

    try:
        return bool(pyarrow.parquet.read_schema(stream).names[-1:] == [EXPLANATION])
    except (pyarrow.ArrowException, OSError, ValueError):
        return False
