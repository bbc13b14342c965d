"""The choice among models that differ by one number, such as a penalty, by texts that they were not trained on.

With few texts, one held-out part is too small to choose by. Cross-validation holds out each text once (Stone 1974): the
texts are divided into folds, and each is held out from the models of one fold.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

from export.classifier.grid import Grid
from export.classifier.objective import Objective

Model = TypeVar("Model")

Weights = tuple[np.ndarray | None, np.ndarray | None]
"""Weights of the texts to train on and of the others, float64 (texts,) each; None for equal ones."""

NO_WEIGHTS: Weights = (None, None)


@dataclass(frozen=True)
class Fold:
    """Numbers of texts to train on, and of texts held out from that training, int64 (texts,) each, in ascending order."""

    train: np.ndarray
    held_out: np.ndarray


def refolded(folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """Return the same folds of the held-out texts alone, which are numbered anew.

    >>> found = refolded([Fold(np.array([0, 3]), np.array([2])), Fold(np.array([0, 2]), np.array([3]))])
    >>> [(fold.train.tolist(), fold.held_out.tolist()) for fold in found]
    [([1], [0]), ([0], [1])]
    """
    rows = held_out_rows(folds)
    places = [np.searchsorted(rows, fold.held_out) for fold in folds]
    return tuple(Fold(np.setdiff1d(np.arange(len(rows)), some), some) for some in places)


def held_out_rows(folds: Sequence[Fold]) -> np.ndarray:
    """Return the numbers of the texts that are held out from one of the trainings, int64 (texts,), in ascending order."""
    return np.sort(np.concatenate([fold.held_out for fold in folds]))


@dataclass(frozen=True)
class Step:
    """Losses of one model that was tried, as its objective means them, and the objective's figure of the held-out texts.

    Attributes:
        number: number of the epoch, or strength of the penalty.
        figure: figure that `export.classifier.settings.FIGURES` names, such as the accuracy.
    """

    number: float
    train_loss: float
    validation_loss: float
    figure: float


@dataclass(frozen=True)
class Attempt(Generic[Model]):
    """A model that was tried.

    Attributes:
        number: number of the epoch, or strength of the penalty.
        train_loss: mean loss of the texts that it was trained on, without the penalty.
        logits: logits of the held-out texts, (texts, logits).
        model: model itself.
    """

    number: float
    train_loss: float
    logits: np.ndarray
    model: Model


@dataclass(frozen=True)
class Choice(Generic[Model]):
    """The model with the lowest loss on held-out texts.

    Attributes:
        steps: a step for each model that was tried, in their order.
        best: step of the chosen one.
        logits: its logits of the held-out texts, float32 (texts, logits).
        model: model itself; after cross-validation, that of each fold.
    """

    steps: tuple[Step, ...]
    best: Step
    logits: np.ndarray
    model: Model


def choose(
    attempts: Iterable[Attempt[Model]],
    targets: np.ndarray,
    objective: Objective,
    grid: Grid,
    weights: np.ndarray | None = None,
) -> Choice[Model]:
    """Choose the attempt with the lowest loss on held-out texts.

    Args:
        attempts: models, each asked for after the loss of the one before it is recorded in ``grid``.
        targets: targets of the held-out texts.
        objective: objective that was minimised.
        grid: strengths of the penalty.
        weights: weights of the held-out texts in the loss; None for equal ones.
    """
    steps: list[Step] = []
    best: tuple[Step, Attempt[Model]] | None = None
    for attempt in attempts:
        step = step_of(attempt.number, attempt.train_loss, attempt.logits, targets, objective, weights)
        steps.append(step)
        grid.record(attempt.number, step.validation_loss)
        if best is None or step.validation_loss < best[0].validation_loss:
            best = step, attempt
    assert best is not None, "at least one is tried"
    return Choice(tuple(steps), best[0], best[1].logits.astype(np.float32), best[1].model)


def across(folds: Sequence[Fold], attempts: Sequence[Iterator[Attempt[Model]]]) -> Iterator[Attempt[tuple[Model, ...]]]:
    """Yield the attempts of all folds together, with the logits of each held-out text by the model that did not see it.

    Args:
        folds: folds, each of which holds out other texts.
        attempts: attempts of each fold, with the same numbers.
    """
    order = np.argsort(np.concatenate([fold.held_out for fold in folds]))
    for of_folds in zip(*attempts, strict=False):  # they end at the same time, in the first of them
        logits = np.concatenate([one.logits for one in of_folds])[order]
        loss = float(np.mean([one.train_loss for one in of_folds]))
        yield Attempt(of_folds[0].number, loss, logits, tuple(one.model for one in of_folds))


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
    """Return a step with the loss and the figure of held-out texts.

    Args:
        number, train_loss: as for `Step`.
        logits: logits of the held-out texts, (texts, logits).
        targets: targets of these texts.
        objective: objective that was minimised.
        weights: weights of the texts in the loss; None for equal ones.
    """
    return Step(number, train_loss, loss_of(objective, logits, targets, weights), objective.figure(logits, targets))


def loss_of(objective: Objective, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Compute the mean loss of logits, (texts, logits), with weights (texts,) or equal ones."""
    of_texts = None if weights is None else torch.from_numpy(weights.astype(logits.dtype))
    return float(objective.loss(torch.from_numpy(logits), torch.from_numpy(targets), of_texts).item())


def is_clearly_better(
    first: np.ndarray,
    second: np.ndarray,
    targets: np.ndarray,
    objective: Objective,
    weights: np.ndarray | None = None,
) -> bool:
    """Return whether second logits have a lower mean loss than the first, by more than one standard error.

    The rule is that of Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3: among models that the
    texts do not distinguish, the one that was preferred before is kept.

    Args:
        first, second: logits of the same texts, (texts, logits) each, at least one text.
        targets: targets of these texts.
        objective: objective that was minimised.
        weights: weights of the texts; None for equal ones.
    """
    before, after = (
        objective.plain.losses(torch.from_numpy(logits).double(), torch.from_numpy(targets)).numpy()
        for logits in (first, second)
    )
    gain = before - after if weights is None else weights * (before - after)
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def scaled(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Return the weights of some texts, scaled to 1 on average; None for equal ones."""
    return None if weights is None else weights[rows] / weights[rows].mean()
