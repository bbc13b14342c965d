"""The frozen encoder and its head, written out plainly as one ONNX graph."""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping

import onnx
import torch
from torch import nn
from torch.nn import functional

from export.encoder import FrozenEncoder, first_position
from export.errors import ExportError
from export.features import pool
from export.head import LinearHead

OPSET = 20  # the first with Gelu as one operator

# Where each family keeps the parts of a post-LayerNorm block (Devlin et al. 2018, figure 1; Vaswani et al. 2017).
_BERT_BLOCK = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
    "ffn_norm": "output.LayerNorm",
}
_DISTILBERT_BLOCK = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "ffn_in": "ffn.lin1",
    "ffn_out": "ffn.lin2",
    "ffn_norm": "output_layer_norm",
}
_BLOCKS = {
    "distilbert": ("transformer.layer", _DISTILBERT_BLOCK),
    "bert": ("encoder.layer", _BERT_BLOCK),
    "roberta": ("encoder.layer", _BERT_BLOCK),
}


class Block(nn.Module):
    """One transformer block: self-attention and feed-forward, each added to its input and normalised."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    attention_norm: nn.LayerNorm
    ffn_in: nn.Linear
    ffn_out: nn.Linear
    ffn_norm: nn.LayerNorm

    def __init__(self, parts: Mapping[str, nn.Module], heads: int) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.heads = heads

    def forward(self, x: torch.Tensor, mask_bias: torch.Tensor) -> torch.Tensor:
        """x (batch, sequence, hidden), mask_bias (batch, 1, 1, sequence) -> (batch, sequence, hidden)."""
        query, key, value = (self._heads_apart(project(x)) for project in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + mask_bias  # (batch, heads, query, key)
        context = torch.softmax(scores, dim=-1) @ value  # (batch, heads, sequence, head size)
        x = self.attention_norm(x + self.attention_output(context.transpose(1, 2).flatten(2)))
        return self.ffn_norm(x + self.ffn_out(functional.gelu(self.ffn_in(x))))

    def _heads_apart(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, sequence, hidden) -> (batch, heads, sequence, head size)"""
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)


class Classifier(nn.Module):
    """Embeddings, blocks, pooling and head of every supported family in one shape.

    The weights are the encoder's own tensors, not copies. Written out in matrix products and softmax, and not traced
    through transformers' modelling code, the graph does not change with that library's releases.

    Args:
        encoder: the frozen encoder.
        head: the trained head.
        pooling: ``cls`` or ``mean``.
    """

    positions: torch.Tensor

    def __init__(self, encoder: FrozenEncoder, head: LinearHead, pooling: str) -> None:
        super().__init__()
        model, config = encoder.model, encoder.config
        self.word = model.get_submodule("embeddings.word_embeddings")
        self.embedding_norm = model.get_submodule("embeddings.LayerNorm")
        positions = model.get_parameter("embeddings.position_embeddings.weight")[first_position(config) :]
        if config.model_type != "distilbert":
            # A single text is all of token type 0, so that type's vector belongs to every position.
            positions = positions + model.get_parameter("embeddings.token_type_embeddings.weight")[0]
        self.register_buffer("positions", positions.detach().clone())
        layers, names = _BLOCKS[config.model_type]
        self.blocks = nn.ModuleList(
            Block({part: layer.get_submodule(name) for part, name in names.items()}, int(config.num_attention_heads))
            for layer in model.get_submodule(layers).children()
        )
        self.head = nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.load_state_dict({"weight": torch.from_numpy(head.weight), "bias": torch.from_numpy(head.bias)})
        self.pooling = pooling
        self.eval().requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """input_ids and attention_mask, int64 (batch, sequence), padded on the right -> logits (batch, logits)."""
        x = self.embedding_norm(self.word(input_ids) + self.positions[: input_ids.shape[1]])
        mask = attention_mask.to(x.dtype)[:, None, None, :]
        mask_bias = (1.0 - mask) * torch.finfo(x.dtype).min
        for block in self.blocks:
            x = block(x, mask_bias)
        return self.head(pool(x, attention_mask, self.pooling))


def to_onnx(classifier: Classifier) -> onnx.ModelProto:
    """The classifier as an ONNX graph: input_ids, attention_mask -> logits, batch and sequence both dynamic.

    Raises:
        ExportError: the graph is malformed, or an axis came out fixed.
    """
    # Two rows, one of them padded, of more than one token: a traced 0 or 1 would be taken for a constant.
    input_ids = torch.tensor([[5, 6, 7, 8, 9, 10], [5, 6, 7, 0, 0, 0]])
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=len(classifier.positions))}
    with _quiet_exporter():
        program = torch.onnx.export(
            classifier,
            (input_ids, (input_ids != 0).long()),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(axes, axes),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    check_graph(model)
    return model


def check_graph(model: onnx.ModelProto) -> None:
    """Raise `ExportError` unless the graph is well formed and its batch and sequence axes are symbolic."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is malformed: {error}") from error
    symbols = {}
    for value in (*model.graph.input, *model.graph.output):
        symbols[value.name] = [axis.dim_param for axis in value.type.tensor_type.shape.dim]
    expected = {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"], "logits": ["batch", ""]}
    if symbols != expected:
        raise ExportError(f"the exported graph's axes are {symbols}, not {expected}.")


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's progress and its notes on packages that are not used off the terminal; errors still rise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
