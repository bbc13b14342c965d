"""Histograms of a run, and those of the model's test data to compare it with."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np

SCORE_EDGES = tuple(number / 20 for number in range(21))
"""Edges for scores that are probabilities; see `scorer.model.interpretation`."""

VALUE_EDGES = (
    -1e6,
    -1e5,
    -1e4,
    -1e3,
    -100.0,
    -10.0,
    -5.0,
    -2.0,
    -1.0,
    -0.5,
    0.0,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    100.0,
    1e3,
    1e4,
    1e5,
    1e6,
)
"""Edges for the values of a regression without test data, whose unit is unknown."""

TOKEN_EDGES = (0, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 32_768)
"""Edges for lengths in tokens, special tokens included."""

UNKNOWN_EDGES = (0.0, 1e-9, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Edges for the share of unknown tokens; the first bin is for texts without any."""


_EDGES = {"tokens": TOKEN_EDGES, "unknown": UNKNOWN_EDGES}
_SCORES = ("score", "score_without_cascade")


def bin_of(edges: tuple[float, ...], value: float) -> int:
    """Return the index of the bin that holds a value; the outer bins hold the values beyond the edges.

    >>> [bin_of((0, 1, 2), value) for value in (-5, 0, 1, 2, 9)]
    [0, 0, 1, 1, 1]
    """
    return max(0, min(bisect_right(edges, value), len(edges) - 1) - 1)


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins, see `bin_of`; a bin includes its lower edge, and the last bin includes its upper edge as well.

    Attributes:
        edges: edges in ascending order, one more than bins.
        counts: number of values in each bin, a list that `add` changes.

    Raises:
        ValueError: the edges are not ascending, not one more than the counts, or a count is below 0.
    """

    edges: tuple[float, ...]
    counts: list[int]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1 or any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("a histogram needs ascending edges, one more than counts")
        if any(count < 0 for count in self.counts):
            raise ValueError("a histogram needs counts of at least 0")

    @classmethod
    def empty(cls, edges: tuple[float, ...]) -> Self:
        return cls(edges, [0] * (len(edges) - 1))

    @property
    def total(self) -> int:
        return sum(self.counts)

    def add(self, values: np.ndarray) -> None:
        """Count values, none of them NaN; see `bin_of`.

        >>> found = Histogram.empty((0, 1, 2))
        >>> found.add(np.array([-5, 0, 1, 2, 9]))
        >>> found.counts
        [2, 3]
        """
        bins = np.searchsorted(self.edges, values, side="right").clip(1, len(self.counts)) - 1
        for at, count in enumerate(np.bincount(bins, minlength=len(self.counts)).tolist()):
            self.counts[at] += count

    def __add__(self, other: Self) -> Self:
        """Add the counts of a histogram with the same bins.

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
    """Histograms of a model's own test data, with the same bins as those of a run.

    Attributes:
        texts: number of texts.
        score: histogram of scores, by `SCORE_EDGES`, or by other edges if scores are no probabilities.
        tokens, unknown: histograms by `TOKEN_EDGES` and `UNKNOWN_EDGES`.
        score_without_cascade: histogram of scores with every text through the encoder; None if the bundle has no cascade.

    Raises:
        ValueError: a histogram has the wrong bins, or counts another number of texts.
    """

    texts: int
    score: Histogram
    tokens: Histogram
    unknown: Histogram
    score_without_cascade: Histogram | None = None

    def __post_init__(self) -> None:
        for name in (*_SCORES, *_EDGES):
            histogram = getattr(self, name)
            edges = _EDGES.get(name, self.score.edges)
            if histogram is not None and (histogram.edges != edges or histogram.total != self.texts):
                raise ValueError(f"reference: the histogram {name} has the wrong bins, or does not count all texts")

    def without_cascade(self) -> "Reference":
        """Return the reference for a run that puts every text through the encoder."""
        return self if self.score_without_cascade is None else replace(self, score=self.score_without_cascade)


def parse_reference(fields: Mapping[str, Any]) -> Reference:
    """Parse a reference from its JSON fields; raise `ValueError`, `TypeError` or `KeyError` if it is invalid."""
    histograms = {
        name: Histogram(tuple(fields[name]["edges"]), list(fields[name]["counts"]))
        for name in (*_SCORES, *_EDGES)
        if name in fields
    }
    if set(fields) != {"texts", *histograms}:
        raise ValueError(f"reference has the wrong fields: {sorted(fields)}")
    return Reference(fields["texts"], **histograms)
