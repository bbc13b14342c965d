"""The linear head, trained on standardised features from the cache and exported with the scaling folded in.

An imported classifier may have a dense layer before it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from export.classifier.choice import (
    NO_WEIGHTS,
    Attempt,
    Choice,
    Fold,
    Step,
    Weights,
    across,
    choose,
    held_out_rows,
    in_order,
    loss_of,
    scaled,
)
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


@dataclass(frozen=True)
class Inputs:
    """Vectors of texts, which a head reads.

    Attributes:
        features: vectors of the texts, float32 (texts, hidden), or of their windows, (windows, hidden).
        split: windows of the texts, if the features are of windows and the largest logit counts. The head is linear, so a
            mean of logits needs none: mean features give the same head.
    """

    features: np.ndarray
    split: Split | None = None

    def some(self, rows: np.ndarray) -> "Inputs":
        """Return the vectors of some texts."""
        if self.split is None:
            return Inputs(self.features[rows])
        windows, alone = some_of(self.split, rows)
        return Inputs(self.features[windows], alone)

    def logits(self, head: LinearHead) -> np.ndarray:
        """Compute the logits of the texts, float32 (texts, logits)."""
        logits = head.logits(self.features)
        return logits if self.split is None else self.split.combined(logits)


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

    Args:
        train: features and targets to train on.
        validation: features and targets of other texts.
        objective: objective to minimise.
        settings: settings of the optimisation.
        splits: windows of the texts to train on and of the others; see `Inputs`.
        weights: weights of the texts.
    """
    own, others = splits or (None, None)
    grid = Grid(settings.l2)
    inputs, held_out = Inputs(train[0], own), Inputs(validation[0], others)
    with threads_for(len(train[1])):
        attempts = _attempts(inputs, train[1], held_out, objective, settings, grid, weights[0])
        choice = choose(attempts, validation[1], objective, grid, weights[1])
    return training_of(choice.model, choice, settings)


def cross_validate_head(
    inputs: Inputs,
    targets: np.ndarray,
    folds: Sequence[Fold],
    *,
    objective: Objective,
    settings: HeadSettings,
    weights: Weights = NO_WEIGHTS,
) -> Choice[tuple[LinearHead, ...]]:
    """Train a head for each fold and each penalty; the loss of all held-out texts chooses a penalty for all folds.

    Args:
        inputs: vectors of all texts.
        targets: targets of all texts.
        folds: texts to train on and to hold out.
        objective: objective to minimise.
        settings: settings of the optimisation.
        weights: weights of all texts in training, and in the choice.
    """
    grid, held_out = Grid(settings.l2), held_out_rows(folds)
    of_folds = [
        _attempts(
            inputs.some(fold.train), targets[fold.train], inputs.some(fold.held_out), objective, settings, grid,
            scaled(weights[0], fold.train),
        )
        for fold in folds
    ]  # fmt: skip
    with threads_for(len(targets)):
        return choose(across(folds, of_folds), targets[held_out], objective, grid, scaled(weights[1], held_out))


def fit_head(
    inputs: Inputs,
    targets: np.ndarray,
    number: float,
    *,
    objective: Objective,
    settings: HeadSettings,
    weights: np.ndarray | None = None,
) -> LinearHead:
    """Train one head, with a strength of the penalty or up to an epoch; see `cross_validate_head`."""
    none = inputs.some(np.arange(0))
    with threads_for(len(targets)):
        heads = _attempts(inputs, targets, none, objective, settings, [number], weights)
        return next(one.model for one in heads if one.number == number)


def training_of(head: LinearHead, choice: Choice[Any], settings: HeadSettings) -> Training:
    """Return a head with the steps of its choice."""
    if settings.solver == "newton":
        return Training(head, in_order(choice.steps), choice.best, "L2")
    return Training(head, choice.steps, choice.best, "epoch")


def _attempts(
    train: Inputs,
    targets: np.ndarray,
    held_out: Inputs,
    objective: Objective,
    settings: HeadSettings,
    strengths: Iterable[float],
    weights: np.ndarray | None,
) -> Iterator[Attempt[LinearHead]]:
    """Yield a head for each strength of the penalty, or each epoch.

    Features are standardised by the mean and deviation of the training features. So one learning rate and one penalty
    suit all encoders. Afterwards ``w . (x - mean) / std + b`` is folded into one weight and bias.
    """
    mean, deviation = train.features.mean(axis=0), train.features.std(axis=0)
    deviation[deviation < 1e-8] = 1.0  # a constant feature carries no information, and must not be divided by 0
    standard, others = (Inputs((one.features - mean) / deviation, one.split) for one in (train, held_out))
    if settings.solver == "newton":
        heads = _newton_heads(standard, targets, objective, strengths, weights)
    else:
        heads = _adam_heads(standard, targets, objective, settings, weights)
    for number, train_loss, head in heads:
        yield Attempt(number, train_loss, others.logits(head), head.unscaled(mean, deviation))


def _newton_heads(
    train: Inputs,
    targets: np.ndarray,
    objective: Objective,
    strengths: Iterable[float],
    weights: np.ndarray | None,
) -> Iterator[tuple[float, float, LinearHead]]:
    """Yield each strength of the penalty with its training loss (without the penalty) and its optimal head."""
    features = train.features.astype(np.float64)
    if train.split is None:
        found = optima(features, targets, objective, strengths, weights)
    else:
        found = optima_of_largest(features, targets, train.split, strengths)
    for l2, (weight, bias) in found:
        head = LinearHead(weight.astype(np.float32), bias.astype(np.float32))
        yield l2, loss_of(objective, train.logits(head), targets, weights), head


def _adam_heads(
    train: Inputs,
    labels: np.ndarray,
    objective: Objective,
    settings: HeadSettings,
    weights: np.ndarray | None,
) -> Iterator[tuple[float, float, LinearHead]]:
    """Yield the number of each epoch of Adam (Kingma and Ba 2015) with its mean loss and the head after it."""
    features, targets, split = torch.from_numpy(train.features), torch.from_numpy(labels), train.split
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
