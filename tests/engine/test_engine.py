"""Scores depend on the text and the bundle alone, and engines cope with little memory."""

import ctypes
import gc
import threading
import weakref
from collections import Counter

import numpy as np
import pytest
from factories import MAX_LENGTH, reviews

from scorer import Scorer
from scorer.base.errors import BundleError, DeviceLost, OutOfMemory
from scorer.base.timing import Phases
from scorer.engine import runtime
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import LENGTH_STEP, Lengths, pad, padded_rows, token_budget
from scorer.engine.reuse import Reuse
from scorer.engine.row_engine import RUN_TOKENS, RowEngine
from scorer.engine.runtime import Lane, device_fault, open_session
from scorer.engine.stages import Stages
from scorer.model.decision import probabilities
from scorer.model.loaded import LoadedModel


@pytest.fixture(scope="module")
def rows(bundle):
    return LoadedModel(bundle, provider="cpu").tokenizer.encode(reviews(60, 2, 21).texts).ids


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_scores_are_bit_equal_for_any_threads_order_and_neighbours(bundle, rows, precision):
    session = open_session(bundle.graph(precision), "cpu", external=bundle.external(precision))
    expected = RowEngine(session, 1).logits(rows)
    assert (RowEngine(session, 4).logits(rows) == expected).all()
    assert (RowEngine(session, 2).logits(rows[::-1]) == expected[::-1]).all()
    assert all((RowEngine(session, 1).logits([row]) == expected[at]).all() for at, row in enumerate(rows))


class Shapes:
    """Session that computes with another one, and records the shapes of its runs."""

    def __init__(self, session):
        self._session = session
        self.seen = Counter()

    def run(self, names, feed):
        self.seen[feed["input_ids"].shape] += 1
        return self._session.run(names, feed)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_short_rows_of_equal_length_share_runs_and_get_the_bits_of_single_rows(bundle, precision, monkeypatch):
    monkeypatch.setattr("scorer.engine.row_engine._CHECKING", np.inf)
    session = Shapes(open_session(bundle.graph(precision), "cpu", external=bundle.external(precision)))
    random = np.random.default_rng(4)
    rows = [random.integers(5, 40, size=length) for length in random.integers(1, MAX_LENGTH + 1, size=600)]
    expected = RowEngine(session, 1).logits(rows)
    assert {shape[0] for shape in session.seen} == {1}
    session.seen.clear()
    engine = RowEngine(session, 2, share=True)
    for _ in range(3):
        assert engine.logits(rows).tobytes() == expected.tobytes()
    shared = Counter({shape: runs for shape, runs in session.seen.items() if shape[0] > 1})
    assert all(count * length <= RUN_TOKENS and count & (count - 1) == 0 for count, length in shared)
    assert session.seen.total() < 600 * 3 / 2
    assert len(shared) > MAX_LENGTH


def test_rows_share_runs_only_if_the_graph_is_known_to_add_up_each_row_in_the_same_order(staged_bundle):
    graphs = [one.file for one in staged_bundle.manifest.precisions.values()] + [staged_bundle.manifest.wide.file]
    sessions = [runtime.Session(staged_bundle.files[one], "cpu", external=staged_bundle.beside(one)) for one in graphs]
    assert dict(zip(graphs, (one.independent_rows for one in sessions), strict=True)) == {
        "model.fp32.onnx": True, "model.fp16.onnx": False, "model.int8.onnx": True, "wide.onnx": False,
    }  # fmt: skip


def test_checks_wait_until_they_take_a_small_share_of_the_time(monkeypatch):
    monkeypatch.setattr("scorer.engine.row_engine._CHECKING", 0)
    session = Shapes(Sums())
    engine = RowEngine(session, 1, share=True)
    for length in (7, 8, 9):
        assert engine.logits([np.ones(length, dtype=np.int64)] * 16).ravel().tolist() == [length] * 16
    assert {shape for shape in session.seen if shape[0] > 1} == {(8, 7)}


def test_a_single_bit_that_differs_ends_all_sharing_and_no_row_gets_it(monkeypatch):
    monkeypatch.setattr("scorer.engine.row_engine._CHECKING", np.inf)

    class Adds:
        """Session that sums in another order if a run has several rows of seven tokens."""

        def __init__(self):
            self.shapes = []

        def run(self, names, feed):
            ids = feed["input_ids"]
            self.shapes.append(ids.shape)
            sums = np.cumsum(ids / np.float32(3), axis=1, dtype=np.float32)[:, -1:]
            return [np.nextafter(sums, np.float32(np.inf)) if len(ids) > 1 and ids.shape[1] == 7 else sums]

    session = Adds()
    engine = RowEngine(session, 1, share=True)
    rows = [np.full(length, 1 + number) for number, length in enumerate([9] * 8 + [7] * 8)]
    expected = RowEngine(Adds(), 1).logits(rows)
    for share_again in (True, False):
        session.shapes.clear()
        assert engine.logits(rows).tobytes() == expected.tobytes()
        assert any(count > 1 for count, _ in session.shapes) == share_again


def test_few_rows_are_divided_among_all_threads(monkeypatch):
    monkeypatch.setattr("scorer.engine.row_engine._CHECKING", np.inf)
    session = Shapes(Sums())
    engine = RowEngine(session, 4, share=True)
    assert engine.logits([np.ones(5, dtype=np.int64)] * 16).ravel().tolist() == [5] * 16
    assert max(count for count, _ in session.seen) == 2


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-2)])
@pytest.mark.parametrize("lanes", [1, 3])
def test_padded_batches_give_the_scores_of_single_rows(bundle, rows, precision, tolerance, lanes):
    """Use the buffers of a GPU's batches, with the CPU as the device."""
    session = runtime.Session(bundle.graph(precision), "cpu", external=bundle.external(precision))
    expected = RowEngine(session, 1).logits(rows)
    for budget in (1, 50, 200, 10_000):
        opened = [Lane(session, max(budget, MAX_LENGTH), 1, Phases()) for _ in range(lanes)]
        engine = BatchEngine(opened.copy, budget, Lengths(MAX_LENGTH))
        engine.warm_up(7)
        np.testing.assert_allclose(engine.logits(rows), expected, atol=tolerance)
        np.testing.assert_allclose(engine.logits(rows[:7]), expected[:7], atol=tolerance)
        assert engine.tokens == sum(map(len, rows + rows[:7]))
        assert 0 <= engine.padding < 1


def test_a_lanes_earlier_content_does_not_reappear(bundle, rows):
    session = runtime.Session(bundle.graph("fp16"), "cpu", external=bundle.external("fp16"))
    lane = Lane(session, 16 * MAX_LENGTH, 1, Phases())
    long, short = (sorted(rows, key=len)[at] for at in (-1, 0))

    def logits(*together):
        ids, mask = pad(together, MAX_LENGTH)
        return lane.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    first = logits(short)
    kept = first.copy()
    logits(*[long] * 16)
    assert (first == kept).all()  # an earlier result does not change
    assert (logits(short) == first).all()


def test_batches_hold_every_row_once_and_no_more_tokens_than_the_budget():
    lengths = [int(length) for length in np.random.default_rng(0).integers(1, 60, size=200)]
    batches = token_budget(lengths, 128)
    assert sorted(row for batch in batches for row in batch) == list(range(200))
    assert all(len(batch) * max(lengths[row] for row in batch) <= 128 for batch in batches)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_session_does_not_need_the_weights_files_once_it_is_open(bundle, rows, precision):
    """A session that read them later would compute with the content of that time."""
    weights = {name: bytes(bytearray(data)) for name, data in bundle.external(precision).items()}
    engine = RowEngine(runtime.Session(bundle.graph(precision), "cpu", external=weights), 1)
    expected = engine.logits(rows)
    for data in weights.values():
        ctypes.memset(id(data) + bytes.__basicsize__ - 1, 0x5A, len(data))
        assert set(data) == {0x5A}
    assert (engine.logits(rows) == expected).all()


class Sums:
    """Session whose logits are the sums of the rows' tokens, and which records the shapes of its batches."""

    def __init__(self):
        self.shapes = []

    def run(self, names, feed):
        assert feed["attention_mask"][:, 0].all()  # a row without tokens has no attention
        self.shapes.append(feed["input_ids"].shape)
        return [(feed["input_ids"] * feed["attention_mask"]).sum(axis=1, keepdims=True).astype(np.float32)]


def test_chunks_of_any_rows_come_in_few_shapes_longest_first_within_the_budget():
    random, session = np.random.default_rng(5), Sums()
    engine = BatchEngine(lambda: [session], 2000, Lengths(100))
    for count in (1, 2, 30, 301, 302, 303, 999):
        rows = [np.ones(length, dtype=np.int64) for length in random.integers(1, 101, size=count)]
        seen = len(session.shapes)
        assert engine.logits(rows).ravel().tolist() == [len(row) for row in rows]
        lengths = [length for _, length in session.shapes[seen:]]
        assert lengths == sorted(lengths, reverse=True)
    assert all(rows * length <= 2000 for rows, length in session.shapes)
    assert {length for _, length in session.shapes} <= {*range(LENGTH_STEP, 100, LENGTH_STEP), 100}
    assert all(len({rows for rows, length in session.shapes if length == one}) <= 10 for one in range(101))
    assert engine.padding < 0.2


def test_a_batch_is_padded_to_no_more_than_the_model_reads_and_filled_to_no_more_than_fits():
    assert [Lengths(100).padded(length) for length in (1, 16, 17, 97, 100)] == [16, 16, 32, 100, 100]
    assert all(rows <= padded_rows(rows, 83) <= 83 for rows in range(1, 84))
    assert len({padded_rows(rows, 83) for rows in range(1, 84)}) == 10


def test_two_batches_run_at_a_time_each_on_a_lane_of_its_own():
    together = threading.Barrier(2, timeout=20)

    class Waits(Sums):
        def run(self, names, feed):
            together.wait()  # breaks unless two batches run at once
            return super().run(names, feed)

    lanes = [Waits(), Waits()]
    engine = BatchEngine(lambda: lanes, 64, Lengths(64))
    engine.logits([np.ones(64, dtype=np.int64)] * 8)
    assert [len(lane.shapes) for lane in lanes] == [4, 4]


def test_an_error_on_one_lane_reaches_the_caller_and_cancels_the_other_batches():
    class Broken(Sums):
        def run(self, names, feed):
            super().run(names, feed)
            raise RuntimeError("no luck")

    session = Broken()
    engine = BatchEngine(lambda: [session], 64, Lengths(64))
    with pytest.raises(RuntimeError, match="no luck"):
        engine.logits([np.ones(64, dtype=np.int64)] * 500)
    engine.submit([]).result()
    assert len(session.shapes) < 500


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
            together.wait()  # breaks unless three rows run at once
            return [np.zeros((1, 1), dtype=np.float32)]

    assert RowEngine(Waits(), 3).logits([np.ones(2, dtype=np.int64)] * 6).shape == (6, 1)


def test_a_logit_that_is_not_a_number_is_an_error_and_never_a_score():
    class Overflows:
        def run(self, names, feed):
            return [np.full((len(feed["input_ids"]), 1), np.nan, dtype=np.float32)]

    for engine in (RowEngine(Overflows(), 1), BatchEngine(lambda: [Overflows()], 100, Lengths(10))):
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


class Small(Sums):
    """The same session on a GPU whose memory holds a limited number of padded tokens."""

    def __init__(self, tokens, shapes=None):
        self.tokens = tokens
        self.shapes = [] if shapes is None else shapes

    def run(self, names, feed):
        logits = super().run(names, feed)
        if feed["input_ids"].size > self.tokens:
            raise device_fault(RuntimeError(NO_MEMORY), "cuda device 0")
        return logits


def test_without_memory_for_a_batch_it_is_halved_down_to_a_row_which_gets_no_logits():
    rows = [np.full(length, 1, dtype=np.int64) for length in (3, 5, 4, 70, 2, 5, 1)]
    sessions, shapes = [], []

    def open_lanes():
        gc.disable()  # reference counts alone must free the old session, or its memory would be missing now
        assert all(session() is None for session in sessions)
        gc.enable()
        session = Small(48, shapes)
        sessions.append(weakref.ref(session))
        return [session]

    engine = BatchEngine(open_lanes, 1000, Lengths(100))
    assert engine.logits(rows[4:5]).tolist() == [[2]]  # like the golden rows, which run first
    logits = engine.logits(rows)
    assert np.isnan(logits[3]).all()
    assert np.delete(logits, 3).tolist() == [3, 5, 4, 2, 5, 1]
    assert shapes[1:4] == [(7, 80), (3, 80), (1, 80)]
    assert len(sessions) == 2  # a new one after the row that did not fit
    assert engine.logits(rows[:3]).tolist() == [[3], [5], [4]]


def test_after_running_out_of_memory_later_batches_are_cut_smaller_from_the_start():
    session = Small(200)
    engine = BatchEngine(lambda: [session], 1600, Lengths(16))
    rows = [np.ones(16, dtype=np.int64)] * 100
    assert (engine.logits(rows) == 16).all()
    assert engine.batch_tokens <= 200
    failed = [rows for rows, length in session.shapes if rows * length > 200]
    assert failed == [100, 50, 25]
    session.shapes.clear()
    assert (engine.logits(rows) == 16).all()
    assert max(rows * length for rows, length in session.shapes) <= 200


def test_a_row_that_only_fits_alone_waits_for_the_other_lanes_and_gets_its_score():
    alone, busy = threading.Event(), threading.Event()

    class Crowded(Sums):
        """GPU without memory for the long row while the other lane computes."""

        def run(self, names, feed):
            length = feed["input_ids"].shape[1]
            if length == 16 and not busy.is_set():
                busy.set()
                alone.wait(20)
            elif length == 64 and not alone.is_set():
                busy.wait(20)
                alone.set()
                raise device_fault(RuntimeError(NO_MEMORY), "cuda device 0")
            return super().run(names, feed)

    opened = []

    def open_lanes():
        opened.append(1)
        return [Crowded(), Crowded()]

    engine = BatchEngine(open_lanes, 64, Lengths(64))
    busy.set()
    engine.logits([np.ones(16, dtype=np.int64)])
    busy.clear()
    rows = [np.ones(64, dtype=np.int64), np.ones(10, dtype=np.int64)]
    assert engine.logits(rows).tolist() == [[64], [10]]
    assert len(opened) == 1


def test_a_session_that_cannot_be_opened_again_is_an_error_for_all_lanes_and_no_endless_wait():
    sessions = iter([[Small(16), Small(16)]])

    def open_lanes():
        try:
            return next(sessions)
        except StopIteration:
            raise DeviceLost("gone") from None

    engine = BatchEngine(open_lanes, 64, Lengths(64))
    engine.logits([np.ones(3, dtype=np.int64)])
    for _ in range(2):
        with pytest.raises(DeviceLost, match="gone"):
            engine.logits([np.ones(64, dtype=np.int64)] * 4)


def test_a_length_that_does_not_fit_on_a_new_session_is_not_tried_on_another():
    opened = []

    def open_lanes():
        opened.append(1)
        return [Small(48)]

    engine = BatchEngine(open_lanes, 64, Lengths(100))
    engine.logits([np.ones(2, dtype=np.int64)])
    rows = [np.ones(length, dtype=np.int64) for length in (90, 80, 80, 70, 40)]
    assert np.isnan(engine.logits(rows)).ravel().tolist() == [True, True, True, True, False]
    assert len(opened) == 3  # for a length of 96, then for 80, never again


def test_a_row_that_fits_on_a_new_session_gets_its_score():
    opened = []

    def open_lanes():
        opened.append(1)
        return [Small(48 if len(opened) == 1 else 100)]

    engine = BatchEngine(open_lanes, 64, Lengths(100))
    engine.logits([np.ones(2, dtype=np.int64)])
    assert engine.logits([np.ones(90, dtype=np.int64)]).tolist() == [[90]]
    assert len(opened) == 2


def test_the_result_of_a_chunk_is_assembled_once_however_often_it_is_requested(monkeypatch):
    reuse = Reuse(Stages(BatchEngine(lambda: [Sums()], 4096, Lengths(64))))
    made = []
    empty = np.empty
    monkeypatch.setattr("scorer.engine.batch_engine.np.empty", lambda *a, **k: made.append(1) or empty(*a, **k))
    rows = [np.full(1 + number % 60, 1 + number, dtype=np.int64) for number in range(1000)]
    found = reuse.submit(rows).result().logits
    assert found.ravel().tolist() == [float(row.sum()) for row in rows]
    assert len(made) == 1


def test_the_first_batches_are_full_ones_of_the_longest_rows_and_of_the_shortest():
    session = Sums()
    BatchEngine(lambda: [session, session], 640, Lengths(100)).warm_up(3)
    assert sorted(session.shapes) == [(6, 100), (6, 100), (40, 16), (40, 16)]


def test_without_memory_for_any_row_the_error_names_the_device():
    with pytest.raises(OutOfMemory, match="cuda device 0 is out of memory: the model or a single row does not fit"):
        BatchEngine(lambda: [Small(1)], 1000, Lengths(100)).logits([np.ones(5, dtype=np.int64)] * 4)


def test_a_row_that_found_no_memory_is_computed_when_it_comes_again():
    session = Small(16)
    reuse = Reuse(Stages(BatchEngine(lambda: [session], 1000, Lengths(100))))
    row = np.ones(17, dtype=np.int64)
    assert reuse.submit([row[:2]]).result().logits.tolist() == [[2]]
    assert np.isnan(reuse.submit([row, row]).result().logits).all()
    session.tokens = 32
    assert reuse.submit([row]).result().logits.tolist() == [[17]]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (NO_MEMORY, OutOfMemory),
        ("BFCArena::AllocateRawInternal Available memory of 7 is smaller than requested bytes of 9", OutOfMemory),
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
def test_faults_of_a_gpu_are_distinguished_by_onnxruntimes_wording(said, kind):
    assert type(device_fault(RuntimeError(said), "cuda device 0")) is kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", OutOfMemory),
        ("CUDA failure 46: CUDA-capable device(s) is/are busy or unavailable", DeviceLost),
        ("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed.", BundleError),
    ],
)
def test_faults_of_a_gpu_while_the_session_opens_are_distinguished_from_an_invalid_graph(monkeypatch, said, kind):
    def fails(*arguments):
        raise RuntimeError(said)

    monkeypatch.setattr(runtime, "_open", fails)
    monkeypatch.setattr("scorer.engine.gpu.preload_libraries", lambda: [])
    with pytest.raises(kind) as caught:
        runtime.Session(b"", "cuda")
    assert type(caught.value) is kind
