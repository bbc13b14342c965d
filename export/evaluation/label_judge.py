"""The judge of predictions of any number of labels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from export.evaluation import baseline
from export.evaluation.baseline import Learner
from export.evaluation.headline import CALIBRATION_ERROR, INTERVAL, Figure, Headline
from export.evaluation.judge import Axes, Constant, Table
from export.evaluation.label_metrics import (
    LABEL_HEAD,
    LabelMetrics,
    each_label,
    f1,
    label_cells,
    label_losses,
    label_metrics,
    label_reliability,
)
from export.evaluation.metrics import Bin
from scorer.model.interpretation import MultiLabel

MICRO_F1 = Headline("micro F1", "micro_f1", "interval", ".4f")
_MACRO_F1 = Headline("macro F1", "macro_f1", "macro_interval", ".4f")
_EXACT = Headline("all labels right", "exact", "exact_interval", ".2%")


@dataclass(frozen=True)
class LabelJudge:
    """See `export.evaluation.judge.Judge`.

    Attributes:
        interpretation: meaning of the logits.
    """

    interpretation: MultiLabel

    main = grouped = MICRO_F1
    averaged = (Figure("macro F1", "macro_f1", ".4f"), CALIBRATION_ERROR)
    head = (*MICRO_F1.head, "macro F1", INTERVAL, "all labels right", INTERVAL, "log loss", "calibration error")
    axes = Axes("share of texts with the label", "probability of a label", "texts x labels")
    kept = ("by_label",)

    def metrics(self, values: np.ndarray, truth: np.ndarray) -> LabelMetrics:
        return label_metrics(values, self.interpretation.given(values), truth)

    def parts(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        given, have = self.interpretation.given(values), truth.astype(bool)
        return np.stack([(given & have).sum(axis=1), (given != have).sum(axis=1)], axis=1).astype(np.float64)

    def main_of(self, sums: np.ndarray, texts: int) -> np.ndarray:
        return f1(sums[:, 0], sums[:, 1])

    def constant(self, truth: np.ndarray) -> Constant:
        """See `export.evaluation.judge.Judge`; of sets with so many labels, the most frequent labels have the best F1."""
        counts = truth.sum(axis=0)
        order = np.argsort(-counts, kind="stable")
        right, sizes = counts[order].cumsum(), np.arange(1, len(counts) + 1)
        best = order[: int((2 * right / (len(truth) * sizes + counts.sum())).argmax()) + 1]
        values = np.zeros(truth.shape)
        values[:, best] = 1.0
        name = f"label {self.interpretation.labels[best[0]]}" if len(best) == 1 else f"{len(best)} largest labels"
        return Constant(f"always giving the {name}", values)

    def cells(self, metrics: Mapping[str, Any]) -> tuple[str, ...]:
        shares = (cell for one in (MICRO_F1, _MACRO_F1, _EXACT) for cell in one.cells(metrics))
        return (*shares, f"{metrics['log_loss']:.4f}", f"{metrics['ece']:.2%}")

    def details(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        found = each_label(self.interpretation.labels, self.interpretation.given(values), truth)
        return {"by_label": [asdict(one) for one in found]}

    def tables(self, details: Mapping[str, Any]) -> list[Table]:
        if "by_label" not in details:
            return []
        each = zip(details["by_label"], self.interpretation.thresholds, self.interpretation.temperatures, strict=True)
        rows = [(*label_cells(one), f"{threshold:.4g}", f"{temperature:.3f}") for one, threshold, temperature in each]
        return [Table("by label", (*LABEL_HEAD, "threshold", "temperature"), rows)]

    def reliability(self, values: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
        return label_reliability(values, truth)

    def uncalibrated(self) -> MultiLabel:
        return replace(self.interpretation, temperatures=(1.0,) * len(self.interpretation.labels))

    def costs(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        cost = label_losses(values, truth).sum(axis=1)
        cost[(self.interpretation.given(values) == truth.astype(bool)).all(axis=1)] = -1
        return cost

    def error(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        labels = zip(self.interpretation.labels, truth, strict=True)
        return {
            "labels": [label for label, one in labels if one],
            "predicted": list(self.interpretation.answers(values[np.newaxis])[0]),
            "loss": round(float(label_losses(values, truth).sum()), 4),
        }

    def baselines(self) -> "tuple[tuple[str, Learner, LabelJudge], ...]":
        count = len(self.interpretation.labels)
        plain = replace(self.interpretation, temperatures=(1.0,) * count, thresholds=(0.5,) * count)
        return ((baseline.LABELS_NAME, baseline.labels_trained_on, LabelJudge(plain)),)
