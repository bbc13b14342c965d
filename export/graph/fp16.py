"""The variant of the graph for CUDA: float16 inside, float32 logits.

Node by node what onnxruntime's CUDA provider has one fast kernel for, so that nothing hangs on what it fuses:

- attention gets the texts' lengths, one number a text, derived inside of the graph. With a mask of (batch, sequence)
  none of the flash attention kernels is taken. So padding has to be on the right;
- a bias, the residual and the LayerNormalization behind it are one node, a bias and GELU another;
- query, key and value need one bias, not three: the keys' adds the same to every score of a row, which softmax takes
  out again, and the shares of a row sum to 1, so the values' goes through the next product into its bias;
- the weights are those of another graph of the bundle, int8 or float32, in the same file. They become float16 once,
  while the session is made, by nodes that hang on constants alone.

The head is float32: it costs nothing, and the score hangs on it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from export.classifier.classifier import Classifier
from export.encoder.pooling import Vector, vectors
from export.encoder.weights import Block, EncoderWeights, Linear, Norm
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import graph_logits, inputs, set_head_bias, to_float32, with_head
from export.graph.writer import MICROSOFT, GraphWriter

# Sums over tokens are taken of values this much smaller, so that those of a long text stay within float16's range.
# A power of two, so that nothing is rounded by it.
_SUM_SCALE = 1 / 256


@dataclass(frozen=True)
class Half:
    """The float16 variant of a classifier.

    Attributes:
        graph: for CUDA.
        exact: the float32 graph with the very weights that it has, which it is measured against.
    """

    graph: onnx.ModelProto
    exact: onnx.ModelProto


def to_half(
    weights: EncoderWeights,
    classifier: Classifier,
    calibration: Sequence[np.ndarray],
    int8: onnx.ModelProto | None = None,
) -> Half:
    """The classifier in float16.

    Args:
        weights, classifier: as for `export.graph.fp32.to_float32`.
        calibration: token ids of typical texts.
        int8: the graph whose weights are taken; None for the float32 graph's.
    """
    halves: HalfWeights = FromFloat32()
    if int8 is not None:
        rounded = constants(int8)
        halves, rounded_weights = FromInt8(rounded), dequantized(weights, rounded)
        head = classifier.head.corrected(
            graph_logits(to_float32(weights, classifier), calibration),
            graph_logits(to_float32(rounded_weights, classifier), calibration),
        )
        weights, classifier = rounded_weights, replace(classifier, head=head)
    exact, half = to_float32(weights, classifier), cuda_classifier(weights, classifier, halves)
    # What float16 rounds on the way does not average out to nothing, either.
    set_head_bias(half, classifier.head.corrected(graph_logits(exact, calibration), half_logits(half, calibration)))
    return Half(half, exact)


class HalfWeights(Protocol):
    """Where the large matrices come from, as values of the graph in float16."""

    def matrix(self, writer: GraphWriter, name: str, matrix: np.ndarray) -> str: ...


class FromFloat32:
    """From float32 constants, which the float32 graph has by the same names."""

    def matrix(self, writer: GraphWriter, name: str, matrix: np.ndarray) -> str:
        return _half(writer, name, matrix)


class FromInt8:
    """From an int8 graph's rounded weights and their scales, where it has such.

    Args:
        constants: of the int8 graph, by name.
    """

    def __init__(self, constants: Mapping[str, np.ndarray]) -> None:
        self._constants = constants

    def matrix(self, writer: GraphWriter, name: str, matrix: np.ndarray) -> str:
        found = self._constants.get(name)
        if found is None or found.dtype != np.int8:
            return _half(writer, name, matrix)
        scale = f"{name.removesuffix('.weight')}.scale"
        # Behind the rows that stand for channels are copies for the outliers' excess, which float16 does not need.
        rounded = writer.constant(name, found[: len(matrix)])
        floats = writer.node("Cast", rounded, to=TensorProto.FLOAT, name=f"{name}.floats")
        scaled = writer.node("Mul", floats, writer.constant(scale, self._constants[scale]), name=f"{name}.scaled")
        return writer.node("Cast", scaled, to=TensorProto.FLOAT16, name=f"{name}.half")


def cuda_classifier(
    weights: EncoderWeights, classifier: Classifier, halves: HalfWeights | None = None
) -> onnx.ModelProto:
    """The classifier for CUDA: input_ids, attention_mask (1 for tokens, then 0 for padding) -> float32 logits.

    Args:
        weights: of the encoder, those that ``halves`` stands for: of `dequantized` where it is `FromInt8`.
        classifier: what is on top of it; see `export.graph.fp32.to_float32`.
        halves: what becomes of the large matrices; None for `FromFloat32`.

    Raises:
        ExportError: the graph is malformed.
    """
    writer, halves = GraphWriter(), halves or FromFloat32()
    ids, attention_mask = inputs(writer, classifier)
    ones = writer.node("Cast", attention_mask, to=TensorProto.INT32, name="mask")
    lengths = writer.node("ReduceSum", ones, writer.constant("one", [1]), keepdims=0, name="lengths")  # (batch)
    means, mask = _Means(writer, attention_mask, lengths), _Mask(writer, attention_mask)
    x = _embeddings(writer, weights, halves, ids)
    wanted = vectors(classifier.pooling, len(weights.blocks))
    found: dict[Vector, str] = {}
    for layer, block in enumerate(weights.blocks[: max(vector.layer for vector in wanted)], start=1):
        name = f"block.{layer - 1}"
        here = [vector for vector in wanted if vector.layer == layer]
        if [vector.kind for vector in here] == ["cls"]:  # the last block
            first = _first_token_block(writer, x, block, weights.heads, halves, mask, name)
            found[here[0]] = _floats(writer, first, "pooled")
            break
        x = _block(writer, x, block, weights.heads, lengths, halves, name)
        for vector in here:
            if vector.kind == "cls":
                found[vector] = _floats(writer, _first(writer, x, "first"), "pooled")
            elif vector.kind == "mean":
                found[vector] = means.of(x, vector.name)
            else:
                found[vector] = _attention_pooled(writer, x, classifier.queries[layer], mask, vector.name)
    return with_head(writer, [found[vector] for vector in wanted], classifier)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """A graph's constants by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def dequantized(weights: EncoderWeights, rounded: Mapping[str, np.ndarray]) -> EncoderWeights:
    """The encoder whose weights are exactly what an int8 graph's stand for.

    Args:
        weights: of the encoder that was quantized.
        rounded: the int8 graph's constants.
    """
    blocks = []
    for number, block in enumerate(weights.blocks):
        found: dict[str, Any] = {}
        for field in fields(block):
            linear, name = getattr(block, field.name), f"block.{number}.{field.name}"
            if isinstance(linear, Linear) and f"{name}.scale" in rounded:
                steps = rounded[f"{name}.weight"][: len(linear.weight)]
                found[field.name] = Linear(steps * rounded[f"{name}.scale"], rounded[f"{name}.bias"])
        blocks.append(replace(block, **found))
    name = f"block.{len(blocks) - 1}"
    if f"{name}.query.scale" in rounded and f"{name}.key.scale" not in rounded:
        # Computed for the first token alone, a block keeps the query scaled, and the values' bias within the next one.
        last, root = blocks[-1], math.sqrt(weights.hidden // weights.heads)
        query = Linear(last.query.weight * root, last.query.bias * root)
        blocks[-1] = replace(last, query=query, value=Linear(last.value.weight, np.zeros_like(last.value.bias)))
    return replace(weights, word=rounded["word"] * rounded["word.scale"], blocks=tuple(blocks))


def _embeddings(writer: GraphWriter, weights: EncoderWeights, halves: HalfWeights, ids: str) -> str:
    words = writer.node("Gather", halves.matrix(writer, "word", weights.word), ids, axis=0, name="words")
    length = writer.node("Shape", ids, start=1, end=2, name="sequence")
    table = _half(writer, "position", weights.positions)
    positions = writer.node("Slice", table, writer.constant("zero", [0]), length, name="positions")
    return _normed_sum(writer, words, positions, weights.embedding_norm, "embeddings")


def _block(writer: GraphWriter, x: str, block: Block, heads: int, lengths: str, halves: HalfWeights, name: str) -> str:
    """A whole block: (batch, sequence, hidden) -> the same."""
    query, key, value = (
        writer.node("MatMul", x, halves.matrix(writer, f"{name}.{part}.weight", linear.weight), name=f"{name}.{part}")
        for part, linear in (("query", block.query), ("key", block.key), ("value", block.value))
    )
    bias = _half(writer, f"{name}.query.bias", block.query.bias)
    query = writer.node("Add", query, bias, name=f"{name}.query.biased")
    context = writer.node(
        "MultiHeadAttention", query, key, value, "", lengths, num_heads=heads, domain=MICROSOFT, name=f"{name}.context"
    )
    return _after_attention(writer, x, context, block, halves, name)


def _after_attention(writer: GraphWriter, x: str, context: str, block: Block, halves: HalfWeights, name: str) -> str:
    """The rest of a block, for whichever tokens x and context hold: (..., hidden), twice -> (..., hidden)."""
    projection = block.attention_output
    bias = block.value.bias.astype(np.float64) @ projection.weight + projection.bias
    attended = _product(writer, context, projection.weight, halves, f"{name}.attention_output")
    bias_name = _half(writer, f"{name}.attention_output.whole_bias", bias.astype(np.float32))
    x = _normed_sum(writer, attended, x, block.attention_norm, f"{name}.attention_norm", bias_name)
    inner = _product(writer, x, block.ffn_in.weight, halves, f"{name}.ffn_in")
    bias_name = _half(writer, f"{name}.ffn_in.bias", block.ffn_in.bias)
    inner = writer.node("BiasGelu", inner, bias_name, domain=MICROSOFT, name=f"{name}.gelu")
    outer = _product(writer, inner, block.ffn_out.weight, halves, f"{name}.ffn_out")
    bias_name = _half(writer, f"{name}.ffn_out.bias", block.ffn_out.bias)
    return _normed_sum(writer, outer, x, block.ffn_norm, f"{name}.ffn_norm", bias_name)


def _first_token_block(
    writer: GraphWriter, x: str, block: Block, heads: int, halves: HalfWeights, mask: "_Mask", name: str
) -> str:
    """The block's output for the first token alone; see `export.graph.fp32`, whose constants it takes.

    Products with a matrix a head are one product a head over all texts, not one a text and head.

    Returns:
        float16 (batch, hidden)
    """
    hidden = len(block.query.bias)
    size = hidden // heads

    def by_head(rows: str, columns: int, called: str) -> str:
        """(batch, heads * columns) -> (heads, batch, columns)"""
        shape = writer.constant(f"by_head.{columns}", [0, heads, columns])
        rows = writer.node("Reshape", rows, shape, name=f"{called}.rows")
        return writer.node("Transpose", rows, perm=[1, 0, 2], name=f"{called}.by_head")

    root = math.sqrt(size)
    first = _first(writer, x, f"{name}.first")
    query = _product(writer, first, block.query.weight / root, halves, f"{name}.query")
    bias = _half(writer, f"{name}.query.bias", block.query.bias / root)
    query = by_head(writer.node("Add", query, bias, name=f"{name}.query.biased"), size, f"{name}.query")
    key = _half(writer, f"{name}.key.weight", block.key.weight.T.reshape(heads, size, hidden))
    reach = writer.node("MatMul", query, key, name=f"{name}.reach_by_head")  # (heads, batch, hidden)
    reach = writer.node("Transpose", reach, perm=[1, 0, 2], name=f"{name}.reach")
    # The bias's sum is called as in the bundles there are, so that the same training gives the same bytes again.
    gathered = _gathered(writer, x, reach, mask, name, masked="masked")  # (batch, heads, hidden)
    gathered = writer.node("Transpose", gathered, perm=[1, 0, 2], name=f"{name}.gathered_by_head")
    value = block.value.weight.reshape(hidden, heads, size).transpose(1, 0, 2)
    context = writer.node(
        "MatMul", gathered, _half(writer, f"{name}.value.weight", value), name=f"{name}.values"
    )  # (heads, batch, head size)
    context = writer.node("Transpose", context, perm=[1, 0, 2], name=f"{name}.context")
    context = writer.node("Reshape", context, writer.constant("flat", [0, hidden]), name=f"{name}.flat")
    return _after_attention(writer, first, context, block, halves, name)


def _attention_pooled(writer: GraphWriter, x: str, queries: np.ndarray, mask: "_Mask", name: str) -> str:
    """As in `export.graph.fp32`: float16 (batch, sequence, hidden) -> float32 (batch, queries * hidden)."""
    reach = _half(writer, f"{name}.queries", queries[np.newaxis])
    gathered = _gathered(writer, x, reach, mask, name, masked=f"{name}.masked")
    gathered = _floats(writer, gathered, f"{name}.floats")
    return writer.node("Reshape", gathered, writer.constant("side_by_side", [0, queries.size]), name=name)


def _gathered(writer: GraphWriter, x: str, reach: str, mask: "_Mask", name: str, *, masked: str) -> str:
    """softmax(U X^T) X, padding left out: (batch or 1, n, hidden) and (batch, sequence, hidden) -> (batch, n, hidden)."""
    scores = writer.node("FusedMatMul", reach, x, transB=1, domain=MICROSOFT, name=f"{name}.scores")
    shares = writer.node("Softmax", mask.added(scores, masked), axis=-1, name=f"{name}.shares")
    return writer.node("MatMul", shares, x, name=f"{name}.gathered")


class _Mask:
    """What makes the scores of padding so small that softmax gives them nothing."""

    def __init__(self, writer: GraphWriter, attention_mask: str) -> None:
        self._writer = writer
        self._given = attention_mask
        self._bias: str | None = None

    def added(self, scores: str, name: str) -> str:
        """(batch, n, sequence) -> the same."""
        writer = self._writer
        if self._bias is None:
            here = writer.node("Cast", self._given, to=TensorProto.BOOL, name="mask.here")
            none = writer.constant("mask.nothing", np.zeros((), dtype=np.float16))
            lowest = writer.constant("mask.least", np.array(-np.inf, dtype=np.float16))
            row = writer.node("Where", here, none, lowest, name="mask.row")
            self._bias = writer.node("Unsqueeze", row, writer.constant("one", [1]), name="mask.bias")
        return writer.node("Add", scores, self._bias, name=name)


class _Means:
    """Means over the tokens that are no padding."""

    def __init__(self, writer: GraphWriter, attention_mask: str, lengths: str) -> None:
        self._writer = writer
        self._mask = attention_mask
        self._lengths = lengths
        self._parts: tuple[str, str] | None = None

    def of(self, x: str, name: str) -> str:
        """float16 (batch, sequence, hidden) -> float32 (batch, hidden)"""
        writer, one = self._writer, self._writer.constant("one", [1])
        row, count = self._row_and_count()
        sums = writer.node("Squeeze", writer.node("MatMul", row, x, name=f"{name}.sums"), one, name=f"{name}.total")
        return writer.node("Div", _floats(writer, sums, f"{name}.floats"), count, name=name)

    def _row_and_count(self) -> tuple[str, str]:
        """What sums are taken with, (batch, 1, sequence), and what they are divided by, (batch, 1)."""
        writer, one = self._writer, self._writer.constant("one", [1])
        if self._parts is None:
            ones = writer.node("Cast", self._mask, to=TensorProto.FLOAT16, name="mean.mask")
            small = writer.node("Mul", ones, writer.constant("mean.scale", np.float16(_SUM_SCALE)), name="mean.small")
            count = _floats(writer, self._lengths, "mean.count")
            count = writer.node("Mul", count, writer.constant("mean.back", _SUM_SCALE), name="mean.small_count")
            row = writer.node("Unsqueeze", small, one, name="mean.row")
            self._parts = row, writer.node("Unsqueeze", count, one, name="mean.counts")
        return self._parts


def _first(writer: GraphWriter, x: str, name: str) -> str:
    """(batch, sequence, hidden) -> (batch, hidden) of the first token"""
    return writer.node("Gather", x, writer.constant("first_token", np.int64(0)), axis=1, name=name)


def _floats(writer: GraphWriter, x: str, name: str) -> str:
    return writer.node("Cast", x, to=TensorProto.FLOAT, name=name)


def _product(writer: GraphWriter, x: str, matrix: np.ndarray, halves: HalfWeights, name: str) -> str:
    return writer.node("MatMul", x, halves.matrix(writer, f"{name}.weight", matrix), name=f"{name}.product")


def _normed_sum(writer: GraphWriter, x: str, residual: str, norm: Norm, name: str, bias: str = "") -> str:
    """LayerNormalization of x + residual + bias, with sums in float32."""
    weight, shift = _half(writer, f"{name}.weight", norm.weight), _half(writer, f"{name}.bias", norm.bias)
    inputs = (x, residual, weight, shift, bias) if bias else (x, residual, weight, shift)
    return writer.node("SkipLayerNormalization", *inputs, epsilon=norm.epsilon, domain=MICROSOFT, name=name)


def _half(writer: GraphWriter, name: str, value: np.ndarray) -> str:
    """A float32 constant as float16; by the name that the other graphs have it by, so that it is kept once."""
    floats = writer.constant(name, np.ascontiguousarray(value, dtype=np.float32))
    return writer.node("Cast", floats, to=TensorProto.FLOAT16, name=f"{name}.half")
