"""What makes a classifier of an encoder: all that is decided and trained on top of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from export.classifier.head import LinearHead
from export.classifier.truncation import Cut
from export.classifier.wide import Wide
from export.encoder.vectors import Queries


@dataclass(frozen=True)
class Classifier:
    """logits = head(pooled vectors of the tokens that the encoder reads) + wide(all tokens)

    Attributes:
        head: the linear head.
        pooling: which vectors the head reads side by side, see `export.encoder.vectors.vectors`.
        cut: which tokens of a long text the encoder reads; None where it is given no more than it reads.
        wide: weights of the text's pieces and pairs, or None.
        queries: those of the pooling that are trained.
    """

    head: LinearHead
    pooling: str
    cut: Cut | None = None
    wide: Wide | None = None
    queries: Queries = field(default_factory=dict)

    def encoder_reads(self, ids: np.ndarray) -> np.ndarray:
        """Of a text's token ids, (sequence,), those that the encoder reads."""
        return ids if self.cut is None else self.cut.apply(ids)

    def logits(self, features: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
        """float32 (texts, logits) of pooled vectors (texts, hidden) and of all token ids, (sequence,) each."""
        logits = self.head.logits(features)
        return logits if self.wide is None else logits + self.wide.logits(rows)
