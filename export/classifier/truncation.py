"""The reading of a text that is too long for the encoder: some of its tokens, or all of them in windows."""

from dataclasses import dataclass

import numpy as np

from scorer.base.errors import UsageError
from scorer.engine.windows import Windows
from scorer.model.manifest import WINDOWS, WindowSettings
from scorer.model.tokenizer import Tokenizer
from scorer.model.windows import windows_around


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


Reading = Cut | Windows | None
"""Reading of longer texts: a cut, windows, or None if the tokenizer keeps no more tokens than the encoder reads."""


def checked_reading(
    truncation: str, length: int, windows: WindowSettings | None, *, tokenizer: Tokenizer, name: str
) -> Reading:
    """Return the reading of long texts.

    Args:
        truncation: one of `scorer.model.manifest.TRUNCATIONS`.
        length: largest number of tokens that the encoder reads.
        windows: windows, for the truncation that reads in windows.
        tokenizer: tokenizer that keeps as many tokens as will be read.
        name: name of the encoder, for messages.

    Raises:
        UsageError: the special tokens of the tokenizer do not allow it.
    """
    if truncation == WINDOWS:
        assert windows is not None, "the settings have been checked"
        try:
            return windows_around(tokenizer, length, windows.stride, windows.combination)
        except ValueError as error:
            raise UsageError(
                f"--max-length and --window-stride do not fit the tokenizer of {name!r}: {error}."
            ) from error
    if tokenizer.max_length == length:
        return None
    before, after = tokenizer.special_places
    if (before, after) != (1, 1):
        without = f"--max-tokens {length}, the same as --max-length" if truncation == "head" else "--truncation head"
        raise UsageError(
            f"the tokenizer of {name!r} adds {before} special tokens before a text and {after} after it, not one each, so texts "
            f"cannot be cut: give --truncation {WINDOWS}, or {without}."
        )
    return cut_of(truncation, length)
