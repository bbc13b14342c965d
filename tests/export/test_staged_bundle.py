"""Bundles with a cascade: the same results in PyTorch, gates for the encoder, the model card, and the manifest."""

import json
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import onnx
import pytest
import torch
from factories import MAX_LENGTH, list_again, make_bundle, reviews, with_limits

from export.bundle.bundle import load_classifier
from export.bundle.parity_check import check_bundle
from export.classifier.settings import WideSettings
from export.data import Dataset, Split
from export.encoder.pooling import pooled
from export.errors import ParityError
from export.evaluation.cascade import SHARES
from export.evaluation.cascade_figures import SHORT_WORDS, shortened
from export.evaluation.evaluate import score_split
from export.training.cascade import with_margin
from export.training.settings import FitSettings, Settings
from export.training.train import train
from scorer import Scorer
from scorer.base.errors import BundleError
from scorer.engine.batches import pad
from scorer.engine.wide import MULTIPLIER, exact_sums
from scorer.model.bundle import MANIFEST, TOKENIZER, load_bundle
from scorer.model.decision import probabilities
from scorer.model.loaded import LoadedModel
from scorer.model.tokenizer import Tokenizer

NAMES = ["staged_bundle", "staged_bundle_of_three"]


@pytest.fixture(params=NAMES)
def staged(request):
    return request.getfixturevalue(request.param)


def rows_of(bundle, texts):
    return Tokenizer(bundle.files[TOKENIZER], bundle.manifest.tokens_kept).encode(texts)


def by_pytorch(encoder, bundle, rows):
    """Score token rows in PyTorch, one at a time."""
    classifier, features = load_classifier(bundle), []
    for row in rows:
        ids, mask = map(torch.from_numpy, pad([row]))
        layers = encoder.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[1:]
        features.append(pooled(layers, mask, classifier.pooling, classifier.queries).detach().numpy())
    return classifier.staged(np.concatenate(features), rows)


# Results in PyTorch


def test_pytorch_decides_as_the_scorer_does_and_its_early_logits_have_the_same_bits(staged, encoder):
    labels = len(staged.manifest.labels)
    tokens = rows_of(staged, reviews(150, labels, 11).texts)
    expected = by_pytorch(encoder("bert"), staged, tokens.ids)
    scorer = LoadedModel(staged, provider="cpu", precision="fp32")
    found = scorer.submit(tokens).result()
    assert 30 < expected.early.sum() < 120
    assert found.early.tolist() == expected.early.tolist()
    likely = probabilities(expected.logits, staged.manifest.temperature)
    assert found.values[found.early].tobytes() == likely[found.early].tobytes()
    np.testing.assert_allclose(found.values, likely, atol=1e-5)


def test_a_text_at_the_very_limit_is_decided_alike_by_pytorch_and_the_scorer(staged, encoder, tmp_path):
    """The limit is set to the sum of a text, and to the next float64 below and above it."""
    bundle = load_bundle(shutil.copytree(staged.path, tmp_path / "b"))
    cascade, classifier = bundle.manifest.cascade, load_classifier(bundle)
    tokens = rows_of(bundle, reviews(20, len(bundle.manifest.labels), 12).texts)
    sums = classifier.wide.sums(tokens.ids)
    features = np.zeros((len(sums), classifier.head.weight.shape[1]), np.float32)
    decided = set()
    for row in range(6):
        own = float(cascade.margins(sums)[row]) if len(cascade.bias) > 1 else float(sums[row, 0])
        for at in (np.nextafter(own, -np.inf), own, np.nextafter(own, np.inf)):
            limits = (float(at),)
            if len(cascade.bias) == 1:
                middle = -cascade.bias[0] / cascade.scale
                limits = (float(at), middle + 1) if at < middle else (middle - 1, float(at))
            moved = replace(cascade, limits=limits)
            found = LoadedModel(with_limits(bundle, moved), provider="cpu", precision="fp32").submit(tokens).result()
            expected = replace(classifier, cascade=moved).staged(features, tokens.ids)
            assert found.early.tolist() == expected.early.tolist()
            decided.add(bool(found.early[row]))
    assert decided == {True, False}


# Gates


def test_golden_rows_hold_every_precision_of_the_whole_classifier_and_the_exact_sums(staged, tmp_path):
    folder = shutil.copytree(staged.path, tmp_path / "b")
    # The limits are wide enough that some golden texts are decided early.
    staged = with_limits(load_bundle(folder), with_margin(staged.manifest.cascade, 0.5))
    manifest, classifier = staged.manifest, load_classifier(staged)
    texts = [row.text for row in manifest.golden]
    tokens = rows_of(staged, texts)
    sums = exact_sums(classifier.wide.keys, classifier.wide.weight.astype(np.float64), tokens.ids)
    for row, expected in zip(manifest.golden, sums.tolist(), strict=True):
        assert set(row.logits) == {*manifest.precisions, "wide"}
        assert list(row.logits["wide"]) == expected
    for precision in manifest.precisions:
        whole = Scorer(staged, provider="cpu", precision=precision, cascade=False).score(texts).probabilities
        logits = np.array([row.logits[precision] for row in manifest.golden], dtype=np.float32)
        assert whole.tobytes() == probabilities(logits, manifest.temperature).tobytes()
        early = LoadedModel(staged, provider="cpu", precision=precision).submit(tokens).result()
        assert early.early.any()
        assert (early.values[early.early] != whole[early.early]).all()


@pytest.mark.parametrize("stage", ["int8", "wide"])
def test_a_bundle_whose_stage_computes_something_else_is_refused(staged_bundle, tmp_path, stage):
    shutil.copytree(staged_bundle.path, tmp_path / "b")
    golden = tuple(
        replace(row, logits={**row.logits, stage: tuple(value + 1.0 for value in row.logits[stage])})
        for row in staged_bundle.manifest.golden
    )
    (tmp_path / "b" / MANIFEST).write_bytes(replace(staged_bundle.manifest, golden=golden).to_json())
    list_again(tmp_path / "b")
    for cascade in (True, False):
        with pytest.raises(BundleError, match="cannot be trusted here"):
            LoadedModel(tmp_path / "b", provider="cpu", cascade=cascade)


def test_the_int8_gate_is_of_every_text_through_the_encoder(staged_bundle):
    scored = score_split(LoadedModel(staged_bundle, provider="cpu", cascade=False), reviews(120, 2, 2), quiet=True)
    assert scored.stages.early.any()
    found = dict(staged_bundle.manifest.metrics["precisions"]["int8"])
    assert found.pop("agreement") > 0.9
    expected = json.loads(json.dumps(asdict(scored.without_cascade.metrics)))
    assert found == expected
    assert asdict(scored.metrics)["log_loss"] != found["log_loss"]


def test_parity_is_of_every_text_through_the_encoder(staged_bundle, encoder):
    texts = reviews(40, 2, 13).texts
    assert LoadedModel(staged_bundle, provider="cpu").submit(rows_of(staged_bundle, texts)).result().early.any()
    compared, agreements = check_bundle(staged_bundle, encoder("bert"), texts, threads=1)
    assert compared.difference < 1e-4
    (exact,) = (one for one in agreements if one.precision == "fp32")
    assert exact.difference < 1e-4
    assert {one.precision for one in agreements} == {"fp32", "int8", "fp16"}


def test_parity_refuses_a_wide_part_that_adds_up_something_else(staged_bundle, encoder):
    file = staged_bundle.manifest.wide.file
    graph = onnx.load_from_string(staged_bundle.files[file])
    (multiplier,) = (one for one in graph.graph.initializer if one.name == "wide.multiplier")
    multiplier.CopyFrom(onnx.numpy_helper.from_array(np.array([MULTIPLIER + 1]), multiplier.name))
    other = replace(staged_bundle, files={**staged_bundle.files, file: graph.SerializeToString()})
    with pytest.raises(ParityError, match="the wide part's graph differs from PyTorch"):
        check_bundle(other, encoder("bert"), reviews(40, 2, 13).texts, threads=1)
    with pytest.raises(
        BundleError, match="the sums of the wide part differ from those of the machine that made the bundle"
    ):
        LoadedModel(other, provider="cpu")


# The model card


def test_the_card_has_figures_with_the_cascade_and_without(staged_bundle):
    metrics = staged_bundle.manifest.metrics
    own, rows = metrics["cascade"], {}
    for line in (staged_bundle.path / "README.md").read_text().splitlines():
        cells = line.strip("| ").split(" | ")
        rows.setdefault(cells[0], cells[1:])
    for name, part in (("test texts", "points"), ("test texts, cut to 30 words", "short"), ("held-out texts, on which it was chosen", "held_out")):  # fmt: skip
        found, (low, high) = own[part], own[part]["loss"]["interval"]
        assert rows[name] == [
            f"{found['texts']}", f"{found['chosen']['rows']:.1%}", f"{found['chosen']['tokens']:.1%}",
            f"{found['chosen']['accuracy']:.2%}", f"{found['without']['accuracy']:.2%}",
            f"{found['loss']['points']:.2f} ({low:.2f} to {high:.2f})",
            f"{found['chosen']['ece']:.2%}", f"{found['without']['ece']:.2%}",
        ]  # fmt: skip
    assert rows["int8 with the cascade, as scored on CPU"][4] == f"{own['test']['log_loss']:.4f}"
    assert rows["int8, every text through the encoder"][4] == f"{metrics['precisions']['int8']['log_loss']:.4f}"
    assert "By length, with the cascade:" in rows
    loss = sum(one["texts"] * one["log_loss"] for one in metrics["by_length"]) / 120
    assert loss == pytest.approx(own["test"]["log_loss"])
    assert loss != pytest.approx(metrics["precisions"]["int8"]["log_loss"])
    for name in re.findall(r"\]\((\S+\.png)\)", (staged_bundle.path / "README.md").read_text()):
        assert (staged_bundle.path / name).is_file()
    assert [one["share"] for one in own["curve"]] == list(SHARES)


# The manifest

OLD_KEYS = {
    "batch_tokens", "calibration", "encoder", "format_version", "golden", "head", "labels", "max_length", "max_tokens",
    "metrics", "name", "parity", "pooling", "positive_label", "precisions", "providers", "reference", "training",
    "truncation", "versions",
}  # fmt: skip


@pytest.fixture(scope="module")
def with_wide_part(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide") / "b"
    return make_bundle(encoder("bert"), folder, wide=WideSettings(pairs=512), cascade=None, precisions=("fp32",))


def test_bundles_without_a_cascade_are_written_as_they_were(bundle, bundle_of_three, with_wide_part):
    for one in (bundle, bundle_of_three, with_wide_part):
        found = json.loads(one.files[MANIFEST])
        assert set(found) == {*OLD_KEYS, "needs", "confidence"}
        assert (found["format_version"], found["needs"]) == (2, ["confidence"])
        found = json.loads(replace(one.manifest, confidence=None).to_json())
        assert set(found) == OLD_KEYS
        assert found["format_version"] == 1
        assert set(found["reference"]) == {"texts", "score", "tokens", "unknown"}
        assert "cascade" not in found["training"]
        assert "cascade" not in found["metrics"]
        assert "wide" not in found["parity"]
        assert all(set(row["logits"]) == set(found["precisions"]) for row in found["golden"])
        assert "wide.onnx" not in one.files
        assert not (one.path / "cascade.png").exists()
        assert b"ascade" not in one.files[MANIFEST]
        assert "ascade" not in (one.path / "README.md").read_text()


def test_a_bundle_with_a_cascade_says_that_it_needs_one(staged):
    found = json.loads(staged.files[MANIFEST])
    assert set(found) == {*OLD_KEYS, "needs", "wide", "cascade", "confidence"}
    assert (found["format_version"], found["needs"]) == (2, ["cascade", "confidence"])
    assert found["wide"] == {"file": "wide.onnx", "pairs": 512}
    assert set(found["cascade"]) == {"scale", "bias", "limits"}
    assert set(found["reference"]) == {"texts", "score", "tokens", "unknown", "score_without_cascade"}


@pytest.mark.parametrize(
    ("share", "why"),
    [
        (0.1, "40 held-out texts are too few: 2,000 are needed"),
        (None, "400 training texts are too few to hold out the 2,000 that it needs"),
    ],
    ids=["held out", "folds"],
)
def test_training_says_why_there_is_no_cascade(encoder, tmp_path, share, why):
    lines = []
    dataset = Dataset("synthetic", ("negative", "positive"), reviews(400, 2, 1), reviews(120, 2, 2))
    fit = FitSettings(wide=WideSettings(pairs=512), validation_share=share, cache=tmp_path / "cache", quiet=True)
    settings = Settings(
        tmp_path / "b", "b", fit, max_length=MAX_LENGTH, precisions=("fp32",), baseline=False, quiet=True
    )
    made = train(dataset, encoder("bert"), settings, lines.append)
    assert f"no cascade: {why}; every text goes through the encoder" in lines
    assert (made.manifest.cascade, made.manifest.needs) == (None, ("confidence",))


CASCADE = {"scale": 1.0, "bias": [0.0], "limits": [-1.0, 1.0]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"needs": ["cascade", "telepathy"]}, "needs telepathy, which this release does not know; use a newer one"),
        (
            {"needs": ["lookahead", "telepathy"], "format_version": 7},
            "needs lookahead, telepathy, which this release does not",
        ),
        ({"cascade": None}, "a wide part has its own graph only with a cascade or windows"),
        ({"wide": None}, "a cascade needs a wide part with its own graph"),
        ({"cascade": CASCADE | {"bias": [0.0, 0.0], "limits": [1.0]}}, "the cascade has 2 biases for 2 labels"),
        ({"cascade": CASCADE | {"limits": [1.0]}}, "a cascade must have two limits for one logit, and one for several"),
        ({"cascade": CASCADE | {"bias": []}}, "a cascade must have two limits for one logit, and one for several"),
        ({"cascade": CASCADE | {"scale": 0.0}}, "a cascade's scale must be above 0, not 0.0"),
        (
            {"cascade": CASCADE | {"limits": [0.5, 1.0]}},
            "a cascade's limits must lie on both sides of the label's change",
        ),
        ({"cascade": CASCADE | {"limits": ["a", 1.0]}}, "TypeError"),
        ({"cascade": CASCADE | {"more": 1}}, "TypeError"),
        ({"wide": {"file": "wide.onnx"}}, "TypeError"),
        ({"wide": {"file": "none.onnx", "pairs": 512}}, "names the graph none.onnx, which SHA256SUMS does not list"),
        ({"format_version": 1}, r"format version 1 and needs \['cascade', 'confidence'\] do not match its contents"),
        ({"needs": []}, "do not match its contents"),
    ],
)
def test_a_manifest_that_contradicts_itself_or_needs_what_is_unknown_is_refused(
    staged_bundle, tmp_path, changes, message
):
    shutil.copytree(staged_bundle.path, tmp_path / "b")
    fields = json.loads(staged_bundle.files[MANIFEST])
    (tmp_path / "b" / MANIFEST).write_text(json.dumps(fields | changes))
    list_again(tmp_path / "b")
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path / "b")


def test_limits_of_three_labels_are_one(staged_bundle_of_three, tmp_path):
    shutil.copytree(staged_bundle_of_three.path, tmp_path / "b")
    fields = json.loads(staged_bundle_of_three.files[MANIFEST])
    for cascade, message in (
        (
            {"bias": [0.0] * 3, "limits": [-1.0, 1.0]},
            "a cascade must have two limits for one logit, and one for several",
        ),
        ({"bias": [0.0] * 4, "limits": [1.0]}, "the cascade has 4 biases for 3 labels"),
        ({"bias": [0.0] * 3, "limits": [-1.0]}, "a cascade's limit must be a distance, at least 0"),
    ):
        (tmp_path / "b" / MANIFEST).write_text(json.dumps(fields | {"cascade": {"scale": 1.0, **cascade}}))
        list_again(tmp_path / "b")
        with pytest.raises(BundleError, match=message):
            load_bundle(tmp_path / "b")


def test_a_text_whose_first_words_hold_no_token_does_not_end_the_training(staged_bundle):
    tokenizer = LoadedModel(staged_bundle, provider="cpu").tokenizer
    texts = [" ".join(["\u200b"] * SHORT_WORDS + ["good"]), "good film " * SHORT_WORDS, "bad"]
    found = shortened(Split(texts, np.array([1, 1, 0]), ("a", "b", "c")), tokenizer)
    assert found.texts == [" ".join(["good film"] * (SHORT_WORDS // 2)), "bad"]
    assert found.labels.tolist() == [1, 0]
