"""The bootstrap (Efron 1979): 95% intervals of figures that follow from sums over texts."""

import numpy as np

RESAMPLES = 1000
"""Number of times that the texts are drawn again."""

_CELLS = 2_000_000  # numbers of draws held at a time


def resampled(parts: np.ndarray) -> np.ndarray:
    """Draw the texts with replacement again and again, always the same draws, and add up their parts.

    Args:
        parts: what each text contributes to each sum, (texts, sums).

    Returns:
        float64 (`RESAMPLES`, sums)
    """
    texts = len(parts)
    random, terms = np.random.default_rng(0), parts.astype(np.float64)
    step = max(1, _CELLS // texts)
    found = []
    for start in range(0, RESAMPLES, step):
        drawn = random.integers(0, texts, size=(min(step, RESAMPLES - start), texts), dtype=np.uint32)
        times = np.stack([np.bincount(one, minlength=texts) for one in drawn])
        found.append(times.astype(np.float64) @ terms)
    return np.concatenate(found)


def bootstrap_interval(figures: np.ndarray) -> tuple[float, float] | None:
    """Return the 95% interval of a figure, given its values in the resamples; None if it is NaN in all of them.

    >>> bootstrap_interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    defined = figures[~np.isnan(figures)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return float(low), float(high)
