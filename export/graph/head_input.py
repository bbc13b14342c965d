"""The vector that the head of a bundle reads, computed by the bundle's own graph."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.encoder.vectors import LOGITS
from export.errors import ExportError
from scorer.base.progress import Progress
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.engine.windows import split_of
from scorer.model.bundle import Bundle
from scorer.model.choice import choose
from scorer.model.tokenizer import Tokenizer
from scorer.model.windows import windows_of

HEAD = "head.product"
"""Name of the product of a head that this project writes."""

_OUTPUT = "head.input"
_AT_A_TIME = 256  # rows between two lines of the progress


def vectors_of(
    bundle: Bundle, tokenizer: Tokenizer, ids: Sequence[np.ndarray], *, threads: int, quiet: bool
) -> np.ndarray:
    """Compute the vectors of texts that a bundle's head reads, float32 (texts, hidden).

    The vector of a text that is read in windows is the mean of its windows' vectors.

    Args:
        bundle: trained or imported bundle.
        tokenizer: its tokenizer.
        ids: token ids of each text, (sequence,).
        threads: rows to compute at a time.
        quiet: show no progress.

    Raises:
        ExportError: the head cannot be found in the graph.
        BundleError, ProviderError: the graph cannot be run on a CPU.
    """
    manifest = bundle.manifest
    # float32 if the bundle has it: these vectors are trained on.
    precision = "fp32" if "fp32" in manifest.precisions else choose(manifest, "cpu", "auto").precision
    graph = onnx.load_model_from_string(bundle.graph(precision))
    cut = with_head_input(graph, is_whole=manifest.pooling == LOGITS).SerializeToString()
    engine = RowEngine(open_session(cut, "cpu", external=bundle.external(precision)), threads, _OUTPUT)
    split = split_of(windows_of(manifest, tokenizer), ids)
    found = []
    with Progress("vectors", len(split.rows), quiet=quiet) as progress:
        for start in range(0, len(split.rows), _AT_A_TIME):
            progress.show(start, f"{start:,} of {len(split.rows):,}")
            found.append(engine.logits(split.rows[start : start + _AT_A_TIME]))
    return split.mean_of(np.concatenate(found))


def with_head_input(graph: onnx.ModelProto, *, is_whole: bool) -> onnx.ModelProto:
    """Return a classifier's graph whose only output is the vector that its head reads, (1, hidden), of a row that runs alone.

    A model that applies its head to every token has the mean over the tokens instead.

    Args:
        graph: graph of a classifier.
        is_whole: whether the head proper is in the part that PyTorch exported, see `export.encoder.vectors.LOGITS`.

    Raises:
        ExportError: the head cannot be found.
    """
    cut = onnx.ModelProto()
    cut.CopyFrom(graph)
    name, width = _head_input(cut.graph, is_whole=is_whole)
    constants = {"head.input.shape": [-1, width], "head.input.axes": [0]}
    cut.graph.initializer.extend(
        helper.make_tensor(one, TensorProto.INT64, [len(values)], values) for one, values in constants.items()
    )
    cut.graph.node.extend(
        [
            helper.make_node("Reshape", [name, "head.input.shape"], ["head.input.rows"]),
            helper.make_node("ReduceMean", ["head.input.rows", "head.input.axes"], [_OUTPUT], keepdims=1),
        ]
    )
    del cut.graph.output[:]
    cut.graph.output.append(helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [1, width]))
    return cut


def _head_input(graph: onnx.GraphProto, *, is_whole: bool) -> tuple[str, int]:
    """Return the name of the vector that the head reads, and its width."""
    shapes = {one.name: list(one.dims) for one in graph.initializer}
    by_output = {name: node for node in graph.node for name in node.output}
    node = next((one for one in graph.node if one.name == HEAD), None)
    if is_whole and node is not None:  # PyTorch's own head is below this one, which only orders the labels
        node = by_output.get(node.input[0])
        while node is not None and _weight_shape(node, shapes, by_output) is None:
            node = by_output.get(next((name for name in node.input if name in by_output), ""))
    shape = None if node is None else _weight_shape(node, shapes, by_output)
    if node is None or shape is None:
        raise ExportError(
            "the head cannot be found in the bundle's graph, so there are no vectors of texts. Name another bundle with --model, "
            "such as one of `score-model train`."
        )
    return node.input[0], shape[0]


def _weight_shape(
    node: onnx.NodeProto, shapes: Mapping[str, Sequence[int]], by_output: Mapping[str, onnx.NodeProto]
) -> list[int] | None:
    """Return the shape (in, out) of the weights that a node multiplies by; None if it does not."""
    if node.op_type not in ("MatMul", "Gemm"):
        return None
    weight, turned = node.input[1], any(one.name == "transB" and one.i for one in node.attribute)
    made = by_output.get(weight)
    if made is not None and made.op_type == "Transpose":
        weight, turned = made.input[0], not turned
    shape = list(shapes.get(weight, ()))
    if len(shape) != 2:
        return None
    return shape[::-1] if turned else shape
