"""The vectors that a head on a frozen encoder reads: those that are given, or chosen among the cheap ones."""

import re

import numpy as np
import pytest
import torch

from export.classifier.choice import is_clearly_better
from export.classifier.head import Inputs, fit_head
from export.classifier.objective import AnyOf, OneOf, Value
from export.classifier.settings import HeadSettings
from export.encoder.vectors import AUTO, Vector
from export.training.features import Features
from export.training.folds import folds_of
from export.training.frozen import train_on_frozen
from export.training.holdout import Divided, split_rows
from export.training.settings import FitSettings, TuneSettings
from scorer.engine.windows import Split

PLACES = {Vector("cls", 3): slice(0, 1), **{Vector("mean", layer): slice(layer, layer + 1) for layer in (1, 2, 3)}}
"""Vectors of an encoder of three layers; the cheap poolings are mean1+mean2, mean2, cls and cls+mean1+mean2."""


def features_of(truth, signal):
    """Return vectors of 4 numbers; some of them know the label, which is their strength of the signal."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(len(truth), 4, 4)).astype(np.float32)
    for name, strength in signal.items():
        place = next(place for vector, place in PLACES.items() if vector.name == name)
        vectors[:, place, 0] += strength * truth[:, np.newaxis]
    one = np.ones(len(truth), dtype=np.int64)
    return Features(vectors, PLACES, Split([np.array([1])] * len(truth), one, one), 0, 0.0)


def trained(signal, texts=300, share=None, **settings):
    truth = np.random.default_rng(1).permutation(texts) % 2
    of_fit = FitSettings(wide=None, validation_share=share, head=HeadSettings(l2=(0.1,)), **settings)
    ids = [np.array([1])] * texts
    folds = folds_of([f"a{row} b{row}" for row in range(texts)], truth, 5)
    if share is not None:
        train, held_out = split_rows(truth, of_fit)
        folds = tuple(type(folds[0])(rows, others) for rows, others in [(train, held_out)])
    log = []
    found = train_on_frozen(features_of(truth, signal), Divided(ids, truth, folds), OneOf(2), of_fit, log.append)
    return found, log, truth


@pytest.mark.parametrize("share", [None, 0.3], ids=["folds", "held out"])
@pytest.mark.parametrize(
    ("signal", "taken"),
    [
        ({}, "mean1+mean2"),  # all alike
        ({"mean1": 2, "mean2": 2, "mean3": 9}, "mean1+mean2"),  # mean3 is not cheap
        ({"cls3": 3, "mean1": 0.5}, "cls+mean1+mean2"),
        ({"mean2": 1, "cls3": 2, "mean1": 1}, "cls+mean1+mean2"),
    ],
)
def test_another_cheap_pooling_is_taken_if_it_is_clearly_better(signal, taken, share):
    found, log, _ = trained(signal, texts=600, share=share)
    assert found.pooling == taken
    assert log[0].startswith("pooling: validation accuracy mean1+mean2 ")
    assert log[0].endswith(f"; {taken} is taken, by the loss")
    assert found.training.head.weight.shape[1] == 4 * len(taken.split("+"))
    assert set(found.poolings) == {"mean1+mean2", "mean2", "cls", "cls+mean1+mean2", "mean"} - {taken}
    held_out = len(found.logits)
    assert held_out == (600 if share is None else 180)


def test_the_last_head_of_folds_is_trained_on_all_texts():
    found, _, truth = trained({"cls3": 3}, pooling="cls")
    features = features_of(truth, {"cls3": 3}).pooled("cls")
    whole = fit_head(Inputs(features), truth, 0.1, objective=OneOf(2), settings=HeadSettings())
    np.testing.assert_allclose(found.training.head.weight, whole.weight, rtol=1e-5)
    assert found.training.best.number == 0.1


def test_a_given_pooling_is_kept_and_a_clearly_better_one_is_reported_with_its_interval():
    found, log, _ = trained({"mean3": 4}, pooling="cls")
    assert found.pooling == "cls"
    (line,) = log
    assert line.startswith("--pooling mean is better on this encoder: validation accuracy ")
    found = re.fullmatch(r".*, ([\d.]+) points more \(95%: ([\d.]+) to ([\d.]+)\)", line)
    gain, low, high = map(float, found.groups())
    assert 0 < low < gain < high
    assert trained({"cls3": 2}, pooling="cls")[1] == []


def test_trained_blocks_read_cls_unless_another_pooling_is_given():
    assert FitSettings().chooses_pooling
    assert not FitSettings(tune=TuneSettings(1)).chooses_pooling
    assert FitSettings(tune=TuneSettings(1)).given_pooling == "cls"
    assert FitSettings("mean1").given_pooling == "mean1"
    assert FitSettings().pooling == AUTO


@pytest.mark.parametrize("objective", [OneOf(2), OneOf(3), AnyOf(2), Value(), Value(1.35)])
def test_clearly_better_means_by_more_than_one_standard_error(objective):
    random = np.random.default_rng(0)
    targets = {
        "single_label": random.integers(0, 2, size=200),
        "multi_label": random.integers(0, 2, size=(200, 2)),
        "regression": random.normal(size=(200, 1)),
    }[objective.task]
    shape = (200, objective.logit_count)
    one, other = (random.normal(size=shape).astype(np.float32) for _ in range(2))
    assert not is_clearly_better(one, one, targets, objective)
    losses = [objective.losses(torch.from_numpy(each), torch.from_numpy(targets)).numpy() for each in (one, other)]
    assert losses[0].mean() == pytest.approx(
        float(objective.loss(torch.from_numpy(one), torch.from_numpy(targets))), rel=1e-5
    )
    gain = losses[0] - losses[1]
    expected = gain.mean() > gain.std() / np.sqrt(200)
    assert is_clearly_better(one, other, targets, objective) == expected
    assert is_clearly_better(one, np.zeros_like(one), targets, objective)
    assert not is_clearly_better(np.zeros_like(one), one, targets, objective)
