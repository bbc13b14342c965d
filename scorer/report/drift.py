"""Drift of a run's texts and scores from the test data of its model, as a population stability index."""

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
"""Measures that are compared, and their names in messages."""

FLOOR = 0.005
"""Smallest share of a bin: a few rows where the test data has next to none must not dominate the index."""

_QUANTILE = 0.999
_DRAWS = 10_000


@dataclass(frozen=True)
class Drift:
    """Drift of one measure.

    Attributes:
        psi: population stability index, see `psi`.
        by_chance: index that 999 of 1,000 files of as many rows without drift stay below, see `by_chance`.
    """

    psi: float
    by_chance: float

    def passes(self, limit: float) -> bool:
        """Return whether the index is beyond both a limit and what chance explains."""
        return self.psi > limit and self.psi > self.by_chance


def drifts(reference: Reference, found: Mapping[str, Histogram], different: int) -> dict[str, Drift]:
    """Return the drift of each of `MEASURES`.

    Args:
        reference: histograms of the model's test data.
        found: histograms of the run by measure, with the same bins.
        different: number of different texts; a repeated text is one draw.
    """
    drift = {}
    for name in MEASURES:
        expected = np.array(getattr(reference, name).counts)
        index = psi(expected, np.array(found[name].counts))
        drift[name] = Drift(float(index), by_chance(tuple(expected.tolist()), different))
    return drift


def check_comparable(manifest: "Manifest", limit: float | None) -> None:
    """Raise `UsageError` if there is a limit, but the bundle has no test data to measure drift against."""
    if limit is not None and manifest.reference is None:
        raise UsageError(
            f"the bundle {manifest.name} has no histograms of its test data, so --max-drift has nothing to compare with."
        )


def drift_of(reference: Reference | None, counts: "Counts") -> dict[str, Drift] | None:
    """Return the drift of counted rows from a model's test data, by measure; None if there is nothing to compare."""
    if reference is None or not counts.rows_scored:
        return None
    return drifts(reference, counts.measures, counts.rows_scored - counts.duplicates)


def passed(drift: Mapping[str, Drift], limit: float | None) -> list[str]:
    """Return the measures that are beyond a limit; an empty list without a limit."""
    return [] if limit is None else [name for name, one in drift.items() if one.passes(limit)]


def psi(reference: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the population stability index: the sum of (q - p) ln(q / p) over the bins, 0 for equal shares.

    p and q are the bins' shares in the reference and in the counts. Both are mixed with equal shares so that none is
    below `FLOOR`. Otherwise an empty bin would make the index infinite, and a nearly empty one would make it large.

    Args:
        reference: counts of the reference, (bins,) or (draws, bins).
        counts: counts to compare, of the same shape.

    >>> float(psi(np.array([500, 0]), np.array([50, 0]))), round(float(psi(np.array([500, 500]), np.array([900, 100]))), 2)
    (0.0, 0.85)
    """
    p, q = _shares(reference), _shares(counts)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


@cache
def by_chance(reference: tuple[int, ...], rows: int) -> float:
    """Simulate the index that 999 of 1,000 files without drift stay below.

    It draws by the reference's shares, 10,000 times: as many texts as the reference has, and as many rows as the run.
    It compares the two. The draws are the same each time.

    Args:
        reference: counts of the reference.
        rows: number of rows of the run.

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
    """Return the indices in the form of a run's record; infinity is null.

    >>> as_json({"score": Drift(0.25, math.inf)})
    {'score': {'psi': 0.25, 'by_chance': None}}
    """
    return {
        name: {"psi": round(one.psi, 4), "by_chance": round(one.by_chance, 4) if math.isfinite(one.by_chance) else None}
        for name, one in drift.items()
    }
