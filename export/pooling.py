"""Which vectors of a text the head reads: names for them, and PyTorch's way to compute them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch

from scorer.errors import UsageError

_PART = re.compile(r"cls|mean([1-9][0-9]*)?")


class Vector(NamedTuple):
    """One vector of a text.

    Attributes:
        kind: ``cls``, of the first token, or ``mean``, over all tokens.
        layer: behind which block, counted from 1.
    """

    kind: str
    layer: int

    @property
    def name(self) -> str:
        return f"{self.kind}{self.layer}"


def vectors(pooling: str, layers: int) -> tuple[Vector, ...]:
    """What a pooling consists of: ``cls`` and ``mean`` are of the last layer, ``mean4`` is of the fourth.

    Args:
        pooling: one of them, or several with ``+`` between them.
        layers: of the encoder.

    Raises:
        UsageError: it is none.

    >>> [vector.name for vector in vectors("cls+mean4", 6)]
    ['cls6', 'mean4']
    """
    found = []
    for part in pooling.split("+"):
        match = _PART.fullmatch(part)
        layer = int(match[1] or layers) if match else 0
        if match is None or layer > layers:
            raise UsageError(
                f"--pooling {pooling}: {part!r} is none of cls, mean, mean1, ..., mean{layers} (this encoder has "
                f"{layers} layers); several are joined by +, as in cls+mean{max(1, layers - 1)}."
            )
        found.append(Vector("mean" if match[1] else part, layer))
    if len(set(found)) < len(found):
        raise UsageError(f"--pooling {pooling} names a vector twice.")
    return tuple(found)


def every_vector(layers: int) -> tuple[Vector, ...]:
    """All that a pooling can consist of: the last layer's [CLS] vector, and the mean of each layer."""
    return (Vector("cls", layers), *(Vector("mean", layer) for layer in range(1, layers + 1)))


def pool(hidden: torch.Tensor, attention_mask: torch.Tensor, kind: str) -> torch.Tensor:
    """One vector a text: of its first token ([CLS]), or the mean over all its tokens, padding left out.

    Args:
        hidden: a layer's, (batch, sequence, hidden).
        attention_mask: (batch, sequence), 1 for a token, 0 for padding.
        kind: ``cls`` or ``mean``.

    Returns:
        (batch, hidden)
    """
    if kind == "cls":
        return hidden[:, 0]
    mask = attention_mask.to(hidden.dtype).unsqueeze(-1)  # (batch, sequence, 1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def pooled(layers: Sequence[torch.Tensor], attention_mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """All vectors of a pooling side by side, (batch, vectors * hidden).

    Args:
        layers: what each block gives, (batch, sequence, hidden) each.
        attention_mask: (batch, sequence).
        pooling: see `vectors`.
    """
    found = [pool(layers[layer - 1], attention_mask, kind) for kind, layer in vectors(pooling, len(layers))]
    return torch.cat(found, dim=1)
