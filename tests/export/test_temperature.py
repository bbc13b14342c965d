"""Temperatures that would make the texts worse that they were fitted to."""

from dataclasses import replace

import numpy as np
import pytest

from export.classifier.objective import AnyOf, OneOf, Value
from export.classifier.stacking import Stack, stack
from export.training.calibration import HeldOutLogits, without_worse_temperature


def held_out(factor, texts=3_000, labels=3):
    """Make logits of texts whose labels follow from the logits divided by a factor."""
    random = np.random.default_rng(0)
    true = random.normal(size=(texts, labels), scale=1.5)
    shares = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    truth = np.array([random.choice(labels, p=row) for row in shares])
    return HeldOutLogits((factor * true).astype(np.float32), truth, np.full(texts, 9))


def kept(stacked, texts, objective):
    lines = []
    return without_worse_temperature(stacked, texts, objective, lines.append), lines


def test_a_temperature_that_makes_the_texts_better_is_taken():
    texts = held_out(3.0)
    fitted = stack(texts.logits, None, texts.targets, OneOf(3))
    assert fitted.temperature == pytest.approx(3, rel=0.1)
    assert kept(fitted, texts, OneOf(3)) == (fitted, [])


def test_a_temperature_that_makes_the_texts_worse_is_not_taken_and_this_is_reported():
    texts = held_out(1.0)
    worse = Stack(0.0, np.zeros(3, dtype=np.float32), 2.5)
    found, lines = kept(worse, texts, OneOf(3))
    assert found.temperature == 1.0
    assert lines == ["no temperature: 2.500 would make the validation texts worse"]


def test_a_gain_that_may_be_chance_does_not_excuse_a_larger_calibration_error():
    """Few texts that are all right: the loss falls a little, and the mean confidence gets further from their share."""
    random = np.random.default_rng(3)
    logits = random.normal(size=(12, 1), scale=2).astype(np.float32)
    truth = (logits[:, 0] > 0).astype(np.int64)
    truth[:3] = 1 - truth[:3]
    texts = HeldOutLogits(logits, truth, np.full(12, 9))
    fitted = stack(logits, None, truth, OneOf(2))
    assert fitted.temperature > 1.0
    found, lines = kept(fitted, texts, OneOf(2))
    assert (found.temperature, len(lines)) == (1.0, 1)


def test_each_label_keeps_or_loses_its_own_temperature_and_numbers_have_none():
    texts = held_out(3.0, labels=3)
    several = replace(texts, targets=np.stack([texts.targets == label for label in range(3)], axis=1).astype(np.int64))
    fitted = stack(several.logits, None, several.targets, AnyOf(3))
    mixed = replace(fitted, temperature=np.array([fitted.temperature[0], 0.05, fitted.temperature[2]]))
    found, lines = kept(mixed, several, AnyOf(3))
    assert found.temperature.tolist() == [fitted.temperature[0], 1.0, fitted.temperature[2]]
    assert lines == ["no temperature for 1 of 3 labels: it would make the validation texts worse"]
    of_numbers = Stack(0.0, np.zeros(1, dtype=np.float32), 1.0, 0.5)
    assert kept(of_numbers, texts, Value()) == (of_numbers, [])


@pytest.mark.parametrize("wrong", [0, 9, 10])
def test_scores_get_surer_only_if_enough_texts_are_wrong_to_judge_that(wrong):
    """Of 400 texts with weak logits, so few are wrong that a temperature far below 1 has the lowest loss."""
    logits = np.tile([[0.5], [-0.5]], (200, 1)).astype(np.float32)
    truth = np.tile([1, 0], 200)
    truth[:wrong] = 1 - truth[:wrong]
    texts = HeldOutLogits(logits, truth, np.full(400, 9))
    fitted = stack(logits, None, truth, OneOf(2))
    assert fitted.temperature < 0.5
    found, lines = kept(fitted, texts, OneOf(2))
    if wrong < 10:
        assert found.temperature == 1.0
        assert lines == [
            f"no temperature: {fitted.temperature:.3f} would make scores surer, and too few validation texts are wrong to "
            "judge that"
        ]
    else:
        assert (found, lines) == (fitted, [])
    labels = replace(texts, targets=truth[:, np.newaxis])
    several = replace(fitted, temperature=np.array([fitted.temperature]))
    assert kept(several, labels, AnyOf(1))[0].temperature.tolist() == [1.0 if wrong < 10 else fitted.temperature]
