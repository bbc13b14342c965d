"""The int8 variant of an exported graph: weights in int8, activations quantized while running.

Activations get one scale a tensor, and encoders have a few channels whose values are ten times those of all others:
with them in the tensor, everything else is left with four or five bits. So those channels are taken out and multiplied
in float32, and the rest is quantized (Dettmers et al. 2022, "LLM.int8()", section 3.2). They are the same channels for
every text, so they are chosen once, on calibration texts.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from export.errors import ExportError
from scorer.engine import RowEngine
from scorer.runtime import open_session

# A channel is an outlier if its peak is more than this many times the median channel's. Measured on MiniLM
# (docs/PERFORMANCE.md): these are some 15 of 384 and 80 of 1,536 channels, and beyond them little is left to gain.
_OUTLIER_RATIO = 2.0
CALIBRATION_ROWS = 64


def to_int8(model: onnx.ModelProto, calibration: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Quantize the matrix products (dynamic, a scale per output channel) and the word embeddings (a scale per word).

    Outlier channels, pooling and head stay float32: a small part of the work, and the score hangs on them.

    Args:
        model: the fp32 graph.
        calibration: token ids of typical texts.
    """
    products = _weight_products(model)
    peaks = _peaks(model, sorted({product.activation for product in products}), calibration)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    in_float = _split_outliers(copy, products, peaks)
    # The quantizer turns the head's Gemm into a MatMul of this name first, and would quantize that.
    in_float += [f"{node.name}_MatMul" for node in copy.graph.node if node.op_type == "Gemm"]
    _quantize_embeddings(copy)
    # The quantizer infers shapes itself and stumbles over those that the exporter noted under the same names.
    del copy.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        logger = logging.getLogger()
        before = logger.level
        logger.setLevel(logging.ERROR)  # it advises a preprocessing that this graph does not need
        try:
            quantize_dynamic(
                copy,
                path,
                op_types_to_quantize=["MatMul"],
                nodes_to_exclude=in_float,
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
        finally:
            logger.setLevel(before)
        quantized = onnx.load(path)
    _correct_bias(quantized, model, calibration)
    return quantized


@dataclass(frozen=True)
class _Product:
    """A product of an activation (batch, sequence, in) and a constant weight (in, out); by name."""

    node: str
    activation: str
    weight: str


def _weight_products(model: onnx.ModelProto) -> list[_Product]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        _Product(node.name, node.input[0], node.input[1])
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    ]


def _peaks(model: onnx.ModelProto, activations: Sequence[str], rows: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The biggest absolute value of each channel of each activation over the calibration rows."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in activations
    )
    session = open_session(observed.SerializeToString(), "cpu")
    peaks = {name: np.zeros(1, dtype=np.float32) for name in activations}
    for row in rows:
        ids = row[np.newaxis]
        values = session.run(list(activations), {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        for name, value in zip(activations, values, strict=True):
            peaks[name] = np.maximum(peaks[name], np.abs(value).max(axis=(0, 1)))
    return peaks


def _split_outliers(model: onnx.ModelProto, products: Sequence[_Product], peaks: dict[str, np.ndarray]) -> list[str]:
    """Rewrite ``x @ w`` as ``(x without outliers) @ w + (x's outliers) @ (w's rows for them)``.

    Returns:
        the names of the nodes that have to stay float32.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    by_node = {product.node: product for product in products}
    nodes: list[onnx.NodeProto] = []
    split: set[str] = set()
    in_float = []
    for node in graph.node:
        product = by_node.get(node.name)
        if product is None:
            nodes.append(node)
            continue
        x, weight = product.activation, weights[product.weight]
        peak = peaks[x]
        channels = np.flatnonzero(peak > _OUTLIER_RATIO * np.median(peak))
        if not len(channels):
            nodes.append(node)
            continue
        if x not in split:  # query, key and value read the same activation
            split.add(x)
            kept = np.ones(len(peak), dtype=np.float32)
            kept[channels] = 0
            graph.initializer.extend(
                [
                    numpy_helper.from_array(kept, f"{x}.kept"),
                    numpy_helper.from_array(channels.astype(np.int64), f"{x}.channels"),
                ]
            )
            nodes.append(helper.make_node("Mul", [x, f"{x}.kept"], [f"{x}.rest"]))
            nodes.append(helper.make_node("Gather", [x, f"{x}.channels"], [f"{x}.outliers"], axis=2))
        values = numpy_helper.to_array(weight).copy()
        graph.initializer.append(numpy_helper.from_array(values[channels], f"{weight.name}.outliers"))
        values[channels] = 0  # so that they do not widen the scales of the rest
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        in_float.append(f"{node.name}.outliers")
        nodes += [
            helper.make_node(
                "MatMul", [f"{x}.outliers", f"{weight.name}.outliers"], [f"{node.name}.a"], name=in_float[-1]
            ),
            helper.make_node("MatMul", [f"{x}.rest", weight.name], [f"{node.name}.b"], name=node.name),
            helper.make_node("Add", [f"{node.name}.a", f"{node.name}.b"], list(node.output)),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    return in_float


def _correct_bias(quantized: onnx.ModelProto, model: onnx.ModelProto, rows: Sequence[np.ndarray]) -> None:
    """Take the mean error of the logits out of them.

    Rounding errors do not average out to nothing, and what is left of them shifts all scores the same way (Nagel et
    al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2).
    """
    found, expected = (
        RowEngine(open_session(graph.SerializeToString(), "cpu"), threads=1).logits(rows)
        for graph in (quantized, model)
    )
    # A node of its own: the exporter merges equal tensors, so the head's bias may not be the head's alone.
    graph = quantized.graph
    (last,) = (node for node in graph.node if "logits" in node.output)
    last.output[list(last.output).index("logits")] = "logits.uncorrected"
    correction = (expected - found).mean(axis=0).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(correction, "logits.correction"))
    graph.node.append(helper.make_node("Add", ["logits.uncorrected", "logits.correction"], ["logits"]))


def _quantize_embeddings(model: onnx.ModelProto) -> None:
    """Replace the look-up of float word vectors by int8 vectors times the word's own scale.

    onnxruntime's own quantization of Gather has one scale for the whole table, which its largest entry decides.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    lookups = [node for node in graph.node if node.op_type == "Gather" and node.input[1] == "input_ids"]
    if len(lookups) != 1 or lookups[0].input[0] not in weights:
        raise ExportError("the graph has no single look-up of word embeddings by input_ids.")
    (lookup,) = lookups
    table = weights[lookup.input[0]]
    vectors = numpy_helper.to_array(table)  # (vocabulary, hidden)
    scales = np.maximum(np.abs(vectors).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    graph.initializer.remove(table)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.rint(vectors / scales).astype(np.int8), "word.quantized"),
            numpy_helper.from_array(scales, "word.scale"),  # (vocabulary, 1)
        ]
    )
    nodes = [
        helper.make_node("Gather", ["word.quantized", "input_ids"], ["word.rows"], axis=0),
        helper.make_node("Cast", ["word.rows"], ["word.rows.float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Gather", ["word.scale", "input_ids"], ["word.row.scales"], axis=0),
        helper.make_node("Mul", ["word.rows.float", "word.row.scales"], list(lookup.output)),
    ]
    at = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    for offset, node in enumerate(nodes):
        graph.node.insert(at + offset, node)
