"""The frozen encoder and its head as one ONNX graph, written node by node.

Not traced through transformers' modelling code or an exporter: the graph is what is written here, whatever their
releases do, and every operator in it was chosen by measurement (docs/PERFORMANCE.md). The parity gate compares it
with transformers' own model.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.pooling import NO_QUERIES, Queries, Vector, vectors
from export.encoder.weights import Block, EncoderWeights, Linear, Norm
from export.errors import ExportError
from export.graph.truncation import write_cut
from export.graph.wide import write_wide
from export.graph.writer import MICROSOFT, GraphWriter
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session


class Arithmetic(Protocol):
    """How the weights take part: in float32, or quantized (`export.graph.int8.Int8`)."""

    def look_up(self, writer: GraphWriter, table: np.ndarray, ids: str) -> str:
        """``table[ids]``: (batch, sequence) -> (batch, sequence, hidden)"""
        ...

    def linear(self, writer: GraphWriter, x: str, linear: Linear, name: str) -> str:
        """``x @ weight + bias`` over the last axis."""
        ...


class Float32:
    """Weights as they are."""

    def look_up(self, writer: GraphWriter, table: np.ndarray, ids: str) -> str:
        return writer.node("Gather", writer.constant("word", table), ids, axis=0, name="words")

    def linear(self, writer: GraphWriter, x: str, linear: Linear, name: str) -> str:
        product = writer.node("MatMul", x, writer.constant(f"{name}.weight", linear.weight), name=f"{name}.product")
        return writer.node("Add", product, writer.constant(f"{name}.bias", linear.bias), name=name)


def to_float32(
    weights: EncoderWeights, classifier: Classifier, arithmetic: Arithmetic | None = None
) -> onnx.ModelProto:
    """The classifier as a graph: input_ids, attention_mask -> logits, batch and sequence both dynamic.

    Args:
        weights: of the encoder.
        classifier: what is on top of it. No block is computed that its pooling does not need, and the last one for the
            first token alone if that does.
        arithmetic: of the blocks and the embeddings; None for float32.

    Raises:
        ExportError: the graph is malformed.
    """
    writer = GraphWriter()
    ids, mask = inputs(writer, classifier)
    wanted = vectors(classifier.pooling, len(weights.blocks))
    found = _pooled(writer, weights, wanted, classifier.queries, arithmetic or Float32(), ids, mask)
    return with_head(writer, found, classifier)


def inputs(writer: GraphWriter, classifier: Classifier) -> tuple[str, str]:
    """What the encoder reads: ids and mask, (batch, sequence) both."""
    return ("input_ids", "attention_mask") if classifier.cut is None else write_cut(writer, classifier.cut)


def with_head(writer: GraphWriter, pooled: Sequence[str], classifier: Classifier) -> onnx.ModelProto:
    """The model whose last part, float32, is the head on some vectors a text, and the wide part beside it.

    Args:
        writer: of the encoder.
        pooled: the vectors, (batch, hidden) each.
        classifier: whose head and wide part.

    Raises:
        ExportError: it is malformed.
    """
    head = classifier.head
    features = pooled[0] if len(pooled) == 1 else writer.node("Concat", *pooled, axis=1, name="features")
    product = writer.node("MatMul", features, writer.constant("head.weight", head.weight.T), name="head.product")
    bias = writer.constant("head.bias", head.bias)
    if classifier.wide is None:
        writer.node("Add", product, bias, name="logits")
    else:
        deep = writer.node("Add", product, bias, name="head.logits")
        writer.node("Add", deep, write_wide(writer, classifier.wide), name="logits")
    return _finished(writer, {"logits": ["batch", len(head.bias)]})


def set_head_bias(model: onnx.ModelProto, head: LinearHead) -> None:
    """Give a classifier's graph the bias of another head."""
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "head.bias")
    bias.CopyFrom(numpy_helper.from_array(head.bias, bias.name))


def feature_graph(weights: EncoderWeights, wanted: Sequence[Vector], queries: Queries = NO_QUERIES) -> onnx.ModelProto:
    """The encoder alone, float32: input_ids, attention_mask -> features (batch, vectors, hidden).

    An attention pooling among the wanted is as many vectors as it has queries.
    """
    writer = GraphWriter()
    shape = writer.constant("vectors", [0, -1, weights.hidden])
    found = _pooled(writer, weights, wanted, queries, Float32(), "input_ids", "attention_mask")
    rows = [
        writer.node("Reshape", pooled, shape, name=f"{vector.name}.vectors")
        for vector, pooled in zip(wanted, found, strict=True)
    ]
    writer.node("Concat", *rows, axis=1, name="features")
    return _finished(writer, {"features": ["batch", "vectors", weights.hidden]})


def hidden_graph(weights: EncoderWeights, layer: int) -> onnx.ModelProto:
    """The encoder up to a layer, float32: input_ids, attention_mask -> hidden (batch * sequence, hidden)."""
    writer = GraphWriter()
    mask = _Mask(writer, "attention_mask")
    x = _embeddings(writer, weights, Float32(), "input_ids")
    for number, block in enumerate(weights.blocks[:layer]):
        x = _block(writer, x, block, weights.heads, mask, Float32(), f"block.{number}")
    writer.node("Reshape", x, writer.constant("end_to_end", [-1, weights.hidden]), name="hidden")
    return _finished(writer, {"hidden": ["tokens", weights.hidden]})


def graph_logits(model: onnx.ModelProto, rows: Sequence[np.ndarray]) -> np.ndarray:
    """What a graph gives for token rows on CPU, a row a run: float32 (rows, logits)."""
    return RowEngine(open_session(model.SerializeToString(), "cpu"), threads=1).logits(rows)


def check_graph(model: onnx.ModelProto) -> None:
    """Raise `ExportError` unless the graph is well formed and its batch and sequence axes are symbolic."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is malformed: {error}") from error
    axes = {}
    for value in model.graph.input:
        axes[value.name] = [axis.dim_param for axis in value.type.tensor_type.shape.dim]
    expected = {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]}
    if axes != expected:
        raise ExportError(f"the exported graph's axes are {axes}, not {expected}.")


def _finished(writer: GraphWriter, outputs: dict[str, list[str | int]]) -> onnx.ModelProto:
    model = writer.model(
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
    )
    check_graph(model)
    return model


def _pooled(
    writer: GraphWriter,
    weights: EncoderWeights,
    wanted: Sequence[Vector],
    queries: Queries,
    arithmetic: Arithmetic,
    ids: str,
    attention_mask: str,
) -> list[str]:
    """The encoder, as far as it is needed; returns for each vector wanted its name, (batch, hidden).

    Of an attention pooling, (batch, queries * hidden).
    """
    mask = _Mask(writer, attention_mask)
    x = _embeddings(writer, weights, arithmetic, ids)
    found: dict[Vector, str] = {}
    for layer, block in enumerate(weights.blocks[: max(vector.layer for vector in wanted)], start=1):
        name = f"block.{layer - 1}"
        here = [vector for vector in wanted if vector.layer == layer]
        if [vector.kind for vector in here] == ["cls"]:  # the last block
            found[here[0]] = _first_token_block(writer, x, block, weights.heads, mask, arithmetic, name)
            break
        x = _block(writer, x, block, weights.heads, mask, arithmetic, name)
        for vector in here:
            if vector.kind == "cls":
                found[vector] = _first(writer, x, "first")
            elif vector.kind == "mean":
                found[vector] = mask.mean(x, vector.name)
            else:
                found[vector] = _attention_pooled(writer, x, queries[layer], mask, vector.name)
    return [found[vector] for vector in wanted]


def _attention_pooled(writer: GraphWriter, x: str, queries: np.ndarray, mask: "_Mask", name: str) -> str:
    """softmax(Q X^T) X, the rows of each text side by side: (batch, sequence, hidden) -> (batch, queries * hidden)."""
    gathered = _gathered(writer, x, writer.constant(f"{name}.queries", queries[np.newaxis]), mask, name)
    return writer.node("Reshape", gathered, writer.constant("side_by_side", [0, queries.size]), name=name)


def _gathered(writer: GraphWriter, x: str, reach: str, mask: "_Mask", name: str) -> str:
    """softmax(U X^T) X, padding left out: (batch or 1, n, hidden) and (batch, sequence, hidden) -> (batch, n, hidden)."""
    turned = writer.node("Transpose", x, perm=[0, 2, 1], name=f"{name}.turned")
    scores = mask.added(writer.node("MatMul", reach, turned, name=f"{name}.scores"), f"{name}.masked")
    shares = writer.node("Softmax", scores, axis=-1, name=f"{name}.shares")  # (batch, n, sequence)
    return writer.node("MatMul", shares, x, name=f"{name}.gathered")


def _embeddings(writer: GraphWriter, weights: EncoderWeights, arithmetic: Arithmetic, ids: str) -> str:
    words = arithmetic.look_up(writer, weights.word, ids)
    length = writer.node("Shape", ids, start=1, end=2, name="sequence")
    positions = writer.node(
        "Slice",
        writer.constant("position", weights.positions),
        writer.constant("zero", [0]),
        length,
        name="positions",
    )
    return _norm(writer, writer.node("Add", words, positions, name="embedded"), weights.embedding_norm, "embeddings")


def _block(
    writer: GraphWriter, x: str, block: Block, heads: int, mask: "_Mask", arithmetic: Arithmetic, name: str
) -> str:
    """A whole block: (batch, sequence, hidden) -> the same."""
    query, key, value = (
        arithmetic.linear(writer, x, getattr(block, part), f"{name}.{part}") for part in ("query", "key", "value")
    )
    context = mask.attention(query, key, value, heads, f"{name}.context")
    return _after_attention(writer, x, context, block, arithmetic, name)


def _after_attention(writer: GraphWriter, x: str, context: str, block: Block, arithmetic: Arithmetic, name: str) -> str:
    """The rest of a block, for whichever tokens x and context hold: (..., hidden), twice -> (..., hidden)."""
    attended = arithmetic.linear(writer, context, block.attention_output, f"{name}.attention_output")
    attended = writer.node("Add", x, attended, name=f"{name}.attended")
    x = _norm(writer, attended, block.attention_norm, f"{name}.attention_norm")
    inner = writer.node("Gelu", arithmetic.linear(writer, x, block.ffn_in, f"{name}.ffn_in"), name=f"{name}.gelu")
    outer = arithmetic.linear(writer, inner, block.ffn_out, f"{name}.ffn_out")
    return _norm(writer, writer.node("Add", x, outer, name=f"{name}.fed"), block.ffn_norm, f"{name}.ffn_norm")


def _first_token_block(
    writer: GraphWriter, x: str, block: Block, heads: int, mask: "_Mask", arithmetic: Arithmetic, name: str
) -> str:
    """The block's output for the first token alone, which is all that [CLS] pooling reads.

    One query row is needed, and neither keys nor values of the other tokens have to be formed. With x0 the first row
    of X, and for each head: q = Wq x0 + bq; u = Wk^T q; a = softmax(X u / sqrt(head size)); context = Wv (X^T a) + bv.
    The keys' bias adds the same to every score of a row, so softmax takes it out again; the weights a sum to 1, so the
    values' bias comes through as it is.

    Returns:
        (batch, hidden)
    """
    hidden = len(block.query.bias)
    size = hidden // heads
    scaled = Linear(block.query.weight / math.sqrt(size), block.query.bias / math.sqrt(size))
    first = _first(writer, x, f"{name}.first")  # (batch, hidden)
    query = arithmetic.linear(writer, first, scaled, f"{name}.query")
    by_head = writer.node(
        "Reshape", query, writer.constant(f"{name}.by_head", [0, heads, 1, size]), name=f"{name}.query_by_head"
    )
    # (batch, heads, 1, head size) x (heads, head size, hidden) -> (batch, heads, hidden)
    key = block.key.weight.T.reshape(heads, size, hidden)
    reach = writer.node("MatMul", by_head, writer.constant(f"{name}.key.weight", key), name=f"{name}.reach_by_head")
    rows = writer.constant(f"{name}.rows", [0, heads, hidden])
    reach = writer.node("Reshape", reach, rows, name=f"{name}.reach")
    gathered = _gathered(writer, x, reach, mask, name)  # (batch, heads, hidden)
    gathered = writer.node(
        "Reshape", gathered, writer.constant(f"{name}.single", [0, heads, 1, hidden]), name=f"{name}.gathered_by_head"
    )
    # (batch, heads, 1, hidden) x (heads, hidden, head size) -> (batch, hidden)
    value = block.value.weight.reshape(hidden, heads, size).transpose(1, 0, 2)
    context = writer.node("MatMul", gathered, writer.constant(f"{name}.value.weight", value), name=f"{name}.values")
    context = writer.node("Reshape", context, writer.constant("flat", [0, hidden]), name=f"{name}.flat")
    # The values' bias goes through the projection into its bias.
    projection = block.attention_output
    bias = (block.value.bias.astype(np.float64) @ projection.weight + projection.bias).astype(np.float32)
    block = replace(block, attention_output=Linear(projection.weight, bias))
    return _after_attention(writer, first, context, block, arithmetic, name)


def _norm(writer: GraphWriter, x: str, norm: Norm, name: str) -> str:
    weight, bias = writer.constant(f"{name}.weight", norm.weight), writer.constant(f"{name}.bias", norm.bias)
    return writer.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.epsilon, name=name)


def _first(writer: GraphWriter, x: str, name: str) -> str:
    """(batch, sequence, hidden) -> (batch, hidden) of the first token"""
    return writer.node("Gather", x, writer.constant("first_token", np.int64(0)), axis=1, name=name)


class _Mask:
    """The attention mask, and what depends on it.

    A row that runs alone has no padding; then attention needs no mask, and onnxruntime's kernel without one is quicker
    than the kernel with a mask of ones. So the graph asks once, and each attention is an If of the two.
    """

    def __init__(self, writer: GraphWriter, attention_mask: str) -> None:
        self._writer = writer
        self._given = attention_mask
        self._mask = writer.node("Cast", attention_mask, to=TensorProto.INT32, name="mask")
        least = writer.node("ReduceMin", self._mask, keepdims=0, name="mask.least")
        self._unpadded = writer.node("Cast", least, to=TensorProto.BOOL, name="unpadded")
        self._means: tuple[str, str] | None = None  # what all means are taken with
        self._bias: str | None = None  # what is added to all scores

    def attention(self, query: str, key: str, value: str, heads: int, name: str) -> str:
        """softmax(Q K^T / sqrt(head size)) V for each head: three of (batch, sequence, hidden) -> the same."""

        def branch(branch_name: str, *inputs: str) -> onnx.GraphProto:
            node = helper.make_node(
                "MultiHeadAttention",
                inputs,
                [f"{name}.{branch_name}"],
                name=f"{name}.{branch_name}",
                domain=MICROSOFT,
                num_heads=heads,
            )
            output = helper.make_tensor_value_info(f"{name}.{branch_name}", TensorProto.FLOAT, None)
            return helper.make_graph([node], f"{name}.{branch_name}", [], [output])

        return self._writer.node(
            "If",
            self._unpadded,
            then_branch=branch("unmasked", query, key, value),
            else_branch=branch("masked", query, key, value, "", self._mask),
            name=name,
        )

    def added(self, scores: str, name: str) -> str:
        """Scores (batch, n, sequence), those of padding made so small that softmax gives them nothing."""
        writer = self._writer
        if self._bias is None:
            here = writer.node("Cast", self._given, to=TensorProto.BOOL, name="mask.here")
            none, lowest = writer.constant("mask.none", 0.0), writer.constant("mask.lowest", -1e30)
            row = writer.node("Where", here, none, lowest, name="mask.row")
            self._bias = writer.node("Unsqueeze", row, writer.constant("one", [1]), name="mask.bias")
        return writer.node("Add", scores, self._bias, name=name)

    def mean(self, x: str, name: str) -> str:
        """(batch, sequence, hidden) -> (batch, hidden), the mean over the tokens that are no padding."""
        writer = self._writer
        one = writer.constant("one", [1])
        if self._means is None:
            ones = writer.node("Cast", self._mask, to=TensorProto.FLOAT, name="mean.mask")  # (batch, sequence)
            row = writer.node("Unsqueeze", ones, one, name="mean.row")  # (batch, 1, sequence)
            self._means = row, writer.node("ReduceSum", ones, one, keepdims=1, name="mean.count")
        row, count = self._means
        sums = writer.node("MatMul", row, x, name=f"{name}.sums")
        return writer.node("Div", writer.node("Squeeze", sums, one, name=f"{name}.total"), count, name=name)
