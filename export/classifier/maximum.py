"""Linear models of windows at the optimum of a regularised objective, for texts whose logit is the largest of their windows.

A text has a label if a window has it, but nobody knows the window: this is multiple-instance learning. The loss of a text
without the label is convex in the weights, since it grows with the largest of linear functions. The loss of a text with the
label is not. So each round fixes the window that is the largest for each such text, and fits the weights, as MI-SVM does
(Andrews et al. 2003, "Support Vector Machines for Multiple-Instance Learning"). The logit of a fixed window is at most the
text's, so the loss falls in each round. L-BFGS copes with the kinks of the maximum (Lewis and Overton 2013, "Nonsmooth
optimization via quasi-Newton methods"), but may stop early at one.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from export.classifier.combining import largest
from export.classifier.optimum import Linear, Pointwise, cross_entropy, descended
from scorer.engine.windows import Split

_ROUNDS = 10
# At the kinks of a maximum, smaller gains take thousands of steps, and are forgotten with the next choice of windows.
_STEPS = 300
_LEAST_GAIN_OF_A_STEP = 1e-7
_LEAST_GAIN = 1e-6  # of the loss, relative; with less, the rounds end


def optima_of_largest(
    features: np.ndarray, targets: np.ndarray, split: Split, strengths: Iterable[float]
) -> Iterator[tuple[float, Linear]]:
    """Yield each strength of the penalty ``l2 / 2 * |weights|^2`` per text with the best weights and biases found.

    Args:
        features: standardised features of the windows, float64 (windows, features).
        targets: 1 for each label that a text has and 0 for others, int64 (texts, labels).
        split: windows of the texts.
        strengths: strengths of the penalty. The first fit starts from the optimum for the means of the texts' windows,
            and each other one from the previous fit.
    """
    means = np.add.reduceat(features, split.begins) / split.counts[:, np.newaxis]
    found = None
    for l2 in strengths:
        if found is None:
            found = descended(means, targets, l2, cross_entropy, None)
        found = _alternated(features, targets, split, l2, found)
        yield l2, (found[:-1].T, found[-1])


def _alternated(features: np.ndarray, targets: np.ndarray, split: Split, l2: float, start: np.ndarray) -> np.ndarray:
    """Choose windows and fit, at most `_ROUNDS` times; return the weights and biases with the least loss.

    Args:
        features, targets, split: as for `optima_of_largest`.
        l2: strength of the penalty.
        start: weights, and biases as the last row, float64 (features + 1, labels).
    """

    def loss(both: np.ndarray) -> tuple[float, np.ndarray]:
        logits = features @ both[:-1] + both[-1]
        windows = largest(logits, split)
        losses = cross_entropy(np.take_along_axis(logits, windows, axis=0), targets)[0]
        return float(losses.sum() / len(targets) + l2 / 2 * (both[:-1] ** 2).sum()), windows

    best, (least, windows) = start, loss(start)
    for _ in range(_ROUNDS):
        pointwise = _with_fixed(windows, split)
        found = descended(features, targets, l2, pointwise, best, most=_STEPS, least_gain=_LEAST_GAIN_OF_A_STEP)
        reached, next_windows = loss(found)
        if reached < least:
            best = found
        if reached >= least * (1 - _LEAST_GAIN) or (next_windows == windows)[targets == 1].all():
            break
        least, windows = reached, next_windows
    return best


def _with_fixed(fixed: np.ndarray, split: Split) -> Pointwise:
    """Return the loss of windows' logits, (windows, labels), with the windows fixed that stand for texts with a label.

    Args:
        fixed: number of the window that stands for each text and label, int64 (texts, labels).
        split: windows of the texts.
    """

    def pointwise(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        windows = np.where(targets == 1, fixed, largest(logits, split))
        losses, slopes = cross_entropy(np.take_along_axis(logits, windows, axis=0), targets)
        of_windows = np.zeros_like(logits)
        np.put_along_axis(of_windows, windows, slopes, axis=0)
        return losses, of_windows

    return pointwise
