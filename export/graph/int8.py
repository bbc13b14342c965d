"""The int8 variant of the graph: weights in int8, activations in uint8 with one fixed scale each.

The fast kernels take a single scale for a whole activation, and this is the difficulty. A few channels of an encoder
have values ten times as large as those of all others. A scale that spans them leaves everything else four or five bits.
So the scale spans what most channels need. An outlier channel gets extra channels in the same product, each with a copy of
the weights' row. They hold the values that lie one or more widths of the span further out, so that every value is rounded
once. The idea is that of Zhao et al. 2019, "Improving Neural Network Quantization without Retraining using Outlier Channel
Splitting", with ranges instead of shares. The extra channels are few, and their products are int8 like all others.

The scales are fixed by calibration texts, so a row's score does not depend on its neighbours.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx
from onnx import helper

from export.classifier.classifier import Classifier
from export.encoder.weights import EncoderWeights
from export.graph.activations import Observed, observe
from export.graph.classifier import classifier_graph, graph_logits, set_head_bias
from export.graph.encoder import Affine
from export.graph.fp32 import Float32, to_float32
from export.graph.int8_products import Int8Products, write_int8_table
from export.graph.writer import GraphWriter, branch

CALIBRATION_ROWS = 64
_OPSET = 23  # the first with Attention
_CACHED_SCORES = 750_000  # of an attention, 3 MB; measured on AMD (docs/PERFORMANCE.md)


def calibration_rows(classifier: Classifier, texts: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Return as many rows of a classifier's graph as texts: the texts, or windows at random if some are read in several.

    Args:
        classifier: classifier of the graph.
        texts: token ids of each text, (sequence,).
        seed: seed of the choice among windows.
    """
    rows = classifier.split(texts).rows
    if len(rows) == len(texts):
        return list(rows)
    return [rows[row] for row in np.random.default_rng(seed).permutation(len(rows))[: len(texts)]]


def to_int8(
    weights: EncoderWeights,
    classifier: Classifier,
    calibration: Sequence[np.ndarray],
    float32: onnx.ModelProto | None = None,
) -> onnx.ModelProto:
    """Write the classifier with int8 products, and with int8 word embeddings that have a scale for each word.

    Attention, LayerNorm, GELU, pooling and head stay float32: they are little work, and the score depends on them.

    Args:
        weights, classifier: as for `export.graph.classifier.classifier_graph`.
        calibration: token ids of typical texts.
        float32: float32 graph of the classifier; None to write it.
    """
    observed = observe(to_float32(weights, classifier) if float32 is None else float32, calibration)
    quantized = classifier_graph(weights, classifier, partial(Int8, observed))
    # Rounding errors do not average out to nothing; the rest would shift all scores the same way.
    set_head_bias(quantized, classifier.head.corrected(observed.logits, graph_logits(quantized, calibration)))
    return quantized


class Int8(Float32):
    """Operators of `Float32` with products of uint8 activations and int8 weights.

    Args:
        observed: statistics of every activation that enters a product.
        writer, attention_mask: as for `Float32`.
    """

    def __init__(self, observed: Observed, writer: GraphWriter, attention_mask: str) -> None:
        super().__init__(writer, attention_mask)
        writer.use_opset(_OPSET)
        self._short = ""
        self._products = Int8Products(observed, writer)

    def look_up(self, table: np.ndarray, ids: str) -> str:
        return write_int8_table(self.writer, table, ids, table_name="word", name="words")

    def linear(self, affine: Affine) -> str:
        return self._products.write(affine)

    def unmasked_attention(self, projected: Sequence[str], bias: str, heads: int, name: str) -> onnx.GraphProto:
        """Return the standard's Attention for short rows, and onnxruntime's own for long ones.

        The standard's is the faster one until its scores, (heads, sequence, sequence), leave the cache.
        """
        inputs = [*projected, *([bias] if bias else [])]
        short = f"{name}.short"
        standard = helper.make_node("Attention", inputs, [short], name=short, q_num_heads=heads, kv_num_heads=heads)
        own = super().unmasked_attention(projected, bias, heads, f"{name}.long")
        choice = helper.make_node(
            "If", [self._is_short(heads)], [name], name=name, then_branch=branch(standard), else_branch=own
        )
        return branch(choice)

    def _is_short(self, heads: int) -> str:
        """Write whether the rows are short enough for the standard's Attention, bool (1,)."""
        if not self._short:
            length = self.writer.node("Shape", self._attention_mask, start=1, end=2, name="length")
            longest = self.writer.constant("short.longest", [math.isqrt(_CACHED_SCORES // heads)])
            self._short = self.writer.node("LessOrEqual", length, longest, name="short")
        return self._short
