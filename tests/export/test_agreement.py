"""Agreement of a precision with PyTorch by task, the gate on it, and float16 against float32."""

import numpy as np
import pytest

from export.classifier.agreement import agreement, agreement_words, is_too_low
from export.graph.parity import half_parity
from scorer.model.interpretation import MultiLabel, Regression, SingleLabel

STARS = Regression(("stars",), (2.0,), (3.0,))
LABELS = MultiLabel(("a", "b", "c"), (1.0, 2.0, 1.0), (0.5, 0.9, 0.5))


def test_one_label_agrees_where_it_is_the_same():
    found = np.array([[1.0], [-1.0], [0.5], [2.0]], dtype=np.float32)
    expected = np.array([[0.1], [0.1], [3.0], [1.0]], dtype=np.float32)
    assert agreement(SingleLabel(("no", "yes"), 2.0), found, expected) == 0.75


def test_any_number_of_labels_agree_as_much_as_the_worst_label():
    expected = np.full((10, 3), 3.0, dtype=np.float32)
    found = expected.copy()
    found[0, 0] = -3
    found[:2, 2] = -3
    found[:5, 1] = 4.0  # its threshold is a logit of 4.39, so no text gets it before or after
    assert agreement(LABELS, found, expected) == 0.8
    found[:5, 1] = 5.0
    assert agreement(LABELS, found, expected) == 0.5


def test_numbers_agree_by_the_variance_that_is_explained():
    random = np.random.default_rng(0)
    expected = random.normal(size=(1000, 1)).astype(np.float32)
    found = expected + 0.2 * random.normal(size=(1000, 1)).astype(np.float32)
    own, other = STARS.values(found), STARS.values(expected)
    explained = 1 - ((own - other) ** 2).sum() / ((other - other.mean()) ** 2).sum()
    assert agreement(STARS, found, expected) == pytest.approx(explained)
    assert explained == pytest.approx(0.96, abs=0.01)
    two = Regression(("a", "b"), (1.0, 50.0), (0.0, 7.0))
    both = np.concatenate([expected, found], axis=1), np.concatenate([expected, expected], axis=1)
    assert agreement(two, *both) == pytest.approx(explained)


def test_numbers_that_hardly_vary_agree_if_they_differ_no_more_than_logits_of_fp32_may():
    expected = np.full((50, 1), 0.25, dtype=np.float32)
    assert agreement(STARS, expected + np.float32(5e-5), expected) == 1
    assert agreement(STARS, expected + np.float32(5e-4), expected) == 0
    assert agreement(STARS, np.full_like(expected, np.nan), expected) == 0


def test_chance_excuses_labels_but_no_variance():
    assert not is_too_low(0.985, 200)
    assert not is_too_low(0.985, 200, "multi_label")
    assert is_too_low(0.985, 200, "regression")
    assert is_too_low(0.95, 1000, "multi_label")
    assert not is_too_low(0.99, 200, "regression")
    assert is_too_low(float("nan"), 200, "regression")


def test_agreement_is_worded_by_task():
    said = [agreement_words(task, "99.00%", "200 texts") for task in ("single_label", "multi_label", "regression")]
    assert said == [
        "the same label as PyTorch for 99.00% of 200 texts",
        "the same answer as PyTorch for 99.00% of 200 texts on the label that differs most",
        "values that explain 99.00% of the variance of PyTorch's for 200 texts",
    ]


def test_float16_is_judged_by_probabilities_or_by_standard_deviations_of_values():
    random = np.random.default_rng(1)
    exact = random.normal(size=(400, 1)).astype(np.float32)
    found = exact.copy()
    found[7] += 0.015
    by_label = half_parity(found, exact, SingleLabel(("no", "yes")))
    assert by_label.difference == pytest.approx(0.015 / 4, rel=0.5)
    assert by_label.fits
    by_value = half_parity(found, exact, STARS)
    assert by_value.difference == pytest.approx(0.015 / exact.std(), rel=1e-3)
    assert (by_value.what, by_value.unit, by_value.tolerance) == ("values", " standard deviations", 0.02)
    assert by_value.fits
    found[7] += 0.015
    assert not half_parity(found, exact, STARS).fits
    three = half_parity(np.tile(found, 3), np.tile(exact, 3), LABELS)
    assert three.difference == pytest.approx(
        np.abs(LABELS.values(np.tile(found, 3)) - LABELS.values(np.tile(exact, 3))).max()
    )
    assert three.labels == 1
