"""Training of the wide part beside the encoder's part: its penalty, and whether it is used, are chosen on held-out texts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export.classifier.objective import Objective, figure_of
from export.classifier.wide import WideTraining, cross_validate_wide, fit_wide, training_of
from export.training.crossfit import Stacked
from export.training.holdout import Divided
from export.training.settings import FitSettings
from export.training.stages import WIDE_PART, stage
from scorer.engine.wide import Keys

Report = Callable[[str], None]


@dataclass(frozen=True)
class Side:
    """The wide part of a classifier.

    Attributes:
        training: training of the wide part.
        logits: logits of the held-out texts by wide parts that were not trained on them, float32 (texts, logits).
    """

    training: WideTraining
    logits: np.ndarray


@stage(WIDE_PART)
def train_wide_part(
    pieces: int,
    texts: Divided,
    logits: np.ndarray,
    objective: Objective,
    settings: FitSettings,
    report: Report,
) -> Side | None:
    """Train a wide part; return None after cross-validation if it does not improve the encoder's logits.

    Args:
        pieces: number of pieces in the vocabulary.
        texts: texts, some of them held out.
        logits: logits of the held-out texts by the encoder's part, float32 (texts, logits).
        objective: objective to minimise.
        settings: settings of the training.
        report: callback for each line of the training log.
    """
    if settings.wide is None:
        return None
    keys = Keys(pieces, settings.wide.pairs)
    choice = cross_validate_wide(
        keys, texts.every, texts.folds, objective=objective, settings=settings.wide, weights=texts.all_weights
    )
    figure, best = figure_of(objective), choice.best
    report(f"wide part: L2 {best.number:g}, validation {figure.name} {figure.shown(best.figure)}")
    fitted = choice.model[0]
    if texts.crosses:
        stacked = Stacked.of(
            logits, choice.logits, texts.validation[1], objective, texts.folds, texts.training_weights[1]
        )
        if not stacked.keeps_wide:
            report(
                f"wide part: left out, since it does not improve the encoder (cross-validated loss {stacked.loss:.4f} without "
                f"it, {stacked.loss_with_wide:.4f} with it)"
            )
            return None
        fitted = fit_wide(keys, texts.every, objective, best.number, texts.weights)
    return Side(training_of(keys, fitted, choice, objective), choice.logits)
