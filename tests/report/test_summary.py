"""Counts: those of a chunk are those of its rows one by one, however the rows are cut."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.model.outcomes import Outcomes
from scorer.model.reference import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, VALUE_EDGES, Histogram, bin_of
from scorer.report.summary import Counts

ROWS = st.tuples(
    st.floats(0, 1),
    st.integers(1, 40_000),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["a", "b", "", ("a",), ("b", "a"), ()]),
)


def counted(rows):
    """Return the counts of some rows, given to them at once."""
    counts = Counts()
    scores, tokens, unknown, flags, windows, answers = ([row[at] for row in rows] for at in range(6))
    flag = np.array(flags, dtype=bool)
    numbers = [np.array(values, dtype=np.int64) for values in (tokens, unknown, windows)]
    counts.add_scores(np.array(scores, dtype=np.float64))
    counts.add_confidences(np.array(scores, dtype=np.float64))
    counts.add_labels(answers)
    counts.add_outcomes(
        Outcomes(
            logits=np.zeros((len(rows), 1), dtype=np.float32),
            early=flag,
            windows=numbers[2],
            decided_by=numbers[2],
            tokens=numbers[0],
            unknown=np.minimum(numbers[1], numbers[0]),
            truncated=flag,
            empty=np.zeros(len(rows), dtype=bool),
            cached=~flag,
        )
    )
    return counts


@given(st.lists(ROWS, max_size=30))
def test_counts_are_those_of_the_rows_one_by_one(rows):
    found = counted(rows)
    scores = [row[0] for row in rows]
    tokens = [row[1] for row in rows]
    shares = [min(row[2], row[1]) / row[1] for row in rows]
    for histogram, values in ((found.scores, scores), (found.lengths, tokens), (found.unknown, shares)):
        bins = [bin_of(histogram.edges, value) for value in values]
        assert histogram.counts == [bins.count(at) for at in range(len(histogram.counts))]
    total = variance = 0.0
    for score in scores:
        total += score
        variance += score * (1 - score)
    assert (found.score_sum, found.confidence_sum, found.confidence_variance) == (total, total, variance)
    assert (found.score_range.least, found.score_range.greatest) == (
        min(scores, default=None),
        max(scores, default=None),
    )
    early = [row[1] for row in rows if row[3]]
    assert (found.tokens, found.tokens_early, found.rows_early) == (sum(tokens), sum(early), len(early))
    assert (found.rows_truncated, found.rows_from_cache) == (len(early), len(rows) - len(early))
    assert (found.windows, found.rows_in_windows) == (
        sum(row[4] for row in rows),
        sum(row[4] > 1 for row in rows),
    )
    given_labels = [label for row in rows for label in ((row[5],) if isinstance(row[5], str) else row[5]) if label]
    assert list(found.labels.items()) == [(label, given_labels.count(label)) for label in dict.fromkeys(given_labels)]
    assert found.rows_without_label == sum(row[5] == () for row in rows)


@given(st.lists(ROWS, max_size=30), st.integers(0, 30))
def test_counts_do_not_depend_on_how_the_rows_are_cut(rows, at):
    whole, parts = counted(rows), counted(rows[:at])
    parts.add_scores(np.array([row[0] for row in rows[at:]], dtype=np.float64))
    assert (parts.scores, parts.score_sum, parts.score_range) == (whole.scores, whole.score_sum, whole.score_range)


@pytest.mark.parametrize("edges", [SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, VALUE_EDGES])
def test_a_value_at_an_edge_is_in_the_bin_above(edges):
    values = [near for edge in edges for near in (edge, math.nextafter(edge, -1e9), math.nextafter(edge, 1e9))]
    found = Histogram.empty(edges)
    found.add(np.array(values))
    bins = [bin_of(edges, value) for value in values]
    assert found.counts == [bins.count(at) for at in range(len(edges) - 1)]
