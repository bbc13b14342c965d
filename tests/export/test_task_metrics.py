"""Metrics by task: any number of labels, numbers, and ordered labels; their intervals, errors, tables and pictures."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics

from export.classifier.settings import PRECISIONS
from export.data import Row, Split
from export.errors import DatasetError
from export.evaluation import baseline
from export.evaluation.bootstrap import bootstrap_interval, resampled
from export.evaluation.cascade import StagedTexts
from export.evaluation.evaluate import Scored, by_group, costliest, number_labels, reference
from export.evaluation.figures import group_intervals, label_bars, outcome_picture, predicted_against_true
from export.evaluation.judge import compare, is_no_better
from export.evaluation.judges import judge_of
from export.evaluation.label_metrics import each_label, label_metrics
from export.evaluation.order_metrics import ordered_metrics, weighted_kappa
from export.evaluation.outputs import ERROR_FIELDS, is_errors
from export.evaluation.value_metrics import value_edges, value_metrics
from export.training.confidence import confidence_of
from export.training.graphs import half_rows
from scorer.model.confidence import correctness_of
from scorer.model.interpretation import MultiLabel, Regression, SingleLabel

TOPICS = MultiLabel(("price", "room", "staff"), (1.0, 0.5, 2.0), (0.5, 0.25, 0.75))
STARS = Regression(("score",), (2.0,), (3.0,))
ORDERED = SingleLabel(("1", "2", "5"), ordered=True)


def topics(count, seed=0):
    """Draw probabilities and true labels, of which the last one is rare."""
    random = np.random.default_rng(seed)
    truth = (random.random((count, 3)) < [0.5, 0.3, 0.05]).astype(np.int64)
    return np.clip(0.6 * truth + 0.5 * random.random((count, 3)), 0, 1), truth


def scored(interpretation, values, truth, groups=()):
    count = len(values)
    split = Split([f"text {row}" for row in range(count)], truth, tuple(f"r{row}" for row in range(count)), groups)
    return Scored(split, interpretation, values, np.full(count, 3), np.zeros(count, dtype=bool), np.zeros(count))


# Any number of labels


def test_figures_of_sets_of_labels_are_those_of_their_definitions():
    values, truth = topics(500)
    given = TOPICS.given(values)
    found = label_metrics(values, given, truth)
    assert found.texts == 500
    assert found.micro_f1 == pytest.approx(sklearn.metrics.f1_score(truth, given, average="micro"))
    assert found.macro_f1 == pytest.approx(sklearn.metrics.f1_score(truth, given, average="macro"))
    assert found.exact == pytest.approx(sklearn.metrics.accuracy_score(truth, given))
    sure = np.clip(values, 1e-300, 1 - 1e-16)
    assert found.log_loss == pytest.approx(
        np.mean([sklearn.metrics.log_loss(truth[:, one], sure[:, one]) for one in range(3)]), rel=1e-3
    )
    for low, high in (found.interval, found.macro_interval, found.exact_interval):
        assert 0 < high - low < 0.2
    assert found.interval[0] < found.micro_f1 < found.interval[1]
    assert found.exact_interval[0] < found.exact < found.exact_interval[1]


def test_the_calibration_error_is_the_mean_over_labels_of_probability_and_share():
    values = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 0]])
    found = label_metrics(values, values >= 0.5, truth)
    assert found.ece == pytest.approx((abs(0.9 - 0.75) + 0.1) / 2)


def test_each_label_has_its_own_figures():
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
    given = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [1, 0, 0]], dtype=bool)
    price, room, staff = each_label(TOPICS.labels, given, truth)
    assert (price.name, price.texts, price.precision, price.recall) == ("price", 3, 2 / 3, 2 / 3)
    assert price.f1 == pytest.approx(2 / 3)
    assert (room.texts, room.precision, room.recall, room.f1) == (1, 0, 0, 0)
    assert (staff.texts, staff.precision, staff.recall, staff.f1) == (0, 0, 0, 0)


def test_texts_without_any_label_have_figures_too():
    found = label_metrics(np.full((3, 2), 0.1), np.zeros((3, 2), dtype=bool), np.zeros((3, 2), dtype=np.int64))
    assert (found.micro_f1, found.macro_f1, found.exact) == (0, 0, 1)
    json.dumps(vars(found), allow_nan=False)


def test_the_costliest_sets_are_wrong_ones_with_the_largest_loss():
    values = np.array([[0.9, 0.1, 0.1], [0.4, 0.9, 0.9], [0.7, 0.1, 0.1], [0.01, 0.1, 0.1]])
    truth = np.array([[1, 0, 0], [1, 1, 1], [0, 0, 0], [1, 0, 1]])
    found = scored(TOPICS, values, truth)
    assert costliest(found, 9) == [3, 2, 1]
    error = found.judge.error(values[3], truth[3])
    assert error == {
        "labels": ["price", "staff"],
        "predicted": [],
        "loss": round(float(-np.log([0.01, 0.9, 0.1]).sum()), 4),
    }


# Numbers


def test_figures_of_numbers_are_those_of_their_definitions():
    random = np.random.default_rng(0)
    truth = 1e6 + 3 * random.normal(size=(400, 1))
    values = truth + random.normal(size=(400, 1))
    found = value_metrics(values, truth)
    assert found.r2 == pytest.approx(sklearn.metrics.r2_score(truth, values))
    assert found.mae == pytest.approx(sklearn.metrics.mean_absolute_error(truth, values))
    assert found.rmse == pytest.approx(sklearn.metrics.root_mean_squared_error(truth, values))
    for figure, (low, high) in (
        (found.r2, found.interval),
        (found.mae, found.mae_interval),
        (found.rmse, found.rmse_interval),
    ):
        assert low < figure < high
        assert high - low < 0.3 * abs(figure)


def test_several_outputs_are_averaged():
    random = np.random.default_rng(1)
    truth = random.normal(size=(60, 2)) * [1, 30]
    values = truth + random.normal(size=(60, 2)) * [0.5, 5]
    found = value_metrics(values, truth)
    assert found.r2 == pytest.approx(sklearn.metrics.r2_score(truth, values))
    assert found.rmse == pytest.approx(sklearn.metrics.root_mean_squared_error(truth, values))
    two = Regression(("price", "stars"), (1.0, 30.0), (0.0, 0.0))
    (table,) = judge_of(two).tables(judge_of(two).details(values, truth))
    assert [row[0] for row in table.rows] == ["price", "stars"]
    assert table.rows[1][2] == f"{np.abs(values - truth)[:, 1].mean():.4g}"
    assert judge_of(STARS).tables(judge_of(STARS).details(values[:, :1], truth[:, :1])) == []


def test_equal_true_values_have_no_r2():
    found = value_metrics(np.array([[1.0], [2.0]]), np.array([[3.0], [3.0]]))
    assert (found.r2, found.interval, found.mae) == (None, None, 1.5)
    assert judge_of(STARS).cells(vars(found))[:3] == ("", "", "1.5")
    assert value_metrics(np.array([[1.0]]), np.array([[3.0]])).rmse == 2


def test_the_costliest_numbers_are_furthest_off():
    found = scored(STARS, np.array([[1.0], [5.0], [3.0]]), np.array([[2.0], [1.5], [3.0]]))
    assert costliest(found, 9) == [1, 0]
    assert found.judge.error(found.values[1], found.split.labels[1]) == {"value": 1.5, "predicted": 5.0, "error": 3.5}


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=5000),
        np.full(50, 3.0),
        np.zeros(2),
        np.array([1e9]),
        np.r_[np.full(500, 2.0), 7.0],
        np.r_[np.zeros(100), np.ones(100)],
        np.array([-1e30, 1e30]),
    ],
    ids=["normal", "constant", "zero", "one", "tied", "two", "huge"],
)
def test_edges_ascend_whatever_the_values(values):
    edges = value_edges(values)
    assert len(edges) == 21
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= values.min() <= values.max() <= edges[-1]
    found = reference(scored(STARS, values[:, np.newaxis], np.zeros((len(values), 1))))
    assert found.score.total == len(values)
    assert found.score.edges == edges


def test_inner_edges_lie_between_the_quantiles():
    values = np.arange(1001.0)
    edges = value_edges(values)
    assert (edges[0], edges[-1]) == pytest.approx((5 - 55, 995 + 55))
    assert edges[1:-1] == pytest.approx(tuple(np.linspace(5, 995, 19)))
    assert value_edges(np.r_[values, 1e6])[-1] == 1e6


# Ordered labels


def test_ordered_labels_are_measured_by_distance():
    values = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.5, 0.3, 0.2]])
    truth = np.array([0, 2, 2, 1])
    found = ordered_metrics(ORDERED, values, truth)
    assert found.mae == pytest.approx((0 + 3 + 0 + 1) / 4)
    expected = values @ [1, 2, 5]
    assert found.expected_mae == pytest.approx(np.abs(expected - [1, 5, 5, 2]).mean())
    assert found.accuracy == 0.5
    judge = judge_of(ORDERED)
    assert len(judge.head) == len(judge.cells(vars(found)))
    assert judge.head[-3:] == ("MAE", "MAE of the expected label", "weighted kappa")
    assert judge_of(SingleLabel(("1", "2", "5"))).head == judge.head[:-3]


def test_weighted_kappa_is_that_of_cohen():
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 300)
    predicted = np.clip(truth + random.integers(-1, 2, 300), 0, 4)
    counts = sklearn.metrics.confusion_matrix(truth, predicted)
    expected = sklearn.metrics.cohen_kappa_score(truth, predicted, weights="quadratic")
    assert weighted_kappa(counts, np.arange(1.0, 6.0)) == pytest.approx(expected)
    assert weighted_kappa(np.array([[4, 0], [0, 0]]), np.array([1.0, 2.0])) is None


# Intervals


def test_the_bootstrap_finds_the_interval_of_a_mean():
    texts = np.random.default_rng(0).normal(size=(2000, 1))
    means = resampled(texts)[:, 0] / 2000
    low, high = bootstrap_interval(means)
    assert (high - low) / 2 == pytest.approx(1.96 * texts.std() / np.sqrt(2000), rel=0.1)
    assert low < texts.mean() < high
    assert (resampled(texts) == resampled(texts)).all()
    assert bootstrap_interval(np.full(3, np.nan)) is None


def test_intervals_are_those_of_the_figures_of_texts_drawn_again():
    random = np.random.default_rng(3)
    counts = resampled(np.eye(15))
    truth = random.normal(size=(15, 1))
    values = truth + random.normal(size=(15, 1))
    r2s = [sklearn.metrics.r2_score(truth, values, sample_weight=one) for one in counts]
    maes = [sklearn.metrics.mean_absolute_error(truth, values, sample_weight=one) for one in counts]
    found = value_metrics(values, truth)
    assert found.interval == pytest.approx(bootstrap_interval(np.array(r2s)))
    assert found.mae_interval == pytest.approx(bootstrap_interval(np.array(maes)))
    probabilities, labels = topics(15)
    given = TOPICS.given(probabilities)
    for average in ("micro", "macro"):
        f1s = [
            sklearn.metrics.f1_score(labels, given, average=average, sample_weight=one, zero_division=0)
            for one in counts
        ]
        found = label_metrics(probabilities, given, labels)
        interval = found.interval if average == "micro" else found.macro_interval
        assert interval == pytest.approx(bootstrap_interval(np.array(f1s)))


def test_the_draws_are_texts_with_replacement():
    counts = resampled(np.eye(7))
    assert (counts.sum(axis=1) == 7).all()
    assert counts.max() > 2


# All of them


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_errors_are_recognized_later(task):
    values, truth = topics(20)
    found = {
        "single_label": scored(
            SingleLabel(("a", "b")), np.stack([values[:, 0], 1 - values[:, 0]], axis=1), truth[:, 0]
        ),
        "multi_label": scored(TOPICS, values, truth),
        "regression": scored(STARS, values[:, :1], truth[:, :1].astype(float)),
    }[task]
    (row,) = costliest(found, 1)
    error = found.judge.error(found.values[row], found.split.labels[row])
    assert tuple(error) == ERROR_FIELDS[task][2:-2]
    line = json.dumps(dict.fromkeys(ERROR_FIELDS[task], 1)).encode() + b"\n"
    assert is_errors(io.BytesIO(line))
    assert not is_errors(io.BytesIO(line.replace(b'"tokens"', b'"mine"')))


@pytest.mark.parametrize("interpretation", [SingleLabel(("a", "b", "c")), TOPICS, STARS, ORDERED], ids=str)
def test_every_task_can_be_drawn_and_grouped(interpretation):
    values, truth = topics(30)
    if interpretation.task == "single_label":
        values, truth = values / values.sum(axis=1, keepdims=True), truth.argmax(axis=1)
    elif interpretation.task == "regression":
        values, truth = values[:, :1], truth[:, :1].astype(np.float64)
    found = scored(interpretation, values, truth, ("x", "y", "y") * 10)
    assert outcome_picture("$ title", interpretation, values, truth).startswith(b"\x89PNG")
    groups = by_group(found)
    assert [one.metrics.texts for one in groups] == [10, 20]
    assert group_intervals("by group", groups, found.judge.grouped).startswith(b"\x89PNG")
    assert len(found.judge.head) == len(found.judge.cells(vars(found.metrics)))
    assert found.judge.head[0] == found.judge.main.name


def test_many_values_and_several_outputs_can_be_drawn():
    values = np.random.default_rng(0).normal(size=(3000, 2))
    assert predicted_against_true("$", ("a", "b"), values, values + 1).startswith(b"\x89PNG")
    assert label_bars("$", [{"name": "$", "texts": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}]).startswith(
        b"\x89PNG"
    )


def test_baselines_of_labels_learn_words_and_know_labels_without_texts():
    texts = [f"{'cheap' if row % 2 else 'dear'} {'clean' if row % 3 else 'dirty'} place" for row in range(60)]
    truth = np.array([[row % 2, row % 3 == 0, 0, 1] for row in range(60)], dtype=np.int64)
    found = baseline.labels_trained_on(texts, truth, ["cheap dirty place", "dear clean place"], 4)
    assert (found[:, :2] >= 0.5).tolist() == [[True, True], [False, False]]
    assert found[:, 2:].tolist() == [[0, 1], [0, 1]]
    crossed = baseline.cross_validated(texts, truth, 4, baseline.labels_trained_on)
    assert ((crossed >= 0.5) == truth).mean() > 0.95


def test_baselines_of_numbers_are_the_mean_and_ridge():
    texts = [f"{'good' if row % 2 else 'bad'} film" for row in range(60)]
    truth = np.array([[4.0 if row % 2 else 1.0] for row in range(60)])
    good, bad = baseline.values_trained_on(texts, truth, ["good film", "bad film"], 1)[:, 0]
    assert bad < 1.3 < 3.7 < good
    assert baseline.mean_of(texts, truth, ["x"], 1).tolist() == [[2.5]]
    split = Split(texts, truth)
    ridge, mean = compare(judge_of(STARS), split, None, "five-fold")
    assert (ridge.name, mean.name) == ("TF-IDF + ridge regression", "the mean")
    assert ridge.metrics.r2 > 0.9 > 0 >= mean.metrics.r2
    own = value_metrics(np.full((60, 1), 2.4), truth)
    assert is_no_better(judge_of(STARS).main, own, ridge)
    assert not is_no_better(judge_of(STARS).main, value_metrics(truth, truth), ridge)


def test_truth_is_numbered_by_task():
    rows = [Row("t", ("room", "price"), "1"), Row("u", (), "2", "g")]
    split = number_labels(rows, TOPICS.labels, None)
    assert split.labels.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert (split.ids, split.groups) == (("1", "2"), ("", "g"))
    named = number_labels([Row("t", ("a", "c")), Row("t", ("b",))], TOPICS.labels, ("staff", "room", "price"))
    assert named.labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    with pytest.raises(DatasetError, match="labels that the bundle lacks: garden"):
        number_labels([Row("t", ("garden",))], TOPICS.labels, None)
    assert number_labels([Row("t", 1.5), Row("u", 2.0)], ("score",), None).labels.tolist() == [[1.5], [2.0]]
    assert number_labels([Row("t", (1.5, 2.0))], ("a", "b"), None).labels.tolist() == [[1.5, 2.0]]


# Correctness by confidence


@pytest.mark.parametrize(
    ("precision", "others", "expected"),
    [
        ("int8", PRECISIONS, {"int8": "own", "fp32": "torch", "fp16": "torch"}),
        ("fp32", ("fp32", "fp16"), {"fp32": "own", "fp16": "own"}),
        ("int8", ("int8", "fp16"), {"int8": "own", "fp16": "half"}),
        ("fp16", ("fp16",), {"fp16": "own"}),
    ],
)
def test_every_precision_has_the_correctness_of_its_own_weights(precision, others, expected):
    random = np.random.default_rng(0)
    interpretation = SingleLabel(("no", "yes"), 2.0)
    logits = {name: random.normal(size=(300, 1)).astype(np.float32) for name in ("own", "torch", "half")}
    truth = random.integers(0, 2, 300)
    own = scored(interpretation, interpretation.values(logits["own"]), truth)
    found = confidence_of(
        own, precision, others, logits["torch"], logits["half"] if "half" in expected.values() else None
    )
    of = {name: correctness_of(interpretation.values(one), truth) for name, one in logits.items()}
    assert found == {name: of[source] for name, source in expected.items()}
    assert (
        confidence_of(scored(STARS, own.values[:, :1], truth[:, None]), precision, others, logits["torch"], None)
        is None
    )


def test_texts_that_the_wide_part_decides_are_counted_by_its_probabilities(monkeypatch):
    monkeypatch.setattr("export.training.graphs._MOST_HALF", 100)
    random = np.random.default_rng(0)
    interpretation = SingleLabel(("no", "yes"))
    own, torch, half, wide = (interpretation.values(random.normal(size=(300, 1))) for _ in range(4))
    logits = {id(one): np.log(one[:, 1:] / one[:, :1]) for one in (torch, half)}
    truth, early = random.integers(0, 2, 300), random.random(300) < 0.5
    stages = StagedTexts(truth, own, wide, early, np.full(300, 3))
    found = replace(scored(interpretation, stages.staged, truth), stages=stages)
    rows = half_rows(300)
    assert len(rows) == 100 < rows[-1]  # not the first ones: files are often sorted by label
    confidence = confidence_of(found, "int8", ("int8", "fp16"), logits[id(torch)], logits[id(half)][rows])
    expected = np.where(early[:, None], wide, half)[rows]
    assert confidence["fp16"] == correctness_of(expected, truth[rows])
    confidence = confidence_of(found, "int8", ("int8", "fp32"), logits[id(torch)], None)
    assert confidence == {
        "int8": correctness_of(stages.staged, truth),
        "fp32": correctness_of(np.where(early[:, None], wide, torch), truth),
    }
