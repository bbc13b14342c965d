"""The cascade in the engine: exact sums decide with any provider, and the encoder gets only the other rows."""

import re
from concurrent.futures import CancelledError
from dataclasses import replace

import numpy as np
import pytest
from factories import reviews

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.classifier.truncation import Cut
from export.classifier.wide import Wide
from export.encoder.load import load_encoder
from export.encoder.weights import encoder_weights
from export.graph.fp32 import to_float32
from export.graph.wide import wide_graph
from scorer.base.timing import Phases
from scorer.engine.batches import Lengths
from scorer.engine.cascade import Cascade
from scorer.engine.gpu import Gpu
from scorer.engine.pending import Pending
from scorer.engine.reuse import Reuse
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import Session
from scorer.engine.spec import EngineSpec, batch_engine
from scorer.engine.stages import Stages, Whole
from scorer.engine.wide import Keys, WidePart

LENGTH, MOST = 12, 40
PIECES, PAIRS = 43, 97


class Recording:
    """Engine whose logit is minus the sum of the ids, and which records the rows that it got."""

    def __init__(self):
        self.given, self.cancelled = [], 0

    def submit(self, rows):
        self.given.append([row.tolist() for row in rows])

        def cancel():
            self.cancelled += 1

        return Pending(lambda: self.logits(rows), cancel)

    def logits(self, rows):
        return np.array([[-row.sum()] for row in rows], dtype=np.float32)


def wide_of(weights):
    """Make a wide part of weights, (keys, logits)."""
    wide = Wide(Keys(len(weights) - PAIRS, PAIRS), np.asarray(weights, dtype=np.float16))
    session = Session(wide_graph(wide).SerializeToString(), "cpu")
    padding = np.zeros((1, wide.weight.shape[1]), dtype=np.float16)
    return WidePart(session, np.concatenate([wide.weight, padding]), PAIRS, MOST, 2, Phases())


def pieces(*values):
    """Make weights with these values for the first pieces, and 0 for the other pieces and all pairs."""
    weights = np.zeros((PIECES + PAIRS, 1))
    weights[: len(values), 0] = values
    return weights


def rows(*values):
    return [np.array(value, dtype=np.int64) for value in values]


def test_only_undecided_rows_reach_the_engine_and_all_come_back_in_order():
    engine = Recording()
    stages = Stages(engine, wide_of(pieces(0, 3, -3, 1)), Cascade(2.0, (0.5,), (-2.0, 2.0)))
    found = stages.submit(rows([3], [1], [3, 0], [2], [1, 2])).result()
    assert engine.given == [[[3], [3, 0], [1, 2]]]
    assert found.early.tolist() == [False, True, False, True, False]
    assert found.logits.ravel().tolist() == [-3 + 1, 6.5, -3 + 1, -5.5, -3]


def test_the_engine_gets_no_row_if_all_are_decided_early_and_all_rows_if_none_is():
    engine = Recording()
    wide = wide_of(pieces(0, 3, -3, 1))
    assert Stages(engine, wide, Cascade(1.0, (0.0,), (-2.0, 2.0))).submit(rows([1], [2])).result().early.all()
    assert engine.given == []
    assert not Stages(engine, wide, Cascade(1.0, (0.0,), (-9.0, 9.0))).submit(rows([1], [2])).result().early.any()
    assert Stages(engine, wide).submit(rows([1], [2])).result().logits.ravel().tolist() == [2, -5]
    assert Stages(engine).submit(rows([1], [2])).result().logits.ravel().tolist() == [-1, -2]
    assert engine.given == [[[1], [2]]] * 3


def test_a_row_that_found_no_memory_stays_nan_beside_early_ones():
    class Full(Recording):
        def logits(self, rows):
            return np.full((len(rows), 1), np.nan, dtype=np.float32)

    found = Stages(Full(), wide_of(pieces(0, 3)), Cascade(1.0, (0.0,), (-2.0, 2.0))).submit(rows([0], [1])).result()
    assert np.isnan(found.logits[0])
    assert found.logits[1] == 3


def test_equal_rows_are_decided_and_computed_once():
    engine = Recording()
    reuse = Reuse(Stages(engine, wide_of(pieces(0, 3)), Cascade(1.0, (0.0,), (-2.0, 2.0))))
    first, second = reuse.submit(rows([0], [1], [0])), reuse.submit(rows([1], [0], [5]))
    assert second.result().early.tolist() == [True, False, False]
    assert first.result().early.tolist() == [False, True, False]
    assert engine.given == [[[0]], [[5]]]


def test_cancelling_reaches_both_parts():
    engine = Recording()
    pending = Stages(engine, wide_of(pieces(0, 3)), Cascade(1.0, (0.0,), (-2.0, 2.0))).submit(rows(*([0],) * 300))
    pending.cancel()
    assert engine.cancelled == 1
    with pytest.raises(CancelledError):  # rows of the wide part that no thread had started
        pending.result()


def test_with_more_than_two_labels_the_distance_of_the_two_likeliest_decides():
    weights = np.zeros((PIECES + PAIRS, 3))
    weights[1:4] = [[4, 1, 0], [4, 3, 0], [0, 0, 2.5]]
    cascade = Cascade(2.0, (0.0, 0.0, 1.0), (5.0,))
    assert cascade.margins(weights[1:4]).tolist() == [6, 2, 6]
    found = Stages(Three(), wide_of(weights), cascade).submit(rows([1], [2], [3])).result()
    assert found.early.tolist() == [True, False, True]
    assert found.logits.tolist() == [[8, 2, 1], [5, 4, 1], [0, 0, 6]]


class Three(Recording):
    def logits(self, rows):
        return np.ones((len(rows), 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((1.0, (0.0,), (1.0,)), "two limits for one logit"),
        ((1.0, (0.0, 0.0), (-1.0, 1.0)), "two limits for one logit, and one for several"),
        ((1.0, (), (1.0,)), "two limits"),
        ((0.0, (0.0,), (-1.0, 1.0)), "scale must be above 0"),
        ((-1.0, (0.0,), (-1.0, 1.0)), "scale must be above 0"),
        ((float("nan"), (0.0,), (-1.0, 1.0)), "scale must be above 0"),
        ((1.0, (3.0,), (-1.0, 1.0)), "both sides"),
        ((1.0, (0.0,), (1.0, -1.0)), "both sides"),
        ((1.0, (0.0,), (float("nan"), 1.0)), "both sides"),
        ((1.0, (0.0, 0.0), (-1.0,)), "a distance"),
        ((1e39, (0.0,), (-1.0, 1.0)), "at most 1e+06"),
        ((1e308, (0.0, 0.0, 0.0), (1.0,)), "at most 1e+06"),
        ((1.0, (1e308, -1e308, 0.0), (1.0,)), "at most 1e+06"),
        ((1.0, (10**300, 0.0), (1.0,)), "at most 1e+06"),
    ],
)
def test_an_invalid_cascade_is_refused(parts, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Cascade(*parts)


# At the limit


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return load_encoder(str(encoder_folder("bert")), max_length=LENGTH, max_tokens=MOST)


@pytest.fixture(scope="module")
def at_the_limit():
    """Classifier, and texts whose exact sums are its limits or a few steps of float16 beside them.

    The limits are far from 0, so that such a step is lost in float32. With another order, padding or library, a sum in
    float32 would decide some texts differently.
    """
    random = np.random.default_rng(7)
    step = 2.0**-24
    high, low = 3.0 * 17, -3.0 * 17
    weights = np.zeros((PIECES + PAIRS, 1))
    weights[5:22, 0] = 3.0
    weights[22:39, 0] = -3.0
    weights[39:42, 0] = [step, -step, 2 * step]
    found = []
    for _ in range(1000):
        ids = list(range(5, 22)) if random.random() < 0.5 else list(range(22, 39))
        ids += random.choice([39, 40, 41], size=random.integers(0, 4), replace=False).tolist()
        found.append(np.array([2, *random.permutation(ids).tolist(), 3]))
    wide = Wide(Keys(PIECES, PAIRS), weights.astype(np.float16))
    head = LinearHead(np.full((1, 32), 0.01, dtype=np.float32), np.zeros(1, dtype=np.float32))
    cascade = Cascade(0.1, (0.25,), (low, high))
    return Classifier(head, "cls", Cut(LENGTH, LENGTH - 1), wide, cascade=cascade), found


def test_texts_at_the_very_limit_are_decided_alike_by_all_engines(encoder, at_the_limit):
    classifier, texts = at_the_limit
    sums = classifier.wide.sums(texts)[:, 0]
    limits = np.array(classifier.cascade.limits)
    assert (np.abs(sums[:, np.newaxis] - limits).min(axis=1) <= 3 * 2.0**-24).all()
    expected = (sums < limits[0]) | (sums > limits[1])
    assert 200 < expected.sum() < 800
    in_float32 = sums.astype(np.float32)
    assert ((in_float32 < limits[0]) | (in_float32 > limits[1])).sum() == 0  # so the last bits decide

    graph = to_float32(encoder_weights(encoder), classifier.encoders_part).SerializeToString()
    lengths = Lengths(MOST, LENGTH)
    engines = [
        RowEngine(Session(graph, "cpu"), 1),
        EngineSpec(graph, {}, "cpu", Gpu(), 2, 200, lengths, 1).open(Phases()),
        batch_engine(lambda: Session(graph, "cpu"), 200, lengths, 1, Phases()),
    ]
    wide = wide_of(classifier.wide.weight)
    found = [Stages(engine, wide, classifier.cascade).submit(texts).result() for engine in engines]
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = Stages(engines[0], wide, classifier.cascade).submit([texts[row] for row in order]).result()
    one_by_one = [Stages(engines[0], wide, classifier.cascade).submit([text]).result() for text in texts[:100]]
    pytorch = classifier.staged(np.zeros((len(texts), 32), dtype=np.float32), texts)
    for one in (*found, pytorch):
        assert (one.early == expected).all()
        assert (one.logits[expected] == found[0].logits[expected]).all()
    assert (shuffled.early == expected[order]).all()
    assert (shuffled.logits == found[0].logits[order]).all()
    assert [bool(one.early[0]) for one in one_by_one] == expected[:100].tolist()
    assert (np.concatenate([one.logits for one in one_by_one]) == found[0].logits[:100]).all()


def test_both_parts_add_up_to_the_bits_of_one_graph(encoder):
    random = np.random.default_rng(3)
    weights = (random.normal(size=(PIECES + PAIRS, 1)) * 2.0 ** random.integers(-9, 3, (PIECES + PAIRS, 1))).astype(
        np.float16
    )
    head = LinearHead(random.normal(size=(1, 32)).astype(np.float32), random.normal(size=1).astype(np.float32))
    together = Classifier(head, "cls", Cut(LENGTH, 5), Wide(Keys(PIECES, PAIRS), weights))
    apart = replace(together, cascade=Cascade(1.0, (0.0,), (-1.0, 1.0)))
    texts = encoder.tokenizer.encode([*reviews(80, 2, 4).texts, " ".join(reviews(9, 2, 4).texts)]).ids
    graphs = [to_float32(encoder_weights(encoder), one.encoders_part).SerializeToString() for one in (together, apart)]
    one, other = (RowEngine(Session(graph, "cpu"), 2) for graph in graphs)
    assert (one.logits(texts) == Whole(other, wide_of(weights)).logits(texts)).all()
