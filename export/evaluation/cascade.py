"""Figures of a cascade on labelled texts: the share that the wide part decides, the tokens saved, the accuracy lost."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from export.data import sort_labels
from export.evaluation.metrics import calibration_error, reliability
from scorer.model.confidence import most_probable

SHARES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0)
"""Shares of texts that the wide part decides, as points of a curve."""

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class StagedTexts:
    """Labelled texts with the probabilities of each stage.

    Attributes:
        labels: true label numbers, int64 (texts,).
        whole: probabilities with every text through the encoder, float64 (texts, labels).
        wide: probabilities of the wide part alone, float64 (texts, labels).
        early: texts that the wide part decides, bool (texts,).
        tokens: numbers of tokens that the encoder reads, int64 (texts,).
    """

    labels: np.ndarray
    whole: np.ndarray
    wide: np.ndarray
    early: np.ndarray
    tokens: np.ndarray

    @property
    def staged(self) -> np.ndarray:
        """Probabilities with the cascade, float64 (texts, labels)."""
        return self.with_early(self.early)

    @property
    def chosen(self) -> "Point":
        """Figures with the cascade."""
        return self.point(self.early)

    @property
    def without(self) -> "Point":
        """Figures with every text through the encoder."""
        return self.point(np.zeros(len(self.labels), dtype=bool))

    def some(self, texts: np.ndarray) -> "StagedTexts":
        """Return some of the texts, by number."""
        return StagedTexts(*(getattr(self, one.name)[texts] for one in fields(self)))

    def with_early(self, early: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 (texts, labels), if the wide part decides the texts in a mask, bool (texts,)."""
        return np.where(early[:, np.newaxis], self.wide, self.whole)

    def by_name(self, names: np.ndarray) -> "list[StagedGroup]":
        """Return the figures of the texts of each name, str (texts,), in the order of the names."""
        return [
            staged_group(name, self.some(np.flatnonzero(names == name))) for name in sort_labels(set(names.tolist()))
        ]

    def point(self, early: np.ndarray) -> "Point":
        """Compute the figures if the wide part decides the texts in a mask, bool (texts,)."""
        found = self.with_early(early)
        return Point(
            rows=float(early.mean()),
            tokens=float(self.tokens[early].sum() / self.tokens.sum()),
            accuracy=float((most_probable(found) == self.labels).mean()),
            ece=calibration_error(reliability(found, self.labels)),
        )

    def loss(self, early: np.ndarray | None = None) -> "Loss":
        """Compute the accuracy lost if the wide part decides the texts in a mask, bool (texts,).

        Args:
            early: the mask; None for the cascade's own.
        """
        found = self.staged if early is None else self.with_early(early)
        return accuracy_loss(most_probable(self.whole) == self.labels, most_probable(found) == self.labels)

    def curve(self, shares: Sequence[float] = SHARES) -> "list[Point]":
        """Compute the figures if the wide part decides the surest texts, one point for each share of them."""
        largest = np.sort(self.wide, axis=1)[:, -2:]
        order = np.argsort(largest[:, 0] / largest[:, 1], kind="stable")
        found = []
        for share in shares:
            early = np.zeros(len(order), dtype=bool)
            early[order[: round(share * len(order))]] = True
            found.append(self.point(early))
        return found


@dataclass(frozen=True)
class Point:
    """Figures of texts, some of which the wide part decides.

    Attributes:
        rows: share of the texts that the wide part decides.
        tokens: share of the encoder's tokens that this saves.
        accuracy: share of right labels.
        ece: expected calibration error.
    """

    rows: float
    tokens: float
    accuracy: float
    ece: float

    @property
    def rate(self) -> float:
        """Speed-up over the encoder alone if only its tokens counted; infinite if all are saved."""
        return 1 / (1 - self.tokens) if self.tokens < 1 else float("inf")


@dataclass(frozen=True)
class Loss:
    """Accuracy lost, in percentage points.

    Attributes:
        points: estimate; below 0 if accuracy is gained.
        interval: 95% interval of the estimate.
    """

    points: float
    interval: tuple[float, float]

    @property
    def deviation(self) -> float:
        """Standard deviation of the estimate."""
        low, high = self.interval
        return (high - low) / (2 * _NORMAL_95)


@dataclass(frozen=True)
class StagedGroup:
    """Figures of some of the texts, with and without the cascade.

    Attributes:
        name: name of the group.
        texts: number of texts.
        without, chosen: figures with every text through the encoder, and with the cascade.
        loss: accuracy that the cascade costs.
    """

    name: str
    texts: int
    without: Point
    chosen: Point
    loss: Loss


def staged_group(name: str, stages: StagedTexts) -> StagedGroup:
    """Compute the figures of texts under one name."""
    return StagedGroup(name, len(stages.labels), stages.without, stages.chosen, stages.loss())


def accuracy_loss(before: np.ndarray, after: np.ndarray) -> Loss:
    """Compute the accuracy lost between two labellings of the same texts.

    The interval follows Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions".

    Args:
        before, after: texts with the right label, bool (texts,).

    >>> lost = accuracy_loss(np.array([True] * 98 + [False] * 2), np.array([True] * 97 + [False] * 3))
    >>> lost.points, lost.interval[0] < 1 < lost.interval[1]
    (1.0, True)
    """
    worse, better = int((before & ~after).sum()), int((after & ~before).sum())
    lost, won, texts = worse + 0.5, better + 0.5, len(before) + 2
    middle = (lost - won) / texts
    deviation = np.sqrt(((lost + won) / texts - middle**2) / texts)
    low, high = (100 * (middle + side * _NORMAL_95 * deviation) for side in (-1, 1))
    return Loss(100 * (worse - better) / len(before), (float(low), float(high)))
