"""Cross-validation in words: lines of the training log, and the model card's section with the learning curve."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from export.evaluation.cross_validation import is_better
from export.evaluation.headline import INTERVAL, Headline
from export.evaluation.judge import Judge
from export.evaluation.judges import judge_of
from export.evaluation.learning_curve import LEAST_SIZES
from export.evaluation.outputs import LEARNING_FIGURE
from export.evaluation.paired import spelled_p
from scorer.model.interpretation import interpretation_of
from scorer.model.manifest import Manifest

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]
"""A paragraph, or a table's head and rows."""

_LITTLE, _NOTHING = 0.01, 0.0005  # gains: one point, and one that is printed as 0
_NO_BETTER = "Give more labels, or check them with `score-model check-labels`."
_INSTEAD = (
    "Look for wrong labels first (`score-model check-labels`), try another `--encoder`, or merge labels that a text alone does "
    "not separate."
)


def cross_validation_lines(figures: Mapping[str, Any], judge: Judge) -> list[str]:
    """Return lines of the training log.

    Args:
        figures: result of `export.evaluation.cross_validation.cross_validation_figures`.
        judge: judge of the model.
    """
    main, metrics = judge.main, figures["metrics"]
    others = [f"{one['name']}: {main.spelled(one['figure'])}" for one in figures["against"]]
    sizes = [f"{main.spelled(one['figure'])} with {one['texts']:,} texts" for one in figures["sizes"]]
    return [
        f"cross-validated {main.name} ({figures['folds']} folds, {metrics['texts']:,} texts): {_with_bounds(main, metrics)}; "
        f"{'; '.join(others)}",
        *_verdict(figures, main),
        *([f"learning curve, {main.name}: {', '.join(sizes)}"] if sizes else []),
        *_outlook(figures, main),
    ]


def cross_validation_parts(manifest: Manifest) -> Iterator[Part]:
    """Yield the model card's section; nothing without a cross-validation.

    Args:
        manifest: complete manifest of the bundle.
    """
    figures = manifest.metrics.get("cross_validation")
    if figures is None:
        return
    judge = judge_of(interpretation_of(manifest))
    main, metrics = judge.main, figures["metrics"]
    yield "## Cross-validation"
    yield (
        f"{_held_out(manifest)} divided into {figures['folds']} folds. Each fold was "
        f"scored by models that were trained on the other folds. Penalties, pooling and calibration were chosen by the same "
        "scores, so the first row is slightly too good. The test texts had no part in it."
    )
    yield (
        ("", *main.head, "difference", INTERVAL, "p"),
        [("this model", *main.cells(metrics), "", "", ""), *(_row(one, main) for one in figures["against"])],
    )
    if verdict := " ".join(_verdict(figures, main)):
        yield verdict
    for part in judge.tables(figures):
        yield f"{part.title[0].upper()}{part.title[1:]}, in the same cross-validation:"
        yield part.head, part.rows
    yield from _learning_parts(figures, main)


def _held_out(manifest: Manifest) -> str:
    """Return which texts are held out once, as the begin of a sentence."""
    texts, every = manifest.metrics["cross_validation"]["metrics"]["texts"], manifest.metrics["train_texts"]
    if texts == every:
        return f"The {texts:,} texts that were not kept to test with were"
    return (
        f"Of the {every:,} texts that were not kept to test with, {every - texts:,} were always trained on, since their label has no "
        f"texts for several folds. The other {texts:,} were"
    )


def _learning_parts(figures: Mapping[str, Any], main: Headline) -> Iterator[Part]:
    if len(figures["sizes"]) < 2:
        return
    outlook, ahead = figures["forecast"], []
    if outlook is not None:
        ahead = [(f"{outlook['texts']:,} (forecast)", *_cells(outlook, main))]
    yield f"The learning curve: {main.name} of models that were trained on fewer of the texts."
    yield (
        ("texts trained on", *main.head),
        [*((f"{one['texts']:,}", *_cells(one, main)) for one in figures["sizes"]), *ahead],
    )
    yield " ".join(_outlook(figures, main))
    if outlook is not None:
        yield (
            "The forecast is a power law of the error (Hestness et al. 2017), fitted to these sizes with more weight on larger ones "
            "(Figueroa et al. 2012). Its interval covers the choice of the texts, and an unknown error that more texts do not remove."
        )
    yield f"![{main.name[0].upper()}{main.name[1:]} by the number of texts]({LEARNING_FIGURE})"


def _row(one: Mapping[str, Any], main: Headline) -> tuple[str, ...]:
    low_to_high = (
        "" if one["difference_interval"] is None else " to ".join(map(main.change, one["difference_interval"]))
    )
    p = "" if one["p"] is None else spelled_p(one["p"])
    return (one["name"], *_cells(one, main), main.change(one["difference"]), low_to_high, p)


def _verdict(figures: Mapping[str, Any], main: Headline) -> list[str]:
    """Return a sentence for each other answer that the model may be no better than, and advice; empty without one."""
    found = [
        f"This {'is' if one['difference'] <= 0 else 'may be'} no better than {one['name']} ({main.spelled(one['figure'])}): the "
        f"difference is {_change(main, one['difference'], one['difference_interval'], one['p'])}."
        for one in figures["against"]
        if not is_better(one)
    ]
    return [*found, _NO_BETTER] if found else []


def _outlook(figures: Mapping[str, Any], main: Headline) -> list[str]:
    """Return sentences on what more labels would bring."""
    outlook = figures["forecast"]
    if outlook is None:
        return [f"There is no forecast for more labels: {_why_no_forecast(figures)}."]
    gain = _change(main, outlook["gain"], outlook["gain_interval"])
    expected = f"Twice as many labels would bring about {gain}, if the curve continues as it did."
    if outlook["exponent"] == 0:
        return [f"The curve is flat: twice as many labels like these would bring little. {_INSTEAD}"]
    if outlook["gain"] < _LITTLE:
        return [expected, f"That is little. {_INSTEAD}"]
    if outlook["gain_interval"][0] < _NOTHING:
        return [expected, f"That may be nothing. {_INSTEAD}"]
    return [expected]


def _why_no_forecast(figures: Mapping[str, Any]) -> str:
    sizes = figures["sizes"]
    if len(sizes) < LEAST_SIZES:
        return f"it needs {LEAST_SIZES} sizes that can be trained"
    if sizes[-1]["figure"] >= 1:
        return "cross-validation has no error left, so only the test texts can show one"
    if not is_better(figures["against"][0]):
        return "a model that may be no better than the simplest answer may begin to learn later"
    return "the figure cannot be computed from resampled texts"


def _change(main: Headline, change: float, bounds: Sequence[float] | None, p: float | None = None) -> str:
    """Return a difference in words, with its interval and p."""
    reach = [] if bounds is None else [f"95%: {' to '.join(map(main.change, bounds))}"]
    notes = "; ".join([*reach, *([] if p is None else [f"p {spelled_p(p)}"])])
    return f"{main.change(change)}{main.unit_of_change}{f' ({notes})' if notes else ''}"


def _cells(one: Mapping[str, Any], main: Headline) -> tuple[str, str]:
    bounds = one["interval"]
    return main.spelled(one["figure"]), "" if bounds is None else " to ".join(map(main.spelled, bounds))


def _with_bounds(main: Headline, metrics: Mapping[str, Any]) -> str:
    figure, interval = main.cells(metrics)
    return f"{figure} (95%: {interval})" if interval else figure
