"""Scored rows to JSON Lines: UTF-8, one object per line, passed-through JSON values exactly as written."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from scorer.rows.columns import SPELLINGS, Column, Formatter, Type
from scorer.rows.record import ScoredRecord


def formatter(columns: Sequence[Column]) -> tuple[bytes, Formatter]:
    """Return an empty header, and the function that formats rows; see `scorer.rows.writer.formatter`.

    >>> columns = [Column("row", "integer", lambda row: row[0]), Column("score", "number", lambda row: row[1])]
    >>> formatter(columns)[1]([(1, 0.25)])
    b'{"row":1,"score":0.250000}\\n'
    """
    cells = [
        (
            orjson.dumps(column.name).decode() + ":",
            column.value,
            _OWN_SPELLINGS.get(column.type) or SPELLINGS.get(column.type, _text),
        )
        for column in columns
    ]

    def line(scored: ScoredRecord) -> bytes:
        return ("{" + ",".join([key + spelled(value(scored)) for key, value, spelled in cells]) + "}\n").encode()

    return b"", lambda rows: b"".join(map(line, rows))


def _text(cell: Any) -> str:
    if cell is None:
        return "null"
    if isinstance(cell, str):
        return orjson.dumps(cell).decode()
    # Always white space, since strings escape it; but some readers end a line there.
    return str(cell.source).replace("\r", " ")


def _json(cell: Any) -> str:
    return orjson.dumps(cell).decode()


_OWN_SPELLINGS: Mapping[Type, Callable[[Any], str]] = {"labels": _json, "optional": _json, "explanation": _json}
