"""The variant of the graph for CUDA: float16 inside, float32 logits.

Node by node what onnxruntime's CUDA provider has one fast kernel for, so that nothing hangs on what it fuses:

- attention gets the texts' lengths, one number a text, derived inside of the graph. With a mask of (batch, sequence)
  none of the flash attention kernels is taken. So padding has to be on the right;
- a bias, the residual and the LayerNormalization behind it are one node, a bias and GELU another;
- query, key and value need one bias, not three: see `export.graph.encoder.fold_biases`;
- the weights are those of another graph of the bundle, int8 or float32, in the same file. They become float16 once,
  while the session is made, by nodes that hang on constants alone.

The head is float32: it costs nothing, and the score hangs on it.
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
from export.encoder.weights import Block, EncoderWeights, Linear, Norm
from export.graph.classifier import classifier_graph, graph_logits, set_head_bias
from export.graph.encoder import Affine, fold_biases, padding_bias
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import to_float32
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
        weights, classifier: as for `export.graph.classifier.classifier_graph`.
        calibration: token ids of typical texts.
        int8: the graph whose weights are taken; None for the float32 graph's.
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
    # What float16 rounds on the way does not average out to nothing, either.
    set_head_bias(half, classifier.head.corrected(graph_logits(exact, calibration), half_logits(half, calibration)))
    return Half(half, exact)


def to_float16(
    weights: EncoderWeights, classifier: Classifier, rounded: Mapping[str, np.ndarray] = MappingProxyType({})
) -> onnx.ModelProto:
    """Write the classifier in float16, for CUDA; padding has to be on the right.

    Args:
        weights: of the encoder; `dequantized` if ``rounded`` is given.
        classifier: as for `export.graph.classifier.classifier_graph`.
        rounded: constants of the int8 graph whose weights are read, by name; none for the float32 graph's.

    Raises:
        ExportError: the graph is malformed.
    """
    weights = replace(weights, blocks=tuple(map(fold_biases, weights.blocks)))
    return classifier_graph(weights, classifier, partial(Float16, rounded))


class Float16:
    """`export.graph.encoder.Operators` in float16, for blocks whose key and value biases are folded.

    Args:
        rounded: as for `to_float16`.
        writer: of the graph.
        attention_mask: name of the mask, (batch, sequence), 1 for a token, then 0 for padding.
    """

    def __init__(self, rounded: Mapping[str, np.ndarray], writer: GraphWriter, attention_mask: str) -> None:
        self.writer = writer
        self._rounded = rounded
        self._attention_mask = attention_mask
        ones = writer.node("Cast", attention_mask, to=TensorProto.INT32, name="mask")
        one = writer.constant("one", [1])
        self._lengths = writer.node("ReduceSum", ones, one, keepdims=0, name="lengths")  # (batch)

    def weight(self, name: str, value: np.ndarray) -> str:
        """Write a float32 constant, converted; under its name in the other graphs, so that a bundle keeps it once."""
        floats = self.writer.constant(name, np.ascontiguousarray(value, dtype=np.float32))
        return self.writer.node("Cast", floats, to=TensorProto.FLOAT16, name=f"{name}.half")

    def look_up(self, table: np.ndarray, ids: str) -> str:
        return self.writer.node("Gather", self._matrix("word", table), ids, axis=0, name="words")

    def normed_sum(self, x: str, y: str, norm: Norm, name: str, sum_name: str) -> str:
        return self._skip_norm(x, y, norm, name)

    def normed_residual(self, x: str, added: Affine, norm: Norm, name: str, sum_name: str) -> str:
        product, bias = self._product(added)
        return self._skip_norm(product, x, norm, name, bias)

    def gelu(self, x: Affine, name: str) -> str:
        product, bias = self._product(x)
        return self.writer.node("BiasGelu", product, bias, domain=MICROSOFT, name=name)

    def attention(self, x: str, block: Block, heads: int, name: str) -> str:
        assert not block.key.bias.any(), "folded"
        assert not block.value.bias.any(), "folded"
        query, key, value = (
            self.writer.node("MatMul", x, self._matrix(f"{name}.{part}.weight", linear.weight), name=f"{name}.{part}")
            for part, linear in (("query", block.query), ("key", block.key), ("value", block.value))
        )
        bias = self.weight(f"{name}.query.bias", block.query.bias)
        query = self.writer.node("Add", query, bias, name=f"{name}.query.biased")
        inputs = (query, key, value, "", self._lengths)
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

    def scores(self, reach: str, x: str, name: str) -> str:
        scores = self.writer.node("FusedMatMul", reach, x, transB=1, domain=MICROSOFT, name=f"{name}.scores")
        # A block's sum keeps its name in existing bundles, so that the same training gives the same bytes again.
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
        """Write a large matrix, converted from the int8 graph's steps and scale if that graph has it."""
        found = self._rounded.get(name)
        if found is None or found.dtype != np.int8:
            return self.weight(name, matrix)
        writer, scale = self.writer, f"{name.removesuffix('.weight')}.scale"
        # Behind the rows that stand for channels are copies for the outliers' excess, which float16 does not need.
        steps = writer.constant(name, found[: len(matrix)])
        floats = writer.node("Cast", steps, to=TensorProto.FLOAT, name=f"{name}.floats")
        scaled = writer.node("Mul", floats, writer.constant(scale, self._rounded[scale]), name=f"{name}.scaled")
        return writer.node("Cast", scaled, to=TensorProto.FLOAT16, name=f"{name}.half")

    def _product(self, affine: Affine) -> tuple[str, str]:
        """Write x @ weight and, apart from it, the bias."""
        x, linear, name = affine
        product = self.writer.node("MatMul", x, self._matrix(f"{name}.weight", linear.weight), name=f"{name}.product")
        # The float32 graph's bias of that projection is without the values', so this one has a name of its own.
        bias = "whole_bias" if name.endswith(".attention_output") else "bias"
        return product, self.weight(f"{name}.{bias}", linear.bias)

    def _skip_norm(self, x: str, residual: str, norm: Norm, name: str, *bias: str) -> str:
        """Write LayerNorm(x + residual + bias), its sums in float32."""
        weight, shift = self.weight(f"{name}.weight", norm.weight), self.weight(f"{name}.bias", norm.bias)
        inputs = (x, residual, weight, shift, *bias)
        return self.writer.node("SkipLayerNormalization", *inputs, epsilon=norm.epsilon, domain=MICROSOFT, name=name)

    @cached_property
    def _padding_bias(self) -> str:
        nothing = self.writer.constant("mask.nothing", np.float16(0))
        lowest = self.writer.constant("mask.least", np.float16(-np.inf))
        return padding_bias(self.writer, self._attention_mask, nothing, lowest)


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
