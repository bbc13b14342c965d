"""Metrics of models that give numbers: R2, MAE and RMSE, and the edges of a histogram of values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.evaluation.bootstrap import bootstrap_interval, resampled

_EDGES = 21
_TAIL = 0.005  # share of the values beyond the inner edges, on each side
_LEAST_SPAN = 1e-6  # of the inner edges, as a share of the largest value


@dataclass(frozen=True)
class ValueMetrics:
    """Metrics of texts with true values; means over the outputs if there are several.

    Attributes:
        texts: number of texts.
        r2: share of the variance of the true values that is explained, 1 - (squared errors) / (squared distances from
            their mean); without the outputs whose true values are all the same, and None if there is no other.
        interval: 95% interval of ``r2``, by the bootstrap over texts; None if ``r2`` is.
        mae: mean absolute error, in the unit of the values.
        mae_interval: 95% interval of ``mae``.
        rmse: root of the mean squared error, in the unit of the values.
        rmse_interval: 95% interval of ``rmse``.
    """

    texts: int
    r2: float | None
    interval: tuple[float, float] | None
    mae: float
    mae_interval: tuple[float, float] | None
    rmse: float
    rmse_interval: tuple[float, float] | None


@dataclass(frozen=True)
class OneOutput:
    """Metrics of one of several outputs, as in `ValueMetrics`."""

    name: str
    r2: float | None
    mae: float
    rmse: float


def value_metrics(values: np.ndarray, truth: np.ndarray) -> ValueMetrics:
    """Compute the metrics of predictions.

    Args:
        values: predicted values, float64 (texts, outputs).
        truth: true values, float64 (texts, outputs).
    """
    texts, parts = len(truth), value_parts(values, truth)
    (r2,), (mae,), (rmse,) = _figures(parts.sum(axis=0)[np.newaxis], texts)
    r2s, maes, rmses = _figures(resampled(parts), texts)
    return ValueMetrics(
        texts=texts,
        r2=None if np.isnan(r2) else float(r2),
        interval=bootstrap_interval(r2s),
        mae=float(mae),
        mae_interval=bootstrap_interval(maes),
        rmse=float(rmse),
        rmse_interval=bootstrap_interval(rmses),
    )


def value_parts(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each text's contribution to the sums of `value_metrics`, float64 (texts, 4 * outputs); see `r2_of`."""
    error, centred = values - truth, truth - truth.mean(axis=0)
    centred[:, truth.min(axis=0) == truth.max(axis=0)] = 0.0  # without a rounding error
    return np.concatenate([error**2, np.abs(error), centred, centred**2], axis=1)


def r2_of(sums: np.ndarray, texts: int) -> np.ndarray:
    """Compute R2 of each row of sums of `value_parts` over so many texts, float64 (rows,); NaN if no true value varies."""
    r2, _, _ = _figures(sums, texts)
    return r2


def each_output(names: Sequence[str], values: np.ndarray, truth: np.ndarray) -> list[OneOutput]:
    """Compute the metrics of each output; see `value_metrics`."""
    found = [value_metrics(values[:, [one]], truth[:, [one]]) for one in range(len(names))]
    return [OneOutput(name, one.r2, one.mae, one.rmse) for name, one in zip(names, found, strict=True)]


def _figures(sums: np.ndarray, texts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute R2, MAE and RMSE of each row from sums, float64 (rows, 4 * outputs); R2 is NaN if no true value varies."""
    squared, absolute, centred, centred_squared = np.split(sums, 4, axis=1)
    whole = centred_squared - centred**2 / texts
    defined = whole > 1e-12 * centred_squared  # a resample may hold equal values only
    shares = np.where(defined, 1 - squared / np.where(defined, whole, 1), 0)
    outputs = defined.sum(axis=1)
    r2 = np.where(outputs > 0, shares.sum(axis=1) / np.maximum(outputs, 1), np.nan)
    return r2, absolute.mean(axis=1) / texts, np.sqrt(squared / texts).mean(axis=1)


def value_edges(values: np.ndarray) -> tuple[float, ...]:
    """Return the edges of a histogram for values like these, in ascending order, also if many or all are the same.

    The inner edges are evenly spaced between the 0.5% and the 99.5% quantile. The outer ones are the extremes, at least one
    such space away. Later values beyond them count in the outer bins.

    Args:
        values: values of test texts, float64 (texts,).
    """
    low, high = (float(one) for one in np.quantile(values, (_TAIL, 1 - _TAIL)))
    least = _LEAST_SPAN * max(1.0, float(np.abs(values).max()))
    if high - low < least:
        low, high = low - least, high + least
    inner = np.linspace(low, high, _EDGES - 2)
    space = inner[1] - inner[0]
    return (
        min(float(values.min()), low - space),
        *map(float, inner),
        max(float(values.max()), high + space),
    )
