"""The variant of the graph for CUDA: float16 inside, float32 logits.

Each node is one for which onnxruntime's CUDA provider has a fast kernel, so that nothing depends on what it fuses:

- attention gets the length of each text, derived inside the graph. With a mask of (batch, sequence) onnxruntime takes
  none of its flash attention kernels. So padding has to be on the right. A bias by distance (MPNet) leaves only kernels
  that keep the scores in memory, which is unmeasured;
- a bias, the residual and the next LayerNormalization are one node, a bias and GELU another;
- query, key and value need one bias, not three: see `export.graph.encoder.fold_biases`;
- the weights are those of the bundle's int8 or float32 graph, in the same file. Nodes that depend on constants alone
  convert them to float16 once, while the session is made.

The head is float32: it costs nothing, and the score depends on it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from export.classifier.classifier import Classifier
from export.encoder.weights import EncoderWeights, Linear, Norm
from export.graph.classifier import classifier_graph, graph_logits, set_head_bias
from export.graph.encoder import Affine, fold_biases, padding_bias
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import to_float32
from export.graph.writer import MICROSOFT, GraphWriter

# Values are scaled by this before they are summed over tokens, so that the sums of a long text stay within float16's
# range. It is a power of two, so that scaling rounds nothing.
_SUM_SCALE = 1 / 256


@dataclass(frozen=True)
class Half:
    """The float16 variant of a classifier.

    Attributes:
        graph: float16 graph for CUDA.
        exact: float32 graph with exactly the same weights, the reference for the float16 graph's error.
    """

    graph: onnx.ModelProto
    exact: onnx.ModelProto


def to_half(
    weights: EncoderWeights,
    classifier: Classifier,
    calibration: Sequence[np.ndarray],
    int8: onnx.ModelProto | None = None,
) -> Half:
    """Write the classifier in float16, and correct its head for the mean error on calibration texts.

    Args:
        weights, classifier: as for `export.graph.classifier.classifier_graph`.
        calibration: token ids of typical texts.
        int8: int8 graph whose weights are used; None for the float32 graph's.
    """
    rounded: Mapping[str, np.ndarray] = {}
    if int8 is not None:
        rounded = constants(int8)
        rounded_weights = dequantized(weights, rounded)
        head = classifier.head.corrected(
            graph_logits(to_float32(weights, classifier), calibration),
            graph_logits(to_float32(rounded_weights, classifier), calibration),
        )
        weights, classifier = rounded_weights, replace(classifier, head=head)
    exact, half = to_float32(weights, classifier), to_float16(weights, classifier, rounded)
    # The rounding errors of float16 activations do not average out to nothing, either.
    set_head_bias(half, classifier.head.corrected(graph_logits(exact, calibration), half_logits(half, calibration)))
    return Half(half, exact)


def to_float16(
    weights: EncoderWeights, classifier: Classifier, rounded: Mapping[str, np.ndarray] = MappingProxyType({})
) -> onnx.ModelProto:
    """Write the classifier in float16, for CUDA; padding has to be on the right.

    Args:
        weights: weights of the encoder; `dequantized` if ``rounded`` is given.
        classifier: as for `export.graph.classifier.classifier_graph`.
        rounded: constants of the int8 graph whose weights are used, by name; empty for the float32 graph's.

    Raises:
        ExportError: the graph is malformed.
    """
    weights = replace(weights, blocks=tuple(map(fold_biases, weights.blocks)))
    return classifier_graph(weights, classifier, partial(Float16, rounded))


class Float16:
    """`export.graph.encoder.Operators` in float16, for blocks whose key and value biases are folded.

    Args:
        rounded: as for `to_float16`.
        writer: writer of the graph.
        attention_mask: name of the mask, (batch, sequence), 1 for a token, then 0 for padding.
    """

    def __init__(self, rounded: Mapping[str, np.ndarray], writer: GraphWriter, attention_mask: str) -> None:
        self.writer = writer
        self._rounded = rounded
        self._attention_mask = attention_mask
        self._matrices: dict[str, str] = {}
        ones = writer.node("Cast", attention_mask, to=TensorProto.INT32, name="mask")
        one = writer.constant("one", [1])
        self._lengths = writer.node("ReduceSum", ones, one, keepdims=0, name="lengths")  # (batch)

    def weight(self, name: str, value: np.ndarray) -> str:
        """Write a float32 constant and its conversion; it is named as in the other graphs, so a bundle holds it once."""
        floats = self.writer.constant(name, np.ascontiguousarray(value, dtype=np.float32))
        return self.writer.node("Cast", floats, to=TensorProto.FLOAT16, name=f"{name}.half")

    def look_up(self, table: np.ndarray, ids: str) -> str:
        return self.writer.node("Gather", self._matrix("word", table), ids, axis=0, name="words")

    def normed_sum(self, x: str, y: str, norm: Norm, name: str, sum_name: str) -> str:
        return self._skip_norm(x, y, norm, name)

    def normed_residual(self, x: str, added: Affine, norm: Norm, name: str, sum_name: str) -> str:
        product, bias = self._product(added)
        return self._skip_norm(product, x, norm, name, bias)

    def linear(self, affine: Affine) -> str:
        return self.writer.node("Add", *self._product(affine), name=affine.name)

    def activated(self, x: Affine, activation: str, name: str) -> str:
        if activation == "relu":
            return self.writer.node("Relu", self.linear(x), name=name)
        operator = "FastGelu" if activation == "gelu_tanh" else "BiasGelu"
        return self.writer.node(operator, *self._product(x), domain=MICROSOFT, name=name)

    def attention(self, query: Affine, key: Affine, value: Affine, bias: str, heads: int, name: str) -> str:
        assert not key.linear.bias.any(), "folded"
        assert not value.linear.bias.any(), "folded"
        asking, *others = (
            self.writer.node(
                "MatMul", one.x, self._matrix(f"{one.source}.weight", one.linear.weight), name=f"{one.name}"
            )
            for one in (query, key, value)
        )
        asking = self.writer.node(
            "Add", asking, self.weight(f"{query.name}.bias", query.linear.bias), name=f"{query.name}.biased"
        )
        inputs = (asking, *others, "", self._lengths, *([bias] if bias else []))
        return self.writer.node(
            "MultiHeadAttention", *inputs, num_heads=heads, domain=MICROSOFT, name=f"{name}.context"
        )

    def reach(self, query: Affine, key: np.ndarray, name: str) -> str:
        """Write one product per head over all texts, not one per text and head."""
        heads, size, _ = key.shape
        asking = self.writer.node("Add", *self._product(query), name=f"{name}.query.biased")
        shape = self.writer.constant(f"by_head.{size}", [0, heads, size])
        asking = self.writer.node("Reshape", asking, shape, name=f"{name}.query.rows")
        asking = self.writer.node("Transpose", asking, perm=[1, 0, 2], name=f"{name}.query.by_head")
        # (heads, batch, head size) x (heads, head size, hidden) -> (heads, batch, hidden)
        key_weight = self.weight(f"{name}.key.weight", key)
        reach = self.writer.node("MatMul", asking, key_weight, name=f"{name}.reach_by_head")
        return self.writer.node("Transpose", reach, perm=[1, 0, 2], name=f"{name}.reach")

    def scores(self, reach: str, x: str, bias: str, name: str) -> str:
        scores = self.writer.node("FusedMatMul", reach, x, transB=1, domain=MICROSOFT, name=f"{name}.scores")
        if bias:
            scores = self.writer.node("Add", scores, bias, name=f"{name}.biased")
        # A block's sum keeps the name that it has in existing bundles, so that the same training gives the same bytes.
        masked = "masked" if name.startswith("block.") else f"{name}.masked"
        return self.writer.node("Add", scores, self._padding_bias, name=masked)

    def values(self, gathered: str, value: np.ndarray, name: str) -> str:
        """Write one product per head over all texts, not one per text and head."""
        heads, _, size = value.shape
        gathered = self.writer.node("Transpose", gathered, perm=[1, 0, 2], name=f"{name}.gathered_by_head")
        # (heads, batch, hidden) x (heads, hidden, head size) -> (heads, batch, head size)
        value_weight = self.weight(f"{name}.value.weight", value)
        context = self.writer.node("MatMul", gathered, value_weight, name=f"{name}.values")
        context = self.writer.node("Transpose", context, perm=[1, 0, 2], name=f"{name}.context")
        flat = self.writer.constant("flat", [0, heads * size])
        return self.writer.node("Reshape", context, flat, name=f"{name}.flat")

    @cached_property
    def averaging(self) -> tuple[str, str]:
        writer, one = self.writer, self.writer.constant("one", [1])
        ones = writer.node("Cast", self._attention_mask, to=TensorProto.FLOAT16, name="mean.mask")
        small = writer.node("Mul", ones, writer.constant("mean.scale", np.float16(_SUM_SCALE)), name="mean.small")
        count = self.floats(self._lengths, "mean.count")
        count = writer.node("Mul", count, writer.constant("mean.back", _SUM_SCALE), name="mean.small_count")
        row = writer.node("Unsqueeze", small, one, name="mean.row")
        return row, writer.node("Unsqueeze", count, one, name="mean.counts")

    def floats(self, x: str, name: str) -> str:
        return self.writer.node("Cast", x, to=TensorProto.FLOAT, name=name)

    def _matrix(self, name: str, matrix: np.ndarray) -> str:
        """Write a large matrix once, converted from the int8 graph's steps and scale if that graph has it."""
        if name not in self._matrices:
            self._matrices[name] = self._converted(name, matrix)
        return self._matrices[name]

    def _converted(self, name: str, matrix: np.ndarray) -> str:
        found = self._rounded.get(name)
        if found is None or found.dtype != np.int8:
            return self.weight(name, matrix)
        writer, scale = self.writer, f"{name.removesuffix('.weight')}.scale"
        # The rows of the channels are followed by copies for the outliers' extra channels, which float16 does not need.
        steps = writer.constant(name, found[: len(matrix)])
        floats = writer.node("Cast", steps, to=TensorProto.FLOAT, name=f"{name}.floats")
        scaled = writer.node("Mul", floats, writer.constant(scale, self._rounded[scale]), name=f"{name}.scaled")
        return writer.node("Cast", scaled, to=TensorProto.FLOAT16, name=f"{name}.half")

    def _product(self, affine: Affine) -> tuple[str, str]:
        """Write x @ weight and, separately, the bias."""
        x, linear, name, source = affine
        product = self.writer.node("MatMul", x, self._matrix(f"{source}.weight", linear.weight), name=f"{name}.product")
        # In the float32 graph this bias does not include the values' bias, so here it has a name of its own.
        bias = "whole_bias" if name.endswith(".attention_output") else "bias"
        return product, self.weight(f"{name}.{bias}", linear.bias)

    def _skip_norm(self, x: str, residual: str, norm: Norm, name: str, *bias: str) -> str:
        """Write LayerNorm(x + residual + bias), with sums in float32."""
        weight, shift = self.weight(f"{name}.weight", norm.weight), self.weight(f"{name}.bias", norm.bias)
        inputs = (x, residual, weight, shift, *bias)
        return self.writer.node("SkipLayerNormalization", *inputs, epsilon=norm.epsilon, domain=MICROSOFT, name=name)

    @cached_property
    def _padding_bias(self) -> str:
        nothing = self.writer.constant("mask.nothing", np.float16(0))
        lowest = self.writer.constant("mask.least", np.float16(-np.inf))
        return padding_bias(self.writer, self._attention_mask, nothing, lowest)


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return a graph's constants by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def dequantized(weights: EncoderWeights, rounded: Mapping[str, np.ndarray]) -> EncoderWeights:
    """Return the encoder with exactly the weights that an int8 graph's constants represent.

    Args:
        weights: weights of the encoder that was quantized.
        rounded: constants of the int8 graph, by name.
    """
    blocks = []
    matrices = _Matrices(rounded)
    for number, block in enumerate(weights.blocks):
        found: dict[str, Any] = {}
        for field in fields(block):
            linear, own = getattr(block, field.name), f"block.{number}.{field.name}"
            if not isinstance(linear, Linear) or f"{own}.bias" not in rounded:
                continue
            # A matrix has its own name in a block for the first token alone; others may be those of an earlier block.
            source = own if f"{own}.scale" in rounded else f"block.{weights.sources[number]}.{field.name}"
            if f"{source}.scale" in rounded:
                found[field.name] = Linear(matrices.of(source, linear), rounded[f"{own}.bias"])
        blocks.append(replace(block, **found))
    name = f"block.{len(blocks) - 1}"
    if f"{name}.query.scale" in rounded and f"{name}.key.scale" not in rounded:
        # A block for the first token alone holds the query scaled, and the values' bias as part of the projection's.
        last, root = blocks[-1], math.sqrt(weights.hidden // weights.heads)
        query = Linear(last.query.weight * root, last.query.bias * root)
        blocks[-1] = replace(last, query=query, value=Linear(last.value.weight, np.zeros_like(last.value.bias)))
    projection = weights.projection
    if projection is not None:
        projection = Linear(matrices.of("projection", projection), rounded["projected.bias"])
    word = rounded["word"] * rounded["word.scale"]
    return replace(weights, word=word, projection=projection, blocks=tuple(blocks))


class _Matrices:
    """Matrices that an int8 graph represents, each converted once, however many blocks share it."""

    def __init__(self, rounded: Mapping[str, np.ndarray]) -> None:
        self._rounded = rounded
        self._found: dict[str, np.ndarray] = {}

    def of(self, name: str, linear: Linear) -> np.ndarray:
        """Return a layer's matrix by its name in the graph, without the copies of rows for the outliers' extra channels."""
        if name not in self._found:
            steps = self._rounded[f"{name}.weight"][: len(linear.weight)]
            self._found[name] = steps * self._rounded[f"{name}.scale"]
        return self._found[name]
