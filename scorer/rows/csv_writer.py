"""Scored rows to CSV and TSV: UTF-8, lines ending in ``\\n``, quotes only where needed."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from scorer.rows.columns import SPELLINGS, Column, Formatter, Type
from scorer.rows.label_cell import join_labels
from scorer.rows.record import ScoredRecord, plain

# Characters that spreadsheets take for the beginning of a formula, or skip to find one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def formatter(columns: Sequence[Column], delimiter: str, *, escape_formulas: bool) -> tuple[bytes, Formatter]:
    """Return the header line, and the function that formats rows; see `scorer.rows.writer.formatter`.

    >>> columns = [Column("id", "carried", lambda row: row[0]), Column("score", "number", lambda row: row[1])]
    >>> head, rows = formatter(columns, ",", escape_formulas=True)
    >>> print((head + rows([("so, so", 0.25), ("=1+1", 1.0)])).decode(), end="")
    id,score
    "so, so",0.250000
    '=1+1,1.000000
    """
    texts = [_text(delimiter, defuse=escape_formulas and column.type == "carried") for column in columns]
    cells = [(column.value, _spelling(column.type, text)) for column, text in zip(columns, texts, strict=True)]
    head = delimiter.join(text(column.name) for column, text in zip(columns, texts, strict=True))

    def line(scored: ScoredRecord) -> bytes:
        return (delimiter.join([spelled(value(scored)) for value, spelled in cells]) + "\n").encode()

    return f"{head}\n".encode(), lambda rows: b"".join(map(line, rows))


def _spelling(kind: Type, text: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return the function that writes cells of a type, given the one that writes text."""
    if kind == "labels":
        return lambda labels: text(join_labels(labels))
    if kind == "explanation":
        return lambda explanation: text(orjson.dumps(explanation).decode())
    if kind == "optional":
        return lambda number: "" if number is None else str(number)
    return SPELLINGS.get(kind, text)


def _text(delimiter: str, *, defuse: bool) -> Callable[[Any], str]:
    """Return the function that writes text; with ``defuse``, it escapes what a spreadsheet would take for a formula."""
    # \\r as well: the csv module leaves it unquoted, and a reader would then see the end of a row.
    special = re.compile(f'["\r\n{delimiter}]').search

    def cell(value: Any) -> str:
        text = plain(value)
        if text is None:
            return ""
        if defuse and text.startswith(_FORMULA):
            text = f"'{text}"
        return '"' + text.replace('"', '""') + '"' if special(text) else text

    return cell
