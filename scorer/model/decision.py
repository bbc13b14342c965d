"""From probabilities to the label that is written: the likeliest one, or as --threshold and --uncertain say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorer.base.errors import UsageError

UNCERTAIN = "uncertain"
"""The label of texts within --uncertain."""


def scores(probabilities: np.ndarray) -> np.ndarray:
    """The score of each text, (texts,): of two labels the second one's probability, of more the likeliest one's.

    Args:
        probabilities: float64 (texts, labels); NaN stays NaN.

    >>> scores(np.array([[0.7, 0.3]])).tolist(), scores(np.array([[0.2, 0.5, 0.3]])).tolist()
    ([0.3], [0.5])
    """
    return np.asarray(probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities.max(axis=1))


@dataclass(frozen=True)
class Decision:
    """How a label is chosen.

    Attributes:
        threshold: of two labels, the positive one is given from this probability of it on; None for one half.
        uncertain: from the first probability on, and below the second, the label is `UNCERTAIN`; None for no such band.
    """

    threshold: float | None = None
    uncertain: tuple[float, float] | None = None

    def check(self, labels: Sequence[str]) -> None:
        """Raise `UsageError` if it does not fit together, or not a model with these labels."""
        if self == Decision():
            return
        if len(labels) > 2:
            raise UsageError(
                f"--threshold and --uncertain are for two labels; the model has {len(labels)}: {', '.join(labels)}."
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:  # not a number, neither
            raise UsageError(f"--threshold {self.threshold:g} is not between 0 and 1.")
        if self.uncertain is None:
            return
        low, high = self.uncertain
        threshold = 0.5 if self.threshold is None else self.threshold
        if not (0 <= low <= threshold <= high <= 1 and low < high):
            raise UsageError(
                f"--uncertain {low:g},{high:g}: LOW, the threshold ({threshold:g}) and HIGH have to be in this order, "
                "between 0 and 1, and LOW below HIGH."
            )
        if UNCERTAIN in labels:
            raise UsageError(f"--uncertain cannot be used: the model has a label {UNCERTAIN!r} of its own.")

    def labels(self, probabilities: np.ndarray, labels: Sequence[str]) -> list[str]:
        """The label of each text; empty where its probabilities are NaN.

        Args:
            probabilities: float64 (texts, labels).
            labels: the model's.

        >>> Decision(uncertain=(0.4, 0.6)).labels(np.array([[0.7, 0.3], [0.5, 0.5]]), ["no", "yes"])
        ['no', 'uncertain']
        """
        names = [*labels, UNCERTAIN, ""]
        if probabilities.shape[1] == 2:
            positive = probabilities[:, 1]
            # Where both are equally likely it is the positive one: its logit is 0 then.
            found = (positive >= (0.5 if self.threshold is None else self.threshold)).astype(np.int64)
            if self.uncertain is not None:
                found[(positive >= self.uncertain[0]) & (positive < self.uncertain[1])] = len(labels)
        else:
            found = probabilities.argmax(axis=1)
        found[np.isnan(probabilities[:, 0])] = len(labels) + 1
        return [names[int(number)] for number in found]

    def doubt(self, probabilities: np.ndarray) -> np.ndarray:
        """How far each text is from another label, float64 (texts,); NaN where its probabilities are.

        Of two labels: from the nearest probability at which the label changes. Of more: the likeliest label's probability
        before the second one's.

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
    """Logits of shape (rows, 1) or (rows, labels) -> float64 probabilities of shape (rows, labels).

    One logit is the second label's: sigmoid. More are each label's: softmax. Divided by a temperature first
    (Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 9).

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """
    logits = logits.astype(np.float64) / temperature
    if logits.shape[1] == 1:  # the softmax of (0, x) is the sigmoid of x, and does not overflow
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
