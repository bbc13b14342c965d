"""Histograms of a run, and of the test data of its model that it is compared with."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

SCORE_EDGES = tuple(number / 20 for number in range(21))
"""Of scores: with two labels of the positive one's probability, with more of the predicted one's."""

TOKEN_EDGES = (0, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 32_768)
"""Of lengths in tokens, special tokens included."""

UNKNOWN_EDGES = (0.0, 1e-9, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of the share of tokens that stand for what the vocabulary lacks; the first bin is for texts without any."""


_EDGES = {
    "score": SCORE_EDGES,
    "tokens": TOKEN_EDGES,
    "unknown": UNKNOWN_EDGES,
    "score_without_cascade": SCORE_EDGES,
}


def bin_of(edges: tuple[float, ...], value: float) -> int:
    """The number of the bin that holds a value."""
    return min(bisect_right(edges, value), len(edges) - 1) - 1


@dataclass(frozen=True)
class Histogram:
    """Counts of values; a bin holds its lower edge, the last one both.

    Attributes:
        edges: ascending, one more than there are bins.
        counts: of the bins. A list, which `add` counts on.

    Raises:
        ValueError: that is not so, or a count is below 0.
    """

    edges: tuple[float, ...]
    counts: list[int]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1 or any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("a histogram needs ascending edges, one more than counts")
        if any(count < 0 for count in self.counts):
            raise ValueError("a histogram has counts of 0 and more")

    @classmethod
    def empty(cls, edges: tuple[float, ...]) -> Self:
        return cls(edges, [0] * (len(edges) - 1))

    @property
    def total(self) -> int:
        return sum(self.counts)

    def add(self, value: float) -> None:
        """Count a value that lies within the edges.

        >>> found = Histogram.empty((0, 1, 2))
        >>> [found.add(value) for value in (0, 1, 2)] and found.counts
        [1, 2]
        """
        self.counts[bin_of(self.edges, value)] += 1

    def __add__(self, other: Self) -> Self:
        """Both together; they have the same bins.

        >>> (Histogram((0, 1, 2), [1, 2]) + Histogram((0, 1, 2), [3, 0])).counts
        [4, 2]
        """
        if self.edges != other.edges:
            raise ValueError("only histograms with the same bins can be added")
        return type(self)(self.edges, [one + more for one, more in zip(self.counts, other.counts, strict=True)])

    def copy(self) -> Self:
        return type(self)(self.edges, self.counts.copy())


@dataclass(frozen=True)
class Reference:
    """What a model's own test data looks like, by the same bins.

    Attributes:
        texts: how many there are.
        score, tokens, unknown: histograms by `SCORE_EDGES`, `TOKEN_EDGES` and `UNKNOWN_EDGES`.
        score_without_cascade: scores where every text goes through the encoder; None where the bundle has no cascade.

    Raises:
        ValueError: a histogram has other bins, or not that many texts.
    """

    texts: int
    score: Histogram
    tokens: Histogram
    unknown: Histogram
    score_without_cascade: Histogram | None = None

    def __post_init__(self) -> None:
        for name, edges in _EDGES.items():
            histogram = getattr(self, name)
            if histogram is not None and (histogram.edges != edges or histogram.total != self.texts):
                raise ValueError(f"reference: the histogram {name} has other bins, or not all texts")

    def without_cascade(self) -> "Reference":
        """The same texts, every one of them through the encoder."""
        return self if self.score_without_cascade is None else replace(self, score=self.score_without_cascade)


def parse_reference(fields: Mapping[str, Any]) -> Reference:
    """A reference as JSON has it; raises `ValueError`, `TypeError` or `KeyError` if it is none."""
    histograms = {
        name: Histogram(tuple(fields[name]["edges"]), list(fields[name]["counts"])) for name in _EDGES if name in fields
    }
    if set(fields) != {"texts", *histograms}:
        raise ValueError(f"reference has other fields: {sorted(fields)}")
    return Reference(fields["texts"], **histograms)
