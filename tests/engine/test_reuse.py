"""Equal rows are computed once while they are remembered, and failed rows are not remembered."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest

from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import Lengths
from scorer.engine.reuse import Reuse
from scorer.engine.row_engine import RowEngine
from scorer.engine.stages import Stages


class Counting:
    """Session whose logit is the sum of the ids, and which records the rows that it computed."""

    def __init__(self):
        self.ran = []
        self.fail = False

    def run(self, names, feed):
        if self.fail:
            raise RuntimeError("no luck")
        self.ran.append(tuple(feed["input_ids"][0].tolist()))
        return [feed["input_ids"].sum(axis=1, keepdims=True).astype(np.float32)]


def rows(*values):
    return [np.array(value, dtype=np.int64) for value in values]


def test_equal_rows_are_computed_once_in_a_chunk_and_across_chunks():
    session = Counting()
    reuse = Reuse(Stages(RowEngine(session, 2)))
    first = reuse.submit(rows([1, 2], [3], [1, 2]))
    second = reuse.submit(rows([3], [4], [1, 2]))
    assert second.result().logits.tolist() == [[3], [4], [3]]
    assert first.result().logits.tolist() == [[3], [3], [3]]
    assert sorted(session.ran) == [(1, 2), (3,), (4,)]


def test_only_the_latest_rows_are_remembered():
    session = Counting()
    reuse = Reuse(Stages(RowEngine(session, 1)), remembered=2)
    for row in ([1], [2], [1], [3], [2]):
        assert reuse.submit(rows(row)).result().logits.tolist() == [row]
    assert session.ran == [(1,), (2,), (3,), (2,)]  # [2] was the least recently used row when [3] came


def test_a_chunk_with_more_rows_than_are_remembered_is_complete():
    reuse = Reuse(Stages(RowEngine(Counting(), 2)), remembered=3)
    assert reuse.submit(rows(*([number] for number in range(50)))).result().logits.tolist() == [[n] for n in range(50)]


def test_a_failed_row_is_computed_when_it_comes_again():
    session = Counting()
    reuse = Reuse(Stages(RowEngine(session, 1)))
    session.fail = True
    with pytest.raises(RuntimeError, match="no luck"):
        reuse.submit(rows([5])).result()
    session.fail = False
    assert reuse.submit(rows([5])).result().logits.tolist() == [[5]]


class Blocked(Counting):
    """Session that waits in its first row until it is released."""

    def __init__(self):
        super().__init__()
        self.began, self.go_on = threading.Event(), threading.Event()

    def run(self, names, feed):
        self.began.set()
        assert self.go_on.wait(20)
        return super().run(names, feed)


@pytest.mark.parametrize(
    "make", [lambda session: RowEngine(session, 1), lambda session: BatchEngine(lambda: [session], 1, Lengths(10))]
)
def test_rows_that_another_call_cancelled_are_still_computed(make):
    session = Blocked()
    reuse = Reuse(Stages(make(session)))
    first = reuse.submit(rows([20], [50], [1, 1, 1], [7]))
    session.began.wait(20)
    second = reuse.submit(rows([50], [20], [7], [8]))
    first.cancel()
    session.go_on.set()
    assert second.result().logits.tolist() == [[50], [20], [7], [8]]
    with pytest.raises(CancelledError):
        first.result()
    assert reuse.submit(rows([20], [50])).result().logits.tolist() == [[20], [50]]


def test_a_calls_bad_row_does_not_fail_other_calls():
    class Bad(Counting):
        def run(self, names, feed):
            if 9 in feed["input_ids"]:
                raise RuntimeError("bad row")
            return super().run(names, feed)

    reuse = Reuse(Stages(RowEngine(Bad(), 1)))
    bad = reuse.submit(rows([9], [4]))
    assert reuse.submit(rows([4])).result().logits.tolist() == [[4]]
    with pytest.raises(RuntimeError, match="bad row"):
        bad.result()
    assert reuse.submit(rows([4])).result().logits.tolist() == [[4]]


def test_an_interrupt_while_submitting_leaves_nothing_behind(monkeypatch):
    engine = RowEngine(Counting(), 1)
    reuse = Reuse(Stages(engine))

    def interrupted(rows):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reuse.submit(rows([3]))
    assert reuse.submit(rows([3])).result().logits.tolist() == [[3]]


def test_several_threads_may_ask_at_once():
    reuse = Reuse(Stages(RowEngine(Counting(), 2)), remembered=20)

    def ask(seed):
        generator = np.random.default_rng(seed)
        for _ in range(50):
            values = generator.integers(0, 40, size=8)
            found = reuse.submit(rows(*([value] for value in values))).result().logits
            assert found[:, 0].tolist() == values.tolist()

    with ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(ask, seed) for seed in range(4)]:
            asked.result()  # raises the thread's error
