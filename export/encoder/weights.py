"""Weights of an encoder as arrays, in one form for every supported family."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from export.encoder.families import Family
from export.encoder.load import FrozenEncoder


@dataclass(frozen=True)
class Linear:
    """A linear layer: ``x @ weight + bias``.

    Attributes:
        weight: float32 (in, out), the transpose of PyTorch's.
        bias: float32 (out,).
    """

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Norm:
    """A LayerNorm over the last axis, with float32 weight and bias (hidden,)."""

    weight: np.ndarray
    bias: np.ndarray
    epsilon: float


@dataclass(frozen=True)
class Block:
    """One transformer block: self-attention and feed-forward, each added to its input and normalised."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: Norm
    ffn_in: Linear
    ffn_out: Linear
    ffn_norm: Norm


@dataclass(frozen=True)
class EncoderWeights:
    """Embeddings and blocks of a post-LayerNorm encoder.

    Attributes:
        word: word embeddings, float32 (vocabulary, hidden).
        positions: position embeddings plus the token type's vector, float32 (longest sequence, hidden), beginning
            with the first token's.
        embedding_norm: LayerNorm of the sum of both.
        blocks: blocks, in order.
        heads: number of attention heads.
    """

    word: np.ndarray
    positions: np.ndarray
    embedding_norm: Norm
    blocks: tuple[Block, ...]
    heads: int

    @property
    def hidden(self) -> int:
        return self.word.shape[1]


def encoder_weights(encoder: FrozenEncoder) -> EncoderWeights:
    """Return the encoder's own tensors as arrays: not copies, but views, transposed where a product needs it."""
    model, config, family = encoder.model, encoder.config, encoder.family
    positions = _array(model.get_parameter("embeddings.position_embeddings.weight"))[family.first_position(config) :]
    if family.token_types:
        # All tokens of a single text have type 0, so the vector of that type is added at every position.
        positions = positions + _array(model.get_parameter("embeddings.token_type_embeddings.weight"))[0]
    return EncoderWeights(
        word=_array(model.get_parameter("embeddings.word_embeddings.weight")),
        positions=positions,
        embedding_norm=_norm(model.get_submodule("embeddings.LayerNorm")),
        blocks=tuple(map(_block, block_modules(model, family))),
        heads=int(config.num_attention_heads),
    )


def block_modules(model: nn.Module, family: Family) -> list[dict[str, nn.Module]]:
    """Return the encoder's own modules of each block, by the names of `Block`."""
    return [
        {part: block.get_submodule(path) for part, path in family.parts.items()}
        for block in model.get_submodule(family.layers).children()
    ]


def _block(parts: Mapping[str, nn.Module]) -> Block:
    return Block(
        query=_linear(parts["query"]),
        key=_linear(parts["key"]),
        value=_linear(parts["value"]),
        attention_output=_linear(parts["attention_output"]),
        attention_norm=_norm(parts["attention_norm"]),
        ffn_in=_linear(parts["ffn_in"]),
        ffn_out=_linear(parts["ffn_out"]),
        ffn_norm=_norm(parts["ffn_norm"]),
    )


def _linear(module: nn.Module) -> Linear:
    assert isinstance(module, nn.Linear)
    return Linear(_array(module.weight).T, _array(module.bias))


def _norm(module: nn.Module) -> Norm:
    assert isinstance(module, nn.LayerNorm)
    return Norm(_array(module.weight), _array(module.bias), float(module.eps))


def _array(parameter: torch.Tensor) -> np.ndarray:
    array: np.ndarray = parameter.detach().numpy()
    return array
