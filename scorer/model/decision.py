"""Labels from probabilities: the most probable one, unless --threshold and --uncertain decide."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, SINGLE_LABEL, Task

UNCERTAIN = "uncertain"
"""Label of texts within the band of --uncertain."""


def scores(probabilities: np.ndarray) -> np.ndarray:
    """Return the score of each text, float64 (texts,).

    It is the probability of the second label if there are two, otherwise that of the most probable label.

    Args:
        probabilities: float64 (texts, labels); NaN stays NaN.

    >>> scores(np.array([[0.7, 0.3]])).tolist(), scores(np.array([[0.2, 0.5, 0.3]])).tolist()
    ([0.3], [0.5])
    """
    return np.asarray(probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities.max(axis=1))


@dataclass(frozen=True)
class Decision:
    """The rule that chooses a label.

    Attributes:
        threshold: least probability at which the positive label of two is chosen; None for one half.
        uncertain: band of probabilities of the positive label that are `UNCERTAIN`, at least the first and below the
            second; None for no band.
    """

    threshold: float | None = None
    uncertain: tuple[float, float] | None = None

    def check(self, labels: Sequence[str], task: Task = SINGLE_LABEL) -> None:
        """Raise `UsageError` if the rule contradicts itself, or does not fit a model with these labels and this task."""
        if self == Decision():
            return
        if task != SINGLE_LABEL:
            gives = "each label that fits" if task == MULTI_LABEL else "numbers"
            raise UsageError(
                f"--threshold and --uncertain need a model that chooses one label; this one gives {gives}. Omit them."
            )
        if len(labels) > 2:
            raise UsageError(
                f"--threshold and --uncertain need a model with two labels; this one has {len(labels)}: {', '.join(labels)}."
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:  # refuses NaN as well
            raise UsageError(f"--threshold {self.threshold:g} is not between 0 and 1.")
        if self.uncertain is None:
            return
        low, high = self.uncertain
        threshold = 0.5 if self.threshold is None else self.threshold
        if not (0 <= low <= threshold <= high <= 1 and low < high):
            raise UsageError(
                f"--uncertain {low:g},{high:g}: LOW, the threshold ({threshold:g}) and HIGH must be in this order and "
                "between 0 and 1, with LOW below HIGH."
            )
        if UNCERTAIN in labels:
            raise UsageError(f"--uncertain cannot be used: the model has a label {UNCERTAIN!r} of its own.")

    def labels(self, probabilities: np.ndarray, labels: Sequence[str]) -> list[str]:
        """Return the label of each text; empty if its probabilities are NaN.

        Args:
            probabilities: float64 (texts, labels).
            labels: label names, in logit order.

        >>> Decision(uncertain=(0.4, 0.6)).labels(np.array([[0.7, 0.3], [0.5, 0.5]]), ["no", "yes"])
        ['no', 'uncertain']
        """
        names = [*labels, UNCERTAIN, ""]
        if probabilities.shape[1] == 2:
            positive = probabilities[:, 1]
            # If both are equally probable, the label is the positive one: its logit is 0 then.
            found = (positive >= (0.5 if self.threshold is None else self.threshold)).astype(np.int64)
            if self.uncertain is not None:
                found[(positive >= self.uncertain[0]) & (positive < self.uncertain[1])] = len(labels)
        else:
            found = probabilities.argmax(axis=1)
        found[np.isnan(probabilities[:, 0])] = len(labels) + 1
        return [names[int(number)] for number in found]

    def doubt(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the distance of each text from another label, float64 (texts,); NaN if its probabilities are NaN.

        With two labels, it is the distance to the nearest probability at which the label changes. With more, it is the
        difference between the two highest probabilities.

        Args:
            probabilities: float64 (texts, labels).

        >>> Decision(threshold=0.8).doubt(np.array([[0.7, 0.3], [0.1, 0.9]])).round(2).tolist()
        [0.5, 0.1]
        """
        if probabilities.shape[1] != 2:
            best = np.sort(probabilities, axis=1)[:, -2:]
            return np.asarray(best[:, 1] - best[:, 0])
        edges = np.array(self.uncertain or [0.5 if self.threshold is None else self.threshold])
        return np.asarray(np.abs(probabilities[:, 1:] - edges).min(axis=1))


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Turn logits, (rows, 1) or (rows, labels), into float64 probabilities, (rows, labels).

    A single logit is that of the second label, and gets a sigmoid. Several are those of each label, and get a softmax.
    They are first divided by the temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 9).

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """
    logits = logits.astype(np.float64) / temperature
    if logits.shape[1] == 1:  # the softmax of (0, x) is the sigmoid of x, and does not overflow
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
