"""Labels of records as read: one label, some of them, or a number, by task; a record with anything else is refused."""

import json
import math
import re
from collections.abc import Sequence
from typing import TypeAlias

from export.data_source import LABEL_OPTION, SEPARATOR_OPTION, Columns
from export.errors import DatasetError, Unlabelled
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.rows.label_cell import split_labels
from scorer.rows.record import JsonValue, Value, plain

Label: TypeAlias = "str | tuple[str, ...] | float | tuple[float, ...]"
"""A label; all labels of a text, each once; a number; or, if a text has several numbers, all of them."""

Cell: TypeAlias = "Value | None"
"""A value of the label column; None if the record lacks it."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_REMEDY = "Fix or remove this record."
_NO_LABEL = frozenset({"nan", "<na>", "nat"})
"""Texts, in lower case, that pandas writes for a missing label."""


def label_of(value: Cell, place: str, columns: Columns) -> Label:
    """Return the label of a record.

    Args:
        value: value of the label column; None if the record lacks it.
        place: place of the record, for messages.
        columns: names of the columns, and the kind of the labels.

    Raises:
        Unlabelled: the value is missing.
        DatasetError: the value is not of that kind.
    """
    if columns.task == MULTI_LABEL:
        return _several(value, place, columns)
    if columns.task == REGRESSION:
        return _number_of(value, place, columns)
    _refuse_nested(value, place, columns)
    spelled = text_of(value, place, columns.label)
    if not spelled or not spelled.strip():
        raise Unlabelled(f"{place}: the column {columns.label!r} has no value. {_REMEDY}")
    if _is_nan(spelled):
        raise Unlabelled(
            f"{place}: the column {columns.label!r} holds {spelled!r}, as pandas writes a missing label. {_REMEDY}"
        )
    return spelled


def _is_nan(spelled: str) -> bool:
    return spelled.strip().lower() in _NO_LABEL


def is_list(value: Cell) -> bool:
    """Return whether a value is a list of JSON or Parquet.

    >>> is_list(JsonValue("[]", [])), is_list("[]"), is_list(JsonValue("null", None))
    (True, False, False)
    """
    return value is not None and not isinstance(value, str) and not value.is_text and value.source.startswith("[")


def _is_record(value: Cell) -> bool:
    """Return whether a value is a map or record of JSON or Parquet."""
    return value is not None and not isinstance(value, str) and not value.is_text and value.source.startswith("{")


def _refuse_nested(value: Cell, place: str, columns: Columns) -> None:
    """Raise `DatasetError` if a value is a list, map or record."""
    if not is_list(value) and not _is_record(value):
        return
    advice = f"Name another column with {LABEL_OPTION}, or fix this one" + (
        f"; for lists of labels, give --task {MULTI_LABEL}." if is_list(value) else "."
    )
    raise DatasetError(
        f"{place}: the column {columns.label!r} holds {_json(value)}; a label is one value, not a list, map or record. "
        f"{_REMEDY if columns.fixed else advice}"
    )


def _json(value: Cell) -> str:
    """Return a list, map or record as JSON, for messages."""
    return "" if value is None or isinstance(value, str) else _shortened(value.source)


def _several(value: Cell, place: str, columns: Columns) -> tuple[str, ...]:
    """Return the labels of a text, each once, in the order of the record."""
    if _is_record(value):
        _refuse_nested(value, place, columns)
    if plain(value) is None:
        empty = "[]" if columns.separator is None else "an empty text or []"
        raise Unlabelled(
            f"{place}: the column {columns.label!r} has no value. Write {empty} for a text without labels, or fix or remove "
            "this record."
        )
    if is_list(value):
        found = _elements(value, place, columns)
    else:
        spelled = text_of(value, place, columns.label) or ""
        if columns.separator is None:
            separator = "" if columns.fixed else f", or name the character between labels with {SEPARATOR_OPTION}"
            raise DatasetError(
                f"{place}: the column {columns.label!r} holds {_shortened(spelled)!r}, which is no list of labels. Give a list"
                f"{separator}."
            )
        found = _split(spelled, columns.separator)
    for label in found:
        if not label or not label.isprintable():
            raise DatasetError(
                f"{place}: the column {columns.label!r} has a label that is empty or cannot be printed: {label!r}. {_REMEDY}"
            )
    return tuple(dict.fromkeys(found))


def _split(spelled: str | None, separator: str | None) -> list[str]:
    r"""Return the parts of a text between separators, which a backslash escapes, as `score` writes labels to CSV.

    >>> _split(r"late | damaged\|wet", "|"), _split(" ", "|"), _split("1.5", None)
    (['late', 'damaged|wet'], [], ['1.5'])
    """
    if spelled is None or not spelled.strip():
        return []
    return [part.strip() for part in (split_labels(spelled, separator) if separator else [spelled])]


def _elements(value: Cell, place: str, columns: Columns) -> list[str]:
    """Return the elements of a list as text.

    Raises:
        DatasetError: an element is missing, or is not a single value.
    """
    found = [_text(one, place, columns) for one in _items(value)]
    if None in found:
        raise DatasetError(
            f"{place}: the column {columns.label!r} holds {_json(value)}; each element of a list is one value. "
            f"{_REMEDY}"
        )
    return [one.strip() for one in found if one is not None]


def _items(value: Cell) -> Sequence[Cell]:
    """Return the elements of a list."""
    if isinstance(value, JsonValue):
        each = json.loads(value.source, parse_int=_Token, parse_float=_Token, parse_constant=_Token)
        return [JsonValue(one if isinstance(one, _Token) else json.dumps(one), one) for one in each]
    from scorer.rows.arrow_value import ArrowValue

    assert isinstance(value, ArrowValue), "CSV cells hold text"
    array = value.array[value.index].values
    return [ArrowValue(array, at) for at in range(len(array))]


class _Token(str):
    """A number of JSON as written."""


def _text(value: Cell, place: str, columns: Columns) -> str | None:
    """Return an element of a list as text; None if it is missing, or a list, map or record."""
    return None if is_list(value) or _is_record(value) else text_of(value, place, columns.label)


def _number_of(value: Cell, place: str, columns: Columns) -> float | tuple[float, ...]:
    """Return the number of a text, or all of its numbers.

    Raises:
        DatasetError: it has another number of numbers, or one that is missing, not finite, or no number.
    """
    if _is_record(value):
        _refuse_nested(value, place, columns)
    if columns.outputs > 1:
        found = _items(value) if is_list(value) else _split(plain(value), columns.separator)
        if len(found) != columns.outputs:
            raise DatasetError(
                f"{place}: the column {columns.label!r} holds {_shortened(plain(value) or 'no value')}; a list of "
                f"{columns.outputs} numbers is needed. {_REMEDY}"
            )
        return tuple(_number(one, place, columns) for one in found)
    if is_list(value):
        raise DatasetError(
            f"{place}: the column {columns.label!r} holds {_json(value)}; a number is needed, not a list. "
            f"Name another column with {LABEL_OPTION}, or fix this one."
        )
    return _number(value, place, columns)


def _number(value: Cell, place: str, columns: Columns) -> float:
    is_text = value is not None and not isinstance(value, str) and value.is_text
    spelled = text_of(value, place, columns.label) if is_text else plain(value)
    if spelled is None or not spelled.strip():
        raise Unlabelled(f"{place}: the column {columns.label!r} has no value. {_REMEDY}")
    number = float(spelled) if _NUMBER.fullmatch(spelled.strip()) else math.nan
    if not math.isfinite(number):
        problem = "not a number" if math.isnan(number) else "too large"
        if "," in spelled and _NUMBER.fullmatch(spelled.strip().replace(",", ".")):
            problem += " (write a decimal point, not a comma)"
        error = Unlabelled if _is_nan(spelled) else DatasetError
        raise error(
            f"{place}: the column {columns.label!r} holds {_shortened(spelled)!r}, which is {problem}. {_REMEDY}"
        )
    return number


def text_of(value: Cell, place: str, column: str) -> str | None:
    """Convert a label or group to text; bytes are decoded, as they are in the text column.

    Raises:
        DatasetError: the bytes are not UTF-8.
    """
    if value is None or isinstance(value, str) or not value.is_text:
        return single(value)
    try:
        return None if value.value is None else str(value.value)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{place}: the column {column!r} holds bytes that are not UTF-8: {error.reason}.") from error


def single(value: Cell) -> str | None:
    """Convert a value to the text of a CSV cell; None for NaN, which some tools write for a missing value."""
    spelled = plain(value)
    is_nan = spelled == "NaN" and value is not None and not isinstance(value, str) and not value.is_text
    return None if is_nan else spelled


def _shortened(source: str, most: int = 60) -> str:
    return source if len(source) <= most else f"{source[:most]}..."
