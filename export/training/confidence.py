"""Correctness of the test texts by confidence, for each precision: `score --max-error` chooses its limit by it."""

from collections.abc import Iterable

import numpy as np

from export.evaluation.evaluate import Scored
from export.training.graphs import half_rows
from scorer.base.task import SINGLE_LABEL
from scorer.model.confidence import Correctness, correctness_of


def confidence_of(
    scored: Scored, precision: str, precisions: Iterable[str], logits: np.ndarray, half_logits: np.ndarray | None
) -> dict[str, Correctness] | None:
    """Return the correctness of each precision, scored with the cascade; None unless each text gets one label.

    Args:
        scored: test texts, scored by the bundle.
        precision: precision that scored them.
        precisions: precisions of the bundle. Those without a known error are omitted.
        logits: calibrated logits of PyTorch, float32 (texts, logits), whose error is that of fp32.
        half_logits: calibrated logits of float32 with the weights of fp16, for the texts of `half_rows`; None if fp32 has them.
    """
    if scored.interpretation.task != SINGLE_LABEL:
        return None
    truth, wanted = scored.split.labels, set(precisions)
    found = {precision: correctness_of(scored.values, truth)}
    if "fp32" in wanted and "fp32" not in found:
        every = np.arange(len(truth))
        found["fp32"] = correctness_of(_staged(scored, logits, every), truth)
    if "fp16" in wanted and "fp16" not in found:
        if "fp32" in found:
            found["fp16"] = found["fp32"]
        elif half_logits is not None:
            rows = half_rows(len(truth))
            found["fp16"] = correctness_of(_staged(scored, half_logits, rows), truth[rows])
    return found


def _staged(scored: Scored, logits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the probabilities of some texts with the cascade, given the logits of both parts together."""
    values, stages = scored.interpretation.values(logits), scored.stages
    if stages is None:
        return values
    return np.where(stages.early[rows, np.newaxis], stages.wide[rows], values)
