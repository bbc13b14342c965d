"""Cascade of two stages: rows that the wide part alone decides skip the encoder, see `scorer.engine.stages`.

The decision depends only on a text's tokens, by an exact comparison. So it is the same for any provider, batch and
neighbouring row.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Largest scale and bias: within it, the logits of every exact sum are finite in float32.
_LARGEST = 1e6


@dataclass(frozen=True)
class Cascade:
    """Limits beyond which the wide part's sums decide, and the calibration that turns sums into logits.

    Attributes:
        scale: factor of sums.
        bias: terms added to scaled sums, (logits,).
        limits: for one logit, the lowest and the highest sum that do not decide; for several, the least distance
            between the two largest logits that decides.

    Raises:
        ValueError: the parts do not fit together, or a limit lies on the wrong side of the label's change.
    """

    scale: float
    bias: tuple[float, ...]
    limits: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.limits) != (2 if len(self.bias) == 1 else 1) or not self.bias:
            raise ValueError("a cascade must have two limits for one logit, and one for several")
        if not self.scale > 0:
            raise ValueError(f"a cascade's scale must be above 0, not {self.scale}")
        if max(self.scale, *map(abs, self.bias)) > _LARGEST:
            raise ValueError(f"a cascade's scale and biases must be at most {_LARGEST:g}")
        if len(self.bias) == 1:
            low, high = (self.scale * limit + self.bias[0] for limit in self.limits)
            if not low <= 0 <= high:
                raise ValueError("a cascade's limits must lie on both sides of the label's change")
        elif self.limits[0] < 0:
            raise ValueError("a cascade's limit must be a distance, at least 0")

    def logits(self, sums: np.ndarray) -> np.ndarray:
        """Compute the logits of early rows from their sums: float64 (rows, logits) -> float64 (rows, logits)"""
        return sums * self.scale + np.array(self.bias)

    def decides(self, sums: np.ndarray) -> np.ndarray:
        """Find the rows that the wide part decides: float64 (rows, logits) -> bool (rows,)

        >>> Cascade(1.0, (0.0,), (-2.0, 3.0)).decides(np.array([[-2.0], [-2.5], [3.0], [3.5]])).tolist()
        [False, True, False, True]
        >>> Cascade(1.0, (0.0, 0.0, 0.5), (2.0,)).decides(np.array([[3.0, 0, 0], [1.5, 0, 0]])).tolist()
        [True, False]
        """
        if sums.shape[1] == 1:
            low, high = self.limits
            return np.asarray((sums[:, 0] < low) | (sums[:, 0] > high))
        return self.margins(sums) >= self.limits[0]

    def margins(self, sums: np.ndarray) -> np.ndarray:
        """Compute the distance between the two largest early logits, float64 (rows,); a single logit's is from 0."""
        logits = self.logits(sums)
        if logits.shape[1] == 1:
            return np.abs(logits[:, 0])
        largest = np.partition(logits, -2, axis=1)[:, -2:]
        return np.asarray(largest[:, 1] - largest[:, 0])


class Staged(NamedTuple):
    """Logits of rows, and what decided each row.

    Attributes:
        logits: float32 (rows, logits).
        early: bool (rows,), True if the wide part alone decided.
        windows: number of windows that the encoder read, int64 (rows,); 0 if the wide part alone decided.
        decided_by: number of the window that decided, from 1, int64 (rows,); 0 if the wide part alone decided.
    """

    logits: np.ndarray
    early: np.ndarray
    windows: np.ndarray
    decided_by: np.ndarray

    def replaced(self, rows: np.ndarray, found: "Staged") -> "Staged":
        """Return a copy with other results for some rows.

        Args:
            rows: rows to replace, bool (rows,).
            found: their results, in order.
        """
        copy = Staged(*(values.copy() for values in self))
        for values, others in zip(copy, found, strict=True):
            values[rows] = others
        return copy
