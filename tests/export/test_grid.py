"""Penalties beyond the ends of the grid."""

import numpy as np
import pytest

from export.classifier.grid import Grid
from export.classifier.head import train_head
from export.classifier.objective import AnyOf, OneOf, Value
from export.classifier.settings import HeadSettings, WideSettings
from export.classifier.wide import train_wide


def tried(given, best):
    grid = Grid(given)
    for l2 in grid:
        grid.record(l2, abs(np.log(l2 / best)))
    return list(grid.losses)


def test_the_grid_grows_beyond_its_lowest_and_its_highest_penalty_until_the_best_one_has_neighbours():
    assert tried((0.1, 0.03, 0.01), 0.03) == [0.1, 0.03, 0.01]
    assert tried((0.1, 0.03, 0.01), 0.001) == [0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]
    assert tried((0.1, 0.03, 0.01), 0.3) == [0.1, 0.03, 0.01, 0.3, 1.0]


def test_the_grid_ends_where_a_penalty_means_nothing_and_a_single_one_is_not_extended():
    assert tried((0.001, 0.0003), 1e-12)[-1] == 1e-6
    assert tried((1.0, 0.3), 1e9)[-1] == 10.0
    assert tried((0.01,), 1e-9) == [0.01]


@pytest.mark.parametrize("objective", [OneOf(2), OneOf(3), AnyOf(2), Value(), Value(1.345)])
def test_a_head_on_noise_gets_a_stronger_penalty_than_the_grid_has_and_its_steps_stay_in_order(objective):
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 20)).astype(np.float32)
    targets = {
        "single_label": random.integers(0, max(2, objective.logit_count), 80),
        "multi_label": random.integers(0, 2, (80, 2)),
        "regression": random.normal(size=(80, 1)),
    }[objective.task]
    parts = [(features[some], targets[some]) for some in (slice(0, 40), slice(40, 80))]
    found = train_head(*parts, objective=objective, settings=HeadSettings(l2=(0.01, 0.003)))
    numbers = [step.number for step in found.steps]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > 0.01
    assert found.best.validation_loss == min(step.validation_loss for step in found.steps)
    alone = train_head(*parts, objective=objective, settings=HeadSettings(l2=(0.01,)))
    assert [step.number for step in alone.steps] == [0.01]


def test_a_wide_part_that_fits_best_without_a_penalty_gets_a_weaker_one_than_the_grid_has():
    rows = [np.array([label, 3 + place % 5]) for place in range(60) for label in range(2)]
    labels = np.array([row[0] for row in rows])
    settings = WideSettings(pairs=64, l2=(0.1, 0.03))
    found = train_wide((rows, labels), (rows, labels), pieces=8, objective=OneOf(2), settings=settings)
    assert found.best.number == 1e-6
    assert [step.number for step in found.steps][:2] == [0.1, 0.03]
