"""Windows of long texts: which tokens each has, how their logits become a text's, and the engine that computes them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import Lengths
from scorer.engine.cascade import Cascade
from scorer.engine.pending import Pending
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import device_fault
from scorer.engine.stages import Stages, Whole
from scorer.engine.windows import Split, Windows, split_of


@st.composite
def rules(draw, combination="mean"):
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    width = draw(st.integers(1, 40))
    return Windows(before + width + after, before, after, draw(st.integers(1, width)), combination)


def text(windows, own):
    """Return the ids of a text: its own tokens are numbered from 100, special ones are below."""
    return np.array([*range(windows.before), *range(100, 100 + own), *range(50, 50 + windows.after)])


# The tokens of windows


@given(rules(), st.integers(1, 300))
def test_windows_cover_each_token_in_order_with_the_special_tokens_around_each(windows, own):
    rows = windows.rows(text(windows, own))
    seen = set()
    for row in rows:
        assert len(row) <= windows.length
        assert row[: windows.before].tolist() == [*range(windows.before)]
        assert row[len(row) - windows.after :].tolist() == [*range(50, 50 + windows.after)]
        tokens = row[windows.before : len(row) - windows.after].tolist()
        assert tokens == [*range(tokens[0], tokens[0] + len(tokens))]
        seen.update(tokens)
    assert seen == {*range(100, 100 + own)}
    assert all(len(row) == windows.length for row in rows) or len(rows) == 1


@given(rules(), st.integers(1, 300))
def test_each_token_counts_once_shared_by_the_windows_that_have_it(windows, own):
    weights = windows.weights(own + windows.before + windows.after)
    spans = windows.spans(own)
    shares = [Fraction(1, sum(begin <= token < end for begin, end in spans)) for token in range(own)]
    expected = [sum(shares[begin:end]) for begin, end in spans]
    assert sum(expected) == own
    assert weights == pytest.approx([float(one) for one in expected], rel=1e-12)


@given(rules(), st.integers(1, 12))
def test_as_many_windows_as_stated_reach_as_far_as_stated(windows, most):
    reach = windows.reach(most)
    own = reach - windows.before - windows.after
    assert len(windows.rows(text(windows, own))) == most
    assert len(windows.rows(text(windows, own + 1))) == most + 1
    assert windows.tokens(reach) == sum(map(len, windows.rows(text(windows, own))))


@given(rules(), st.integers(1, 60))
def test_one_token_more_than_a_window_gives_two_that_differ_in_the_token_at_each_end(windows, more):
    fits = text(windows, windows.width)
    assert windows.rows(fits)[0] is fits
    first, second = windows.rows(text(windows, windows.width + 1))
    assert first.tolist() == fits.tolist()
    inner = slice(windows.before, windows.length - windows.after)
    assert second[inner].tolist() == [*first[inner].tolist()[1:], 100 + windows.width]


def test_a_rule_that_leaves_out_tokens_is_refused():
    with pytest.raises(ValueError, match="stride must be between 1 and 8 tokens, not 9"):
        Windows(10, 1, 1, 9)
    with pytest.raises(ValueError, match="must be between 1 and 8 tokens, not 0"):
        Windows(10, 1, 1, 0)
    with pytest.raises(ValueError, match="a window of 2 tokens has no room besides 2 special ones"):
        Windows(2, 1, 1, 1)


# The logits of a text


@given(rules(), st.lists(st.integers(1, 200), min_size=1, max_size=6), st.integers(1, 3), st.integers(0, 9))
def test_a_mean_is_that_of_the_windows_weighted_by_their_tokens_in_order_and_float64(windows, texts, logits, seed):
    split = windows.split([text(windows, own) for own in texts])
    each = np.random.default_rng(seed).normal(size=(len(split.rows), logits)).astype(np.float32)
    found = split.combined(each)
    assert found.dtype == np.float32
    begin = 0
    for row, own in enumerate(texts):
        weights = windows.weights(own + windows.before + windows.after)
        for logit in range(logits):
            total = weight = 0.0
            for more, one in zip(weights, each[begin : begin + len(weights), logit].tolist(), strict=True):
                total, weight = total + more * one, weight + more
            assert found[row, logit] == np.float32(total / weight if len(weights) > 1 else total / own)
        begin += len(weights)


@given(rules(), st.lists(st.floats(0, 1), min_size=301, max_size=301), st.integers(1, 300))
def test_one_token_more_changes_a_text_no_more_than_three_tokens_change_a_window(windows, values, own):
    """A window's logit is the mean of its tokens' values here, so that one token changes it by at most 1 / width."""

    def logit(count):
        each = [np.mean(values[begin:end]) for begin, end in windows.spans(count)]
        split = windows.split([text(windows, count)])
        return float(split.combined(np.array(each, dtype=np.float32)[:, np.newaxis])[0, 0])

    # The last window moves by a token, a token is new, and one may be in another window.
    assert abs(logit(own + 1) - logit(own)) <= 3 / min(own, windows.width) + 1e-5


@given(rules("max"), st.lists(st.integers(1, 200), min_size=1, max_size=6), st.integers(0, 9))
def test_a_maximum_is_the_largest_logit_of_each_label(windows, texts, seed):
    split = windows.split([text(windows, own) for own in texts])
    each = np.random.default_rng(seed).normal(size=(len(split.rows), 3)).astype(np.float32)
    parts = np.split(each, np.cumsum(split.counts)[:-1])
    assert split.combined(each).tolist() == [part.max(axis=0).tolist() for part in parts]


@pytest.mark.parametrize("combination", ["mean", "max"])
def test_a_window_without_a_result_leaves_its_text_without_one(combination):
    split = Windows(4, 1, 1, 2, combination).split([np.arange(4), np.arange(9), np.arange(5)])
    each = np.ones((len(split.rows), 2), dtype=np.float32)
    each[2] = np.nan
    assert np.isnan(split.combined(each)).all(axis=1).tolist() == [False, True, False]


def test_windows_of_a_text_are_combined_alike_among_any_other_texts():
    windows, random = Windows(12, 1, 1, 7), np.random.default_rng(0)
    texts = [text(windows, own) for own in (3, 10, 11, 40, 200, 17)]
    each = [random.normal(size=(len(windows.rows(one)), 2)).astype(np.float32) for one in texts]
    alone = [windows.split([one]).combined(logits) for one, logits in zip(texts, each, strict=True)]
    assert windows.split(texts).combined(np.concatenate(each)).tobytes() == np.concatenate(alone).tobytes()


def test_a_single_window_decides_by_weight_times_margin_and_a_maximum_by_the_margin():
    weights, margins = np.array([6, 2]), np.array([1.0, 2.0])
    assert Split([], np.array([2]), weights, "mean").deciding(margins).tolist() == [1]
    assert Split([], np.array([2]), weights, "max").deciding(margins).tolist() == [2]


def test_of_windows_that_are_all_against_the_answer_the_nearest_one_is_named():
    split = Split([], np.array([3]), np.array([6, 1, 2]))
    assert split.deciding(np.array([-1.0, -3.0, -0.5])).tolist() == [3]


def test_without_a_rule_each_text_is_one_window_and_keeps_its_logits():
    rows = [np.arange(3), np.arange(900)]
    split = split_of(None, rows)
    logits = np.array([[1.5], [-0.0]], dtype=np.float32)
    assert split.rows is rows
    assert split.combined(logits) is logits


# Engines


class Counting:
    """Session that gives the sum of a window's tokens as its logit, and keeps the windows."""

    def __init__(self):
        self.rows = []

    def run(self, names, feed):
        self.rows.append(feed["input_ids"][0].tolist())
        return [feed["input_ids"].sum(axis=1, keepdims=True).astype(np.float32)]


RULE = Windows(4, 1, 1, 2)


def by_sign(logits, whole):
    return np.where(whole[:, 0] >= 0, 1, -1) * logits[:, 0]


def test_windows_are_rows_of_the_engine_longest_first_and_equal_ones_are_computed_once():
    session = Counting()
    stages = Stages(RowEngine(session, 1), windows=RULE, margins=by_sign)
    texts = [np.array([1, 5, 9]), np.array([1, 5, 6, 7, 8, 9]), np.array([1, 5, 6, 3, 4, 9])]
    found = stages.submit(texts).result()
    assert session.rows == [[1, 5, 6, 9], [1, 7, 8, 9], [1, 3, 4, 9], [1, 5, 9]]
    assert found.logits.ravel().tolist() == [15, (21 + 25) / 2, (21 + 17) / 2]
    assert found.windows.tolist() == [1, 2, 2]
    assert found.decided_by.tolist() == [1, 2, 1]
    assert stages.submit([texts[1]]).result().logits.ravel().tolist() == [23]
    assert len(session.rows) == 4


def test_whole_texts_have_the_same_logits_as_in_the_stages():
    engine = RowEngine(Counting(), 2)
    texts = [np.arange(length) for length in range(3, 30)]
    found = Stages(engine, windows=RULE, margins=by_sign).submit(texts).result()
    assert Whole(engine, windows=RULE).logits(texts).tolist() == found.logits.tolist()


def test_equal_windows_of_whole_texts_are_computed_once():
    session = Counting()
    long, short = np.full(40, 3), np.array([3, 4, 3, 3])
    assert Whole(RowEngine(session, 1), windows=RULE).logits([long, short, long]).ravel().tolist() == [12, 13, 12]
    assert sorted(session.rows) == [[3, 3, 3, 3], [3, 4, 3, 3]]


def test_windows_of_a_call_are_cancelled_together():
    class Cancelling:
        cancelled = 0

        def submit(self, rows):
            def cancel():
                self.cancelled += len(rows)

            return Pending(lambda: np.zeros((len(rows), 1), dtype=np.float32), cancel)

    engine = Cancelling()
    Stages(engine, windows=RULE, margins=by_sign).submit([np.arange(10), np.arange(3)]).cancel()
    assert engine.cancelled == 5


def test_texts_that_the_wide_part_decides_have_no_window():
    class Sums:
        def sums(self, rows):
            return np.array([[float(len(row))] for row in rows])

        def submit(self, rows):
            return Pending(lambda: np.full((len(rows), 1), 0.5, dtype=np.float32))

    session = Counting()
    stages = Stages(RowEngine(session, 1), Sums(), Cascade(1.0, (0.0,), (-1.0, 8.0)), RULE, by_sign)
    found = stages.submit([np.arange(9), np.arange(5), np.arange(8)]).result()
    assert found.early.tolist() == [True, False, False]
    assert found.windows.tolist() == [0, 2, 3]
    assert found.decided_by[0] == 0
    assert found.logits.ravel()[0] == 9.0
    assert found.logits.ravel()[1] == np.float32((0 + 1 + 2 + 4 + 0 + 2 + 3 + 4) / 2) + np.float32(0.5)


class Small(Counting):
    """Session of a GPU whose memory holds a limited number of padded tokens."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens, self.shapes = tokens, []

    def run(self, names, feed):
        ids, mask = feed["input_ids"], feed["attention_mask"]
        if ids.size > self.tokens:
            raise device_fault(RuntimeError("Failed to allocate memory for requested buffer"), "cuda device 0")
        self.shapes.append(ids.shape)
        return [(ids * mask).sum(axis=1, keepdims=True).astype(np.float32)]


def test_windows_of_all_texts_fill_the_batches_of_a_gpu_and_give_the_logits_of_a_cpu():
    session = Small(1000)
    texts = [np.arange(100 * at, 100 * at + length) for at, length in enumerate([3, 9, 4, 20, 5, 4, 3, 7])]
    found = Stages(BatchEngine(lambda: [session], 16, Lengths(4)), windows=RULE, margins=by_sign).submit(texts).result()
    windows = RULE.split(texts).rows
    assert [length for _, length in session.shapes] == sorted((length for _, length in session.shapes), reverse=True)
    assert sum(rows for rows, _ in session.shapes) == len(windows)
    assert all(rows == 4 for rows, length in session.shapes[:-2])  # as many as 16 tokens hold
    assert not [length for _, length in session.shapes if length > 4]
    alone = Stages(RowEngine(Counting(), 1), windows=RULE, margins=by_sign).submit(texts).result()
    for values, others in zip(found, alone, strict=True):
        assert values.tolist() == others.tolist()


def test_a_window_for_which_a_gpu_lacks_memory_leaves_only_its_texts_without_a_result():
    rule, engine = Windows(32, 1, 1, 16), BatchEngine(lambda: [Small(16)], 64, Lengths(32))
    texts = [np.arange(8), np.arange(40), np.arange(100, 116)]
    assert engine.logits(texts[:1]).tolist() == [[28]]  # like the golden rows, which run first
    found = Stages(engine, windows=rule, margins=by_sign).submit(texts).result()
    assert np.isnan(found.logits).ravel().tolist() == [False, True, False]
    assert found.logits[[0, 2]].ravel().tolist() == [28, sum(range(100, 116))]
    assert found.windows.tolist() == [1, 2, 1]
