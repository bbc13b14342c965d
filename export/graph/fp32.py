"""The float32 variant of the graph."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.classifier.classifier import Classifier
from export.encoder.vectors import NO_QUERIES, Queries, Vector
from export.encoder.weights import EncoderWeights, Norm
from export.graph.classifier import classifier_graph
from export.graph.encoder import Affine, EncoderWriter, padding_bias
from export.graph.writer import MICROSOFT, GraphWriter, branch
from scorer.engine.runtime import INDEPENDENT_ROWS


def to_float32(weights: EncoderWeights, classifier: Classifier) -> onnx.ModelProto:
    """Write the classifier in float32.

    Args:
        weights, classifier: as for `export.graph.classifier.classifier_graph`.

    Raises:
        ExportError: the graph is malformed.
    """
    return classifier_graph(weights, classifier, Float32)


def feature_graph(weights: EncoderWeights, wanted: Sequence[Vector], queries: Queries = NO_QUERIES) -> onnx.ModelProto:
    """Write the encoder alone: input_ids, attention_mask -> features (batch, vectors, hidden).

    An attention pooling gives one vector for each of its queries.
    """
    writer = GraphWriter()
    shape = writer.constant("vectors", [0, -1, weights.hidden])
    pooled = EncoderWriter(Float32(writer, "attention_mask"), weights, "input_ids").vectors(wanted, queries)
    rows = [
        writer.node("Reshape", name, shape, name=f"{vector.name}.vectors")
        for vector, name in zip(wanted, pooled, strict=True)
    ]
    writer.node("Concat", *rows, axis=1, name="features")
    return writer.model({"features": ["batch", "vectors", weights.hidden]})


def hidden_graph(weights: EncoderWeights, layer: int) -> onnx.ModelProto:
    """Write the encoder up to a layer: input_ids, attention_mask -> hidden (batch * sequence, hidden)."""
    writer = GraphWriter()
    x = EncoderWriter(Float32(writer, "attention_mask"), weights, "input_ids").hidden(layer)
    writer.node("Reshape", x, writer.constant("end_to_end", [-1, weights.hidden]), name="hidden")
    return writer.model({"hidden": ["tokens", weights.hidden]})


class Float32:
    """`export.graph.encoder.Operators` in float32.

    A row that runs alone has no padding, so attention needs no mask. onnxruntime's kernel without a mask is faster than
    the kernel with a mask of ones. So the graph tests the mask once, and each attention is an If with both kernels.

    Args:
        writer: writer of the graph.
        attention_mask: name of the mask, (batch, sequence), 1 for a token, 0 for padding.
    """

    def __init__(self, writer: GraphWriter, attention_mask: str) -> None:
        self.writer = writer
        # Each kernel adds up a row's values in the same order, whatever is beside it.
        writer.metadata.update([INDEPENDENT_ROWS])
        self._attention_mask = attention_mask
        self._mask = writer.node("Cast", attention_mask, to=TensorProto.INT32, name="mask")
        least = writer.node("ReduceMin", self._mask, keepdims=0, name="mask.least")
        self._unpadded = writer.node("Cast", least, to=TensorProto.BOOL, name="unpadded")

    def weight(self, name: str, value: np.ndarray) -> str:
        return self.writer.constant(name, value)

    def look_up(self, table: np.ndarray, ids: str) -> str:
        return self.writer.node("Gather", self.weight("word", table), ids, axis=0, name="words")

    def linear(self, affine: Affine) -> str:
        """Write x @ weight + bias."""
        x, linear, name, source = affine
        product = self.writer.node("MatMul", x, self.weight(f"{source}.weight", linear.weight), name=f"{name}.product")
        return self.writer.node("Add", product, self.weight(f"{name}.bias", linear.bias), name=name)

    def normed_sum(self, x: str, y: str, norm: Norm, name: str, sum_name: str) -> str:
        total = self.writer.node("Add", x, y, name=sum_name)
        weight, bias = self.weight(f"{name}.weight", norm.weight), self.weight(f"{name}.bias", norm.bias)
        return self.writer.node("LayerNormalization", total, weight, bias, axis=-1, epsilon=norm.epsilon, name=name)

    def normed_residual(self, x: str, added: Affine, norm: Norm, name: str, sum_name: str) -> str:
        return self.normed_sum(x, self.linear(added), norm, name, sum_name)

    def activated(self, x: Affine, activation: str, name: str) -> str:
        given = self.linear(x)
        if activation == "relu":
            return self.writer.node("Relu", given, name=name)
        if activation == "gelu_tanh":
            return self.writer.node("Gelu", given, approximate="tanh", name=name)
        return self.writer.node("Gelu", given, name=name)

    def attention(self, query: Affine, key: Affine, value: Affine, bias: str, heads: int, name: str) -> str:
        projected = [self.linear(affine) for affine in (query, key, value)]

        masked = [*projected, "", self._mask, *([bias] if bias else [])]
        return self.writer.node(
            "If",
            self._unpadded,
            then_branch=self.unmasked_attention(projected, bias, heads, f"{name}.context.unmasked"),
            else_branch=multi_head_attention(masked, heads, f"{name}.context.masked"),
            name=f"{name}.context",
        )

    def unmasked_attention(self, projected: Sequence[str], bias: str, heads: int, name: str) -> onnx.GraphProto:
        """Return the branch of an attention without padding, from query, key and value."""
        return multi_head_attention([*projected, *(["", "", bias] if bias else [])], heads, name)

    def reach(self, query: Affine, key: np.ndarray, name: str) -> str:
        heads, size, hidden = key.shape
        asking = self.linear(query)
        by_head = self.writer.constant(f"{name}.by_head", [0, heads, 1, size])
        asking = self.writer.node("Reshape", asking, by_head, name=f"{name}.query_by_head")
        # (batch, heads, 1, head size) x (heads, head size, hidden) -> (batch, heads, hidden)
        key_weight = self.weight(f"{name}.key.weight", key)
        reach = self.writer.node("MatMul", asking, key_weight, name=f"{name}.reach_by_head")
        rows = self.writer.constant(f"{name}.rows", [0, heads, hidden])
        return self.writer.node("Reshape", reach, rows, name=f"{name}.reach")

    def scores(self, reach: str, x: str, bias: str, name: str) -> str:
        turned = self.writer.node("Transpose", x, perm=[0, 2, 1], name=f"{name}.turned")
        scores = self.writer.node("MatMul", reach, turned, name=f"{name}.scores")
        if bias:
            scores = self.writer.node("Add", scores, bias, name=f"{name}.biased")
        return self.writer.node("Add", scores, self._padding_bias, name=f"{name}.masked")

    def values(self, gathered: str, value: np.ndarray, name: str) -> str:
        heads, hidden, size = value.shape
        single = self.writer.constant(f"{name}.single", [0, heads, 1, hidden])
        gathered = self.writer.node("Reshape", gathered, single, name=f"{name}.gathered_by_head")
        # (batch, heads, 1, hidden) x (heads, hidden, head size) -> (batch, hidden)
        value_weight = self.weight(f"{name}.value.weight", value)
        context = self.writer.node("MatMul", gathered, value_weight, name=f"{name}.values")
        flat = self.writer.constant("flat", [0, heads * size])
        return self.writer.node("Reshape", context, flat, name=f"{name}.flat")

    @cached_property
    def averaging(self) -> tuple[str, str]:
        one = self.writer.constant("one", [1])
        ones = self.writer.node("Cast", self._mask, to=TensorProto.FLOAT, name="mean.mask")  # (batch, sequence)
        row = self.writer.node("Unsqueeze", ones, one, name="mean.row")
        return row, self.writer.node("ReduceSum", ones, one, keepdims=1, name="mean.count")

    def floats(self, x: str, name: str) -> str:
        return x

    @cached_property
    def _padding_bias(self) -> str:
        nothing, lowest = self.writer.constant("mask.none", 0.0), self.writer.constant("mask.lowest", -1e30)
        return padding_bias(self.writer, self._attention_mask, nothing, lowest)


def multi_head_attention(inputs: Sequence[str], heads: int, name: str) -> onnx.GraphProto:
    """Return a branch with onnxruntime's own attention."""
    return branch(helper.make_node("MultiHeadAttention", inputs, [name], name=name, domain=MICROSOFT, num_heads=heads))
