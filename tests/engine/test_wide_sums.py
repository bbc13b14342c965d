"""The wide part's sums are exact, do not depend on neighbouring texts, and agree with the graph."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.classifier.wide import Wide
from export.graph.wide import wide_graph
from scorer.base.errors import BundleError
from scorer.base.timing import Phases
from scorer.engine.runtime import Session
from scorer.engine.wide import MULTIPLIER, Keys, WidePart, exact_sums

PIECES, PAIRS = 50, 41


def table(logits=1, seed=0):
    """Make weights of very different sizes, whose sums in float32 depend on the order."""
    random = np.random.default_rng(seed)
    size = (PIECES + PAIRS, logits)
    return (random.normal(size=size) * 2.0 ** random.integers(-12, 4, size=size)).astype(np.float16)


def by_hand(ids, weights):
    """Add up one text's weights as fractions."""
    keys = {int(one) for one in ids} | {
        PIECES + (int(a) * MULTIPLIER + int(b)) % PAIRS for a, b in pairwise(ids)
    }  # fmt: skip
    return [
        float(sum((Fraction(float(weights[key, at])) for key in keys), Fraction())) for at in range(weights.shape[1])
    ]


texts = st.lists(st.lists(st.integers(0, PIECES - 1), min_size=1, max_size=40), min_size=1, max_size=12)


@settings(max_examples=60)
@given(rows=texts, logits=st.sampled_from([1, 3]))
def test_a_sum_is_exact_and_the_same_alone_and_among_others(rows, logits):
    weights = table(logits)
    ids = [np.array(row, dtype=np.int64) for row in rows]
    found = exact_sums(Keys(PIECES, PAIRS), weights.astype(np.float64), ids)
    assert found.tolist() == [by_hand(row, weights) for row in rows]
    alone = [exact_sums(Keys(PIECES, PAIRS), weights.astype(np.float64), [one]) for one in ids]
    assert (np.concatenate(alone) == found).all()


def test_numbers_of_a_large_vocabulary_or_of_many_texts_do_not_overflow():
    random = np.random.default_rng(1)
    keys = Keys(60_000, 1 << 24)  # 256 such texts exceed 32 bits
    rows = [random.integers(0, 60_000, size=random.integers(1, 90)) for _ in range(700)]
    numbers, begins = keys.of(rows)
    for row, found in zip(rows, np.split(numbers, begins[1:]), strict=True):
        pairs = [60_000 + (int(a) * MULTIPLIER + int(b)) % (1 << 24) for a, b in pairwise(row)]
        assert found.tolist() == sorted({*row.tolist(), *pairs})


def test_long_texts_with_many_labels_are_added_up_few_at_a_time(monkeypatch):
    weights = table(3).astype(np.float32)
    rows = [np.arange(40) % PIECES for _ in range(50)]
    expected = exact_sums(Keys(PIECES, PAIRS), weights, rows)
    together = []
    of = Keys.of
    monkeypatch.setattr(Keys, "of", lambda self, some: together.append(len(some)) or of(self, some))
    monkeypatch.setattr("scorer.engine.wide._WEIGHTS", 2 * 40 * 3 * 7)
    assert (exact_sums(Keys(PIECES, PAIRS), weights, rows) == expected).all()
    assert together == [7] * 7 + [1]


def part(weights, pairs=PAIRS, threads=2, longest=64, logits=1):
    """Make a wide part of weights that its graph need not have."""
    graph = wide_graph(Wide(Keys(PIECES, PAIRS), table(logits)))
    session = Session(graph.SerializeToString(), "cpu")
    return WidePart(session, weights, pairs, longest, threads, Phases())


def padded(weights):
    return np.concatenate([weights, np.zeros((1, weights.shape[1]), dtype=np.float16)])


@pytest.mark.parametrize("logits", [1, 3])
def test_the_graph_and_the_exact_sums_agree_on_any_number_of_threads(logits):
    random = np.random.default_rng(2)
    rows = [random.integers(0, PIECES, size=random.integers(1, 60)) for _ in range(900)]
    one, four = (part(padded(table(logits)), threads=threads, logits=logits) for threads in (1, 4))
    assert (one.sums(rows) == four.sums(rows)).all()
    assert (one.submit(rows).result() == four.submit(rows).result()).all()
    np.testing.assert_allclose(one.submit(rows).result(), one.sums(rows), atol=1e-4)
    assert one.sums([]).shape == (0, logits)


@pytest.mark.parametrize(
    ("weights", "pairs", "says"),
    [
        (padded(table()).astype(np.float32), PAIRS, "do not have the type and shape"),
        (padded(table())[:, 0], PAIRS, "do not have the type and shape"),
        (table(), PAIRS, "do not have the type and shape"),  # the last weight is not that of padding
        (padded(table()), 0, "do not have the type and shape"),
        (padded(table()), PIECES + PAIRS, "do not have the type and shape"),
        (padded(np.full_like(table(), np.nan)), PAIRS, "too large to be added up exactly"),
        (padded(np.full_like(table(), np.inf)), PAIRS, "too large to be added up exactly"),
    ],
)
def test_weights_that_cannot_be_added_up_exactly_are_refused(weights, pairs, says):
    with pytest.raises(BundleError, match=says):
        part(weights, pairs)


def test_weights_are_refused_if_a_long_rows_sum_could_be_inexact_in_float64():
    largest = padded(np.full_like(table(), 60_000))
    assert part(largest, longest=4_000).sums([np.array([1])]) == 60_000
    with pytest.raises(BundleError, match="up to 60000, are too large"):
        part(largest, longest=5_000)
