"""How far a run's texts and scores are from the test data of its model: the population stability index."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scorer.histograms import Histogram, Reference

MEASURES = {"score": "scores", "tokens": "lengths in tokens", "unknown": "shares of unknown word pieces"}
"""What is compared, and what it is called."""

_NORMAL_QUANTILE = 3.0902
"""Of 99.9%."""


@dataclass(frozen=True)
class Drift:
    """Of one measure.

    Attributes:
        psi: the population stability index, see `psi`.
        by_chance: what 999 of 1,000 files of as many rows stay below that are drawn from the test data, see `by_chance`.
    """

    psi: float
    by_chance: float

    def passes(self, limit: float) -> bool:
        """Whether it is beyond a limit, and more than chance explains."""
        return self.psi > limit and self.psi > self.by_chance


def drifts(reference: Reference, found: Mapping[str, Histogram]) -> dict[str, Drift]:
    """Of each of `MEASURES`.

    Args:
        reference: of the model.
        found: the run's histograms by measure, by the same bins.
    """
    compared = {name: (getattr(reference, name).counts, found[name].counts) for name in MEASURES}
    return {name: Drift(psi(*both), by_chance(*both)) for name, both in compared.items()}


def passed(drift: Mapping[str, Drift], limit: float | None) -> list[str]:
    """The measures that are beyond a limit; none where there is no limit."""
    return [] if limit is None else [name for name, one in drift.items() if one.passes(limit)]


def psi(reference: Sequence[int], counts: Sequence[int]) -> float:
    """The population stability index: the sum over the bins of (q - p) ln(q / p), which is 0 for equal shares.

    p is the reference's share of a bin and q the run's, both mixed with equal shares as if half a text were added to
    each bin of the reference: no bin is impossible. To q as many rows as there are bins are added besides, in the shares
    p: a bin that a short file has no row in does not count as if there could be none, and an empty file has no drift.

    >>> psi([500, 500], [0, 0]), psi([500, 0], [50, 0]), round(psi([500, 500], [900, 100]), 2)
    (0.0, 0.0, 0.87)
    """
    bins, texts, rows = len(reference), sum(reference), sum(counts)
    mixed = 0.5 * bins / (texts + 0.5 * bins)

    def share(count: int, of: int) -> float:
        return (1 - mixed) * (count / of if of else 0) + mixed / bins

    total = 0.0
    for expected, count in zip(reference, counts, strict=True):
        p = share(expected, texts)
        q = (rows * share(count, rows) + bins * p) / (rows + bins)
        total += (q - p) * math.log(q / p)
    return total


def by_chance(reference: Sequence[int], counts: Sequence[int]) -> float:
    """The index that a file drawn from the reference stays below in 99.9% of all cases, about.

    Without drift the index is distributed as (1/n + 1/m) times chi-squared with one degree of freedom fewer than bins,
    for n rows and m texts (Yurdakul and Naranjo 2020); its quantile is by Wilson and Hilferty (1931).

    >>> round(by_chance([1000] * 20, [50] * 20), 3), by_chance([1] * 20, [0] * 20)
    (0.046, inf)
    """
    texts, rows, freedom = sum(reference), sum(counts), len(reference) - 1
    if not texts or not rows:
        return math.inf
    part = 2 / (9 * freedom)
    return (1 / rows + 1 / texts) * freedom * (1 - part + _NORMAL_QUANTILE * math.sqrt(part)) ** 3


def as_json(drift: Mapping[str, Drift]) -> dict[str, Any]:
    """The indices as the record of a run has them; what is infinite is null.

    >>> as_json({"score": Drift(0.25, math.inf)})
    {'score': {'psi': 0.25, 'by_chance': None}}
    """
    return {
        name: {"psi": round(one.psi, 4), "by_chance": round(one.by_chance, 4) if math.isfinite(one.by_chance) else None}
        for name, one in drift.items()
    }
