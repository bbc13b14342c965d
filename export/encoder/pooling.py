"""Vectors of a text that the head reads, as PyTorch computes them."""

from collections.abc import Sequence

import torch

from export.encoder.vectors import Queries, vectors


def pool(
    hidden: torch.Tensor, attention_mask: torch.Tensor, kind: str, queries: torch.Tensor | None = None
) -> torch.Tensor:
    """Pool a layer's hidden states to a vector for each text, without its padding; see `Vector`.

    Args:
        hidden: hidden states of a layer, (batch, sequence, hidden).
        attention_mask: (batch, sequence), 1 for a token, 0 for padding.
        kind: ``cls``, ``mean`` or ``attention``.
        queries: queries of an attention pooling, (queries, hidden).

    Returns:
        (batch, hidden); for ``attention`` (batch, queries * hidden)
    """
    if kind == "cls":
        return hidden[:, 0]
    if kind == "attention":
        assert queries is not None, "attention needs queries"
        scores = (hidden @ queries.T).masked_fill(attention_mask.unsqueeze(-1) == 0, -torch.inf)
        return (scores.softmax(dim=1).transpose(1, 2) @ hidden).flatten(1)
    mask = attention_mask.to(hidden.dtype).unsqueeze(-1)  # (batch, sequence, 1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def pooled(
    layers: Sequence[torch.Tensor], attention_mask: torch.Tensor, pooling: str, queries: Queries
) -> torch.Tensor:
    """Compute all vectors of a pooling side by side, (batch, vectors * hidden).

    Args:
        layers: hidden states of each block, (batch, sequence, hidden).
        attention_mask: (batch, sequence).
        pooling: name of the pooling, see `vectors`.
        queries: queries of its attention poolings.
    """
    found = []
    for kind, layer in vectors(pooling, len(layers)):
        own = torch.from_numpy(queries[layer]) if kind == "attention" else None
        found.append(pool(layers[layer - 1], attention_mask, kind, own))
    return torch.cat(found, dim=1)
