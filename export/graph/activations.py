"""Statistics of the activations that enter a graph's products, observed on typical texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from onnx import helper
from scipy.linalg.blas import ssyrk

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
        moment: uncentred second moment, E[x x^T], float32 (channels, channels).
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    moment: np.ndarray


@dataclass(frozen=True)
class Observed:
    """Statistics of a graph's products.

    Attributes:
        activations: statistics of each activation that is multiplied by a weight, by name.
        inputs: names of the activations that each weight multiplies, by the name of the weight; several for one that
            blocks share.
    """

    activations: Mapping[str, Statistics]
    inputs: Mapping[str, Sequence[str]]

    def of_weight(self, name: str) -> Statistics:
        """Return the statistics of all that a weight multiplies; each activation counts alike, whatever its tokens."""
        some = [self.activations[one] for one in self.inputs[name]]
        if len(some) == 1:
            return some[0]
        moment = np.zeros_like(some[0].moment)
        for one in some:
            moment += one.moment / len(some)
        low, high = np.min([one.low for one in some], axis=0), np.max([one.high for one in some], axis=0)
        return Statistics(low, high, np.mean([one.mean for one in some], axis=0), moment)


class _Recorder(Float32):
    """Operators of `Float32` that record the activations that enter products.

    Args:
        sizes: number of channels of each activation, by name; filled while the graph is written.
        inputs: names of the activations that enter each product, by the name of its weight; filled likewise.
        writer, attention_mask: as for `Float32`.
    """

    def __init__(
        self, sizes: dict[str, int], inputs: dict[str, list[str]], writer: GraphWriter, attention_mask: str
    ) -> None:
        super().__init__(writer, attention_mask)
        self._sizes = sizes
        self._inputs = inputs

    def linear(self, affine: Affine) -> str:
        self._sizes[affine.x] = len(affine.linear.weight)
        self._inputs.setdefault(affine.source, []).append(affine.x)
        return super().linear(affine)


def observe(
    write: Callable[[Callable[[GraphWriter, str], Float32]], onnx.ModelProto], rows: Sequence[np.ndarray]
) -> Observed:
    """Run a float32 graph on token rows, and collect the statistics of its activations.

    Args:
        write: function that writes the graph, given the constructor of its operators.
        rows: token ids of typical texts.
    """
    sizes: dict[str, int] = {}
    inputs: dict[str, list[str]] = {}
    graph = write(partial(_Recorder, sizes, inputs))
    return Observed(statistics(graph, sizes, rows), inputs)


def statistics(graph: onnx.ModelProto, sizes: Mapping[str, int], rows: Sequence[np.ndarray]) -> dict[str, Statistics]:
    """Run a float32 graph on token rows, and collect the statistics of some of its activations.

    Args:
        graph: graph, which gets more outputs.
        sizes: number of channels of each activation, by name.
        rows: token ids of typical texts.
    """
    names = list(sizes)
    graph.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = open_session(graph.SerializeToString(), "cpu")
    found = {
        name: Statistics(
            np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size), np.zeros((size, size), np.float32, order="F")
        )
        for name, size in sizes.items()
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
            # In place, and only the upper half: a moment is as large as the weights that its activation enters.
            seen.moment = ssyrk(1.0, x.T, beta=1.0, c=seen.moment, overwrite_c=1)
            tokens[name] += len(x)
    for name, seen in found.items():
        seen.mean /= tokens[name]
        seen.moment += np.triu(seen.moment, 1).T
        seen.moment /= tokens[name]
    return found
