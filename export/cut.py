"""Which tokens of a long text the encoder reads, where more are given than it takes."""

from dataclasses import dataclass

import numpy as np

from export.writer import GraphWriter


@dataclass(frozen=True)
class Cut:
    """The first ``head`` and the last ``length - head`` tokens of a text that has more than ``length``.

    The first token and the last are special ones ([CLS], [SEP]), so ``head = length - 1`` is the beginning of the text,
    ended by [SEP], and ``head = 1`` is its end, begun by [CLS].

    Attributes:
        length: tokens that the encoder reads at most, special tokens included.
        head: of them from the beginning, 1 to length - 1.
    """

    length: int
    head: int

    def apply(self, ids: np.ndarray) -> np.ndarray:
        """(sequence,) -> (at most length,)

        >>> Cut(4, 3).apply(np.arange(9)).tolist(), Cut(4, 1).apply(np.arange(9)).tolist()
        ([0, 1, 2, 8], [0, 6, 7, 8])
        """
        if len(ids) <= self.length:
            return ids
        return np.concatenate([ids[: self.head], ids[len(ids) - (self.length - self.head) :]])

    def write(self, writer: GraphWriter) -> tuple[str, str]:
        """The same of each row of input_ids, whose padding is on the right.

        Returns:
            ids and mask, int64 (batch, sequence of at most length).
        """
        one, zero = writer.constant("one", [1]), writer.constant("zero", [0])
        lengths = writer.node("ReduceSum", "attention_mask", one, keepdims=1, name="cut.lengths")  # (batch, 1)
        length = writer.constant("cut.length", [self.length])
        over = writer.node("Sub", lengths, length, name="cut.difference")
        over = writer.node("Max", over, zero, name="cut.over")
        longest = writer.node("Shape", "input_ids", start=1, end=2, name="cut.sequence")
        places = writer.constant("cut.all_places", np.arange(self.length))
        places = writer.node("Slice", places, zero, longest, name="cut.places")  # (sequence,)
        from_head = writer.node("Less", places, writer.constant("cut.head", [self.head]), name="cut.from_head")
        moved = writer.node("Add", places, over, name="cut.moved")  # (batch, sequence)
        chosen = writer.node("Where", from_head, places, moved, name="cut.chosen")
        ids = writer.node("GatherElements", "input_ids", chosen, axis=1, name="cut.ids")
        # A row that is cut fills its places; one that is not keeps its mask.
        mask = writer.node("Slice", "attention_mask", zero, length, one, name="cut.mask")
        return ids, mask


def cut_of(truncation: str, length: int) -> Cut:
    """The cut of a name in `scorer.manifest.TRUNCATIONS`.

    ``head+tail`` is a quarter from the beginning and the rest from the end: Sun et al. 2019, "How to Fine-Tune BERT
    for Text Classification?", section 5.3.1, take 128 and 382 of 510 tokens.

    >>> cut_of("head+tail", 400)
    Cut(length=400, head=100)
    """
    head = {"head": length - 1, "tail": 1, "head+tail": max(1, length // 4)}[truncation]
    return Cut(length, head)
