"""The texts to test with, chosen from one file: stratified, and with texts that belong together on one side."""

from collections.abc import Sequence

import numpy as np

from export.data import Row, labels_in, task_of
from export.errors import DatasetError
from export.together import sets_of
from scorer.base.task import REGRESSION

SHARE = 0.2
"""Share of the texts to test with, unless --test-share names another."""

LEAST = 100
"""Number of texts to test with at least, if that is at most a third of all texts."""

_WEIGHT = 0.25  # of all texts and of domains, beside 1 of labels
_BINS = 10  # of numbers, by their rank
_PER_BIN = 20


def count_to_test(texts: int, share: float | None) -> int:
    """Return the number of texts to test with.

    Args:
        texts: number of all texts.
        share: share of them to test with; None for `SHARE`, but `LEAST` texts or a third if that is more.

    >>> [count_to_test(texts, None) for texts in (30, 200, 300, 400, 10_000)], count_to_test(300, 0.1)
    ([10, 66, 100, 100, 2000], 30)
    """
    if share is not None:
        return round(share * texts)
    return max(round(SHARE * texts), min(LEAST, texts // 3))


def choose_test(rows: Sequence[Row], share: float | None = None) -> np.ndarray:
    """Choose the texts to test with, bool (rows,); the order of the rows does not matter.

    Sets of texts that belong together are taken one after the other, the large ones first. Each goes to the side that keeps
    the test part's share of every label, and of all texts, closest to the wanted one. Every label stays in training.

    Raises:
        DatasetError: no texts can be spared.
    """
    if not rows:
        raise DatasetError("no labelled texts are left to train on and to test with. Give a file of labelled texts.")
    sets = sets_of([row.text for row in rows], [row.origin for row in rows])
    strata = _strata(rows)
    wanted = count_to_test(len(rows), share)
    members = np.split(np.argsort(sets, kind="stable"), np.cumsum(np.bincount(sets))[:-1])
    members.sort(key=len, reverse=True)  # stable, so sets of one size keep their order
    chosen = np.zeros(len(rows), dtype=bool)
    for rows_of_set in _balanced(members, strata, wanted / max(1, len(rows))) or _smallest(members, strata, wanted):
        chosen[rows_of_set] = True
    if not chosen.any():
        raise DatasetError(
            f"no texts can be spared to test with: {_why(rows, len(members))}. Give other texts to test with in --test-file."
        )
    return chosen


def _why(rows: Sequence[Row], sets: int) -> str:
    """Return why no set of texts can be left out of training, in words."""
    if sets == 1 and len(rows) > 1:
        return f"all {len(rows):,} texts belong together, as near duplicates or by --split-by"
    return "without any of them, training would lack a label or have no text"


class _Strata:
    """Kinds of texts that both sides need in equal shares.

    Attributes:
        of_row: numbers of each row's kinds, int64 (kinds,).
        is_label: whether each kind is one that training must not lack, bool (kinds,).
        weights: weight of each kind, float64 (kinds,); rare labels are exact before the number of all texts is.
    """

    def __init__(self, names: Sequence[Sequence[tuple[str, str]]]) -> None:
        numbers: dict[tuple[str, str], int] = {}
        self.of_row = [
            np.array([numbers.setdefault(name, len(numbers)) for name in some], dtype=np.int64) for some in names
        ]
        self.is_label = np.array([kind in ("all", "label") for kind, _ in numbers], dtype=bool)
        self.weights = np.array([_WEIGHT if kind in ("all", "domain") else 1 for kind, _ in numbers])

    def counts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the kinds of some rows, and the number of rows of each."""
        return np.unique(np.concatenate([self.of_row[row] for row in rows]), return_counts=True)


def _strata(rows: Sequence[Row]) -> _Strata:
    """Return the kinds of rows: all, their labels (of numbers, the range that they are in), and their domain."""
    return _Strata(
        [[("all", ""), *labels, ("domain", row.domain)] for row, labels in zip(rows, _labels(rows), strict=True)]
    )


def _labels(rows: Sequence[Row]) -> list[list[tuple[str, str]]]:
    if task_of(rows) != REGRESSION:
        return [[("label", label) for label in sorted(labels_in([row]))] or [("no label", "")] for row in rows]
    values = np.array([np.ravel(row.label)[0] for row in rows], dtype=np.float64)
    bins = max(1, min(_BINS, len(rows) // _PER_BIN))
    edges = np.quantile(values, np.arange(1, bins) / bins)
    return [[("range", str(number))] for number in np.searchsorted(edges, values, side="right")]


def _balanced(members: Sequence[np.ndarray], strata: _Strata, share: float) -> list[np.ndarray]:
    """Return the sets of rows that keep the share of each kind closest to the wanted one at every step."""
    kinds, is_label = len(strata.is_label), strata.is_label
    counted = [strata.counts(rows) for rows in members]
    seen, test, left = (np.zeros(kinds) for _ in range(3))
    for found, counts in counted:
        left[found] += counts
    chosen = []
    for rows, (found, counts) in zip(members, counted, strict=True):
        seen[found] += counts
        lacking = share * seen[found] - test[found]
        nearer = (
            strata.weights[found] * counts * (counts - 2 * lacking)
        ).sum() < 0  # than without: (lacking - counts)^2 < lacking^2
        if nearer and (left[found] > counts)[is_label[found]].all():
            test[found] += counts
            left[found] -= counts
            chosen.append(rows)
    return chosen


def _smallest(members: Sequence[np.ndarray], strata: _Strata, wanted: int) -> list[np.ndarray]:
    """Return the set of rows whose size is nearest to the wanted one, of those whose labels others have as well."""
    every = np.arange(len(strata.of_row))
    total = np.zeros(len(strata.is_label))
    found, counts = strata.counts(every)
    total[found] = counts
    spared = []
    for rows in members:
        found, counts = strata.counts(rows)
        if (total[found] > counts)[strata.is_label[found]].all():
            spared.append(rows)
    return sorted(spared, key=lambda rows: abs(len(rows) - wanted))[:1]
