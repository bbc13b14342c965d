"""Cutting a list of token rows into padded batches; pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LENGTH_STEP = 16
"""Batches are padded to a multiple of it, in tokens, so that there are few shapes.

A GPU's arena then does not grow from batch to batch, and attention kernels that are planned shape by shape (and lane by
lane) are planned only so often. On reviews it costs 2% more padding (docs/PERFORMANCE.md).
"""


@dataclass(frozen=True)
class Lengths:
    """How many tokens rows may have.

    Attributes:
        longest: of a row, at most.
        read: of a row that the encoder reads, at most, and so what a row costs; None for all of them.
    """

    longest: int
    read: int | None = None

    def padded(self, length: int) -> int:
        """Tokens that a row is padded to: a multiple of `LENGTH_STEP`; what is longer than is read, to the longest.

        >>> Lengths(500).padded(33), Lengths(500).padded(497), Lengths(1024, 400).padded(401)
        (48, 500, 1024)
        """
        read = self.cost(self.longest)
        return max(length, self.longest) if length > read else min(-(-length // LENGTH_STEP) * LENGTH_STEP, read)

    def cost(self, length: int) -> int:
        """Tokens computed of a row of that length."""
        return length if self.read is None else min(length, self.read)

    def most_ids(self, budget: int) -> int:
        """Ids of a batch of at most so many tokens computed, at most; or of a single row."""
        return max(budget, self.longest, budget // self.cost(self.longest) * self.longest)


def padded_rows(rows: int, most: int) -> int:
    """Rows that a batch is filled up to, where ``most`` would fit: eighths of that, so that there are few shapes.

    A single one stays alone: there may be memory for no more.

    >>> padded_rows(3, 80), padded_rows(11, 80), padded_rows(5, 7), padded_rows(1, 80)
    (10, 20, 5, 1)
    """
    step = max(1, most // 8) if rows > 1 else 1
    return max(rows, min(-(-rows // step) * step, most))


def by_length(lengths: Sequence[int]) -> list[int]:
    """Row numbers, longest row first; equal lengths stay in order.

    >>> by_length([3, 9, 3, 5])
    [1, 3, 0, 2]
    """
    return sorted(range(len(lengths)), key=lambda row: -lengths[row])


def token_budget(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut rows, longest first, into batches of at most ``budget`` padded tokens; a longer row goes alone.

    Similar lengths meet in one batch, so little of it is padding; the first batch is the largest in memory,
    so a batch that does not fit is met at once and not an hour into the run.

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


def pad(rows: Sequence[np.ndarray], length: int = 0, count: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stack token rows, padded with 0 on the right.

    The id under the mask does not matter, so no tokenizer's own padding id is needed.

    Args:
        rows: token ids, (sequence,) each.
        length: of the batch in tokens, at least; the longest row's where that is longer.
        count: of its rows, at least; those that are added have one token.

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
