"""Metrics of models that give a text any number of labels: F1 over all labels and by label, and calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.evaluation.bootstrap import bootstrap_interval, resampled
from export.evaluation.metrics import Bin, binned, calibration_error, interval_of

LABEL_HEAD = ("label", "texts", "precision", "recall", "F1")
"""Names of `label_cells`."""


@dataclass(frozen=True)
class LabelMetrics:
    """Metrics of texts that each have any number of labels.

    Attributes:
        texts: number of texts.
        micro_f1: F1 of all pairs of a text and a label; 0 if no text has or gets a label.
        interval: 95% interval of ``micro_f1``, by the bootstrap over texts.
        macro_f1: mean F1 of the labels; that of a label that no text has or gets is 0.
        macro_interval: 95% interval of ``macro_f1``.
        exact: share of texts that get exactly their labels.
        exact_interval: 95% interval of ``exact`` (Wilson 1927).
        log_loss: mean of -ln(probability of the truth) over all pairs of a text and a label.
        ece: mean of the labels' expected calibration errors, each over bins of the label's probability.
    """

    texts: int
    micro_f1: float
    interval: tuple[float, float] | None
    macro_f1: float
    macro_interval: tuple[float, float] | None
    exact: float
    exact_interval: tuple[float, float]
    log_loss: float
    ece: float


@dataclass(frozen=True)
class OneLabel:
    """Metrics of one label.

    Attributes:
        name: name of the label.
        texts: number of texts that have it.
        precision: share of the texts that get it which have it; 0 if none gets it.
        recall: share of the texts that have it which get it; 0 if none has it.
        f1: harmonic mean of both.
    """

    name: str
    texts: int
    precision: float
    recall: float
    f1: float


def label_metrics(probabilities: np.ndarray, given: np.ndarray, truth: np.ndarray) -> LabelMetrics:
    """Compute the metrics of predictions.

    Args:
        probabilities: probability of each label, float64 (texts, labels).
        given: labels that the texts get, bool (texts, labels).
        truth: labels that they have, int64 (texts, labels), 0 or 1.
    """
    have = truth.astype(bool)
    right, wrong, exact = given & have, given != have, int((given == have).all(axis=1).sum())
    count = truth.shape[1]
    parts = np.concatenate([right, wrong], axis=1)
    micro, macro = _figures(parts.sum(axis=0, dtype=np.float64)[np.newaxis], count)
    micros, macros = _figures(resampled(parts), count)
    return LabelMetrics(
        texts=len(truth),
        micro_f1=float(micro[0]),
        interval=bootstrap_interval(micros),
        macro_f1=float(macro[0]),
        macro_interval=bootstrap_interval(macros),
        exact=exact / len(truth),
        exact_interval=interval_of(exact, len(truth)),
        log_loss=float(label_losses(probabilities, truth).mean()),
        ece=float(np.mean([calibration_error(binned(probabilities[:, one], have[:, one])) for one in range(count)])),
    )


def _figures(sums: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute micro and macro F1 of each row from sums, float64 (rows, 2 * labels): right pairs, then wrong ones."""
    right, wrong = sums[:, :count], sums[:, count:]
    return f1(right.sum(axis=1), wrong.sum(axis=1)), f1(right, wrong).mean(axis=1)


def f1(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Compute F1 from the numbers of true positives, and of false positives and false negatives together; 0 without any.

    >>> f1(np.array([3.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.75, 0.0]
    """
    return np.asarray(2 * right / np.maximum(2 * right + wrong, 1))


def each_label(labels: Sequence[str], given: np.ndarray, truth: np.ndarray) -> list[OneLabel]:
    """Compute the metrics of each label.

    Args:
        labels: label names.
        given, truth: as for `label_metrics`.
    """
    have = truth.astype(bool)
    right, got, had = (one.sum(axis=0) for one in (given & have, given, have))
    precision, recall = right / np.maximum(got, 1), right / np.maximum(had, 1)
    both = f1(right.astype(np.float64), got + had - 2.0 * right)
    columns = zip(labels, had, precision, recall, both, strict=True)
    return [OneLabel(name, int(texts), *map(float, figures)) for name, texts, *figures in columns]


def label_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Format the metrics of one label, by field of `OneLabel`, as cells of a table; empty ones if no text has it."""
    figures = ("precision", "recall", "f1")
    return one["name"], f"{one['texts']:,}", *(f"{one[figure]:.4f}" if one["texts"] else "" for figure in figures)


def label_losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return -ln(probability of the truth) of each pair of a text and a label, float64 (texts, labels)."""
    true = np.where(truth.astype(bool), probabilities, 1 - probabilities)
    return -np.log(np.maximum(true, np.finfo(np.float64).tiny))


def label_reliability(probabilities: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
    """Compute probability and share of texts with the label, over all pairs of a text and a label, by bin."""
    return binned(probabilities.ravel(), truth.astype(bool).ravel())
