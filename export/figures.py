"""The model card's pictures."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np

matplotlib.use("Agg")  # no display is needed, or there

from matplotlib import pyplot
from matplotlib.figure import Figure

from export.head import Epoch


def loss_curve(epochs: Sequence[Epoch], best: Epoch) -> bytes:
    """Training and validation loss by epoch, the chosen one marked; a PNG."""
    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.train_loss for epoch in epochs], marker="o", label="training")
    axes.plot(numbers, [epoch.validation_loss for epoch in epochs], marker="o", label="validation")
    axes.axvline(best.number, color="grey", linestyle=":", label=f"epoch {best.number}, kept")
    axes.set(xlabel="epoch", ylabel="cross entropy (nats a text)", title="Loss of the head", xticks=numbers)
    axes.legend()
    return _png(figure)


def confusion_matrix(labels: Sequence[str], counts: np.ndarray) -> bytes:
    """Test texts by true and predicted label, int (labels, labels); a PNG."""
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
    axes.set(xlabel="predicted", ylabel="true", title="Test split", xticks=ticks, yticks=ticks)
    axes.set_xticklabels(labels)
    axes.set_yticklabels(labels)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No software version and date in the file: the same training gives the same bytes.
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return buffer.getvalue()
