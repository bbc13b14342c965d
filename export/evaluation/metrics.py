"""Metrics of predictions: accuracy, F1, ROC AUC, log loss and calibration error, from probabilities and true labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from sklearn.metrics import f1_score, roc_auc_score

from scorer.model.confidence import confidences, most_probable

BINS = 15
"""Number of confidence bins for the calibration error and the reliability diagram, as in Guo et al. 2017."""


@dataclass(frozen=True)
class Bin:
    """Texts whose predicted label has a probability between two bounds; or pairs of a text and a label, with that label's.

    Attributes:
        low, high: bounds.
        texts: number of texts or pairs.
        confidence: mean probability of the predicted labels, or of the pairs' labels.
        accuracy: share of texts with the right label, or of pairs whose text has the label.
    """

    low: float
    high: float
    texts: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Metrics:
    """Metrics of labelled texts.

    Attributes:
        texts: number of texts.
        accuracy: share of right labels.
        interval: 95% interval of the accuracy (Wilson 1927).
        f1: F1 of the positive label; with more than two labels, the mean over all labels.
        roc_auc: area under the ROC curve of the positive label; with more than two labels, the mean of each label against
            the others; None if a label does not occur.
        log_loss: mean of -ln(probability of the true label).
        ece: expected calibration error (Guo et al. 2017, equation 3), over `BINS` bins.
    """

    texts: int
    accuracy: float
    interval: tuple[float, float]
    f1: float
    roc_auc: float | None
    log_loss: float
    ece: float


def metrics(probabilities: np.ndarray, labels: np.ndarray) -> Metrics:
    """Compute the metrics of predictions.

    Args:
        probabilities: probabilities, float64 (texts, labels); rows sum to 1.
        labels: true label numbers, int64 (texts,).
    """
    predicted = most_probable(probabilities)
    hits = int((predicted == labels).sum())
    two = probabilities.shape[1] == 2
    every = np.arange(probabilities.shape[1])
    f1 = f1_score(labels, predicted, labels=every, average="binary" if two else "macro", zero_division=0.0)
    return Metrics(
        texts=len(labels),
        accuracy=hits / len(labels),
        interval=interval_of(hits, len(labels)),
        f1=float(f1),
        roc_auc=_roc_auc(probabilities, labels),
        log_loss=float(losses(probabilities, labels).mean()),
        ece=calibration_error(reliability(probabilities, labels)),
    )


def interval_of(hits: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of a share (Wilson 1927)."""
    low, high = scipy.stats.binomtest(hits, count).proportion_ci(method="wilson")
    return float(low), float(high)


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return -ln(probability of the true label) of each text, float64 (texts,)."""
    true = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(true, np.finfo(np.float64).tiny))


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> tuple[Bin, ...]:
    """Compute confidence and accuracy by bin; empty bins are omitted.

    >>> reliability(np.array([[0.1, 0.9], [0.1, 0.9]]), np.array([1, 0]))[0].accuracy
    0.5
    """
    return binned(confidences(probabilities), most_probable(probabilities) == labels)


def binned(confidence: np.ndarray, right: np.ndarray) -> tuple[Bin, ...]:
    """Compute mean confidence and share of events by bin of the confidence; empty bins are omitted.

    Args:
        confidence: probabilities of events, float64 (events,).
        right: events that happened, bool (events,).
    """
    edges = np.linspace(0, 1, BINS + 1)
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    found = []
    for number in range(BINS):
        here = numbers == number
        if here.any():
            low, high = float(edges[number]), float(edges[number + 1])
            found.append(Bin(low, high, int(here.sum()), float(confidence[here].mean()), float(right[here].mean())))
    return tuple(found)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Compute the mean distance between confidence and accuracy, weighted by texts.

    It is 0 if, for example, four in five texts labelled with a confidence of 80% are right.
    """
    texts = sum(one.texts for one in bins)
    return sum(one.texts * abs(one.confidence - one.accuracy) for one in bins) / max(texts, 1)


def confusion(labels: np.ndarray, predicted: np.ndarray, label_count: int) -> np.ndarray:
    """Count texts by true (rows) and predicted (columns) label.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    counts = np.zeros((label_count, label_count), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def _roc_auc(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    count = probabilities.shape[1]
    if len(np.unique(labels)) < count:
        return None
    if count == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    return float(roc_auc_score(labels, probabilities, multi_class="ovr", labels=np.arange(count)))
