"""Labels from probabilities: the most probable one, unless --threshold, --uncertain or --max-error decide."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, SINGLE_LABEL, Task
from scorer.base.text import alternatives
from scorer.model.confidence import confidences, least_confidence, least_error, most_probable, share_above

if TYPE_CHECKING:
    from scorer.model.manifest import Manifest

UNCERTAIN = "uncertain"
"""Label of texts within the band of --uncertain, or below the confidence that --max-error needs."""


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
        max_error: largest share of wrong labels among the texts that are not `UNCERTAIN`, above 0 and below 1; None for no
            promise. `resolved` derives a confidence from it.
        confidence: least probability at which the most probable label is chosen; texts below it are `UNCERTAIN`. None for
            no limit.
    """

    threshold: float | None = None
    uncertain: tuple[float, float] | None = None
    max_error: float | None = None
    confidence: float | None = None

    @property
    def has_doubt(self) -> bool:
        """True if texts can be `UNCERTAIN`."""
        return (self.uncertain, self.max_error, self.confidence) != (None, None, None)

    @property
    def edges(self) -> tuple[float, ...]:
        """Probabilities of the positive label of two at which the label changes.

        >>> Decision().edges, Decision(confidence=0.75).edges, Decision(confidence=0.4).edges
        ((0.5,), (0.25, 0.75), (0.5,))
        """
        if self.confidence is not None and self.confidence > 0.5:
            return (round(1 - self.confidence, 9), self.confidence)
        return self.uncertain or (0.5 if self.threshold is None else self.threshold,)

    def check(self, labels: Sequence[str], task: Task = SINGLE_LABEL, *, cascade: bool = True) -> None:
        """Raise `UsageError` if the rule contradicts itself, or does not fit a model with these labels and this task.

        Args:
            labels: label names, in logit order; empty to check the rule alone.
            task: task of the model.
            cascade: False if the model's cascade is switched off.
        """
        if self == Decision():
            return
        if task != SINGLE_LABEL:
            gives = "each label that fits" if task == MULTI_LABEL else "numbers"
            raise UsageError(
                f"--threshold, --uncertain and --max-error need a model that chooses one label; this one gives {gives}. "
                "Omit them."
            )
        if self.has_doubt and UNCERTAIN in labels:
            option = "--uncertain" if self.uncertain is not None else "--max-error"
            raise UsageError(f"{option} cannot be used: the model has a label {UNCERTAIN!r} of its own.")
        if self.max_error is not None:
            self._check_max_error(self.max_error, cascade=cascade)
        if (self.threshold, self.uncertain) == (None, None):
            return
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

    def _check_max_error(self, max_error: float, *, cascade: bool) -> None:
        if not 0 < max_error < 1:
            raise UsageError(f"--max-error {max_error:g} is not above 0 and below 1; write 0.05 for 5%.")
        if (self.threshold, self.uncertain) != (None, None):
            raise UsageError(
                "--max-error chooses the labels that are uncertain; omit --threshold and --uncertain, or --max-error."
            )
        if not cascade:
            raise UsageError(
                "--max-error rests on held-out texts that were scored as the bundle states; omit --no-cascade or --max-error."
            )

    def resolved(self, manifest: "Manifest", precision: str) -> "Decision":
        """Return the rule with the confidence that a bundle's held-out texts prove for `max_error`, if there is one.

        Args:
            manifest: manifest of the bundle, whose labels and task are checked.
            precision: name of the precision to score in.

        Raises:
            UsageError: the bundle has no held-out texts in that precision, or they do not prove the error.
        """
        if self.max_error is None:
            return self
        if not manifest.confidence:
            raise UsageError(
                f"--max-error needs held-out texts by confidence, which the bundle {manifest.name} does not have; "
                "`score-model confidence BUNDLE -o NEW --data LABELLED` adds them."
            )
        correctness = manifest.confidence.get(precision)
        if correctness is None:
            raise UsageError(
                f"--max-error: the bundle {manifest.name} has no held-out texts in {precision}; "
                f"choose --precision {alternatives(sorted(manifest.confidence))}."
            )
        confidence = least_confidence(correctness, self.max_error)
        if confidence is not None:
            return replace(self, confidence=confidence)
        least = least_error(correctness)
        advice = "no error at all; omit --max-error"
        if least is not None:
            confidence = least_confidence(correctness, least)
            assert confidence is not None, "that is how it was found"
            share = share_above(correctness, confidence)
            advice = f"{least:g} at best, which leaves {share:.1%} of them with a label"
        raise UsageError(
            f"--max-error {self.max_error:g}: the {sum(correctness.texts):,} held-out texts of the bundle {manifest.name} "
            f"({precision}) do not prove it. They prove {advice}."
        )

    def labels(self, probabilities: np.ndarray, labels: Sequence[str]) -> list[str]:
        """Return the label of each text; empty if its probabilities are NaN.

        Args:
            probabilities: float64 (texts, labels).
            labels: label names, in logit order.

        >>> Decision(uncertain=(0.4, 0.6)).labels(np.array([[0.7, 0.3], [0.5, 0.5]]), ["no", "yes"])
        ['no', 'uncertain']
        >>> Decision(confidence=0.6).labels(np.array([[0.2, 0.6, 0.2], [0.5, 0.1, 0.4]]), ["a", "b", "c"])
        ['b', 'uncertain']
        """
        names = [*labels, UNCERTAIN, ""]
        if self.threshold is None:
            found = most_probable(probabilities)
        else:
            found = (probabilities[:, 1] >= self.threshold).astype(np.int64)
        if self.uncertain is not None:
            positive = probabilities[:, 1]
            found[(positive >= self.uncertain[0]) & (positive < self.uncertain[1])] = len(labels)
        if self.confidence is not None:
            found[confidences(probabilities) < self.confidence] = len(labels)
        found[np.isnan(probabilities[:, 0])] = len(labels) + 1
        return [names[int(number)] for number in found]

    def doubt(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the distance of each text from another label, float64 (texts,); NaN if its probabilities are NaN.

        With a least confidence, it is the distance of the text's confidence from that. Otherwise, with two labels, it is
        the distance to the nearest probability at which the label changes; with more, the difference between the two
        highest probabilities.

        Args:
            probabilities: float64 (texts, labels).

        >>> Decision(threshold=0.8).doubt(np.array([[0.7, 0.3], [0.1, 0.9]])).round(2).tolist()
        [0.5, 0.1]
        >>> Decision(confidence=0.6).doubt(np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])).round(2).tolist()
        [0.1, 0.1]
        """
        if probabilities.shape[1] == 2:
            return np.asarray(np.abs(probabilities[:, 1:] - np.array(self.edges)).min(axis=1))
        if self.confidence is not None:
            return np.asarray(np.abs(confidences(probabilities) - self.confidence))
        best = np.sort(probabilities, axis=1)[:, -2:]
        return np.asarray(best[:, 1] - best[:, 0])


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
