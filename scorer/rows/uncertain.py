"""Uncertain rows for people to label: their columns, and how a file of them is recognized."""

import csv
import json
from collections.abc import Sequence
from operator import attrgetter
from typing import BinaryIO

from scorer.base.text import shown_source
from scorer.rows.columns import ID, Column, Selection, Wanted
from scorer.rows.dialect import DELIMITERS
from scorer.rows.formats import Format
from scorer.storage.compression import first_line

# Unlike in an output, the text comes last; so neither is taken for the other.
_LAST = ("label", "score", "text")
_MOST_BYTES = 64 << 20  # of a first line, whose text may be as long as --max-record-bytes allows


def uncertain_columns(selection: Selection, wanted: Wanted) -> tuple[Column, ...]:
    """Return the columns of uncertain rows: row, source (if wanted), id (if the input has one), label, score and text.

    Args:
        selection: text column and columns that are passed through.
        wanted: columns that the command line asks for.

    >>> [column.name for column in uncertain_columns(Selection("review", ("id", "stars")), Wanted(source=True))]
    ['row', 'source', 'id', 'label', 'score', 'text']
    """
    columns = [Column("row", "integer", lambda scored: scored.record.row)]
    if wanted.source:
        columns.append(Column("source", "text", lambda scored: shown_source(scored.record.position.source)))
    if ID in selection.carried:
        at = selection.carried.index(ID)
        columns.append(Column(ID, "carried", lambda scored: scored.record.carried[at]))
    return (
        *columns,
        Column("label", "text", attrgetter("label")),
        Column("score", "number", attrgetter("score")),
        # As a value of the input, which --escape-formulas applies to.
        Column("text", "carried", lambda scored: scored.record.text),
    )


def is_uncertain_rows(stream: BinaryIO, form: Format) -> bool:
    """Return whether a file begins like one of uncertain rows.

    Args:
        stream: bytes of the file.
        form: format and compression that its name shows.
    """
    line = first_line(stream, form.compression, _MOST_BYTES)
    try:
        if form.kind == "jsonl":
            return _are_names(list(json.loads(line)))
        return _are_names(next(csv.reader([line.decode()], delimiter=DELIMITERS[form.kind])))
    except (ValueError, TypeError, StopIteration, RecursionError, csv.Error):
        return False


def _are_names(names: Sequence[str]) -> bool:
    """Return whether these are the names of all columns, in order.

    >>> _are_names(["row", "id", "label", "score", "text"]), _are_names(["row", "id", "text", "label", "score"])
    (True, False)
    """
    between = [name for name in ("source", ID) if name in names]
    return list(names) == ["row", *between, *_LAST]
