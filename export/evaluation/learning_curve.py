"""The learning curve's forecast: a power law of the error, continued to twice as many texts.

The error falls as a power of the number of training texts, down to an error that no text removes (Hestness et al. 2017,
Deep learning scaling is predictable, empirically). A law that is fitted to a few sizes predicts the error of more texts
(Figueroa et al. 2012, Predicting sample size required for classification performance).

A few sizes do not show the error that no text removes. So it is held to be 0 with a chance of a quarter, and otherwise any
share of the current error, each equally likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.evaluation.bootstrap import bootstrap_interval

LEAST_SIZES = 3
"""Number of sizes that a forecast needs: two always lie on a power law."""


@dataclass(frozen=True)
class Forecast:
    """A figure at twice as many texts as the largest size has.

    Attributes:
        texts: number of texts.
        figure: the figure, 1 less the error.
        interval: its 95% interval.
        gain: difference from the figure of the largest size.
        gain_interval: 95% interval of ``gain``.
        exponent: power by which the error falls; 0 if it does not.
    """

    texts: int
    figure: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]
    exponent: float


def forecast(texts: Sequence[int], figures: np.ndarray, replicates: np.ndarray, least_error: float) -> Forecast | None:
    """Continue a learning curve to twice as many texts; return None with fewer than `LEAST_SIZES` sizes.

    The forecast takes half of the current error to remain. Each resample takes a share at random, so that the interval
    covers it. bench/more_labels.py measures how many intervals hold the gain; docs/OWN-MODEL.md has the figures.

    Args:
        texts: number of texts of each size, ascending.
        figures: figure of each size, float64 (sizes,).
        replicates: figures of each size on the same resamples, float64 (resamples, sizes); NaN if undefined there.
        least_error: error in place of 0, which a power law never has.
    """
    if len(texts) < LEAST_SIZES:
        return None
    rows = np.concatenate([figures[np.newaxis], replicates[~np.isnan(replicates).any(axis=1)]])
    remaining = np.random.default_rng(0).uniform(-1 / 3, 1, len(rows)).clip(0) * (1 - rows[:, -1])
    remaining[0] = (1 - figures[-1]) / 2
    exponents = _exponents(texts, 1 - rows - remaining[:, np.newaxis], least_error)
    gains = (1 - rows[:, -1] - remaining) * (1 - 2.0**-exponents)
    interval, gain_interval = bootstrap_interval((rows[:, -1] + gains)[1:]), bootstrap_interval(gains[1:])
    if interval is None or gain_interval is None:
        return None
    return Forecast(
        texts=2 * texts[-1],
        figure=float(rows[0, -1] + gains[0]),
        interval=interval,
        gain=float(gains[0]),
        gain_interval=gain_interval,
        exponent=float(exponents[0]),
    )


def _exponents(texts: Sequence[int], errors: np.ndarray, least_error: float) -> np.ndarray:
    """Fit error = b * texts ** -c to each row by least squares of logarithms; return each c, at least 0.

    Size j of m has the weight j / m (Figueroa et al. 2012).

    >>> _exponents([10, 20, 40, 80], np.array([[0.8, 0.4, 0.2, 0.1], [0.5, 0.6, 0.5, 0.6]]), 1e-3).round(2).tolist()
    [1.0, 0.0]
    """
    sizes = np.log(np.array(texts, dtype=np.float64))
    weights = np.arange(1, len(sizes) + 1) / len(sizes)
    centred = sizes - np.average(sizes, weights=weights)
    slopes = np.log(np.maximum(errors, least_error)) @ (weights * centred) / (weights * centred**2).sum()
    return np.asarray(np.maximum(-slopes, 0.0))
