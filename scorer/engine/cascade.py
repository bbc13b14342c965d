"""Cascade of two stages: rows that the wide part alone decides skip the encoder.

The decision depends only on a text's tokens, by an exact comparison. So it is the same for any provider, batch and
neighbouring row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scorer.engine.pending import Pending, cancelled_on_error
from scorer.engine.protocols import Computing, Engine
from scorer.engine.wide import WidePart

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
    """Logits of rows, and the stage that decided each row.

    Attributes:
        logits: float32 (rows, logits).
        early: bool (rows,), True if the wide part alone decided.
    """

    logits: np.ndarray
    early: np.ndarray


class Stages:
    """Engine with the wide part beside it, and before it if the bundle has a cascade.

    Args:
        engine: engine of the whole classifier, or of the encoder's part if ``wide`` is given.
        wide: wide part, if it is a graph of its own.
        cascade: limits that keep rows from the engine; None to give it all rows.
    """

    def __init__(self, engine: Engine, wide: WidePart | None = None, cascade: Cascade | None = None) -> None:
        self._engine = engine
        self._wide = wide
        self._cascade = cascade

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[Staged]:
        """Start to compute token ids, as `scorer.engine.protocols.Engine.submit`; the cascade has decided on return."""
        if self._cascade is None:
            return self._whole(rows).map(lambda logits: Staged(logits, np.zeros(len(rows), dtype=bool)))
        early = self.wide_alone(rows, self._cascade)
        decided = early.early
        if decided.all():
            return Pending(lambda: early)

        def together(logits: np.ndarray) -> Staged:
            found = early.logits.copy()
            found[~decided] = logits
            return Staged(found, decided)

        return self._whole([row for row, is_early in zip(rows, decided, strict=True) if not is_early]).map(together)

    def wide_alone(self, rows: Sequence[np.ndarray], cascade: Cascade) -> Staged:
        """Compute every row's logits by the wide part alone, and the rows that a cascade lets it decide."""
        assert self._wide is not None, "a cascade has a wide part"
        sums = self._wide.sums(rows)
        return Staged(cascade.logits(sums).astype(np.float32), cascade.decides(sums))

    def _whole(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        deep = self._engine.submit(rows)
        if self._wide is None:
            return deep
        with cancelled_on_error(deep):
            return added(deep, self._wide.submit(rows))


@dataclass(frozen=True)
class Whole:
    """`Computing` by both parts of a classifier, with every row through the encoder.

    Attributes:
        encoder: engine of the encoder's part.
        wide: wide part.
    """

    encoder: Computing
    wide: WidePart

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(self.encoder.logits(rows) + self.wide.submit(rows).result())


def added(deep: Pending[np.ndarray], side: Pending[np.ndarray]) -> Pending[np.ndarray]:
    """Add two results in float32, as one graph would; cancelling the sum cancels both."""

    def cancel() -> None:
        deep.cancel()
        side.cancel()

    return Pending(lambda: np.asarray(deep.result() + side.result()), cancel)
