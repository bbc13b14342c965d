"""Several labels in one cell of a text format: joined by ``|``, with ``|`` and backslash escaped by a backslash."""

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r"[|\\]")
_PIECE = re.compile(r"(?:[^|\\]|\\.)*", re.DOTALL)


def join_labels(labels: Iterable[str]) -> str:
    r"""Return labels as one text; empty for no label.

    >>> join_labels(["late", "wrong|damaged"])
    'late|wrong\\|damaged'
    """
    return "|".join(_SPECIAL.sub(lambda found: f"\\{found[0]}", label) for label in labels)


def split_labels(text: str) -> list[str]:
    r"""Return the labels that `join_labels` joined.

    Raises:
        ValueError: the text ends within an escape.

    >>> split_labels("late|wrong\\|damaged"), split_labels("")
    (['late', 'wrong|damaged'], [])
    """
    if not text:
        return []
    found, start = [], 0
    while True:
        piece = _PIECE.match(text, start)
        assert piece is not None, "the empty text matches"
        found.append(re.sub(r"\\(.)", r"\1", piece[0], flags=re.DOTALL))
        if piece.end() == len(text):
            return found
        if text[piece.end()] != "|":
            raise ValueError(f"{text!r} ends within an escape")
        start = piece.end() + 1
