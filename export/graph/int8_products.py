"""Products of uint8 activations and int8 weights in a graph, and tables of int8 rows."""

import numpy as np
from onnx import TensorProto

from export.graph.activations import Observed, Statistics
from export.graph.encoder import Affine
from export.graph.rounding import Span, choose_span, power_scales, round_weights
from export.graph.writer import MACHINE_LEARNING, MICROSOFT, GraphWriter


class Int8Products:
    """Writer of int8 products.

    A weight that several blocks share is rounded once, for the inputs of all of them. Each input has a span of its own,
    and all have the same extra channels.

    Args:
        observed: statistics of every activation that enters a product.
        writer: writer of the graph.
    """

    def __init__(self, observed: Observed, writer: GraphWriter) -> None:
        self._writer = writer
        self._observed = observed
        self._spans: dict[str, Span] = {}
        self._quantized: dict[str, str] = {}
        self._joint: dict[str, Statistics] = {}
        self._shared: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def write(self, affine: Affine) -> str:
        """Write x @ weight + bias, and return the name of the result."""
        (x, linear, name, source), writer = affine, self._writer
        seen = self._observed.activations[x]
        if x not in self._quantized:  # query, key and value read the same activation
            self._spans[x] = self._span(x, source)
            self._quantized[x] = _quantize(writer, x, self._spans[x])
        rounded, scales = self._rounded(source, linear.weight)
        copies = rounded[self._spans[x].channels]
        # The mean error of the rounded weights is added to the bias.
        mean_bias = linear.bias + seen.mean @ (linear.weight - rounded * scales)
        bias = writer.constant(f"{name}.bias", mean_bias.astype(np.float32))
        if len(copies):  # onnxruntime adds constants while it loads the graph; float16 needs the bias alone
            rest = writer.constant(f"{name}.rest", -(self._spans[x].rest @ (copies * scales)).astype(np.float32))
            bias = writer.node("Add", bias, rest, name=f"{name}.shifted_bias")
        return writer.node(
            "MatMulIntegerToFloat",
            self._quantized[x],
            writer.constant(f"{source}.weight", np.concatenate([rounded, copies])),
            f"{x}.scale",
            writer.constant(f"{source}.scale", scales),
            f"{x}.zero",
            "",
            bias,
            domain=MICROSOFT,
            name=name,
        )

    def _span(self, x: str, source: str) -> Span:
        """Choose the span of an activation that a weight multiplies, perhaps among others."""
        seen, all_seen = self._observed.activations[x], self._of_weight(source)
        span = choose_span(all_seen.low, all_seen.high)
        return span if all_seen is seen else span.narrowed(seen.low, seen.high)

    def _rounded(self, source: str, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Round a weight, see `round_weights`; one that is shared is kept, because it is needed again."""
        if source in self._shared:
            return self._shared[source]
        found = round_weights(weight, self._of_weight(source).moment)
        if len(self._observed.inputs[source]) > 1:
            self._shared[source] = found
        return found

    def _of_weight(self, source: str) -> Statistics:
        if source not in self._joint:
            self._joint[source] = self._observed.of_weight(source)
        return self._joint[source]


def write_int8_table(writer: GraphWriter, table: np.ndarray, ids: str, *, table_name: str, name: str) -> str:
    """Write a lookup of rows in a table of int8 with a scale for each row.

    onnxruntime's own quantization of Gather has one scale for the whole table, set by its largest entry.

    Args:
        writer: writer of the graph.
        table: float32 (rows, channels).
        ids: name of the numbers of the rows, int64 (...).
        table_name: name of the table, and of its scales and rows.
        name: name of the result, float32 (..., channels).
    """
    scales = power_scales(np.abs(table).max(axis=1, keepdims=True))
    rounded = writer.constant(table_name, np.rint(table / scales).astype(np.int8))
    rows = writer.node("Gather", rounded, ids, axis=0, name=f"{table_name}.rows")
    rows = writer.node("Cast", rows, to=TensorProto.FLOAT, name=f"{table_name}.floats")
    scale = writer.node(
        "Gather", writer.constant(f"{table_name}.scale", scales), ids, axis=0, name=f"{table_name}.row_scales"
    )
    return writer.node("Mul", rows, scale, name=name)


def _quantize(writer: GraphWriter, x: str, span: Span) -> str:
    """Write a quantized activation: (..., channels) float32 -> (..., channels + extra channels) uint8"""
    scale, zero = writer.constant(f"{x}.scale", span.scale), writer.constant(f"{x}.zero", span.zero)
    within = writer.node("QuantizeLinear", x, scale, zero, name=f"{x}.within")  # clips values beyond the span
    if not len(span.channels):
        return within
    # Gather on the last axis copies value by value, which takes up to nine times as long.
    channels = writer.constant(f"{x}.channels", span.channels[np.newaxis])
    outliers = writer.node("ArrayFeatureExtractor", x, channels, domain=MACHINE_LEARNING, name=f"{x}.outliers")
    shifted = writer.node("Sub", outliers, writer.constant(f"{x}.offsets", span.offsets), name=f"{x}.shifted")
    beyond = writer.node("QuantizeLinear", shifted, scale, zero, name=f"{x}.beyond")
    return writer.node("Concat", within, beyond, axis=-1, name=f"{x}.quantized")
