"""Sets of texts that belong together: equal ones, near duplicates, and texts of one thread or product.

If one of a set is trained on, another one is no test. Near duplicates are found by MinHash (Broder 1997) over pairs of
neighbouring words, with bands (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4): the time grows
with the number of texts, not with its square.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scorer.base.text import text_digest

LEAST_ALIKE = 0.7
"""Share of two texts' pairs of neighbouring words that near duplicates have in common, as MinHash estimates it."""

_HASHES = 128
_BAND = 4  # hashes that have to be equal for two texts to be compared; all bands miss one pair of 0.7 in 5,000
_NEAREST = 4  # texts of a band that each is compared with, so that a thousand copies are not compared with each other

# Chinese and Japanese have no spaces, so each character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_MIX = np.uint64(0x9E3779B97F4A7C15)
# Constants from a hash, since the random numbers of numpy may change with its version.
_MASKS, _FACTORS = (
    np.frombuffer(b"".join(text_digest(f"{what} {number}", 4) for number in range(_HASHES)), "<u4").reshape(-1, 1)
    for what in ("mask", "factor")
)
_FACTORS = _FACTORS | np.uint32(1)


def sets_of(texts: Sequence[str], origins: Sequence[str] = ()) -> np.ndarray:
    """Return the number of each text's set, int64 (texts,), in an order that looks random but follows from the texts.

    Texts are equal if their words are, whatever their case and punctuation.

    Args:
        texts: texts in any order, on which their sets do not depend.
        origins: thread or product of each text, empty for a text without one; or nothing.

    >>> sets_of(["Good!", "a bad film", "good", "very bad"], ["", "a", "", "a"]).tolist() in ([0, 1, 0, 1], [1, 0, 1, 0])
    True
    """
    numbers = _Numbers()
    words = [numbers.of(text) for text in texts]
    digests = np.array([_digest(text, some) for text, some in zip(texts, words, strict=True)], dtype=np.uint64)
    distinct, first, of_text = np.unique(digests, return_index=True, return_inverse=True)
    edges = [_near([words[row] for row in first])]
    named = np.array([bool(origin.strip()) for origin in origins], dtype=bool)
    if named.any():
        _, of_origin = np.unique(np.array(origins, dtype=object)[named].astype(str), return_inverse=True)
        edges.append(np.stack([of_text[np.flatnonzero(named)], len(distinct) + of_origin.reshape(-1)]))
    ends = np.concatenate(edges, axis=1)
    count = int(max(len(distinct), ends.max(initial=-1) + 1))
    _, found = connected_components(
        coo_array((np.ones(ends.shape[1], bool), tuple(ends)), (count, count)), directed=False
    )
    _, least = np.unique(found[: len(distinct)], return_index=True)  # digests are sorted, so the first is the smallest
    order = np.empty(len(least), dtype=np.int64)
    order[np.argsort(least)] = np.arange(len(least))
    _, numbered = np.unique(found[: len(distinct)], return_inverse=True)
    return order[numbered][of_text.reshape(-1)]


class _Numbers(dict[str, int]):
    """Hashes of the words met so far, the same in every process."""

    def __missing__(self, word: str) -> int:
        self[word] = number = int.from_bytes(text_digest(word, 8), "little")
        return number

    def of(self, text: str) -> np.ndarray:
        """Return the hashes of a text's words, uint64 (words,)."""
        found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
        return np.fromiter(map(self.__getitem__, found), np.uint64, len(found))


def _digest(text: str, words: np.ndarray) -> int:
    """Return a hash of a text's words, or of the text itself if it has none."""
    name = words.tobytes().hex() if len(words) else " ".join(text.split())
    return int.from_bytes(text_digest(name, 8), "little")


def _near(words: Sequence[np.ndarray]) -> np.ndarray:
    """Return pairs of near duplicates that link each to the others, by number, int64 (2, pairs).

    Args:
        words: hashes of the words of different texts, uint64 (words,) each. A text of one word has no near duplicate.
    """
    pairs = [_pairs(some) for some in words]
    rows = np.flatnonzero([len(some) > 0 for some in pairs])
    none = np.empty((2, 0), dtype=np.int64)
    if len(rows) < 2:
        return none
    signatures = np.stack([_signature(pairs[row]) for row in rows])
    found = [none]
    for begin in range(0, _HASHES, _BAND):
        found += _candidates(signatures[:, begin : begin + _BAND])
    one, other = np.unique(np.concatenate(found, axis=1), axis=1)
    alike = [
        (signatures[one[at : at + 4096]] == signatures[other[at : at + 4096]]).mean(axis=1) >= LEAST_ALIKE
        for at in range(0, len(one), 4096)
    ]
    kept = np.concatenate([np.zeros(0, bool), *alike])
    return np.stack([rows[one[kept]], rows[other[kept]]])


def _pairs(words: np.ndarray) -> np.ndarray:
    """Return a hash of each pair of neighbouring words, uint32 (pairs,)."""
    return ((words[:-1] * _MIX ^ words[1:]) * _MIX >> np.uint64(32)).astype(np.uint32)


def _signature(pairs: np.ndarray) -> np.ndarray:
    """Return the MinHash of a text's pairs of words, uint32 (hashes,): two texts share about as much of it as of them."""
    hashes = pairs ^ _MASKS
    hashes *= _FACTORS
    return hashes.min(axis=1)


def _candidates(band: np.ndarray) -> list[np.ndarray]:
    """Return the pairs of texts to compare, the smaller number first, int64 (2, pairs) each.

    Args:
        band: some hashes of every text, uint32 (texts, hashes).
    """
    keys = np.zeros(len(band), dtype=np.uint64)
    for column in band.T:
        keys = keys * _MIX ^ column
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    found = []
    for step in range(1, _NEAREST + 1):
        at = np.flatnonzero(ranked[step:] == ranked[:-step])
        found.append(np.stack([order[at], order[at + step]]))  # stable, so the smaller number comes first
    return found
