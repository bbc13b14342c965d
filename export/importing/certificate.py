"""The certificate of an import: how far each precision is from PyTorch and from transformers' own pipeline, and the gates."""

from dataclasses import dataclass

import numpy as np

from export.errors import ParityError
from export.evaluation.metrics import interval_of, predictions
from export.graph.parity import TOLERANCE
from scorer.model.decision import probabilities

PROBABILITY_TOLERANCE = 1e-5
"""Largest difference of an fp32 probability that is allowed."""

TIE = 1e-5
"""Difference of the two best probabilities up to which a text has no clear label."""


@dataclass(frozen=True)
class Distance:
    """Absolute differences of numbers: the largest, and the mean."""

    largest: float
    mean: float


@dataclass(frozen=True)
class Kept:
    """Texts that keep their label.

    Attributes:
        texts: number of texts.
        share: share that keeps its label; a text without a clear one counts as kept.
        interval: 95% interval of the share (Wilson 1927).
    """

    texts: int
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Piped:
    """Results of transformers' own pipeline.

    Attributes:
        rows: numbers of the texts that it was given, int64 (rows,): those for which it reads the same tokens.
        labels: label numbers in the bundle's order, int64 (rows,).
        scores: probabilities of these labels, float64 (rows,).
    """

    rows: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class AgainstPipeline:
    """Comparison with transformers' own pipeline.

    Attributes:
        probability: difference of the positive label's probability; with more labels, that of the pipeline's label.
        labels: texts that keep the pipeline's label.
    """

    probability: Distance
    labels: Kept


@dataclass(frozen=True)
class Certificate:
    """Comparison of a precision with PyTorch, at a temperature of 1.

    Attributes:
        texts: number of texts compared.
        logit, probability: differences from PyTorch.
        labels: texts that keep PyTorch's label.
        pipeline: comparison with the pipeline; None for a model that it cannot run.
    """

    texts: int
    logit: Distance
    probability: Distance
    labels: Kept
    pipeline: AgainstPipeline | None


def certify(found: np.ndarray, expected: np.ndarray, piped: Piped | None) -> Certificate:
    """Compare logits of a graph with those of PyTorch.

    Args:
        found: logits of the graph, float32 (texts, logits).
        expected: logits of PyTorch's whole model, of the same shape.
        piped: results of the pipeline on some of the texts, or None.
    """
    ours, theirs = probabilities(found), probabilities(expected)
    unclear = are_unclear(theirs)
    same = (predictions(ours) == predictions(theirs)) | unclear
    pipeline = None
    if piped is not None and len(piped.rows):
        some = ours[piped.rows]
        pipeline = AgainstPipeline(
            _distance(_probability(some, piped.labels), _probability_of(piped, ours.shape[1])),
            _kept((predictions(some) == piped.labels) | unclear[piped.rows]),
        )
    return Certificate(len(found), _distance(found, expected), _distance(ours, theirs), _kept(same), pipeline)


def are_unclear(found: np.ndarray) -> np.ndarray:
    """Return whether the two best of the probabilities, (texts, labels), are within `TIE`, bool (texts,).

    >>> are_unclear(np.array([[0.5, 0.500001, 0.0], [0.4, 0.6, 0.0]])).tolist()
    [True, False]
    """
    best = np.sort(found, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0] <= TIE)


def logit_tolerance(expected: np.ndarray) -> float:
    """Return the largest difference of an fp32 logit that is allowed, given PyTorch's logits (texts, logits).

    It is relative to their standard deviation over the texts if that is above 1: large logits have large rounding errors.

    >>> logit_tolerance(np.array([[-20.0], [20.0]]))
    0.002
    """
    return float(TOLERANCE * max(1.0, float(expected.std(axis=0).max())))


def check_fp32(certificate: Certificate, tolerance: float) -> None:
    """Raise `ParityError` unless fp32 is PyTorch's model to within rounding errors.

    Args:
        certificate: certificate of fp32.
        tolerance: largest difference of a logit that is allowed.
    """
    for what, distance, allowed in (
        ("logit", certificate.logit, tolerance),
        ("probability", certificate.probability, PROBABILITY_TOLERANCE),
    ):
        if not distance.largest <= allowed:  # a NaN must not pass
            raise ParityError(
                f"fp32 differs from PyTorch by {distance.largest:.2g} in a {what} over {certificate.texts:,} texts; at most "
                f"{allowed:.2g} is allowed. No bundle was written."
            )


def _probability(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability of the positive label of two, or else of the given label of each text."""
    return found[:, 1] if found.shape[1] == 2 else found[np.arange(len(labels)), labels]


def _probability_of(piped: Piped, label_count: int) -> np.ndarray:
    """Return the probability of the positive label of two, or else of its own label, that a pipeline gives."""
    return np.where(piped.labels == 1, piped.scores, 1 - piped.scores) if label_count == 2 else piped.scores


def _distance(found: np.ndarray, expected: np.ndarray) -> Distance:
    distance = np.abs(found.astype(np.float64) - expected)
    return Distance(float(distance.max()), float(distance.mean()))


def _kept(same: np.ndarray) -> Kept:
    return Kept(len(same), float(same.mean()), interval_of(int(same.sum()), len(same)))
