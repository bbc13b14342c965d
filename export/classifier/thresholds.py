"""Thresholds of labels that a text may have any number of, chosen on held-out texts."""

from dataclasses import dataclass

import numpy as np

UNKNOWN = 0.5
"""Threshold of a label that no held-out text has."""

NEVER = 1.0
"""Threshold of a label that reaches the wanted precision at none: it is given only if its probability is 1."""


@dataclass(frozen=True)
class Chosen:
    """A label's threshold, with the figures of the held-out texts at it.

    Attributes:
        threshold: least probability at which a text gets the label, in (0, 1].
        texts: number of held-out texts with the label.
        precision: share of texts with the label among those that get it; None if none gets it.
        recall: share of texts that get the label among those with it; None without any.
    """

    threshold: float
    texts: int
    precision: float | None
    recall: float | None


def choose_thresholds(
    probabilities: np.ndarray, truth: np.ndarray, min_precision: float | None = None
) -> tuple[Chosen, ...]:
    """Choose a threshold for each label.

    Args:
        probabilities: calibrated probabilities, float64 (texts, labels).
        truth: 0 and 1, int64 (texts, labels).
        min_precision: precision that each label must have, with the largest recall possible; None for the largest F1.
    """
    return tuple(
        _choose(column, labels == 1, min_precision) for column, labels in zip(probabilities.T, truth.T, strict=True)
    )


def _choose(probabilities: np.ndarray, truth: np.ndarray, min_precision: float | None) -> Chosen:
    """Choose the threshold of one label, midway between two neighbouring probabilities.

    >>> _choose(np.array([0.9, 0.8, 0.4, 0.2]), np.array([True, False, True, False]), None).threshold.__round__(6)
    0.3
    >>> _choose(np.array([0.9, 0.8, 0.4, 0.2]), np.array([True, False, True, False]), 0.9).threshold.__round__(6)
    0.85
    """
    texts = int(truth.sum())
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(truth[order])
    given = np.arange(1, len(ranked) + 1)
    below = np.append(ranked[1:], 0.0)
    possible = ranked > below  # a threshold cannot lie between equal probabilities
    if min_precision is None:
        if not texts:
            return _at(UNKNOWN, probabilities, truth)
        last = int(np.argmax(np.where(possible, 2 * hits / (given + texts), -1.0)))
    else:
        reached = np.flatnonzero(possible & (hits >= min_precision * given) & (hits > 0))
        if not len(reached):
            return _at(NEVER, probabilities, truth)
        last = int(reached[-1])
    middle = (ranked[last] + below[last]) / 2
    return _at(float(middle if middle > below[last] else ranked[last]), probabilities, truth)


def _at(threshold: float, probabilities: np.ndarray, truth: np.ndarray) -> Chosen:
    given = probabilities >= threshold
    hits, texts, count = int((given & truth).sum()), int(truth.sum()), int(given.sum())
    return Chosen(threshold, texts, hits / count if count else None, hits / texts if texts else None)
