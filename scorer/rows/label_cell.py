"""Several labels in one cell of a text format: joined by ``|``, with ``|`` and backslash escaped by a backslash."""

import re
from collections.abc import Iterable

_SPECIAL = re.compile(r"[|\\]")


def join_labels(labels: Iterable[str]) -> str:
    r"""Return labels as one text; empty for no label.

    >>> join_labels(["late", "wrong|damaged"])
    'late|wrong\\|damaged'
    """
    return "|".join(_SPECIAL.sub(lambda found: f"\\{found[0]}", label) for label in labels)


def split_labels(text: str, separator: str = "|") -> list[str]:
    r"""Return the labels between separators, which a backslash escapes, as it does itself; any other one is literal.

    >>> split_labels(r"late|wrong\|damaged"), split_labels(""), split_labels(r"a\;b;c\d", ";")
    (['late', 'wrong|damaged'], [], ['a;b', 'c\\d'])
    """
    if not text:
        return []
    found, label, at = [], "", 0
    while at < len(text):
        here, following = text[at], text[at + 1 : at + 2]
        if here == "\\" and following in ("\\", separator):
            label += following
            at += 2
            continue
        if here == separator:
            found.append(label)
            label = ""
        else:
            label += here
        at += 1
    return [*found, label]
