"""Rows worth looking at: of several labels, those that barely have one and those that surely have it."""

import numpy as np

from scorer.model.interpretation import MultiLabel
from scorer.report.examples import Examples
from scorer.rows.record import Position, Record


def records(count):
    return [Record(row, f"text {row}", (), Position("a.csv", row, 0), b"", 0) for row in range(1, count + 1)]


def shown(examples):
    return [(one.row, one.label, one.value) for one in examples]


def test_a_row_is_a_sure_example_of_the_labels_that_it_has_only():
    model = MultiLabel(("late", "rude"), (1.0, 1.0), (0.5, 0.9))
    values = np.array([[0.6, 0.86], [0.1, 0.95], [np.nan, np.nan], [0.42, 0.1]])
    found = Examples()
    found.add(records(4), model.answers(values), values, model)
    assert shown(found.doubtful) == [(1, "rude", 0.86), (2, "rude", 0.95), (4, "late", 0.42)]
    assert {name: shown(best) for name, best in found.sure.items()} == {
        "late": [(1, "late", 0.6)],
        "rude": [(2, "rude", 0.95)],
    }


def test_of_many_labels_the_surest_rows_of_all_are_kept_with_the_label_they_are_surest_of():
    names = tuple("abcdefg")
    model = MultiLabel(names, (1.0,) * 7, (0.5,) * 6 + (0.99,))
    values = np.full((9, 7), 0.1)
    values[range(7), [0, 1, 2, 3, 4, 5, 0]] = [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9]
    values[:, 6] = 0.95  # never given
    found = Examples()
    found.add(records(9), model.answers(values), values, model)
    assert [*found.sure] == [""]
    assert shown(found.sure[""]) == [
        (7, "a", 0.9), (6, "f", 0.85), (5, "e", 0.8), (4, "d", 0.75), (3, "c", 0.7), (2, "b", 0.65),
    ]  # fmt: skip
