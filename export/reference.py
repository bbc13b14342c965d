"""What a model's own test data looks like: histograms that later runs can be compared with."""

from typing import Any

import numpy as np

from export.evaluate import Scored

_SCORES = tuple(round(edge, 2) for edge in np.linspace(0, 1, 21).tolist())
_TOKENS = (0, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 32_768)
# The first bin is for texts without a single unknown piece.
_UNKNOWN = (0.0, 1e-9, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def reference(scored: Scored) -> dict[str, Any]:
    """Histograms of scores, lengths and unknown pieces, as they go into the manifest.

    Each has ``edges`` and one fewer ``counts``: texts from one edge on, up to the next; up to and including the last.

    Args:
        scored: the test texts.
    """
    found = scored.probabilities
    scores = found[:, 1] if found.shape[1] == 2 else found.max(axis=1)
    return {
        "texts": len(scored.lengths),
        "score": _histogram(scores, _SCORES),
        "tokens": _histogram(scored.lengths, _TOKENS),
        "unknown": _histogram(scored.unknown, _UNKNOWN),
    }


def _histogram(values: np.ndarray, edges: tuple[float, ...]) -> dict[str, list[float]]:
    counts, _ = np.histogram(values, edges)
    return {"edges": list(edges), "counts": counts.tolist()}
