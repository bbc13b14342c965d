"""Windows of texts that are longer than the encoder reads, and the logits of a text from those of its windows.

Windows are rows like any other for an engine. Their logits are combined in float64, in order. So every provider,
precision and batch combines them alike, and PyTorch as well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

Combination = Literal["mean", "max"]
"""Way in which the logits of windows become a text's: their mean, or the largest logit of each label."""

COMBINATIONS: tuple[Combination, ...] = get_args(Combination)


@dataclass(frozen=True)
class Windows:
    """Rule that cuts the token ids of long texts into windows.

    The special tokens around a text are repeated around each window. Windows begin at every ``stride`` of the text's own
    tokens. The last one ends where the text ends, and is full. So a text of one token too many has two windows that differ
    in a token at each end.

    Attributes:
        length: largest number of tokens in a window, special tokens included.
        before, after: number of special tokens before and after a text.
        stride: number of tokens from the begin of a window to that of the next one.
        combination: way in which the logits of windows become a text's.

    Raises:
        ValueError: a window has no token of the text, or a token would lie between two windows.
    """

    length: int
    before: int
    after: int
    stride: int
    combination: Combination = "mean"

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(
                f"a window of {self.length} tokens has no room besides {self.before + self.after} special ones"
            )
        if not 1 <= self.stride <= self.width:
            raise ValueError(f"a window's stride must be between 1 and {self.width} tokens, not {self.stride}")

    @property
    def width(self) -> int:
        """Largest number of a text's own tokens in a window."""
        return self.length - self.before - self.after

    def reach(self, most: int) -> int:
        """Return the number of tokens that a number of windows covers, special tokens included.

        >>> Windows(10, 1, 1, 6).reach(3)
        22
        """
        return self.length + (most - 1) * self.stride

    def spans(self, own: int) -> list[tuple[int, int]]:
        """Return the begin and the end of each window of a text, in its own tokens.

        Args:
            own: number of the text's own tokens.

        >>> [Windows(10, 1, 1, 6).spans(own) for own in (5, 8, 9, 14, 15)]
        [[(0, 5)], [(0, 8)], [(0, 8), (1, 9)], [(0, 8), (6, 14)], [(0, 8), (6, 14), (7, 15)]]
        """
        last = max(0, own - self.width)
        return [(begin, min(own, begin + self.width)) for begin in (*range(0, last, self.stride), last)]

    def rows(self, ids: np.ndarray) -> list[np.ndarray]:
        """Cut a text's token ids, int64 (sequence,), into its windows, int64 (at most length,) each.

        >>> [row.tolist() for row in Windows(5, 1, 1, 2).rows(np.array([0, 1, 2, 3, 4, 5, 9]))]
        [[0, 1, 2, 3, 9], [0, 3, 4, 5, 9]]
        """
        if len(ids) <= self.length:
            return [ids]
        end = len(ids) - self.after
        first, own, last = ids[: self.before], ids[self.before : end], ids[end:]
        return [np.concatenate([first, own[begin:stop], last]) for begin, stop in self.spans(len(own))]

    def weights(self, tokens: int) -> tuple[float, ...]:
        """Return the weight of each window of a text: its own tokens, of which several windows share those that all of them have.

        So each token counts once, and the weights add up to the number of the text's own tokens.

        Args:
            tokens: number of the text's tokens, special tokens included.

        >>> Windows(10, 1, 1, 6).weights(16), Windows(10, 1, 1, 8).weights(13)
        ((7.0, 7.0), (5.5, 5.5))
        """
        return _weights(self, tokens - self.before - self.after)

    def tokens(self, tokens: int) -> int:
        """Return the number of tokens in all windows of a text, special tokens included.

        Args:
            tokens: number of the text's tokens, special tokens included.

        >>> Windows(10, 1, 1, 6).tokens(10), Windows(10, 1, 1, 6).tokens(11)
        (10, 20)
        """
        return tokens if tokens <= self.length else self.length * len(self.spans(tokens - self.before - self.after))

    def split(self, rows: Sequence[np.ndarray]) -> "Split":
        """Cut texts into windows.

        Args:
            rows: token ids of each text, (sequence,), at least one that is not special.
        """
        cut = [self.rows(ids) for ids in rows]
        return Split(
            [row for windows in cut for row in windows],
            np.array([len(windows) for windows in cut], dtype=np.int64),
            np.array([weight for ids in rows for weight in self.weights(len(ids))]),
            self.combination,
        )


@dataclass(frozen=True)
class Split:
    """Windows of texts, one text after the other.

    Attributes:
        rows: token ids of each window, int64 (sequence,).
        counts: number of windows of each text, int64 (texts,), at least 1.
        weights: weight of each window in a mean, float64 (windows,).
        combination: way in which the logits of windows become a text's.
    """

    rows: Sequence[np.ndarray]
    counts: np.ndarray
    weights: np.ndarray
    combination: Combination = "mean"

    @property
    def begins(self) -> np.ndarray:
        """Number of each text's first window, int64 (texts,)."""
        return np.cumsum(self.counts) - self.counts

    def combined(self, logits: np.ndarray) -> np.ndarray:
        """Combine logits of windows, float32 (windows, logits): float32 (texts, logits). NaN stays NaN.

        >>> Split([], np.array([2]), np.array([3.0, 1.0])).combined(np.array([[1.0], [5.0]], dtype=np.float32)).tolist()
        [[2.0]]
        """
        if len(self.weights) == len(self.counts):  # one window each
            return logits
        return self.mean_of(logits) if self.combination == "mean" else self._folded(logits, np.maximum)

    def spread(self, of_texts: np.ndarray) -> np.ndarray:
        """Repeat values of texts, (texts, ...), for each window: (windows, ...)."""
        return np.repeat(of_texts, self.counts, axis=0)

    def deciding(self, margins: np.ndarray) -> np.ndarray:
        """Find the window with the largest weight times margin in each text: numbers from 1, int64 (texts,).

        A maximum is decided by the margin alone, and so is a text of which every window is against its answer.

        Args:
            margins: margin of each window, float64 (windows,), below 0 if it is against the text's answer.

        >>> Split([], np.array([2, 1, 2]), np.array([3, 1, 2, 3, 1])).deciding(np.array([1, 2, 5, -1, -2])).tolist()
        [1, 1, 1]
        """
        weights = self.weights if self.combination == "mean" else np.ones_like(self.weights)
        support = np.where(margins > 0, margins * weights, margins)
        return np.array(
            [1 + int(np.argmax(support[begin : begin + count])) for begin, count in self._texts()], dtype=np.int64
        )

    def mean_of(self, values: np.ndarray) -> np.ndarray:
        """Compute the weighted mean of any values of windows, float32 (windows, ...): float32 (texts, ...)."""
        weights = self.weights.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(self._folded(values * weights, np.add) / self._folded(weights, np.add), dtype=np.float32)

    def _folded(self, values: np.ndarray, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Fold the values of each text's windows in order, one window of all texts after the other."""
        begins = self.begins
        found = values[begins]
        for number in range(1, int(self.counts.max(initial=0))):
            more = self.counts > number
            found[more] = function(found[more], values[begins[more] + number])
        return found

    def _texts(self) -> Iterator[tuple[int, int]]:
        return zip(self.begins.tolist(), self.counts.tolist(), strict=True)


def split_of(windows: Windows | None, rows: Sequence[np.ndarray]) -> Split:
    """Cut texts into windows; without a rule, each text is one window.

    Args:
        windows: rule that cuts long texts.
        rows: token ids of each text, (sequence,).
    """
    if windows is not None:
        return windows.split(rows)
    return Split(rows, np.ones(len(rows), dtype=np.int64), np.ones(len(rows)))


@lru_cache(maxsize=1 << 14)
def _weights(windows: Windows, own: int) -> tuple[float, ...]:
    """Return `Windows.weights` of a text, given the number of its own tokens."""
    spans = windows.spans(own)
    weights = [0.0] * len(spans)
    for begin, end in pairwise(sorted({edge for span in spans for edge in span})):
        sharing = [number for number, (first, stop) in enumerate(spans) if first <= begin and end <= stop]
        for number in sharing:
            weights[number] += (end - begin) / len(sharing)
    return tuple(weights)
