"""Interpretations of a model's logits, by task: probabilities or values, labels, and the score that histograms count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.model.decision import Decision, probabilities, scores
from scorer.model.reference import SCORE_EDGES, VALUE_EDGES

if TYPE_CHECKING:
    from scorer.model.manifest import Manifest

Answer = str | tuple[str, ...]
"""The label of a text; all of its labels, in logit order; or, for numbers, the empty text."""


class Interpretation(Protocol):
    """The meaning of a model's logits.

    Attributes:
        labels: label names, or the names of the outputs of a regression.
    """

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def task(self) -> Task: ...

    @property
    def logit_count(self) -> int:
        """Number of logits: one if one of two labels is chosen, otherwise one for each label or output."""
        ...

    @property
    def score_edges(self) -> tuple[float, ...]:
        """Edges of the histogram of `scores`."""
        ...

    def values(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities or values of logits, (texts, logits): float64 (texts, labels). NaN stays NaN."""
        ...

    def answers(self, values: np.ndarray) -> Sequence[Answer]:
        """Return the answer to each text, from the result of `values`; an empty one for NaN."""
        ...

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the number of each text that histograms and examples go by, float64 (texts,), from the result of `values`."""
        ...

    def doubt(self, values: np.ndarray) -> np.ndarray:
        """Return the distance of each text from another answer, float64 (texts,); NaN if it has none."""
        ...

    def margins(self, logits: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Return how clearly each window of a text gives the text's answer; below 0 if it gives another one.

        Args:
            logits: logits of the windows, (windows, logits).
            whole: logits of the text that each window belongs to, (windows, logits).

        Returns:
            float64 (windows,), comparable within a text only
        """
        ...


@dataclass(frozen=True)
class SingleLabel:
    """One label of several: a softmax, or for two labels a sigmoid.

    Attributes:
        labels: label names, in logit order.
        temperature: divisor of the logits.
        decision: rule that chooses the label.
        ordered: whether the labels are numbers, whose mean is of use.
    """

    labels: tuple[str, ...]
    temperature: float = 1.0
    decision: Decision = Decision()
    ordered: bool = False

    @property
    def task(self) -> Task:
        return SINGLE_LABEL

    @property
    def logit_count(self) -> int:
        return 1 if len(self.labels) == 2 else len(self.labels)

    @property
    def score_edges(self) -> tuple[float, ...]:
        return SCORE_EDGES

    def values(self, logits: np.ndarray) -> np.ndarray:
        return probabilities(logits, self.temperature)

    def answers(self, values: np.ndarray) -> list[str]:
        return self.decision.labels(values, self.labels)

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the probability of the second label of two, or that of the most probable label."""
        return scores(values)

    def doubt(self, values: np.ndarray) -> np.ndarray:
        return self.decision.doubt(values)

    def margins(self, logits: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Return the distance from the best other label, in logits.

        >>> two, three = SingleLabel(("a", "b")), SingleLabel(("a", "b", "c"))
        >>> two.margins(np.array([[-2.0], [1.0]]), np.array([[-1.0], [-1.0]])).tolist()
        [2.0, -1.0]
        >>> three.margins(np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 3.0, 2.0]])).tolist()
        [-2.0]
        """
        if self.logit_count == 1:
            return _towards(whole[:, 0]) * logits[:, 0]
        rows, answers = np.arange(len(logits)), whole.argmax(axis=1)
        others = logits.astype(np.float64)
        others[rows, answers] = -np.inf
        return np.asarray(logits[rows, answers] - others.max(axis=1))

    def expected(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of ordered labels under their probabilities, float64 (texts,).

        >>> SingleLabel(("1", "2", "4"), ordered=True).expected(np.array([[0.5, 0.25, 0.25]])).tolist()
        [2.0]
        """
        return values @ np.array([float(label) for label in self.labels])


@dataclass(frozen=True)
class MultiLabel:
    """Any number of labels: a sigmoid for each.

    Attributes:
        labels: label names, in logit order.
        temperatures: divisors of the logits, one for each label.
        thresholds: least probabilities at which a text gets a label, one for each label.
    """

    labels: tuple[str, ...]
    temperatures: tuple[float, ...]
    thresholds: tuple[float, ...]

    @property
    def task(self) -> Task:
        return MULTI_LABEL

    @property
    def logit_count(self) -> int:
        return len(self.labels)

    @property
    def score_edges(self) -> tuple[float, ...]:
        return SCORE_EDGES

    def values(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(logits.astype(np.float64) / np.array(self.temperatures))

    def given(self, values: np.ndarray) -> np.ndarray:
        """Return whether each text gets each label, bool (texts, labels)."""
        return values >= np.array(self.thresholds)  # False for NaN

    def answers(self, values: np.ndarray) -> list[tuple[str, ...]]:
        """Return the labels of each text.

        >>> MultiLabel(("a", "b"), (1.0, 1.0), (0.5, 0.2)).answers(np.array([[0.6, 0.3], [0.1, 0.2], [0.4, 0.1]]))
        [('a', 'b'), ('b',), ()]
        """
        return [tuple(label for label, one in zip(self.labels, row, strict=True) if one) for row in self.given(values)]

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the highest probability of each text: low if the text resembles none that has a label."""
        return values.max(axis=1)

    def doubt(self, values: np.ndarray) -> np.ndarray:
        """Return the distance of each text's nearest probability from the threshold of its label."""
        return np.abs(values - np.array(self.thresholds)).min(axis=1)

    def margins(self, logits: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Return the distance of the text's most probable label from one half, in logits."""
        label = (whole / np.array(self.temperatures)).argmax(axis=1)
        return logits[np.arange(len(logits)), label].astype(np.float64)


@dataclass(frozen=True)
class Regression:
    """Numbers: ``value = logit * scale + offset``.

    Attributes:
        labels: names of the outputs.
        scale, offset: unit of each output, relative to the logits.
        score_edges: edges for the values of the first output.
    """

    labels: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    score_edges: tuple[float, ...] = VALUE_EDGES

    @property
    def task(self) -> Task:
        return REGRESSION

    @property
    def logit_count(self) -> int:
        return len(self.labels)

    def values(self, logits: np.ndarray) -> np.ndarray:
        """Return the values, in the unit of the labels.

        >>> Regression(("stars",), (2.0,), (3.0,)).values(np.array([[-1.0], [0.5]])).ravel().tolist()
        [1.0, 4.0]
        """
        return logits.astype(np.float64) * np.array(self.scale) + np.array(self.offset)

    def answers(self, values: np.ndarray) -> list[str]:
        return [""] * len(values)

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the value of the first output."""
        return values[:, 0]

    def doubt(self, values: np.ndarray) -> np.ndarray:
        return np.full(len(values), np.nan)

    def margins(self, logits: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """Return the distance of the first output from the middle of its unit, in the direction of the text's."""
        return _towards(whole[:, 0]) * logits[:, 0]


def _towards(logits: np.ndarray) -> np.ndarray:
    """Return 1 for logits of at least 0 and -1 for others, float64."""
    return np.where(logits >= 0, 1.0, -1.0)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-logits)), float64, without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    tail = np.exp(-np.abs(logits.astype(np.float64)))
    return np.where(logits >= 0, 1.0, tail) / (1.0 + tail)


def interpretation_of(manifest: "Manifest", decision: Decision = Decision()) -> Interpretation:
    """Return the interpretation of a bundle's logits.

    Raises:
        UsageError: the decision contradicts itself, or does not fit the bundle.
    """
    decision.check(manifest.labels, manifest.task)
    if manifest.task == MULTI_LABEL:
        thresholds = manifest.thresholds or (0.5,) * len(manifest.labels)
        return MultiLabel(manifest.labels, manifest.temperatures, thresholds)
    if manifest.task == REGRESSION:
        assert manifest.unit is not None, "the manifest has been checked"
        edges = VALUE_EDGES if manifest.reference is None else manifest.reference.score.edges
        return Regression(manifest.labels, manifest.unit.scale, manifest.unit.offset, edges)
    return SingleLabel(manifest.labels, manifest.temperatures[0], decision, manifest.ordered)
