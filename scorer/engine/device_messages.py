"""Pickled messages between `scorer.engine.multi_gpu` and the processes of its devices.

They have a module of their own because `scorer.engine.gpu_worker` runs as ``__main__``: the other side could not
import classes from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scorer.base.errors import ScorerError


@dataclass(frozen=True)
class Request:
    """Request with rows to compute, int32 (sequence,) each, or a token to warm up with."""

    rows: Sequence[np.ndarray] = ()
    token: int | None = None


@dataclass(frozen=True)
class Reply:
    """Reply to a request, with counts since the last reply.

    Attributes:
        logits: float32 (rows, logits); None after an error.
        error: error that occurred instead.
        seconds: seconds by phase.
        tokens, padded_tokens: tokens computed, without and with padding.
        batch_tokens: largest number of padded tokens in a batch, as far as memory allowed.
    """

    logits: np.ndarray | None = None
    error: ScorerError | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    padded_tokens: int = 0
    batch_tokens: int | None = None
