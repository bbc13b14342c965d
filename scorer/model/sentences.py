"""Sentences of a text, by a simple rule for any language: few, whole, and one after the other."""

import re
from collections.abc import Sequence

from scorer.model.offsets import Characters

MOST = 20
"""Largest number of sentences of a text; neighbours are merged beyond it."""

_LEAST = 100  # characters of a piece of a text without a sentence's end

# One mark is enough, and blanks before a line's end belong to it: each character is then tried once.
_END = re.compile(
    r"""[.!?\u2026]["'\u201d\u2019\u00bb)\]]*\s+"""
    r"|[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09]*\s*"
    r"|[\n\r]\s*"
)
_BLANKS = re.compile(r"\s+")


def sentences_of(text: str, most: int = MOST) -> list[Characters]:
    """Divide a text into sentences, which together are the whole text.

    A sentence ends after ``. ! ?`` or an ellipsis that a blank follows, after their Chinese forms, and at the end of a line. A text
    without such an end is cut at blanks, into pieces of at least 100 characters. If there are more than ``most``,
    neighbours are merged, so that all have about the same length.

    >>> text = 'Fine. "Really?" Yes, 3.5 stars!\\nBuy it'
    >>> [text[begin:end] for begin, end in sentences_of(text)]
    ['Fine. ', '"Really?" ', 'Yes, 3.5 stars!\\n', 'Buy it']
    >>> [end - begin for begin, end in sentences_of("word " * 100)], sentences_of("  ")
    ([100, 100, 100, 100, 100], [])
    """
    if not text.strip():
        return []
    found = _between(text, [end.end() for end in _END.finditer(text)])
    if len(found) > 1:
        return _merged(found, most, len(text))
    return _merged(
        _between(text, [blanks.end() for blanks in _BLANKS.finditer(text)]), min(most, len(text) // _LEAST), len(text)
    )


def without(text: str, sentence: Characters) -> str:
    """Return a text without one of its sentences.

    >>> without("One. Two. Three.", Characters(5, 10))
    'One. Three.'
    """
    return text[: sentence.begin] + text[sentence.end :]


def _between(text: str, ends: Sequence[int]) -> list[Characters]:
    """Return the ranges between places of a text; blanks before a range's first other character belong to it."""
    found, begin = [], 0
    for end in (*ends, len(text)):
        if text[begin:end].strip():
            found.append(Characters(begin, end))
            begin = end
    last = found.pop()
    return [*found, Characters(last.begin, len(text))]


def _merged(ranges: Sequence[Characters], most: int, length: int) -> list[Characters]:
    """Merge neighbours into at most ``most`` ranges, at least one, by the part of the text in which each begins."""
    parts: dict[int, Characters] = {}
    for one in ranges:
        part = one.begin * max(1, most) // length if len(ranges) > most else one.begin
        parts[part] = Characters(parts[part].begin, one.end) if part in parts else one
    return list(parts.values())
