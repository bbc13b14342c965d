"""Pictures of the model card and of `score-model evaluate`."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

matplotlib.use("Agg")  # a display may be missing
matplotlib.rcParams["text.parse_math"] = False  # a label may have a dollar sign

from matplotlib import pyplot
from matplotlib.figure import Figure

from export.evaluation.cascade import StagedTexts
from export.evaluation.evaluate import Group
from export.evaluation.headline import Headline
from export.evaluation.judge import Axes
from export.evaluation.judges import judge_of
from export.evaluation.metrics import Bin, calibration_error
from export.evaluation.outputs import SOFTWARE
from export.evaluation.single_judge import ACCURACY, SingleJudge
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.model.interpretation import Interpretation

if TYPE_CHECKING:
    from export.classifier.head import Training  # importing PyTorch takes seconds, and `evaluate` does not need it

_WRAPPED = 48  # characters per line; a name may be a long path
_LOSSES: Mapping[Task, str] = MappingProxyType(
    {
        SINGLE_LABEL: "cross entropy (nats per text)",
        MULTI_LABEL: "cross entropy (nats per text and label)",
        REGRESSION: "loss (of standardised values)",
    }
)
_MOST_OUTPUTS = 4
_MOST_POINTS = 2000  # with more, points hide each other


def loss_curve(training: "Training", task: Task = SINGLE_LABEL) -> bytes:
    """Draw the training and validation loss of each head that was tried, and mark the chosen one; return a PNG.

    Args:
        training: training of the head.
        task: task of the model, which decides what the loss is.
    """
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    numbers = [step.number for step in training.steps]
    axes.plot(numbers, [step.train_loss for step in training.steps], marker="o", label="training")
    axes.plot(numbers, [step.validation_loss for step in training.steps], marker="o", label="validation")
    kept = f"{training.by} {training.best.number:g}, kept"
    axes.axvline(training.best.number, color="grey", linestyle=":", label=kept)
    axes.set(xlabel=training.by, ylabel=_LOSSES[task], title="Loss of the head")
    if training.by == "L2":
        axes.set_xscale("log")
    else:
        axes.set_xticks(numbers)
    axes.legend()
    return _png(figure)


def reliability_diagram(by_name: Mapping[str, Sequence[Bin]], names: Axes = SingleJudge.axes) -> bytes:
    """Draw accuracy by confidence, one line per name, above the number of texts by confidence; return a PNG.

    Args:
        by_name: bins by the name of what was scored.
        names: names of the axes.
    """
    figure, (axes, counts) = pyplot.subplots(
        2, 1, figsize=(5, 5.4), layout="constrained", sharex=True, height_ratios=(3, 1)
    )
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect calibration")
    for name, bins in by_name.items():
        confidence = [one.confidence for one in bins]
        error = textwrap.fill(f"{name} (error {calibration_error(bins):.2%})", _WRAPPED)
        axes.plot(confidence, [one.accuracy for one in bins], marker="o", label=error)
        counts.plot(confidence, [one.texts for one in bins], marker=".", label=name)
    least = min((one.low for bins in by_name.values() for one in bins), default=0.0)
    axes.set(ylabel=names.share, xlim=(least, 1), ylim=(0, 1.02), title="Reliability")
    axes.legend()
    counts.set(xlabel=names.probability, ylabel=names.count, ylim=(0, None))
    return _png(figure)


def group_bars(title: str, groups: Sequence[Group], figure: Headline = ACCURACY) -> bytes:
    """Draw a figure of groups of texts with its 95% interval; return a PNG.

    Args:
        title: title of the picture.
        groups: groups, from top to bottom.
        figure: figure to draw; one that is undefined for a group is drawn as 0.
    """
    drawn, axes = pyplot.subplots(figsize=(6, 1.2 + 0.35 * len(groups)), layout="constrained")
    names = [f"{one.name} ({one.metrics.texts:,})" for one in groups]
    each = [asdict(one.metrics) for one in groups]
    values = np.array([figure.value(one) or 0.0 for one in each])
    bounds = np.array([figure.bounds(one) or (value, value) for one, value in zip(each, values, strict=True)])
    distances = np.maximum(np.abs(bounds - values[:, np.newaxis]), 0).T
    axes.barh(names, values, xerr=distances, color="tab:blue", alpha=0.7, capsize=3)
    limits = (max(0.0, float(bounds.min()) - 0.05), 1) if figure.is_share else (0, None)
    axes.set(title=textwrap.fill(title, _WRAPPED), xlabel=figure.name, xlim=limits)
    axes.invert_yaxis()
    return _png(drawn)


def cascade_curve(stages: StagedTexts, title: str) -> bytes:
    """Draw accuracy by the share of the encoder's tokens saved, and mark the cascade's own limits; return a PNG."""
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    points, chosen = stages.curve(), stages.chosen
    axes.plot([at.tokens for at in points], [at.accuracy for at in points], marker="o", label="other limits")
    axes.axhline(stages.without.accuracy, color="grey", linestyle=":", label="every text through the encoder")
    rate = "" if chosen.tokens == 1 else f": {chosen.rate:.1f} times the rate"
    axes.plot(chosen.tokens, chosen.accuracy, marker="*", markersize=14, linestyle="", label=f"this cascade{rate}")
    axes.set(xlabel="share of the encoder's tokens saved", ylabel="accuracy")
    axes.set_title(textwrap.fill(f"{title}, cascade", _WRAPPED))
    axes.legend()
    return _png(figure)


def outcome_picture(title: str, interpretation: Interpretation, values: np.ndarray, truth: np.ndarray) -> bytes:
    """Draw predictions beside the truth, as the task asks for; return a PNG, see `outputs.OUTCOME_FIGURES`.

    Args:
        title: title of the picture.
        interpretation: meaning of the bundle's logits.
        values: probabilities or values, float64 (texts, labels).
        truth: truth of the texts, as in `export.data.Split`.
    """
    names, details = interpretation.labels, judge_of(interpretation).details(values, truth)
    if interpretation.task == MULTI_LABEL:
        return label_bars(title, details["by_label"])
    if interpretation.task == REGRESSION:
        return predicted_against_true(title, names, values, truth)
    return confusion_matrix(title, names, np.array(details["confusion"]))


def confusion_matrix(title: str, labels: Sequence[str], counts: np.ndarray) -> bytes:
    """Draw the numbers of texts by true and predicted label, int64 (labels, labels); return a PNG."""
    side = 2.4 + 0.6 * len(labels)
    figure, axes = pyplot.subplots(figsize=(side + 0.6, side), layout="constrained")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for true, predicted in np.ndindex(*counts.shape):
        axes.text(
            predicted,
            true,
            f"{counts[true, predicted]:,}\n{share[true, predicted]:.1%}",
            ha="center",
            va="center",
            color="white" if share[true, predicted] > 0.6 else "black",
        )
    ticks = range(len(labels))
    axes.set(
        xlabel="predicted", ylabel="true", title=textwrap.fill(title, 12 * len(labels)), xticks=ticks, yticks=ticks
    )
    axes.set_xticklabels(labels)
    axes.set_yticklabels(labels)
    return _png(figure)


def label_bars(title: str, labels: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw precision, recall and F1 of each label; return a PNG.

    Args:
        title: title of the picture.
        labels: figures of each label, by the fields of `export.evaluation.label_metrics.OneLabel`.
    """
    figure, axes = pyplot.subplots(figsize=(6, 1.6 + 0.5 * len(labels)), layout="constrained")
    places = np.arange(len(labels))
    for number, (field, name) in enumerate((("precision", "precision"), ("recall", "recall"), ("f1", "F1"))):
        axes.barh(places + 0.27 * (number - 1), [one[field] for one in labels], height=0.25, label=name)
    axes.set(title=textwrap.fill(title, _WRAPPED), xlim=(0, 1), yticks=places)
    axes.set_yticklabels([f"{one['name']} ({one['texts']:,})" for one in labels])
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3)
    return _png(figure)


def predicted_against_true(title: str, names: Sequence[str], values: np.ndarray, truth: np.ndarray) -> bytes:
    """Draw predicted by true values, as points or, if they are many, as counts in hexagons; return a PNG.

    Args:
        title: title of the picture.
        names: names of the outputs, of which the first few are drawn.
        values, truth: predicted and true values, float64 (texts, outputs).
    """
    shown = names[:_MOST_OUTPUTS]
    figure, drawn = pyplot.subplots(
        1, len(shown), figsize=(0.4 + 4.4 * len(shown), 4.4), layout="constrained", squeeze=False
    )
    for number, (name, axes) in enumerate(zip(shown, drawn[0], strict=True)):
        true, predicted = truth[:, number], values[:, number]
        ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
        if len(true) > _MOST_POINTS:
            axes.hexbin(true, predicted, gridsize=40, bins="log", mincnt=1, cmap="Blues")
        else:
            axes.plot(true, predicted, marker=".", linestyle="", alpha=0.5)
        axes.plot(ends, ends, color="grey", linestyle=":")
        axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
    figure.suptitle(textwrap.fill(title, _WRAPPED))
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without version and date, so that the same training gives the same bytes.
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": SOFTWARE})
    pyplot.close(figure)
    return buffer.getvalue()
