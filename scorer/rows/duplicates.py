"""Duplicate texts, found in memory of a fixed size."""

from array import array

from scorer.base.text import text_digest

_SLOTS = 1 << 20
_PROBES = 64


class Duplicates:
    """A set of texts, remembered by 64 bits of their hash, in 8 MB for any number of texts.

    It is exact for some 700,000 different texts; the chance of two equal hashes among a million is one in 37 million.
    With more texts, hashes that share a neighbourhood overwrite each other, and some duplicates go unnoticed.

    >>> seen = Duplicates()
    >>> [seen.add(text) for text in ("a", "b", "a")]
    [False, False, True]
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        self._slots = slots
        self._hashes = array("Q", [0]) * slots  # 0 is an empty slot

    def add(self, text: str) -> bool:
        """Remember a text, and return whether it was seen before."""
        key = int.from_bytes(text_digest(text, 8), "little") or 1
        first = key % self._slots
        for at in range(first, first + _PROBES):
            found = self._hashes[at % self._slots]
            if found == key:
                return True
            if not found:
                self._hashes[at % self._slots] = key
                return False
        self._hashes[(first + key // self._slots % _PROBES) % self._slots] = key
        return False
