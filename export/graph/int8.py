"""The int8 variant of the graph: weights in int8, activations in uint8 with one fixed scale each.

The fast kernels take a single scale for a whole activation, and this is the difficulty. A few channels of an encoder
have values ten times as large as those of all others. A scale that spans them leaves everything else four or five bits.
So the scale spans what most channels need. The excess of an outlier channel goes into extra channels of the same
product. Each takes a part of the excess that fits the scale, and has a copy of the weights' row. The idea is that of
Zhao et al. 2019, "Improving Neural Network Quantization without Retraining using Outlier Channel Splitting", applied to
the excess. The extra channels are few, and their products are int8 like all others.

The scales are fixed by calibration texts, so a row's score does not depend on its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
import scipy.linalg
from onnx import TensorProto

from export.classifier.classifier import Classifier
from export.encoder.weights import EncoderWeights
from export.graph.activations import Observed, Statistics, observe
from export.graph.classifier import classifier_graph, graph_logits, set_head_bias
from export.graph.encoder import Affine
from export.graph.fp32 import Float32, to_float32
from export.graph.writer import MICROSOFT, GraphWriter

CALIBRATION_ROWS = 64

# Price of extra channels: one per cent more channels must narrow the span by more than ten per cent. Measured on MiniLM
# (docs/PERFORMANCE.md), this takes most outliers, but no outputs of attention and no ordinary tails.
_PRICE = 10.0
_MOST_EXTRA = 1 / 16
# Added to the diagonal of the second moment, relative to its mean (Frantar et al. 2023, section 3.3).
_DAMPING = 0.01
_LARGEST = 127  # of an int8 weight; -128 is not used, so that the range is symmetric
# Significant bits of a scale. With the 7 of a weight they make 11, as many as float16 has. So the float16 graph, which
# reads the int8 weights, represents them exactly.
_SCALE_BITS = 4


def to_int8(weights: EncoderWeights, classifier: Classifier, calibration: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Write the classifier with int8 products, and with int8 word embeddings that have a scale for each word.

    Attention, LayerNorm, GELU, pooling and head stay float32: they are little work, and the score depends on them.

    Args:
        weights, classifier: as for `export.graph.classifier.classifier_graph`.
        calibration: token ids of typical texts.
    """
    observed = observe(partial(classifier_graph, weights, classifier), calibration)
    quantized = classifier_graph(weights, classifier, partial(Int8, observed))
    # Rounding errors do not average out to nothing; the rest would shift all scores the same way.
    exact, rounded = (graph_logits(model, calibration) for model in (to_float32(weights, classifier), quantized))
    set_head_bias(quantized, classifier.head.corrected(exact, rounded))
    return quantized


@dataclass(frozen=True)
class Span:
    """Range of an activation's values that the 256 steps of uint8 span, and the extra channels for the excess.

    Attributes:
        low, high: ends of the span, which includes 0.
        copies: number of extra channels for each channel, int (channels,); 0 for a channel within the span.
    """

    low: float
    high: float
    copies: np.ndarray

    @property
    def scale(self) -> np.float32:
        return np.float32((self.high - self.low) / 255)

    @property
    def zero(self) -> np.uint8:
        return np.uint8(np.rint(-self.low / self.scale))

    def narrowed(self, low: np.ndarray, high: np.ndarray) -> "Span":
        """Return the narrowest span that these channels fit into with the same extra channels.

        >>> Span(-4.0, 8.0, np.array([0, 1])).narrowed(np.array([-1.0, -2.0]), np.array([3.0, 8.0])).high
        4.0
        """
        parts = 1 + self.copies
        return Span(
            float((np.minimum(low, -1e-6) / parts).min()), float((np.maximum(high, 1e-6) / parts).max()), self.copies
        )


def choose_span(low: np.ndarray, high: np.ndarray) -> Span:
    """Choose the span with the lowest cost: log(width) + price * (share of extra channels).

    Args:
        low, high: each channel's smallest and largest value, (channels,).

    >>> int(choose_span(np.full(48, -1.0), np.array([1.0] * 47 + [3.0])).copies[-1])
    2
    """
    low, high = np.minimum(low, -1e-6), np.maximum(high, 1e-6)
    lowest, highest = float(low.min()), float(high.max())
    best, least_cost = Span(lowest, highest, np.zeros(len(low), dtype=np.int64)), np.log(highest - lowest)
    for limit in np.linspace(max(-lowest, highest), 0, 400, endpoint=False):
        span_low, span_high = max(lowest, -limit), min(highest, limit)
        over, under = (high - span_high) / span_high, (span_low - low) / -span_low
        copies = np.ceil(np.maximum(np.maximum(over, under), 0) - 1e-9).astype(np.int64)
        extra = copies.sum() / len(low)
        if extra > _MOST_EXTRA:
            break
        cost = np.log(span_high - span_low) + _PRICE * extra
        if cost < least_cost:
            best, least_cost = Span(float(span_low), float(span_high), copies), cost
    return best


def round_weights(weight: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round weights to int8 with a scale for each output, so that the product's error on real inputs is small.

    Rows are rounded one by one. The remaining rows compensate for the error of each, as far as their inputs correlate
    (Frantar et al. 2023, "GPTQ", section 3).

    Args:
        weight: (in, out).
        moment: E[x x^T] of the inputs, (in, in).

    Returns:
        int8 (in, out), and float32 scales (out,).
    """
    scales = _scales(np.abs(weight).max(axis=0))
    rows = len(weight)
    order = np.argsort(
        -np.diag(moment), kind="stable"
    )  # the most important rows first, while all others can still compensate
    left = weight[order].astype(np.float64)
    damped = moment[np.ix_(order, order)] + np.eye(rows) * (_DAMPING * np.mean(np.diag(moment)) + 1e-12)
    factor = scipy.linalg.cholesky(scipy.linalg.inv(damped), lower=False)
    rounded = np.empty(weight.shape, dtype=np.int8)
    for start in range(0, rows, 64):  # in blocks, so that the effect of each on all later rows is one matrix product
        end = min(start + 64, rows)
        errors = np.empty((end - start, weight.shape[1]))
        for row in range(start, end):
            steps = np.clip(np.rint(left[row] / scales), -_LARGEST, _LARGEST)
            rounded[order[row]] = steps
            errors[row - start] = (left[row] - steps * scales) / factor[row, row]
            left[row + 1 : end] -= np.outer(factor[row, row + 1 : end], errors[row - start])
        left[end:] -= factor[start:end, end:].T @ errors
    return rounded, scales


def _scales(largest: np.ndarray) -> np.ndarray:
    """Compute float32 scales with which `_LARGEST` steps reach these values, rounded up to `_SCALE_BITS` bits.

    >>> _scales(np.array([127.0, 130.0])).tolist()
    [1.0, 1.125]
    """
    mantissa, exponent = np.frexp(np.maximum(largest / _LARGEST, np.finfo(np.float16).tiny))
    steps = 2.0**_SCALE_BITS
    return np.ldexp(np.ceil(mantissa * steps) / steps, exponent).astype(np.float32)


class Int8(Float32):
    """Operators of `Float32` with products of uint8 activations and int8 weights.

    A weight that several blocks share is rounded once, for the inputs of all of them. Each input has a span of its own,
    and all have the same extra channels.

    Args:
        observed: statistics of every activation that enters a product.
        writer, attention_mask: as for `Float32`.
    """

    def __init__(self, observed: Observed, writer: GraphWriter, attention_mask: str) -> None:
        super().__init__(writer, attention_mask)
        self._observed = observed
        self._spans: dict[str, Span] = {}
        self._quantized: dict[str, str] = {}
        self._joint: dict[str, Statistics] = {}
        self._shared: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def look_up(self, table: np.ndarray, ids: str) -> str:
        """Look up words with a scale for each.

        onnxruntime's own quantization of Gather has one scale for the whole table, set by its largest entry.
        """
        writer = self.writer
        scales = _scales(np.abs(table).max(axis=1, keepdims=True))
        rounded = writer.constant("word", np.rint(table / scales).astype(np.int8))
        rows = writer.node("Gather", rounded, ids, axis=0, name="word.rows")
        rows = writer.node("Cast", rows, to=TensorProto.FLOAT, name="word.floats")
        scale = writer.node("Gather", writer.constant("word.scale", scales), ids, axis=0, name="word.row_scales")
        return writer.node("Mul", rows, scale, name="words")

    def linear(self, affine: Affine) -> str:
        (x, linear, name, source), writer = affine, self.writer
        seen = self._observed.activations[x]
        if x not in self._quantized:  # query, key and value read the same activation
            self._spans[x] = self._span(x, source)
            self._quantized[x] = _quantize(writer, x, self._spans[x])
        rounded, scales = self._rounded(source, linear.weight)
        # The mean error of the rounded weights is added to the bias.
        bias = linear.bias + seen.mean @ (linear.weight - rounded * scales)
        copies = np.repeat(rounded, self._spans[x].copies, axis=0)
        return writer.node(
            "MatMulIntegerToFloat",
            self._quantized[x],
            writer.constant(f"{source}.weight", np.concatenate([rounded, copies])),
            f"{x}.scale",
            writer.constant(f"{source}.scale", scales),
            f"{x}.zero",
            "",
            writer.constant(f"{name}.bias", bias.astype(np.float32)),
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


def _quantize(writer: GraphWriter, x: str, span: Span) -> str:
    """Write a quantized activation: (..., channels) float32 -> (..., channels + extra channels) uint8"""
    scale, zero = writer.constant(f"{x}.scale", span.scale), writer.constant(f"{x}.zero", span.zero)
    within = writer.node("QuantizeLinear", x, scale, zero, name=f"{x}.within")  # clips values beyond the span
    channels = np.repeat(np.arange(len(span.copies)), span.copies)
    if not len(channels):
        return within
    outliers = writer.node("Gather", x, writer.constant(f"{x}.channels", channels), axis=-1, name=f"{x}.outliers")
    cut = writer.node(
        "Clip",
        outliers,
        writer.constant(f"{x}.low", np.float32(span.low)),
        writer.constant(f"{x}.high", np.float32(span.high)),
        name=f"{x}.cut",
    )
    share = writer.constant(f"{x}.share", (1 / span.copies[channels]).astype(np.float32))
    excess = writer.node("Mul", writer.node("Sub", outliers, cut, name=f"{x}.excess"), share, name=f"{x}.shares")
    excess = writer.node("QuantizeLinear", excess, scale, zero, name=f"{x}.beyond")
    return writer.node("Concat", within, excess, axis=-1, name=f"{x}.quantized")
