"""Families of encoders: the same post-LayerNorm block under different names, with different embeddings.

A new family with that block is one more `Family` in `FAMILIES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from export.errors import UnsupportedEncoder

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Family:
    """One family of encoders, as transformers builds it.

    Attributes:
        name: ``model_type`` of its configs.
        layers: path of the module that holds the blocks.
        parts: path of each module in a block, by its name in `export.encoder.weights.Block`.
        activation: name of the config's setting for the activation.
        token_types: whether the embeddings add a vector of the token's type.
        pooling_layer: whether the model has a pooling layer, which the head never reads.
        positions_after_padding: whether the first token's position is the padding id + 1, not 0.
    """

    name: str
    layers: str
    parts: Mapping[str, str]
    activation: str
    token_types: bool
    pooling_layer: bool
    positions_after_padding: bool

    def first_position(self, config: "PretrainedConfig") -> int:
        """Return the first token's row of the position table."""
        return config.pad_token_id + 1 if self.positions_after_padding else 0


# Parts of a post-LayerNorm block: Devlin et al. 2018, figure 1; Vaswani et al. 2017.
_BERT = Family(
    name="bert",
    layers="encoder.layer",
    parts={
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "ffn_in": "intermediate.dense",
        "ffn_out": "output.dense",
        "ffn_norm": "output.LayerNorm",
    },
    activation="hidden_act",
    token_types=True,
    pooling_layer=True,
    positions_after_padding=False,
)
_DISTILBERT = Family(
    name="distilbert",
    layers="transformer.layer",
    parts={
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_output": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "ffn_in": "ffn.lin1",
        "ffn_out": "ffn.lin2",
        "ffn_norm": "output_layer_norm",
    },
    activation="activation",
    token_types=False,
    pooling_layer=False,
    positions_after_padding=False,
)

FAMILIES = (_DISTILBERT, _BERT, replace(_BERT, name="roberta", positions_after_padding=True))


def family_of(config: "PretrainedConfig", name: str) -> Family:
    """Find the family of an encoder.

    Args:
        config: config of the encoder.
        name: name of the encoder, for messages.

    Raises:
        UnsupportedEncoder: the encoder belongs to no family, or no exact graph can be written for its settings.
    """
    family = family_named(config.model_type, name)
    activation = getattr(config, family.activation)
    if activation != "gelu":
        raise UnsupportedEncoder(f"the encoder {name!r} uses the activation {activation!r}; only 'gelu' is supported.")
    if getattr(config, "is_decoder", False) or getattr(config, "position_embedding_type", "absolute") != "absolute":
        raise UnsupportedEncoder(f"the encoder {name!r} is a decoder or has relative positions; neither is supported.")
    return family


def family_named(kind: object, name: str) -> Family:
    """Find a family by the ``model_type`` of a config.

    Raises:
        UnsupportedEncoder: the encoder belongs to no family.
    """
    family = next((one for one in FAMILIES if one.name == kind), None)
    if family is None:
        raise UnsupportedEncoder(
            f"the encoder {name!r} is of the kind {kind!r}; the supported kinds are "
            f"{', '.join(one.name for one in FAMILIES)} (DistilBERT, BERT, MiniLM and RoBERTa)."
        )
    return family


def check_positions(name: str, positions: int, max_length: int) -> None:
    """Raise `UnsupportedEncoder` if an encoder has fewer positions than ``max_length``."""
    if max_length > positions:
        raise UnsupportedEncoder(
            f"the encoder {name!r} has {positions} positions, fewer than --max-length {max_length}."
        )
