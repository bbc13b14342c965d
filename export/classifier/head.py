"""The linear head, trained on standardised features from the cache and exported with the scaling folded in.

An imported classifier may have a dense layer before it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from export.classifier.combining import combined, some_of
from export.classifier.grid import Grid
from export.classifier.maximum import optima_of_largest
from export.classifier.objective import Objective
from export.classifier.optimum import optima
from export.classifier.settings import HeadSettings
from export.classifier.threads import threads_for
from scorer.engine.windows import Split

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
    """Losses of one head that was tried, as its objective means them, and the objective's figure of the validation texts.

    Attributes:
        number: number of the epoch, or strength of the penalty.
        figure: figure that `export.classifier.settings.FIGURES` names, such as the accuracy.
    """

    number: float
    train_loss: float
    validation_loss: float
    figure: float


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
"""Features float32 (texts, hidden), or (windows, hidden), and targets, see `export.classifier.objective`."""


Weights = tuple[np.ndarray | None, np.ndarray | None]
"""Weights of the texts to train on and of the others, float64 (texts,) each; None for equal ones."""

NO_WEIGHTS: Weights = (None, None)


def train_head(
    train: Part,
    validation: Part,
    *,
    objective: Objective,
    settings: HeadSettings,
    splits: tuple[Split, Split] | None = None,
    weights: Weights = NO_WEIGHTS,
) -> Training:
    """Train a head on features; the validation loss chooses among those that are tried.

    Features are standardised by the mean and deviation of the training features. So one learning rate and one penalty
    suit all encoders. Afterwards ``w . (x - mean) / std + b`` is folded into one weight and bias.

    Args:
        train: features and targets to train on.
        validation: features and targets of other texts.
        objective: objective to minimise.
        settings: settings of the optimisation.
        splits: windows of the texts to train on and of the others, if features are of windows and the largest logit counts.
            The head is linear, so a mean of logits needs none: mean features give the same head.
        weights: weights of the texts.
    """
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    deviation[deviation < 1e-8] = 1.0  # a constant feature carries no information, and must not be divided by 0
    standard, held_out = ((part[0] - mean) / deviation for part in (train, validation))
    steps: list[Step] = []
    best: tuple[Step, LinearHead] | None = None
    own, others = splits or (None, None)
    grid = Grid(settings.l2)
    part = standard, train[1]
    if settings.solver == "newton":
        heads = _newton_heads(part, own, objective, grid, weights[0])
    else:
        heads = _adam_heads(part, own, objective, settings, weights[0])
    with threads_for(len(train[1])):
        for number, train_loss, head in heads:
            step = step_of(number, train_loss, _logits(head, held_out, others), validation[1], objective, weights[1])
            steps.append(step)
            grid.record(number, step.validation_loss)
            if best is None or step.validation_loss < best[0].validation_loss:
                best = step, head
    assert best is not None, "at least one is tried"
    by = "L2" if settings.solver == "newton" else "epoch"
    ordered = in_order(steps) if by == "L2" else tuple(steps)
    return Training(best[1].unscaled(mean, deviation), ordered, best[0], by)


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps of penalties, the strongest first."""
    return tuple(sorted(steps, key=lambda step: -step.number))


def step_of(
    number: float,
    train_loss: float,
    logits: np.ndarray,
    targets: np.ndarray,
    objective: Objective,
    weights: np.ndarray | None = None,
) -> Step:
    """Return a step with the loss and the figure of validation texts.

    Args:
        number, train_loss: as for `Step`.
        logits: logits of the validation texts, (texts, logits).
        targets: targets of these texts.
        objective: objective that was minimised.
        weights: weights of the texts in the loss; None for equal ones.
    """
    return Step(number, train_loss, loss_of(objective, logits, targets, weights), objective.figure(logits, targets))


def loss_of(objective: Objective, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Compute the mean loss of logits, (texts, logits), with weights (texts,) or equal ones."""
    of_texts = None if weights is None else torch.from_numpy(weights.astype(logits.dtype))
    return float(objective.loss(torch.from_numpy(logits), torch.from_numpy(targets), of_texts).item())


def _logits(head: LinearHead, features: np.ndarray, split: Split | None) -> np.ndarray:
    """Compute the logits of texts, float32 (texts, logits)."""
    logits = head.logits(features)
    return logits if split is None else split.combined(logits)


def _newton_heads(
    train: Part,
    split: Split | None,
    objective: Objective,
    strengths: Iterable[float],
    weights: np.ndarray | None,
) -> Iterator[tuple[float, float, LinearHead]]:
    """Yield each strength of the penalty with its training loss (without the penalty) and its optimal head."""
    features, targets = train[0].astype(np.float64), train[1]
    if split is None:
        found = optima(features, targets, objective, strengths, weights)
    else:
        found = optima_of_largest(features, targets, split, strengths)
    for l2, (weight, bias) in found:
        head = LinearHead(weight.astype(np.float32), bias.astype(np.float32))
        yield l2, loss_of(objective, _logits(head, train[0], split), targets, weights), head


def _adam_heads(
    train: Part,
    split: Split | None,
    objective: Objective,
    settings: HeadSettings,
    weights: np.ndarray | None,
) -> Iterator[tuple[float, float, LinearHead]]:
    """Yield the number of each epoch of Adam (Kingma and Ba 2015) with its mean loss and the head after it."""
    features, targets = torch.from_numpy(train[0]), torch.from_numpy(train[1])
    of_texts = None if weights is None else torch.from_numpy(weights.astype(np.float32))
    random = torch.Generator().manual_seed(settings.seed)
    linear = nn.Linear(features.shape[1], objective.logit_count)
    with torch.no_grad():
        linear.weight.normal_(std=0.01, generator=random)
        linear.bias.zero_()

    def logits_of(texts: torch.Tensor) -> torch.Tensor:
        if split is None:
            return linear(features[texts])
        windows, alone = some_of(split, texts.numpy())
        return combined(linear(features[torch.from_numpy(windows)]), alone)

    optimizer = torch.optim.Adam(linear.parameters(), lr=settings.learning_rate)
    for number in range(1, settings.epochs + 1):
        total = 0.0
        for texts in torch.split(torch.randperm(len(targets), generator=random), settings.batch_size):
            some = None if of_texts is None else of_texts[texts]
            batch_loss = objective.loss(logits_of(texts), targets[texts], some)
            optimizer.zero_grad()
            batch_loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += batch_loss.item() * len(texts)
        weight, bias = linear.weight.detach().numpy().copy(), linear.bias.detach().numpy().copy()
        yield number, total / len(targets), LinearHead(weight, bias)
