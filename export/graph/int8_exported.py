"""The int8 variant of an exported graph: its products and its table of words, as in a written one."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from export.classifier.classifier import Classifier
from export.encoder.weights import Linear
from export.graph.activations import observe, products_of, source_of
from export.graph.classifier import graph_logits, set_head_bias
from export.graph.encoder import Affine
from export.graph.int8_products import Int8Products, write_int8_table
from export.graph.writer import GraphWriter

# Bytes from which a table that is looked up row by row becomes int8: words, but no positions.
_LARGE_TABLE = 1 << 24


def to_int8_exported(
    graph: onnx.ModelProto, classifier: Classifier, calibration: Sequence[np.ndarray]
) -> onnx.ModelProto:
    """Return the graph with int8 products of activations and weights, and an int8 table of words.

    Args:
        graph: float32 graph of the classifier.
        classifier: classifier of the graph.
        calibration: token ids of typical texts.
    """
    weights = {tensor.name: tensor for tensor in graph.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    observed, products = observe(graph, calibration), products_of(graph)
    tables = [node for node in graph.graph.node if _is_table(node, weights)]
    writer = GraphWriter()
    replaced = {node.input[1] for node in products} | {node.input[0] for node in tables}
    read = {name for node in graph.graph.node if node not in products and node not in tables for name in node.input}
    for tensor in graph.graph.initializer:
        if tensor.name not in replaced or tensor.name in read:
            writer.add_constant(tensor.name, tensor)
    int8 = Int8Products(observed, writer)
    for node in graph.graph.node:
        if node in products:
            weight = numpy_helper.to_array(weights[node.input[1]])
            linear = Linear(weight, np.zeros(weight.shape[1], dtype=np.float32))
            int8.write(Affine(node.input[0], linear, node.output[0], source_of(node)))
        elif node in tables:
            table, name = numpy_helper.to_array(weights[node.input[0]]), node.input[0]
            write_int8_table(writer, table, node.input[1], table_name=name, name=node.output[0])
        else:
            writer.nodes.append(node)
    quantized = writer.model({one.name: _shape(one) for one in graph.graph.output})
    set_head_bias(quantized, classifier.head.corrected(observed.logits, graph_logits(quantized, calibration)))
    return quantized


def _is_table(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Return whether a node looks up rows of a large table."""
    if node.op_type != "Gather" or node.input[0] not in weights:
        return False
    table = weights[node.input[0]]
    axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
    return axis == 0 and len(table.dims) == 2 and len(table.raw_data) >= _LARGE_TABLE


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
