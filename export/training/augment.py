"""Versions of training texts: crops, so that short texts are known, and typing errors, so that they matter less."""

import re
from collections.abc import Sequence

import numpy as np

# Numbers of words of a crop. Longer texts are cropped.
_LEAST, _MOST = 10, 60
# Number of words of a stretch, which stands for a long text in a short epoch: about 128 tokens of English.
_STRETCH = 96
_SHARE_WITH_TYPOS = 0.15  # of the texts
_TYPOS = 0.08  # of their words of at least `_LEAST_LETTERS` letters
_LEAST_LETTERS = 4

_TAG = re.compile(r"<[^<>]{1,200}>")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def crop(text: str, random: np.random.Generator) -> str | None:
    """Return 10 to 60 words in a row of a text, without markup; None if the text has no more than 60.

    >>> crop("good " * 60, np.random.default_rng(0)) is None, len(crop("good " * 61, np.random.default_rng(0)).split())
    (True, 53)
    """
    words = _words(text)
    if len(words) <= _MOST:
        return None
    return _run(words, int(random.integers(_LEAST, _MOST + 1)), random)


def stretch(text: str, random: np.random.Generator) -> str | None:
    """Return 96 words in a row of a text, without markup; None if the text has no more.

    >>> stretch("good " * 96, np.random.default_rng(0)) is None, len(stretch("good " * 97, np.random.default_rng(0)).split())
    (True, 96)
    """
    words = _words(text)
    return None if len(words) <= _STRETCH else _run(words, _STRETCH, random)


def with_typos(text: str, random: np.random.Generator) -> str:
    """Return a text with errors in about 8% of its longer words: a letter swapped, missing, doubled or replaced.

    >>> with_typos("it was wonderful and thoughtful throughout", np.random.default_rng(9))
    'it was wonderful and thoughtful throughout'
    """
    words = text.split(" ")
    for number in np.flatnonzero(random.random(len(words)) < _TYPOS).tolist():
        if sum(map(str.isalpha, words[number])) >= _LEAST_LETTERS:
            words[number] = _with_typo(words[number], random)
    return " ".join(words)


def some_with_typos(count: int, random: np.random.Generator) -> np.ndarray:
    """Return the numbers of the texts, of ``count``, that get typing errors, int64 (texts,)."""
    return np.flatnonzero(random.random(count) < _SHARE_WITH_TYPOS)


def _with_typo(word: str, random: np.random.Generator) -> str:
    place, kind = int(random.integers(len(word) - 1)), int(random.integers(4))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    if kind == 0:
        return before + after[0] + letter + after[1:]
    if kind == 1:
        return before + after
    if kind == 2:
        return before + letter + letter + after
    return before + _LETTERS[int(random.integers(len(_LETTERS)))] + after


def _words(text: str) -> list[str]:
    return _TAG.sub(" ", text).split()


def _run(words: Sequence[str], count: int, random: np.random.Generator) -> str:
    start = int(random.integers(len(words) - count + 1))
    return " ".join(words[start : start + count])
