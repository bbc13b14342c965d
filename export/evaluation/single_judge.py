"""The judge of predictions of one label of several."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from export.evaluation import baseline
from export.evaluation.baseline import Learner
from export.evaluation.headline import CALIBRATION_ERROR, Figure, Headline
from export.evaluation.judge import Axes, Constant, Table
from export.evaluation.label_metrics import LABEL_HEAD, each_label, label_cells
from export.evaluation.metrics import Bin, Metrics, confusion, losses, metrics, reliability
from export.evaluation.order_metrics import ordered_metrics
from scorer.model.confidence import most_probable
from scorer.model.interpretation import SingleLabel

ACCURACY = Headline("accuracy", "accuracy", "interval", ".2%")


@dataclass(frozen=True)
class SingleJudge:
    """See `export.evaluation.judge.Judge`.

    Attributes:
        interpretation: meaning of the logits.
    """

    interpretation: SingleLabel

    main = grouped = ACCURACY
    axes = Axes("share of right labels", "probability of the predicted label", "texts")
    kept = ("by_label",)

    @property
    def averaged(self) -> tuple[Figure, ...]:
        return (Figure(self._f1, "f1", ".4f"), CALIBRATION_ERROR)

    @property
    def _f1(self) -> str:
        """The F1 of `Metrics`: of the positive label, or the mean over all labels."""
        return "F1" if len(self.interpretation.labels) == 2 else "macro F1"

    @property
    def head(self) -> tuple[str, ...]:
        ordered = ("MAE", "MAE of the expected label", "weighted kappa") if self.interpretation.ordered else ()
        return (*ACCURACY.head, self._f1, "ROC AUC", "log loss", "calibration error", *ordered)

    def metrics(self, values: np.ndarray, truth: np.ndarray) -> Metrics:
        if self.interpretation.ordered:
            return ordered_metrics(self.interpretation, values, truth)
        return metrics(values, truth)

    def parts(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return (most_probable(values) == truth)[:, np.newaxis].astype(np.float64)

    def main_of(self, sums: np.ndarray, texts: int) -> np.ndarray:
        return sums[:, 0] / texts

    def constant(self, truth: np.ndarray) -> Constant:
        labels = self.interpretation.labels
        largest = int(np.bincount(truth, minlength=len(labels)).argmax())
        values = np.tile(np.eye(len(labels))[largest], (len(truth), 1))
        return Constant(f"always giving the largest label, {labels[largest]}", values)

    def cells(self, metrics: Mapping[str, Any]) -> tuple[str, ...]:
        auc = metrics["roc_auc"]
        found = (
            *ACCURACY.cells(metrics),
            f"{metrics['f1']:.4f}",
            "" if auc is None else f"{auc:.4f}",
            f"{metrics['log_loss']:.4f}",
            f"{metrics['ece']:.2%}",
        )
        if not self.interpretation.ordered:
            return found
        kappa = metrics["kappa"]
        distances = (f"{metrics[name]:.4f}" for name in ("mae", "expected_mae"))
        return (*found, *distances, "" if kappa is None else f"{kappa:.4f}")

    def details(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        labels, predicted = self.interpretation.labels, most_probable(values)
        found = {"confusion": confusion(truth, predicted, len(labels)).tolist()}
        if len(labels) == 2:
            return found
        numbers = np.arange(len(labels))
        each = each_label(labels, *(one[:, np.newaxis] == numbers for one in (predicted, truth)))
        return {**found, "by_label": [asdict(one) for one in each]}

    def tables(self, details: Mapping[str, Any]) -> list[Table]:
        found, labels = [], self.interpretation.labels
        if "by_label" in details:
            found.append(Table("by label", LABEL_HEAD, [label_cells(one) for one in details["by_label"]]))
        if "confusion" in details:
            counts = zip(labels, details["confusion"], strict=True)
            rows = [(label, *(f"{count:,}" for count in row)) for label, row in counts]
            found.append(Table("true labels in rows, predicted labels in columns", ("", *labels), rows))
        return found

    def reliability(self, values: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
        return reliability(values, truth)

    def uncalibrated(self) -> SingleLabel:
        return replace(self.interpretation, temperature=1.0)

    def costs(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        cost = losses(values, truth)
        cost[most_probable(values) == truth] = -1
        return cost

    def error(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        row, labels = values[np.newaxis], self.interpretation.labels
        return {
            "label": labels[truth],
            "predicted": labels[most_probable(row)[0]],
            "probability": round(float(values.max()), 6),
            "loss": round(float(losses(row, np.array([truth]))[0]), 4),
        }

    def baselines(self) -> "tuple[tuple[str, Learner, SingleJudge], ...]":
        return ((baseline.NAME, baseline.trained_on, self),)
