"""Training by task: objectives, optima, stacks, thresholds and weights, and a classifier of each task on a tiny encoder."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch
from factories import TAGS, rated_reviews, reviews, tagged_reviews
from sklearn.linear_model import LogisticRegression
from test_task_data import write

from export.classifier.choice import loss_of
from export.classifier.head import train_head
from export.classifier.objective import HUBER_DELTA, AnyOf, OneOf, Value, objective_of
from export.classifier.optimum import huber, optima
from export.classifier.settings import CascadeSettings, HeadSettings, WideSettings
from export.classifier.stacking import stack
from export.classifier.thresholds import choose_thresholds
from export.classifier.wide import train_wide
from export.data import OUTPUTS, Dataset
from export.errors import ExportError
from export.evaluation.metrics import losses
from export.training.curriculum import plain
from export.training.finetune import tune
from export.training.fit import fit
from export.training.holdout import Divided
from export.training.settings import FitSettings, TuneSettings
from export.training.target import standardised
from scorer.model.bundle import load_bundle
from scorer.model.decision import probabilities
from scorer.model.interpretation import MultiLabel, Regression, SingleLabel, sigmoid


def drawn(count, seed, weights=(2.0, -1.0, 0.0, 0.5), noise=0.0):
    """Draw standardised features and a linear function of them."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, len(weights)))
    return features, features @ np.array(weights) + noise * random.normal(size=count)


# Objectives and their optima


def test_the_loss_of_each_task_is_what_its_name_says():
    logits = np.array([[2.0, -1.0], [0.5, 0.5]], dtype=np.float32)
    truth = np.array([[1, 0], [0, 1]])
    expected = -np.log(np.where(truth == 1, sigmoid(logits), 1 - sigmoid(logits))).mean()
    assert loss_of(AnyOf(2), logits, truth) == pytest.approx(expected, abs=1e-6)
    values = np.array([[0.0], [3.0]])
    found = np.array([[1.0], [0.0]], dtype=np.float32)
    assert loss_of(Value(), found, values) == pytest.approx((1 + 9) / 2)
    assert loss_of(Value(1.35), found, values) == pytest.approx((0.5 + 1.35 * (3 - 1.35 / 2)) / 2)
    weighted = OneOf(2, (0.5, 2.0))
    single, labels = np.array([[1.0], [-2.0]], dtype=np.float32), np.array([0, 1])
    each = -np.log(probabilities(single)[[0, 1], labels])
    assert loss_of(weighted, single, labels) == pytest.approx((0.5 * each[0] + 2 * each[1]) / 2)
    # Two logits whose difference is the single one have the same loss.
    both = np.hstack([np.zeros_like(single), single])
    assert loss_of(OneOf(3, (0.5, 2.0, 1.0)), np.hstack([both, both[:, :1] - 99]), labels) == pytest.approx(
        loss_of(weighted, single, labels)
    )


def test_figures_by_hand():
    truth = np.array([[1, 0], [1, 1], [0, 0]])
    logits = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert AnyOf(2).figure(logits, truth) == pytest.approx(2 * 2 / (3 + 3))
    assert AnyOf(2).figure(-np.ones((3, 2)), np.zeros((3, 2), dtype=int)) == 0
    assert Value().figure(np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]])) == 0.5
    assert OneOf(2).figure(np.array([[0.0], [-1.0]]), np.array([1, 1])) == 0.5


def test_texts_of_each_label_weigh_as_much_and_one_on_average():
    labels = np.array([0] * 95 + [1] * 5)
    found = objective_of("single_label", ("a", "b"), labels, loss="mse", balance=True)
    weights = found.text_weights(labels)
    assert weights.mean() == pytest.approx(1)
    assert weights[:95].sum() == pytest.approx(weights[95:].sum())
    assert objective_of("single_label", ("a", "b"), labels, loss="mse", balance=False) == OneOf(2)
    assert found.plain == OneOf(2)


@pytest.mark.parametrize("l2", [0.3, 0.01])
@pytest.mark.parametrize(
    "objective", [OneOf(2, (0.6, 3.0)), OneOf(3, (0.5, 1.0, 2.0)), AnyOf(2), Value(), Value(0.5)], ids=repr
)
def test_no_step_improves_the_optimum(objective, l2):
    """The gradient of the loss and the penalty is 0; half the squared error and Huber's loss count a quarter."""
    features, values = drawn(400, 0, noise=1.0)
    targets = {
        "single_label": np.digitize(values, [0, 2])[:400] if objective.logit_count == 3 else (values > 1).astype(int),
        "multi_label": np.stack([values > 0, values > 2], axis=1).astype(int),
        "regression": values[:, np.newaxis],
    }[objective.task]
    ((found, (weight, bias)),) = optima(features, targets, objective, (l2,))
    assert found == l2
    parameters = [torch.tensor(part, requires_grad=True) for part in (weight, bias)]
    scale = {OneOf: 1, AnyOf: objective.logit_count, Value: 1 / 8 if objective == Value() else 1 / 4}[type(objective)]
    loss = scale * objective.loss(
        torch.from_numpy(features) @ parameters[0].T + parameters[1], torch.from_numpy(targets)
    )
    (loss + l2 / 2 * (parameters[0] ** 2).sum()).backward()
    assert all(part.grad.abs().max() < 2e-3 for part in parameters)


def test_outliers_move_huber_less_than_the_squared_error():
    features, values = drawn(300, 1, noise=0.1)
    values[::20] += 50
    for form in (np.asarray, scipy.sparse.csr_matrix):
        robust, squared = (huber(form(features), values, 1e-6, delta)[0] for delta in (0.2, np.inf))
        assert np.abs(robust - [2, -1, 0, 0.5]).max() < 0.05
        assert np.abs(squared - [2, -1, 0, 0.5]).max() > 0.2


@pytest.mark.parametrize("solver", ["newton", "adam"])
@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_a_head_of_each_task_is_folded_for_raw_features(task, solver):
    def part(seed):
        features, values = drawn(1500, seed)
        targets = values[:, np.newaxis] / 2.3
        if task == "multi_label":
            targets = np.stack([values > 0, values > 2, values < -3], axis=1).astype(int)
        return (features * [1, 10, 100, 0.1] + 50).astype(np.float32), targets

    objective = AnyOf(3) if task == "multi_label" else Value()
    settings = HeadSettings(solver, epochs=30, learning_rate=0.02, l2=(0.01, 0.0003))
    training = train_head(part(0), part(1), objective=objective, settings=settings)
    features, targets = part(2)
    assert training.head.weight.shape == (objective.logit_count, 4)
    assert objective.figure(training.head.logits(features), targets) > 0.95
    assert training.best.figure > 0.95


# The wide part


def keyed(count, seed):
    """Draw texts of pieces 5 to 9; a text's value is the number of its pieces 5 less that of its pieces 6."""
    random = np.random.default_rng(seed)
    rows = [random.choice(np.arange(5, 10), size=random.integers(1, 4), replace=False) for _ in range(count)]
    values = np.array([[float((row == 5).sum()) - (row == 6).sum()] for row in rows])
    return rows, values


@pytest.mark.parametrize("objective", [Value(), Value(HUBER_DELTA)], ids=repr)
def test_the_wide_part_learns_numbers(objective):
    training = train_wide(keyed(800, 0), keyed(200, 1), pieces=12, objective=objective, settings=WideSettings(64))
    rows, values = keyed(300, 2)
    assert objective.figure(training.logits(rows), values) > 0.95
    rounded = training.wide(0.5).logits(rows) + 0.5 * training.bias
    np.testing.assert_allclose(rounded, 0.5 * training.logits(rows), atol=0.01)
    assert training.on(keyed(800, 0)).objective == objective


def test_the_wide_part_of_several_labels_is_one_against_the_rest_for_each():
    rows, values = keyed(800, 0)
    truth = np.hstack([values > 0, values < 0]).astype(int)
    settings = WideSettings(64, l2=(0.001,))
    both = train_wide((rows, truth), (rows, truth), pieces=12, objective=AnyOf(2), settings=settings)
    for label in range(2):
        alone = train_wide(
            (rows, truth[:, label]), (rows, truth[:, label]), pieces=12, objective=OneOf(2), settings=settings
        )
        np.testing.assert_allclose(both.weight[:, label], alone.weight[:, 0], atol=1e-6)
        assert both.bias[label] == pytest.approx(alone.bias[0], abs=1e-6)


# Stacks


def test_each_label_has_a_share_a_bias_and_a_temperature_of_its_own():
    random = np.random.default_rng(0)
    deep, side = random.normal(size=(2, 30_000, 3)).astype(np.float32)
    scale, share, bias = np.array([1.0, 0.5, 2.0]), np.array([2.0, 0.0, 1.0]), np.array([0.0, -2.0, 1.0])
    truth = (random.random((30_000, 3)) < sigmoid(scale * deep + share * side + bias)).astype(int)
    found = stack(deep, side, truth, AnyOf(3))
    np.testing.assert_allclose(1 / found.temperature, scale, rtol=0.1)
    np.testing.assert_allclose(found.share / found.temperature, share, atol=0.1)
    np.testing.assert_allclose(found.bias / found.temperature, bias, atol=0.1)
    for label in range(3):
        alone = stack(deep[:, [label]], side[:, [label]], truth[:, label])
        assert found.temperature[label] == pytest.approx(alone.temperature, rel=1e-3)
        assert found.share[label] == pytest.approx(alone.share, abs=1e-3)


def test_a_label_that_no_text_has_or_lacks_keeps_the_logits_of_the_encoder():
    random = np.random.default_rng(0)
    deep, side = random.normal(size=(2, 500, 3)).astype(np.float32)
    truth = np.stack([np.zeros(500), deep[:, 1] > 0, np.ones(500)], axis=1).astype(int)
    found = stack(deep, side, truth, AnyOf(3))
    assert found.temperature[[0, 2]].tolist() == [1, 1]
    assert found.share[[0, 2]].tolist() == found.bias[[0, 2]].tolist() == [0, 0]
    assert (found.logits(deep, side)[:, [0, 2]] == deep[:, [0, 2]]).all()
    assert stack(deep, None, np.zeros((500, 3), dtype=int), AnyOf(3)).temperature.tolist() == [1, 1, 1]


def test_numbers_are_stacked_by_least_squares_and_have_no_temperature():
    random = np.random.default_rng(0)
    deep, side = random.normal(size=(2, 20_000, 1)).astype(np.float32)
    values = 0.7 * deep + 1.5 * side + 0.2 + 0.1 * random.normal(size=(20_000, 1))
    found = stack(deep, side, values, Value())
    assert (found.scale, found.share, float(found.bias[0]), found.temperature) == pytest.approx(
        (0.7, 1.5, 0.2, 1), abs=5e-3
    )
    alone = stack(deep, None, values, Value())
    assert (alone.scale, alone.share, alone.bias.tolist(), alone.temperature) == (1, 0, [0], 1)


@pytest.mark.parametrize("objective", [AnyOf(2), Value()], ids=repr)
def test_head_and_wide_part_of_each_task_add_up_to_what_was_stacked(objective):
    rows, values = keyed(400, 0)
    targets = np.hstack([values > 0, values < 0]).astype(int) if objective == AnyOf(2) else values + 1
    wide = train_wide((rows, targets), (rows, targets), pieces=12, objective=objective, settings=WideSettings(64))
    random = np.random.default_rng(0)
    part = random.normal(size=(400, 4)).astype(np.float32), targets
    head = train_head(part, part, objective=objective, settings=HeadSettings()).head
    stacked = stack(head.logits(part[0]), wide.logits(rows), targets, objective)
    both, kept = stacked.parts(head, wide)
    expected = stacked.logits(head.logits(part[0]), wide.logits(rows))
    np.testing.assert_allclose(both.logits(part[0]) + kept.logits(rows), expected, atol=5e-3, rtol=2e-3)


# Thresholds


def best_f1(probabilities, truth):
    """Return the largest F1 of any threshold, by trying all of them."""
    found = []
    for threshold in np.unique(probabilities):
        given = probabilities >= threshold
        found.append(2 * (given & truth).sum() / (given.sum() + truth.sum()))
    return max(found)


@pytest.mark.parametrize("seed", range(10))
def test_a_threshold_has_the_largest_f1_or_the_largest_recall_at_a_precision(seed):
    random = np.random.default_rng(seed)
    values = random.random((200, 2)).round(2)  # many are equal
    truth = (random.random((200, 2)) < values).astype(int)
    for label, chosen in enumerate(choose_thresholds(values, truth)):
        column, right = values[:, label], truth[:, label] == 1
        given = column >= chosen.threshold
        assert 2 * (given & right).sum() / (given.sum() + right.sum()) == pytest.approx(best_f1(column, right))
        assert (chosen.precision, chosen.recall) == pytest.approx(
            ((given & right).sum() / given.sum(), (given & right).sum() / right.sum())
        )
    for label, chosen in enumerate(choose_thresholds(values, truth, 0.9)):
        column, right = values[:, label], truth[:, label] == 1
        precise = [one for one in np.unique(column) if right[column >= one].mean() >= 0.9]
        assert precise
        assert (column >= chosen.threshold).sum() == (column >= min(precise)).sum()
        assert chosen.precision >= 0.9


def test_a_threshold_lies_midway_and_between_0_and_1():
    truth = np.array([[1], [1], [0]])
    assert choose_thresholds(np.array([[0.9], [0.7], [0.2]]), truth)[0].threshold == pytest.approx(0.45)
    assert choose_thresholds(np.array([[0.9], [0.7]]), truth[:2])[0].threshold == pytest.approx(0.35)
    (unknown,) = choose_thresholds(np.array([[0.9], [0.7]]), np.zeros((2, 1), dtype=int))
    assert (unknown.threshold, unknown.texts, unknown.recall) == (0.5, 0, None)
    (never,) = choose_thresholds(np.array([[0.9], [0.7]]), np.array([[0], [1]]), 0.9)
    assert (never.threshold, never.precision, never.recall) == (1.0, None, 0.0)


# Weights by inverse frequency


def rare(count, seed):
    """Draw features of two labels, of which one text in twenty has the second, and its true probabilities."""
    random = np.random.default_rng(seed)
    labels = (random.random(count) < 0.05).astype(np.int64)
    features = random.normal(size=(count, 3)) + np.array([1.2, 0, 0]) * labels[:, np.newaxis]
    return features.astype(np.float32), labels


def test_balanced_training_finds_rare_labels_and_its_probabilities_stay_honest():
    train, held_out, test = rare(20_000, 0), rare(4_000, 1), rare(20_000, 2)
    found = {}
    for balance in (False, True):
        objective = objective_of("single_label", ("common", "rare"), train[1], loss="mse", balance=balance)
        head = train_head(train, held_out, objective=objective, settings=HeadSettings()).head
        stacked = stack(head.logits(held_out[0]), None, held_out[1], objective)
        of_both, _ = stacked.parts(head, None)
        raw = probabilities(head.logits(test[0]))[:, 1]
        chances = probabilities(of_both.logits(test[0]), stacked.temperature)
        found[balance] = raw.mean(), chances[:, 1].mean(), losses(chances, test[1]).mean()
    share = test[1].mean()
    noise = 3 * np.sqrt(share * (1 - share)) * np.sqrt(1 / 4_000 + 1 / 20_000)
    assert found[True][0] > 5 * share  # as the weights ask, before the prior is put back
    assert abs(found[True][1] - share) < noise
    assert abs(found[False][1] - share) < noise
    assert found[True][2] < found[False][2] + 0.002


@pytest.mark.parametrize("labels", [2, 3])
def test_the_prior_of_weighted_labels_is_put_back_even_with_few_texts_to_fit_it(labels):
    """The logits are those of a training with weights, which the stack has sixty texts to undo."""
    random = np.random.default_rng(0)
    shares = np.array([0.95, 0.05]) if labels == 2 else np.array([0.8, 0.15, 0.05])
    objective = OneOf(labels, tuple((1 / (labels * shares)).tolist()))
    truth = random.choice(labels, 60, p=shares)
    logits = np.zeros((60, objective.logit_count), dtype=np.float32)  # weighted labels are equally likely
    found = stack(logits, None, truth, objective)
    chances = probabilities(found.logits(logits, None), found.temperature)[0]
    np.testing.assert_allclose(chances, shares, atol=0.05)


def test_the_wide_part_weighs_its_texts_by_label():
    random = np.random.default_rng(0)
    labels = (random.random(2000) < 0.05).astype(np.int64)
    rows = [np.array([5 + int(random.random() < 0.2 + 0.6 * label), 7]) for label in labels]
    objective = objective_of("single_label", ("common", "rare"), labels, loss="mse", balance=True)
    settings = WideSettings(64, l2=(1e-4,))
    found = train_wide((rows, labels), (rows, labels), pieces=10, objective=objective, settings=settings)
    side = found.logits(rows)
    assert sigmoid(side).mean() > 0.25
    stacked = stack(np.zeros_like(side), side, labels, objective)
    assert probabilities(stacked.logits(np.zeros_like(side), side), stacked.temperature)[:, 1].mean() == pytest.approx(
        labels.mean(), abs=0.01
    )


# Numbers in their unit


def test_numbers_are_standardised_by_the_texts_to_train_on():
    values = np.array([[1.0], [3.0], [100.0]])
    texts = Divided([np.array([1])] * 3, values, np.array([0, 1]), np.array([2]))
    found, unit = standardised(texts)
    assert (unit.scale, unit.offset) == ((1.0,), (2.0,))
    assert found.labels.tolist() == [[-1.0], [1.0], [98.0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [([5.0, 5.0], "are all the same"), ([1e300, -1e300], "are larger than 1e+30"), ([2e30, 3e30], "are larger")],
)
def test_numbers_that_teach_nothing_are_an_error(values, message):
    texts = Divided([np.array([1])] * 2, np.array(values)[:, np.newaxis], np.array([0, 1]), np.array([], dtype=int))
    with pytest.raises(ExportError) as caught:
        standardised(texts)
    assert message in str(caught.value)


# A classifier of each task


def fitted(encoder, folder, task, **settings):
    """Train a classifier on a tiny encoder; return it with its log, and its values of other texts with their labels."""
    make, labels = {
        "multi_label": (tagged_reviews, TAGS),
        "regression": (rated_reviews, OUTPUTS),
        "single_label": (lambda count, seed: reviews(count, 3, seed), ("1", "2", "3")),
    }[task]
    dataset = Dataset("d", labels, make(400, 1), make(150, 2), task)
    log = []
    of_fit = FitSettings(
        **{"pooling": "cls+mean1", "wide": WideSettings(512), "cache": folder, "quiet": True, **settings}
    )
    found = fit(dataset, encoder, encoder.tokenizer.encode(dataset.train.texts).ids, of_fit, log.append)
    rows = encoder.tokenizer.encode(dataset.test.texts).ids
    from export.training.features import extract

    features = extract(found.encoder, rows, folder, queries=found.classifier.queries, name="x", quiet=True)
    logits = found.classifier.logits(features.pooled(found.classifier.pooling), rows)
    return found, log, found.calibrated(logits), dataset.test.labels


@pytest.mark.parametrize("wide", [None, WideSettings(512)], ids=["encoder", "both"])
def test_a_classifier_gives_any_number_of_labels(encoder, tmp_path, wide):
    found, log, values, truth = fitted(encoder("bert"), tmp_path, "multi_label", wide=wide)
    assert isinstance(found.interpretation, MultiLabel)
    given = found.interpretation.given(values)
    assert 2 * (given & (truth == 1)).sum() / (given.sum() + truth.sum()) > (0.8 if wide is None else 0.97)
    np.testing.assert_allclose(values.mean(axis=0), truth.mean(axis=0), atol=0.06)
    assert found.interpretation.temperatures == tuple(found.stack.temperature.tolist())
    assert [one.threshold for one in found.calibration.thresholds] == list(found.interpretation.thresholds)
    assert sum(line.startswith("thresholds: bad 0.") for line in log) == 1
    assert any(line.startswith("validation micro F1: encoder ") for line in log)
    assert found.cascade is None
    assert (wide is not None) == any(
        line
        == "no cascade: the wide part alone decides only where a text has one label; every text goes through the encoder"
        for line in log
    )


def test_a_precision_that_no_threshold_reaches_is_said(encoder, tmp_path):
    frozen = encoder("bert")
    found, _, values, truth = fitted(frozen, tmp_path, "multi_label", min_precision=0.97)
    given = found.interpretation.given(values)
    assert (given & (truth == 1)).sum() / given.sum() > 0.9
    split = tagged_reviews(400, 1)
    noise = np.random.default_rng(0).integers(0, 2, size=(400, 1))
    split = replace(split, labels=np.hstack([split.labels[:, :1], noise, np.zeros((400, 1), dtype=int)]))
    split.labels[7, 2] = 1
    dataset = Dataset("d", ("bad", "noise", "once"), split, split, "multi_label")
    log, settings = [], FitSettings("cls+mean1", cache=tmp_path, quiet=True, wide=None)
    ids = frozen.tokenizer.encode(split.texts).ids
    found = fit(dataset, frozen, ids, replace(settings, min_precision=0.99), log.append)
    assert found.interpretation.thresholds[1:] == (1.0, 1.0)
    assert log[-1] == (
        "warning: no threshold reaches a precision of 0.99 on the validation texts for noise, once, so the model will not "
        "give it. Give a lower --min-precision, or more texts with it."
    )
    found = fit(dataset, frozen, ids, settings, log.append)
    assert found.interpretation.thresholds[2] == 0.5
    assert log[-1] == (
        "no validation text has the label once, so its threshold is 0.5. Give more texts with it, or a larger "
        "--validation-share."
    )


@pytest.mark.parametrize("wide", [None, WideSettings(512)], ids=["encoder", "both"])
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_classifier_gives_numbers_in_their_unit(encoder, tmp_path, wide, loss):
    found, log, values, truth = fitted(encoder("bert"), tmp_path, "regression", wide=wide, loss=loss)
    assert isinstance(found.interpretation, Regression)
    assert found.unit.offset[0] == pytest.approx(30, abs=1)
    assert found.unit.scale[0] == pytest.approx(10, abs=1)
    assert Value().figure(values, truth) > (0.35 if wide is None else 0.99)
    assert any(line.startswith("validation R2: encoder 0.") for line in log)
    assert found.calibration.figures == {}


def test_ordered_labels_are_trained_as_any_other(encoder, tmp_path):
    found, log, values, truth = fitted(
        encoder("bert"), tmp_path, "single_label", cascade=CascadeSettings(least_texts=20)
    )
    assert isinstance(found.interpretation, SingleLabel)
    assert np.mean(values.argmax(axis=1) == truth) > 0.95
    assert any(line.startswith("validation accuracy: encoder ") for line in log)


@pytest.mark.parametrize(("blocks", "pooling"), [(1, "mean"), (0, "attention1")])
@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_blocks_and_poolings_are_trained_for_each_task(encoder, tmp_path, task, blocks, pooling):
    how = TuneSettings(blocks, epochs=5, learning_rate=1e-3, head_learning_rate=3e-3, batch_size=8)
    found, _, values, truth = fitted(encoder("bert"), tmp_path, task, pooling=pooling, tune=how, wide=None)
    steps = found.training.steps
    assert steps[-1].train_loss < steps[0].train_loss
    if task == "regression":
        assert Value().figure(values, truth) > 0.2
    else:
        assert np.mean(found.interpretation.given(values) == (truth == 1)) > 0.8


def test_weights_by_label_change_a_block_training_and_its_checkpoint(encoder, tmp_path):
    frozen, split = encoder("bert"), reviews(60, 2, 1)
    texts = frozen.tokenizer.encode(split.texts).ids, split.labels
    how = TuneSettings(1, epochs=1, batch_size=8)
    heads = [
        tune(
            frozen, plain(texts, 1), texts, pooling="cls", objective=one, settings=how, folder=tmp_path, quiet=True
        ).training.head
        for one in (OneOf(2), OneOf(2, (0.2, 1.8)), OneOf(2))
    ]
    assert (heads[0].weight == heads[2].weight).all()
    assert heads[1].bias[0] > heads[0].bias[0]


def test_a_label_of_several_is_as_good_as_alone():
    features, values = drawn(500, 0, noise=1.0)
    truth = np.stack([values > 0, values > 1], axis=1).astype(int)
    ((_, (weight, bias)),) = optima(features, truth, AnyOf(2), (0.01,))
    for label in range(2):
        model = LogisticRegression(C=1 / (0.01 * 500)).fit(features, truth[:, label])
        np.testing.assert_allclose(weight[label], model.coef_[0], atol=3e-3)
        assert bias[label] == pytest.approx(model.intercept_[0], abs=3e-3)


# The command


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with texts of each task as CSV, JSONL and Parquet."""
    folder = tmp_path_factory.mktemp("data")
    for name, count, seed in (("train", 300, 1), ("test", 120, 2)):
        tagged, rated, starred = tagged_reviews(count, seed), rated_reviews(count, seed), reviews(count, 3, seed)
        tags = [[tag for tag, one in zip(TAGS, row, strict=True) if one] for row in tagged.labels]
        write(folder, f"tagged-{name}", "tags", tags, tagged.texts)
        write(folder, f"rated-{name}", "stars", rated.labels[:, 0].tolist(), rated.texts)
        write(folder, f"starred-{name}", "stars", [(1, 2, 5)[label] for label in starred.labels], starred.texts)
    return folder


@pytest.fixture
def train(score_model, encoder_folder, data, tmp_path):
    """Return a function that trains on the files of a kind, and returns the result and the bundle's folder."""

    def run(kind, extension, column, *arguments):
        files = (f"--{name}-file={data / f'{kind}-{name}.{extension}'}" for name in ("train", "test"))
        how = ("--encoder", encoder_folder("bert"), "--max-length", 24, "--max-tokens", 24, "--wide-pairs", 512)
        more = ("--cache-dir", tmp_path / "cache", "--precisions", "fp32", "--no-baseline", "-q", "-o", tmp_path / "b")
        return score_model("train", *files, "--label-column", column, *how, *more, *arguments), tmp_path / "b"

    return run


@pytest.mark.parametrize(
    ("extension", "more"),
    [
        ("csv", ("--label-separator", "|")),
        ("jsonl", ()),
        ("parquet", ("--task", "multi_label", "--min-precision", "0.8")),
    ],
)
def test_the_command_trains_for_any_number_of_labels(train, score, data, tmp_path, extension, more):
    found, folder = train("tagged", extension, "tags", *more)
    assert found.code == 0, found.err
    assert "labels bad, café, good (any number of them a text)" in found.out
    manifest = load_bundle(folder).manifest
    assert (manifest.task, manifest.labels, manifest.positive_label) == ("multi_label", TAGS, None)
    assert manifest.needs == ("multi_label",)
    assert len(manifest.thresholds) == len(manifest.calibration["temperature"]) == 3
    assert [one["label"] for one in manifest.metrics["thresholds"]] == list(TAGS)
    assert manifest.training["task"] == "multi_label"
    assert manifest.training.get("min_precision") == (0.8 if "--min-precision" in more else None)
    assert set(manifest.metrics["head"]["steps"][0]) == {"number", "train_loss", "validation_loss", "validation_f1"}
    result = score(data / "tagged-test.jsonl", "-o", tmp_path / "out.jsonl", "--model", folder, "--keep", "tags")
    assert result.code == 0, result.err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert np.mean([row["labels"] == row["tags"] for row in rows]) > 0.8


@pytest.mark.parametrize(("extension", "loss"), [("csv", "mse"), ("jsonl", "huber"), ("parquet", "mse")])
def test_the_command_trains_for_numbers(train, score, data, tmp_path, extension, loss):
    found, folder = train("rated", extension, "stars", "--task", "regression", "--loss", loss)
    assert found.code == 0, found.err
    assert "numbers from 10 to 50, 30" in found.out
    assert "no cascade: the wide part alone decides only where a text has one label" in found.out
    manifest = load_bundle(folder).manifest
    assert (manifest.task, manifest.labels, manifest.needs) == ("regression", ("score",), ("regression",))
    assert manifest.unit.offset[0] == pytest.approx(30, abs=1)
    assert (manifest.calibration, manifest.thresholds) == (None, None)
    assert manifest.training.get("loss") == (loss if loss == "huber" else None)
    result = score(data / "rated-test.jsonl", "-o", tmp_path / "out.jsonl", "--model", folder, "--keep", "stars")
    assert result.code == 0, result.err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert max(abs(row["score"] - row["stars"]) for row in rows) < 5


def test_the_command_trains_for_ordered_labels_with_weights(train):
    found, folder = train("starred", "jsonl", "stars", "--ordered", "--balance")
    assert found.code == 0, found.err
    manifest = load_bundle(folder).manifest
    assert (manifest.task, manifest.labels, manifest.ordered) == ("single_label", ("1", "2", "5"), True)
    assert "ordered" in manifest.needs
    assert manifest.training["balance"] is True
    assert "task" not in manifest.training
    assert set(manifest.metrics["head"]["steps"][0]) >= {"validation_accuracy"}


@pytest.mark.parametrize(
    ("kind", "extension", "more", "message"),
    [
        ("tagged", "jsonl", ("--balance",), "--balance has an effect only where each text has one label."),
        ("tagged", "jsonl", ("--task", "regression"), "line 1: the column 'tags' holds [\"bad\"]; a number is needed, not a list."),
        ("tagged", "csv", ("--task", "multi_label"), "which is no list of labels. Give a list, or name the character between labels with --label-separator."),
        ("starred", "csv", ("--min-precision", "0.9"), "--min-precision has an effect only with --task multi_label."),
        ("rated", "csv", ("--task", "regression", "--cascade"), "--cascade has an effect only where each text has one label."),
        ("rated", "csv", ("--label-separator", "||"), "--label-separator takes one character, and no line end, not '||'."),
        ("starred", "csv", ("--ordered", "--label-names", "a,b,c"), "--ordered needs labels that are numbers; 'a' is not one."),
    ],
)  # fmt: skip
def test_the_command_names_what_does_not_fit_the_task(train, kind, extension, more, message):
    found, folder = train(kind, extension, "tags" if kind == "tagged" else "stars", *more)
    assert found.code == 2
    assert message in found.err
    assert not folder.exists()
