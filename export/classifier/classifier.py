"""What makes a classifier of an encoder: all that is decided and trained on top of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from export.classifier.head import LinearHead
from export.classifier.truncation import Cut
from export.classifier.wide import Wide
from export.encoder.vectors import Queries
from scorer.engine.cascade import Cascade, Staged


@dataclass(frozen=True)
class Classifier:
    """logits = head(pooled vectors of the tokens that the encoder reads) + wide(all tokens)

    Attributes:
        head: the linear head.
        pooling: which vectors the head reads side by side, see `export.encoder.vectors.vectors`.
        cut: which tokens of a long text the encoder reads; None where it is given no more than it reads.
        wide: weights of the text's pieces and pairs, or None.
        queries: those of the pooling that are trained.
        cascade: where the wide part alone decides, which is a graph of its own then; or None.
    """

    head: LinearHead
    pooling: str
    cut: Cut | None = None
    wide: Wide | None = None
    queries: Queries = field(default_factory=dict)
    cascade: Cascade | None = None

    @property
    def encoders_part(self) -> "Classifier":
        """What the graph of each precision computes: all of it, or without a wide part that is a graph of its own."""
        return self if self.cascade is None else replace(self, wide=None, cascade=None)

    @property
    def wide_apart(self) -> Wide | None:
        """The wide part, where it is a graph of its own."""
        return None if self.cascade is None else self.wide

    def encoder_reads(self, ids: np.ndarray) -> np.ndarray:
        """Of a text's token ids, (sequence,), those that the encoder reads."""
        return ids if self.cut is None else self.cut.apply(ids)

    def logits(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Logits with every text through the encoder.

        Args:
            features: pooled vectors, float32 (texts, hidden).
            rows: all token ids, (sequence,) each.

        Returns:
            float32 (texts, logits)
        """
        logits = self.head.logits(features)
        return logits if self.wide is None else logits + self.wide.logits(rows)

    def staged(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> Staged:
        """Logits as the bundle gives them: the wide part's own where it decides.

        Args:
            features, rows: as for `logits`.
        """
        logits = self.logits(features, rows)
        if self.wide is None or self.cascade is None:
            return Staged(logits, np.zeros(len(rows), dtype=bool))
        sums = self.wide.sums(rows)
        early = self.cascade.decides(sums)
        return Staged(np.where(early[:, np.newaxis], self.cascade.logits(sums).astype(np.float32), logits), early)
