"""Throughput of a run over time."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Self

_MOST = 120


class Stretch(NamedTuple):
    """Stretch of a run.

    Attributes:
        begin, end: seconds since the run's first record was read.
        rows_per_second, tokens_per_second: speed between the two.
    """

    begin: float
    end: float
    rows_per_second: float
    tokens_per_second: float


class _Moment(NamedTuple):
    seconds: float
    rows: int
    tokens: int

    def until(self, later: Self) -> Stretch:
        seconds = later.seconds - self.seconds
        return Stretch(
            self.seconds, later.seconds, (later.rows - self.rows) / seconds, (later.tokens - self.tokens) / seconds
        )


@dataclass
class Throughput:
    """Progress over time; whenever a run has too many moments, every second one is dropped."""

    _moments: list[_Moment] = field(default_factory=lambda: [_Moment(0.0, 0, 0)])

    def add(self, seconds: float, rows: int, tokens: int) -> None:
        """Add a moment.

        Args:
            seconds: seconds since the first record was read.
            rows, tokens: rows and tokens done by then, in this run.
        """
        if seconds <= self._moments[-1].seconds:
            return
        self._moments.append(_Moment(seconds, rows, tokens))
        if len(self._moments) > 2 * _MOST:
            self._moments = self._moments[::2]

    @property
    def stretches(self) -> list[Stretch]:
        """Stretches between consecutive moments.

        >>> throughput = Throughput()
        >>> throughput.add(2.0, 100, 5000)
        >>> throughput.stretches
        [Stretch(begin=0.0, end=2.0, rows_per_second=50.0, tokens_per_second=2500.0)]
        """
        return [before.until(later) for before, later in pairwise(self._moments)]
