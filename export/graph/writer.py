"""Writer of an ONNX graph, node by node."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError

OPSET = 21
MICROSOFT = "com.microsoft"
"""Domain of the operators that onnxruntime adds to the standard ones."""
MACHINE_LEARNING = "ai.onnx.ml"
"""Domain of the standard's operators for tables of features."""


class GraphWriter:
    """Nodes and constants of a graph that is being written. A method returns the name of a value, to be used as an input.

    A standard operator is written as ``writer.node("MatMul", x, w, name="y")``. A node and its first output share a name.

    Attributes:
        metadata: entries that the graph gets, such as `scorer.engine.runtime.INDEPENDENT_ROWS`.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        # Constants are added to the model at once, so that large weights are held once and not twice.
        self._model = helper.make_model(
            helper.make_graph([], "classifier", [], []),
            opset_imports=opsets,
            ir_version=10,
            producer_name="review-scorer",
        )
        self._constants: dict[str, onnx.TensorProto] = {}

    def use_opset(self, version: int) -> None:
        """Write the graph for a later version of the standard operators than `OPSET`."""
        self._model.opset_import[0].version = version

    def constant(self, name: str, value: np.ndarray | np.generic | float | Sequence[int]) -> str:
        """Add a weight or another constant; a Python number becomes float32, a sequence of integers int64.

        Raises:
            ValueError: the name already belongs to another value.
        """
        if isinstance(value, float):
            value = np.float32(value)
        return self.add_constant(
            name, numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        )

    def add_constant(self, name: str, tensor: onnx.TensorProto) -> str:
        """Add a constant that is a tensor of ONNX already; it is renamed.

        Raises:
            ValueError: the name already belongs to another value.
        """
        tensor.name = name
        known = self._constants.get(name)
        if known is None:
            self._constants[name] = self._model.graph.initializer.add()
            self._constants[name].CopyFrom(tensor)
        elif known != tensor:
            raise ValueError(f"two different constants are called {name!r}")
        return name

    def node(
        self, operator: str, *inputs: str, name: str, domain: str = "", more_outputs: int = 0, **attributes: Any
    ) -> str:
        """Append a node and return the name of its first output; further outputs of an operator are never read."""
        if domain not in (one.domain for one in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(domain, 1))
        outputs = [name, *(f"{name}.{number}" for number in range(1, 1 + more_outputs))]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes))
        return name

    def model(self, outputs: Mapping[str, Sequence[str | int]]) -> onnx.ModelProto:
        """Finish the model: input_ids, attention_mask -> float32 outputs; nothing can be written afterwards.

        Args:
            outputs: shape of each output, by name.

        Raises:
            ExportError: the graph is malformed.
        """
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask")
        ]
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        model = self._model
        helper.set_model_props(model, self.metadata)
        model.graph.node.extend(self.nodes)
        model.graph.input.extend(inputs)
        model.graph.output.extend(values)
        check_graph(model)
        return model


def check_graph(model: onnx.ModelProto) -> None:
    """Raise `ExportError` unless the graph is well formed and its batch and sequence axes are symbolic."""
    try:
        onnx.checker.check_model(_without_weights(model), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is malformed: {error}") from error
    axes = {}
    for value in model.graph.input:
        axes[value.name] = [axis.dim_param for axis in value.type.tensor_type.shape.dim]
    expected = {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]}
    if axes != expected:
        raise ExportError(f"the exported graph's axes are {axes}, not {expected}.")


# Bytes up to which the checker needs a constant's values: they may be shapes and axes.
_SMALL = 1024


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose large constants are inputs of their shape and type; the checker copies a model several times."""
    bare = without_constants(model)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) <= _SMALL:
            bare.graph.initializer.add().CopyFrom(tensor)
        else:
            bare.graph.input.add().CopyFrom(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return bare


def without_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model without its constants, which are most of its bytes."""
    bare = onnx.ModelProto()
    for source, copy, omitted in ((model, bare, "graph"), (model.graph, bare.graph, "initializer")):
        for field, value in source.ListFields():
            if field.name == omitted:
                continue
            if isinstance(value, int | float | str | bytes):
                setattr(copy, field.name, value)
            else:
                getattr(copy, field.name).MergeFrom(value)
    return bare


# Protocol buffers end at about this size, and onnxruntime is given whole graphs while a bundle is made.
_LARGEST_GRAPH = 2_000_000_000


def graph_bytes(model: onnx.ModelProto) -> bytes:
    """Serialize an ONNX graph as one file.

    Raises:
        ExportError: the graph is too large for one file.
    """
    if model.ByteSize() > _LARGEST_GRAPH:
        raise ExportError(f"the graph has {model.ByteSize():,} bytes; encoders over 2 GB are not supported.")
    return model.SerializeToString()


def branch(node: onnx.NodeProto) -> onnx.GraphProto:
    """Return a branch of an If that has one node and its float32 output."""
    (output,) = node.output
    return helper.make_graph([node], output, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)])
