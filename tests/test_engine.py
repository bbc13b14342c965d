"""A row's score depends on its text and the bundle, and on nothing else."""

import gc
import threading
import weakref

import numpy as np
import pytest
from conftest import reviews

from scorer import runtime
from scorer.batches import pad, token_budget
from scorer.engine import BatchEngine, RowEngine, probabilities
from scorer.errors import BundleError, DeviceLost, OutOfMemory
from scorer.model import Scorer
from scorer.reuse import Reuse
from scorer.runtime import device_fault, open_session


@pytest.fixture(scope="module")
def rows(bundle):
    return Scorer(bundle, provider="cpu").tokenizer.encode(reviews(60, 2, 21).texts).ids


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_scores_are_bit_equal_for_any_threads_order_and_neighbours(bundle, rows, precision):
    session = open_session(bundle.graph(precision), "cpu")
    expected = RowEngine(session, 1).logits(rows)
    assert (RowEngine(session, 4).logits(rows) == expected).all()
    assert (RowEngine(session, 2).logits(rows[::-1]) == expected[::-1]).all()
    assert all((RowEngine(session, 1).logits([row]) == expected[at]).all() for at, row in enumerate(rows))


def test_padded_batches_give_the_scores_of_single_rows(bundle, rows):
    session = open_session(bundle.graph("fp32"), "cpu")
    expected = RowEngine(session, 1).logits(rows)
    for budget in (1, 50, 10_000):
        np.testing.assert_allclose(BatchEngine(lambda: session, budget).logits(rows), expected, atol=1e-5)


def test_batches_hold_every_row_once_and_no_more_tokens_than_the_budget():
    lengths = [int(length) for length in np.random.default_rng(0).integers(1, 60, size=200)]
    batches = token_budget(lengths, 128)
    assert sorted(row for batch in batches for row in batch) == list(range(200))
    assert all(len(batch) * max(lengths[row] for row in batch) <= 128 for batch in batches)


def test_an_error_in_one_thread_reaches_the_caller_and_stops_the_others():
    ran = []

    class Broken:
        def run(self, names, feed):
            ran.append(feed["input_ids"].shape)
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        RowEngine(Broken(), 2).logits([np.ones(3, dtype=np.int64)] * 500)
    assert len(ran) <= 2


def test_rows_run_at_the_same_time_on_as_many_threads_as_asked_for():
    together = threading.Barrier(3, timeout=20)

    class Waits:
        def run(self, names, feed):
            together.wait()  # breaks unless three rows are in work at once
            return [np.zeros((1, 1), dtype=np.float32)]

    assert RowEngine(Waits(), 3).logits([np.ones(2, dtype=np.int64)] * 6).shape == (6, 1)


def test_a_logit_that_is_not_a_number_is_an_error_and_never_a_score():
    class Overflows:
        def run(self, names, feed):
            return [np.full((len(feed["input_ids"]), 1), np.nan, dtype=np.float32)]

    for engine in (RowEngine(Overflows(), 1), BatchEngine(Overflows, 100)):
        with pytest.raises(BundleError, match="not a number"):
            engine.logits([np.ones(2, dtype=np.int64)])


def test_probabilities_of_extreme_logits_do_not_overflow():
    assert probabilities(np.array([[1000.0], [-1000.0]])).tolist() == [[0, 1], [1, 0]]
    np.testing.assert_allclose(probabilities(np.array([[1000.0, 0.0, 1000.0]])), [[0.5, 0, 0.5]])


def test_the_python_interface_gives_labels_and_probabilities(bundle, bundle_of_three):
    known = reviews(60, 2, 22)
    labels, found = Scorer(bundle.path, provider="cpu").score(known.texts)
    assert found.shape == (60, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert labels == ["positive" if positive >= 0.5 else "negative" for positive in found[:, 1]]
    truth = [("negative", "positive")[label] for label in known.labels]
    assert np.mean([label == true for label, true in zip(labels, truth, strict=True)]) > 0.7
    labels, found = Scorer(str(bundle_of_three.path), provider="cpu").score(known.texts)
    assert found.shape == (60, 3)
    assert labels == [("bad", "good", "mixed")[best] for best in found.argmax(axis=1)]
    assert Scorer(bundle, provider="cpu").score([]).labels == []
    with pytest.raises(TypeError, match="takes a list of texts"):
        Scorer(bundle, provider="cpu").score("a single text")


def test_padding_is_masked():
    input_ids, mask = pad([np.array([5]), np.array([6, 7])])
    assert input_ids.tolist() == [[5, 0], [6, 7]]
    assert mask.tolist() == [[1, 0], [1, 1]]


NO_MEMORY = "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 939524096"


class Small:
    """A GPU whose memory holds so many padded tokens; logits are the sums of the rows' tokens."""

    def __init__(self, tokens, shapes=None):
        self.tokens = tokens
        self.shapes = [] if shapes is None else shapes

    def run(self, names, feed):
        self.shapes.append(feed["input_ids"].shape)
        if feed["input_ids"].size > self.tokens:
            raise device_fault(RuntimeError(NO_MEMORY), "cuda device 0")
        return [(feed["input_ids"] * feed["attention_mask"]).sum(axis=1, keepdims=True).astype(np.float32)]


def test_without_memory_for_a_batch_it_is_halved_down_to_a_row_which_gets_no_logits():
    rows = [np.full(length, 1, dtype=np.int64) for length in (3, 5, 4, 70, 2, 5, 1)]
    sessions, shapes = [], []

    def open_session():
        gc.disable()  # counted references alone must let go of the session before, or its memory would be missing now
        assert all(session() is None for session in sessions)
        gc.enable()
        session = Small(12, shapes)
        sessions.append(weakref.ref(session))
        return session

    engine = BatchEngine(open_session, 1000)
    assert engine.logits(rows[4:5]).tolist() == [[2]]  # as the golden rows, which run first
    logits = engine.logits(rows)
    assert np.isnan(logits[3]).all()
    assert np.delete(logits, 3).tolist() == [3, 5, 4, 2, 5, 1]
    assert shapes[1:4] == [(7, 70), (3, 70), (1, 70)]
    assert len(sessions) == 2  # made anew after the row that did not fit
    assert engine.logits(rows[:3]).tolist() == [[3], [5], [4]]


def test_without_memory_for_any_row_the_error_says_so():
    with pytest.raises(OutOfMemory, match="cuda device 0 has no memory for the model, or not for a single row"):
        BatchEngine(lambda: Small(1), 1000).logits([np.ones(5, dtype=np.int64)] * 4)


def test_a_row_that_found_no_memory_is_computed_when_it_comes_again():
    session = Small(4)
    reuse = Reuse(BatchEngine(lambda: session, 1000))
    row = np.ones(5, dtype=np.int64)
    assert reuse.submit([row[:2]]).result().tolist() == [[2]]
    assert np.isnan(reuse.submit([row, row]).result()).all()
    session.tokens = 10
    assert reuse.submit([row]).result().tolist() == [[5]]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (NO_MEMORY, OutOfMemory),
        ("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc", OutOfMemory),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", OutOfMemory),
        ("CUDNN failure 5003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", OutOfMemory),
        ("CUDA failure 719: unspecified launch failure ; GPU=0 ; expr=cudaMemcpyAsync(...)", DeviceLost),
        ("CUDA failure 700: an illegal memory access was encountered", DeviceLost),
        ("CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR", DeviceLost),
        ("CUDA error cudaErrorECCUncorrectable:uncorrectable ECC error encountered", DeviceLost),
        ("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: input_ids", RuntimeError),
    ],
)
def test_faults_of_a_gpu_are_told_apart_by_what_onnxruntime_says(said, kind):
    assert type(device_fault(RuntimeError(said), "cuda device 0")) is kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", OutOfMemory),
        ("CUDA failure 46: CUDA-capable device(s) is/are busy or unavailable", DeviceLost),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed.", BundleError),
    ],
)
def test_faults_of_a_gpu_while_the_session_opens_are_told_from_a_graph_that_is_refused(monkeypatch, said, kind):
    def fails(*arguments):
        raise RuntimeError(said)

    monkeypatch.setattr(runtime, "_open", fails)
    monkeypatch.setattr(runtime, "_preload_cuda", lambda: [])
    with pytest.raises(kind) as caught:
        runtime.Session(b"", "cuda", 0)
    assert type(caught.value) is kind
