"""Chunks whose outcomes are known: their records with labels and scores, and those that have none after all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from scorer.model.interpretation import Answer
from scorer.model.offsets import deciding_characters
from scorer.model.outcomes import Outcomes
from scorer.rows.record import Record, Reject, ScoredRecord
from scorer.run.chunks import Model


@dataclass(frozen=True)
class ScoredChunk:
    """Results of the records of a chunk.

    Attributes:
        rows: records that have a score.
        unscored: rejects for the others.
        outcomes, labels, values, scores: results of all records, scored or not, see `scorer.model.interpretation`.
    """

    rows: list[ScoredRecord]
    unscored: list[Reject]
    outcomes: Outcomes
    labels: Sequence[Answer]
    values: np.ndarray
    scores: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """Records that have a score, bool (records,)."""
        return ~np.isnan(self.scores)


def scored_chunk(records: Sequence[Record], outcomes: Outcomes, model: Model, *, details: bool) -> ScoredChunk:
    """Return the results of a chunk's records.

    Args:
        records: records that were to be scored.
        outcomes: their outcomes.
        model: model that scored them.
        details: whether rows need the characters of the window that decided.
    """
    interpretation = model.interpretation
    values = interpretation.values(outcomes.logits)
    labels = interpretation.answers(values)
    scores = interpretation.scores(values)
    found = zip(
        records,
        outcomes.tokens.tolist(),
        outcomes.truncated.tolist(),
        labels,
        values,
        scores.tolist(),
        outcomes.early.tolist(),
        outcomes.windows.tolist(),
        outcomes.decided_by.tolist(),
        _passages(records, outcomes, model, details=details),
        strict=True,
    )
    rows = [ScoredRecord(*one) for one in found]
    unscored: list[Reject] = []
    if np.isnan(scores).any():
        each = list(zip(rows, outcomes.empty.tolist(), np.isnan(scores).tolist(), strict=True))
        unscored = [
            row.record.reject("empty_text" if empty else "out_of_memory") for row, empty, lacks in each if lacks
        ]
        rows = [row for row, _, lacks in each if not lacks]
    return ScoredChunk(rows, unscored, outcomes, labels, values, scores)


def _passages(
    records: Sequence[Record], outcomes: Outcomes, model: Model, *, details: bool
) -> Iterable[tuple[int, int] | None]:
    """Return the characters of the window that decided each record, with details of a model that has windows."""
    if model.windows is None or not details:
        return repeat(None, len(records))
    with model.phases.timed("tokenize"):
        return deciding_characters(model.tokenizer, model.windows, [record.text for record in records], outcomes)
