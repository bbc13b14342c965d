"""Folds of few texts, each of which is held out once: stratified, and with texts that belong together in one fold."""

from collections.abc import Sequence

import numpy as np

from export.classifier.choice import Fold
from export.errors import ExportError
from export.together import sets_of

_FOLDS, _MORE_FOLDS = 5, 10
_MORE_BELOW = 500  # texts: there, more of the few texts are trained on

_BINS, _PER_BIN = 10, 20  # of numbers, by their rank


def fold_count(texts: int) -> int:
    """Return the number of folds.

    >>> fold_count(300), fold_count(1_000)
    (10, 5)
    """
    return _MORE_FOLDS if texts < _MORE_BELOW else _FOLDS


def folds_of(
    texts: Sequence[str],
    targets: np.ndarray,
    count: int,
    *,
    origins: Sequence[str] = (),
    domains: Sequence[str] = (),
) -> tuple[Fold, ...]:
    """Divide texts into folds.

    The texts of each label (of numbers, of each range) are cut into runs in the order of the file, one for each fold.
    Neighbours often belong together, such as reviews of one film or messages of one day. A text whose neighbours are trained
    on would be too easy. Equal texts, near duplicates and texts of one origin are in one fold.

    Each training needs texts of every label. If all texts of a label would be in one fold, they are only trained on. If a
    text may have any number of labels, one of them is.

    Args:
        texts: texts in the order of their files.
        targets: targets of the texts; see `export.classifier.objective`.
        count: number of folds.
        origins: thread or product of each text, empty for a text without one; or nothing.
        domains: domain of each text; empty if all texts are of one.

    Raises:
        ExportError: there are too few texts.
    """
    sets, strata = sets_of(texts, origins), _strata(targets, domains)
    fold_of_set = np.full(sets.max(initial=-1) + 1, -1)
    sizes = np.bincount(sets)
    for stratum in np.unique(strata):
        members = [one for one in dict.fromkeys(sets[strata == stratum].tolist()) if fold_of_set[one] < 0]
        ends = np.cumsum(sizes[members])
        fold_of_set[members] = (2 * ends - sizes[members]) * count // (2 * ends[-1]) if members else 0
    numbers = fold_of_set[sets]
    for rows in both_sides(targets):
        if len(np.unique(numbers[rows])) == 1:
            numbers[rows if targets.ndim == 1 else rows[:1]] = -1
    folds = [Fold(np.flatnonzero(numbers != one), np.flatnonzero(numbers == one)) for one in range(count)]
    folds = [fold for fold in folds if len(fold.held_out) and len(fold.train)]
    if len(folds) < 2:
        raise ExportError(f"{len(texts)} training texts are too few to hold out validation texts; give more.")
    return tuple(folds)


def both_sides(targets: np.ndarray) -> list[np.ndarray]:
    """Return the rows of the texts of which each training needs some, int64 (rows,) each; the smallest group last.

    They are the texts with a label and, if a text may have any number of labels, those without it.
    """
    if targets.dtype.kind == "f":
        return []
    if targets.ndim == 1:
        return [np.flatnonzero(targets == label) for label in np.unique(targets)]
    groups = [np.flatnonzero(column == value) for column in targets.T for value in (0, 1)]
    return sorted((rows for rows in groups if len(rows)), key=len, reverse=True)


def _strata(targets: np.ndarray, domains: Sequence[str]) -> np.ndarray:
    """Return the number of each text's kind, int64 (texts,): its label, or the rarest of them, or its range; and domain."""
    if targets.dtype.kind == "f":
        bins = max(1, min(_BINS, len(targets) // _PER_BIN))
        kinds = np.searchsorted(np.quantile(targets[:, 0], np.arange(1, bins) / bins), targets[:, 0], side="right")
    elif targets.ndim == 1:
        kinds = targets
    else:
        rarest = np.argsort(targets.sum(axis=0), kind="stable")
        kinds = np.where(targets.any(axis=1), targets[:, rarest].argmax(axis=1), -1)
    names = np.array([f"{domain} {kind}" for domain, kind in zip(domains or [""] * len(kinds), kinds, strict=True)])
    return np.unique(names, return_inverse=True)[1].reshape(-1)
