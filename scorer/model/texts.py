"""Texts from Python callers: lists, arrays and columns of tables; texts that `score` would reject raise errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, Protocol

_POSITIONS_SHOWN = 5
_LONGEST_SHOWN = 40
_LEAVE_OUT = 'leave such texts out, or pass on_error="null" for results without a score'


class ArrowArray(Protocol):
    """Array of Arrow, whose elements are no texts until it is a list."""

    def to_pylist(self) -> list[Any]: ...


def texts_of(given: Iterable[str] | ArrowArray) -> list[str]:
    """Return the texts of a list, a numpy array, a Series, a column of a dataset or an Arrow array, in order.

    Args:
        given: texts in one dimension. Tables are recognised by their attributes, without importing their libraries.

    Raises:
        TypeError: ``given`` is a single text, a table or not a sequence at all, or one of its values is not text.
        ValueError: a text is blank, or cannot be encoded as UTF-8.
    """
    values = _values_of(given)
    _refuse(
        values,
        lambda value: not isinstance(value, str),
        TypeError,
        "{shown}, not text",
        f"pass each text as a str; {_LEAVE_OUT}",
    )
    _refuse(values, lambda text: not text.strip(), ValueError, "blank", _LEAVE_OUT)
    _refuse(
        values,
        _has_half_a_pair,
        ValueError,
        "not valid text: {shown} contains a lone surrogate",
        f"decode the texts as UTF-8; {_LEAVE_OUT}",
    )
    return [str.__str__(text) for text in values]  # subclasses of str, such as numpy's, become plain str


def texts_or_none(given: Iterable[str | None] | ArrowArray) -> list[str | None]:
    """Return the texts as `texts_of`, with None for each value that it would refuse.

    >>> texts_or_none(["good", None, " ", 5])
    ['good', None, None, None]

    Raises:
        TypeError: ``given`` is a single text, a table or not a sequence at all.
    """
    return [
        str.__str__(value) if isinstance(value, str) and value.strip() and not _has_half_a_pair(value) else None
        for value in _values_of(given)
    ]


def refuse_empty(texts: Sequence[str], empty: Sequence[bool]) -> None:
    """Raise `ValueError` if some texts have no tokens.

    Args:
        texts: texts from `texts_of`.
        empty: whether each text has no token, as in `scorer.model.tokenizer.Tokens`.
    """
    _refuse(
        [text if one else None for text, one in zip(texts, empty, strict=True)],
        lambda text: text is not None,
        ValueError,
        "{shown}, which has no tokens",
        _LEAVE_OUT,
    )


def _values_of(given: Any) -> list[Any]:
    """Return the values of a sequence or an array, whatever they are; see `texts_of`."""
    if isinstance(given, str | bytes):  # a string is also a sequence of strings: each letter would be scored
        raise TypeError("score() takes a list of texts; put a single text into a list.")
    if _is_table(given):
        raise TypeError(
            f"score() takes a list of texts, not {kind_of(given)}, which has columns or dimensions of its own; pass the column "
            'that holds the texts, as in score(df["text"]), or pass the table to score_table().'
        )
    if isinstance(given, Set) or not isinstance(given, Iterable):
        raise TypeError(f"score() takes a list of texts, not {kind_of(given)}; pass the texts in a list.")
    return given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # Arrow's scalars are not str


def _is_table(given: Any) -> bool:
    # The class is asked, because computing the names of a lazy frame may run its query.
    names = any(hasattr(type(given), attribute) for attribute in ("columns", "column_names", "schema", "__dataframe__"))
    return names or isinstance(given, Mapping) or getattr(given, "ndim", 1) != 1


def kind_of(given: object) -> str:
    """Return the library and the class of a value, for messages.

    >>> kind_of({}), kind_of(Mapping)
    ('dict', 'abc.ABCMeta')
    """
    return f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}".removeprefix("builtins.")


def _refuse(values: list[Any], wrong: Callable[[Any], bool], error: type[Exception], problem: str, advice: str) -> None:
    """Raise ``error`` with the first positions of the values that are ``wrong``, if any are.

    >>> _refuse(["a", " "], str.isspace, ValueError, "blank", "leave them out")
    Traceback (most recent call last):
    ValueError: position 1 (counted from 0) is blank; leave them out.
    """
    found = [position for position, value in enumerate(values) if wrong(value)]
    if not found:
        return
    first = repr(values[found[0]])
    shown = f"{first if len(first) <= _LONGEST_SHOWN else first[:_LONGEST_SHOWN] + '...'} ({kind_of(values[found[0]])})"
    message = f"position {found[0]} (counted from 0) is {problem.format(shown=shown)}"
    if len(found) > 1:
        more = ", ".join(map(str, found[1:_POSITIONS_SHOWN])) + (", ..." if len(found) > _POSITIONS_SHOWN else "")
        message += f" (and {len(found) - 1} more: {more})"
    raise error(f"{message}; {advice}.")


def _has_half_a_pair(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
