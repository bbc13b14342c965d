"""Interfaces of the engine room: token rows in, logits out, now or while the caller does something else."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from scorer.base.errors import BundleError
from scorer.engine.pending import Pending


class Session(Protocol):
    """The part of onnxruntime.InferenceSession that an engine uses."""

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


class Computing(Protocol):
    """What gives rows' logits."""

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """int64 token ids, one array of shape (sequence,) a row -> float32 (rows, logits)."""
        ...


class Engine(Computing, Protocol):
    """What turns token rows into logits, now or while the caller does something else.

    Attributes:
        chunk_rows: how many rows it wants at a time, to order them by length.
        journal_rows: how many rows it is worth making durable: seconds of work to milliseconds of the disk's.
        batch_tokens: padded tokens of a batch at most, as far as memory allowed; None where there are no batches.
        padding: the share of all tokens computed that was padding; None where nothing is padded.
    """

    chunk_rows: int
    journal_rows: int

    @property
    def batch_tokens(self) -> int | None: ...

    @property
    def padding(self) -> float | None: ...

    def warm_up(self, token: int) -> None:
        """Compute what needs the most memory, so that running out of it fails before the first row.

        Args:
            token: any id that the model knows.
        """
        ...

    def remarks(self) -> list[str]:
        """What is worth knowing of how it computed."""
        ...

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        """Begin with token ids, as for `logits`; the result is in the order given.

        What was submitted first is computed first; while it is, the caller reads and tokenizes what comes next.
        NaN are the logits of a row for which the device has no memory, and of no other.
        """
        ...


def finite(logits: np.ndarray) -> np.ndarray:
    """The same logits; raises `BundleError` if one is not a number."""
    if not np.isfinite(logits).all():
        raise BundleError(
            "the model computed a logit that is not a number; no score can be given for such a row. Perhaps another --precision can."
        )
    return logits
