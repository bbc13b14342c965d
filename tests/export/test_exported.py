"""Encoders that PyTorch exports: training on them, their int8 graphs, and the gate that padding has to pass."""

from collections import Counter

import numpy as np
import pytest
from factories import MAX_LENGTH, make_bundle, reviews
from tiny_checkpoints import tiny_classifier
from tiny_tokenizers import tiny_tokenizer

from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.classifier.settings import WideSettings
from export.encoder.load import freeze
from export.errors import ParityError
from export.graph.classifier import graph_logits
from export.graph.parity import compare, compare_whole
from export.graph.source import Exported, graph_source
from export.graph.writer import graph_bytes
from export.training.settings import TuneSettings
from scorer import Scorer
from scorer.base.errors import UsageError
from scorer.engine.runtime import open_session
from scorer.model.graph_check import check_onnx

HIDDEN = 32


def make_exported(kind):
    """An encoder of a family whose graph is not written."""
    tokenizer = tiny_tokenizer({"modernbert": "modernbert", "deberta-v2": "deberta"}[kind])
    model = tiny_classifier(kind, tokenizer, 2).base_model
    return freeze(model, tokenizer.backend_tokenizer.to_str(), name=kind, max_length=MAX_LENGTH, max_tokens=40)


@pytest.fixture(scope="module", params=["modernbert", "deberta-v2"])
def exported(request):
    return make_exported(request.param)


@pytest.fixture(scope="module")
def rows(exported):
    return exported.tokenizer.encode(reviews(60, 2, 3).texts).ids


@pytest.fixture(scope="module")
def classifier():
    weight = np.random.default_rng(0).normal(size=(1, 2 * HIDDEN)).astype(np.float32)
    return Classifier(LinearHead(weight, np.zeros(1, dtype=np.float32)), "cls+mean1")


@pytest.fixture(scope="module")
def float32(exported, classifier):
    return graph_source(exported).float32(classifier)


def test_the_graph_gives_what_pytorch_gives_in_every_shape(exported, classifier, float32, rows):
    session = open_session(graph_bytes(float32), "cpu")
    parity = compare(session, exported, classifier, rows, longest=40)
    assert parity.difference < 2e-5
    assert {(1, 1), (1, 40), (7, 33)} < set(parity.shapes)
    assert check_onnx(float32.SerializeToString(), {}) == frozenset()


def test_int8_replaces_every_product_of_weights_and_the_words(exported, classifier, float32, rows, monkeypatch):
    monkeypatch.setattr("export.graph.int8_exported._LARGE_TABLE", 1)
    before = float32.SerializeToString()
    int8 = graph_source(exported).int8(classifier, rows[:20], float32)
    assert float32.SerializeToString() == before
    large = {
        one.name for one in int8.graph.initializer if one.data_type == 1 and len(one.dims) == 2 and min(one.dims) > 8
    }
    float_products = [node.name for node in int8.graph.node if node.op_type == "MatMul" and node.input[1] in large]
    assert not float_products  # the head is a single column
    assert not [node for node in int8.graph.node if node.op_type == "Gather" and node.input[0] in large]
    assert Counter(node.op_type for node in int8.graph.node)["MatMulIntegerToFloat"] >= 2 * 4
    exact, found = graph_logits(float32, rows), graph_logits(int8, rows)
    assert 0 < np.abs(found - exact).mean() < 0.1 * exact.std()


def test_no_float16_graph_is_made(exported, classifier, rows):
    assert isinstance(graph_source(exported), Exported)
    assert graph_source(exported).half(classifier, rows, None) is None


def test_training_exports_the_encoder_and_scores_with_a_wide_part(tmp_path):
    exported = make_exported("modernbert")
    bundle = make_bundle(
        exported, tmp_path / "bundle", max_length=MAX_LENGTH, pooling="cls+mean1", wide=WideSettings(pairs=1 << 8)
    )
    assert sorted(bundle.manifest.precisions) == ["fp32", "int8"]
    assert bundle.manifest.providers == {"cpu": "int8", "cuda": "fp32"}
    assert bundle.manifest.encoder["architecture"] == exported.config.model_type
    test = reviews(120, 2, 2)
    labels = Scorer(bundle, provider="cpu").score(test.texts).labels
    assert np.mean(np.array(labels) == np.array(["negative", "positive"])[test.labels]) > 0.9


@pytest.mark.parametrize(
    "options", [{"tune": TuneSettings(blocks=1)}, {"tune": TuneSettings(blocks=0), "pooling": "attention"}]
)
def test_training_its_blocks_is_refused_with_the_families_for_which_it_is_possible(options, tmp_path):
    with pytest.raises(UsageError, match=r"need a family whose graph is written here \(distilbert, bert, .*mpnet"):
        make_bundle(make_exported("modernbert"), tmp_path / "bundle", **options)
    assert not (tmp_path / "bundle").exists()


class PaddingCounts:
    """A graph whose logits depend on padding, like that of a convolution without a mask."""

    def run(self, names, inputs):
        return [whole(inputs["input_ids"], inputs["attention_mask"])]


def whole(input_ids, attention_mask):
    return input_ids.mean(axis=1, keepdims=True, dtype=np.float32)


def test_a_graph_that_agrees_with_its_model_but_depends_on_padding_is_refused(rows, classifier):
    with pytest.raises(ParityError, match="differs from PyTorch by"):
        compare_whole(PaddingCounts(), whole, classifier, rows, longest=40, tolerance=1e-4)
