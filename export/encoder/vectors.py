"""Names of the vectors of a text that the head reads; no heavy import."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from scorer.base.errors import UsageError

_PART = re.compile(r"cls|(mean|attention)([1-9][0-9]*)?")

QUERIES = 4
"""Number of queries of an attention pooling. One is worse, eight are no better (docs/ACCURACY.md)."""

LOGITS = "logits"
"""Pooling of an imported model that is exported as a whole: its own logits. No option names it."""

AUTO = "auto"
"""Value of ``--pooling`` that takes the first of `cheap_poolings`, unless another is clearly better on held-out texts."""

Queries = Mapping[int, np.ndarray]
"""Trained queries of attention poolings: float32 (queries, hidden), by the layer that they read."""

NO_QUERIES: Queries = MappingProxyType({})


class Vector(NamedTuple):
    """One vector of a text, or several that belong together.

    Attributes:
        kind: ``cls``, the first token's vector; ``mean``, the mean over all tokens; ``attention``, a mean with learned
            weights of the tokens for each of `QUERIES` (Lin et al. 2017, "A Structured Self-attentive Sentence
            Embedding", without the layer before the softmax); `LOGITS`, a whole model's own output.
        layer: number of the block whose output is read, from 1.
    """

    kind: str
    layer: int

    @property
    def name(self) -> str:
        return f"{self.kind}{self.layer}"


def vectors(pooling: str, layers: int) -> tuple[Vector, ...]:
    """Return the vectors of a pooling: ``cls``, ``mean`` and ``attention`` read the last layer, ``mean4`` the fourth.

    Args:
        pooling: one name, or several joined by ``+``.
        layers: number of the encoder's layers.

    Raises:
        UsageError: a name is invalid, or is repeated.

    >>> [vector.name for vector in vectors("cls+mean4", 6)]
    ['cls6', 'mean4']
    """
    if pooling == LOGITS:
        return (Vector(LOGITS, layers),)
    found = []
    for part in pooling.split("+"):
        match = _PART.fullmatch(part)
        layer = int(match[2] or layers) if match else 0
        if match is None or layer > layers:
            raise UsageError(
                f"--pooling {pooling}: {part!r} is not one of cls, mean, mean1, ..., mean{layers}, attention, attention1, ..., "
                f"attention{layers} (this encoder has {layers} layers); join several with +, as in "
                f"cls+mean{max(1, layers - 1)}."
            )
        found.append(Vector(match[1] or part, layer))
    if len(set(found)) < len(found):
        raise UsageError(f"--pooling {pooling} names a vector twice.")
    return tuple(found)


def check_names(pooling: str) -> None:
    """Raise `UsageError` for a pooling that no encoder has, whatever its number of layers."""
    if pooling == AUTO:
        return
    for part in pooling.split("+"):
        if _PART.fullmatch(part) is None:
            raise UsageError(
                f"--pooling {pooling}: {part!r} is not one of cls, mean, mean1, mean2, ..., attention, attention1, ...; join "
                "several with +, as in cls+mean4."
            )


def every_vector(layers: int) -> tuple[Vector, ...]:
    """Return every vector that needs no training: the last layer's [CLS] vector, and the mean of each layer."""
    return (Vector("cls", layers), *(Vector("mean", layer) for layer in range(1, layers + 1)))


def cheap_poolings(layers: int) -> tuple[str, ...]:
    """Return poolings that cost no more than ``cls``: they read the last layer nowhere but at the first token.

    The first one is the best with few labels on the encoders that were measured (docs/ACCURACY.md).

    >>> cheap_poolings(6)
    ('mean4+mean5', 'mean5', 'cls', 'cls+mean3+mean4+mean5')
    >>> cheap_poolings(2), cheap_poolings(1)
    (('mean1', 'cls', 'cls+mean1'), ('cls',))
    """
    before = [f"mean{layer}" for layer in range(max(1, layers - 3), layers)]
    if not before:
        return ("cls",)
    return tuple(dict.fromkeys(("+".join(before[-2:]), before[-1], "cls", "cls+" + "+".join(before))))


def is_trained(pooling: str) -> bool:
    """Return whether a pooling has weights of its own, which are trained with the head.

    >>> is_trained("cls+mean5"), is_trained("mean4+attention5")
    (False, True)
    """
    return "attention" in pooling
