"""Fit of a calibration by length, on texts that no part of the classifier was trained on."""

import numpy as np
import torch

from export.classifier.objective import OneOf
from scorer.model.length_calibration import LengthCalibration

MOST_KNOTS = 6
"""Largest number of lengths at which scale and biases are fitted."""

TEXTS_BETWEEN = 200
"""Smallest number of texts between two of them."""

# Deviation of a normal prior on each difference between two knots, where one length is e times the other; log scale and
# biases have the same. A thousand texts outweigh it.
_STEP = 0.2
_PRIOR = 1.0  # deviation of a normal prior on the log scale and the biases of the shortest texts


def fit_by_length(
    logits: np.ndarray,
    lengths: np.ndarray,
    labels: np.ndarray,
    temperature: float,
    weights: np.ndarray | None = None,
) -> LengthCalibration | str:
    """Fit scale and biases by length by maximum likelihood (Platt 1999), with a prior for smooth ones.

    Args:
        logits: logits of a model that chooses one label, float32 (texts, logits).
        lengths: numbers of tokens kept, int64 (texts,).
        labels: label numbers, int64 (texts,).
        temperature: divisor of the calibrated logits.
        weights: weight of each text, float64 (texts,), 1 on average; None for equal ones.

    Returns:
        the calibration, or the reason why none can be fitted.
    """
    of_texts = np.ones(len(labels)) if weights is None else weights
    knots = knots_of(lengths, of_texts)
    if len(knots) < 2:
        return (
            f"{len(labels):,} held-out texts are too few, or too equally long: at least {TEXTS_BETWEEN} are needed between two "
            "lengths"
        )
    log_scale, bias = _fitted(logits / temperature, _shares(lengths, knots), labels, of_texts, np.diff(np.log(knots)))
    return LengthCalibration(
        tuple(map(float, knots)),
        tuple(np.exp(log_scale).tolist()),
        tuple(tuple(row) for row in (bias * temperature).tolist()),
    )


def knots_of(lengths: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the lengths that divide the weight of texts evenly, float64 (knots,), with enough texts between two.

    Args:
        lengths: numbers of tokens, int64 (texts,).
        weights: weight of each text, float64 (texts,).

    >>> knots_of(np.arange(1, 801), np.ones(800)).tolist()
    [100.0, 300.0, 500.0, 700.0]
    """
    order = np.argsort(lengths, kind="stable")
    ordered, ends = lengths[order], np.cumsum(weights[order])
    count = min(MOST_KNOTS, len(lengths) // TEXTS_BETWEEN)
    found: list[float] = []
    for share in (np.arange(count) + 0.5) / max(1, count):
        length = ordered[np.searchsorted(ends, share * ends[-1])]
        if not found or np.count_nonzero((lengths > found[-1]) & (lengths <= length)) >= TEXTS_BETWEEN:
            found.append(float(length))
    return np.array(found)


def _shares(lengths: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return the share of each knot in the value at each length, float64 (texts, knots), linear in the log of the length."""
    at, of_knots = np.log(np.maximum(lengths, 1)), np.log(knots)
    return np.stack([np.interp(at, of_knots, one) for one in np.eye(len(knots))], axis=1)


def _fitted(
    logits: np.ndarray, shares: np.ndarray, labels: np.ndarray, weights: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log scale, float64 (knots,), and the biases, float64 (knots, logits), at each knot.

    Args:
        logits: logits of the texts, divided by the temperature, (texts, logits).
        shares: share of each knot in each text's scale and biases, (texts, knots).
        labels, weights: as for `fit_by_length`.
        steps: distances between the knots in the log of the length, (knots - 1,).
    """
    raw, of_knots, of_texts, distance = (
        torch.from_numpy(x).double() for x in (logits, shares, weights, steps[:, np.newaxis])
    )
    target, objective = torch.from_numpy(labels), OneOf(max(2, logits.shape[1]))
    values = torch.zeros((shares.shape[1], 1 + logits.shape[1]), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        found = (of_knots @ values[:, :1].exp()) * raw + of_knots @ values[:, 1:]
        unlikely = (values.diff(dim=0) ** 2 / distance).sum() / _STEP**2 + (values[0] ** 2).sum() / _PRIOR**2
        loss = objective.loss(found, target, of_texts) + unlikely / (2 * len(labels))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = values.detach().numpy()
    return found[:, 0], found[:, 1:]
