"""Families of encoders: the same post-LayerNorm block under different names, with different embeddings.

A new family with that block is one more `Family` in `FAMILIES`. Encoders that belong to none are exported by PyTorch
instead of being written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from export.errors import UnsupportedEncoder

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Activations of the feed-forward layer, by transformers' names: GELU (Hendrycks and Gimpel 2016), its approximation by
# tanh, which comes in several spellings, and ReLU.
ACTIVATIONS: Mapping[str, str] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "relu": "relu",
}


@dataclass(frozen=True)
class HeadModules:
    """Modules of the head in a family's model for sequence classification, which reads the first token's vector.

    Attributes:
        dense: path of the hidden layer.
        activation: name of its activation: ``relu``, ``tanh`` or ``gelu``.
        out: path of the layer that gives the logits.
    """

    dense: str
    activation: str
    out: str


@dataclass(frozen=True)
class Family:
    """One family of encoders, as transformers builds it.

    Attributes:
        name: ``model_type`` of its configs.
        layers: path of the module that holds the blocks.
        parts: path of each module in a block, by its name in `export.encoder.weights.Block`.
        activation: name of the config's setting for the activation.
        constants: paths of embeddings whose first vector is added at every position, where the model has them: a single
            text has only tokens of type 0, and one task.
        pooling_layer: whether the model has a pooling layer that can be left out.
        positions_after_padding: whether the first token's position is the padding id + 1, not 0.
        head: modules of its classification head.
        padding: padding id of the positions, if it is not the config's.
        projection: path of the layer from the embeddings' size to the hidden size; a model without it needs none.
        relative_bias: path of the module that computes what is added to the scores of attention by the tokens'
            distance.
        shared: path of the blocks within each of ``layers``, which are groups then. The layers of a group run the same
            blocks.
    """

    name: str
    layers: str
    parts: Mapping[str, str]
    activation: str
    constants: tuple[str, ...]
    pooling_layer: bool
    positions_after_padding: bool
    head: HeadModules
    padding: int | None = None
    projection: str | None = None
    relative_bias: str | None = None
    shared: str | None = None

    def first_position(self, padding: int | None) -> int:
        """Return the first token's row of the position table, given the config's padding id."""
        if not self.positions_after_padding:
            return 0
        padding = padding if self.padding is None else self.padding
        assert padding is not None, "the family of a config without it is None"
        return padding + 1

    def activation_of(self, config: "PretrainedConfig") -> str | None:
        """Return the activation of a config's blocks, a value of `ACTIVATIONS`; None for others."""
        name = getattr(config, self.activation)
        return ACTIVATIONS.get(name) if isinstance(name, str) else None


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
    constants=("embeddings.token_type_embeddings",),
    pooling_layer=True,
    positions_after_padding=False,
    head=HeadModules("bert.pooler.dense", "tanh", "classifier"),
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
    constants=(),
    pooling_layer=False,
    positions_after_padding=False,
    head=HeadModules("pre_classifier", "relu", "classifier"),
)
_ROBERTA = replace(
    _BERT,
    name="roberta",
    positions_after_padding=True,
    head=HeadModules("classifier.dense", "tanh", "classifier.out_proj"),
)
_ELECTRA = replace(
    _BERT,
    name="electra",
    pooling_layer=False,
    projection="embeddings_project",
    head=HeadModules("classifier.dense", "gelu", "classifier.out_proj"),
)
_ERNIE = replace(
    _BERT,
    name="ernie",
    constants=("embeddings.token_type_embeddings", "embeddings.task_type_embeddings"),
    head=HeadModules("ernie.pooler.dense", "tanh", "classifier"),
)
_REMBERT = replace(
    _BERT,
    name="rembert",
    projection="encoder.embedding_hidden_mapping_in",
    head=HeadModules("rembert.pooler.dense", "tanh", "classifier"),
)
_ALBERT = Family(
    name="albert",
    layers="encoder.albert_layer_groups",
    parts={
        "query": "attention.query",
        "key": "attention.key",
        "value": "attention.value",
        "attention_output": "attention.dense",
        "attention_norm": "attention.LayerNorm",
        "ffn_in": "ffn",
        "ffn_out": "ffn_output",
        "ffn_norm": "full_layer_layer_norm",
    },
    activation="hidden_act",
    constants=("embeddings.token_type_embeddings",),
    pooling_layer=True,
    positions_after_padding=False,
    head=HeadModules("albert.pooler", "tanh", "classifier"),
    projection="encoder.embedding_hidden_mapping_in",
    shared="albert_layers",
)
_MPNET = replace(
    _ROBERTA,
    name="mpnet",
    parts={
        **_BERT.parts,
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "attention_output": "attention.attn.o",
        "attention_norm": "attention.LayerNorm",
    },
    constants=(),
    padding=1,
    relative_bias="encoder",
)

FAMILIES = (
    _DISTILBERT,
    _BERT,
    _ROBERTA,
    *(replace(_ROBERTA, name=name) for name in ("xlm-roberta", "camembert", "data2vec-text")),
    _ELECTRA,
    _ERNIE,
    _REMBERT,
    _ALBERT,
    _MPNET,
)


def family_of(config: "PretrainedConfig") -> Family | None:
    """Find the family of an encoder; None if it belongs to none, or its config changes the block of its family."""
    family = family_named(config.model_type)
    if family is None or family.activation_of(config) is None:
        return None
    if getattr(config, "is_decoder", False) or getattr(config, "position_embedding_type", "absolute") != "absolute":
        return None
    if config.hidden_size % config.num_attention_heads:
        return None
    if family.positions_after_padding and family.padding is None and config.pad_token_id is None:
        return None
    return family


def family_named(kind: object) -> Family | None:
    """Find a family by the ``model_type`` of a config; None if no family has it."""
    return next((one for one in FAMILIES if one.name == kind), None)


def check_positions(name: str, positions: int, max_length: int) -> None:
    """Raise `UnsupportedEncoder` if an encoder has fewer positions than ``max_length``."""
    if max_length > positions:
        raise UnsupportedEncoder(
            f"the encoder {name!r} has {positions} positions, fewer than --max-length {max_length}."
        )
