"""Bundles trained for each task: the figures of their manifest, their cards and pictures, from what the bundle scores."""

from dataclasses import replace

import numpy as np
import pytest
from factories import MAX_LENGTH, TAGS, rated_reviews, reviews, tagged_reviews
from sklearn.metrics import f1_score, r2_score

from export.classifier.settings import WideSettings
from export.data import Dataset, Split
from export.training.graphs import half_rows
from export.training.settings import FitSettings, Settings
from export.training.train import train
from scorer import Scorer
from scorer.model.confidence import correctness_of

TEST = 150


def trained(encoder, folder, task, make, labels, *, ordered=False, precisions=("fp32", "fp16", "int8"), probes=None):
    test = replace(make(TEST, 2), ids=tuple(f"t{row}" for row in range(TEST)), groups=("x", "y", "y") * (TEST // 3))
    dataset = Dataset("synthetic", labels, make(400, 1), test, task, ordered)
    of_fit = FitSettings("cls+mean1", cache=folder / "cache", wide=WideSettings(512), quiet=True)
    settings = Settings(
        folder / "b",
        "b",
        of_fit,
        max_length=MAX_LENGTH,
        precisions=precisions,
        parity_rows=20,
        probes=probes,
        quiet=True,
    )
    log = []
    return train(dataset, encoder("bert"), settings, log.append), dataset, log


@pytest.fixture(scope="module")
def multi(encoder, tmp_path_factory):
    probes = Split(["good great", "bad café"], np.array([[0, 0, 1], [0, 0, 0]]), ("1", "2"), ("plain", "odd"))
    return trained(encoder, tmp_path_factory.mktemp("multi"), "multi_label", tagged_reviews, TAGS, probes=probes)


@pytest.fixture(scope="module")
def numbers(encoder, tmp_path_factory):
    probes = Split(["good great lovely", "bad"], np.array([[45.0], [99.0]]), ("1", "2"), ("plain", "odd"))
    return trained(encoder, tmp_path_factory.mktemp("numbers"), "regression", rated_reviews, ("score",), probes=probes)


def names_of(bundle):
    return {path.name for path in bundle.path.iterdir()}


def test_a_bundle_of_any_number_of_labels_has_the_figures_that_it_scores(multi):
    bundle, dataset, log = multi
    manifest, truth = bundle.manifest, dataset.test.labels
    metrics, test = manifest.metrics, dataset.test
    scored = Scorer(bundle, provider="cpu").score(test.texts)
    given = np.array([[name in one for name in TAGS] for one in scored.labels])
    own = metrics["precisions"]["int8"]
    assert own["micro_f1"] == pytest.approx(f1_score(truth, given, average="micro"))
    assert own["agreement"] >= 0.97
    assert [one["texts"] for one in metrics["by_label"]] == truth.sum(axis=0).tolist()
    assert metrics["test_uncalibrated"].keys() == {"ece", "log_loss"}
    assert metrics["baseline"]["texts"] == TEST
    assert [one["name"] for one in metrics["by_group"]] == ["x", "y"]
    wrong = {f"t{row}" for row in np.flatnonzero((given != truth).any(axis=1))}
    assert set(metrics["costliest"]) <= wrong
    assert manifest.confidence is None
    assert np.histogram(scored.probabilities.max(axis=1), manifest.reference.score.edges)[0].tolist() == (
        manifest.reference.score.counts
    )
    assert any(
        line.startswith(f"int8 on CPU: test micro F1 {own['micro_f1']:.4f}, ")
        and "on the label that differs most" in line
        for line in log
    )
    assert any(line.startswith("baseline (TF-IDF + one-vs-rest") for line in log)


def test_the_card_of_any_number_of_labels_has_a_row_a_label(multi):
    bundle, _, _ = multi
    card = (bundle.path / "README.md").read_text()
    metrics = bundle.manifest.metrics
    assert "Gives each text any number of the labels bad, café and good. A linear head reads" in card
    assert "|  | micro F1 | 95% interval | macro F1 | 95% interval | all labels right | 95% interval |" in card
    assert f"| fp32, PyTorch | {metrics['test']['micro_f1']:.4f} | " in card
    assert "int8 gives the same answer as PyTorch for " in card
    one, threshold = metrics["by_label"][1], bundle.manifest.thresholds[1]
    assert (
        f"| café | {one['texts']} | {one['precision']:.4f} | {one['recall']:.4f} | {one['f1']:.4f} | {threshold:.4g} | "
        in card
    )
    assert "| group | texts | micro F1 | 95% interval |" in card
    assert "it labels 1 of them as intended." in card
    assert "| odd | bad café | none | bad, café |" in card
    assert "Micro F1 on the validation texts" in card
    assert "| L2 | training loss | validation loss | validation micro F1 |" in card
    assert {"labels.png", "reliability.png", "loss.png"} <= names_of(bundle)
    assert "confusion.png" not in names_of(bundle)
    assert "](labels.png)" in card


def test_a_bundle_of_numbers_has_the_figures_that_it_scores(numbers):
    bundle, dataset, log = numbers
    manifest, truth = bundle.manifest, dataset.test.labels
    metrics = manifest.metrics
    values = Scorer(bundle, provider="cpu").score(dataset.test.texts).values
    own = metrics["precisions"]["int8"]
    assert own["r2"] == pytest.approx(r2_score(truth, values))
    assert own["agreement"] >= 0.99
    assert own["agreement"] < 1
    assert "test_uncalibrated" not in metrics
    assert metrics["baselines"]["the mean"]["r2"] <= 0 < metrics["baseline"]["r2"]
    distance = np.abs(values - truth)[:, 0]
    assert metrics["costliest"][0] == f"t{distance.argmax()}"
    edges = manifest.reference.score.edges
    assert edges[0] <= values.min() <= values.max() <= edges[-1]
    assert manifest.reference.score.total == TEST
    assert manifest.parity["fp16"].keys() == {"rows", "difference", "mean", "labels"}
    assert manifest.parity["fp16"]["labels"] > 0.99
    assert any("standard deviations, and by" in line for line in log)
    (line,) = (line for line in log if line.startswith("int8 on CPU: test R2 "))
    assert float(line.split("R2 ")[1].split(",")[0]) >= 0.9
    assert "of the variance of PyTorch's" in line
    assert any(line.startswith("baseline (the mean): test R2 ") for line in log)


def test_the_card_of_numbers_is_in_their_unit(numbers):
    bundle, _, _ = numbers
    card, unit = (bundle.path / "README.md").read_text(), bundle.manifest.unit
    assert "Gives each text a number. A linear head reads" in card
    assert "|  | R2 | 95% interval | MAE | 95% interval | RMSE | 95% interval |" in card
    assert f"score = logit * {unit.scale[0]:g} + {unit.offset[0]:g}, by the deviation and the mean" in card
    assert "| the mean, for comparison | " in card
    assert "| group | texts | MAE | 95% interval |" in card
    assert "Its values differ by at most " in card
    assert "Probes with the largest errors:" in card
    assert "| odd | bad | 99 | " in card
    assert "temperature" not in card
    assert {"values.png", "loss.png"} <= names_of(bundle)
    assert not {"reliability.png", "confusion.png"} & names_of(bundle)


def test_ordered_labels_have_distances_on_the_card(encoder, tmp_path):
    stars = ("1", "2", "4")
    bundle, dataset, _ = trained(
        encoder,
        tmp_path,
        "single_label",
        lambda count, seed: reviews(count, 3, seed),
        stars,
        ordered=True,
        precisions=("fp32",),
    )
    scored = Scorer(bundle, provider="cpu").score(dataset.test.texts)
    truth = np.array([1.0, 2.0, 4.0])[dataset.test.labels]
    own = bundle.manifest.metrics["precisions"]["fp32"]
    assert own["mae"] == pytest.approx(np.abs(np.array(scored.labels, dtype=float) - truth).mean())
    assert own["expected_mae"] == pytest.approx(np.abs(scored.probabilities @ [1, 2, 4] - truth).mean())
    card = (bundle.path / "README.md").read_text()
    assert "The labels are numbers in an order" in card
    assert " | calibration error | MAE | MAE of the expected label | weighted kappa |" in card


def test_a_bundle_without_fp32_knows_how_often_fp16_is_right(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("export.training.graphs._MOST_HALF", 60)
    bundle, dataset, _ = trained(
        encoder, tmp_path, "single_label", lambda count, seed: reviews(count, 3, seed), ("a", "b", "c"),
        precisions=("int8", "fp16"),
    )  # fmt: skip
    confidence = bundle.manifest.confidence
    assert {name: sum(one.texts) for name, one in confidence.items()} == {"int8": TEST, "fp16": 60}
    # On CPU, fp16 is float32 with fp16's weights, but for a few nodes.
    rows = half_rows(TEST)
    found = (
        Scorer(bundle, provider="cpu", precision="fp16").score([dataset.test.texts[row] for row in rows]).probabilities
    )
    close = correctness_of(found, dataset.test.labels[rows])
    assert np.abs(np.array(close.texts) - confidence["fp16"].texts).sum() <= 4
    assert "## Doubt" in (bundle.path / "README.md").read_text()
