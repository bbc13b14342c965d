"""Figures of a cascade on labelled texts: how many the wide part decides, what that saves, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from export.evaluation.metrics import calibration_error, predictions, reliability

SHARES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0)
"""Shares of texts that the wide part decides, for a curve."""

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class StagedTexts:
    """Labelled texts as each stage sees them.

    Attributes:
        labels: the truth, int64 (texts,).
        whole: probabilities with every text through the encoder, float64 (texts, labels).
        wide: probabilities of the wide part alone, the same.
        early: whether the wide part decides, bool (texts,).
        tokens: that the encoder reads, int64 (texts,).
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
        """Some of the texts, by their numbers."""
        return StagedTexts(*(getattr(self, one.name)[texts] for one in fields(self)))

    def with_early(self, early: np.ndarray) -> np.ndarray:
        """Probabilities where the wide part decides these texts, bool (texts,)."""
        return np.where(early[:, np.newaxis], self.wide, self.whole)

    def point(self, early: np.ndarray) -> "Point":
        """Figures where the wide part decides these texts, bool (texts,)."""
        found = self.with_early(early)
        return Point(
            rows=float(early.mean()),
            tokens=float(self.tokens[early].sum() / self.tokens.sum()),
            accuracy=float((predictions(found) == self.labels).mean()),
            ece=calibration_error(reliability(found, self.labels)),
        )

    def loss(self, early: np.ndarray | None = None) -> "Loss":
        """Accuracy that it costs where the wide part decides these texts; None for those that the cascade gives it."""
        found = self.staged if early is None else self.with_early(early)
        return accuracy_loss(predictions(self.whole) == self.labels, predictions(found) == self.labels)

    def curve(self, shares: Sequence[float] = SHARES) -> "list[Point]":
        """Figures where the wide part decides the surest texts, one point a share of them."""
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
    """Figures of texts of which the wide part decides some.

    Attributes:
        rows: share of the texts that it decides.
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
        """Texts in the time that one takes through the encoder, by its tokens alone; infinite where all are saved."""
        return 1 / (1 - self.tokens) if self.tokens < 1 else float("inf")


@dataclass(frozen=True)
class Loss:
    """Accuracy lost, in points.

    Attributes:
        points: the estimate; below 0 where accuracy is gained.
        interval: of it, 95%.
    """

    points: float
    interval: tuple[float, float]


def accuracy_loss(before: np.ndarray, after: np.ndarray) -> Loss:
    """Compare the same texts labelled in two ways.

    The interval is that of Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions".

    Args:
        before, after: whether each text's label is right, bool (texts,).

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
