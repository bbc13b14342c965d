"""The certificate of an import: how far each precision is from PyTorch and from transformers' own pipeline, and the gates."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from export.classifier.agreement import TOLERANCE, agreement_of_values
from export.errors import ParityError
from export.evaluation.metrics import interval_of
from scorer.base.task import MULTI_LABEL
from scorer.model.confidence import most_probable
from scorer.model.decision import probabilities
from scorer.model.interpretation import Interpretation, Regression, sigmoid

PROBABILITY_TOLERANCE = 1e-5
"""Largest difference of an fp32 probability that is allowed."""

TIE = 1e-5
"""Difference of the two best probabilities up to which a text has no clear label."""


_STEPS = 4  # of float32, by which two orders of the same sum may differ


@dataclass(frozen=True)
class Distance:
    """Absolute differences of numbers: the largest, and the mean."""

    largest: float
    mean: float


@dataclass(frozen=True)
class Kept:
    """Texts that keep their label, or all of their labels.

    Attributes:
        texts: number of texts.
        share: share that keeps its label; a text without a clear one counts as kept.
        interval: 95% interval of the share (Wilson 1927).
    """

    texts: int
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Explained:
    """Values that another model's values explain.

    Attributes:
        texts: number of texts.
        share: share of the variance that is explained, see `export.classifier.agreement.agreement_of_values`.
    """

    texts: int
    share: float


@dataclass(frozen=True)
class Piped:
    """Results of transformers' own pipeline.

    Attributes:
        rows: numbers of the texts that it was given, int64 (rows,): those for which it reads the same tokens.
        labels: label numbers in the bundle's order, int64 (rows,); None if it does not choose one label.
        scores: probabilities of these labels, float64 (rows,); without ``labels``, the probabilities or values of all labels,
            float64 (rows, labels).
    """

    rows: np.ndarray
    labels: np.ndarray | None
    scores: np.ndarray


@dataclass(frozen=True)
class AgainstPipeline:
    """Comparison with transformers' own pipeline.

    Attributes:
        probability: difference of the positive label's probability; with more labels, that of the pipeline's label. With any
            number of labels a text, of all probabilities.
        labels: texts that keep the pipeline's labels.
        value, explained: difference and explained variance of the pipeline's values, for a regression instead of the above.
    """

    probability: Distance | None
    labels: Kept | None
    value: Distance | None = None
    explained: Explained | None = None


@dataclass(frozen=True)
class Certificate:
    """Comparison of a precision with PyTorch, at temperatures of 1 and thresholds of one half.

    Attributes:
        texts: number of texts compared.
        logit, probability: differences from PyTorch; a regression has no probability.
        labels: texts that keep PyTorch's labels; None for a regression.
        pipeline: comparison with the pipeline; None for a model that it cannot run.
        least: share of texts that get the label alike, or do not, of the label with the lowest share; None if each text has
            one label, and for a regression.
        value, explained: difference and explained variance of PyTorch's values, in their unit; of a regression alone.
    """

    texts: int
    logit: Distance
    probability: Distance | None
    labels: Kept | None
    pipeline: AgainstPipeline | None
    least: float | None = None
    value: Distance | None = None
    explained: Explained | None = None

    @property
    def agreement(self) -> float:
        """Agreement with PyTorch that a precision needs, see `export.classifier.agreement.agreement_of_values`."""
        if self.explained is not None:
            return self.explained.share
        assert self.labels is not None, "without values, there are labels"
        return self.labels.share if self.least is None else self.least

    def fields(self) -> dict[str, Any]:
        """Return what the manifest holds: all but what the task does not have."""
        found = asdict(self)
        for one in (found, found["pipeline"] or {}):
            for name in ("probability", "labels", "least", "value", "explained"):
                if one.get(name, ...) is None:
                    del one[name]
        return found


def certificate_of(
    interpretation: Interpretation, found: np.ndarray, expected: np.ndarray, piped: Piped | None
) -> Certificate:
    """Compare logits of a graph with those of PyTorch, by task.

    Args:
        interpretation: meaning of the logits.
        found, expected, piped: as for `certify`.
    """
    if isinstance(interpretation, Regression):
        return certify_values(found, expected, piped, interpretation)
    return (certify_sets if interpretation.task == MULTI_LABEL else certify)(found, expected, piped)


def certify(found: np.ndarray, expected: np.ndarray, piped: Piped | None) -> Certificate:
    """Compare logits of a graph that chooses one label with those of PyTorch.

    Args:
        found: logits of the graph, float32 (texts, logits).
        expected: logits of PyTorch's whole model, of the same shape.
        piped: results of the pipeline on some of the texts, or None.
    """
    ours, theirs = probabilities(found), probabilities(expected)
    unclear = are_unclear(theirs)
    same = (most_probable(ours) == most_probable(theirs)) | unclear
    pipeline = None
    if piped is not None and len(piped.rows):
        assert piped.labels is not None, "the pipeline chooses one label"
        some = ours[piped.rows]
        pipeline = AgainstPipeline(
            _distance(_probability(some, piped.labels), _probability_of(piped.labels, piped.scores, ours.shape[1])),
            _kept((most_probable(some) == piped.labels) | unclear[piped.rows]),
        )
    return Certificate(len(found), _distance(found, expected), _distance(ours, theirs), _kept(same), pipeline)


def certify_sets(found: np.ndarray, expected: np.ndarray, piped: Piped | None) -> Certificate:
    """Compare logits of a graph that gives any number of labels with those of PyTorch, at thresholds of one half.

    Args:
        found, expected, piped: as for `certify`.
    """
    ours, theirs = sigmoid(found), sigmoid(expected)
    alike = _same_answers(ours, theirs)
    pipeline = None
    if piped is not None and len(piped.rows):
        some = ours[piped.rows]
        kept = _kept(_same_answers(some, piped.scores))
        pipeline = AgainstPipeline(_distance(some, piped.scores), kept)
    return Certificate(
        len(found),
        _distance(found, expected),
        _distance(ours, theirs),
        _kept(alike),
        pipeline,
        least=float(alike.mean(axis=0).min()),
    )


def certify_values(
    found: np.ndarray, expected: np.ndarray, piped: Piped | None, interpretation: Regression
) -> Certificate:
    """Compare logits of a graph that gives values with those of PyTorch.

    Args:
        found, expected, piped: as for `certify`.
        interpretation: unit of the values.
    """
    ours, theirs = interpretation.values(found), interpretation.values(expected)
    pipeline = None
    if piped is not None and len(piped.rows):
        some, explained = ours[piped.rows], partial(agreement_of_values, interpretation)
        pipeline = AgainstPipeline(
            None, None, _distance(some, piped.scores), Explained(len(some), explained(some, piped.scores))
        )
    return Certificate(
        len(found),
        _distance(found, expected),
        None,
        None,
        pipeline,
        value=_distance(ours, theirs),
        explained=Explained(len(found), agreement_of_values(interpretation, ours, theirs)),
    )


def are_unclear(found: np.ndarray) -> np.ndarray:
    """Return whether the two best of the probabilities, (texts, labels), are within `TIE`, bool (texts,).

    >>> are_unclear(np.array([[0.5, 0.500001, 0.0], [0.4, 0.6, 0.0]])).tolist()
    [True, False]
    """
    best = np.sort(found, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0] <= TIE)


def _same_answers(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return whether each text gets each label alike, bool (texts, labels); true if its probability is not clear."""
    return np.asarray(((ours >= 0.5) == (theirs >= 0.5)) | (np.abs(theirs - 0.5) <= TIE))


def logit_tolerance(expected: np.ndarray, interpretation: Interpretation | None = None) -> float:
    """Return the largest difference of an fp32 logit that is allowed.

    It is relative to the logits' standard deviation over the texts if that is above 1: large logits have large rounding
    errors. For a regression it is at least a few steps of float32 at its largest value: a model that computes values around
    2,000 in float32 knows them to 0.0001.

    Args:
        expected: logits of PyTorch, (texts, logits).
        interpretation: meaning of the logits; None for one without a unit.

    >>> logit_tolerance(np.array([[-20.0], [20.0]]))
    0.002
    """
    tolerance = TOLERANCE * max(1.0, float(expected.std(axis=0).max()))
    if not isinstance(interpretation, Regression):
        return tolerance
    largest = np.abs(interpretation.values(expected)).max(axis=0)
    steps = np.spacing(largest.astype(np.float32)) / np.array(interpretation.scale)
    return max(tolerance, _STEPS * float(steps.max()))


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
        if distance is not None and not distance.largest <= allowed:  # a NaN must not pass
            raise ParityError(
                f"fp32 differs from PyTorch by {distance.largest:.2g} in a {what} over {certificate.texts:,} texts; at most "
                f"{allowed:.2g} is allowed. No bundle was written."
            )


def _probability(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the probability of the positive label of two, or else of the given label of each text."""
    return found[:, 1] if found.shape[1] == 2 else found[np.arange(len(labels)), labels]


def _probability_of(labels: np.ndarray, scores: np.ndarray, label_count: int) -> np.ndarray:
    """Return the probability of the positive label of two, or else of its own label, that a pipeline gives."""
    return np.where(labels == 1, scores, 1 - scores) if label_count == 2 else scores


def _distance(found: np.ndarray, expected: np.ndarray) -> Distance:
    distance = np.abs(found.astype(np.float64) - expected)
    return Distance(float(distance.max()), float(distance.mean()))


def _kept(same: np.ndarray) -> Kept:
    """Count texts that keep their label, bool (texts,), or all of their labels, bool (texts, labels)."""
    kept = np.asarray(same.reshape(len(same), -1).all(axis=1))
    return Kept(len(kept), float(kept.mean()), interval_of(int(kept.sum()), len(kept)))
