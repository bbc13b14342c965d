"""An encoder in a graph that torch.onnx.export makes from transformers' own model, for families without a written graph."""

from collections.abc import Callable, Iterator, Sequence

import onnx
import torch
from onnx import AttributeProto, GraphProto
from torch import Tensor, nn

from export.encoder.load import FrozenEncoder
from export.encoder.pooling import pool
from export.encoder.vectors import LOGITS, Vector
from export.errors import UnsupportedEncoder
from export.graph.quiet import quiet_tools
from export.graph.writer import OPSET, GraphWriter
from scorer.base.shortage import shortage

INPUTS = ("input_ids", "attention_mask")

_PREFIX = "encoder."

# Shape of the example texts. Every size is at least 2, because the exporter takes a size of 1 for a constant.
_EXAMPLE = (3, 11)


class PooledModel(nn.Module):
    """A model of transformers that gives pooled vectors side by side.

    Padding gets the model's own padding id, whatever the ids there: some models look for it to number positions, or to
    find the last token.

    Args:
        model: model of transformers.
        layers: number of its layers.
        wanted: vectors to compute; see `export.encoder.vectors.Vector`.
    """

    def __init__(self, model: nn.Module, layers: int, wanted: Sequence[Vector]) -> None:
        super().__init__()
        self._model = model
        self._layers = layers
        self._wanted = wanted
        padding = getattr(model.config, "pad_token_id", None)
        self._padding = padding if isinstance(padding, int) else 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute the vectors: (batch, sequence), twice -> (batch, all vectors' sizes)"""
        input_ids = input_ids.masked_fill(attention_mask == 0, self._padding)
        inner = any(vector.layer < self._layers for vector in self._wanted)
        found = self._model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=inner)
        pooled = []
        for kind, layer in self._wanted:
            if kind == LOGITS:
                pooled.append(found.logits)
            else:
                # The last hidden state may be normalised once more than the last layer's output.
                hidden = found.last_hidden_state if layer == self._layers else found.hidden_states[layer]
                pooled.append(pool(hidden, attention_mask, kind))
        return torch.cat(pooled, dim=1)


def exported_vectors(encoder: FrozenEncoder, wanted: Sequence[Vector]) -> onnx.ModelProto:
    """Export an encoder's pooled vectors: input_ids, attention_mask -> vectors (batch, all vectors' sizes).

    Raises:
        UnsupportedEncoder: PyTorch cannot export the model.
    """
    model = PooledModel(encoder.model, encoder.layers, wanted).eval()
    input_ids = torch.full(_EXAMPLE, encoder.tokenizer.highest_id, dtype=torch.int64)
    attention_mask = torch.ones(_EXAMPLE, dtype=torch.int64)
    attention_mask[1, _EXAMPLE[1] // 2 :] = 0
    axes = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    try:
        with quiet_tools(), torch.inference_mode():
            program = torch.onnx.export(
                model,
                (input_ids, attention_mask),
                dynamo=True,
                opset_version=OPSET,
                input_names=INPUTS,
                output_names=["vectors"],
                dynamic_shapes=dict.fromkeys(INPUTS, axes),
                verbose=False,
            )
            assert program is not None, "the exporter returns a program unless it writes a file"
            found: onnx.ModelProto = program.model_proto
    except Exception as error:  # the exporter's errors and those of a model's own code share no base class
        reason = str(error.__cause__ or error).strip().partition("\n")[0][:300]
        raise shortage(error) or UnsupportedEncoder(
            f"PyTorch cannot export {encoder.name!r} ({encoder.config.model_type}) to ONNX: {type(error).__name__}: {reason}\n"
            "Give a model of another architecture."
        ) from error
    return found


def graft(writer: GraphWriter, model: onnx.ModelProto, ids: str, attention_mask: str) -> str:
    """Write an exported encoder's nodes and constants, and return the name of its vectors.

    Values get names with a prefix, so that they cannot clash with those of the graph around them. Descriptions of the
    exporter, such as stack traces, are omitted.

    Args:
        writer: writer of the graph.
        model: graph from `exported_vectors`.
        ids: name of the token ids, int64 (batch, sequence).
        attention_mask: name of the mask, of the same shape.
    """
    outer = dict(zip(INPUTS, (ids, attention_mask), strict=True))

    def renamed(name: str) -> str:
        return outer.get(name) or (f"{_PREFIX}{name}" if name else "")

    for tensor in model.graph.initializer:
        writer.add_constant(renamed(tensor.name), tensor)
    for node in model.graph.node:
        _rename(node, renamed)
        writer.nodes.append(node)
    return renamed(model.graph.output[0].name)


def _rename(node: onnx.NodeProto, renamed: Callable[[str], str]) -> None:
    """Rename all values of a node and of its subgraphs, and remove its descriptions."""
    node.input[:] = list(map(renamed, node.input))
    node.output[:] = list(map(renamed, node.output))
    node.name = renamed(node.name)
    node.doc_string = ""
    del node.metadata_props[:]
    for graph in _subgraphs(node):
        graph.doc_string = ""
        del graph.metadata_props[:]
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = renamed(value.name)
        del graph.value_info[:]
        for inner in graph.node:
            _rename(inner, renamed)


def _subgraphs(node: onnx.NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
