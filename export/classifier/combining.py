"""Logits of texts from those of their windows while a classifier is trained; see `scorer.engine.windows.Split`."""

from collections.abc import Sequence

import numpy as np
import torch

from scorer.engine.windows import Split


def combined(logits: torch.Tensor, split: Split) -> torch.Tensor:
    """Combine logits of windows, (windows, logits), as `Split.combined` does, with gradients: (texts, logits)."""
    if len(split.rows) == len(split.counts):
        return logits
    if split.combination == "max":
        return torch.stack([windows.max(dim=0).values for windows in torch.split(logits, split.counts.tolist())])
    device = logits.device
    texts = torch.from_numpy(split.spread(np.arange(len(split.counts)))).to(device)
    weights = torch.from_numpy(split.weights).double()[:, None].to(device)
    sums, total = (
        torch.zeros(len(split.counts), some.shape[1], dtype=torch.float64, device=device).index_add(0, texts, some)
        for some in (logits * weights, weights)
    )
    return (sums / total).to(logits.dtype)


def largest(logits: np.ndarray, split: Split) -> np.ndarray:
    """Find the window with the largest logit of each text and label, the first of equal ones.

    Args:
        logits: logits of the windows, (windows, labels).
        split: windows of the texts.

    Returns:
        numbers of windows, int64 (texts, labels)

    >>> largest(np.array([[1.0, 2.0], [3.0, 2.0], [0.0, 0.0]]), Split([], np.array([2, 1]), np.array([1, 1, 1]))).tolist()
    [[1, 0], [2, 2]]
    """
    begins = split.begins
    found, best = np.repeat(begins[:, np.newaxis], logits.shape[1], axis=1), logits[begins]
    for number in range(1, int(split.counts.max(initial=0))):
        windows = np.minimum(begins + number, len(logits) - 1)
        larger = (split.counts > number)[:, np.newaxis] & (logits[windows] > best)
        found = np.where(larger, windows[:, np.newaxis], found)
        best = np.where(larger, logits[windows], best)
    return found


def some_of(split: Split, texts: Sequence[int] | np.ndarray) -> tuple[np.ndarray, Split]:
    """Select texts.

    Args:
        split: windows of all texts.
        texts: numbers of the texts to select.

    Returns:
        numbers of their windows, int64 (windows,), and the windows of these texts alone

    >>> windows, alone = some_of(Split([], np.array([1, 2]), np.array([9, 8, 1])), [1])
    >>> windows.tolist(), alone.weights.tolist()
    ([1, 2], [8, 1])
    """
    numbers = np.asarray(texts, dtype=np.int64)
    counts, begins = split.counts[numbers], split.begins[numbers]
    windows = np.arange(counts.sum()) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
    rows = [split.rows[window] for window in windows] if len(split.rows) else []
    return windows, Split(rows, counts, split.weights[windows], split.combination)
