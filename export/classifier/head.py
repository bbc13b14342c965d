"""The linear head, trained on standardised features from the cache and exported with the scaling folded in.

An imported classifier may have a dense layer before it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from export.classifier.settings import HeadSettings

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = MappingProxyType(
    {"relu": functional.relu, "tanh": torch.tanh, "gelu": functional.gelu}
)
"""Activations of a dense layer, by name; ``gelu`` is the exact one."""


@dataclass(frozen=True)
class Dense:
    """A dense layer between the pooled vector and the linear head: ``activation(features @ weight.T + bias)``.

    Attributes:
        weight: float32 (out, in).
        bias: float32 (out,).
        activation: one of `ACTIVATIONS`.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: str

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Compute the layer: float32 (texts, in) -> float32 (texts, out)"""
        product = torch.from_numpy(features @ self.weight.T + self.bias)
        return ACTIVATIONS[self.activation](product).numpy()


@dataclass(frozen=True)
class LinearHead:
    """A linear head: ``logits = features @ weight.T + bias``.

    Attributes:
        weight: float32 (logits, hidden); one logit for two labels, C for C labels.
        bias: float32 (logits,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def corrected(self, wanted: np.ndarray, found: np.ndarray) -> "LinearHead":
        """Return the head with the mean of ``wanted - found``, logits (texts, logits) each, added to its bias."""
        return LinearHead(self.weight, (self.bias + (wanted - found).mean(axis=0)).astype(np.float32))

    def unscaled(self, mean: np.ndarray, deviation: np.ndarray) -> "LinearHead":
        """Return the head for raw features x, if this one reads standardised ones, ``(x - mean) / deviation``."""
        weight = self.weight.astype(np.float64) / deviation
        return LinearHead(weight.astype(np.float32), (self.bias - weight @ mean).astype(np.float32))

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Compute logits: float32 (texts, hidden) -> float32 (texts, logits)"""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class Step:
    """Mean losses of one head that was tried (cross entropy, nats per text), and its validation accuracy.

    Attributes:
        number: number of the epoch, or strength of the penalty.
    """

    number: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class Training:
    """A trained head, with a step for each head that was tried and the step of the one that was chosen.

    Attributes:
        by: meaning of a step's number, ``epoch`` or ``L2``.
    """

    head: LinearHead
    steps: tuple[Step, ...]
    best: Step
    by: str


Part = tuple[np.ndarray, np.ndarray]
"""Features float32 (texts, hidden) and labels int64 (texts,)."""


def train_head(train: Part, validation: Part, *, label_count: int, settings: HeadSettings) -> Training:
    """Train a head on features; the validation loss chooses among those that are tried.

    Features are standardised by the mean and deviation of the training features. So one learning rate and one penalty
    suit all encoders. Afterwards ``w . (x - mean) / std + b`` is folded into one weight and bias.

    Args:
        train: features and labels to train on.
        validation: features and labels of other texts.
        label_count: number of labels; two give one logit and binary cross entropy, more give C logits and cross entropy.
        settings: settings of the optimisation.
    """
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    deviation[deviation < 1e-8] = 1.0  # a constant feature carries no information, and must not be divided by 0
    standard, held_out = ((part[0] - mean) / deviation for part in (train, validation))
    heads = {"newton": _newton_heads, "adam": _adam_heads}[settings.solver]
    steps: list[Step] = []
    best: tuple[Step, LinearHead] | None = None
    for number, train_loss, head in heads((standard, train[1]), label_count, settings):
        logits = head.logits(held_out)
        validation_loss = loss(torch.from_numpy(logits), torch.from_numpy(validation[1])).item()
        step = Step(number, train_loss, validation_loss, float(np.mean(predict(logits) == validation[1])))
        steps.append(step)
        if best is None or step.validation_loss < best[0].validation_loss:
            best = step, head
    assert best is not None, "at least one is tried"
    by = "L2" if settings.solver == "newton" else "epoch"
    return Training(best[1].unscaled(mean, deviation), tuple(steps), best[0], by)


def _newton_heads(train: Part, label_count: int, settings: HeadSettings) -> Iterator[tuple[float, float, LinearHead]]:
    """Yield each strength of the penalty with its training loss (without the penalty) and its optimal head."""
    features, labels = train[0].astype(np.float64), train[1]
    # Newton's method inverts a matrix of (hidden * logits)^2, which is soon too large for more than two labels.
    solver = "newton-cholesky" if label_count == 2 else "lbfgs"
    model = LogisticRegression(
        solver=solver, max_iter=1000, warm_start=True
    )  # each fit starts from the previous optimum
    for l2 in settings.l2:
        model.set_params(C=1 / (l2 * len(labels))).fit(features, labels)
        head = LinearHead(model.coef_.astype(np.float32), model.intercept_.astype(np.float32))
        yield l2, loss(torch.from_numpy(head.logits(train[0])), torch.from_numpy(labels)).item(), head


def _adam_heads(train: Part, label_count: int, settings: HeadSettings) -> Iterator[tuple[float, float, LinearHead]]:
    """Yield the number of each epoch of Adam (Kingma and Ba 2015) with its mean loss and the head after it."""
    features, labels = torch.from_numpy(train[0]), torch.from_numpy(train[1])
    random = torch.Generator().manual_seed(settings.seed)
    linear = nn.Linear(features.shape[1], 1 if label_count == 2 else label_count)
    with torch.no_grad():
        linear.weight.normal_(std=0.01, generator=random)
        linear.bias.zero_()
    optimizer = torch.optim.Adam(linear.parameters(), lr=settings.learning_rate)
    for number in range(1, settings.epochs + 1):
        total = 0.0
        for rows in torch.split(torch.randperm(len(labels), generator=random), settings.batch_size):
            batch_loss = loss(linear(features[rows]), labels[rows])
            optimizer.zero_grad()
            batch_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += batch_loss.item() * len(rows)
        weight, bias = linear.weight.detach().numpy().copy(), linear.bias.detach().numpy().copy()
        yield number, total / len(labels), LinearHead(weight, bias)


def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average the cross entropy over texts: binary for (texts, 1) logits, categorical for (texts, labels) logits."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def predict(logits: np.ndarray) -> np.ndarray:
    """Convert logits (texts, 1 or labels) to label numbers (texts,); a single logit is positive if it is at least 0."""
    return (logits[:, 0] >= 0).astype(np.int64) if logits.shape[1] == 1 else logits.argmax(axis=1)
