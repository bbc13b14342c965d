"""Agreement of a precision's answers with PyTorch's, by task, and the gate on it."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import scipy.stats

from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.model.interpretation import Interpretation, MultiLabel, Regression

LEAST_AGREEMENT = 0.99
"""Smallest agreement that the precisions of a bundle need."""

TOLERANCE = 1e-4
"""Largest difference of an fp32 logit that is allowed."""

_WORDS: Mapping[Task, str] = MappingProxyType(
    {
        SINGLE_LABEL: "the same label as PyTorch for {share} of {texts}",
        MULTI_LABEL: "the same answer as PyTorch for {share} of {texts} on the label that differs most",
        REGRESSION: "values that explain {share} of the variance of PyTorch's for {texts}",
    }
)


def agreement(interpretation: Interpretation, found: np.ndarray, expected: np.ndarray) -> float:
    """Return the agreement of logits with those of PyTorch, float32 (texts, logits) each; see `agreement_of_values`."""
    return agreement_of_values(interpretation, interpretation.values(found), interpretation.values(expected))


def agreement_of_values(interpretation: Interpretation, found: np.ndarray, expected: np.ndarray) -> float:
    """Return the agreement of answers with those of PyTorch, between 0 and 1.

    - One label: the share of texts with the same label.
    - Any number of labels: the share of texts that both give a label, or both do not; of the label with the lowest share.
    - Numbers: the share of the variance of PyTorch's values that is explained; of the output with the lowest share. It is 1
      if the values differ by no more than `TOLERANCE` in standardised units, however little PyTorch's vary.

    Args:
        interpretation: meaning of the logits.
        found, expected: probabilities or values, float64 (texts, labels).
    """
    if isinstance(interpretation, MultiLabel):
        same = interpretation.given(found) == interpretation.given(expected)
        return float(same.mean(axis=0).min())
    if isinstance(interpretation, Regression):
        return _explained(found, expected, interpretation.scale)
    answers = (interpretation.answers(values) for values in (found, expected))
    return float(np.mean([one == other for one, other in zip(*answers, strict=True)]))


def _explained(found: np.ndarray, expected: np.ndarray, scale: tuple[float, ...]) -> float:
    error = (found - expected) ** 2
    left = error.sum(axis=0)
    whole = ((expected - expected.mean(axis=0)) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = 1 - left / whole
    shares[error.max(axis=0) <= (TOLERANCE * np.array(scale)) ** 2] = 1
    return float(np.clip(np.nan_to_num(shares, nan=0.0), 0, 1).min())  # a NaN must not pass


def is_too_low(share: float, rows: int, task: Task = SINGLE_LABEL) -> bool:
    """Return whether an agreement is below `LEAST_AGREEMENT`, and chance does not explain it.

    A share of texts gets a one-sided binomial test, because a small sample proves little: one label in 60 is 1.7% already.
    It is too low if a precision that agrees on `LEAST_AGREEMENT` of all texts would agree so rarely less than once in 1,000
    times. A share of a variance has no such slack.

    >>> is_too_low(59 / 60, 60), is_too_low(54 / 60, 60), is_too_low(0.987, 25_000)
    (False, True, True)
    >>> is_too_low(59 / 60, 60, "regression")
    True
    """
    if task == REGRESSION:
        return not share >= LEAST_AGREEMENT
    differing = round((1 - share) * rows)
    return bool(scipy.stats.binom.sf(differing - 1, rows, 1 - LEAST_AGREEMENT) < 0.001)


def agreement_words(task: Task, share: str, texts: str) -> str:
    """Return an agreement in words, to follow "gives".

    >>> agreement_words("single_label", "99.50%", "the test texts")
    'the same label as PyTorch for 99.50% of the test texts'
    """
    return _WORDS[task].format(share=share, texts=texts)
