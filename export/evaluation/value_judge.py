"""The judge of predictions of numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from export.evaluation import baseline
from export.evaluation.baseline import Learner
from export.evaluation.headline import Figure, Headline
from export.evaluation.judge import Axes, Constant, Table
from export.evaluation.metrics import Bin
from export.evaluation.value_metrics import ValueMetrics, each_output, r2_of, value_metrics, value_parts
from scorer.model.interpretation import Regression

R2 = Headline("R2", "r2", "interval", ".4f")
MAE = Headline("MAE", "mae", "mae_interval", ".4g", is_share=False)
_RMSE = Headline("RMSE", "rmse", "rmse_interval", ".4g", is_share=False)


@dataclass(frozen=True)
class ValueJudge:
    """See `export.evaluation.judge.Judge`.

    Attributes:
        interpretation: meaning of the logits.
    """

    interpretation: Regression

    main = R2
    grouped = MAE
    averaged = (Figure("R2", "r2", ".4f"),)
    head = (*R2.head, *MAE.head, *_RMSE.head)
    axes = Axes("", "", "")
    kept = ("by_output",)

    def metrics(self, values: np.ndarray, truth: np.ndarray) -> ValueMetrics:
        return value_metrics(values, truth)

    def parts(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return value_parts(values, truth)

    def main_of(self, sums: np.ndarray, texts: int) -> np.ndarray:
        return r2_of(sums, texts)

    def constant(self, truth: np.ndarray) -> Constant:
        return Constant("always giving the mean", np.tile(truth.mean(axis=0), (len(truth), 1)))

    def cells(self, metrics: Mapping[str, Any]) -> tuple[str, ...]:
        return (*R2.cells(metrics), *MAE.cells(metrics), *_RMSE.cells(metrics))

    def details(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        names = self.interpretation.labels
        if len(names) == 1:
            return {}
        return {"by_output": [asdict(one) for one in each_output(names, values, truth)]}

    def tables(self, details: Mapping[str, Any]) -> list[Table]:
        if "by_output" not in details:
            return []
        rows = [
            (one["name"], R2.spelled(one["r2"]), MAE.spelled(one["mae"]), _RMSE.spelled(one["rmse"]))
            for one in details["by_output"]
        ]
        return [Table("by output", ("output", "R2", "MAE", "RMSE"), rows)]

    def reliability(self, values: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
        return ()

    def uncalibrated(self) -> None:
        return None

    def costs(self, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the largest error of an output, in its standardised unit."""
        cost = (np.abs(values - truth) / np.array(self.interpretation.scale)).max(axis=1)
        cost[cost == 0] = -1
        return cost

    def error(self, values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
        found = {
            "value": [float(one) for one in truth],
            "predicted": [round(float(one), 6) for one in values],
            "error": [round(float(one), 6) for one in np.abs(values - truth)],
        }
        return {name: one[0] for name, one in found.items()} if len(truth) == 1 else dict(found)

    def baselines(self) -> "tuple[tuple[str, Learner, ValueJudge], ...]":
        return (
            (baseline.VALUES_NAME, baseline.values_trained_on, self),
            (baseline.MEAN_NAME, baseline.mean_of, self),
        )
