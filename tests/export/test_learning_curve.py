"""The forecast of a learning curve: power laws whose answer is known."""

import numpy as np
import pytest

from export.evaluation.cross_validation import CrossValidated, Size, cross_validation_figures
from export.evaluation.judges import judge_of
from export.evaluation.learning_curve import forecast
from scorer.model.interpretation import MultiLabel, Regression, SingleLabel

SIZES = [10, 20, 40, 80]
ONE = judge_of(SingleLabel(("a", "b", "c")))
SEVERAL = judge_of(MultiLabel(("a", "b"), (1.0, 1.0), (0.5, 0.5)))
NUMBERS = judge_of(Regression(("score",), (1.0,), (0.0,)))


def curve(errors, texts=SIZES, least_error=1e-3):
    figures = 1 - np.array(errors, dtype=float)
    return forecast(texts, figures, np.tile(figures, (5, 1)), least_error)


def with_wrong(truth, wrong):
    """Probabilities of the true labels, or of the next ones for the texts that are wrong."""
    return np.where(np.eye(3)[np.where(wrong, (truth + 1) % 3, truth)] > 0, 0.8, 0.1)


def simulated(random, texts, errors, draws=3):
    """Texts whose error at each size is known; hard texts are wrong at every size."""
    truth, hard = random.integers(0, 3, texts), random.random(texts)
    sizes = []
    for number, error in enumerate(errors):
        count = 1 if number == len(errors) - 1 else draws
        wrong = [np.where(random.random(texts) < 0.5, hard, random.random(texts)) < error for _ in range(count)]
        sizes.append(Size(SIZES[number], np.stack([with_wrong(truth, one) for one in wrong])))
    return CrossValidated(5, truth, sizes[-1].values[0], None, tuple(sizes))


def test_a_power_law_is_recovered_if_half_of_the_error_remains():
    sizes = np.array([40, 80, 160, 320])
    found = curve(2 * sizes**-0.5 + 2 * 320**-0.5, sizes.tolist())
    assert found.exponent == pytest.approx(0.5)
    assert found.texts == 640
    assert found.figure == pytest.approx(1 - 2 * 640**-0.5 - 2 * 320**-0.5)
    assert found.gain == pytest.approx(2 * (320**-0.5 - 640**-0.5))


@pytest.mark.parametrize("remaining", [0.0, 0.2, 0.5, 0.8])
def test_the_interval_covers_the_error_that_remains(remaining):
    sizes = np.array([40, 80, 160, 320, 640])
    falling = sizes**-0.5 / 320**-0.5
    errors = 0.2 * ((1 - remaining) * falling + remaining)
    figures = 1 - errors[:4]
    found = forecast(sizes[:4].tolist(), figures, np.tile(figures, (1000, 1)), 1e-3)
    low, high = found.gain_interval
    assert low - 0.001 <= errors[3] - errors[4] <= high + 0.001
    assert high < 0.1


def test_an_r2_below_zero_is_an_error_above_one():
    found = curve([4.25, 2.25, 1.25, 0.75])
    assert 0.25 < found.figure < 0.6


@pytest.mark.parametrize("errors", [[0.3] * 4, [0.2, 0.25, 0.3, 0.35], [1.0] * 4])
def test_errors_that_do_not_fall_bring_nothing(errors):
    found = curve(errors)
    assert (found.exponent, found.gain, found.gain_interval) == (0.0, 0.0, (0.0, 0.0))
    assert found.figure == pytest.approx(1 - errors[-1])


@pytest.mark.parametrize("errors", [[0.0] * 4, [0.4, 0.2, 0.1, 0.0]])
def test_without_an_error_there_is_nothing_to_gain(errors):
    found = curve(errors)
    assert (found.figure, found.gain) == (1.0, 0.0)


def test_a_size_without_an_error_leaves_a_forecast():
    found = curve([0.4, 0.0, 0.2, 0.1])
    assert 0 <= found.gain < 0.1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_sizes_have_no_forecast(count):
    assert curve([0.4, 0.3][:count], SIZES[:count]) is None


def test_later_sizes_count_more():
    falls_at_the_end, falls_at_the_begin = curve([0.4, 0.4, 0.4, 0.2]), curve([0.4, 0.2, 0.2, 0.2])
    assert falls_at_the_end.exponent > falls_at_the_begin.exponent


def test_resamples_without_a_figure_are_ignored():
    figures = 1 - np.array([0.4, 0.3, 0.2])
    replicates = np.tile(figures, (200, 1))
    replicates[::2, 0] = np.nan
    found = forecast(SIZES[:3], figures, replicates, 1e-3)
    low, high = found.gain_interval
    assert 0 < low < found.gain < high < 0.2


def test_intervals_of_the_gain_hold_it_in_simulations():
    random = np.random.default_rng(0)
    errors = [0.8 * size**-0.5 + 0.08 for size in (*SIZES, 160)]
    held = 0
    for _ in range(100):
        found = cross_validation_figures(simulated(random, 100, errors[:4]), ONE)["forecast"]
        low, high = found["gain_interval"]
        held += low <= errors[3] - errors[4] <= high
    assert held >= 85
    assert high - low < 0.1


def test_draws_that_differ_widen_the_interval():
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 200)
    alike = np.stack([with_wrong(truth, random.random(200) < 0.3) for _ in range(4)])
    apart = np.stack([with_wrong(truth, random.random(200) < error) for error in (0.1, 0.2, 0.4, 0.5)])
    widths = []
    for values in (alike, apart):
        found = CrossValidated(5, truth, alike[0], None, (Size(10, values), Size(20, alike[:1])))
        low, high = cross_validation_figures(found, ONE)["sizes"][0]["interval"]
        widths.append(high - low)
    assert widths[1] > 1.3 * widths[0]


def test_the_figure_of_a_size_is_the_mean_of_its_draws():
    truth = np.array([0, 1, 2, 0])
    draws = np.stack([with_wrong(truth, np.arange(4) < wrong) for wrong in (1, 3)])
    found = cross_validation_figures(
        CrossValidated(2, truth, draws[0], None, (Size(1, draws), Size(2, draws[:1]))), ONE
    )
    assert [one["figure"] for one in found["sizes"]] == [0.5, 0.75]
    assert found["sizes"][1]["interval"] == found["metrics"]["interval"]


def test_numbers_and_several_labels_have_a_curve_too():
    random = np.random.default_rng(2)
    truth = random.normal(size=(200, 1))
    sizes = tuple(Size(10 * 2**at, (truth + random.normal(size=(200, 1)) * 0.8**at)[np.newaxis]) for at in range(4))
    found = cross_validation_figures(CrossValidated(5, truth, sizes[-1].values[0], None, sizes), NUMBERS)
    assert found["forecast"]["exponent"] > 0.5
    low, high = found["forecast"]["gain_interval"]
    assert 0 < low < found["forecast"]["gain"] < high
    have = (random.random((300, 2)) < 0.5).astype(int)
    flipped = [np.where(random.random((300, 2)) < error, 1 - have, have) for error in (0.4, 0.3, 0.2, 0.1)]
    sizes = tuple(Size(size, one[np.newaxis] * 0.8 + 0.1) for size, one in zip(SIZES, flipped, strict=True))
    found = cross_validation_figures(CrossValidated(5, have, sizes[-1].values[0], None, sizes), SEVERAL)
    assert found["sizes"][-1]["figure"] == pytest.approx(found["metrics"]["micro_f1"])
    assert 0.9 < found["forecast"]["figure"] < 1
