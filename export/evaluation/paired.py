"""A paired test of two models on the same texts: only the texts that one of them gets right count."""

from dataclasses import dataclass

import numpy as np
import scipy.stats

_QUANTILE = float(scipy.stats.norm.ppf(0.975))

PAIRED_HEAD = ("only the first is right", "only the second is right", "difference", "95% interval", "p")
"""Names of `Paired.cells`."""


@dataclass(frozen=True)
class Paired:
    """Comparison of two models on the same texts.

    Attributes:
        only_first, only_second: number of texts that only one of them gets right.
        difference: share of right texts of the second, less that of the first.
        interval: 95% interval of the difference (Bonett and Price 2012, for paired shares).
        p: two-sided p of McNemar's exact test (1947), that both are right equally often.
    """

    only_first: int
    only_second: int
    difference: float
    interval: tuple[float, float]
    p: float

    @property
    def cells(self) -> tuple[str, ...]:
        """Cells of a table, with the difference in points.

        >>> Paired(3, 13, 0.1, (0.02, 0.18), 0.0213).cells
        ('3', '13', '+10.00', '+2.00 to +18.00', '0.021')
        """
        low, high = (f"{100 * bound:+.2f}" for bound in self.interval)
        difference = f"{100 * self.difference:+.2f}"
        return f"{self.only_first:,}", f"{self.only_second:,}", difference, f"{low} to {high}", spelled_p(self.p)


def spelled_p(p: float) -> str:
    """Return a p in words.

    >>> spelled_p(0.0213), spelled_p(1e-6)
    ('0.021', 'below 0.001')
    """
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two models.

    Args:
        first, second: texts that each gets right, bool (texts,), at least one text.

    >>> paired(np.array([True] * 5 + [False] * 15), np.array([True] * 20)).p
    6.103515625e-05
    >>> paired(np.array([True, False]), np.array([True, False])).p
    1.0
    """
    texts, lost, won = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    # One more text on each side, so that the interval has a width if one side has none.
    less, more = (lost + 1) / (texts + 2), (won + 1) / (texts + 2)
    half = _QUANTILE * np.sqrt((less + more - (more - less) ** 2) / (texts + 2))
    interval = max(-1.0, float(more - less - half)), min(1.0, float(more - less + half))
    p = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    return Paired(lost, won, (won - lost) / texts, interval, float(p))
