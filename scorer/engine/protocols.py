"""Interfaces of engines, which compute logits from token rows."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from scorer.base.errors import BundleError
from scorer.engine.pending import Pending


class Session(Protocol):
    """Part of onnxruntime.InferenceSession that an engine uses."""

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


class Computing(Protocol):
    """Object that computes the logits of rows."""

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute logits: int64 token ids, one array of shape (sequence,) a row -> float32 (rows, logits)."""
        ...


class Engine(Computing, Protocol):
    """Engine that computes the logits of token rows, at once or while the caller does something else.

    Attributes:
        chunk_rows: best number of rows to submit at a time, which the engine orders by length.
        journal_rows: least number of rows to make durable at a time: seconds of work for milliseconds of the disk.
        batch_tokens: largest number of padded tokens in a batch, as far as memory allowed; None without batches.
        padding: share of padding in all tokens computed; None if nothing is padded.
    """

    chunk_rows: int
    journal_rows: int

    @property
    def batch_tokens(self) -> int | None: ...

    @property
    def padding(self) -> float | None: ...

    def warm_up(self, token: int) -> None:
        """Compute the largest batches up front, so that running out of memory fails before the first row.

        Args:
            token: any id that the model knows.
        """
        ...

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        """Start to compute token ids, as for `logits`; the result is in the order given.

        Rows submitted first are computed first, while the caller reads and tokenizes the next ones. Only a row that
        does not fit in the device's memory has logits that are NaN.
        """
        ...


def finite(logits: np.ndarray) -> np.ndarray:
    """Return the logits; raise `BundleError` if one is not finite."""
    if not np.isfinite(logits).all():
        raise BundleError(
            "the model computed a logit that is not a number, so the row has no score. Try another --precision."
        )
    return logits
