"""Vectors that the head of a bundle reads, from the bundle's own graphs."""

import numpy as np
import onnx
import pytest
import transformers
from factories import lengthened, make_bundle, reviews
from tiny_checkpoints import EXPORTED, last_linear, save_checkpoint

from export.bundle.bundle import load_classifier
from export.classifier.settings import WideSettings
from export.errors import ExportError
from export.graph.head_input import vectors_of, with_head_input
from scorer.model.bundle import TOKENIZER, load_bundle
from scorer.model.loaded import LoadedModel
from scorer.model.tokenizer import Tokenizer
from scorer.model.windows import windows_of

TEXTS = reviews(24, 2, 5).texts


def vectors(bundle, texts):
    """Token ids and vectors of texts."""
    tokenizer = Tokenizer(bundle.files[TOKENIZER], bundle.manifest.tokens_kept)
    ids = tokenizer.encode(texts).ids
    return ids, vectors_of(bundle, tokenizer, ids, threads=2, quiet=True)


def logits(bundle, ids):
    scorer = LoadedModel(bundle, provider="cpu", precision="fp32", threads=1, cascade=False)
    return scorer.whole.logits(ids)


@pytest.mark.parametrize("name", ["bundle", "bundle_of_three", "staged_bundle"])
def test_the_head_makes_the_bundles_logits_of_them(name, request):
    bundle = request.getfixturevalue(name)
    ids, found = vectors(bundle, TEXTS)
    classifier = load_classifier(bundle)
    side = 0 if classifier.wide is None else classifier.wide.logits(ids)
    assert np.abs(classifier.head.logits(found) + side - logits(bundle, ids)).max() < 1e-4


def test_a_wide_part_within_the_graph_is_left_out(encoder, tmp_path):
    bundle = make_bundle(encoder("bert"), tmp_path / "wide", wide=WideSettings(pairs=256), precisions=("fp32",))
    ids, found = vectors(bundle, TEXTS)
    assert found.shape == (24, 64)
    classifier = load_classifier(bundle)
    assert np.abs(classifier.head.logits(found) + classifier.wide.logits(ids) - logits(bundle, ids)).max() < 1e-4


def test_a_text_in_windows_has_the_mean_of_their_vectors(windows_bundle):
    texts = lengthened(reviews(12, 2, 5), 120, 1).texts
    ids, found = vectors(windows_bundle, texts)
    tokenizer = Tokenizer(windows_bundle.files[TOKENIZER], windows_bundle.manifest.tokens_kept)
    assert windows_of(windows_bundle.manifest, tokenizer).split(ids).counts.max() > 2
    assert np.abs(load_classifier(windows_bundle).head.logits(found) - logits(windows_bundle, ids)).max() < 1e-4


def test_a_bundle_without_fp32_gives_the_vectors_of_its_precision_for_the_cpu(encoder, tmp_path, bundle):
    int8 = make_bundle(encoder("distilbert"), tmp_path / "int8", precisions=("int8",))
    found, exact = vectors(int8, TEXTS)[1], vectors(bundle, TEXTS)[1]
    assert 0 < np.abs(found - exact).max() < 0.2 * np.abs(exact).max()


@pytest.mark.parametrize("kind", ["distilbert", *EXPORTED])
def test_an_imported_bundle_gives_what_its_last_layer_reads(kind, tmp_path, score_model):
    folder = save_checkpoint(kind, tmp_path / kind, ("bad", "good"))
    result = score_model("import", folder, "-o", tmp_path / "bundle", "--precisions", "fp32", "-q", "--threads", "1")
    assert result.code == 0, result.err
    bundle = load_bundle(tmp_path / "bundle")
    ids, found = vectors(bundle, TEXTS)
    out = last_linear(transformers.AutoModelForSequenceClassification.from_pretrained(folder))
    weight, bias = (one.detach().numpy() for one in (out.weight, out.bias))
    both = found @ weight.T + bias
    assert np.abs((both[:, 1:] - both[:, :1]).squeeze() - logits(bundle, ids).squeeze()).max() < 1e-4


def test_a_graph_without_a_known_head_is_refused_with_what_to_do(bundle):
    graph = onnx.load_model_from_string(bundle.graph("fp32"))
    for node in graph.graph.node:
        node.name = ""
    with pytest.raises(ExportError, match=r"the head cannot be found in the bundle's graph.*--model"):
        with_head_input(graph, is_whole=False)


def test_the_graph_itself_is_not_changed(bundle):
    graph = onnx.load_model_from_string(bundle.graph("fp32"))
    before = graph.SerializeToString(deterministic=True)
    with_head_input(graph, is_whole=False)
    assert graph.SerializeToString(deterministic=True) == before
