"""The int8 variant of an exported graph, by onnxruntime's own tools; see `export.graph.int8` for written graphs."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from export.graph.quiet import quiet_tools

_PRODUCTS = ["MatMul", "Gemm"]


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    """Token rows in the form in which onnxruntime's tools read them, one text at a time."""

    def __init__(self, rows: Sequence[np.ndarray]) -> None:
        self._rows = self._inputs(rows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)

    @staticmethod
    def _inputs(rows: Sequence[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for row in rows:
            ids = row[np.newaxis]
            yield {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def quantized(
    graph: onnx.ModelProto, calibration: Sequence[np.ndarray], float32_nodes: Sequence[str]
) -> onnx.ModelProto:
    """Return a graph with int8 weights in its products, and uint8 activations with a fixed scale each.

    Args:
        graph: float32 graph.
        calibration: token ids of typical texts.
        float32_nodes: names of products that stay float32.
    """
    with tempfile.TemporaryDirectory() as folder, quiet_tools():
        given, path = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(graph, given)  # a graph in memory would be changed
        quantize_static(
            given,
            path,
            _Rows(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_PRODUCTS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(float32_nodes),
            extra_options={"OpTypesToExcludeOutputQuantization": _PRODUCTS, "MatMulConstBOnly": True},
        )
        return onnx.load(path)
