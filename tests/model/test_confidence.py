"""Held-out correctness by confidence: what is counted, what it proves, and how often the proof is wrong."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import beta, binom

from scorer.model.confidence import (
    CONFIDENCES,
    RISK,
    Correctness,
    ExpectedAccuracy,
    binomial_tail,
    correctness_of,
    expected_accuracy,
    least_confidence,
    least_error,
    parse_correctness,
)

BINS = len(CONFIDENCES) - 1


def at(confidence):
    """Return the bin of a confidence."""
    return max(number for number in range(BINS) if CONFIDENCES[number] <= confidence)


def correctness(texts_and_right, confidence=None):
    """Return a `Correctness` of (texts, right) by lower edge; means lie in the middle of their bins unless given."""
    texts, right, means = [0] * BINS, [0] * BINS, [0.0] * BINS
    for edge, (count, good) in texts_and_right.items():
        number = at(edge)
        texts[number], right[number] = count, good
        middle = (CONFIDENCES[number] + CONFIDENCES[number + 1]) / 2
        means[number] = (confidence or {}).get(edge, middle)
    return Correctness(tuple(texts), tuple(right), tuple(means))


def test_the_grid_is_ascending_from_0_to_1_and_short_enough_for_a_manifest():
    assert CONFIDENCES[0] == 0
    assert CONFIDENCES[-1] == 1
    assert list(CONFIDENCES) == sorted(set(CONFIDENCES))
    assert len(CONFIDENCES) <= 60


def test_texts_are_counted_in_the_bin_of_their_highest_probability():
    probabilities = np.array([[0.03, 0.97], [0.98, 0.02], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])
    found = correctness_of(probabilities, np.array([1, 1, 1, 0, 1]))
    assert {edge: (found.texts[at(edge)], found.right[at(edge)]) for edge in (0.97, 0.98, 0.5, 0.999)} == {
        0.97: (1, 1),  # an edge belongs to the bin above it
        0.98: (1, 0),
        0.5: (2, 1),  # the second of two equally probable labels is the label
        0.999: (1, 1),  # 1 belongs to the last bin
    }
    assert sum(found.texts) == 5
    assert found.confidence[at(0.5)] == 0.5


def test_texts_of_many_labels_are_counted_too():
    found = correctness_of(np.array([[0.4, 0.35, 0.25], [0.1, 0.1, 0.8]]), np.array([1, 2]))
    assert (found.texts[at(0.4)], found.right[at(0.4)]) == (1, 0)
    assert (found.texts[at(0.8)], found.right[at(0.8)]) == (1, 1)


def test_what_was_counted_survives_json():
    generator = np.random.default_rng(0)
    positive = generator.beta(0.3, 0.3, 5_000)
    found = correctness_of(np.stack([1 - positive, positive], axis=1), (generator.random(5_000) < positive) * 1)
    assert parse_correctness(json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"texts": [1]}, "numbers each of texts"),
        ({"right": [2] + [0] * (BINS - 1)}, "more right texts than texts"),
        ({"texts": [-1] + [0] * (BINS - 1)}, "more right texts than texts"),
        ({"texts": [10**9] + [0] * (BINS - 1)}, "more than 10000000 texts"),
        ({"texts": [1.0] + [0] * (BINS - 1)}, "not whole numbers"),
        ({"texts": [True] + [0] * (BINS - 1)}, "not whole numbers"),
        ({"confidence": ["1"] + [0] * (BINS - 1)}, "not a number"),
        ({"confidence": [0.2] + [0] * (BINS - 1)}, "a mean of 0.2 in the bin from 0.0 to 0.01 of 0 texts"),
        ({"confidence": [math.nan] + [0] * (BINS - 1)}, "a mean of nan"),
        ({"texts": [1] + [0] * (BINS - 1), "confidence": [0.5] + [0] * (BINS - 1)}, "a mean of 0.5"),
        ({"wrong": []}, "wrong fields"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(change, error):
    fields = asdict(correctness({})) | change
    with pytest.raises((ValueError, TypeError), match=error):
        parse_correctness(fields)


@pytest.mark.parametrize("count", [1, 59, 2_000, 25_000, 1_000_000])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.5, 0.9])
def test_the_binomial_tail_is_exact(count, share):
    for most in {0, count // 50, int(count * share), count - 1, count}:
        assert binomial_tail(count, share, most) == pytest.approx(binom.cdf(most, count, share), rel=1e-6, abs=1e-300)


def test_an_edge_is_proven_if_the_bound_of_clopper_and_pearson_is_low_enough():
    for texts, wrong in ((59, 0), (58, 0), (500, 14), (500, 18), (500, 19), (5_000, 225), (5_000, 226)):
        bound = beta.ppf(0.95, wrong + 1, texts - wrong)
        found = least_confidence(correctness({0.9: (texts, texts - wrong)}), 0.05)
        # All bins below are empty, so that their edges are proven by the same texts.
        assert (found == 0.0) == (bound <= 0.05), (texts, wrong, bound)
        assert found in (0.0, None)


def test_the_first_edge_that_is_not_proven_ends_the_search():
    # All at or above 0.7 would be proven, if 0.8 had not failed before.
    found = correctness({0.9: (1_000, 1_000), 0.8: (1_000, 800), 0.7: (100_000, 100_000), 0.0: (1_000, 0)})
    assert least_confidence(found, 0.05) == 0.82  # empty bins above 0.8 are proven by those above them


def test_edges_with_too_few_texts_are_passed_over_whatever_their_labels():
    assert least_confidence(correctness({0.999: (5, 4), 0.99: (1_000, 1_000), 0.5: (900, 0)}), 0.05) == 0.525
    assert least_confidence(correctness({0.999: (58, 58)}), 0.05) is None


def test_no_texts_prove_an_error_of_zero():
    assert least_confidence(correctness({0.999: (1_000_000, 1_000_000)}), 0) is None
    for error in (-0.1, 1, math.nan):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            least_confidence(correctness({}), error)


def test_the_least_error_is_one_that_can_be_promised():
    found = correctness({0.999: (300, 300), 0.9: (1_000, 900)})
    assert least_error(found) == 0.01  # 300 texts without an error
    assert least_confidence(found, 0.01) == 0.91
    assert least_confidence(found, 0.009) is None
    assert least_error(correctness({0.9: (1_000, 0)})) is None


def _calibrated(confidence):
    return 1 - confidence


def _overconfident(confidence):
    return np.minimum(0.9, 3 * (1 - confidence) + 0.01)


def _with_hump(confidence):
    """Return errors that are low at high confidence, high just below, and low again farther down."""
    return np.where(confidence >= 0.95, 0.005, np.where(confidence >= 0.9, 0.3, 0.02))


def _at_the_limit(confidence):
    """Return errors just beyond 5% wherever a text is, the case in which a wrong promise is most likely."""
    return np.full_like(confidence, 0.0501)


@pytest.mark.parametrize("error_at", [_calibrated, _overconfident, _with_hump, _at_the_limit])
@pytest.mark.parametrize("max_error", [0.01, 0.05, 0.15])
@pytest.mark.parametrize("texts", [300, 2_000, 20_000])
def test_the_promised_error_is_exceeded_in_at_most_one_set_of_twenty(error_at, max_error, texts):
    generator = np.random.default_rng([texts, int(max_error * 100)])
    population = 1 - 0.5 * generator.beta(0.5, 2.0, 200_000)  # confidences of two labels, most of them high
    errors = error_at(population)
    at_bins = np.searchsorted(CONFIDENCES, population, side="right") - 1
    at_bins = np.minimum(at_bins, BINS - 1)
    shares = np.bincount(at_bins, minlength=BINS) / len(population)
    bin_errors = np.bincount(at_bins, weights=errors, minlength=BINS) / np.maximum(
        np.bincount(at_bins, minlength=BINS), 1
    )
    above = np.cumsum((shares * bin_errors)[::-1])[::-1] / np.maximum(np.cumsum(shares[::-1])[::-1], 1e-12)
    truth = dict(zip(CONFIDENCES, above.tolist(), strict=False))  # true error at or above each edge

    sets = 1_000
    drawn = generator.multinomial(texts, shares, size=sets)
    wrong = generator.binomial(drawn, bin_errors)
    means = np.array(CONFIDENCES[:-1])
    exceeded = promised = 0
    for of_bins, wrong_ones in zip(drawn, wrong, strict=True):
        found = Correctness(
            tuple(of_bins.tolist()),
            tuple((of_bins - wrong_ones).tolist()),
            tuple(np.where(of_bins, means, 0.0).tolist()),
        )
        least = least_confidence(found, max_error)
        promised += least is not None
        exceeded += least is not None and truth[least] > max_error
    assert exceeded / sets <= RISK + 3 * math.sqrt(RISK * (1 - RISK) / sets)
    if texts == 20_000 and error_at is _calibrated:
        assert promised == sets  # it promises something where there is plenty


def test_expected_accuracy_is_the_mean_confidence_within_an_interval_of_both_errors():
    held_out = correctness({0.95: (1_000, 940), 0.7: (500, 350)}, {0.95: 0.955, 0.7: 0.71})
    rows = [0] * BINS
    rows[at(0.95)], rows[at(0.7)] = 300, 100
    found = expected_accuracy(held_out, rows, 300 * 0.953 + 100 * 0.71, 300 * 0.045 + 100 * 0.206, 400)
    assert isinstance(found, ExpectedAccuracy)
    assert found.value == pytest.approx(0.89225)
    gap = 0.75 * (0.94 - 0.955) + 0.25 * (0.7 - 0.71)
    first, second = 941 / 1_002, 351 / 502
    variance = 0.75**2 * first * (1 - first) / 1_000 + 0.25**2 * second * (1 - second) / 500 + 0.08525 / 400
    assert found.low == pytest.approx(0.89225 + gap - 1.96 * math.sqrt(variance))
    assert found.high == pytest.approx(0.89225 + 1.96 * math.sqrt(variance))


def test_repeated_texts_widen_the_interval():
    held_out = correctness({0.9: (1_000_000, 905_000)})
    rows = [0] * BINS
    rows[at(0.9)] = 100
    once = expected_accuracy(held_out, rows, 90.5, 8.6, 400)
    repeated = expected_accuracy(held_out, rows, 90.5, 8.6, 100)
    assert (repeated.high - repeated.low) / (once.high - once.low) == pytest.approx(2, rel=0.01)


def test_expected_accuracy_is_withheld_without_rows_and_for_confidences_without_held_out_texts():
    held_out = correctness({0.9: (1_000, 905)})
    rows = [0] * BINS
    assert expected_accuracy(held_out, rows, 0.0, 0.0, 0) == "no row got a label"
    rows[at(0.9)], rows[at(0.5)] = 97, 3
    assert expected_accuracy(held_out, rows, 90.0, 9.0, 100) == (
        "3.0% of the labelled rows have a confidence that none of the model's held-out texts had"
    )
    rows[at(0.9)], rows[at(0.5)] = 995, 5
    assert isinstance(expected_accuracy(held_out, rows, 900.0, 90.0, 1_000), ExpectedAccuracy)


def test_the_interval_of_expected_accuracy_covers_the_accuracy_of_new_texts():
    """Draw held-out texts and rows 1,000 times from one overconfident population: the interval misses at most 1 in 20."""
    generator = np.random.default_rng(1)
    missed = 0
    for _ in range(1_000):
        held_out_p, rows_p = (1 - 0.5 * generator.beta(0.7, 2.0, size) for size in (2_000, 500))
        true = [np.clip(p - 0.03, 0, 1) for p in (held_out_p, rows_p)]
        right, rows_right = (generator.random(len(p)) < p for p in true)
        held_out = correctness_of(np.stack([1 - held_out_p, held_out_p], axis=1), right * 1)
        counts, _ = np.histogram(rows_p, CONFIDENCES)
        found = expected_accuracy(held_out, counts.tolist(), rows_p.sum(), (rows_p * (1 - rows_p)).sum(), 500)
        missed += not found.low <= rows_right.mean() <= found.high
    assert missed / 1_000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)
