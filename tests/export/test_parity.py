"""Parity of the exported graph with PyTorch, at any shape, up to the probabilities that `score` writes."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from factories import MAX_LENGTH, POSITIONS, make_bundle, reviews, tiny_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from export.bundle.bundle import load_classifier
from export.bundle.parity_check import check_bundle
from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.encoder.load import freeze
from export.encoder.weights import encoder_weights
from export.errors import ExportError, ParityError
from export.graph.fp32 import to_float32
from export.graph.parity import compare, torch_logits
from export.graph.writer import check_graph
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.model.bundle import load_bundle

FAMILIES = ("distilbert", "bert", "roberta")


def random_head(hidden: int, logits: int) -> LinearHead:
    generator = np.random.default_rng(3)
    return LinearHead(
        generator.normal(size=(logits, hidden)).astype(np.float32), generator.normal(size=logits).astype(np.float32)
    )


@pytest.fixture(
    scope="module",
    params=[(f, p, n) for f in FAMILIES for p, n in (("cls", 1), ("mean", 3), ("attention", 1))],
    ids=str,
)
def exported(request, encoder):
    family, pooling, logits = request.param
    frozen = encoder(family)
    queries = {2: random_head(frozen.hidden_size, 2).weight} if pooling == "attention" else {}
    head = random_head(frozen.hidden_size * (2 if queries else 1), logits)
    classifier = Classifier(head, pooling, queries=queries)
    return frozen, classifier, open_session(to_float32(encoder_weights(frozen), classifier).SerializeToString(), "cpu")


@st.composite
def padded_batches(draw):
    """Draw right-padded batches of any shape, with at least one token per row."""
    batch, sequence = draw(st.integers(1, 9)), draw(st.integers(1, POSITIONS))
    lengths = draw(st.lists(st.integers(1, sequence), min_size=batch, max_size=batch))
    seed = draw(st.integers(0, 2**16))
    mask = (np.arange(sequence) < np.array(lengths)[:, None]).astype(np.int64)
    # Ids are at least 5, because transformers' RoBERTa gives a padding id inside a text no position of its own.
    ids = np.random.default_rng(seed).integers(5, 30, size=(batch, sequence)) * mask
    return ids, mask


@settings(max_examples=40)
@given(batch=padded_batches())
def test_logits_equal_those_of_pytorch_at_any_shape(exported, batch):
    frozen, classifier, session = exported
    ids, mask = batch
    if frozen.config.model_type == "roberta":
        ids = np.where(mask == 1, ids, frozen.config.pad_token_id)
    found = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
    np.testing.assert_allclose(found, torch_logits(frozen, classifier, ids, mask), atol=5e-5, rtol=0)


def test_a_graph_with_a_fixed_axis_is_refused(encoder):
    model = to_float32(encoder_weights(encoder("bert")), Classifier(random_head(32, 1), "cls"))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 6
    with pytest.raises(ExportError, match="axes are"):
        check_graph(model)


def test_the_gate_refuses_a_graph_with_one_changed_weight(encoder):
    frozen = encoder("bert")
    head = random_head(32, 1)
    changed = LinearHead(head.weight, head.bias + np.float32(2e-4))
    session = open_session(to_float32(encoder_weights(frozen), Classifier(changed, "cls")).SerializeToString(), "cpu")
    rows = frozen.tokenizer.encode(reviews(20, 2, 5).texts).ids
    with pytest.raises(ParityError, match=r"differs from PyTorch by 0\.0002"):
        compare(session, frozen, Classifier(head, "cls"), rows, longest=frozen.positions)


def test_the_gate_compares_the_shapes_that_it_promises(encoder):
    frozen = encoder("distilbert")
    head = random_head(32, 1)
    session = open_session(to_float32(encoder_weights(frozen), Classifier(head, "cls")).SerializeToString(), "cpu")
    rows = frozen.tokenizer.encode(reviews(20, 2, 5).texts).ids
    parity = compare(session, frozen, Classifier(head, "cls"), rows, longest=frozen.positions)
    assert parity.shapes[:3] == ((1, 1), (1, POSITIONS), (7, 33))
    assert parity.rows == 1 + 1 + 7 + 5 + 20
    assert 0 < parity.difference < 1e-4


def test_a_failed_gate_writes_no_bundle(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "export.graph.source.to_float32",
        lambda weights, classifier: to_float32(encoder_weights(encoder("bert")), Classifier(random_head(32, 1), "cls")),
    )
    with pytest.raises(ParityError):
        make_bundle(encoder("bert"), tmp_path / "refused")
    assert [path.name for path in tmp_path.iterdir()] == ["features"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_through_the_command_equal_those_of_pytorch(family, kind, encoder, tmp_path, score):
    bundle = make_bundle(encoder(family), tmp_path / "bundle", pooling="cls", precisions=("fp32",))
    texts = [*reviews(30, 2, 9).texts, "café " * 40, "!", "unknownword"]
    source = tmp_path / f"in.{kind}"
    if kind == "csv":
        with open(source, "w", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in texts)])
    else:
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    result = score(source, "-o", tmp_path / "out.csv", "--model", bundle.path, "--precision", "fp32")
    assert result.code == 0, result.err
    with open(tmp_path / "out.csv", newline="") as file:
        found = list(csv.DictReader(file))
    # The reference is transformers' tokenizer and model, with one padded batch.
    folder = encoder(family)
    tokenizer = tiny_tokenizer(family)
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="np")
    logits = torch_logits(
        folder,
        load_classifier(bundle),
        encoded["input_ids"].astype(np.int64),
        encoded["attention_mask"].astype(np.int64),
    )
    expected = torch.sigmoid(torch.from_numpy(logits[:, 0]) / bundle.manifest.temperature).numpy()
    assert [int(row["row"]) for row in found] == list(range(1, len(texts) + 1))
    np.testing.assert_allclose([float(row["score"]) for row in found], expected, atol=1e-5)
    assert [row["label"] for row in found] == ["positive" if logit >= 0 else "negative" for logit in logits[:, 0]]


def test_the_full_size_distilbert_architecture_exports_exactly(tmp_path):
    torch.manual_seed(0)
    model = transformers.DistilBertModel(transformers.DistilBertConfig())
    frozen = freeze(model, tiny_tokenizer("distilbert").backend_tokenizer.to_str(), name="distilbert", max_length=400)
    head = random_head(768, 1)
    session = open_session(to_float32(encoder_weights(frozen), Classifier(head, "cls")).SerializeToString(), "cpu")
    generator = np.random.default_rng(0)
    rows = [generator.integers(5, 30000, size=length) for length in (3, 40, 127)]
    parity = compare(session, frozen, Classifier(head, "cls"), rows, longest=512)
    assert parity.shapes[1] == (1, 512)
    assert parity.difference < 1e-4


def test_parity_of_a_bundle_is_checked_against_the_encoder_it_was_made_with(bundle, encoder):
    texts = reviews(600, 2, 11).texts
    parity, agreements = check_bundle(bundle, encoder("distilbert"), texts, threads=2)
    assert parity is not None
    assert parity.difference < 1e-4
    assert {one.precision: one.labels >= 0.99 for one in agreements} == {
        "fp16": True, "fp32": True, "int8": True,
    }  # fmt: skip
    with pytest.raises(ExportError, match="is not the encoder"):
        check_bundle(bundle, encoder("bert"), texts, threads=2)


def test_a_precision_that_turns_labels_is_refused(bundle, encoder, monkeypatch):
    run = RowEngine.logits
    monkeypatch.setattr(
        RowEngine, "logits", lambda self, rows: run(self, rows) * np.where(np.arange(len(rows)) % 8, 1, -1)[:, None]
    )
    without_fp32 = dataclasses.replace(
        bundle,
        manifest=dataclasses.replace(
            bundle.manifest, precisions={"int8": bundle.manifest.precisions["int8"]}, providers={"cpu": "int8"}
        ),
    )
    with pytest.raises(
        ParityError,
        match=r"int8 gives the same label as PyTorch for only 8[0-9]\.\d\d% of 80 texts; at least 99% is needed",
    ):
        check_bundle(without_fp32, encoder("distilbert"), reviews(80, 2, 11).texts, threads=2)


def test_the_head_in_the_bundle_is_the_one_in_the_graph(bundle, encoder):
    classifier = load_classifier(load_bundle(bundle.path))
    rows = encoder("distilbert").tokenizer.encode(reviews(20, 2, 12).texts).ids
    session = open_session(bundle.graph("fp32"), "cpu", external=bundle.external("fp32"))
    parity = compare(session, encoder("distilbert"), classifier, rows, longest=POSITIONS)
    assert parity.difference < 1e-4
