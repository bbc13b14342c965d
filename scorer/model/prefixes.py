"""Beginnings of long texts with the same first tokens as the whole, so that the rest is never tokenized."""

from collections.abc import Iterator
from typing import NamedTuple

from scorer.model.cutting import LONG_WORD, Cutting

# Tokens that must follow those that count after a cut at a place that `Cutting` names. None has to, but a few cost nothing.
_MARGIN = 8
# The same for a cut anywhere: the tokens of a torn piece, and of a torn added token.
_WIDE_MARGIN = 2 * LONG_WORD + _MARGIN


class Beginning(NamedTuple):
    """A beginning of a text, or several that differ in their ends.

    It may replace the whole text if all of them have the same tokens that count, and ``margin`` more follow.
    """

    texts: tuple[str, ...]
    margin: int


def beginnings(text: str, length: int, cutting: Cutting) -> Iterator[Beginning]:
    """Yield beginnings of a text, each longer than the one before, and finally the whole text with its runs shortened.

    Args:
        text: any text.
        length: least length of the first beginning, in characters; it may be twice as long, to end before a blank.
        cutting: cuts that the tokenizer allows.

    >>> import re
    >>> list(beginnings("a film of some length", 5, Cutting(re.compile(" "))))
    [Beginning(texts=('a film',), margin=8), Beginning(texts=('a film of some length',), margin=0)]
    """
    runs = cutting.runs
    if len(text) > length and (cut := cutting.place(text, length, 2 * length)):
        yield Beginning((text[:cut],), _MARGIN)
        length = 8 * cut
    if runs and len(text) > length:
        text = runs.sub(lambda run: "".join(group for group in run.groups() if group), text)
    near = cutting.anywhere or cutting.window > 0
    while 2 * length < len(text):
        cut = cutting.place(text, length, 2 * length if near else len(text))
        if cut:
            yield Beginning((text[:cut],), _MARGIN)
        elif cutting.anywhere:
            yield Beginning((text[: cutting.untorn(text, 2 * length)],), _WIDE_MARGIN)
        elif cuts := cutting.neighbours(text, length, 2 * length):
            yield Beginning(tuple(text[:end] for end in cuts), 1)
        length = 8 * (cut or length)
    yield Beginning((text,), 0)
