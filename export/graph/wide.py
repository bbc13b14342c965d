"""The wide part in a graph; see `export.classifier.wide`."""

import numpy as np
import onnx
from onnx import TensorProto

from export.classifier.wide import Wide
from export.graph.writer import GraphWriter
from scorer.engine.runtime import INDEPENDENT_ROWS, INDEPENDENT_WITHOUT_WIDE
from scorer.engine.wide import MULTIPLIER, TABLE


def wide_graph(wide: Wide) -> onnx.ModelProto:
    """Write the wide part alone: input_ids, attention_mask -> logits (batch, logits).

    Raises:
        ExportError: the graph is malformed.
    """
    writer = GraphWriter()
    write_wide(writer, wide, "logits")
    return writer.model({"logits": ["batch", wide.weight.shape[1]]})


def write_wide(writer: GraphWriter, wide: Wide, name: str = "wide.logits") -> str:
    """Write the wide part's logits of input_ids (batch, sequence): float32 (batch, logits).

    Sorting makes equal numbers neighbours, so that all but one of them can be dropped. Padding has a number above all
    others, whose weight is 0.
    """
    if INDEPENDENT_ROWS in writer.metadata.items():  # ReduceSum adds up the weights of several rows in another order
        writer.metadata.update([INDEPENDENT_WITHOUT_WIDE])
    keys = wide.keys
    one, zero, end = writer.constant("one", [1]), writer.constant("zero", [0]), writer.constant("end", [1 << 31])
    last = writer.constant("last", [-1])

    def all_but_last(x: str, name: str) -> str:
        return writer.node("Slice", x, zero, last, one, name=name)

    def all_but_first(x: str, name: str) -> str:
        return writer.node("Slice", x, one, end, one, name=name)

    nothing = writer.constant("wide.nothing", np.int64(keys.count))
    here = writer.node("Cast", "attention_mask", to=TensorProto.BOOL, name="wide.here")
    pieces = writer.node("Where", here, "input_ids", nothing, name="wide.pieces")
    left = all_but_last("input_ids", "wide.left")
    right = all_but_first("input_ids", "wide.right")
    product = writer.node("Mul", left, writer.constant("wide.multiplier", [MULTIPLIER]), name="wide.product")
    hashed = writer.node("Add", product, right, name="wide.sum")
    hashed = writer.node("Mod", hashed, writer.constant("wide.pairs", [keys.pairs]), name="wide.hashed")
    pairs = writer.node("Add", hashed, writer.constant("wide.behind_pieces", [keys.pieces]), name="wide.all_pairs")
    pairs = writer.node("Where", all_but_first(here, "wide.right_here"), pairs, nothing, name="wide.pairs_here")
    # One number that stands for nothing is always added, so that every other one has a neighbour on its right.
    column = writer.node("Slice", "input_ids", zero, one, one, name="wide.column")
    column = writer.node("Max", column, nothing, name="wide.nothings")
    numbers = writer.node("Concat", pieces, pairs, column, axis=1, name="wide.numbers")
    count = writer.node("Shape", numbers, start=1, end=2, name="wide.count")
    ordered = writer.node("TopK", numbers, count, axis=1, largest=0, sorted=1, more_outputs=1, name="wide.ordered")
    left, right = all_but_last(ordered, "wide.each"), all_but_first(ordered, "wide.next")
    again = writer.node("Equal", left, right, name="wide.again")
    counted = writer.node("Where", again, nothing, left, name="wide.counted")
    table = np.concatenate([wide.weight, np.zeros((1, wide.weight.shape[1]), dtype=np.float16)])
    weights = writer.node("Gather", writer.constant(TABLE, table), counted, axis=0, name="wide.weights")
    weights = writer.node("Cast", weights, to=TensorProto.FLOAT, name="wide.floats")  # (batch, numbers, logits)
    return writer.node("ReduceSum", weights, one, keepdims=0, name=name)
