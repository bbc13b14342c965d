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
        word: word embeddings, float32 (vocabulary, embedding size).
        positions: position embeddings plus the vectors of the token type and the task, float32 (longest sequence,
            embedding size), beginning with the first token's.
        embedding_norm: LayerNorm of the sum of both.
        projection: layer from the embedding size to the hidden size; None if they are the same.
        blocks: blocks, in order.
        sources: for each block, the number of the first one that has the same matrices; its own if no earlier one has.
        heads: number of attention heads.
        activation: activation between the feed-forward layers, a value of `export.encoder.families.ACTIVATIONS`.
        relative_bias: addition to the scores of attention, float32 (2 * longest sequence - 1, heads); row r is for a token
            that stands r + 1 - (longest sequence) places behind the asking one. None without one.
    """

    word: np.ndarray
    positions: np.ndarray
    embedding_norm: Norm
    projection: Linear | None
    blocks: tuple[Block, ...]
    sources: tuple[int, ...]
    heads: int
    activation: str
    relative_bias: np.ndarray | None

    @property
    def hidden(self) -> int:
        return self.word.shape[1] if self.projection is None else len(self.projection.bias)


def encoder_weights(encoder: FrozenEncoder) -> EncoderWeights:
    """Return the encoder's own tensors as arrays: not copies, but views, transposed where a product needs it.

    Args:
        encoder: encoder that belongs to a family.
    """
    model, config, family = encoder.model, encoder.config, encoder.family
    assert family is not None, "the weights of other encoders have no known form"
    modules = dict(model.named_modules())
    positions = _array(model.get_parameter("embeddings.position_embeddings.weight"))
    positions = positions[family.first_position(config.pad_token_id) :]
    for path in family.constants:
        if path in modules:
            positions = positions + _array(model.get_parameter(f"{path}.weight"))[0]
    blocks = block_modules(model, family)
    activation = family.activation_of(config)
    assert activation is not None, "such an encoder has no family"
    return EncoderWeights(
        word=_array(model.get_parameter("embeddings.word_embeddings.weight")),
        positions=positions,
        embedding_norm=_norm(model.get_submodule("embeddings.LayerNorm")),
        projection=_linear(modules[family.projection]) if family.projection in modules else None,
        blocks=tuple(map(_block, blocks)),
        sources=tuple(blocks.index(parts) for parts in blocks),
        heads=int(config.num_attention_heads),
        activation=activation,
        relative_bias=None
        if family.relative_bias is None
        else _relative_bias(model, family.relative_bias, len(positions)),
    )


def block_modules(model: nn.Module, family: Family) -> list[dict[str, nn.Module]]:
    """Return the encoder's own modules of each block, by the names of `Block`; of shared blocks, the same ones again."""
    blocks = list(model.get_submodule(family.layers).children())
    if family.shared is not None:
        layers = int(model.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]
        groups = [list(group.get_submodule(family.shared).children()) for group in blocks]
        blocks = [block for layer in range(layers) for block in groups[int(layer / (layers / len(groups)))]]
    return [{part: block.get_submodule(path) for part, path in family.parts.items()} for block in blocks]


def _relative_bias(model: nn.Module, path: str, longest: int) -> np.ndarray:
    """Return a model's bias by distance, (2 * longest - 1, heads), from what it adds for a text of the longest length."""
    encoder = model.get_submodule(path)
    with torch.no_grad():
        bias = _array(encoder.compute_position_bias(torch.empty(1, longest, 0)))[0]  # type: ignore[operator]
    # The bias of a pair depends on its distance alone: the first column has the tokens before, the first row those behind.
    return np.concatenate([bias[:, :0:-1, 0], bias[:, 0, :]], axis=1).T


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
