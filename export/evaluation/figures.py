"""Pictures of the model card and of `score-model evaluate`."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

matplotlib.use("Agg")  # a display may be missing
matplotlib.rcParams["text.parse_math"] = False  # a label may have a dollar sign

from matplotlib import pyplot
from matplotlib.figure import Figure

from export.evaluation.cascade import StagedTexts
from export.evaluation.evaluate import Group
from export.evaluation.metrics import Bin, calibration_error
from export.evaluation.outputs import SOFTWARE

if TYPE_CHECKING:
    from export.classifier.head import Training  # importing PyTorch takes seconds, and `evaluate` does not need it

_WRAPPED = 48  # characters per line; a name may be a long path


def loss_curve(training: "Training") -> bytes:
    """Draw the training and validation loss of each head that was tried, and mark the chosen one; return a PNG."""
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    numbers = [step.number for step in training.steps]
    axes.plot(numbers, [step.train_loss for step in training.steps], marker="o", label="training")
    axes.plot(numbers, [step.validation_loss for step in training.steps], marker="o", label="validation")
    kept = f"{training.by} {training.best.number:g}, kept"
    axes.axvline(training.best.number, color="grey", linestyle=":", label=kept)
    axes.set(xlabel=training.by, ylabel="cross entropy (nats per text)", title="Loss of the head")
    if training.by == "L2":
        axes.set_xscale("log")
    else:
        axes.set_xticks(numbers)
    axes.legend()
    return _png(figure)


def reliability_diagram(by_name: Mapping[str, Sequence[Bin]]) -> bytes:
    """Draw accuracy by confidence, one line per name, above the number of texts by confidence; return a PNG."""
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
    axes.set(ylabel="share of right labels", xlim=(least, 1), ylim=(0, 1.02), title="Reliability")
    axes.legend()
    counts.set(xlabel="probability of the predicted label", ylabel="texts", ylim=(0, None))
    return _png(figure)


def accuracy_bars(title: str, groups: Sequence[Group]) -> bytes:
    """Draw the accuracy of groups of texts with its 95% interval; return a PNG."""
    figure, axes = pyplot.subplots(figsize=(6, 1.2 + 0.35 * len(groups)), layout="constrained")
    names = [f"{one.name} ({one.metrics.texts:,})" for one in groups]
    accuracies = np.array([one.metrics.accuracy for one in groups])
    intervals = np.array([one.metrics.interval for one in groups])
    distances = np.maximum(np.abs(intervals - accuracies[:, np.newaxis]), 0).T
    axes.barh(names, accuracies, xerr=distances, color="tab:blue", alpha=0.7, capsize=3)
    axes.set(title=textwrap.fill(title, _WRAPPED), xlabel="accuracy", xlim=(max(0.0, float(intervals.min()) - 0.05), 1))
    axes.invert_yaxis()
    return _png(figure)


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


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without version and date, so that the same training gives the same bytes.
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": SOFTWARE})
    pyplot.close(figure)
    return buffer.getvalue()
