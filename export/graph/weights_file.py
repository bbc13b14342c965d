"""Weights beside their graphs: the large constants of a graph, in a file that other graphs may read as well.

So a bundle holds the weights once, whatever precisions it has.
"""

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from export.graph.writer import without_constants
from scorer.model.manifest import WIDE

# Constants of fewer bytes stay in the graph, where they can be read.
_LARGE = 1024
# Alignment of each tensor in the file, in bytes, so that no kernel has to copy it to an aligned address.
_ALIGNMENT = 64


class WeightsFile:
    """A file of weights that is being built.

    Args:
        name: plain name of the file in the bundle.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._data = bytearray()
        self._tensors: dict[str, TensorProto] = {}
        self._offsets: dict[str, int] = {}

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    def add(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Return a copy of a graph with its large constants in this file; those that it already holds are not added again.

        The file holds a constant if one of the same name and type begins with its rows. An int8 graph has more rows than
        that: they follow the others, and have no input of their own.
        """
        moved = without_constants(model)
        for tensor in model.graph.initializer:
            # A constant of another type (float32 beside int8) stays in the graph, rather than here under a second name.
            if len(tensor.raw_data) < _LARGE or not self._holds(tensor):
                moved.graph.initializer.add().CopyFrom(tensor)
                continue
            outside = moved.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            outside.data_location = TensorProto.EXTERNAL
            length = len(tensor.raw_data)
            for key, value in (("location", self.name), ("offset", self._offsets[tensor.name]), ("length", length)):
                outside.external_data.add(key=key, value=str(value))
        return moved

    def _holds(self, tensor: TensorProto) -> bool:
        """Return whether the file holds a tensor; add it first if the file has none of its name."""
        if tensor.name not in self._tensors:
            self._data.extend(bytes(-len(self._data) % _ALIGNMENT))
            self._offsets[tensor.name] = len(self._data)
            self._data.extend(tensor.raw_data)
            self._tensors[tensor.name] = tensor
            return True
        held = self._tensors[tensor.name]
        same_rows = held.data_type == tensor.data_type and held.dims[1:] == tensor.dims[1:]
        return same_rows and held.raw_data.startswith(tensor.raw_data)


def with_weights_files(
    graphs: Mapping[str, onnx.ModelProto], wide: onnx.ModelProto | None = None
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Serialize the graphs of a bundle, with their weights in separate files.

    Args:
        graphs: graphs by precision. fp16 reads the weights of fp32, or those of int8 if fp32 is missing.
        wide: graph of the wide part, which reads the same file as fp16, or None.

    Returns:
        graphs by precision, with the wide part's under `scorer.model.manifest.WIDE`; and the files that they read, by name.
    """
    files = {precision: WeightsFile(f"weights.{precision}.bin") for precision in graphs if precision != "fp16"}
    if not files:
        files = {"fp16": WeightsFile("weights.fp16.bin")}
    written: dict[str, bytes] = {}
    for precision in sorted(graphs, key=lambda precision: precision == "fp16"):  # fp16 last, because it only reads
        file = files.get(precision) or files.get("fp32") or files["int8"]
        written[precision] = file.add(graphs[precision]).SerializeToString()
    if wide is not None:
        file = files.get("fp32") or files.get("int8") or files["fp16"]
        written[WIDE] = file.add(wide).SerializeToString()
    return written, {file.name: file.data for file in files.values()}
