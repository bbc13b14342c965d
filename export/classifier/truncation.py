"""Selection of the tokens that the encoder reads of a text that is too long for it."""

from dataclasses import dataclass

import numpy as np

from scorer.base.errors import UsageError


@dataclass(frozen=True)
class Cut:
    """A cut of texts with more than ``length`` tokens to their first ``head`` and last ``length - head``.

    The first and the last token are special ([CLS] and [SEP]). So ``head = length - 1`` keeps the beginning of the text
    before [SEP], and ``head = 1`` keeps its end after [CLS].

    Attributes:
        length: largest number of tokens that the encoder reads, special tokens included.
        head: number of tokens taken from the beginning, 1 to length - 1.
    """

    length: int
    head: int

    def apply(self, ids: np.ndarray) -> np.ndarray:
        """Cut token ids: (sequence,) -> (at most length,)

        >>> Cut(4, 3).apply(np.arange(9)).tolist(), Cut(4, 1).apply(np.arange(9)).tolist()
        ([0, 1, 2, 8], [0, 6, 7, 8])
        """
        if len(ids) <= self.length:
            return ids
        return np.concatenate([ids[: self.head], ids[len(ids) - (self.length - self.head) :]])


def cut_of(truncation: str, length: int) -> Cut:
    """Return the cut that a name in `scorer.model.manifest.TRUNCATIONS` stands for.

    ``head+tail`` takes a quarter from the beginning and the rest from the end. Sun et al. 2019, "How to Fine-Tune BERT
    for Text Classification?", section 5.3.1, take 128 and 382 of 510 tokens.

    >>> cut_of("head+tail", 400)
    Cut(length=400, head=100)
    """
    head = {"head": length - 1, "tail": 1, "head+tail": max(1, length // 4)}[truncation]
    return Cut(length, head)


def checked_cut(truncation: str, length: int, *, kept: int, special_tokens: int, name: str) -> Cut | None:
    """Return the cut of long texts; None if the tokenizer keeps no more tokens than the encoder reads.

    Args:
        truncation: one of `scorer.model.manifest.TRUNCATIONS`.
        length: largest number of tokens that the encoder reads.
        kept: largest number of tokens that the tokenizer keeps of a text.
        special_tokens: number of special tokens that it adds to a text.
        name: name of the encoder, for messages.

    Raises:
        UsageError: the tokenizer does not add one token before a text and one after it.
    """
    if kept == length:
        return None
    if special_tokens != 2:
        raise UsageError(
            f"the tokenizer of {name!r} adds {special_tokens} special tokens to a text, not one before and one after it, "
            f"so texts cannot be cut: give --max-tokens {length}, the same as --max-length."
        )
    return cut_of(truncation, length)
