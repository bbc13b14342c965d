"""Folds of few texts, and choices by the texts that each of them holds out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from export.classifier.choice import Fold, held_out_rows, loss_of
from export.classifier.head import Inputs, cross_validate_head, fit_head
from export.classifier.objective import AnyOf, Objective, OneOf, Value
from export.classifier.settings import HeadSettings, WideSettings
from export.classifier.stacking import cross_stacked, stack
from export.classifier.wide import cross_validate_wide, key_matrix
from export.errors import ExportError
from export.training.crossfit import Stacked, out_of_fold
from export.training.folds import fold_count, folds_of
from export.training.learning import thin
from scorer.engine.wide import Keys
from scorer.engine.windows import Split as Windows

PIECES = 40


def distinct(count):
    """Return texts that have nothing in common."""
    return [f"w{number} x{number} y{number} z{number}" for number in range(count)]


def numbers_of(folds):
    """Return the number of the fold that holds out each text, by text."""
    return {row: number for number, fold in enumerate(folds) for row in fold.held_out.tolist()}


def test_each_text_is_held_out_once_and_trained_on_otherwise():
    labels = np.random.default_rng(0).integers(0, 3, size=300)
    folds = folds_of(distinct(300), labels, 10)
    assert len(folds) == 10
    assert held_out_rows(folds).tolist() == list(range(300))
    for fold in folds:
        assert np.union1d(fold.train, fold.held_out).tolist() == list(range(300))
        assert not np.intersect1d(fold.train, fold.held_out).size


def test_folds_have_the_same_share_of_each_label_whatever_their_order():
    labels = np.array([0] * 60 + [1] * 200 + [2] * 40)
    counts = [np.bincount(labels[fold.held_out], minlength=3).tolist() for fold in folds_of(distinct(300), labels, 10)]
    assert counts == [[6, 20, 4]] * 10


def test_the_texts_of_a_label_are_held_out_in_runs_of_neighbours():
    labels = np.arange(100) % 2
    for fold in folds_of(distinct(100), labels, 5):
        assert np.ptp(fold.held_out) < 20


def test_equal_texts_near_duplicates_and_texts_of_one_thread_are_in_one_fold():
    texts = distinct(60)
    texts[50] = texts[3].upper()
    long = " ".join(f"word{number}" for number in range(50))
    texts[10], texts[40] = long, f"{long} more"
    origins = [""] * 60
    origins[20] = origins[59] = origins[0] = "thread"
    found = numbers_of(folds_of(texts, np.arange(60) % 2, 10, origins=origins))
    assert found[50] == found[3]
    assert found[10] == found[40]
    assert found[20] == found[59] == found[0]
    assert len(set(found.values())) == 10


def test_each_domain_has_texts_in_each_fold():
    domains = ["films"] * 80 + ["hotels"] * 20
    for fold in folds_of(distinct(100), np.arange(100) % 2, 5, domains=domains):
        assert (fold.held_out >= 80).sum() == 4


@pytest.mark.parametrize("count", [5, 10])
def test_a_label_with_one_text_or_in_one_fold_is_only_trained_on(count):
    labels = np.array([0] * 30 + [1] * 30 + [2] + [3, 3])
    texts = distinct(63)
    texts[62] = texts[61]
    folds = folds_of(texts, labels, count)
    assert held_out_rows(folds).tolist() == list(range(60))
    assert all(set(labels[fold.train]) == {0, 1, 2, 3} for fold in folds)


def test_a_rare_label_of_several_is_trained_on_in_each_fold():
    targets = np.zeros((50, 2), dtype=np.int64)
    targets[::2, 0] = 1
    targets[7, 1] = 1
    folds = folds_of(distinct(50), targets, 5)
    assert len(held_out_rows(folds)) == 49
    assert all(targets[fold.train].any(axis=0).all() for fold in folds)


def test_folds_of_numbers_have_all_sizes():
    values = np.sort(np.random.default_rng(0).normal(size=200))[:, np.newaxis]
    means = [values[fold.held_out].mean() for fold in folds_of(distinct(200), values, 10)]
    assert np.abs(means).max() < 0.25


def test_texts_that_all_belong_together_are_too_few():
    with pytest.raises(ExportError, match="4 training texts are too few to hold out validation texts"):
        folds_of(["a b c"] * 4, np.array([0, 1, 0, 1]), fold_count(4))


# Choices by folds


def part(count, seed, objective):
    """Return vectors of texts and their targets."""
    random = np.random.default_rng(seed)
    features = (3 + 2 * random.normal(size=(count, 5))).astype(np.float32)
    noisy = features[:, :2] + random.normal(size=(count, 2)) * 1.5
    targets = {
        "single_label": (noisy[:, 0] > 3).astype(np.int64) + (objective.logit_count > 1) * (noisy[:, 1] > 3),
        "multi_label": (noisy > 3).astype(np.int64),
        "regression": (noisy[:, :1] - 3) / 2,
    }
    return features, targets[objective.task]


OBJECTIVES = [OneOf(2), OneOf(3, (0.5, 1.0, 2.0)), AnyOf(2), Value(), Value(1.345)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_texts_logits_come_from_the_head_of_the_other_folds(objective: Objective):
    features, targets = part(200, 0, objective)
    folds = folds_of(distinct(200), targets, 5)
    settings = HeadSettings(l2=(0.3, 0.01))
    found = cross_validate_head(Inputs(features), targets, folds, objective=objective, settings=settings)
    for fold in folds:
        alone = fit_head(
            Inputs(features[fold.train]), targets[fold.train], found.best.number, objective=objective, settings=settings
        )
        np.testing.assert_allclose(found.logits[fold.held_out], alone.logits(features[fold.held_out]), atol=6e-3)
    assert found.best.validation_loss == pytest.approx(loss_of(objective, found.logits, targets))
    assert found.best == min(found.steps, key=lambda step: step.validation_loss)


def test_the_head_of_folds_is_that_of_scikit_learn():
    features, targets = part(90, 1, OneOf(2))
    folds = folds_of(distinct(90), targets, 5)
    found = cross_validate_head(Inputs(features), targets, folds, objective=OneOf(2), settings=HeadSettings(l2=(0.03,)))
    for fold in folds:
        own = features[fold.train].astype(np.float64)
        mean, deviation = own.mean(axis=0), own.std(axis=0)
        model = LogisticRegression(C=1 / (0.03 * len(own)), tol=1e-10).fit(
            (own - mean) / deviation, targets[fold.train]
        )
        expected = model.decision_function((features[fold.held_out] - mean) / deviation)
        np.testing.assert_allclose(found.logits[fold.held_out, 0], expected, atol=1e-3)


def test_all_folds_take_the_same_number_of_epochs():
    features, targets = part(100, 0, OneOf(2))
    folds = folds_of(distinct(100), targets, 5)
    settings = HeadSettings(solver="adam", epochs=6, learning_rate=0.05)
    found = cross_validate_head(Inputs(features), targets, folds, objective=OneOf(2), settings=settings)
    assert [step.number for step in found.steps] == [1, 2, 3, 4, 5, 6]
    alone = fit_head(Inputs(features), targets, 3, objective=OneOf(2), settings=settings)
    again = cross_validate_head(
        Inputs(features), targets, [Fold(np.arange(100), np.arange(3))], objective=OneOf(2),
        settings=HeadSettings(solver="adam", epochs=3, learning_rate=0.05),
    )  # fmt: skip
    last = fit_head(Inputs(features), targets, again.steps[-1].number, objective=OneOf(2), settings=settings)
    assert (alone.weight == last.weight).all()


def test_windows_stay_with_their_text():
    random = np.random.default_rng(0)
    counts = random.integers(1, 4, size=60)
    features = random.normal(size=(counts.sum(), 4)).astype(np.float32)
    split = Windows([], counts, np.ones(counts.sum(), dtype=np.int64), "max")
    targets = random.integers(0, 2, size=(60, 2))
    folds = folds_of(distinct(60), targets, 5)
    settings = HeadSettings(l2=(0.1,))
    inputs = Inputs(features, split)
    found = cross_validate_head(inputs, targets, folds, objective=AnyOf(2), settings=settings)
    fold = folds[1]
    alone = fit_head(inputs.some(fold.train), targets[fold.train], 0.1, objective=AnyOf(2), settings=settings)
    windows = np.repeat(np.arange(60), counts)
    expected = [alone.logits(features[windows == row]).max(axis=0) for row in fold.held_out]
    np.testing.assert_allclose(found.logits[fold.held_out], expected, atol=1e-4)


def keyed(count, seed, objective):
    """Return token ids of texts, and targets that depend on two of them."""
    random = np.random.default_rng(seed)
    rows = [np.unique(random.integers(0, PIECES, size=length)) for length in random.integers(4, 12, size=count)]
    has = np.array([[3 in row, 7 in row] for row in rows])
    noisy = has ^ (random.random(size=has.shape) < 0.1)
    targets = {
        "single_label": noisy[:, 0].astype(np.int64) + (objective.logit_count > 1) * noisy[:, 1],
        "multi_label": noisy.astype(np.int64),
        "regression": noisy[:, :1] - noisy[:, :1].mean(),
    }
    return rows, targets[objective.task]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_texts_logits_come_from_the_wide_part_of_the_other_folds(objective: Objective):
    rows, targets = keyed(150, 0, objective)
    folds = folds_of(distinct(150), targets, 5)
    keys = Keys(PIECES, 64)
    found = cross_validate_wide(
        keys, (rows, targets), folds, objective=objective, settings=WideSettings(64, (0.03, 0.003))
    )
    matrix = key_matrix(keys, rows)
    for fold, fitted in zip(folds, found.model, strict=True):
        expected = matrix[fold.held_out][:, fitted.used.numbers] @ fitted.weight + fitted.bias
        np.testing.assert_allclose(found.logits[fold.held_out], expected, atol=1e-5)
        assert set(fitted.used.numbers) == set(matrix[fold.train].indices)


def test_each_stack_is_fitted_to_the_texts_of_other_folds():
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, size=80)
    deep = (random.normal(size=(80, 1)) + 2 * truth[:, np.newaxis]).astype(np.float32)
    wide = (random.normal(size=(80, 1)) + truth[:, np.newaxis]).astype(np.float32)
    folds = folds_of(distinct(80), truth, 5)
    found = cross_stacked(deep, wide, truth, OneOf(2), folds)
    for fold in folds:
        own = stack(deep[fold.train], wide[fold.train], truth[fold.train])
        expected = own.logits(deep[fold.held_out], wide[fold.held_out]) / own.temperature
        np.testing.assert_allclose(found[fold.held_out], expected, rtol=1e-5)


def test_a_wide_part_of_noise_is_left_out_and_one_that_knows_more_is_kept():
    kept = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        truth = random.permutation(300) % 2
        deep, noise, knowing = (
            (random.normal(size=(300, 1)) + shift * (truth[:, np.newaxis] - 0.5)).astype(np.float32)
            for shift in (1.5, 0, 2)
        )
        folds = folds_of(distinct(300), truth, 5)
        kept.append(Stacked.of(deep, noise, truth, OneOf(2), folds, None).keeps_wide)
        found = Stacked.of(deep, knowing, truth, OneOf(2), folds, None)
        assert found.keeps_wide
        assert found.loss_with_wide < found.loss - 0.02
        assert found.loss_with_wide == pytest.approx(loss_of(OneOf(2), found.logits, truth))
    assert sum(kept) <= 3  # noise helps by chance, now and then


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_classifiers_of_other_folds_choose_the_vectors_that_know_the_labels(objective: Objective):
    rows, targets = keyed(200, 0, objective)
    random = np.random.default_rng(1)
    column = targets.reshape(len(targets), -1)
    vectors = {
        "noise": random.normal(size=(200, 6)).astype(np.float32),
        "signal": np.hstack([column + 0.15 * random.normal(size=column.shape), random.normal(size=(200, 2))]).astype(
            np.float32
        ),
    }
    found = out_of_fold(
        vectors, rows, targets, objective, folds_of(distinct(200), targets, 5),
        head=HeadSettings(), wide=WideSettings(64), pieces=PIECES,
    )  # fmt: skip
    assert found.pooling == "signal"
    assert found.rows.tolist() == list(range(200))
    assert objective.figure(found.logits, targets) > 0.8


def test_fewer_labels_keep_their_shares_and_every_label():
    targets = np.array([0] * 80 + [1] * 16 + [2] * 3 + [3])
    fold = Fold(np.arange(100), np.arange(0))
    draws = [thin(fold, targets, 1 / 8, (draw,)) for draw in range(4)]
    for draw in draws:
        assert np.bincount(targets[draw.train]).tolist() == [10, 2, 1, 1]
    assert len({tuple(draw.train.tolist()) for draw in draws}) == 4
    several = np.stack([np.arange(100) < 1, np.arange(100) % 2 == 0], axis=1).astype(np.int64)
    found = several[thin(fold, several, 1 / 8, (0,)).train]
    assert found.any(axis=0).all()
    assert not found.all(axis=0).any()
    values = np.arange(100.0)[:, np.newaxis]
    assert len(thin(fold, values, 1 / 4, (0,)).train) == 25
