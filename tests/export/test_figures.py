"""Pictures of the model card, of `score-model evaluate` and of the benchmark, as a reader sees them."""

import itertools
import math
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from factories import ROOT
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from export.classifier.choice import Step
from export.classifier.head import LinearHead, Training
from export.evaluation import drawing, figures
from export.evaluation.cascade import StagedTexts
from export.evaluation.evaluate import Group
from export.evaluation.judges import judge_of
from export.evaluation.metrics import metrics, reliability
from scorer.base.task import MULTI_LABEL, REGRESSION
from scorer.model.interpretation import Regression, SingleLabel

SENTENCE = "customer complaint about delivery of a damaged parcel, twice again"
SCRIPTS = ("негативный отзыв", "$好评$ 配送很快", "سلبي جدا", "😡 bad", "שלילי", "नकारात्मक", "부정적", "a\tb\udcff")
NAMES = {
    "short": lambda number: f"class{number}",
    "long": lambda number: f"{number} {SENTENCE}"[:60],
    "unbroken": lambda number: f"{number}_{SENTENCE.replace(' ', '_')}"[:60],
    "wide": lambda number: f"{'W' * 57}{number:03}",
    "script": lambda number: f"{SCRIPTS[number % len(SCRIPTS)]}{number}",
}
OF_ONE = judge_of(SingleLabel(("billing", "other")))
OF_NUMBERS = judge_of(Regression(("score",), (1.0,), (0.0,)))
HEAD = LinearHead(np.zeros((1, 2), np.float32), np.zeros(1, np.float32))


@dataclass(frozen=True)
class Seen:
    """A picture as a reader sees it.

    Attributes:
        boxes: each drawn text with its box in pixels: left, bottom, right, top.
        plots, legends: boxes of the plots and of the legends.
        width, height: size in pixels.
    """

    boxes: list
    plots: list
    legends: list
    width: float
    height: float

    @property
    def words(self):
        return [words for words, _ in self.boxes]


@pytest.fixture
def seen(monkeypatch):
    """A function that draws a picture and returns what is seen of it; a warning fails it."""
    found = []
    original = Figure.savefig

    def savefig(self, *arguments, **options):
        original(self, *arguments, **options)
        self.dpi = options["dpi"]
        found.append(looked_at(self))

    def draw(function, *arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert function(*arguments).startswith(b"\x89PNG")
        return found.pop()

    monkeypatch.setattr(Figure, "savefig", savefig)
    return draw


def looked_at(figure):
    hidden = {
        label
        for plot in figure.axes
        for axis in (plot.xaxis, plot.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not is_within(tick.get_loc(), axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    texts = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip() and one not in hidden]
    return Seen(
        [(one.get_text(), box_of(one)) for one in texts],
        [plot.bbox.extents for plot in figure.axes],
        [box_of(one) for one in figure.legends],
        figure.bbox.width,
        figure.bbox.height,
    )


def is_within(value, interval):
    low, high = sorted(interval)
    return low - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high)


def box_of(one):
    return one.get_window_extent().extents


def overlap(one, other):
    """Return whether two boxes share more than a line of pixels."""
    return all(min(one[at + 2], other[at + 2]) - max(one[at], other[at]) > 1 for at in (0, 1))


def assert_readable(picture):
    """Fail if a text is raw markup, is cut, or covers another one, or if a legend covers data."""
    markup = [words for words in picture.words if "mathdefault" in words or "\\mathregular" in words]
    assert not markup
    cut = [
        words
        for words, (left, bottom, right, top) in picture.boxes
        if left < 0 or bottom < 0 or right > picture.width or top > picture.height
    ]
    assert not cut
    covered = [
        (one[0], other[0]) for one, other in itertools.combinations(picture.boxes, 2) if overlap(one[1], other[1])
    ]
    assert not covered
    assert not [1 for legend in picture.legends for plot in picture.plots if overlap(legend, plot)]


def training(by, numbers, train, validation):
    steps = tuple(Step(*one, 0.9) for one in zip(numbers, train, validation, strict=True))
    return Training(HEAD, steps, min(steps, key=lambda step: step.validation_loss), by)


def predictions(labels, texts, seed=0):
    random = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(labels), random.integers(0, labels, texts - labels)])
    logits = random.normal(size=(texts, labels))
    logits[np.arange(texts), truth] += 3
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth


def staged(texts=400, *, perfect=False):
    random = np.random.default_rng(1)
    whole, truth = predictions(2, texts)
    wide, _ = predictions(2, texts)
    wide = np.where(random.random((texts, 1)) < 0.1, wide[:, ::-1], wide)
    if perfect:
        whole = wide = np.where(truth[:, np.newaxis] == [0, 1], 0.9, 0.1)
    return StagedTexts(truth, whole, wide, wide.max(axis=1) > 0.95, random.integers(1, 300, texts))


# Losses


@pytest.mark.parametrize(
    "trained",
    [
        training("L2", (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003), np.linspace(0.5, 0.2, 6), np.linspace(0.6, 0.3, 6)),
        training("L2", (0.001, 0.0005, 0.0003), (0.5, 0.4, 0.35), (0.52, 0.43, 0.38)),
        training("L2", (0.001,), (0.5,), (0.52,)),
        training("L2", [1.5**-at for at in range(40)], np.linspace(0.5, 0.2, 40), np.linspace(0.6, 0.3, 40)),
        training("epoch", (1,), (0.5,), (0.52,)),
        training("epoch", range(1, 101), [3 * math.exp(-at / 12) for at in range(100)], [0.5] * 100),
        training("epoch", (1, 2), (9.0, 0.3), (8.0, 0.2)),
        training("epoch", (1, 2, 3), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        training("epoch", (1, 2, 3), (0.5, 0.0, 0.0), (0.5, 0.1, 0.0)),
    ],
    ids=["decades", "half a decade", "one strength", "forty", "one epoch", "hundred", "steep", "equal", "zero"],
)
@pytest.mark.parametrize("task", [MULTI_LABEL, REGRESSION])
def test_losses_are_readable(seen, trained, task):
    assert_readable(seen(figures.loss_curve, trained, task))


def test_the_strengths_that_were_tried_are_named_in_plain_numbers(seen):
    trained = training("L2", (0.1, 0.03, 0.01, 0.003), (0.5, 0.4, 0.3, 0.2), (0.6, 0.5, 0.4, 0.5))
    assert {"0.1", "0.03", "0.01", "0.003", "L2 0.01, kept"} <= set(seen(figures.loss_curve, trained).words)


def test_losses_of_several_decades_are_drawn_on_a_logarithmic_axis(seen):
    steep = training("epoch", (1, 2, 3), (3.0, 0.1, 0.002), (3.0, 0.2, 0.01))
    words = seen(figures.loss_curve, steep).words
    assert {"1", "0.1", "0.01"} <= set(words)
    assert any("log scale" in one for one in words)
    flat = training("epoch", (1, 2, 3), (0.5, 0.4, 0.3), (0.5, 0.4, 0.3))
    assert not any("log scale" in one for one in seen(figures.loss_curve, flat).words)


def test_each_epoch_is_named_once(seen):
    assert seen(figures.loss_curve, training("epoch", (1,), (0.5,), (0.52,))).words.count("1") == 1


# Labels and groups


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("count", [2, 4, 20])
class TestOfEachNumberOfClassesAndKindOfNames:
    @pytest.fixture
    def names(self, kind, count):
        return [NAMES[kind](number) for number in range(count)]

    def test_a_confusion_matrix_is_readable(self, seen, names):
        counts = np.arange(len(names) ** 2).reshape(len(names), -1) ** 3 + np.eye(len(names), dtype=int) * 2_000_000
        assert_readable(seen(figures.confusion_matrix, f"{names[-1]} (int8, cpu)", names, counts))

    def test_groups_are_readable(self, seen, names):
        groups = [Group(name, metrics(*predictions(3, 50, number))) for number, name in enumerate(names)]
        assert_readable(seen(figures.group_intervals, f"{names[0]} (int8, cpu), by group", groups))

    def test_figures_of_labels_are_readable(self, seen, names):
        labels = [
            {"name": name, "texts": 1000 * number, "precision": 1.0, "recall": 0.0, "f1": 0.5}
            for number, name in enumerate(names)
        ]
        assert_readable(seen(figures.label_bars, f"{names[0]} (int8, cpu)", labels))

    def test_values_are_readable(self, seen, names):
        truth = np.random.default_rng(0).normal(size=(300, len(names)))
        assert_readable(seen(figures.predicted_against_true, f"{names[0]} (int8, cpu)", names, truth * 1.1, truth))

    def test_reliability_is_readable(self, seen, names):
        bins = {name: reliability(*predictions(3, 300, number)) for number, name in enumerate(names)}
        assert_readable(seen(figures.reliability_diagram, bins))

    def test_a_cascade_is_readable(self, seen, names):
        assert_readable(seen(figures.cascade_curve, staged(), f"{names[-1]} (int8, cpu)"))


@pytest.mark.parametrize("scale", [1e6, 1000, 1e-4])
@pytest.mark.parametrize("texts", [300, 3000])
@pytest.mark.parametrize("kind", ["short", "wide"])
def test_large_and_small_values_are_readable(seen, scale, texts, kind):
    names, truth = [NAMES[kind](0), NAMES[kind](1)], scale * np.random.default_rng(0).normal(size=(texts, 2))
    assert_readable(seen(figures.predicted_against_true, "Test split", names, truth * 1.1, truth))


def test_pictures_of_perfect_predictions_and_of_one_text_are_readable(seen):
    perfect, truth = np.eye(2)[[0, 1] * 50], np.array([0, 1] * 50)
    assert_readable(seen(figures.reliability_diagram, {"before": reliability(perfect, truth), "after": ()}))
    groups = [Group("short", metrics(perfect, truth)), Group("long", metrics(perfect[:1], truth[:1]))]
    assert_readable(seen(figures.group_intervals, "by length", groups))
    cascade = seen(figures.cascade_curve, staged(perfect=True), "Test split")
    assert_readable(cascade)
    assert not [words for words in cascade.words if words.endswith("%") and float(words[:-1]) > 100]
    assert_readable(seen(figures.confusion_matrix, "Test split", ("a", "b"), np.eye(2, dtype=int)))
    assert_readable(seen(figures.confusion_matrix, "Test split", ("a", "b", "c"), np.diag([1_234_567, 0, 1])))
    for texts in (1, 3000):
        values = np.full((texts, 1), 3.0)
        assert_readable(seen(figures.predicted_against_true, "Test split", ("score",), values, values))


@pytest.mark.parametrize("count", [31, 61, 200])
def test_pictures_of_very_many_labels_are_readable_and_of_limited_size(seen, count):
    names = [f"{number} {SENTENCE}" for number in range(count)]
    matrix = seen(figures.confusion_matrix, "Test split", names, np.eye(count, dtype=int))
    rows = [{"name": name, "texts": at, "precision": 0.5, "recall": 0.5, "f1": 0.5} for at, name in enumerate(names)]
    bars = seen(figures.label_bars, "Test split", rows)
    for picture in (matrix, bars):
        assert_readable(picture)
        assert max(picture.width, picture.height) < 6000
    if count > 60:
        assert f"Test split: the 60 of {count:,} labels with the most texts" in [
            one.replace("\n", " ") for one in bars.words
        ]
        assert any(words.startswith(f"{count - 1} ") for words in bars.words)


# The learning curve

ANSWERS = ("always giving the largest label, billing", "TF-IDF + logistic regression")


def learning(values, *, answers=ANSWERS, forecast=None, width=0.05):
    def point(texts, figure):
        return {"texts": texts, "figure": figure, "interval": (figure - width, min(figure + width, 1.0))}

    return {
        "sizes": [point(24 * 2**at, figure) for at, figure in enumerate(values)],
        "forecast": None if forecast is None else point(24 * 2 ** len(values), forecast),
        "against": [{"name": name, "figure": 0.4 + 0.2 * at} for at, name in enumerate(answers)],
    }


@pytest.mark.parametrize("values", [[0.8], [0.4, 0.6], [0.4, 0.6, 0.7, 0.8], [0.7] * 4, [0.0, 0.2, 0.9, 1.0]])
@pytest.mark.parametrize("answers", [ANSWERS[:1], ANSWERS, (f"always giving the largest label, {SENTENCE * 3}",)])
def test_a_learning_curve_is_readable(seen, values, answers):
    forecast = min(values[-1] + 0.05, 1.0) if len(values) > 2 else None
    picture = seen(figures.learning_figure, learning(values, answers=answers, forecast=forecast), OF_ONE)
    assert_readable(picture)
    assert ("forecast for twice as many texts" in picture.words) == (forecast is not None)
    assert {"24", "this model"} <= set(picture.words)
    assert not [words for words in picture.words if words.endswith("%") and float(words[:-1]) > 100]


def test_a_learning_curve_of_numbers_may_begin_far_below_zero(seen):
    picture = seen(figures.learning_figure, learning([-900.0, -3.0, 0.2, 0.5], forecast=0.6), OF_NUMBERS)
    assert_readable(picture)
    assert "0.5" in {words.rstrip("0") for words in picture.words}


# Names


def test_a_character_that_no_font_has_is_drawn_as_its_escape(monkeypatch):
    monkeypatch.setitem(drawing.matplotlib.rcParams, "font.family", ["DejaVu Sans"])
    drawing._is_drawn.cache_clear()
    assert drawing.shown("好 $5 \udcff") == "\\u597d $5 \\udcff"
    drawing._is_drawn.cache_clear()


def test_a_long_name_keeps_its_begin_and_its_end_and_lines_of_the_wanted_width():
    name = f"begin/{'x' * 300}/end"
    lines = drawing.wrapped(name, 100).split("\n")
    assert (lines[0][:5], lines[-1][-4:]) == ("begin", "/end")
    assert max(map(drawing.width_of, lines)) <= 100


def test_a_name_is_broken_at_spaces_and_underscores():
    assert drawing.wrapped("delivery_was late", 60).split("\n") == ["delivery_", "was late"]


def test_colours_differ_in_grey_too():
    lightness = [
        np.dot(to_rgb(color), (0.2126, 0.7152, 0.0722)) for color in (drawing.DARK, drawing.LIGHT, drawing.BLACK)
    ]
    assert min(abs(one - other) for one, other in itertools.combinations(lightness, 2)) > 0.1
    looks = [tuple(drawing.style(number).values()) for number in range(21)]
    assert len(set(looks)) == 21
    assert len({marker for _, marker, _ in looks[:7]}) == 7


# The benchmark


def test_rates_of_engines_are_readable(seen, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    import picture

    def contender(engine, key, rate, lost):
        speed = {"median": rate, "least": 0.9 * rate, "most": 1.1 * rate}
        return {
            "engine": engine, "name": engine, "precision": "int8", "key": key, "reviews_per_s": speed, "accuracy": 0.923,
            "points_lost": {"points": lost},
        }  # fmt: skip

    found = [
        contender("this project", "g", 300.0, 0.0),
        contender("x", "a", 90.0, 1.2),
        contender(SENTENCE, "b", 9.0, 0.3),
    ]
    cpu = "Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz, in a virtual machine of many"
    report = {
        "contenders": found,
        "threads": 2,
        "machine": {"cpu": cpu},
        "reviews": 128,
        "mean_tokens": 245.1,
        "labelled": 2000,
    }
    drawn = seen(picture.draw, report)
    assert_readable(drawn)
    assert "300.0/s, 92.3%" in drawn.words
    for name in ("picture", "trained"):
        sys.modules.pop(name)
