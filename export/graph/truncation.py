"""The cut of long texts in a graph; see `export.classifier.truncation`."""

import numpy as np

from export.classifier.truncation import Cut
from export.graph.writer import GraphWriter


def write_cut(writer: GraphWriter, cut: Cut) -> tuple[str, str]:
    """Write `Cut.apply` for each row of input_ids, whose padding is on the right.

    Returns:
        names of ids and mask, int64 (batch, sequence of at most length).
    """
    one, zero = writer.constant("one", [1]), writer.constant("zero", [0])
    lengths = writer.node("ReduceSum", "attention_mask", one, keepdims=1, name="cut.lengths")  # (batch, 1)
    length = writer.constant("cut.length", [cut.length])
    over = writer.node("Sub", lengths, length, name="cut.difference")
    over = writer.node("Max", over, zero, name="cut.over")
    longest = writer.node("Shape", "input_ids", start=1, end=2, name="cut.sequence")
    places = writer.constant("cut.all_places", np.arange(cut.length))
    places = writer.node("Slice", places, zero, longest, name="cut.places")  # (sequence,)
    from_head = writer.node("Less", places, writer.constant("cut.head", [cut.head]), name="cut.from_head")
    moved = writer.node("Add", places, over, name="cut.moved")  # (batch, sequence)
    chosen = writer.node("Where", from_head, places, moved, name="cut.chosen")
    ids = writer.node("GatherElements", "input_ids", chosen, axis=1, name="cut.ids")
    # A row that is cut fills all its places; any other row keeps its mask.
    mask = writer.node("Slice", "attention_mask", zero, length, one, name="cut.mask")
    return ids, mask
