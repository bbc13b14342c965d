"""Graphs of a classifier on one encoder: written node by node if its family is known, exported by PyTorch if not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx

from export.classifier.classifier import Classifier
from export.encoder.load import FrozenEncoder
from export.encoder.vectors import Queries, Vector, vectors
from export.encoder.weights import EncoderWeights, encoder_weights
from export.graph.classifier import graph_on
from export.graph.exported import exported_vectors, graft
from export.graph.fp16 import Half, to_half
from export.graph.fp32 import feature_graph, to_float32
from export.graph.int8 import to_int8
from export.graph.int8_exported import to_int8_exported
from export.graph.writer import GraphWriter


class GraphSource(Protocol):
    """Graphs of classifiers on one encoder."""

    @property
    def kind(self) -> str:
        """Way in which the graphs are made, ``written`` or ``exported``."""
        ...

    def float32(self, classifier: Classifier) -> onnx.ModelProto:
        """Return input_ids, attention_mask -> logits in float32."""
        ...

    def int8(
        self, classifier: Classifier, calibration: Sequence[np.ndarray], float32: onnx.ModelProto
    ) -> onnx.ModelProto:
        """Return the graph with int8 products.

        Args:
            classifier: classifier of the graph.
            calibration: token ids of typical texts.
            float32: float32 graph of the same classifier.
        """
        ...

    def half(
        self, classifier: Classifier, calibration: Sequence[np.ndarray], int8: onnx.ModelProto | None
    ) -> Half | None:
        """Return the graph in float16, with the weights of an int8 graph if one is given; None if it has no such graph."""
        ...

    def features(self, wanted: Sequence[Vector], queries: Queries) -> onnx.ModelProto:
        """Return input_ids, attention_mask -> features (batch, vectors, hidden)."""
        ...


@dataclass(frozen=True)
class Written:
    """Graphs that are written node by node.

    Attributes:
        weights: weights of the encoder.
    """

    weights: EncoderWeights
    kind: str = "written"

    def float32(self, classifier: Classifier) -> onnx.ModelProto:
        return to_float32(self.weights, classifier)

    def int8(
        self, classifier: Classifier, calibration: Sequence[np.ndarray], float32: onnx.ModelProto
    ) -> onnx.ModelProto:
        return to_int8(self.weights, classifier, calibration, float32)

    def half(
        self, classifier: Classifier, calibration: Sequence[np.ndarray], int8: onnx.ModelProto | None
    ) -> Half | None:
        return to_half(self.weights, classifier, calibration, int8)

    def features(self, wanted: Sequence[Vector], queries: Queries) -> onnx.ModelProto:
        return feature_graph(self.weights, wanted, queries)


@dataclass(frozen=True)
class Exported:
    """Graphs whose encoder is exported by PyTorch; head and wide part are written.

    There is no float16 graph: none has been measured on a GPU.

    Attributes:
        encoder: encoder, or a whole classification model for the pooling `export.encoder.vectors.LOGITS`.
    """

    encoder: FrozenEncoder
    kind: str = "exported"

    def float32(self, classifier: Classifier) -> onnx.ModelProto:
        exported = exported_vectors(self.encoder, vectors(classifier.pooling, self.encoder.layers))

        def write_vectors(writer: GraphWriter, ids: str, attention_mask: str) -> list[str]:
            return [graft(writer, exported, ids, attention_mask)]

        return graph_on(write_vectors, classifier)

    def int8(
        self, classifier: Classifier, calibration: Sequence[np.ndarray], float32: onnx.ModelProto
    ) -> onnx.ModelProto:
        return to_int8_exported(float32, classifier, calibration)

    def half(
        self, classifier: Classifier, calibration: Sequence[np.ndarray], int8: onnx.ModelProto | None
    ) -> Half | None:
        return None

    def features(self, wanted: Sequence[Vector], queries: Queries) -> onnx.ModelProto:
        assert not queries, "attention poolings are trained on written graphs only"
        writer = GraphWriter()
        pooled = graft(writer, exported_vectors(self.encoder, wanted), "input_ids", "attention_mask")
        shape = writer.constant("features.shape", [0, len(wanted), self.encoder.hidden_size])
        writer.node("Reshape", pooled, shape, name="features")
        return writer.model({"features": ["batch", len(wanted), self.encoder.hidden_size]})


def graph_source(encoder: FrozenEncoder) -> GraphSource:
    """Return the source of an encoder's graphs."""
    return Exported(encoder) if encoder.family is None else Written(encoder_weights(encoder))
