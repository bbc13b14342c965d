"""Statistics of the activations that enter a graph's products, observed on typical texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper
from scipy.linalg.blas import ssyrk

from scorer.engine.runtime import open_session

FLOAT32_PRODUCTS = ("head.product", "dense.product")
"""Products that stay float32 in every precision: they are little work, and the score depends on them."""


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
        logits: logits of the graph itself, float32 (texts, logits).
    """

    activations: Mapping[str, Statistics]
    inputs: Mapping[str, Sequence[str]]
    logits: np.ndarray

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


def products_of(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes of a float32 graph that multiply an activation by a matrix of weights, without those of the head."""
    weights = _float_matrices(graph)
    return [
        node
        for node in graph.graph.node
        if node.op_type == "MatMul"
        and node.input[0] not in weights
        and node.input[1] in weights
        and node.name not in FLOAT32_PRODUCTS
    ]


def source_of(product: onnx.NodeProto) -> str:
    """Return the name of a product's weight, as `Observed.inputs` has it."""
    return product.input[1].removesuffix(".weight")


def observe(graph: onnx.ModelProto, rows: Sequence[np.ndarray]) -> Observed:
    """Run a classifier's float32 graph on token rows, and collect the statistics of what enters its products.

    Args:
        graph: graph with the output logits; it has other outputs meanwhile.
        rows: token ids of typical texts.
    """
    weights = _float_matrices(graph)
    inputs: dict[str, list[str]] = {}
    sizes: dict[str, int] = {}
    for node in products_of(graph):
        inputs.setdefault(source_of(node), []).append(node.input[0])
        sizes[node.input[0]] = weights[node.input[1]].dims[0]
    count = len(graph.graph.output)
    graph.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in sizes)
    try:
        session = open_session(graph.SerializeToString(), "cpu")
    finally:
        del graph.graph.output[count:]
    found = {
        name: Statistics(
            np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size), np.zeros((size, size), np.float32, order="F")
        )
        for name, size in sizes.items()
    }
    tokens = dict.fromkeys(sizes, 0)
    logits = []
    for row in rows:
        ids = row[np.newaxis]
        some, *values = session.run(["logits", *sizes], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        logits.append(some)
        for name, value in zip(sizes, values, strict=True):
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
    return Observed(found, inputs, np.concatenate(logits))


def _float_matrices(graph: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {
        one.name: one
        for one in graph.graph.initializer
        if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) == 2
    }
