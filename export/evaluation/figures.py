"""Pictures of the model card and of `score-model evaluate`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes as Plot
from matplotlib.figure import Figure

from export.evaluation.cascade import StagedTexts
from export.evaluation.drawing import (
    BLACK,
    DARK,
    GREY,
    INCH,
    LIGHT,
    LINE,
    NAME,
    SMALL,
    add_legend,
    as_counts,
    as_percentages,
    canvas,
    label_powers,
    label_values,
    shown,
    style,
    to_png,
    widest,
    width_of,
    wrapped,
)
from export.evaluation.evaluate import Group
from export.evaluation.headline import Headline
from export.evaluation.judge import Axes, Judge
from export.evaluation.judges import judge_of
from export.evaluation.metrics import Bin, calibration_error
from export.evaluation.single_judge import ACCURACY, SingleJudge
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.model.interpretation import Interpretation

if TYPE_CHECKING:
    from export.classifier.head import Training  # importing PyTorch takes seconds, and `evaluate` does not need it

_LOSSES: Mapping[Task, str] = MappingProxyType(
    {
        SINGLE_LABEL: "cross entropy (nats per text)",
        MULTI_LABEL: "cross entropy (nats per text and label)",
        REGRESSION: "loss (of standardised values)",
    }
)
_WIDTH = 6.0  # inches
_MOST_OUTPUTS = 4
_MOST_POINTS = 2000  # with more, points hide each other
_MOST_ROWS = 60  # groups or labels, one below the other
_MOST_NUMBERED = 30  # labels of a confusion matrix whose cells have room for numbers
_MOST_NAMED = 100  # labels of a confusion matrix that are all named
_MOST_SHOWN = 40  # characters of a label if there is no room for numbers
_NAME_POINTS = 200.0  # width of a line of a label's name
_LEAST_SHOWN = -1.0  # of R2, which has no least value
_ASIDE = 1.15  # factor from the first and the last point of a logarithmic axis to its ends
_LOG_FROM = 20.0  # ratio of losses from which the small ones could not be read on a linear axis


def loss_curve(training: "Training", task: Task = SINGLE_LABEL) -> bytes:
    """Draw the training and validation loss of each head that was tried, and mark the chosen one; return a PNG.

    Args:
        training: training of the head.
        task: task of the model, which decides what the loss is.
    """
    figure = canvas(_WIDTH, 3.8, "Loss of the head")
    axes = figure.subplots()
    numbers = [step.number for step in training.steps]
    losses = [[step.train_loss for step in training.steps], [step.validation_loss for step in training.steps]]
    for number, (name, each) in enumerate(zip(("training", "validation"), losses, strict=True)):
        _draw_line(axes, numbers, each, name, number)
    kept = f"{training.by} {training.best.number:g}, kept"
    axes.axvline(training.best.number, color=GREY, linestyle=":", label=kept)
    if training.by == "L2":
        axes.set_xscale("log")
        axes.set_xlabel("strength of the L2 penalty (log scale)")
        label_values(axes, numbers, (_WIDTH - 1) * INCH)
    else:
        axes.set_xlabel(training.by)
        axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        as_counts(axes.xaxis, 12)
    _scale_losses(axes, losses, _LOSSES[task])
    add_legend(figure, axes)
    return to_png(figure)


def _scale_losses(axes: Plot, losses: Sequence[Sequence[float]], name: str) -> None:
    """Scale the axis of losses, logarithmically if they differ much."""
    low, high = min(map(min, losses)), max(map(max, losses))
    is_log = 0 < low * _LOG_FROM < high
    axes.set_ylabel(wrapped(f"{name}, log scale" if is_log else name, 3.2 * INCH))
    if is_log:
        axes.set_yscale("log")
        label_powers(axes.yaxis, low, high)


def reliability_diagram(by_name: Mapping[str, Sequence[Bin]], names: Axes = SingleJudge.axes) -> bytes:
    """Draw accuracy by confidence, one line per name, above the number of texts by confidence; return a PNG.

    Args:
        by_name: bins by the name of what was scored.
        names: names of the axes.
    """
    drawn = {name: bins for name, bins in by_name.items() if bins}
    figure = canvas(5.4, 5.2, "Reliability")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfect calibration")
    for number, (name, bins) in enumerate(drawn.items()):
        confidence = [one.confidence for one in bins]
        error = f"{calibration_error(bins):.2%}"
        _draw_line(axes, confidence, [one.accuracy for one in bins], f"{name} (error {error})", number)
        _draw_line(counts, confidence, [one.texts for one in bins], name, number)
    least = min((one.low for bins in drawn.values() for one in bins), default=0.0)
    axes.set(xlim=(least, 1), ylim=(0, 1))
    axes.set_ylabel(wrapped(names.share, 3 * INCH))
    as_percentages(axes.yaxis)
    counts.set_ylim(0, None)
    counts.set_ylabel(wrapped(names.count, INCH))
    counts.set_xlabel(wrapped(names.probability, 4 * INCH))
    as_counts(counts.yaxis, 3)
    as_percentages(counts.xaxis)
    add_legend(figure, axes)
    return to_png(figure)


def group_intervals(title: str, groups: Sequence[Group], figure: Headline = ACCURACY) -> bytes:
    """Draw a figure of groups of texts with its 95% interval; return a PNG.

    Args:
        title: title of the picture.
        groups: groups, from top to bottom; of very many, those with the most texts are drawn.
        figure: figure to draw; one that is undefined for a group is drawn as 0.
    """
    kept = _largest([one.metrics.texts for one in groups])
    names = [f"{groups[row].name} ({groups[row].metrics.texts:,})" for row in kept]
    drawn, axes = _rows(_of_many(title, len(kept), len(groups), "groups"), names)
    each = [asdict(groups[row].metrics) for row in kept]
    values = np.array([figure.value(one) or 0.0 for one in each])
    bounds = np.array([figure.bounds(one) or (value, value) for one, value in zip(each, values, strict=True)])
    distances = np.maximum(np.abs(bounds - values[:, np.newaxis]), 0).T
    # Points, and no bars, whose lengths would mislead on an axis that does not begin at 0.
    axes.errorbar(values, range(len(values)), xerr=distances, fmt="o", color=DARK, capsize=3, clip_on=False)
    axes.set_xlabel(f"{figure.name}, with its 95% interval")
    axes.grid(axis="y", color="lightgrey", linestyle=":")
    if figure.is_share:
        axes.set_xlim(max(0.0, float(bounds.min()) - 0.05), 1)
        as_percentages(axes.xaxis, 5)
    else:
        axes.set_xlim(0, None)
    return to_png(drawn)


def cascade_curve(stages: StagedTexts, title: str) -> bytes:
    """Draw accuracy by the share of the encoder's tokens saved, and mark the cascade's own limits; return a PNG."""
    figure = canvas(_WIDTH, 3.4, f"{title}, cascade")
    axes = figure.subplots()
    points, chosen, without = stages.curve(), stages.chosen, stages.without
    _draw_line(axes, [at.tokens for at in points], [at.accuracy for at in points], "other limits", 0)
    axes.axhline(without.accuracy, color=GREY, linestyle=":", label="every text through the encoder")
    rate = "" if chosen.tokens == 1 else f": {chosen.rate:.1f} times the rate"
    axes.plot(
        chosen.tokens, chosen.accuracy, "*", color=LIGHT, markeredgecolor=BLACK, markersize=16,
        label=f"this cascade{rate}", zorder=3, clip_on=False,
    )  # fmt: skip
    axes.set(xlabel="share of the encoder's tokens saved", ylabel="accuracy")
    shares = [chosen.accuracy, without.accuracy, *(at.accuracy for at in points)]
    margin = max(0.06 * (max(shares) - min(shares)), 0.005)
    axes.set_ylim(min(shares) - margin, min(max(shares) + margin, 1))
    as_percentages(axes.xaxis)
    as_percentages(axes.yaxis)
    add_legend(figure, axes)
    return to_png(figure)


def learning_figure(figures: Mapping[str, Any], judge: Judge) -> bytes:
    """Draw a learning curve with its intervals and forecast, and the level of each other answer; return a PNG.

    Args:
        figures: result of `export.evaluation.cross_validation.cross_validation_figures`, with at least one size.
        judge: judge of the model.
    """
    sizes, ahead, main = figures["sizes"], figures["forecast"], judge.main
    drawn = canvas(_WIDTH, 3.8, "Learning curve, cross-validated")
    axes = drawn.subplots()
    texts, _ = _points([*sizes, *([ahead] if ahead else [])])
    axes.set_xscale("log")
    axes.set_xlim(min(texts) / _ASIDE, max(texts) * _ASIDE)
    _draw_intervals(axes, sizes, DARK, "o-", "this model")
    if ahead is not None:
        axes.plot(*_points([sizes[-1], ahead]), ":", color=LIGHT)
        _draw_intervals(axes, [ahead], LIGHT, "D", "forecast for twice as many texts")
    for one, color, dashes in zip(figures["against"], (GREY, BLACK), (":", "--"), strict=False):
        axes.axhline(one["figure"], color=color, linestyle=dashes, label=one["name"])
    label_values(axes, texts, (_WIDTH - 1.5) * INCH)
    axes.set_xlabel("texts trained on (log scale)")
    axes.set_ylabel(f"{main.name}, with its 95% interval")
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, _LEAST_SHOWN), min(high, 1.02))
    if main.form.endswith("%"):
        as_percentages(axes.yaxis)
    add_legend(drawn, axes)
    return to_png(drawn)


def _draw_intervals(axes: Plot, points: Sequence[Mapping[str, Any]], color: str, form: str, name: str) -> None:
    """Draw figures by the number of texts, each with its interval if it has one."""
    texts, values = _points(points)
    bounds = [one["interval"] or (one["figure"],) * 2 for one in points]
    distances = np.abs(np.array(bounds) - np.array(values)[:, np.newaxis]).T
    axes.errorbar(texts, values, yerr=distances, fmt=form, color=color, capsize=3, label=name)


def _points(points: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
    return [one["texts"] for one in points], [one["figure"] for one in points]


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
    """Draw the numbers of texts by true and predicted label, int64 (labels, labels); return a PNG.

    With many labels, cells have a colour but no number; with very many, some labels are named.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    count = len(labels)
    is_numbered = count <= _MOST_NUMBERED
    size = NAME if is_numbered else SMALL
    names = [wrapped(label, _NAME_POINTS, size) if is_numbered else shown(label, _MOST_SHOWN) for label in labels]
    height = max(1 + name.count("\n") for name in names) * 1.4 * size / INCH
    room = widest(names, size)
    most = width_of(f"{counts.max():,}0") / INCH
    cell = (
        max(0.62, 2.2 / count, height, most)
        if is_numbered
        else max(height, 0.16)
        if count <= _MOST_NAMED
        else 16 / count
    )
    level = room <= cell - 0.1
    below = height if level else room
    figure = canvas(count * cell + room + (0.9 if is_numbered else 2.4), count * cell + below + 0.75, title)
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if is_numbered:
        _write_cells(axes, counts, share)
    else:
        bar = figure.colorbar(
            image, ax=axes, label="share of the texts with a true label", fraction=0.05, pad=0.01, aspect=40
        )
        as_percentages(bar.ax.yaxis)
    ticks = range(0, count, math.ceil(count / _MOST_NAMED))
    some = [names[tick] for tick in ticks]
    axes.set_xticks(ticks, some, rotation=0 if level else 90, fontsize=size)
    axes.set_yticks(ticks, some, fontsize=size)
    axes.set(xlabel="predicted label", ylabel="true label")
    return to_png(figure)


def _write_cells(axes: Plot, counts: np.ndarray, share: np.ndarray) -> None:
    for true, predicted in np.ndindex(*counts.shape):
        axes.text(
            predicted,
            true,
            f"{counts[true, predicted]:,}\n{share[true, predicted]:.1%}",
            ha="center",
            va="center",
            color="white" if share[true, predicted] > 0.6 else "black",
        )


def label_bars(title: str, labels: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw precision, recall and F1 of each label; return a PNG.

    Args:
        title: title of the picture.
        labels: figures of each label, by the fields of `export.evaluation.label_metrics.OneLabel`; of very many, those of
            the labels with the most texts are drawn.
    """
    kept = [labels[row] for row in _largest([one["texts"] for one in labels])]
    names = [f"{one['name']} ({one['texts']:,})" for one in kept]
    figure, axes = _rows(_of_many(title, len(kept), len(labels), "labels"), names, 0.5)
    places = np.arange(len(kept))
    fields = (("precision", "precision", DARK), ("recall", "recall", LIGHT), ("f1", "F1", BLACK))
    for number, (field, name, color) in enumerate(fields):
        lengths = [one[field] for one in kept]
        axes.barh(places + 0.27 * (number - 1), lengths, height=0.25, label=name, color=color)
    axes.set(xlim=(0, 1), xlabel="precision, recall and F1 of each label")
    add_legend(figure, axes)
    return to_png(figure)


def predicted_against_true(title: str, names: Sequence[str], values: np.ndarray, truth: np.ndarray) -> bytes:
    """Draw predicted by true values, as points or, if they are many, as counts in hexagons; return a PNG.

    Args:
        title: title of the picture.
        names: names of the outputs, of which the first few are drawn.
        values, truth: predicted and true values, float64 (texts, outputs).
    """
    drawn = names[:_MOST_OUTPUTS]
    is_many = len(truth) > _MOST_POINTS
    figure = canvas(0.4 + (5.8 if is_many else 4.8) * len(drawn), 4.4, title)
    plots = figure.subplots(1, len(drawn), squeeze=False)[0]
    for number, (name, axes) in enumerate(zip(drawn, plots, strict=True)):
        true, predicted = truth[:, number], values[:, number]
        ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
        if is_many:
            _draw_hexagons(figure, axes, true, predicted)
        else:
            axes.plot(true, predicted, marker=".", linestyle="", alpha=0.5, color=DARK)
        axes.plot(ends, ends, color=GREY, linestyle=":")
        axes.set_xlabel(wrapped(f"true {name}", 2.2 * INCH))  # a power of ten stands beside it
        axes.set_ylabel(wrapped(f"predicted {name}", 2.8 * INCH))
        axes.locator_params(nbins=5)
        axes.ticklabel_format(scilimits=(-3, 5))
    return to_png(figure)


def _draw_hexagons(figure: Figure, axes: Plot, true: np.ndarray, predicted: np.ndarray) -> None:
    drawn = axes.hexbin(true, predicted, gridsize=40, bins="log", mincnt=1, cmap="Blues")
    counts = drawn.get_array()
    assert counts is not None, "hexagons have counts"
    low, high = float(counts.min()), float(counts.max())
    if low < high:
        bar = figure.colorbar(drawn, ax=axes, label="texts per hexagon (log scale)")
        label_powers(bar.ax.yaxis, low, high)


def _draw_line(axes: Plot, x: Sequence[float], y: Sequence[float], name: str, number: int) -> None:
    """Draw one of several lines; points at the border are drawn whole."""
    looks = style(number)
    axes.plot(
        x, y, color=looks["color"], marker=looks["marker"], linestyle=looks["linestyle"], markersize=5, label=name,
        clip_on=False,
    )  # fmt: skip


def _rows(title: str, names: Sequence[str], least: float = 0.32) -> tuple[Figure, Plot]:
    """Make a figure with one row for each name, as wide and as high as the names need.

    Args:
        title: title of the figure.
        names: names from top to bottom.
        least: least height of a row in inches.
    """
    lines = [wrapped(name, _NAME_POINTS) for name in names]
    height = max(least, LINE * max(1 + name.count("\n") for name in lines) + 0.08)
    figure = canvas(4.4 + widest(lines), 0.9 + height * len(names), title)
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), lines)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return figure, axes


def _largest(texts: Sequence[int]) -> list[int]:
    """Return the numbers of the rows with the most texts, in their order; a picture has room for `_MOST_ROWS`."""
    return sorted(sorted(range(len(texts)), key=lambda row: -texts[row])[:_MOST_ROWS])


def _of_many(title: str, kept: int, count: int, noun: str) -> str:
    return title if kept == count else f"{title}: the {kept} of {count:,} {noun} with the most texts"
