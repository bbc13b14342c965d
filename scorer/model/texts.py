"""Texts that callers from Python give: lists, arrays and columns of tables; what `score` would reject is refused."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

_POSITIONS_SHOWN = 5
_LONGEST_SHOWN = 40


def texts_of(given: Iterable[str]) -> list[str]:
    """Plain texts of a list, a numpy array, a Series, a column of a data set or an Arrow array, in order.

    Args:
        given: one dimension of texts. Tables are recognised by what they offer, without importing their libraries.

    Raises:
        TypeError: it is a single text, a table or no sequence at all, or one of its values is no text.
        ValueError: a text is blank, or holds what cannot be encoded as UTF-8.
    """
    if isinstance(given, str | bytes):  # a string is a sequence of strings, too: each letter would be scored
        raise TypeError("score() takes a list of texts; put a single one into a list.")
    if _is_table(given):
        raise TypeError(
            f"score() takes a list of texts, not {_kind(given)}, which has columns or dimensions of its own; "
            'pass the column that holds the texts, as in score(df["text"]).'
        )
    if isinstance(given, Set) or not isinstance(given, Iterable):
        raise TypeError(f"score() takes a list of texts, not {_kind(given)}; give the texts in an order.")
    values: list[Any] = given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # Arrow's own are no str
    _refuse(
        values,
        lambda value: not isinstance(value, str),
        TypeError,
        "no text but {shown}",
        "give each as a str, or leave it out: score rejects such rows as not_text, empty_text or missing_text",
    )
    _refuse(
        values,
        lambda text: not text.strip(),
        ValueError,
        "blank",
        "leave them out, as score does, which rejects such rows as empty_text",
    )
    _refuse(
        values,
        _has_half_a_pair,
        ValueError,
        "no valid text: {shown} holds half of a surrogate pair",
        "read them as UTF-8",
    )
    return [str.__str__(text) for text in values]  # numpy's and others' kinds of str become plain ones


def refuse_empty(texts: Sequence[str], empty: Sequence[bool]) -> None:
    """Raise `ValueError` if the tokenizer leaves nothing of some texts.

    Args:
        texts: texts of `texts_of`.
        empty: of each, whether it has no token, as `scorer.model.tokenizer.Tokens` has it.
    """
    _refuse(
        [text if one else None for text, one in zip(texts, empty, strict=True)],
        lambda text: text is not None,
        ValueError,
        "{shown}, of which the tokenizer leaves nothing",
        "leave them out, as score does, which rejects such rows as empty_text",
    )


def _is_table(given: Any) -> bool:
    # Asked of the class: to compute the names of a lazy frame may mean to run its query.
    names = any(hasattr(type(given), attribute) for attribute in ("columns", "column_names", "__dataframe__"))
    return names or isinstance(given, Mapping) or getattr(given, "ndim", 1) != 1


def _kind(given: Any) -> str:
    return f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}".removeprefix("builtins.")


def _refuse(values: list[Any], wrong: Callable[[Any], bool], error: type[Exception], problem: str, advice: str) -> None:
    """Raise ``error`` if some values are ``wrong``, with the positions of the first of them.

    >>> _refuse(["a", " "], str.isspace, ValueError, "blank", "leave them out")
    Traceback (most recent call last):
    ValueError: position 1 (counted from 0) is blank; leave them out.
    """
    found = [position for position, value in enumerate(values) if wrong(value)]
    if not found:
        return
    first = repr(values[found[0]])
    shown = f"{first if len(first) <= _LONGEST_SHOWN else first[:_LONGEST_SHOWN] + '...'} ({_kind(values[found[0]])})"
    said = f"position {found[0]} (counted from 0) is {problem.format(shown=shown)}"
    if len(found) > 1:
        more = ", ".join(map(str, found[1:_POSITIONS_SHOWN])) + (", ..." if len(found) > _POSITIONS_SHOWN else "")
        said += f" (and {len(found) - 1} more: {more})"
    raise error(f"{said}; {advice}.")


def _has_half_a_pair(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
