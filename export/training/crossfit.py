"""Calibrated logits of texts by classifiers that were not trained on them: head and wide part, stacked by folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.classifier.choice import NO_WEIGHTS, Fold, Weights, held_out_rows, loss_of, refolded, scaled
from export.classifier.head import Inputs, cross_validate_head
from export.classifier.objective import Objective
from export.classifier.settings import HeadSettings, WideSettings
from export.classifier.stacking import cross_stacked
from export.classifier.wide import cross_validate_wide
from scorer.engine.wide import Keys


@dataclass(frozen=True)
class OutOfFold:
    """Texts that are held out, with what classifiers of the other folds give them.

    Attributes:
        rows: numbers of the texts, int64 (rows,), in ascending order; all but those that every fold is trained on.
        logits: logits of head and wide part, stacked and divided by the temperature, float32 (rows, logits).
        pooling: vectors that the heads read, those with the lowest loss.
    """

    rows: np.ndarray
    logits: np.ndarray
    pooling: str


def out_of_fold(
    pooled: Mapping[str, "np.ndarray | Inputs"],
    ids: Sequence[np.ndarray],
    targets: np.ndarray,
    objective: Objective,
    folds: Sequence[Fold],
    *,
    head: HeadSettings,
    wide: WideSettings | None,
    pieces: int,
    weights: Weights = NO_WEIGHTS,
) -> OutOfFold:
    """Train classifiers on folds of texts, and compute the logits of each text by those that were not trained on it.

    The loss of all held-out texts chooses vectors, penalties, and whether the wide part counts.

    Args:
        pooled: vectors of all texts, float32 (texts, hidden), by their name; or `Inputs`.
        ids: token ids of all texts, (sequence,) each.
        targets: targets of all texts.
        objective: objective to minimise.
        folds: texts to train on and to hold out.
        head: settings of the head.
        wide: settings of the wide part; None for no wide part.
        pieces: number of pieces in the vocabulary.
        weights: weights of all texts in training, and in choices.
    """
    tried = {
        name: cross_validate_head(
            found if isinstance(found, Inputs) else Inputs(found),
            targets,
            folds,
            objective=objective,
            settings=head,
            weights=weights,
        )
        for name, found in pooled.items()
    }
    pooling = min(tried, key=lambda name: tried[name].best.validation_loss)
    side = None
    if wide is not None:
        side = cross_validate_wide(
            Keys(pieces, wide.pairs), (ids, targets), folds, objective=objective, settings=wide, weights=weights
        ).logits
    rows = held_out_rows(folds)
    held_out = Stacked.of(tried[pooling].logits, side, targets[rows], objective, folds, scaled(weights[1], rows))
    return OutOfFold(rows, held_out.logits, pooling)


@dataclass(frozen=True)
class Stacked:
    """Logits of held-out texts by stacks of other folds, with the wide part if it lowers their loss.

    Attributes:
        logits: calibrated logits, float32 (rows, logits).
        loss: mean loss of the texts with the logits of the encoder alone.
        loss_with_wide: mean loss with the wide part as well; None without one.
    """

    logits: np.ndarray
    loss: float
    loss_with_wide: float | None

    @property
    def keeps_wide(self) -> bool:
        return self.loss_with_wide is not None and self.loss_with_wide < self.loss

    @classmethod
    def of(
        cls,
        encoder: np.ndarray,
        wide: np.ndarray | None,
        targets: np.ndarray,
        objective: Objective,
        folds: Sequence[Fold],
        weights: np.ndarray | None,
    ) -> "Stacked":
        """Fit a stack to all folds but one, for each, with the wide part and without.

        Args:
            encoder, wide: logits of the held-out texts, float32 (rows, logits) each; None without a wide part.
            targets: targets of these texts.
            objective: objective of the training.
            folds: folds of all texts.
            weights: weights of the held-out texts; None for equal ones.
        """
        own = refolded(folds)
        alone = cross_stacked(encoder, None, targets, objective, own, weights)
        loss = loss_of(objective.plain, alone, targets, weights)
        if wide is None:
            return cls(alone, loss, None)
        both = cross_stacked(encoder, wide, targets, objective, own, weights)
        with_wide = loss_of(objective.plain, both, targets, weights)
        return cls(both if with_wide < loss else alone, loss, with_wide)
