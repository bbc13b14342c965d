"""A trained classifier with the figures of its training, before it becomes a graph."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.classifier.choice import Fold
from export.classifier.classifier import Classifier
from export.classifier.head import Training
from export.classifier.stacking import Stack
from export.classifier.wide import WideTraining
from export.encoder.load import FrozenEncoder
from export.training.calibration import Calibration
from export.training.cascade import CascadeChoice
from export.training.learning import Smaller
from scorer.model.interpretation import Interpretation
from scorer.model.manifest import Unit


@dataclass(frozen=True)
class Crossed:
    """Calibrated logits of the held-out texts, each by a classifier that was trained on other folds.

    Attributes:
        folds: folds of the training texts.
        logits: logits of head and wide part, float32 (texts, logits).
        smaller: the same of classifiers that were trained on fewer texts.
    """

    folds: tuple[Fold, ...]
    logits: np.ndarray
    smaller: tuple[Smaller, ...]


@dataclass(frozen=True)
class Fit:
    """A trained classifier, with the figures of its training.

    Attributes:
        encoder: encoder, including its trained blocks.
        classifier: head, pooling, wide part and cascade.
        stack: share of the wide part, biases and temperature.
        training: training of the head.
        wide: training of the wide part, or None.
        validation: figure of each part alone and of both together, by name, on the validation texts.
        poolings: figure of other poolings of a frozen encoder, for comparison.
        calibration: meaning of the logits, with the figures of the validation texts.
        train_rows, validation_rows: row numbers in the training split, int64 (rows,).
        unit: unit of numbers, or None.
        cascade: choice of the cascade, or None.
        crossed: logits of each text by classifiers of other folds, after cross-validation; or None.
    """

    encoder: FrozenEncoder
    classifier: Classifier
    stack: Stack
    training: Training
    wide: WideTraining | None
    validation: Mapping[str, float]
    poolings: Mapping[str, float]
    calibration: Calibration
    train_rows: np.ndarray
    validation_rows: np.ndarray
    unit: Unit | None = None
    cascade: CascadeChoice | None = None
    crossed: Crossed | None = None

    @property
    def interpretation(self) -> Interpretation:
        """The meaning of the classifier's logits."""
        return self.calibration.after

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities or values, float64 (texts, labels), of logits calibrated by length, (texts, logits)."""
        return self.interpretation.values(logits)
