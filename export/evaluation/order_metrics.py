"""Metrics of ordered labels: distances between numbers, beside those of `export.evaluation.metrics`."""

from dataclasses import asdict, dataclass

import numpy as np

from export.evaluation.metrics import Metrics, confusion, metrics
from scorer.model.confidence import most_probable
from scorer.model.interpretation import SingleLabel


@dataclass(frozen=True)
class OrderedMetrics(Metrics):
    """Metrics of texts whose labels are numbers.

    Attributes:
        mae: mean absolute distance of the predicted label from the true one.
        expected_mae: mean absolute distance of the mean of the labels, under their probabilities, from the true one.
        kappa: quadratic weighted kappa (Cohen 1968) of the predicted labels; None if all true and all predicted labels
            are the same one.
    """

    mae: float
    expected_mae: float
    kappa: float | None


def ordered_metrics(interpretation: SingleLabel, probabilities: np.ndarray, labels: np.ndarray) -> OrderedMetrics:
    """Compute the metrics of predictions.

    Args:
        interpretation: meaning of the labels, which are numbers.
        probabilities: probabilities, float64 (texts, labels); rows sum to 1.
        labels: true label numbers, int64 (texts,).
    """
    number_of = np.array([float(label) for label in interpretation.labels])
    predicted, truth = most_probable(probabilities), number_of[labels]
    return OrderedMetrics(
        **asdict(metrics(probabilities, labels)),
        mae=float(np.abs(number_of[predicted] - truth).mean()),
        expected_mae=float(np.abs(interpretation.expected(probabilities) - truth).mean()),
        kappa=weighted_kappa(confusion(labels, predicted, len(number_of)), number_of),
    )


def weighted_kappa(counts: np.ndarray, number_of: np.ndarray) -> float | None:
    """Compute the quadratic weighted kappa: 1 - (squared distances) / (those of chance with the same label counts).

    Args:
        counts: texts by true and predicted label, int64 (labels, labels).
        number_of: number that each label stands for, float64 (labels,).

    >>> weighted_kappa(np.array([[5, 0], [0, 5]]), np.array([1.0, 2.0]))
    1.0
    """
    distances = (number_of[:, np.newaxis] - number_of) ** 2
    chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    whole = float((distances * chance).sum())
    return 1 - float((distances * counts).sum()) / whole if whole > 0 else None
