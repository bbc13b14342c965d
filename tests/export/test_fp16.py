"""The CUDA provider without a GPU: its graph, its emulated arithmetic, and its path through `score`."""

import csv
import dataclasses
import json
import threading
from collections import Counter

import numpy as np
import onnx
import pytest
from factories import MAX_LENGTH, POSITIONS, make_bundle, reviews

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.weights import encoder_weights
from export.graph.classifier import graph_logits
from export.graph.fp16 import constants, dequantized, to_float16, to_half
from export.graph.fp16_emulator import Emulated, half_logits
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from export.graph.weights_file import WeightsFile, with_weights_files
from scorer import Scorer
from scorer.base.errors import BundleError
from scorer.engine import runtime
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import pad
from scorer.engine.gpu import Gpu
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import Lane
from scorer.model.bundle import load_bundle
from scorer.model.decision import probabilities
from scorer.model.loaded import LoadedModel

FAMILIES = ("distilbert", "bert", "roberta")
RANDOM = np.random.default_rng(3).normal(size=(1, 128)).astype(np.float32)
QUERIES = np.random.default_rng(4).normal(size=(4, 32), scale=0.2).astype(np.float32)
SOURCES = ("fp32", "int8")

# Nodes of a classifier with two blocks. Attention gets lengths, and no If makes the GPU wait for a decision on the CPU.
# Nothing is left for onnxruntime to fuse: no separate bias but the query's, no LayerNormalization and no GELU.
NODES = {
    "cls": {"MatMul": 14, "FusedMatMul": 1, "Add": 4, "MultiHeadAttention": 1, "Softmax": 1, "BiasGelu": 2,
            "SkipLayerNormalization": 5},
    "mean": {"MatMul": 14, "Add": 3, "MultiHeadAttention": 2, "BiasGelu": 2, "SkipLayerNormalization": 5},
    "attention": {"MatMul": 14, "FusedMatMul": 1, "Add": 4, "MultiHeadAttention": 2, "Softmax": 1, "BiasGelu": 2,
                  "SkipLayerNormalization": 5},
}  # fmt: skip
OTHER_NODES = {"Cast", "Gather", "Reshape", "Transpose", "Shape", "Slice", "ReduceSum", "Unsqueeze", "Squeeze", "Where",
               "Mul", "Div"}  # fmt: skip


@pytest.fixture(scope="module", params=[(family, pooling) for family in FAMILIES for pooling in NODES], ids="-".join)
def subject(request, encoder):
    family, pooling = request.param
    frozen = encoder(family)
    return encoder_weights(frozen), pooling, frozen.tokenizer.encode(reviews(40, 2, 3).texts).ids


def classifier(pooling):
    width = 128 if pooling == "attention" else 32
    head = LinearHead(RANDOM[:, :width], np.ones(1, dtype=np.float32))
    return Classifier(head, pooling, queries={2: QUERIES} if pooling == "attention" else {})


def half_of(subject, source):
    weights, pooling, rows = subject
    return to_half(
        weights,
        classifier(pooling),
        rows[:20],
        to_int8(weights, classifier(pooling), rows[:20]) if source == "int8" else None,
    )


def test_the_graph_for_cuda_has_exactly_the_operators_that_were_chosen(subject):
    weights, pooling, _ = subject
    found = Counter(node.op_type for node in to_float16(weights, classifier(pooling)).graph.node)
    assert {name: count for name, count in found.items() if name not in OTHER_NODES} == NODES[pooling]


@pytest.mark.parametrize(
    ("family", "other"),
    [
        ("electra", {"MatMul": 15, "Add": 4}),  # a projection of the embeddings
        ("albert", {"MatMul": 15, "Add": 4, "FastGelu": 2, "BiasGelu": 0}),
        ("mpnet", {"Sub": 1}),  # a bias by distance, made once
    ],
)
def test_the_graph_for_cuda_of_a_family_with_small_differences_has_as_few_nodes(encoder, family, other):
    graph = to_float16(encoder_weights(encoder(family)), classifier("mean")).graph
    found = Counter(node.op_type for node in graph.node if node.op_type not in OTHER_NODES)
    assert found == Counter({**NODES["mean"], **other})


@pytest.mark.parametrize("source", SOURCES)
def test_weights_become_float16_once_while_the_session_is_made(subject, source, tmp_path):
    options = runtime.session_options("cpu")
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    runtime.open_session(half_of(subject, source).graph.SerializeToString(), "cpu", options=options)
    graph = onnx.load(tmp_path / "optimized.onnx").graph
    constant = {tensor.name for tensor in graph.initializer}
    assert not [node.name for node in graph.node if set(filter(None, node.input)) <= constant]
    assert not [tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8]


@pytest.mark.parametrize("source", SOURCES)
def test_without_rounding_the_graph_for_cuda_is_the_graph_for_cpu(subject, source, monkeypatch):
    """The graphs compute the same function with other nodes, so in float32 only the last bits may differ."""
    weights, pooling, rows = subject
    rounded = {}
    if source == "int8":
        rounded = constants(to_int8(weights, classifier(pooling), rows[:20]))
        weights = dequantized(weights, rounded)
    monkeypatch.setattr("export.graph.fp16_emulator._rounded", lambda value: value)
    graph, expected = (
        to_float16(weights, classifier(pooling), rounded),
        to_float32(weights, classifier(pooling)),
    )
    np.testing.assert_allclose(half_logits(graph, rows), graph_logits(expected, rows), atol=1e-4)


def test_what_int8_rounds_is_all_that_its_dequantized_weights_differ_by(subject):
    weights, pooling, rows = subject
    int8 = to_int8(weights, classifier(pooling), rows[:20])
    same = dequantized(weights, constants(int8))
    exact = graph_logits(to_float32(weights, classifier(pooling)), rows)
    by_weights = np.abs(graph_logits(to_float32(same, classifier(pooling)), rows) - exact).mean()
    # The weights change both the vectors and the shares of the tokens in an attention pooling.
    assert 0 < by_weights < (0.03 if pooling == "attention" else 0.02) * exact.std()


@pytest.mark.parametrize("source", SOURCES)
def test_float16_stays_close_to_float32_with_the_same_weights_and_on_the_mean_equal(subject, source):
    half, rows = half_of(subject, source), subject[2]
    found, exact = half_logits(half.graph, rows), graph_logits(half.exact, rows)
    assert 1e-6 < np.abs(found - exact).max() < 0.03 * exact.std()
    assert abs((found - exact)[:20].mean()) < 1e-4


def test_padding_on_the_right_changes_nothing_of_what_a_gpu_would_compute(subject):
    half, rows = half_of(subject, "fp32"), sorted(subject[2], key=len)
    emulated = Emulated(half.graph)
    alone = np.concatenate([emulated.run(*pad([row])) for row in rows[::8]])
    np.testing.assert_allclose(emulated.run(*pad(rows[::8], 40, count=9))[: len(alone)], alone, atol=2e-3)


def test_a_text_of_one_token_and_one_of_all_positions_are_computed(subject):
    graph = half_of(subject, "fp32").graph
    rows = [np.array([5]), np.resize(np.arange(5, 30), POSITIONS)]
    assert np.isfinite(half_logits(graph, rows)).all()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_what_overflows_float16_is_no_number_and_so_no_score(encoder, pooling):
    weights = encoder_weights(encoder("bert"))
    block = weights.blocks[0]
    huge = dataclasses.replace(block.ffn_in, weight=block.ffn_in.weight * np.float32(2e4))
    weights = dataclasses.replace(weights, blocks=(dataclasses.replace(block, ffn_in=huge), *weights.blocks[1:]))
    rows = [np.array([5, 6, 7])]
    assert np.isfinite(graph_logits(to_float32(weights, classifier(pooling)), rows)).all()
    graph = to_float16(weights, classifier(pooling))
    assert not np.isfinite(half_logits(graph, rows)).any()
    with pytest.raises(BundleError, match=r"not a number.*Try another --precision"):
        graph_logits(graph, rows)


@pytest.mark.parametrize("precisions", [("fp32", "fp16", "int8"), ("fp16", "int8"), ("fp16",), ("fp32",)])
def test_a_bundle_holds_its_weights_once(encoder, tmp_path, precisions):
    bundle = make_bundle(encoder("distilbert"), tmp_path / "b", precisions=precisions)
    read = {precision: set(bundle.external(precision)) for precision in precisions}
    assert read.get("fp16", {"none"}) in (read.get("fp32"), read.get("int8"), {"weights.fp16.bin"}, {"none"})
    for precision in precisions:
        graph = onnx.load_from_string(bundle.graph(precision)).graph
        inside = sum(len(tensor.raw_data) for tensor in graph.initializer)
        assert inside < 12_000  # small tensors, and those that only fp16 has
        session = runtime.Session(bundle.graph(precision), "cpu", external=bundle.external(precision))
        assert np.isfinite(RowEngine(session, 1).logits([np.array([5, 6, 7])])).all()
    size = sum(len(data) for name, data in bundle.files.items() if name.endswith((".onnx", ".bin")))
    largest = {"fp32": 79_232, "int8": 26_000}
    assert size < sum(largest.get(precision, 0) for precision in precisions) + 21_000 * len(precisions) + 80_000 * (
        precisions == ("fp16",)
    )


def test_a_constant_that_is_the_beginning_of_another_of_its_name_is_kept_once():
    def graph(array, name="w"):
        tensor = onnx.numpy_helper.from_array(array, name)
        return onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))

    whole = np.arange(128 * 64, dtype=np.int8).reshape(128, 64)
    file = WeightsFile("weights.bin")
    file.add(graph(whole))
    size = len(file.data)
    for other, moved in (
        (whole[:100], True), (whole[1:], False), (whole.astype(np.float32), False), (whole[:100, :32], False),
    ):  # fmt: skip
        (tensor,) = file.add(graph(other)).graph.initializer
        assert bool(tensor.external_data) == moved
        assert moved or (onnx.numpy_helper.to_array(tensor) == other).all()
    assert len(file.data) == size
    file.add(graph(whole[:50], "another"))
    assert len(file.data) == size + 50 * 64


def test_graphs_and_files_are_those_of_the_precisions(encoder):
    weights = encoder_weights(encoder("bert"))
    fp32 = to_float32(weights, classifier("cls"))
    graphs, files = with_weights_files({"fp16": to_float16(weights, classifier("cls")), "fp32": fp32})
    assert graphs.keys() == {"fp16", "fp32"}
    assert files.keys() == {"weights.fp32.bin"}
    assert all(tensor.raw_data for tensor in fp32.graph.initializer)  # the given graph is unchanged


# `score --provider cuda`, with the CPU in place of the GPU


@pytest.fixture
def cpu_as_gpu(monkeypatch):
    """The whole CUDA path of the scorer, including buffers and batches, on onnxruntime's CPU provider."""
    monkeypatch.setattr(runtime, "provider_problem", lambda provider, gpu=None: None)
    monkeypatch.setattr(runtime, "provider_remark", lambda provider: None)
    monkeypatch.setattr(runtime, "PROVIDERS", {"cpu": "CPUExecutionProvider", "cuda": "CPUExecutionProvider"})
    monkeypatch.setattr("scorer.engine.gpu.preload_libraries", lambda: [])
    monkeypatch.setattr(Gpu, "provider_options", lambda self: {})


@pytest.fixture
def many(tmp_path):
    """A folder with reviews of all lengths, including some that cannot be scored."""
    texts = [*reviews(900, 2, 7).texts, "", *reviews(300, 2, 8).texts, " "]
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    return tmp_path


def scores(path):
    with open(path) as file:
        return {int(row["row"]): (row["label"], float(row["score"])) for row in csv.DictReader(file)}


def test_the_way_through_cuda_gives_every_row_its_score_in_order(score, many, cpu_as_gpu, monkeypatch):
    monkeypatch.setattr(BatchEngine, "chunk_rows", 256)
    score(many / "in.jsonl", "-o", many / "cpu.csv", "--precision", "fp32")
    result = score(many / "in.jsonl", "-o", many / "cuda.csv", "--provider", "cuda", "--batch-tokens", 700)
    assert result.code == 3
    assert "1,200 of 1,202 rows scored" in result.err
    assert "of all tokens computed were padding" in result.err
    expected, found = scores(many / "cpu.csv"), scores(many / "cuda.csv")
    assert list(found) == list(expected)
    differences = [abs(found[row][1] - expected[row][1]) for row in expected]
    assert 0 < max(differences) < 5e-3  # from float16 rounding in onnxruntime's CPU provider
    assert np.mean([found[row][0] == expected[row][0] for row in expected]) > 0.99
    assert (many / "cuda.csv.rejects.jsonl").read_bytes() == (many / "cpu.csv.rejects.jsonl").read_bytes()


@pytest.mark.parametrize(
    "said",
    [
        "CUDA failure 2: out of memory ; GPU=0",
        "BFCArena::AllocateRawInternal Available memory of 183644672 is smaller than requested bytes of 201326592",
    ],
)
def test_on_a_gpu_with_little_memory_every_row_is_scored_and_the_smaller_batches_are_named(
    score, many, cpu_as_gpu, monkeypatch, said
):
    run, limit = runtime.Session.run_bound, 600

    def short_of_memory(self, binding):
        shape = shapes.pop()
        if np.prod(shape) > limit:
            raise runtime.device_fault(RuntimeError(said), "cuda device 0")
        run(self, binding)

    shapes = []

    class Narrow(Lane):
        def run(self, names, feed):
            with lock:
                shapes.append(feed["input_ids"].shape)
                return super().run(names, feed)

    lock = threading.Lock()
    monkeypatch.setattr(runtime.Session, "run_bound", short_of_memory)
    monkeypatch.setattr(runtime, "Lane", Narrow)
    result = score(many / "in.jsonl", "-o", many / "cuda.csv", "--provider", "cuda", "--batch-tokens", 5000)
    assert result.code == 3
    assert len(scores(many / "cuda.csv")) == 1200
    assert "The GPU ran out of memory, so batches were reduced to" in result.err


def test_a_missing_cudnn_is_said_and_no_error(score, many, cpu_as_gpu, monkeypatch):
    monkeypatch.setattr(runtime, "provider_remark", lambda provider: "cuDNN cannot be loaded")
    result = score(many / "in.jsonl", "-o", many / "o.csv", "--provider", "cuda")
    assert result.code == 3
    assert "Note: cuDNN cannot be loaded.\n" in result.err


def test_a_limit_that_the_weights_alone_pass_is_refused(score, many, cpu_as_gpu):
    result = score(many / "in.jsonl", "-o", many / "o.csv", "--provider", "cuda", "--gpu-mem-limit", 100)
    assert result.code == 2
    assert result.err == "Error: --gpu-mem-limit is too small for this model: set at least 129 MB.\n"


def test_a_gpu_that_cannot_compute_the_longest_text_is_known_at_the_start(score, many, cpu_as_gpu, monkeypatch):
    class Narrow(Lane):
        def run(self, names, feed):
            if feed["input_ids"].shape[1] >= MAX_LENGTH and (feed["attention_mask"].sum(axis=1) == MAX_LENGTH).any():
                raise runtime.device_fault(RuntimeError("CUDA failure 2: out of memory"), "cuda device 0")
            return super().run(names, feed)

    monkeypatch.setattr(runtime, "Lane", Narrow)
    monkeypatch.setattr(
        "scorer.model.loaded.check_golden_rows",
        lambda path, manifest, choice, tokenizer, engine: engine.logits([np.ones(3, int)]),
    )
    result = score(many / "in.jsonl", "-o", many / "o.csv", "--provider", "cuda")
    assert result.code == 1
    assert "the device does not have enough memory for a single text of 24 tokens." in result.err


def test_a_graph_with_other_outputs_than_the_manifest_says_is_refused(bundle, cpu_as_gpu):
    rows = tuple(
        dataclasses.replace(row, logits={name: logits * 3 for name, logits in row.logits.items()})
        for row in bundle.manifest.golden
    )
    manifest = dataclasses.replace(bundle.manifest, labels=("a", "b", "c"), positive_label=None, golden=rows)
    with pytest.raises(BundleError, match="is refused: "):
        LoadedModel(dataclasses.replace(bundle, manifest=manifest), provider="cuda")


@pytest.mark.parametrize("option", [("--gpu-mem-limit", "0"), ("--arena-strategy", "none"), ("--batch-tokens", "0")])
def test_options_of_the_gpu_are_checked(score, many, option):
    assert score(many / "in.jsonl", *option).code == 2


def test_the_gpus_options_reach_onnxruntime(score, many, cpu_as_gpu, monkeypatch):
    seen = []
    monkeypatch.setattr(Gpu, "provider_options", lambda self: seen.append(self) or {})
    options = ("--device-id", 3, "--gpu-mem-limit", 2000, "--arena-strategy", "next-power-of-two")
    assert score(many / "in.jsonl", "-o", many / "o.csv", "--provider", "cuda", *options).code == 3
    assert set(seen) == {Gpu(3, 2_000_000_000, "next-power-of-two")}


def test_the_bundle_says_how_large_batches_are_and_the_command_line_overrides_it(bundle, cpu_as_gpu):
    said = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, batch_tokens=640))
    assert LoadedModel(said, provider="cuda").engine.batch_tokens == 640
    assert LoadedModel(said, provider="cuda", batch_tokens=320).engine.batch_tokens == 320
    assert LoadedModel(bundle, provider="cuda").engine.batch_tokens == 32768
    assert bundle.manifest.max_length == MAX_LENGTH


def test_fp16_of_a_bundle_gives_the_labels_of_fp32_on_cpu_too(bundle):
    texts = reviews(200, 2, 9).texts
    found = {
        precision: Scorer(load_bundle(bundle.path), provider="cpu", precision=precision).score(texts)
        for precision in ("fp16", "fp32")
    }
    assert np.abs(found["fp16"].probabilities - found["fp32"].probabilities).max() < 5e-3
    assert np.mean([a == b for a, b in zip(found["fp16"].labels, found["fp32"].labels, strict=True)]) > 0.99
    assert probabilities(np.zeros((1, 1))).tolist() == [[0.5, 0.5]]
