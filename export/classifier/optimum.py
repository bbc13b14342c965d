"""Linear models at the optimum of a regularised objective, for the head and the wide part."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np
import scipy.optimize
from sklearn.linear_model import LogisticRegression, Ridge

from export.classifier.objective import AnyOf, Objective, Value
from export.classifier.span import Matrix, span_of
from scorer.model.interpretation import sigmoid

Linear: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Weights (logits, features) and biases (logits,)."""

Pointwise: TypeAlias = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Function from logits and targets, (texts, logits) each, to the losses and their derivatives by the logits."""


# The losses of numbers count a quarter. So half the squared error curves as much as the cross entropy does at most, and the
# same strengths suit both: on the stars of IMDb, unscaled ones were too weak for the head and for the wide part.
_SHARE = 4


def optima(
    features: np.ndarray,
    targets: np.ndarray,
    objective: Objective,
    strengths: Iterable[float],
    weights: np.ndarray | None = None,
) -> Iterator[tuple[float, Linear]]:
    """Yield each strength of the penalty ``l2 / 2 * |weights|^2`` per text with the optimal weights and biases.

    Args:
        features: standardised features, float64 (texts, features).
        targets: targets of the objective.
        objective: objective to minimise; half the squared error, or Huber's loss, counts a quarter.
        strengths: strengths of the penalty, each fit of which starts from the previous optimum. The next one is asked for
            after the caller has seen the optimum.
        weights: weights of the texts, float64 (texts,), for an objective of one label a text; None for equal ones.
    """
    span = span_of(features)
    for l2, (weight, bias) in _optima(span.features, targets, objective, strengths, weights):
        yield l2, (span.weights(weight.T).T, bias)


def _optima(
    features: np.ndarray,
    targets: np.ndarray,
    objective: Objective,
    strengths: Iterable[float],
    weights: np.ndarray | None,
) -> Iterator[tuple[float, Linear]]:
    if isinstance(objective, AnyOf):
        # Each label has an optimum of its own. They are sought together, because a product of matrices is quicker.
        yield from _by_descent(features, targets, strengths, cross_entropy)
    elif not isinstance(objective, Value):
        yield from _logistic(features, targets, objective, strengths, weights)
    elif math.isfinite(objective.delta):
        yield from _by_descent(features, targets, strengths, partial(_huber, delta=objective.delta), _SHARE)
    else:
        for l2 in strengths:
            model = Ridge(alpha=_SHARE * l2 * len(targets)).fit(features, targets[:, 0])
            yield l2, (model.coef_[np.newaxis], np.array([model.intercept_]))


def _logistic(
    features: np.ndarray,
    labels: np.ndarray,
    objective: Objective,
    strengths: Iterable[float],
    weights: np.ndarray | None,
) -> Iterator[tuple[float, Linear]]:
    # Newton's method inverts a matrix of (hidden * logits)^2, which is soon too large for more than two labels.
    solver = "newton-cholesky" if objective.logit_count == 1 else "lbfgs"
    model = LogisticRegression(solver=solver, max_iter=1000, warm_start=True)
    weights = objective.text_weights(labels, weights)
    for l2 in strengths:
        model.set_params(C=1 / (l2 * len(labels))).fit(features, labels, weights)
        yield l2, (model.coef_.copy(), model.intercept_.copy())


def _by_descent(
    features: np.ndarray, targets: np.ndarray, strengths: Iterable[float], pointwise: Pointwise, factor: float = 1
) -> Iterator[tuple[float, Linear]]:
    start = None
    for l2 in strengths:
        start = descended(features, targets, factor * l2, pointwise, start)
        yield l2, (start[:-1].T, start[-1])


def huber(features: Matrix, values: np.ndarray, l2: float, delta: float) -> tuple[np.ndarray, float]:
    """Minimise a quarter of the mean of Huber's loss (1964) and the penalty; return weights (features,) and the bias.

    Args:
        features: dense or sparse matrix (texts, features).
        values: values to predict, float64 (texts,).
        l2: strength of the penalty ``l2 / 2 * |weights|^2``.
        delta: largest residual that counts squared; infinite for half the squared error.

    >>> numbers = np.arange(9.0)
    >>> weight, bias = huber(numbers[:, np.newaxis], 2 * numbers + 99 * (numbers == 4), 1e-6, 0.1)
    >>> weight.round(1).tolist(), round(bias, 1)
    ([2.0], 0.0)
    """
    found = descended(features, values[:, np.newaxis], _SHARE * l2, partial(_huber, delta=delta), None)
    return found[:-1, 0], float(found[-1, 0])


def descended(
    features: Matrix,
    targets: np.ndarray,
    l2: float,
    pointwise: Pointwise,
    start: np.ndarray | None,
    *,
    most: int = 2000,
    least_gain: float = 1e-11,
) -> np.ndarray:
    """Minimise the losses, summed over logits and averaged over texts, and the penalty by L-BFGS.

    Args:
        features: dense or sparse matrix (texts, features).
        targets: targets (texts, logits).
        l2: strength of the penalty.
        pointwise: loss of each logit.
        start: weights and biases to start from; None for zeros.
        most: largest number of steps.
        least_gain: gain of a step, relative to the loss, below which the descent ends.

    Returns:
        weights, and the biases as the last row, float64 (features + 1, logits).
    """
    count, shape = len(targets), (features.shape[1] + 1, targets.shape[1])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        both = flat.reshape(shape)
        losses, slopes = pointwise(features @ both[:-1] + both[-1], targets)
        gradient = np.vstack([features.T @ slopes, slopes.sum(axis=0)]) / count
        gradient[:-1] += l2 * both[:-1]
        return losses.sum() / count + l2 / 2 * (both[:-1] ** 2).sum(), gradient.ravel()

    found = scipy.optimize.minimize(
        loss,
        (np.zeros(shape) if start is None else start).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most, "maxfun": 2 * most, "ftol": least_gain, "gtol": 1e-5},
    )
    return np.asarray(found.x).reshape(shape)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the binary cross entropy, without overflow, and its derivative."""
    return np.logaddexp(0, logits) - targets * logits, sigmoid(logits) - targets


def _huber(logits: np.ndarray, targets: np.ndarray, *, delta: float) -> tuple[np.ndarray, np.ndarray]:
    residual = logits - targets
    slope = np.clip(residual, -delta, delta)
    return slope * (residual - slope / 2), slope
