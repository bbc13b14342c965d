"""Removal of the wide part from a classifier's graph, for bundles that were written in one graph."""

from collections.abc import Iterator

import onnx

from export.errors import ExportError
from scorer.engine.runtime import INDEPENDENT_ROWS, INDEPENDENT_WITHOUT_WIDE


def without_wide(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that gives the logits of the head alone, without nodes and constants of the wide part.

    Raises:
        ExportError: the graph has no wide part.
    """
    split = onnx.ModelProto()
    split.CopyFrom(model)
    graph = split.graph
    for entry in split.metadata_props:
        if (entry.key, entry.value) == INDEPENDENT_WITHOUT_WIDE:
            entry.key, entry.value = INDEPENDENT_ROWS
    by_output = {node.output[0]: node for node in graph.node}
    total = by_output.get("logits")
    if total is None or total.op_type != "Add" or list(total.input) != ["head.logits", "wide.logits"]:
        raise ExportError("the graph does not add a wide part to the logits of a head. Train the bundle again.")
    head = by_output["head.logits"]
    head.name = head.output[0] = "logits"
    graph.node.remove(total)
    needed = _needed(graph)
    nodes = [node for node in graph.node if needed.intersection(node.output)]
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    return split


def _needed(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the values that the graph's outputs depend on."""
    inputs = {name: list(_inputs(node)) for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [output.name for output in graph.output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += inputs.get(name, [])
    return needed


def _inputs(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node and its subgraphs read."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _inputs(inner)
