"""Pure functions that cut token rows into padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

LENGTH_STEP = 16
"""Step of padded lengths, in tokens: batches are padded to a multiple of it, so that they have few shapes.

A GPU's arena then stops growing from batch to batch. Attention kernels, planned for each shape and lane, are planned
less often. The cost on reviews is 2% more padding (docs/PERFORMANCE.md).
"""


@dataclass(frozen=True)
class Lengths:
    """Limits of a row's length, in tokens.

    Attributes:
        longest: largest number of tokens in a row.
        read: largest number that the encoder reads of a row, and so computes; None for all.
    """

    longest: int
    read: int | None = None

    def padded(self, length: int) -> int:
        """Return the padded length of a row: a multiple of `LENGTH_STEP`, or the longest if not all of it is read.

        >>> Lengths(500).padded(33), Lengths(500).padded(497), Lengths(1024, 400).padded(401)
        (48, 500, 1024)
        """
        read = self.cost(self.longest)
        return max(length, self.longest) if length > read else min(-(-length // LENGTH_STEP) * LENGTH_STEP, read)

    def cost(self, length: int) -> int:
        """Return how many tokens of a row of this length are computed."""
        return length if self.read is None else min(length, self.read)

    def most_ids(self, budget: int) -> int:
        """Return the largest number of ids in a batch within a budget of computed tokens, or in a single row."""
        return max(budget, self.longest, budget // self.cost(self.longest) * self.longest)


def padded_rows(rows: int, most: int) -> int:
    """Round a batch's rows up to eighths of ``most``, the number that fits, so that there are few shapes.

    A single row stays alone: a second one may not fit in memory.

    >>> padded_rows(3, 80), padded_rows(11, 80), padded_rows(5, 7), padded_rows(1, 80)
    (10, 20, 5, 1)
    """
    step = max(1, most // 8) if rows > 1 else 1
    return max(rows, min(-(-rows // step) * step, most))


def by_length(lengths: Sequence[int]) -> list[int]:
    """Order row numbers by length, longest first; equal lengths stay in order.

    >>> by_length([3, 9, 3, 5])
    [1, 3, 0, 2]
    """
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])


def token_budget(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut rows, longest first, into batches of at most ``budget`` padded tokens; a longer row is a batch of its own.

    Rows of similar lengths share a batch, so little of it is padding. The first batch needs the most memory, so that
    a lack of memory shows at once and not an hour into the run.

    >>> token_budget([3, 9, 3, 5], budget=10)
    [[1], [3, 0], [2]]
    """
    batches: list[list[int]] = []
    for row in by_length(lengths):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def equal_lengths(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut rows, longest first, into runs of equal length and of at most ``budget`` tokens, or of one row.

    A run has 1, 2, 4, ... rows, so that few sizes occur for each length.

    >>> equal_lengths([3, 9, 3, 3, 5], budget=10)
    [[1], [4], [0, 2], [3]]
    """
    runs: list[list[int]] = []
    for length, group in groupby(by_length(lengths), key=lambda row: lengths[row]):
        rows = list(group)
        while rows:
            most = max(1, min(len(rows), budget // max(1, length)))
            size = 1 << (most.bit_length() - 1)
            runs.append(rows[:size])
            rows = rows[size:]
    return runs


def pad(rows: Sequence[np.ndarray], length: int = 0, count: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stack token rows, padded with 0 on the right.

    Masked ids have no effect, so the tokenizer's own padding id is not needed.

    Args:
        rows: token ids, (sequence,) each.
        length: least length of the batch in tokens; a longer row extends it.
        count: least number of rows; rows that are added have one token.

    Returns:
        input_ids and attention_mask, int64, both of shape (batch, sequence).

    >>> pad([np.array([7, 8, 9]), np.array([7])], count=3)[1].tolist()
    [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    """
    input_ids = np.zeros((max(count, len(rows)), max(length, *map(len, rows))), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for number, row in enumerate(rows):
        input_ids[number, : len(row)] = row
        attention_mask[number, : len(row)] = 1
    attention_mask[len(rows) :, 0] = 1
    return input_ids, attention_mask
