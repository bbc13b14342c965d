"""Texts of a page as spans that are shaded by what their words add to a label."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from scorer.model.explanation import Contribution
from scorer.model.offsets import Characters

# Least amount that can get the strongest shade: it moves a probability of 0.5 by some 0.06.
_STRONG = 0.25
# Share of the strongest shade below which a span gets none.
_FAINT = 0.08


class Span(NamedTuple):
    """Part of a text.

    Attributes:
        text: the part.
        amount: amount that its words add.
        strength: size of the amount from 0 (none) to 1 (the largest of the text).
    """

    text: str
    amount: float = 0.0
    strength: float = 0.0


def spans(text: str, words: Sequence[Contribution]) -> list[Span]:
    """Divide a text where amounts change.

    The places of a word share its amount, and the characters of a pair of words share that of the pair. So the amounts of
    all spans add up to those of the words.

    >>> good = Contribution("good", (Characters(4, 8), Characters(9, 13)), 1.0)
    >>> found = spans("not good good", [good, Contribution("not good", (Characters(0, 8),), -0.75)])
    >>> [(span.text, span.amount, span.strength) for span in found]
    [('not ', -0.375, 0.75), ('good', 0.125, 0.25), (' ', 0.0, 0.0), ('good', 0.5, 1.0)]
    """
    edges = sorted({0, len(text), *(edge for word in words for place in word.places for edge in place)})
    parts = [Characters(begin, end) for begin, end in pairwise(edges)]
    amounts = dict.fromkeys(parts, 0.0)
    starts = {part.begin: number for number, part in enumerate(parts)}
    for word in words:
        for place in word.places:
            for part in _within(parts, starts[place.begin], place.end):
                share = (part.end - part.begin) / (place.end - place.begin) / len(word.places)
                amounts[part] += word.amount * share
    largest = max([_STRONG, *map(abs, amounts.values())])
    return [Span(text[part.begin : part.end], amount, _strength(amount / largest)) for part, amount in amounts.items()]


def _within(parts: Sequence[Characters], first: int, end: int) -> Iterable[Characters]:
    """Yield the parts from a number up to the characters' end."""
    while first < len(parts) and parts[first].begin < end:
        yield parts[first]
        first += 1


def _strength(share: float) -> float:
    return round(abs(share), 2) if abs(share) >= _FAINT else 0.0


def within(found: Iterable[Span], place: Characters) -> list[Span]:
    """Return the part of spans that a range of the text's characters holds; a span that is cut keeps its amount.

    >>> within([Span("not ", -0.5), Span("good")], Characters(2, 6))
    [Span(text='t ', amount=-0.5, strength=0.0), Span(text='go', amount=0.0, strength=0.0)]
    """
    parts, begin = [], 0
    for span in found:
        shown = span.text[max(0, place.begin - begin) : max(0, place.end - begin)]
        begin += len(span.text)
        if shown:
            parts.append(span._replace(text=shown))
    return parts
