"""Confidence of labels: held-out correctness by confidence, the promise of --max-error, and tonight's expected accuracy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

CONFIDENCES = (
    *(0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
    *(0.5, 0.525, 0.55, 0.575, 0.6, 0.625, 0.65, 0.675, 0.7, 0.725, 0.75, 0.775, 0.8, 0.82, 0.84, 0.86, 0.88),
    *(0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998, 0.999, 1.0),
)
"""Edges of the bins of confidences. They are chosen without any data, which the proof of `least_confidence` needs."""

RISK = 0.05
"""Largest probability that a promised error is exceeded."""

_MOST_TEXTS = 10_000_000  # a damaged manifest must not make the binomial tail long
_ROUNDING = 1e-6
_NORMAL_95 = 1.96
_MOST_UNKNOWN = 0.01

# Errors that can be promised, for advice: in steps that people would type.
_ERRORS = (*(number / 10_000 for number in range(1, 10)), *(number / 1_000 for number in range(1, 1_000)))


@dataclass(frozen=True)
class Correctness:
    """Held-out texts of a model by confidence, a number for each bin of `CONFIDENCES`.

    A bin includes its lower edge, and the last bin includes 1 as well.

    Attributes:
        texts: number of texts.
        right: number of texts whose most probable label is their own.
        confidence: mean confidence; 0 for a bin without texts.

    Raises:
        ValueError: the numbers contradict each other or the bins.
        TypeError: a number has the wrong type.
    """

    texts: tuple[int, ...]
    right: tuple[int, ...]
    confidence: tuple[float, ...]

    def __post_init__(self) -> None:
        bins = len(CONFIDENCES) - 1
        if any(len(numbers) != bins for numbers in (self.texts, self.right, self.confidence)):
            raise ValueError(f"confidence needs {bins} numbers each of texts, right and confidence")
        if not all(type(number) is int for number in (*self.texts, *self.right)):
            raise TypeError("confidence has texts or right ones that are not whole numbers")
        if not all(type(number) in (int, float) for number in self.confidence):
            raise TypeError("confidence has a mean that is not a number")
        if not all(0 <= right <= texts for texts, right in zip(self.texts, self.right, strict=True)):
            raise ValueError("confidence has more right texts than texts, or less than none")
        if sum(self.texts) > _MOST_TEXTS:
            raise ValueError(f"confidence counts more than {_MOST_TEXTS} texts")
        for (low, high), texts, mean in zip(pairwise(CONFIDENCES), self.texts, self.confidence, strict=True):
            if not (low - _ROUNDING <= mean <= high + _ROUNDING if texts else mean == 0):
                raise ValueError(f"confidence has a mean of {mean} in the bin from {low} to {high} of {texts} texts")


def parse_correctness(fields: Mapping[str, Any]) -> Correctness:
    """Parse the fields of a `Correctness` from JSON; raise `ValueError`, `TypeError` or `KeyError` if it is invalid."""
    if set(fields) != {"texts", "right", "confidence"}:
        raise ValueError(f"confidence has the wrong fields: {sorted(fields)}")
    return Correctness(tuple(fields["texts"]), tuple(fields["right"]), tuple(fields["confidence"]))


def most_probable(probabilities: np.ndarray) -> np.ndarray:
    """Return the index of each text's most probable label, int64 (texts,); of two equally probable ones, the second.

    >>> most_probable(np.array([[0.5, 0.5], [0.6, 0.4]])).tolist()
    [1, 0]
    """
    if probabilities.shape[1] == 2:  # the one logit of two labels is 0 then
        return np.asarray(probabilities[:, 1] >= 0.5).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1))


def confidences(probabilities: np.ndarray) -> np.ndarray:
    """Return the confidence of each text, the probability of its most probable label, float64 (texts,)."""
    return np.asarray(probabilities.max(axis=1))


def correctness_of(probabilities: np.ndarray, labels: np.ndarray) -> Correctness:
    """Count held-out texts by confidence.

    Args:
        probabilities: float64 (texts, labels), as a run would give them.
        labels: index of each text's own label, int64 (texts,).
    """
    sure = confidences(probabilities)
    right = most_probable(probabilities) == np.asarray(labels)
    bins = len(CONFIDENCES) - 1
    at = np.clip(np.searchsorted(CONFIDENCES, sure, side="right") - 1, 0, bins - 1)
    texts = np.bincount(at, minlength=bins)
    means = np.bincount(at, weights=sure, minlength=bins) / np.maximum(texts, 1)
    return Correctness(
        tuple(texts.tolist()),
        tuple(np.bincount(at[right], minlength=bins).tolist()),
        tuple(means.round(6).tolist()),
    )


def least_confidence(correctness: Correctness, max_error: float) -> float | None:
    """Return the least confidence at or above which at most a share of all labels is wrong; None if none is proven.

    The edges are tested from the surest down, each with the hypothesis "more than ``max_error`` of all texts at or above it
    are wrong". A hypothesis is rejected if the one-sided 95% bound of Clopper and Pearson (1934) on that share is at most
    ``max_error``. The first one that is not rejected ends the tests, and the edge before it is returned.

    The result is too low with a probability of at most `RISK`. It would take the rejection of the first true hypothesis in
    an order that is fixed beforehand, which is a single test. See Maurer, Hothorn, Lehmacher 1995, "Multiple comparisons in
    drug clinical trials", and Angelopoulos et al. 2021, "Learn then Test", section 2.

    Edges with too few texts for a rejection even without an error are passed over. Numbers of texts decide that, not
    labels, so the order is still fixed. The error falls with the confidence. So if such an edge is the first with a true
    hypothesis, that of the next edge is true as well.

    Args:
        correctness: held-out texts by confidence.
        max_error: largest share of wrong labels, at least 0 and below 1.
    """
    if not 0 <= max_error < 1:
        raise ValueError(f"max_error must be at least 0 and below 1, not {max_error}")
    if max_error == 0:  # no number of texts proves it
        return None
    needed = math.ceil(math.log(RISK) / math.log1p(-max_error))
    texts = wrong = 0
    least = None
    for edge, more, right in zip(CONFIDENCES[-2::-1], correctness.texts[::-1], correctness.right[::-1], strict=True):
        texts += more
        wrong += more - right
        if texts < needed:
            continue
        if binomial_tail(texts, max_error, wrong) > RISK:
            break
        least = edge
    return least


def least_error(correctness: Correctness) -> float | None:
    """Return the smallest error, in steps of 0.1% (below that of 0.01%), that `least_confidence` can promise; None if none."""
    return next((error for error in _ERRORS if least_confidence(correctness, error) is not None), None)


def share_above(correctness: Correctness, confidence: float) -> float:
    """Return the share of the held-out texts at or above an edge of `CONFIDENCES`."""
    above = sum(texts for edge, texts in zip(CONFIDENCES, correctness.texts, strict=False) if edge >= confidence)
    return above / max(1, sum(correctness.texts))


def binomial_tail(count: int, share: float, most: int) -> float:
    """Return the probability of at most ``most`` hits among ``count``, each with a probability of ``share``.

    >>> round(binomial_tail(59, 0.05, 0), 4), binomial_tail(10, 0.5, 10)
    (0.0485, 1.0)
    """
    if most >= count:
        return 1.0
    hits = np.arange(1, most + 1)
    steps = np.log((count - hits + 1) / hits) + (math.log(share) - math.log1p(-share))
    logs = count * math.log1p(-share) + np.concatenate([[0.0], np.cumsum(steps)])
    highest = float(logs.max())  # without it, every term of a large count would be 0
    return min(1.0, math.exp(highest) * float(np.exp(logs - highest).sum()))


@dataclass(frozen=True)
class ExpectedAccuracy:
    """Share of right labels that a model expects among rows whose own labels nobody knows.

    Attributes:
        value: mean confidence of the rows.
        low, high: 95% interval, which includes the error of the calibration and chance among the rows.
    """

    value: float
    low: float
    high: float


def expected_accuracy(
    correctness: Correctness, counts: Sequence[int], sum_: float, variance: float, different: float
) -> ExpectedAccuracy | str:
    """Return the expected accuracy of labelled rows, or the reason to withhold it.

    The gap between the accuracy and the mean confidence of the held-out texts, weighted by the rows' bins, widens the
    interval on its side. Its variance is that of the held-out accuracy of each bin, and that of the rows' own labels. One
    right and one wrong text are added to each bin, so that none is free of doubt.

    Args:
        correctness: held-out texts by confidence.
        counts: number of rows in each bin of `CONFIDENCES`.
        sum_: sum of their confidences p.
        variance: sum of p (1 - p).
        different: number of different texts among them; repeated texts are one draw.
    """
    rows = sum(counts)
    if not rows:
        return "no row got a label"
    shares = np.array(counts) / rows
    texts, right = np.array(correctness.texts), np.array(correctness.right)
    unknown = float(shares[texts == 0].sum())
    if unknown > _MOST_UNKNOWN:
        return f"{unknown:.1%} of the labelled rows have a confidence that none of the model's held-out texts had"
    known = np.maximum(texts, 1)
    gaps = np.where(texts > 0, right / known - np.array(correctness.confidence), 0.0)
    gap = float((shares * gaps).sum())
    smoothed = (right + 1) / (texts + 2)
    of_bins = float((shares**2 * smoothed * (1 - smoothed) / known).sum())
    value = sum_ / rows
    deviation = _NORMAL_95 * math.sqrt(of_bins + variance / rows / max(different, 1.0))
    low, high = min(value, value + gap) - deviation, max(value, value + gap) + deviation
    return ExpectedAccuracy(value, max(0.0, low), min(1.0, high))
