"""Which tokens of a long text the encoder reads, where more are given than it takes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cut:
    """The first ``head`` and the last ``length - head`` tokens of a text that has more than ``length``.

    The first token and the last are special ones ([CLS], [SEP]), so ``head = length - 1`` is the beginning of the text,
    ended by [SEP], and ``head = 1`` is its end, begun by [CLS].

    Attributes:
        length: tokens that the encoder reads at most, special tokens included.
        head: of them from the beginning, 1 to length - 1.
    """

    length: int
    head: int

    def apply(self, ids: np.ndarray) -> np.ndarray:
        """(sequence,) -> (at most length,)

        >>> Cut(4, 3).apply(np.arange(9)).tolist(), Cut(4, 1).apply(np.arange(9)).tolist()
        ([0, 1, 2, 8], [0, 6, 7, 8])
        """
        if len(ids) <= self.length:
            return ids
        return np.concatenate([ids[: self.head], ids[len(ids) - (self.length - self.head) :]])


def cut_of(truncation: str, length: int) -> Cut:
    """The cut of a name in `scorer.model.manifest.TRUNCATIONS`.

    ``head+tail`` is a quarter from the beginning and the rest from the end: Sun et al. 2019, "How to Fine-Tune BERT
    for Text Classification?", section 5.3.1, take 128 and 382 of 510 tokens.

    >>> cut_of("head+tail", 400)
    Cut(length=400, head=100)
    """
    head = {"head": length - 1, "tail": 1, "head+tail": max(1, length // 4)}[truncation]
    return Cut(length, head)
