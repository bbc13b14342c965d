"""How far a run's texts and scores are from the test data of its model: the population stability index."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from scorer.base.errors import UsageError
from scorer.model.reference import Histogram, Reference

if TYPE_CHECKING:
    from scorer.model.manifest import Manifest
    from scorer.report.summary import Counts

MEASURES = {"score": "scores", "tokens": "lengths in tokens", "unknown": "shares of unknown word pieces"}
"""What is compared, and what it is called."""

FLOOR = 0.005
"""The least share of a bin: a share of rows that nobody would call a change must not make much of an index by standing where
the test data has next to nothing."""

_QUANTILE = 0.999
_DRAWS = 10_000


@dataclass(frozen=True)
class Drift:
    """Of one measure.

    Attributes:
        psi: the population stability index, see `psi`.
        by_chance: what 999 of 1,000 files of as many rows without drift stay below, see `by_chance`.
    """

    psi: float
    by_chance: float

    def passes(self, limit: float) -> bool:
        """Whether it is beyond a limit, and more than chance explains."""
        return self.psi > limit and self.psi > self.by_chance


def drifts(reference: Reference, found: Mapping[str, Histogram], different: int) -> dict[str, Drift]:
    """Of each of `MEASURES`.

    Args:
        reference: of the model.
        found: the run's histograms by measure, by the same bins.
        different: rows with a text of their own; what is there many times was drawn once.
    """
    drift = {}
    for name in MEASURES:
        expected = np.array(getattr(reference, name).counts)
        index = psi(expected, np.array(found[name].counts))
        drift[name] = Drift(float(index), by_chance(tuple(expected.tolist()), different))
    return drift


def check_comparable(manifest: "Manifest", limit: float | None) -> None:
    """Raise `UsageError` if there is a limit, and nothing that drift could be measured against."""
    if limit is not None and manifest.reference is None:
        raise UsageError(
            f"the bundle {manifest.name} says nothing of its test data, so --max-drift has nothing to compare with."
        )


def drift_of(reference: Reference | None, counts: "Counts") -> dict[str, Drift] | None:
    """What was counted against a model's test data, by measure; None where there is nothing to compare."""
    if reference is None or not counts.rows_scored:
        return None
    return drifts(reference, counts.measures, counts.rows_scored - counts.duplicates)


def passed(drift: Mapping[str, Drift], limit: float | None) -> list[str]:
    """The measures that are beyond a limit; none where there is no limit."""
    return [] if limit is None else [name for name, one in drift.items() if one.passes(limit)]


def psi(reference: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The population stability index: the sum over the bins of (q - p) ln(q / p), which is 0 for equal shares.

    p are the shares of the reference's bins and q those of the counts', both mixed with equal shares so that none is
    below `FLOOR`; else an empty bin would make it infinite, and one that is nearly empty large.

    Args:
        reference: (bins,) or (draws, bins).
        counts: the same.

    >>> float(psi(np.array([500, 0]), np.array([50, 0]))), round(float(psi(np.array([500, 500]), np.array([900, 100]))), 2)
    (0.0, 0.85)
    """
    p, q = _shares(reference), _shares(counts)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


@cache
def by_chance(reference: tuple[int, ...], rows: int) -> float:
    """The index that 999 of 1,000 files without drift stay below: by drawing them.

    10,000 times as many texts as the reference has, and as many rows as the run, are drawn by the reference's shares and
    compared. The draws are the same each time.

    Args:
        reference: counts.
        rows: of the run.

    >>> round(by_chance((1000,) * 20, 1000), 2), by_chance((1000,) * 20, 0)
    (0.04, inf)
    """
    texts = sum(reference)
    if not texts or not rows:
        return math.inf
    generator = np.random.default_rng(0)
    again, drawn = (generator.multinomial(count, np.array(reference) / texts, size=_DRAWS) for count in (texts, rows))
    return float(np.quantile(psi(again, drawn), _QUANTILE))


def _shares(counts: np.ndarray) -> np.ndarray:
    mixed = FLOOR * counts.shape[-1]
    return (1 - mixed) * counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1) + FLOOR


def as_json(drift: Mapping[str, Drift]) -> dict[str, Any]:
    """The indices as the record of a run has them; what is infinite is null.

    >>> as_json({"score": Drift(0.25, math.inf)})
    {'score': {'psi': 0.25, 'by_chance': None}}
    """
    return {
        name: {"psi": round(one.psi, 4), "by_chance": round(one.by_chance, 4) if math.isfinite(one.by_chance) else None}
        for name, one in drift.items()
    }
