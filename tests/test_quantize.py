"""Quantization: what is rewritten stays exact, what is rounded stays close, and the head is not rounded at all."""

import numpy as np
import onnx
import pytest
from conftest import reviews
from onnx import numpy_helper

from export import quantize
from export.graph import Classifier, to_onnx
from export.head import LinearHead
from scorer.engine import RowEngine
from scorer.runtime import open_session


@pytest.fixture(scope="module")
def model(encoder):
    """A graph one of whose channels is two hundred times the others: left in, it takes all eight bits."""
    frozen = encoder("bert")
    head = LinearHead(np.random.default_rng(1).normal(size=(1, 32)).astype(np.float32), np.zeros(1, dtype=np.float32))
    graph = to_onnx(Classifier(frozen, head, "mean"))
    for tensor in graph.graph.initializer:
        if tensor.name.endswith("attention_norm.weight"):
            weight = numpy_helper.to_array(tensor).copy()
            weight[3] *= 200
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    return graph


@pytest.fixture(scope="module")
def rows(encoder):
    return encoder("bert").tokenizer.encode(reviews(80, 2, 31).texts).ids


def logits(model, rows):
    return RowEngine(open_session(model.SerializeToString(), "cpu"), 2).logits(rows)


def split(model, rows):
    products = quantize._weight_products(model)
    peaks = quantize._peaks(model, sorted({product.activation for product in products}), rows)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy, quantize._split_outliers(copy, products, peaks)


def test_taking_outliers_out_changes_nothing_but_the_order_of_sums(model, rows):
    rewritten, in_float = split(model, rows)
    assert len(in_float) >= 4  # the planted channel, in two blocks, at the feed-forward's input at least
    np.testing.assert_allclose(logits(rewritten, rows), logits(model, rows), atol=1e-4)


def test_taking_outliers_out_makes_int8_more_exact(model, rows, monkeypatch):
    expected = logits(model, rows)
    error = np.abs(logits(quantize.to_int8(model, rows[:20]), rows) - expected).mean()
    monkeypatch.setattr(quantize, "_OUTLIER_RATIO", np.inf)
    without = np.abs(logits(quantize.to_int8(model, rows[:20]), rows) - expected).mean()
    assert error < 0.5 * without


def test_the_mean_error_of_the_calibration_texts_is_corrected(model, rows):
    errors = logits(quantize.to_int8(model, rows[:20]), rows[:20]) - logits(model, rows[:20])
    assert abs(errors.mean()) < 1e-4 < np.abs(errors).mean()


def test_word_vectors_are_rounded_with_a_scale_of_their_own(model, rows):
    quantized = {t.name: numpy_helper.to_array(t) for t in quantize.to_int8(model, rows[:5]).graph.initializer}
    table = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "word.weight")
    back = quantized["word.quantized"] * quantized["word.scale"]
    assert (np.abs(back - table) <= np.abs(table).max(axis=1, keepdims=True) / 254 + 1e-7).all()
