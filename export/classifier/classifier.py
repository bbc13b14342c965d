"""The classifier on top of an encoder: everything that is chosen and trained for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from export.classifier.head import Dense, LinearHead
from export.classifier.truncation import Cut
from export.classifier.wide import Wide
from export.encoder.vectors import Queries
from scorer.engine.cascade import Cascade, Staged


@dataclass(frozen=True)
class Classifier:
    """A classifier without its encoder: logits = head(vectors of the encoder's tokens) + wide(all tokens).

    The head is linear. If there is a dense layer, it comes between the vectors and the head.

    Attributes:
        head: linear head.
        pooling: names of the vectors that the head reads side by side, see `export.encoder.vectors.vectors`.
        cut: selection of the tokens that the encoder reads of a long text; None if it never gets more than it reads.
        wide: weights of the text's pieces and pairs, or None.
        queries: trained queries of the pooling.
        cascade: limits beyond which the wide part alone decides, or None; with them it is a graph of its own.
        dense: layer before the head, or None; an imported classifier may have one.
    """

    head: LinearHead
    pooling: str
    cut: Cut | None = None
    wide: Wide | None = None
    queries: Queries = field(default_factory=dict)
    cascade: Cascade | None = None
    dense: Dense | None = None

    @property
    def encoders_part(self) -> "Classifier":
        """The classifier that the graph of each precision computes, without a wide part that has its own graph."""
        return self if self.cascade is None else replace(self, wide=None, cascade=None)

    @property
    def wide_apart(self) -> Wide | None:
        """The wide part if it has its own graph, or None."""
        return None if self.cascade is None else self.wide

    def encoder_reads(self, ids: np.ndarray) -> np.ndarray:
        """Return those of a text's token ids, (sequence,), that the encoder reads."""
        return ids if self.cut is None else self.cut.apply(ids)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """Compute the encoder's part of the logits: float32 (texts, hidden) -> float32 (texts, logits)"""
        return self.head.logits(features if self.dense is None else self.dense.apply(features))

    def logits(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute logits with every text through the encoder.

        Args:
            features: pooled vectors, float32 (texts, hidden).
            rows: all token ids of each text, (sequence,).

        Returns:
            float32 (texts, logits)
        """
        logits = self.head_logits(features)
        return logits if self.wide is None else logits + self.wide.logits(rows)

    def staged(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> Staged:
        """Compute logits as the bundle does: the wide part's own where it decides.

        Args:
            features, rows: as for `logits`.
        """
        logits = self.logits(features, rows)
        if self.wide is None or self.cascade is None:
            return Staged(logits, np.zeros(len(rows), dtype=bool))
        sums = self.wide.sums(rows)
        early = self.cascade.decides(sums)
        return Staged(np.where(early[:, np.newaxis], self.cascade.logits(sums).astype(np.float32), logits), early)
