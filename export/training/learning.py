"""The learning curve: classifiers of fewer labels, by cross-validation on the same vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.choice import Fold
from export.classifier.head import Inputs
from export.classifier.objective import Objective
from export.classifier.settings import WideSettings
from export.training.crossfit import out_of_fold
from export.training.folds import both_sides
from export.training.holdout import Divided
from export.training.settings import FitSettings

_SHARES = {1 / 8: 4, 1 / 4: 2, 1 / 2: 1}
"""Shares of the labels, with the number of draws; few labels are a matter of luck."""

_LEAST_TEXTS = 12  # to train on


@dataclass(frozen=True)
class Smaller:
    """Classifiers of a share of the labels.

    Attributes:
        texts: mean number of texts that one was trained on.
        logits: calibrated logits of the held-out texts by draw, float32 (draws, rows, logits).
    """

    texts: float
    logits: np.ndarray


def learning_curve(
    inputs: Inputs,
    texts: Divided,
    objective: Objective,
    settings: FitSettings,
    wide: WideSettings | None,
    pieces: int,
) -> tuple[Smaller, ...]:
    """Train classifiers on shares of the texts, the smallest share first, and hold out the same texts as with all of them.

    Args:
        inputs: vectors of all texts that the head reads.
        texts: folds of the texts.
        objective: objective to minimise.
        settings: settings of the training.
        wide: settings of the wide part, or None if it is not used.
        pieces: number of pieces in the vocabulary.
    """
    found = []
    for share, draws in _SHARES.items():
        thinned = [[thin(fold, texts.labels, share, (draw, number)) for number, fold in enumerate(texts.folds)]
                   for draw in range(draws)]  # fmt: skip
        sizes = [len(fold.train) for folds in thinned for fold in folds]
        if min(sizes) < _LEAST_TEXTS:
            continue
        logits = [
            out_of_fold(
                {"": inputs}, texts.ids, texts.labels, objective, folds,
                head=settings.head, wide=wide, pieces=pieces, weights=texts.all_weights,
            ).logits
            for folds in thinned
        ]  # fmt: skip
        found.append(Smaller(float(np.mean(sizes)), np.stack(logits)))
    return tuple(found)


def thin(fold: Fold, targets: np.ndarray, share: float, seed: Sequence[int]) -> Fold:
    """Return a fold that is trained on a share of its texts, of each label the same, and on one text of each at least.

    Args:
        fold: fold of texts.
        targets: targets of all texts.
        share: share of the texts to train on.
        seed: seed of the draw.
    """
    random = np.random.default_rng(seed)
    groups = both_sides(targets[fold.train])
    if targets.ndim == 1 and groups:
        kept = [random.permutation(rows)[: max(1, round(len(rows) * share))] for rows in groups]
        return replace(fold, train=fold.train[np.sort(np.concatenate(kept))])
    order = random.permutation(len(fold.train))
    some = order[: max(1, round(len(order) * share))]
    more = [rows[:1] for rows in groups if not np.isin(rows, some).any()]
    return replace(fold, train=fold.train[np.unique(np.concatenate([some, *more]))])
