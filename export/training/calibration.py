"""Meaning of a trained classifier's logits: temperatures, thresholds and units, from texts that were held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.head import loss_of
from export.classifier.objective import Objective
from export.classifier.stacking import Stack
from export.classifier.thresholds import NEVER, UNKNOWN, Chosen, choose_thresholds
from export.data import Dataset
from export.evaluation.metrics import calibration_error, reliability
from export.training.settings import FitSettings
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.manifest import Unit

Report = Callable[[str], None]

_FEW = 20  # held-out texts with a label, below which its threshold is a guess


@dataclass(frozen=True)
class Calibration:
    """Meaning of the logits, and the figures of the held-out texts that it was fitted to.

    Attributes:
        before: meaning without calibration; None for numbers, which have none.
        after: meaning of the classifier's logits.
        figures: calibration error and loss of the held-out texts before and after, by name; empty for numbers.
        thresholds: threshold of each label with its figures, if a text may have any number of labels.
    """

    before: Interpretation | None
    after: Interpretation
    figures: Mapping[str, float]
    thresholds: tuple[Chosen, ...] = ()


def calibrate(
    dataset: Dataset,
    stacked: Stack,
    unit: Unit | None,
    held_out: tuple[np.ndarray, np.ndarray],
    objective: Objective,
    settings: FitSettings,
    report: Report,
) -> Calibration:
    """Give a meaning to the logits of a stack.

    Args:
        dataset: labelled texts.
        stacked: stack with its temperatures.
        unit: unit of numbers, or None.
        held_out: logits of the stack, float32 (texts, logits), and targets.
        objective: objective of the training.
        settings: settings of the training.
        report: callback for each line of the training log.
    """
    if dataset.task == REGRESSION:
        assert unit is not None, "numbers have one"
        return Calibration(None, Regression(dataset.labels, unit.scale, unit.offset), {})
    if dataset.task == MULTI_LABEL:
        return _any_of(dataset.labels, stacked, held_out, objective, settings, report)
    temperature = float(stacked.temperature)
    before = SingleLabel(dataset.labels, ordered=dataset.ordered)
    after = replace(before, temperature=temperature)
    figures = _figures(before, after, held_out, objective)
    _report(f"temperature {temperature:.3f}", figures, report)
    return Calibration(before, after, figures)


def _any_of(
    labels: tuple[str, ...],
    stacked: Stack,
    held_out: tuple[np.ndarray, np.ndarray],
    objective: Objective,
    settings: FitSettings,
    report: Report,
) -> Calibration:
    temperatures = np.asarray(stacked.temperature)
    before = MultiLabel(labels, (1.0,) * len(labels), (UNKNOWN,) * len(labels))
    after = replace(before, temperatures=tuple(temperatures.tolist()))
    logits, truth = held_out
    chosen = choose_thresholds(after.values(logits), truth, settings.min_precision)
    figures = _figures(before, after, held_out, objective)
    _report(f"temperatures {temperatures.min():.3f} to {temperatures.max():.3f}", figures, report)
    _report_thresholds(labels, chosen, settings.min_precision, report)
    after = replace(after, thresholds=tuple(one.threshold for one in chosen))
    return Calibration(before, after, figures, chosen)


def _figures(
    before: Interpretation, after: Interpretation, held_out: tuple[np.ndarray, np.ndarray], objective: Objective
) -> dict[str, float]:
    """Compute the calibration error and the loss before and after temperature scaling, by name."""
    logits, truth = held_out
    found = {}
    for when, meaning in (("before", before), ("after", after)):
        divisor = np.array(meaning.temperatures if isinstance(meaning, MultiLabel) else _temperature(meaning))
        found[f"ece_{when}"] = _calibration_error(meaning.values(logits), truth)
        found[f"loss_{when}"] = loss_of(objective.plain, logits / divisor.astype(np.float32), truth)
    return found


def _temperature(meaning: Interpretation) -> float:
    assert isinstance(meaning, SingleLabel), "numbers have no temperature"
    return meaning.temperature


def _calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Compute the calibration error; the mean over labels if a text may have any number of them."""
    if truth.ndim == 1:
        return calibration_error(reliability(probabilities, truth))
    each = [
        calibration_error(reliability(np.stack([1 - column, column], axis=1), labels))
        for column, labels in zip(probabilities.T, truth.T, strict=True)
    ]
    return float(np.mean(each))


def _report(temperature: str, figures: Mapping[str, float], report: Report) -> None:
    report(
        f"{temperature}: calibration error on the validation texts {figures['ece_before']:.2%} before scaling, "
        f"{figures['ece_after']:.2%} after"
    )


def _report_thresholds(
    labels: Sequence[str], chosen: Sequence[Chosen], min_precision: float | None, report: Report
) -> None:
    """Report the thresholds, and the labels that the held-out texts do not suffice for."""
    by_label = dict(zip(labels, chosen, strict=True))
    few = [f"{label} {one.texts}" for label, one in by_label.items() if 0 < one.texts < _FEW]
    if few:
        report(
            f"few validation texts have the label, so the threshold is uncertain: {', '.join(few)}. Give more texts with it, "
            "or a larger --validation-share."
        )
    report("thresholds: " + ", ".join(f"{label} {one.threshold:.3f}" for label, one in by_label.items()))
    never = [label for label, one in by_label.items() if one.threshold == NEVER]
    if min_precision is not None and never:
        report(
            f"warning: no threshold reaches a precision of {min_precision:g} on the validation texts for {', '.join(never)}, "
            "so the model will not give it. Give a lower --min-precision, or more texts with it."
        )
    unknown = [label for label, one in by_label.items() if not one.texts]
    if min_precision is None and unknown:
        report(
            f"no validation text has the label {', '.join(unknown)}, so its threshold is {UNKNOWN:g}. Give more texts with "
            "it, or a larger --validation-share."
        )
