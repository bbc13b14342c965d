"""Wide part: the sum of the weights of a text's pieces and pairs, computed on the CPU for every provider.

It exists twice. The graph gives float32 logits, which are added to the encoder's; their last bits depend on the order
of the sum. The table gives exact sums, many rows at a time and seven times as fast (docs/PERFORMANCE.md). They decide
whether the encoder is needed, so that every provider, batch and machine decides alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from scorer.base.errors import BundleError
from scorer.base.timing import Phases
from scorer.engine.pending import Pending
from scorer.engine.protocols import Session
from scorer.engine.row_engine import RowEngine

MULTIPLIER = 2_654_435_761
"""Multiplier of the pairs' hash: Knuth's, the prime nearest to 2^32 times the golden ratio; no sum exceeds 2^63."""

TABLE = "wide.weight"
"""Name of the graph's constant that holds the weights, and one more that is 0."""

# Rows whose keys are laid out at a time, so that they fit in the cache; and weights, so that they fit in memory.
_ROWS = 256
_WEIGHTS = 1 << 22
# A sum of float16 weights is exact in float64 below this limit: float16 has steps of 2^-24, float64 has 53 bits.
_EXACT = float(1 << 29)


@dataclass(frozen=True)
class Keys:
    """Numbering of the weights that a text uses.

    Attributes:
        pieces: number of weights for the vocabulary, one a piece.
        pairs: number of weights that pairs of neighbours share by hash.
    """

    pieces: int
    pairs: int

    @property
    def count(self) -> int:
        return self.pieces + self.pairs

    def of_pairs(self, ids: np.ndarray) -> np.ndarray:
        """Find the number of each pair of neighbours, int64 (sequence - 1,), given token ids, int64 (sequence,)."""
        numbers = ids[:-1] * MULTIPLIER + ids[1:]
        numbers %= self.pairs
        numbers += self.pieces
        return numbers

    def of(self, rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Find the distinct numbers of each text's pieces and of its pairs of neighbours.

        Args:
            rows: token ids, (sequence,) each, at least one.

        Returns:
            numbers, int32, sorted within a text, text after text; and the index of each text's first, int64 (texts,).

        >>> numbers, begins = Keys(10, 5).of([np.array([7, 7, 7]), np.array([1])])
        >>> numbers.tolist(), begins.tolist()
        ([7, 14, 1], [0, 2])
        """
        ids = np.concatenate(rows)
        ends = 2 * np.cumsum([len(one) for one in rows])
        starts = np.concatenate([[0], ends[:-1]])
        # A piece, the pair that it begins, the next piece, and so on; a text's last piece begins no pair.
        numbers = np.empty(2 * len(ids), dtype=np.int32)
        numbers[::2] = ids
        numbers[1:-1:2] = self.of_pairs(ids)
        for start, end in zip(starts.tolist(), (ends - 1).tolist(), strict=True):
            numbers[start:end].sort()  # text by text is five times as fast as all of them at once
        first = np.empty(len(numbers), dtype=bool)
        np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
        first[starts] = True
        first[ends - 1] = False
        counts = np.add.reduceat(first, starts, dtype=np.int64)
        return numbers[first], np.concatenate([[0], np.cumsum(counts)[:-1]])


def exact_sums(keys: Keys, table: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Add up each text's weights: float64 (texts, logits), exact and so the same in any order.

    Args:
        keys: numbering of the weights.
        table: weights, (keys, logits), float16 values in any type that holds them.
        rows: token ids, (sequence,) each.
    """
    sums = [np.empty((0, table.shape[1]))]
    longest = max(map(len, rows), default=1)
    together = max(1, min(_ROWS, _WEIGHTS // (2 * longest * table.shape[1])))
    for start in range(0, len(rows), together):
        numbers, begins = keys.of(rows[start : start + together])
        sums.append(np.add.reduceat(table.take(numbers, axis=0), begins, axis=0, dtype=np.float64))
    return np.concatenate(sums)


@dataclass(frozen=True)
class WideWeights:
    """Weights of a wide part.

    Attributes:
        keys: numbering of the weights.
        table: weights, float32 (keys and one that is 0, logits), each of them a float16 value.
    """

    keys: Keys
    table: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, pairs: int) -> Self:
        """Return the weights of a graph.

        Args:
            table: weights, float16 (keys and one that is 0, logits).
            pairs: number of weights that the pairs share.

        Raises:
            BundleError: the table has another type or shape.
        """
        if table.dtype != np.float16 or table.ndim != 2 or not 0 < pairs < len(table) - 1 or table[-1].any():
            raise BundleError("the wide part's weights do not have the type and shape that the manifest states")
        # Twice as fast to read as float64, and to convert as float16.
        return cls(Keys(len(table) - 1 - pairs, pairs), table.astype(np.float32))

    def sums(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute `exact_sums`: float64 (rows, logits)."""
        return exact_sums(self.keys, self.table, rows)


class WidePart:
    """Wide part of a classifier, ready to compute.

    Args:
        session: session of its graph, on the CPU with one thread.
        table: weights of the graph, float16 (keys and one that is 0, logits).
        pairs: number of weights that the pairs share.
        longest: largest number of tokens in a row.
        threads: number of rows of the graph to compute at a time.
        phases: phases that get the seconds.

    Attributes:
        weights: weights of the graph.

    Raises:
        BundleError: the table has another type or shape, or its sums may not be exact.
    """

    def __init__(
        self, session: Session, table: np.ndarray, pairs: int, longest: int, threads: int, phases: Phases
    ) -> None:
        self.weights = WideWeights.of(table, pairs)
        largest = float(np.abs(table).max())
        if not largest * 2 * longest < _EXACT:  # also true of NaN
            raise BundleError(f"the wide part's weights, up to {largest:g}, are too large to be added up exactly")
        self._engine = RowEngine(session, threads, phases=phases, phase="wide")
        self._phases = phases

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        """Start to compute the graph's logits, float32 (rows, logits)."""
        return self._engine.submit(rows)

    def sums(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute `exact_sums` in the caller's thread: float64 (rows, logits)."""
        with self._phases.timed("wide"):
            return self.weights.sums(rows)
