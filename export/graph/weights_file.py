"""Weights beside their graphs: the large constants of a graph in a file of their own, which another graph may read too.

So a bundle holds the weights once, whatever it can compute them in.
"""

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from scorer.model.manifest import WIDE

# Constants below this stay in the graph, where they can be read.
_LARGE = 1024
# Of a tensor's beginning in the file, so that no kernel has to copy it to where it likes it.
_ALIGNMENT = 64


class WeightsFile:
    """A file of weights in the making.

    Args:
        name: its plain name in the bundle.
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
        """A copy of a graph whose large constants are in this file; what is there already is not added again.

        A constant is there if one of its name and type begins with it, row by row: an int8 graph has rows behind the
        others that stand for no input of their own.
        """
        moved = onnx.ModelProto()
        moved.CopyFrom(model)
        for tensor in moved.graph.initializer:
            # Of another type (float32 beside int8): kept where it is rather than under a second name.
            if len(tensor.raw_data) < _LARGE or not self._holds(tensor):
                continue
            length = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", self.name), ("offset", self._offsets[tensor.name]), ("length", length)):
                tensor.external_data.add(key=key, value=str(value))
        return moved

    def _holds(self, tensor: TensorProto) -> bool:
        """Whether a tensor is in the file, where it is put if none of its name is."""
        if tensor.name not in self._tensors:
            self._data.extend(bytes(-len(self._data) % _ALIGNMENT))
            self._offsets[tensor.name] = len(self._data)
            self._data.extend(tensor.raw_data)
            held = self._tensors[tensor.name] = TensorProto()
            held.CopyFrom(tensor)
            return True
        held = self._tensors[tensor.name]
        same_rows = held.data_type == tensor.data_type and held.dims[1:] == tensor.dims[1:]
        return same_rows and held.raw_data.startswith(tensor.raw_data)


def with_weights_files(
    graphs: Mapping[str, onnx.ModelProto], wide: onnx.ModelProto | None = None
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The graphs of a bundle, their weights beside them.

    Args:
        graphs: by precision. fp16 reads the weights of fp32, or of int8 where there is no fp32.
        wide: the wide part's graph, which reads the same file as fp16 does; or None.

    Returns:
        the graphs by precision, the wide part's as `scorer.model.manifest.WIDE`, and the files that they read, by name.
    """
    files = {precision: WeightsFile(f"weights.{precision}.bin") for precision in graphs if precision != "fp16"}
    if not files:
        files = {"fp16": WeightsFile("weights.fp16.bin")}
    written: dict[str, bytes] = {}
    for precision in sorted(graphs, key=lambda precision: precision == "fp16"):  # last, for it only reads
        file = files.get(precision) or files.get("fp32") or files["int8"]
        written[precision] = file.add(graphs[precision]).SerializeToString()
    if wide is not None:
        file = files.get("fp32") or files.get("int8") or files["fp16"]
        written[WIDE] = file.add(wide).SerializeToString()
    return written, {file.name: file.data for file in files.values()}
