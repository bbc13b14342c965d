"""Stacking of the encoder's and the wide part's logits (Wolpert 1992), and calibration of the sum (Platt 1999)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from export.classifier.choice import Fold, scaled
from export.classifier.head import LinearHead
from export.classifier.objective import AnyOf, Objective, OneOf, Value
from export.classifier.threads import threads_for
from export.classifier.wide import Wide, WideTraining

# Deviation of a normal prior on each parameter, log T included. Thousands of texts outweigh it; a few dozen, or texts
# that can be separated without a mistake, would drive a parameter towards infinity without it.
_PRIOR = 1.0
_LEAST_ERROR = 1e-8  # of numbers, so that an exact fit has a likelihood

Factor: TypeAlias = "float | np.ndarray"
"""One factor for all logits, or one a logit, (logits,)."""


@dataclass(frozen=True)
class Stack:
    """A sum of two kinds of logits, calibrated: ``p = softmax((scale * encoder + share * wide + bias) / temperature)``.

    Labels that a text may have any number of have a share, a bias and a temperature each, and a sigmoid instead.

    Attributes:
        share: factor of the wide part's logits; 0 without a wide part.
        bias: float32 (logits,); 0 without a wide part, unless the training weighed its texts.
        temperature: divisor of the logits before they become probabilities; 1 for numbers.
        scale: factor of the encoder's logits; 1 except for numbers, which have no temperature.
    """

    share: Factor
    bias: np.ndarray
    temperature: Factor
    scale: float = 1.0

    def logits(self, encoder: np.ndarray, wide: np.ndarray | None) -> np.ndarray:
        """Compute the sum, float32 (texts, logits), before it is divided by the temperature."""
        scaled = np.float32(self.scale) * encoder
        return np.asarray((scaled if wide is None else scaled + self.share * wide) + self.bias, dtype=np.float32)

    def parts(self, head: LinearHead, wide: WideTraining | None) -> tuple[LinearHead, Wide | None]:
        """Return a head and a wide part, or None, whose logits add up to that sum."""
        bias = self.scale * head.bias + (0 if wide is None else self.share * wide.bias) + self.bias
        both = LinearHead(np.float32(self.scale) * head.weight, bias.astype(np.float32))
        return both, None if wide is None else wide.wide(self.share)


def stack(
    encoder: np.ndarray,
    wide: np.ndarray | None,
    targets: np.ndarray,
    objective: Objective | None = None,
    weights: np.ndarray | None = None,
) -> Stack:
    """Fit a stack by maximum likelihood to logits of texts that neither part was trained on.

    Without a wide part only the temperature is fitted, which changes no label (Guo et al. 2017, "On Calibration of
    Modern Neural Networks", section 4.2); and nothing for numbers, whose errors are taken to be normal. After a training with weights, the biases are
    fitted as well. The texts here have no weights, so that the prior of each label is back in the probabilities.

    Args:
        encoder: logits of the head, float32 (texts, logits).
        wide: logits of the wide part, of the same shape; or None.
        targets: targets of the objective, such as label numbers, int64 (texts,).
        objective: objective of the training; None for one label a text, without weights.
        weights: weights of the texts, float64 (texts,), for one label a text; None for equal ones.
    """
    objective = objective or OneOf(max(2, encoder.shape[1]))
    if isinstance(objective, AnyOf):
        return _by_label(encoder, wide, targets, objective)
    if isinstance(objective, Value) and wide is None:
        return Stack(0.0, np.zeros(1, dtype=np.float32), 1.0)
    (scale,), (share,), bias = _fitted(encoder, wide, targets, objective, 1, weights)
    if isinstance(objective, Value):
        return Stack(float(share), bias.astype(np.float32), 1.0, float(scale))
    temperature = 1 / float(scale)
    return Stack(float(share) * temperature, (bias * temperature).astype(np.float32), temperature)


def cross_stacked(
    encoder: np.ndarray,
    wide: np.ndarray | None,
    targets: np.ndarray,
    objective: Objective,
    folds: Sequence[Fold],
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Compute calibrated logits, float32 (texts, logits), each by a stack that is fitted to the texts of other folds.

    Args:
        encoder, wide, targets, objective, weights: as for `stack`.
        folds: folds of these texts.
    """
    found = np.empty_like(encoder, dtype=np.float32)
    for fold in folds:
        own, others = ((encoder[rows], None if wide is None else wide[rows]) for rows in (fold.train, fold.held_out))
        fitted = stack(*own, targets[fold.train], objective, scaled(weights, fold.train))
        found[fold.held_out] = fitted.logits(*others) / fitted.temperature
    return found


def _by_label(encoder: np.ndarray, wide: np.ndarray | None, targets: np.ndarray, objective: AnyOf) -> Stack:
    """Fit a stack for each label; the encoder's logits alone count for one that none of the texts has, or every one."""
    known = np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0))
    labels = encoder.shape[1]
    temperature, share, bias = np.ones(labels), np.zeros(labels), np.zeros(labels)
    if len(known):
        some = None if wide is None else wide[:, known]
        scale, *rest = _fitted(encoder[:, known], some, targets[:, known], AnyOf(len(known)), len(known))
        temperature[known] = 1 / scale
        share[known], bias[known] = (one * temperature[known] for one in rest)
    return Stack(share.astype(np.float32), bias.astype(np.float32), temperature)


def _fitted(
    encoder: np.ndarray,
    wide: np.ndarray | None,
    targets: np.ndarray,
    objective: Objective,
    factors: int,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit factors of the encoder's and the wide part's logits, float64 (factors,), and biases, float64 (logits,)."""
    goal, shift, target = objective.plain, torch.from_numpy(objective.shift), torch.from_numpy(targets)
    of_texts = None if weights is None else torch.from_numpy(weights)
    deep, side = (torch.from_numpy(x).double() for x in (encoder, np.zeros_like(encoder) if wide is None else wide))
    log_scale = torch.zeros(factors, dtype=torch.float64, requires_grad=True)
    share = torch.zeros(factors, dtype=torch.float64, requires_grad=wide is not None)
    biased = wide is not None or objective != goal
    bias = torch.zeros(encoder.shape[1], dtype=torch.float64, requires_grad=biased)
    free = [one for one in (log_scale, share, bias) if one.requires_grad]
    optimizer = torch.optim.LBFGS(free, max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = goal.loss(log_scale.exp() * deep + share * side + shift + bias, target, of_texts)
        if isinstance(goal, Value):  # the likelihood of normal errors, at their most likely deviation
            value = (value + _LEAST_ERROR).log() / 2
        value = value + sum((one**2).sum() for one in free) / (2 * _PRIOR**2 * targets.size)
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    with threads_for(len(targets)):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return log_scale.exp().detach().numpy(), share.detach().numpy(), (shift + bias).detach().numpy()
