"""The classifier on top of an encoder: everything that is chosen and trained for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from export.classifier.head import Dense, LinearHead
from export.classifier.truncation import Cut, Reading
from export.classifier.wide import Wide
from export.encoder.vectors import Queries
from scorer.engine.cascade import Cascade
from scorer.engine.windows import Split, Windows, split_of
from scorer.model.length_calibration import LengthCalibration


class StagedLogits(NamedTuple):
    """Logits of texts, and the stage that decided each text.

    Attributes:
        logits: float32 (texts, logits).
        early: bool (texts,), True if the wide part alone decided.
    """

    logits: np.ndarray
    early: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """A classifier without its encoder: logits = head(vectors of the encoder's tokens) + wide(all tokens).

    The head is linear. If there is a dense layer, it comes between the vectors and the head.

    Attributes:
        head: linear head.
        pooling: names of the vectors that the head reads side by side, see `export.encoder.vectors.vectors`.
        reading: tokens that the encoder reads of a long text; None if it never gets more than it reads.
        wide: weights of the text's pieces and pairs, or None.
        queries: trained queries of the pooling.
        cascade: limits beyond which the wide part alone decides, or None.
        dense: layer before the head, or None; an imported classifier may have one.
        by_length: calibration of the logits by length, or None.
    """

    head: LinearHead
    pooling: str
    reading: Reading = None
    wide: Wide | None = None
    queries: Queries = field(default_factory=dict)
    cascade: Cascade | None = None
    dense: Dense | None = None
    by_length: LengthCalibration | None = None

    @property
    def cut(self) -> Cut | None:
        """The cut of long texts in the graph, or None."""
        return self.reading if isinstance(self.reading, Cut) else None

    @property
    def windows(self) -> Windows | None:
        """The rule that cuts long texts into windows, each a row of the graph, or None."""
        return self.reading if isinstance(self.reading, Windows) else None

    @property
    def is_wide_apart(self) -> bool:
        """True if the wide part has a graph of its own: the cascade decides by it, and windows must not add it each."""
        return self.cascade is not None or self.windows is not None

    @property
    def encoders_part(self) -> "Classifier":
        """The classifier that the graph of each precision computes of its rows, without a wide part that has its own graph."""
        rows = replace(self, reading=self.cut)
        return replace(rows, wide=None, cascade=None) if self.is_wide_apart else rows

    @property
    def wide_apart(self) -> Wide | None:
        """The wide part if it has its own graph, or None."""
        return self.wide if self.is_wide_apart else None

    def split(self, rows: Sequence[np.ndarray]) -> Split:
        """Return the rows that the graph gets of texts, given their token ids, (sequence,) each."""
        return split_of(self.windows, rows)

    def encoder_reads(self, ids: np.ndarray) -> np.ndarray:
        """Return those of a row's token ids, (sequence,), that the encoder reads; the row is one of the graph's."""
        return ids if self.cut is None else self.cut.apply(ids)

    def of_graph(
        self, logits_of: Callable[[Sequence[np.ndarray]], np.ndarray], rows: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Compute logits with every text through the encoder, given those of the rows of the encoder's graph.

        Args:
            logits_of: function from token ids of rows, (sequence,) each, to logits, float32 (rows, logits).
            rows: all token ids of each text, (sequence,).

        Returns:
            float32 (texts, logits)
        """
        split, apart = self.split(rows), self.wide_apart
        logits = split.combined(logits_of(split.rows))
        return logits if apart is None else logits + apart.logits(rows)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """Compute the encoder's part of the logits: float32 (texts, hidden) -> float32 (texts, logits)"""
        return self.head.logits(features if self.dense is None else self.dense.apply(features))

    def logits(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute logits with every text through the encoder.

        Args:
            features: pooled vectors of each row of `split`, float32 (rows, hidden).
            rows: all token ids of each text, (sequence,).

        Returns:
            float32 (texts, logits)
        """
        logits = self.split(rows).combined(self.head_logits(features))
        return logits if self.wide is None else logits + self.wide.logits(rows)

    def calibrated(self, logits: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Calibrate logits by length, as a bundle scores; return them as they are without such a calibration.

        Args:
            logits: logits with every text through the encoder, float32 (texts, logits).
            rows: all token ids of each text, (sequence,).
        """
        return logits if self.by_length is None else self.by_length.apply(logits, lengths_of(rows))

    def staged(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> StagedLogits:
        """Compute logits as the bundle does: the wide part's own where it decides.

        Args:
            features, rows: as for `logits`.
        """
        logits = self.calibrated(self.logits(features, rows), rows)
        if self.wide is None or self.cascade is None:
            return StagedLogits(logits, np.zeros(len(rows), dtype=bool))
        sums = self.wide.sums(rows)
        early = self.cascade.decides(sums)
        wide = self.cascade.logits(sums).astype(np.float32)
        return StagedLogits(np.where(early[:, np.newaxis], wide, logits), early)


def lengths_of(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the number of token ids of each text, int64 (texts,)."""
    return np.array([len(row) for row in rows], dtype=np.int64)
