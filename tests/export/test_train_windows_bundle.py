"""Bundles trained to read long texts in windows, from the command to the scores; and a cascade for one without."""

import csv
import json

import numpy as np
import pytest
from factories import MAX_LENGTH, TAGS, lengthened, make_bundle, reviews, tagged_reviews

from export.bundle.bundle import load_classifier
from export.classifier.settings import CascadeSettings, WideSettings, WindowOptions
from export.data import Dataset
from export.encoder.load import load_encoder
from export.training.add_cascade import add_cascade
from export.training.settings import AddSettings, TuneSettings
from scorer import Scorer
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import WindowSettings

STRIDE, MOST = 16, 4
REACH = MAX_LENGTH + (MOST - 1) * STRIDE
LABELS = ("negative", "positive")
DATASET = Dataset("long", LABELS, lengthened(reviews(300, 2, 1), 60, 1), lengthened(reviews(100, 2, 2), 60, 2))
LENIENT = CascadeSettings(loss=50.0, ece=1.0, least_texts=20)
WIDE = WideSettings(pairs=512)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("windows")


@pytest.fixture(scope="module")
def reaching(encoder_folder):
    """A tiny encoder whose tokenizer keeps the tokens of four windows."""
    return load_encoder(str(encoder_folder("bert")), max_length=MAX_LENGTH, max_tokens=REACH)


@pytest.fixture(scope="module")
def without_cascade(reaching, folder):
    more = {"wide": WIDE, "cascade": None, "max_length": MAX_LENGTH, "truncation": "windows"}
    return make_bundle(reaching, folder / "without", LABELS, dataset=DATASET, **more)


def logits_of(scorer, texts):
    """Return logits of a bundle whose temperatures are known, from its probabilities."""
    values = scorer.score(texts).probabilities
    return np.log(values[:, 1] / values[:, 0])[:, np.newaxis] * scorer.manifest.temperature


def expected(bundle, reaching, texts):
    """Return PyTorch's logits of texts: each window alone, the mean of windows by the tokens that they add, the wide part."""
    from export.graph.parity import torch_logits
    from scorer.engine.batches import pad

    classifier = load_classifier(bundle)
    found = []
    for ids in reaching.tokenizer.encode(texts).ids:
        windows = classifier.windows.rows(ids)
        weights = classifier.windows.weights(len(ids))
        each = [torch_logits(reaching, classifier.encoders_part, *pad([row]))[0] for row in windows]
        found.append(np.average(each, axis=0, weights=weights) + classifier.wide.logits([ids])[0])
    return np.array(found)


def test_a_bundle_scores_the_mean_of_the_windows_and_adds_the_wide_part_once(without_cascade, reaching):
    manifest = without_cascade.manifest
    assert (manifest.truncation, manifest.max_length, manifest.max_tokens) == ("windows", MAX_LENGTH, REACH)
    assert manifest.windows == WindowSettings(STRIDE, MOST, "mean")
    assert manifest.cascade is None
    assert manifest.wide is not None
    scorer = Scorer(without_cascade, provider="cpu", precision="fp32")
    texts = DATASET.test.texts[:40]
    assert len({len(scorer.model.windows.rows(ids)) for ids in reaching.tokenizer.encode(texts).ids}) == MOST
    assert np.abs(logits_of(scorer, texts) - expected(without_cascade, reaching, texts)).max() < 1e-4
    right = np.mean([LABELS[label] == said for label, said in zip(DATASET.test.labels, scorer.score(DATASET.test.texts).labels, strict=True)])  # fmt: skip
    assert right == pytest.approx(manifest.metrics["precisions"]["int8"]["accuracy"], abs=0.03)


def test_a_cascade_is_added_to_a_bundle_with_windows(without_cascade, folder, reaching):
    log = []
    found = add_cascade(without_cascade, DATASET, AddSettings(folder / "with", LENIENT, quiet=True), log.append)
    assert found.manifest.cascade is not None
    assert found.manifest.windows == without_cascade.manifest.windows
    texts = DATASET.test.texts
    before = Scorer(without_cascade, provider="cpu", precision="fp32").score(texts).probabilities
    after = Scorer(found, provider="cpu", precision="fp32", cascade=False).score(texts).probabilities
    assert after.tobytes() == before.tobytes()
    scorer = LoadedModel(found, provider="cpu", precision="int8")
    staged = scorer.submit(scorer.tokenizer.encode(texts)).result()
    assert 0 < staged.early.mean() < 1
    assert (staged.windows[staged.early] == 0).all()
    windows = load_classifier(found).windows
    read = np.array([windows.tokens(len(ids)) for ids in reaching.tokenizer.encode(texts).ids])
    chosen = found.manifest.metrics["cascade"]["points"]["chosen"]
    assert chosen["tokens"] == pytest.approx(read[staged.early].sum() / read.sum())


def test_the_choice_of_a_cascade_added_later_is_that_of_the_training(without_cascade, reaching, folder):
    more = {
        "wide": WIDE,
        "cascade": LENIENT,
        "max_length": MAX_LENGTH,
        "truncation": "windows",
        "precisions": ("fp32",),
    }
    trained = make_bundle(reaching, folder / "trained", LABELS, dataset=DATASET, **more)
    plain = make_bundle(reaching, folder / "plain", LABELS, dataset=DATASET, **{**more, "cascade": None})
    added = add_cascade(plain, DATASET, AddSettings(folder / "added", LENIENT, quiet=True), lambda line: None)
    one, other = trained.manifest.cascade, added.manifest.cascade
    assert other.scale == pytest.approx(one.scale, rel=1e-2)
    assert other.limits == pytest.approx(one.limits, rel=1e-2)
    found = [bundle.manifest.metrics["cascade"]["held_out"]["chosen"]["tokens"] for bundle in (trained, added)]
    assert found[0] == pytest.approx(found[1])


def test_the_largest_window_gives_each_label(reaching, folder):
    dataset = Dataset("d", TAGS, lengthened(tagged_reviews(300, 1), 60, 1), lengthened(tagged_reviews(100, 2), 60, 2), "multi_label")  # fmt: skip
    bundle = make_bundle(
        reaching, folder / "largest", TAGS, dataset=dataset, max_length=MAX_LENGTH, truncation="windows",
        windows=WindowOptions(STRIDE, MOST, "max"), precisions=("fp32",),
    )  # fmt: skip
    classifier, scorer = load_classifier(bundle), Scorer(bundle, provider="cpu")
    from export.graph.parity import torch_logits
    from scorer.engine.batches import pad

    for text in dataset.test.texts[:20]:
        (ids,) = reaching.tokenizer.encode([text]).ids
        rows = classifier.windows.rows(ids)
        each = [torch_logits(reaching, classifier.encoders_part, *pad([row]))[0] for row in rows]
        logits = np.max(each, axis=0) / np.array(bundle.manifest.temperatures)
        assert np.abs(scorer.score([text]).probabilities[0] - 1 / (1 + np.exp(-logits))).max() < 1e-4


def test_blocks_trained_on_windows_are_exported(reaching, folder):
    more = {"max_length": MAX_LENGTH, "truncation": "windows", "precisions": ("fp32",), "pooling": "cls+attention1"}
    tune = TuneSettings(1, epochs=2, learning_rate=1e-3)
    bundle = make_bundle(reaching, folder / "blocks", LABELS, dataset=DATASET, tune=tune, **more)
    metrics = bundle.manifest.metrics
    assert metrics["precisions"]["fp32"]["agreement"] == 1.0
    assert metrics["precisions"]["fp32"]["log_loss"] == pytest.approx(metrics["test"]["log_loss"], rel=1e-3)


def test_the_command_trains_a_bundle_that_reads_in_windows(tmp_path, encoder_folder, score_model, score):
    for name, split in (("train.csv", DATASET.train), ("test.csv", DATASET.test)):
        with open(tmp_path / name, "w", newline="") as file:
            rows = [(text, LABELS[label]) for text, label in zip(split.texts, split.labels, strict=True)]
            csv.writer(file).writerows([("text", "label"), *rows])
    data = ("--train-file", tmp_path / "train.csv", "--test-file", tmp_path / "test.csv", "--cache-dir", tmp_path / "c")
    result = score_model(
        "train", "--encoder", encoder_folder("bert"), *data, "-o", tmp_path / "b", "--max-length", MAX_LENGTH,
        "--truncation", "windows", "--window-stride", STRIDE, "--max-windows", MOST, "--wide-pairs", 512,
        "--precisions", "fp32", "--no-baseline", "-q",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert any(line.startswith("features of train: ") and " windows in " in line for line in result.out.splitlines())
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["windows"] == {"stride": STRIDE, "most": MOST, "combination": "mean"}
    assert "windows" in manifest["needs"]
    scored = score(tmp_path / "test.csv", "-o", tmp_path / "out.csv", "--model", tmp_path / "b", "--keep", "label")
    assert scored.code == 0, scored.err
    with open(tmp_path / "out.csv", newline="") as file:
        found = list(csv.DictReader(file))
    right = np.mean([row["input_label"] == row["label"] for row in found])
    assert right == pytest.approx(manifest["metrics"]["test"]["accuracy"])
