"""Outcomes of texts: their logits, what decided them, and what the model read of them."""

from typing import NamedTuple, Self

import numpy as np

from scorer.engine.cascade import Staged
from scorer.model.tokenizer import Tokens


class Outcomes(NamedTuple):
    """Outcomes of texts: arrays with a value for every text.

    Attributes:
        logits: float32 (texts, logits); NaN for a text without a token, and for one that does not fit in memory.
        early: bool (texts,), true if the wide part alone decided.
        windows: number of windows that the encoder read, int64 (texts,); 0 if the wide part alone decided.
        decided_by: number of the window that decided, from 1, int64 (texts,); 0 if the wide part alone decided.
        tokens: number of token ids given to the model, int64 (texts,).
        unknown: number of those that are unknown, int64 (texts,).
        truncated: bool (texts,), true if the text has more tokens than that.
        empty: bool (texts,), true if the text has only special tokens.
        cached: bool (texts,), true if an earlier run computed the outcome, see `scorer.model.score_cache`.
    """

    logits: np.ndarray
    early: np.ndarray
    windows: np.ndarray
    decided_by: np.ndarray
    tokens: np.ndarray
    unknown: np.ndarray
    truncated: np.ndarray
    empty: np.ndarray
    cached: np.ndarray

    @property
    def scorable(self) -> np.ndarray:
        """Texts that have logits, bool (texts,)."""
        return ~np.isnan(self.logits).any(axis=1)

    def of(self, texts: np.ndarray) -> Self:
        """Return the outcomes of some texts, bool (texts,)."""
        return type(self)(*(values[texts] for values in self))

    def replaced(self, texts: np.ndarray, found: Self) -> Self:
        """Return a copy with other outcomes for some texts.

        Args:
            texts: texts to replace, bool (texts,).
            found: their outcomes, in order.
        """
        copy = type(self)(*(values.copy() for values in self))
        for values, others in zip(copy, found, strict=True):
            values[texts] = others
        return copy


def outcomes_of(tokens: Tokens, staged: Staged, unknown_id: int) -> Outcomes:
    """Return the outcomes of texts that were computed.

    Args:
        tokens: tokens of the texts.
        staged: their logits and what decided them, with gaps for empty texts.
        unknown_id: id of the unknown token.
    """
    rows = len(tokens.ids)
    return Outcomes(
        *staged,
        tokens=np.array([len(ids) for ids in tokens.ids], dtype=np.int64),
        unknown=np.array([np.count_nonzero(ids == unknown_id) for ids in tokens.ids], dtype=np.int64),
        truncated=np.array(tokens.truncated, dtype=bool),
        empty=np.array(tokens.empty, dtype=bool),
        cached=np.zeros(rows, dtype=bool),
    )
