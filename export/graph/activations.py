"""Statistics of the activations that enter a graph's products, observed on typical texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from onnx import helper

from export.graph.encoder import Affine
from export.graph.fp32 import Float32
from export.graph.writer import GraphWriter
from scorer.engine.runtime import open_session


@dataclass
class Statistics:
    """Statistics of one activation over all tokens of the calibration texts.

    Attributes:
        low, high: smallest and largest value of each channel, (channels,).
        mean: mean of each channel, (channels,).
        moment: uncentred second moment, E[x x^T], (channels, channels).
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    moment: np.ndarray


class _Recorder(Float32):
    """Operators of `Float32` that record the activations that enter products.

    Args:
        inputs: number of channels of each activation, by name; filled while the graph is written.
        writer, attention_mask: as for `Float32`.
    """

    def __init__(self, inputs: dict[str, int], writer: GraphWriter, attention_mask: str) -> None:
        super().__init__(writer, attention_mask)
        self._inputs = inputs

    def linear(self, affine: Affine) -> str:
        self._inputs[affine.x] = len(affine.linear.weight)
        return super().linear(affine)


def observe(
    write: Callable[[Callable[[GraphWriter, str], Float32]], onnx.ModelProto], rows: Sequence[np.ndarray]
) -> dict[str, Statistics]:
    """Run a float32 graph on token rows, and collect the statistics of its activations.

    Args:
        write: function that writes the graph, given the constructor of its operators.
        rows: token ids of typical texts.

    Returns:
        statistics of each activation that is multiplied by a weight, by name.
    """
    inputs: dict[str, int] = {}
    graph = write(partial(_Recorder, inputs))
    names = list(inputs)
    graph.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = open_session(graph.SerializeToString(), "cpu")
    found = {
        name: Statistics(np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size), np.zeros((size, size)))
        for name, size in inputs.items()
    }
    tokens = dict.fromkeys(names, 0)
    for row in rows:
        ids = row[np.newaxis]
        for name, value in zip(
            names, session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)}), strict=True
        ):
            x, seen = value.reshape(-1, value.shape[-1]), found[name]
            np.minimum(seen.low, x.min(axis=0), out=seen.low)
            np.maximum(seen.high, x.max(axis=0), out=seen.high)
            seen.mean += x.sum(axis=0, dtype=np.float64)
            seen.moment += x.T @ x
            tokens[name] += len(x)
    for name, seen in found.items():
        seen.mean /= tokens[name]
        seen.moment /= tokens[name]
    return found
