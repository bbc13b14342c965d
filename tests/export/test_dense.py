"""The dense layer that an imported classifier may have before its linear head."""

import dataclasses

import numpy as np
import pytest
import torch
from factories import list_again, reviews
from torch import nn

from export.bundle.bundle import head_fields, load_classifier, write_bundle
from export.classifier.classifier import Classifier
from export.classifier.head import Dense, LinearHead
from export.classifier.truncation import Cut
from export.encoder.weights import encoder_weights
from export.errors import ExportError
from export.graph.classifier import graph_logits
from export.graph.fp16 import to_half
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from export.graph.parity import compare
from scorer.engine.runtime import open_session
from scorer.model.bundle import MANIFEST, load_bundle

MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def dense_of(activation: str) -> Dense:
    generator = np.random.default_rng(5)
    weight = generator.normal(size=(20, 32), scale=0.3).astype(np.float32)
    return Dense(weight, generator.normal(size=20).astype(np.float32), activation)


def classifier_of(activation: str, logits: int = 3) -> Classifier:
    weight = np.random.default_rng(6).normal(size=(logits, 20)).astype(np.float32)
    return Classifier(LinearHead(weight, np.ones(logits, dtype=np.float32)), "cls", dense=dense_of(activation))


@pytest.mark.parametrize("activation", MODULES)
def test_the_layer_is_the_one_of_pytorch(activation):
    classifier = classifier_of(activation)
    features = np.random.default_rng(1).normal(size=(7, 32)).astype(np.float32)
    linear, out = nn.Linear(32, 20), nn.Linear(20, 3)
    for module, part in ((linear, classifier.dense), (out, classifier.head)):
        module.weight.data, module.bias.data = torch.from_numpy(part.weight), torch.from_numpy(part.bias)
    with torch.inference_mode():
        expected = out(MODULES[activation]()(linear(torch.from_numpy(features)))).numpy()
    np.testing.assert_allclose(classifier.head_logits(features), expected, atol=1e-5)


@pytest.mark.parametrize("activation", MODULES)
@pytest.mark.parametrize("cut", [None, Cut(6, 2)], ids=["whole", "cut"])
def test_every_precision_writes_it(encoder, activation, cut):
    frozen = encoder("bert")
    classifier = dataclasses.replace(classifier_of(activation), reading=cut)
    weights, rows = encoder_weights(frozen), frozen.tokenizer.encode(reviews(40, 2, 3).texts).ids
    graph = to_float32(weights, classifier)
    longest = frozen.positions if cut is None else frozen.tokenizer.max_length
    compare(open_session(graph.SerializeToString(), "cpu"), frozen, classifier, rows, longest=longest)
    exact = graph_logits(graph, rows)
    spread = exact.std()
    int8 = to_int8(weights, classifier, rows)
    assert np.abs(graph_logits(int8, rows) - exact).mean() < 0.1 * spread
    half = to_half(weights, classifier, rows, int8)
    assert np.abs(half_logits(half.graph, rows) - graph_logits(half.exact, rows)).max() < 0.02 * spread


@pytest.mark.parametrize("activation", MODULES)
def test_a_bundle_keeps_it(bundle, tmp_path, activation):
    classifier = classifier_of(activation, logits=1)
    manifest = dataclasses.replace(bundle.manifest, head=head_fields(classifier), pooling="cls")
    graphs = {name: data for name, data in bundle.files.items() if name.startswith(("model.", "weights."))}
    write_bundle(
        tmp_path / "new", manifest=manifest, tokenizer_json=bundle.files["tokenizer.json"], graphs=graphs,
        classifier=classifier, unlisted={},
    )  # fmt: skip
    found = load_classifier(load_bundle(tmp_path / "new"))
    assert found.dense.activation == activation
    for ours, theirs in ((classifier.dense, found.dense), (classifier.head, found.head)):
        assert (ours.weight == theirs.weight).all()
        assert (ours.bias == theirs.bias).all()


@pytest.mark.parametrize("activation", ["swish", ["relu"], "relu"])
def test_a_layer_that_cannot_be_computed_is_refused(bundle, tmp_path, activation):
    """The last one is known, but has no weights."""
    for name, data in bundle.files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "SHA256SUMS").write_bytes((bundle.path / "SHA256SUMS").read_bytes())
    manifest = dataclasses.replace(bundle.manifest, head={**bundle.manifest.head, "dense": activation})
    (tmp_path / MANIFEST).write_bytes(manifest.to_json())
    list_again(tmp_path)
    with pytest.raises(ExportError, match=r"names a dense layer.*Import the model again"):
        load_classifier(load_bundle(tmp_path))
