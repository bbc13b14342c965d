"""A classifier in a graph: the encoder, and the head and the wide part on top of it.

The graph is written node by node, not traced through transformers' modelling code or an exporter. So it stays as it is
written here, whatever their releases change. Every operator in it was chosen by measurement (docs/PERFORMANCE.md). The
parity gate compares it with transformers' own model.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from export.classifier.classifier import Classifier
from export.classifier.head import Dense, LinearHead
from export.encoder.vectors import vectors
from export.encoder.weights import EncoderWeights
from export.graph.encoder import EncoderWriter, Operators
from export.graph.truncation import write_cut
from export.graph.wide import write_wide
from export.graph.writer import GraphWriter
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session

WriteVectors = Callable[[GraphWriter, str, str], list[str]]
"""Function that writes an encoder, given the names of the token ids and the mask, and returns the names of its vectors."""


def classifier_graph(
    weights: EncoderWeights, classifier: Classifier, operators: Callable[[GraphWriter, str], Operators]
) -> onnx.ModelProto:
    """Write the graph input_ids, attention_mask -> logits, with dynamic batch and sequence and a float32 head.

    A dense layer before the head is float32, too: it is little work, and the score depends on it.

    Args:
        weights: weights of the encoder.
        classifier: head, pooling and everything else on top of the encoder. Only the blocks that the pooling needs are
            written, the last one for the first token alone if the pooling reads no other.
        operators: constructor of the precision's operators, given the writer and the name of the attention mask.

    Raises:
        ExportError: the graph is malformed.
    """
    wanted = vectors(classifier.pooling, len(weights.blocks))

    def write_vectors(writer: GraphWriter, ids: str, attention_mask: str) -> list[str]:
        return EncoderWriter(operators(writer, attention_mask), weights, ids).vectors(wanted, classifier.queries)

    return graph_on(write_vectors, classifier)


def graph_on(write_vectors: WriteVectors, classifier: Classifier) -> onnx.ModelProto:
    """Write the graph input_ids, attention_mask -> logits, with any encoder.

    Args:
        write_vectors: function that writes the vectors of the classifier's pooling, float32 (batch, size) each.
        classifier: everything on top of the encoder.

    Raises:
        ExportError: the graph is malformed.
    """
    writer = GraphWriter()
    cut, head = classifier.cut, classifier.head
    ids, attention_mask = ("input_ids", "attention_mask") if cut is None else write_cut(writer, cut)
    pooled = write_vectors(writer, ids, attention_mask)
    features = pooled[0] if len(pooled) == 1 else writer.node("Concat", *pooled, axis=1, name="features")
    if classifier.dense is not None:
        features = _write_dense(writer, features, classifier.dense)
    product = writer.node("MatMul", features, writer.constant("head.weight", head.weight.T), name="head.product")
    bias = writer.constant("head.bias", head.bias)
    if classifier.wide is None:
        writer.node("Add", product, bias, name="logits")
    else:
        deep = writer.node("Add", product, bias, name="head.logits")
        writer.node("Add", deep, write_wide(writer, classifier.wide), name="logits")
    return writer.model({"logits": ["batch", len(head.bias)]})


_DENSE_OPERATORS = {"relu": "Relu", "tanh": "Tanh", "gelu": "Gelu"}


def _write_dense(writer: GraphWriter, features: str, dense: Dense) -> str:
    """Write a dense layer: (batch, in) -> (batch, out)"""
    product = writer.node("MatMul", features, writer.constant("dense.weight", dense.weight.T), name="dense.product")
    shifted = writer.node("Add", product, writer.constant("dense.bias", dense.bias), name="dense.sum")
    return writer.node(_DENSE_OPERATORS[dense.activation], shifted, name="dense")


def set_head_bias(model: onnx.ModelProto, head: LinearHead) -> None:
    """Replace the head's bias in a classifier's graph with that of another head."""
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "head.bias")
    bias.CopyFrom(numpy_helper.from_array(head.bias, bias.name))


def graph_logits(model: onnx.ModelProto, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Compute a graph's logits of token rows on CPU, one row at a time: float32 (rows, logits)."""
    return RowEngine(open_session(model.SerializeToString(), "cpu"), threads=1).logits(rows)
