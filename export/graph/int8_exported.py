"""The int8 variant of an exported graph: its products and its table of words, as in a written one."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from export.encoder.weights import Linear
from export.graph.activations import Observed, statistics
from export.graph.encoder import Affine
from export.graph.int8_products import Int8Products, write_int8_table
from export.graph.writer import GraphWriter

# Bytes from which a table that is looked up row by row becomes int8: words, but no positions.
_LARGE_TABLE = 1 << 24


def to_int8_exported(
    graph: onnx.ModelProto, calibration: Sequence[np.ndarray], float32_products: Sequence[str]
) -> onnx.ModelProto:
    """Return the graph with int8 products of activations and weights, and an int8 table of words.

    Args:
        graph: float32 graph of a classifier; it is not changed.
        calibration: token ids of typical texts.
        float32_products: names of the products that stay float32.
    """
    weights = {tensor.name: tensor for tensor in graph.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    products = [node for node in graph.graph.node if _is_product(node, weights) and node.name not in float32_products]
    observed = _observe(graph, products, weights, calibration)
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
            int8.write(Affine(node.input[0], linear, node.output[0], node.input[1]))
        elif node in tables:
            table, name = numpy_helper.to_array(weights[node.input[0]]), node.input[0]
            write_int8_table(writer, table, node.input[1], table_name=name, name=node.output[0])
        else:
            writer.nodes.append(node)
    return writer.model({one.name: _shape(one) for one in graph.graph.output})


def _observe(
    graph: onnx.ModelProto,
    products: Sequence[onnx.NodeProto],
    weights: Mapping[str, onnx.TensorProto],
    rows: Sequence[np.ndarray],
) -> Observed:
    """Observe what enters the products; a graph's outputs are as before afterwards."""
    inputs: dict[str, list[str]] = {}
    for node in products:
        inputs.setdefault(node.input[1], []).append(node.input[0])
    sizes = {node.input[0]: weights[node.input[1]].dims[0] for node in products}
    count = len(graph.graph.output)
    try:
        return Observed(statistics(graph, sizes, rows), inputs)
    finally:
        del graph.graph.output[count:]


def _is_product(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Return whether a node multiplies an activation by a matrix of weights."""
    if node.op_type != "MatMul" or node.domain or node.input[0] in weights:
        return False
    return node.input[1] in weights and len(weights[node.input[1]].dims) == 2


def _is_table(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Return whether a node looks up rows of a large table."""
    if node.op_type != "Gather" or node.input[0] not in weights:
        return False
    table = weights[node.input[0]]
    axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
    return axis == 0 and len(table.dims) == 2 and len(table.raw_data) >= _LARGE_TABLE


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
