"""Strengths of a penalty to try: those that are given, and more of them while the best one is at an end."""

import math
from collections.abc import Iterator, Sequence

_LEAST, _MOST = 1e-6, 10.0


class Grid:
    """Strengths of a penalty, each asked for after the loss of the one before it is known.

    A single strength is not extended, since somebody has chosen it.

    Args:
        strengths: strengths to try in any case.

    >>> grid = Grid([0.01, 0.003])
    >>> for l2 in grid:
    ...     grid.record(l2, abs(l2 - 0.0003))
    >>> list(grid.losses)
    [0.01, 0.003, 0.001, 0.0003, 0.0001]
    """

    def __init__(self, strengths: Sequence[float]) -> None:
        self._given = tuple(strengths)
        self.losses: dict[float, float] = {}

    def record(self, strength: float, loss: float) -> None:
        """Record the loss of held-out texts."""
        self.losses[strength] = loss

    def __iter__(self) -> Iterator[float]:
        yield from self._given
        while len(self._given) > 1:
            best = min(self.losses, key=lambda strength: self.losses[strength])
            if best == min(self.losses):
                further = _neighbour(best, -1)
            elif best == max(self.losses):
                further = _neighbour(best, 1)
            else:
                return
            if not _LEAST <= further <= _MOST:
                return
            yield further


def _neighbour(strength: float, direction: int) -> float:
    """Return the next number of the series 1, 3, 10, 30 and so on.

    >>> _neighbour(0.0003, -1), _neighbour(0.1, 1), _neighbour(0.1, -1)
    (0.0001, 0.3, 0.03)
    """
    power, is_three = divmod(round(2 * math.log10(strength)) + direction, 2)
    return float(f"{3 if is_three else 1}e{power}")
