"""What a model's own test data looks like: histograms that later runs are compared with."""

import numpy as np

from export.evaluate import Scored
from scorer.decision import scores
from scorer.histograms import SCORE_EDGES, TOKEN_EDGES, UNKNOWN_EDGES, Histogram, Reference


def reference(scored: Scored) -> Reference:
    """Histograms of scores, lengths and unknown pieces, as they go into the manifest.

    Args:
        scored: the test texts.
    """
    return Reference(
        len(scored.lengths),
        score=_histogram(scores(scored.probabilities), SCORE_EDGES),
        tokens=_histogram(scored.lengths, TOKEN_EDGES),
        unknown=_histogram(scored.unknown, UNKNOWN_EDGES),
    )


def _histogram(values: np.ndarray, edges: tuple[float, ...]) -> Histogram:
    return Histogram(edges, np.histogram(values, edges)[0].tolist())
