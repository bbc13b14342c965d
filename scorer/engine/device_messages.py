"""Messages between `scorer.engine.multi_gpu` and the processes of its devices, pickled.

A module of their own: `scorer.engine.gpu_worker` runs as ``__main__``, and the other side could not import what is
defined there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scorer.base.errors import ScorerError


@dataclass(frozen=True)
class Request:
    """Rows to compute, int32 (sequence,) each; or a token to warm up with."""

    rows: Sequence[np.ndarray] = ()
    token: int | None = None


@dataclass(frozen=True)
class Reply:
    """The answer to a request, with counts since the last reply.

    Attributes:
        logits: float32 (rows, logits).
        error: instead of them.
        seconds: by phase.
        tokens, padded_tokens: computed.
        batch_tokens: of a batch, as far as memory allowed.
    """

    logits: np.ndarray | None = None
    error: ScorerError | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    padded_tokens: int = 0
    batch_tokens: int | None = None
