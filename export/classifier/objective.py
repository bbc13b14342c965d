"""Objectives of training by task: the loss that is minimised, and the figure that people read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch.nn import functional

from export.classifier.settings import FIGURES, HUBER, Figure
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task

HUBER_DELTA = 1.35
"""Residual, in deviations of the target, beyond which the Huber loss is linear (Huber 1981: 95% as efficient as least
squares if the residuals are normal)."""


class Objective(Protocol):
    """An objective of training.

    Logits are (texts, logits). Targets are label numbers int64 (texts,), 0 and 1 int64 (texts, labels), or standardised
    values float64 (texts, 1).
    """

    task: ClassVar[Task]

    @property
    def logit_count(self) -> int:
        """Number of logits of a text."""
        ...

    @property
    def plain(self) -> "Objective":
        """The same objective with equal weights for all texts."""
        ...

    @property
    def shift(self) -> np.ndarray:
        """Logits to add to those of a weighted training, float64 (logits,), so that they fit texts as they are."""
        ...

    def text_weights(self, targets: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
        """Return the weight of each text by its label times its own, float64 (texts,); None if all are equal."""
        ...

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Average the loss over texts and labels; ``weights`` (texts,), 1 on average, multiply those of the texts."""
        ...

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each text, averaged over labels, with equal weights: (texts,)."""
        ...

    def figure(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Compute the figure that `FIGURES` names for the task; the higher the better."""
        ...


@dataclass(frozen=True)
class OneOf:
    """One label a text: cross entropy, in nats; the figure is the accuracy.

    Attributes:
        label_count: number of labels; two give one logit, more give C logits.
        weights: weight of the texts of each label; None for equal ones.
    """

    label_count: int
    weights: tuple[float, ...] | None = None
    task: ClassVar[Task] = SINGLE_LABEL

    @property
    def logit_count(self) -> int:
        return 1 if self.label_count == 2 else self.label_count

    @property
    def plain(self) -> "OneOf":
        return replace(self, weights=None)

    @property
    def shift(self) -> np.ndarray:
        """Logits to add, float64 (logits,).

        Weights w make probabilities proportional to w p(label | text). Dividing by them puts the prior back (Saerens et
        al. 2002, equation 2.4).

        >>> OneOf(2, (0.5, 2.0)).shift.round(3).tolist(), OneOf(3).shift.tolist()
        ([-1.386], [0.0, 0.0, 0.0])
        """
        logs = np.log(1 / np.array(self.weights or (1.0,) * self.label_count))
        return logs[1:] - logs[0] if self.label_count == 2 else logs

    def text_weights(self, targets: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
        if self.weights is None:
            return weights
        by_label = np.array(self.weights)[targets]
        return by_label if weights is None else by_label * weights

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Average the cross entropy over texts: binary for (texts, 1) logits, categorical for (texts, labels) logits."""
        if self.weights is not None:
            by_label = torch.tensor(self.weights, dtype=logits.dtype, device=logits.device)[targets]
            weights = by_label if weights is None else by_label * weights
        if logits.shape[1] == 1:
            return functional.binary_cross_entropy_with_logits(logits[:, 0], targets.to(logits.dtype), weights)
        if weights is None:
            return functional.cross_entropy(logits, targets)
        return (weights * functional.cross_entropy(logits, targets, reduction="none")).mean()

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if logits.shape[1] == 1:
            return functional.binary_cross_entropy_with_logits(logits[:, 0], targets.to(logits.dtype), reduction="none")
        return functional.cross_entropy(logits, targets, reduction="none")

    def figure(self, logits: np.ndarray, targets: np.ndarray) -> float:
        return float(np.mean(predict(logits) == targets))


@dataclass(frozen=True)
class AnyOf:
    """Any number of labels a text: binary cross entropy a label; the figure is the micro F1 at one half.

    Attributes:
        label_count: number of labels, with a logit each.
    """

    label_count: int
    task: ClassVar[Task] = MULTI_LABEL

    @property
    def logit_count(self) -> int:
        return self.label_count

    @property
    def plain(self) -> "AnyOf":
        return self

    @property
    def shift(self) -> np.ndarray:
        return np.zeros(self.label_count)

    def text_weights(self, targets: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
        return weights

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        of_texts = None if weights is None else weights[:, None]
        return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), of_texts)

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        each = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
        return each.mean(dim=1)

    def figure(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Compute the F1 over all pairs of a text and a label; 0 if no label is given and none is right.

        >>> AnyOf(2).figure(np.array([[1.0, 2.0], [-1.0, 3.0]]), np.array([[1, 0], [1, 1]]))
        0.6666666666666666
        """
        given, right = logits >= 0, targets == 1
        return 2 * int((given & right).sum()) / max(1, int(given.sum()) + int(right.sum()))


@dataclass(frozen=True)
class Value:
    """A number a text: squared error or Huber's loss, of standardised values; the figure is R2.

    Attributes:
        delta: largest residual that counts squared; infinite for the squared error.
    """

    delta: float = math.inf
    task: ClassVar[Task] = REGRESSION

    @property
    def logit_count(self) -> int:
        return 1

    @property
    def plain(self) -> "Value":
        return self

    @property
    def shift(self) -> np.ndarray:
        return np.zeros(1)

    def text_weights(self, targets: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
        return weights

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Average the squared error, or Huber's loss (which is half of it for small residuals), over texts."""
        targets, reduction = targets.to(logits.dtype), "mean" if weights is None else "none"
        if math.isinf(self.delta):
            losses = functional.mse_loss(logits, targets, reduction=reduction)
        else:
            losses = functional.huber_loss(logits, targets, delta=self.delta, reduction=reduction)
        return losses if weights is None else (weights[:, None] * losses).mean()

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        targets = targets.to(logits.dtype)
        if math.isinf(self.delta):
            return functional.mse_loss(logits, targets, reduction="none").mean(dim=1)
        return functional.huber_loss(logits, targets, delta=self.delta, reduction="none").mean(dim=1)

    def figure(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Compute the share of the targets' variance that is explained; 0 if they are all equal.

        >>> Value().figure(np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]]))
        0.5
        """
        whole = float(((targets - targets.mean(axis=0)) ** 2).sum())
        return 1 - float(((logits - targets) ** 2).sum()) / whole if whole else 0.0


def figure_of(objective: Objective) -> Figure:
    """Return the name and the spelling of an objective's figure."""
    return FIGURES[objective.task]


def objective_of(task: Task, labels: Sequence[str], targets: np.ndarray, *, loss: str, balance: bool) -> Objective:
    """Return the objective of a training.

    Args:
        task: task of the dataset.
        labels: label names.
        targets: targets of all training texts, of which ``balance`` counts the labels.
        loss: name of the loss of a regression, one of `export.classifier.settings.LOSSES`.
        balance: weigh texts by the inverse frequency of their labels.

    >>> objective_of("single_label", ["a", "b"], np.array([0, 0, 0, 1]), loss="mse", balance=True)
    OneOf(label_count=2, weights=(0.6666666666666666, 2.0))
    """
    if task == REGRESSION:
        return Value(HUBER_DELTA if loss == HUBER else math.inf)
    if task == MULTI_LABEL:
        return AnyOf(len(labels))
    if not balance:
        return OneOf(len(labels))
    counts = np.bincount(targets, minlength=len(labels))
    return OneOf(len(labels), tuple((len(targets) / (len(labels) * counts)).tolist()))


def predict(logits: np.ndarray) -> np.ndarray:
    """Convert logits (texts, 1 or labels) to label numbers (texts,); a single logit is positive if it is at least 0."""
    return (logits[:, 0] >= 0).astype(np.int64) if logits.shape[1] == 1 else logits.argmax(axis=1)
