"""Training of a head on a frozen encoder: its penalty, and the vectors that it reads, are chosen on held-out texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.choice import Choice, is_clearly_better
from export.classifier.head import Inputs, LinearHead, Training, cross_validate_head, fit_head, training_of
from export.classifier.objective import Objective, OneOf, figure_of, predict
from export.classifier.settings import HeadSettings
from export.encoder.vectors import cheap_poolings
from export.evaluation.paired import paired
from export.training.features import Features
from export.training.holdout import Divided
from export.training.settings import FitSettings
from scorer.base.task import MULTI_LABEL

Report = Callable[[str], None]


@dataclass(frozen=True)
class OnFrozen:
    """A head on a frozen encoder.

    Attributes:
        training: training of the head.
        pooling: vectors that it reads.
        logits: logits of the held-out texts by heads that were not trained on them, float32 (texts, logits).
        poolings: figure of other poolings on the same texts, by name.
    """

    training: Training
    pooling: str
    logits: np.ndarray
    poolings: Mapping[str, float]


@dataclass(frozen=True)
class _Tried:
    """A pooling with the heads that read it."""

    pooling: str
    inputs: Inputs
    choice: Choice[tuple[LinearHead, ...]]

    @property
    def loss(self) -> float:
        return self.choice.best.validation_loss


def train_on_frozen(
    features: Features, texts: Divided, objective: Objective, settings: FitSettings, report: Report
) -> OnFrozen:
    """Train a head, and one with each other pooling for comparison.

    Args:
        features: vectors of all texts.
        texts: texts, some of them held out.
        objective: objective to minimise.
        settings: settings of the training.
        report: callback for each line of the training log.
    """
    layers = max(vector.layer for vector in features.places)

    def tried(pooling: str, head: HeadSettings) -> _Tried:
        inputs = inputs_of(features, pooling)
        choice = cross_validate_head(
            inputs, texts.labels, texts.folds, objective=objective, settings=head, weights=texts.all_weights
        )
        return _Tried(pooling, inputs, choice)

    first = tried(cheap_poolings(layers)[0] if settings.chooses_pooling else settings.pooling, settings.head)
    compared = [one for one in (*cheap_poolings(layers), "mean") if one != first.pooling]
    if first.inputs.split is not None and not texts.crosses:
        compared = []  # with the largest logit of windows, each would take as long as the head of many texts
    head = settings.head
    is_slow = objective.task == MULTI_LABEL and head.solver == "newton"
    if is_slow:
        # Every penalty for every label of every pooling would take many times as long as the head itself.
        head = replace(head, l2=(first.choice.best.number,))
    every = [first, *(tried(one, head) for one in compared)]
    best = first
    if settings.chooses_pooling:
        cheap = [one for one in every if one.pooling in cheap_poolings(layers)]
        best = _clearly_best(first, cheap, texts, objective)
        _report_choice(every, best, objective, report)
        if is_slow and best is not first:
            best = tried(best.pooling, settings.head)
    _report_better(every, best, texts, objective, report)
    return OnFrozen(
        training_of(_final(best, texts, objective, settings.head), best.choice, settings.head),
        best.pooling,
        best.choice.logits,
        {one.pooling: one.choice.best.figure for one in every if one.pooling != best.pooling},
    )


def _clearly_best(first: _Tried, others: list[_Tried], texts: Divided, objective: Objective) -> _Tried:
    """Return the pooling with the lowest loss of those that are clearly better than the first one, or the first one."""
    truth, weights = texts.validation[1], texts.training_weights[1]
    better = [
        one for one in others if is_clearly_better(first.choice.logits, one.choice.logits, truth, objective, weights)
    ]
    return min(better, key=lambda one: one.loss, default=first)


def inputs_of(features: Features, pooling: str) -> Inputs:
    """Return the input of a head with a pooling: vectors of texts, or of windows if their largest logit counts."""
    vectors, split = features.pooled(pooling), features.split
    if len(split.rows) == len(split.counts):
        return Inputs(vectors)
    return Inputs(split.mean_of(vectors)) if split.combination == "mean" else Inputs(vectors, split)


def _final(best: _Tried, texts: Divided, objective: Objective, settings: HeadSettings) -> LinearHead:
    """Return the head of the one held-out part, or after cross-validation one that is trained on all texts."""
    if not texts.crosses:
        return best.choice.model[0]
    number = best.choice.best.number
    return fit_head(best.inputs, texts.labels, number, objective=objective, settings=settings, weights=texts.weights)


def _report_choice(every: list[_Tried], best: _Tried, objective: Objective, report: Report) -> None:
    if len(every) > 1:
        figure = figure_of(objective)
        figures = ", ".join(f"{one.pooling} {figure.shown(one.choice.best.figure)}" for one in every)
        report(f"pooling: validation {figure.name} {figures}; {best.pooling} is taken, by the loss")


def _report_better(every: list[_Tried], best: _Tried, texts: Divided, objective: Objective, report: Report) -> None:
    """Report another pooling that is clearly better on the held-out texts, with the interval of the difference."""
    figure, truth = figure_of(objective), texts.validation[1]
    other = max(every, key=lambda one: one.choice.best.figure)
    if other.choice.best.figure <= best.choice.best.figure:
        return
    how = ""
    if isinstance(objective, OneOf):
        first, second = (predict(one.choice.logits) == truth for one in (best, other))
        low, high = paired(first, second).interval
        if low <= 0:
            return
        how = f", {100 * (second.mean() - first.mean()):.1f} points more (95%: {100 * low:.1f} to {100 * high:.1f})"
    report(
        f"--pooling {other.pooling} is better on this encoder: validation {figure.name} "
        f"{figure.shown(other.choice.best.figure)}{how}"
    )
