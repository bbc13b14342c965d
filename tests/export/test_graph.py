"""The exported graph: the operators that run, its inputs and outputs, and its exactness for every family."""

import dataclasses
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
import transformers
from factories import POSITIONS, reviews

from export.classifier.classifier import Classifier
from export.classifier.head import Dense, LinearHead
from export.encoder.vectors import vectors
from export.encoder.weights import encoder_weights
from export.graph.fp32 import feature_graph, to_float32
from export.graph.int8 import to_int8
from scorer.engine import runtime
from scorer.engine.batches import pad
from scorer.engine.row_engine import RowEngine

FAMILIES = ("distilbert", "bert", "roberta")
HEAD = LinearHead(np.random.default_rng(3).normal(size=(1, 32)).astype(np.float32), np.ones(1, dtype=np.float32))

# Operators that onnxruntime runs for a classifier of two blocks, with [CLS] and mean pooling. They were chosen by
# measurement (docs/PERFORMANCE.md): no fused LayerNormalization or GELU, int8 products that include scale and bias, and
# attention in one kernel. A release that fuses differently has to be measured again.
FP32 = {
    "cls": {"MatMul": 9, "FusedMatMul": 1, "Gemm": 5, "If": 1, "MultiHeadAttention": 2, "Softmax": 1, "Gelu": 2,
            "LayerNormalization": 5, "Add": 12},
    "mean": {"MatMul": 13, "Gemm": 1, "If": 2, "MultiHeadAttention": 4, "Gelu": 2, "LayerNormalization": 5, "Add": 17},
}  # fmt: skip
INT8 = {
    "cls": {"MatMulIntegerToFloat": 10, "MatMul": 3, "FusedMatMul": 1, "Gemm": 1, "If": 2, "Attention": 1,
            "MultiHeadAttention": 2, "Softmax": 1, "Gelu": 2, "LayerNormalization": 5, "Add": 6},
    "mean": {"MatMulIntegerToFloat": 12, "MatMul": 1, "Gemm": 1, "If": 4, "Attention": 2, "MultiHeadAttention": 4,
             "Gelu": 2, "LayerNormalization": 5, "Add": 5},
}  # fmt: skip
COUNTED = {*FP32["cls"], *INT8["cls"], "SkipLayerNormalization", "EmbedLayerNormalization", "BiasGelu", "FastGelu",
           "QuickGelu", "Attention", "QAttention", "DynamicQuantizeMatMul", "DynamicQuantizeLinear", "MatMulInteger",
           "FusedGemm"}  # fmt: skip


def operators(graph: onnx.GraphProto) -> Counter[str]:
    """Count all nodes by operator, including those inside the branches of an If."""
    found: Counter[str] = Counter()
    for node in graph.node:
        found[node.op_type] += 1
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += operators(attribute.g)
    return found


def optimized(model: onnx.ModelProto, path) -> Counter[str]:
    """Count the operators of a graph after onnxruntime has optimized it for CPU, with the scorer's settings."""
    options = runtime.session_options("cpu")
    options.optimized_model_filepath = str(path)
    runtime.open_session(model.SerializeToString(), "cpu", options=options)
    return operators(onnx.load(path).graph)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_cpu_runs_exactly_the_operators_that_were_chosen(encoder, tmp_path, family, pooling):
    frozen = encoder(family)
    weights = encoder_weights(frozen)
    rows = frozen.tokenizer.encode(reviews(20, 2, 3).texts).ids
    for model, expected in (
        (to_float32(weights, Classifier(HEAD, pooling)), FP32[pooling]),
        (to_int8(weights, Classifier(HEAD, pooling), rows), INT8[pooling]),
    ):
        found = optimized(model, tmp_path / "optimized.onnx")
        assert {name: count for name, count in found.items() if name in COUNTED} == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_for_cuda_has_one_attention_kernel_a_block(encoder, family):
    """The exported graph is tested; the fusions of a GPU session can only be seen on a GPU."""
    found = operators(to_float32(encoder_weights(encoder(family)), Classifier(HEAD, "mean")).graph)
    assert {name: found[name] for name in ("If", "MultiHeadAttention", "Softmax", "LayerNormalization", "Gelu")} == {
        "If": 2, "MultiHeadAttention": 4, "Softmax": 0, "LayerNormalization": 5, "Gelu": 2,
    }  # fmt: skip


@pytest.mark.parametrize(("family", "more"), [("electra", 1), ("albert", 1), ("mpnet", 0)])
def test_cpu_runs_the_same_kernels_for_families_with_small_differences(encoder, tmp_path, family, more):
    """A projection of the embeddings is one more product. A bias by distance is made once for all blocks."""
    frozen = encoder(family)
    weights = encoder_weights(frozen)
    rows = frozen.tokenizer.encode(reviews(20, 2, 3).texts).ids
    for model, expected, product in (
        (to_float32(weights, Classifier(HEAD, "mean")), FP32["mean"], "MatMul"),
        (to_int8(weights, Classifier(HEAD, "mean"), rows), INT8["mean"], "MatMulIntegerToFloat"),
    ):
        found = optimized(model, tmp_path / "optimized.onnx")
        kernels = {name: count for name, count in found.items() if name in COUNTED and name != "Add"}
        assert kernels == {name: count + more * (name == product) for name, count in expected.items() if name != "Add"}
    by_pair = [node.name for node in model.graph.node if node.op_type == "Gather" and "relative" in node.name]
    assert by_pair == (["relative.by_pair"] if family == "mpnet" else [])


@pytest.mark.parametrize("family", [*FAMILIES, "electra", "albert", "mpnet"])
def test_the_block_for_the_first_token_alone_is_exact(encoder, family):
    """The reference is the same graph with a whole last block, whose first token is read afterwards."""
    weights = encoder_weights(encoder(family))
    whole = runtime.open_session(feature_graph(weights, vectors("cls+mean", 2)).SerializeToString(), "cpu")
    short = runtime.open_session(to_float32(weights, Classifier(HEAD, "cls")).SerializeToString(), "cpu")
    generator = np.random.default_rng(0)
    for lengths in ((1,), (POSITIONS,), (3, 17, 1, 40), (33,) * 7):
        ids, mask = pad([generator.integers(5, 30, size=length) for length in lengths])
        feed = {"input_ids": ids, "attention_mask": mask}
        expected = HEAD.logits(whole.run(None, feed)[0][:, 0])
        np.testing.assert_allclose(short.run(None, feed)[0], expected, atol=1e-5)


def logits(session, ids):
    return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("family", [*FAMILIES, "electra", "albert", "mpnet"])
def test_rows_of_equal_length_get_the_bits_of_single_rows(encoder, family, precision):
    """The scorer shares runs because of this."""
    frozen = encoder(family)
    weights = encoder_weights(frozen)
    generator = np.random.default_rng(1)
    for pooling in ("cls", "mean"):
        if precision == "fp32":
            model = to_float32(weights, Classifier(HEAD, pooling))
        else:
            model = to_int8(weights, Classifier(HEAD, pooling), frozen.tokenizer.encode(reviews(20, 2, 3).texts).ids)
        session = runtime.open_session(model.SerializeToString(), "cpu")
        for length in range(1, POSITIONS + 1):
            ids = generator.integers(5, 30, size=(8, length))
            alone = [logits(session, row) for row in ids[:, np.newaxis]]
            for rows in (2, 4, 8):
                assert logits(session, ids[:rows]).tobytes() == np.concatenate(alone[:rows]).tobytes(), (length, rows)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("hidden", [312, 384, 768])
def test_rows_of_equal_length_get_the_bits_of_single_rows_at_real_widths(encoder, hidden, precision, monkeypatch):
    """Products of such widths have several blocks of channels, and 312 is no multiple of the widest vectors."""
    monkeypatch.setattr("scorer.engine.row_engine._CHECKING", np.inf)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=hidden, num_hidden_layers=2, num_attention_heads=12, intermediate_size=4 * hidden,
        max_position_embeddings=POSITIONS,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertModel(config, add_pooling_layer=False)
    weights = encoder_weights(dataclasses.replace(encoder("bert"), model=model.eval()))
    generator = np.random.default_rng(1)
    dense = Dense(*(generator.normal(size=shape).astype(np.float32) for shape in ((24, 2 * hidden), (24,))), "tanh")
    head = LinearHead(generator.normal(size=(3, 24)).astype(np.float32), np.zeros(3, dtype=np.float32))
    classifier = Classifier(head, "cls+mean1", dense=dense)
    if precision == "fp32":
        graph = to_float32(weights, classifier)
    else:
        graph = to_int8(weights, classifier, [generator.integers(5, 30, size=20) for _ in range(5)])
    session = runtime.Session(graph.SerializeToString(), "cpu")
    assert session.independent_rows
    rows = [generator.integers(5, 30, size=length) for length in range(1, POSITIONS + 1) for _ in range(8)]
    expected = RowEngine(session, 1).logits(rows)
    engine = RowEngine(session, 1, share=True)
    for _ in range(4):
        assert engine.logits(rows).tobytes() == expected.tobytes()


def test_inputs_and_outputs_have_the_usual_names_and_dynamic_axes(encoder):
    graph = to_float32(encoder_weights(encoder("bert")), Classifier(HEAD, "cls")).graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"], "logits": ["batch", 1],
    }  # fmt: skip
