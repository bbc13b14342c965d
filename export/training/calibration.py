"""Meaning of a trained classifier's logits: temperatures, scales by length, thresholds and units, from held-out texts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.classifier.choice import loss_of
from export.classifier.length_calibration import fit_by_length
from export.classifier.objective import AnyOf, Objective, Value, predict
from export.classifier.settings import BY_LENGTH
from export.classifier.stacking import Stack
from export.classifier.thresholds import NEVER, UNKNOWN, Chosen, choose_thresholds
from export.data import Dataset
from export.evaluation.metrics import calibration_error, losses, reliability
from export.training.settings import FitSettings
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.model.decision import probabilities
from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.length_calibration import LengthCalibration
from scorer.model.manifest import Unit

Report = Callable[[str], None]

_FEW = 20  # held-out texts with a label, below which its threshold is a guess
_LEAST_ERRORS = 10  # of held-out texts, below which nothing shows that surer scores would be right


@dataclass(frozen=True)
class HeldOutLogits:
    """Logits of texts that no part of the classifier was trained on.

    Attributes:
        logits: logits of the stack, float32 (texts, logits).
        targets: targets of the training.
        lengths: numbers of tokens kept, int64 (texts,).
        weights: weight of each text, float64 (texts,), 1 on average; None for equal ones.
    """

    logits: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Calibration:
    """Meaning of the logits, and the figures of the held-out texts that it was fitted to.

    Attributes:
        before: meaning without calibration; None for numbers, which have none.
        after: meaning of the classifier's logits.
        figures: calibration error and loss of the held-out texts before and after, by name; empty for numbers.
        thresholds: threshold of each label with its figures, if a text may have any number of labels.
        by_length: calibration of the logits by length, before their meaning; None for none.
    """

    before: Interpretation | None
    after: Interpretation
    figures: Mapping[str, float]
    thresholds: tuple[Chosen, ...] = ()
    by_length: LengthCalibration | None = None

    def logits(self, held_out: HeldOutLogits) -> np.ndarray:
        """Return the logits of texts calibrated by length, float32 (texts, logits)."""
        if self.by_length is None:
            return held_out.logits
        return self.by_length.apply(held_out.logits, held_out.lengths)


def without_worse_temperature(stacked: Stack, held_out: HeldOutLogits, objective: Objective, report: Report) -> Stack:
    """Return the stack with a temperature of 1 where the fitted one makes the held-out texts worse, and report it.

    A temperature is worse if it raises the mean loss. A gain in loss of less than two standard errors may be chance. It does
    not excuse a larger calibration error. Few texts, a prior and weights of texts lead to such temperatures.

    A temperature below 1 makes scores surer. With fewer than ten wrong texts, it counts as worse as well: without errors the
    likeliest one is 0, and other texts would be wrong with great confidence.

    Args:
        stacked: stack with its temperatures.
        held_out: texts that they were fitted to.
        objective: objective of the training.
        report: callback for each line of the training log.
    """
    if isinstance(objective, Value):
        return stacked
    logits, truth = held_out.logits.astype(np.float64), held_out.targets
    if isinstance(objective, AnyOf):
        temperatures = np.array(stacked.temperature)
        worse = [
            _is_too_sure(logits[:, [label]], truth[:, label], one)
            or _is_worse(logits[:, [label]], truth[:, label], one, held_out.weights)
            for label, one in enumerate(temperatures.tolist())
        ]
        if any(worse):
            report(
                f"no temperature for {sum(worse):,} of {len(worse):,} labels: it would make the validation texts worse"
            )
        return replace(stacked, temperature=np.where(worse, 1.0, temperatures))
    temperature = float(stacked.temperature)
    if _is_too_sure(logits, truth, temperature):
        report(
            f"no temperature: {temperature:.3f} would make scores surer, and too few validation texts are wrong to judge that"
        )
        return replace(stacked, temperature=1.0)
    if not _is_worse(logits, truth, temperature, held_out.weights):
        return stacked
    report(f"no temperature: {temperature:.3f} would make the validation texts worse")
    return replace(stacked, temperature=1.0)


def _is_too_sure(logits: np.ndarray, labels: np.ndarray, temperature: float) -> bool:
    """Return whether a temperature makes scores surer, although too few of the texts are wrong to judge that."""
    wrong = predict(logits) != labels
    return temperature < 1 and int(wrong.sum()) < _LEAST_ERRORS


def _is_worse(logits: np.ndarray, labels: np.ndarray, temperature: float, weights: np.ndarray | None) -> bool:
    """Return whether a temperature makes texts with one label each worse; see `without_worse_temperature`.

    Args:
        logits: logits of the texts, float64 (texts, 1 or labels).
        labels: label numbers, int64 (texts,).
        temperature: divisor of the logits.
        weights: weights of the texts; None for equal ones.
    """
    before, after = probabilities(logits), probabilities(logits, temperature)
    gain = losses(before, labels) - losses(after, labels)
    if weights is not None:
        gain = gain * weights
    mean, error = float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))
    if mean < 0:
        return True
    return mean < 2 * error and calibration_error(reliability(after, labels)) > calibration_error(
        reliability(before, labels)
    )


def calibrate(
    dataset: Dataset,
    stacked: Stack,
    unit: Unit | None,
    held_out: HeldOutLogits,
    objective: Objective,
    settings: FitSettings,
    report: Report,
) -> Calibration:
    """Give a meaning to the logits of a stack.

    Args:
        dataset: labelled texts.
        stacked: stack with its temperatures.
        unit: unit of numbers, or None.
        held_out: texts to calibrate with.
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
    plain = Calibration(before, after, _figures(before, after, held_out.logits, held_out, objective))
    _report(f"temperature {temperature:.3f}", plain.figures, report)
    return _by_length(plain, temperature, held_out, objective, report) if settings.calibrate == BY_LENGTH else plain


def _by_length(
    plain: Calibration, temperature: float, held_out: HeldOutLogits, objective: Objective, report: Report
) -> Calibration:
    """Add a calibration by length to a plain one; return the plain one, with a message, if none can be fitted."""
    assert plain.before is not None, "a model that chooses one label has one"
    found = fit_by_length(held_out.logits, held_out.lengths, held_out.targets, temperature, held_out.weights)
    if isinstance(found, str):
        report(f"no calibration by length: {found}; the temperature alone calibrates")
        return plain
    with_length = replace(plain, by_length=found)
    figures = _figures(plain.before, plain.after, with_length.logits(held_out), held_out, objective)
    report(
        f"calibration by length, from {found.lengths[0]:g} to {found.lengths[-1]:g} tokens: calibration error on the "
        f"validation texts {plain.figures['ece_after']:.2%} without it, {figures['ece_after']:.2%} with it"
    )
    return replace(with_length, figures=figures)


def _any_of(
    labels: tuple[str, ...],
    stacked: Stack,
    held_out: HeldOutLogits,
    objective: Objective,
    settings: FitSettings,
    report: Report,
) -> Calibration:
    temperatures = np.asarray(stacked.temperature)
    before = MultiLabel(labels, (1.0,) * len(labels), (UNKNOWN,) * len(labels))
    after = replace(before, temperatures=tuple(temperatures.tolist()))
    logits, truth = held_out.logits, held_out.targets
    chosen = choose_thresholds(after.values(logits), truth, settings.min_precision)
    figures = _figures(before, after, logits, held_out, objective)
    _report(f"temperatures {temperatures.min():.3f} to {temperatures.max():.3f}", figures, report)
    _report_thresholds(labels, chosen, settings.min_precision, report)
    after = replace(after, thresholds=tuple(one.threshold for one in chosen))
    return Calibration(before, after, figures, chosen)


def _figures(
    before: Interpretation, after: Interpretation, calibrated: np.ndarray, held_out: HeldOutLogits, objective: Objective
) -> dict[str, float]:
    """Compute the calibration error and the loss before and after calibration, by name.

    Args:
        before, after: meaning of the logits of the held-out texts, and of the calibrated ones.
        calibrated: logits calibrated by length, float32 (texts, logits).
        held_out: texts to compute them on.
        objective: objective of the training.
    """
    truth, found = held_out.targets, {}
    for when, meaning, logits in (("before", before, held_out.logits), ("after", after, calibrated)):
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
            f"few validation texts have the label, so the threshold is uncertain: {', '.join(few)}. Give more texts with it."
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
