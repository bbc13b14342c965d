"""Cutting a list of token rows into padded batches; pure functions."""

from collections.abc import Sequence

import numpy as np


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


def pad(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stack token rows, padded with 0 on the right.

    The id under the mask does not matter, so no tokenizer's own padding id is needed.

    Returns:
        input_ids and attention_mask, int64, both of shape (batch, sequence).

    >>> pad([np.array([7, 8, 9]), np.array([7])])[1].tolist()
    [[1, 1, 1], [1, 0, 0]]
    """
    input_ids = np.zeros((len(rows), max(len(row) for row in rows)), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for number, row in enumerate(rows):
        input_ids[number, : len(row)] = row
        attention_mask[number, : len(row)] = 1
    return input_ids, attention_mask
