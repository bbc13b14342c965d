"""Training with `--calibrate length`: the fit, the gates and figures on calibrated logits, the card, and later commands."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from factories import lengthened, make_bundle, reviews

from export.bundle.add_confidence import ConfidenceSettings, add_confidence
from export.bundle.bundle import load_classifier
from export.bundle.parity_check import check_bundle
from export.classifier.classifier import Classifier, lengths_of
from export.classifier.head import LinearHead
from export.classifier.length_calibration import MOST_KNOTS, TEXTS_BETWEEN, fit_by_length, knots_of
from export.classifier.settings import CascadeSettings, WideSettings
from export.cli.train import _conditions_of_task, train
from export.data import Dataset
from export.evaluation.evaluate import score_split
from export.evaluation.metrics import metrics
from export.training.add_cascade import add_cascade
from export.training.settings import AddSettings
from scorer import Scorer
from scorer.base.task import MULTI_LABEL, SINGLE_LABEL
from scorer.model.bundle import MANIFEST, load_bundle
from scorer.model.confidence import correctness_of
from scorer.model.decision import probabilities
from scorer.model.loaded import LoadedModel

LABELS = ("negative", "positive")


def noisy(count, seed):
    """Make texts of 5 to 22 tokens; a third of the labels of short ones are wrong, most of them towards "positive"."""
    split = lengthened(reviews(count, 2, seed), 10, seed)
    chance = np.random.default_rng(seed)
    short = np.array([len(text.split()) < 9 for text in split.texts])
    flipped = short & (chance.random(count) < np.where(split.labels == 0, 0.5, 0.15))
    groups = ["short" if one else "long" for one in short]
    return replace(split, labels=np.where(flipped, 1 - split.labels, split.labels), groups=groups)


DATASET = Dataset("noisy", LABELS, noisy(2400, 1), noisy(600, 2))
OPTIONS = {"dataset": DATASET, "validation_share": 0.5, "calibrate": "length"}


def texts_of_known_calibration(count, logits, seed=0):
    """Return raw logits, lengths, labels, and the scale and the biases that the labels follow at each text's length."""
    chance = np.random.default_rng(seed)
    lengths = np.exp(chance.uniform(1.5, 6, count)).astype(np.int64)
    raw = (3 * chance.normal(size=(count, logits))).astype(np.float32)
    at = (np.log(lengths) - 1.5) / 4.5
    scale, bias = 0.4 + 0.8 * at, np.stack([(1 - 1.5 * at) / (1 + one) for one in range(logits)], axis=1)
    likely = probabilities(scale[:, np.newaxis] * raw + bias)
    labels = (likely.cumsum(axis=1) > chance.random(count)[:, np.newaxis]).argmax(axis=1)
    return raw, lengths, labels, likely


# The fit


@pytest.mark.parametrize("logits", [1, 3])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_scale_and_biases_by_length_are_found_again(logits, temperature):
    raw, lengths, labels, likely = texts_of_known_calibration(20_000, logits)
    found = fit_by_length(raw, lengths, labels, temperature)
    again = probabilities(found.apply(raw, lengths), temperature)
    assert np.abs(again - likely).mean() < 0.015
    assert found.scale[0] / temperature == pytest.approx(0.45, abs=0.1)
    assert found.scale[-1] / temperature == pytest.approx(1.15, abs=0.15)
    uncalibrated = metrics(probabilities(raw), labels)
    assert metrics(again, labels).log_loss < uncalibrated.log_loss - 0.05
    assert metrics(again, labels).accuracy > uncalibrated.accuracy + 0.003


def test_logits_that_are_calibrated_already_are_hardly_changed_even_with_few_texts():
    chance = np.random.default_rng(3)
    raw = (2 * chance.normal(size=(900, 1))).astype(np.float32)
    labels = (chance.random(900) < probabilities(raw)[:, 1]).astype(np.int64)
    found = fit_by_length(raw, chance.integers(5, 400, 900), labels, 1.0)
    assert len(found.lengths) == 4
    assert all(0.7 < one < 1.4 for one in found.scale)
    assert all(abs(one) < 0.4 for (one,) in found.bias)


def test_texts_that_can_be_separated_get_a_finite_calibration():
    raw = np.repeat([[-1.0], [1.0]], 500, axis=0).astype(np.float32)
    found = fit_by_length(raw, np.arange(1000) % 40 + 3, np.repeat([0, 1], 500), 1.0)
    assert all(1 < one < 1000 for one in found.scale)


def test_weights_decide_which_texts_the_calibration_fits():
    raw, lengths, labels, _ = texts_of_known_calibration(8_000, 1)
    wrong = np.arange(8_000) % 2 == 0
    mixed = np.where(wrong, 1 - labels, labels)
    weights = np.where(wrong, 0.0, 2.0)
    clean = fit_by_length(raw[~wrong], lengths[~wrong], labels[~wrong], 1.0)
    weighted = fit_by_length(raw, lengths, mixed, 1.0, weights)
    np.testing.assert_allclose(weighted.apply(raw, lengths), clean.apply(raw, lengths), atol=0.25, rtol=0.05)
    equal = fit_by_length(raw, lengths, mixed, 1.0)
    assert np.abs(equal.apply(raw, lengths)).mean() < np.abs(clean.apply(raw, lengths)).mean() / 3


@pytest.mark.parametrize("weighted", [False, True])
def test_two_knots_have_enough_texts_between_them(weighted):
    chance = np.random.default_rng(1)
    lengths = np.concatenate([np.full(3000, 9), chance.integers(10, 30, 2000), chance.integers(30, 900, 1000)])
    weights = np.where(lengths > 30, 5.0, 0.5) if weighted else np.ones(len(lengths))
    knots = knots_of(lengths, weights)
    assert 3 <= len(knots) <= MOST_KNOTS
    assert (np.diff(knots) > 0).all()
    between = [np.count_nonzero((lengths > low) & (lengths <= high)) for low, high in pairwise(knots)]
    assert min(between) >= TEXTS_BETWEEN
    assert (knots[-1] > 100) == weighted or len(knots) > 3


@pytest.mark.parametrize("lengths", [np.arange(3, 303), np.full(5000, 12)])
def test_few_texts_or_equal_lengths_give_no_calibration_but_the_reason(lengths):
    found = fit_by_length(np.ones((len(lengths), 1), np.float32), lengths, np.zeros(len(lengths), np.int64), 1.0)
    assert found == (
        f"{len(lengths):,} held-out texts are too few, or too equally long: at least {TEXTS_BETWEEN} are needed between two lengths"
    )


# Training


@pytest.fixture(scope="module")
def by_length(encoder, tmp_path_factory):
    return make_bundle(encoder("bert"), tmp_path_factory.mktemp("by-length") / "b", LABELS, **OPTIONS)


@pytest.fixture(scope="module")
def plain(encoder, tmp_path_factory):
    options = {**OPTIONS, "calibrate": "plain"}
    return make_bundle(encoder("bert"), tmp_path_factory.mktemp("plain") / "b", LABELS, **options)


def test_training_writes_a_calibration_that_short_texts_need(by_length, plain):
    found = by_length.manifest.calibration_by_length
    assert found is not None
    assert found.scale[0] < found.scale[-1] / 2
    assert found.bias[0][0] > 0
    assert by_length.manifest.training["calibrate"] == "length"
    assert by_length.manifest.calibration["temperature"] == plain.manifest.calibration["temperature"]
    assert by_length.manifest.calibration["loss_after"] < plain.manifest.calibration["loss_after"] - 0.005


def test_all_but_the_calibration_is_as_without_it(by_length, plain):
    assert {
        name: data == plain.files[name] for name, data in by_length.files.items() if name != MANIFEST
    } == dict.fromkeys(plain.files.keys() - {MANIFEST}, True)
    assert by_length.manifest.golden == plain.manifest.golden
    assert by_length.manifest.parity == plain.manifest.parity


def test_too_few_held_out_texts_give_the_very_bundle_of_a_plain_calibration(encoder, tmp_path):
    few = {"dataset": replace(DATASET, train=noisy(300, 4)), "precisions": ("fp32",)}
    found = [
        make_bundle(encoder("bert"), tmp_path / one / "b", LABELS, calibrate=one, **few) for one in ("plain", "length")
    ]
    assert found[0].id == found[1].id
    assert not any(name in found[0].files[MANIFEST] for name in (b"calibration_by_length", b'"calibrate"'))


def test_figures_gate_and_confidence_are_those_of_calibrated_probabilities(by_length):
    manifest, test = by_length.manifest, DATASET.test
    scorer = LoadedModel(by_length, provider="cpu", precision="int8")
    scored = score_split(scorer, test, quiet=True)
    int8, confidence = manifest.metrics["precisions"]["int8"], manifest.confidence
    assert int8["log_loss"] == scored.metrics.log_loss
    assert confidence["int8"] == correctness_of(scored.values, test.labels)
    fp32 = score_split(LoadedModel(by_length, provider="cpu", precision="fp32"), test, quiet=True)
    assert manifest.metrics["test"]["log_loss"] == pytest.approx(fp32.metrics.log_loss, abs=1e-5)
    assert manifest.metrics["test"]["accuracy"] == fp32.metrics.accuracy
    assert int8["agreement"] == np.mean(scored.values.argmax(axis=1) == fp32.values.argmax(axis=1))
    assert sum(confidence["fp32"].right) == round(fp32.metrics.accuracy * len(test))


def test_the_table_compares_the_errors_of_both_calibrations_by_length_and_group(by_length, plain):
    tables = by_length.manifest.metrics["calibration_by_length"]
    assert [one["name"] for one in tables["by_group"]] == ["long", "short"]
    assert sum(one["texts"] for one in tables["by_length"]) == len(DATASET.test)
    test = DATASET.test
    for bundle, when in ((plain, "before"), (by_length, "after")):
        values = score_split(LoadedModel(bundle, provider="cpu", precision="fp32"), test, quiet=True).values
        for one in tables["by_group"]:
            here = np.array(test.groups) == one["name"]
            expected = metrics(values[here], test.labels[here])
            assert one[when]["ece"] == pytest.approx(expected.ece, abs=0.002)
            assert one[when]["accuracy"] == expected.accuracy
    short = tables["by_group"][1]
    assert short["after"]["ece"] < short["before"]["ece"] - 0.03


def test_the_card_shows_the_table_and_names_both_calibrations(by_length, plain):
    card, without = ((one.path / "README.md").read_text() for one in (by_length, plain))
    assert "with both calibrations and" in card
    assert "logits are scaled and shifted by the length of the text, which can change its label" in card
    short = by_length.manifest.metrics["calibration_by_length"]["by_group"][1]
    assert (
        f"| short | {short['texts']} | {short['before']['accuracy']:.2%} | {short['after']['accuracy']:.2%} |" in card
    )
    assert "by length |" not in without
    assert "with the temperature and" in without


def test_parity_compares_calibrated_labels_and_raw_logits(by_length, encoder):
    parity, found = check_bundle(by_length, encoder("bert"), DATASET.test.texts[:60], 1)
    assert parity.difference < 1e-4
    assert {one.precision for one in found} == {"fp32", "fp16", "int8"}
    assert next(one for one in found if one.precision == "fp32").labels == 1


def test_the_classifier_read_from_a_bundle_calibrates_as_the_bundle_does(by_length):
    scorer = LoadedModel(by_length, provider="cpu", precision="fp32")
    tokens = scorer.tokenizer.encode(DATASET.test.texts[:50])
    raw = scorer.whole.logits(tokens.ids)
    calibrated = load_classifier(by_length).calibrated(raw, tokens.ids)
    likely = probabilities(calibrated, by_length.manifest.temperature)
    np.testing.assert_allclose(scorer.submit(tokens).result().values, likely, atol=1e-7)
    head = LinearHead(np.zeros((1, 2), np.float32), np.zeros(1, np.float32))
    assert Classifier(head, "cls").calibrated(raw, tokens.ids) is raw
    assert lengths_of(tokens.ids).tolist() == [len(ids) for ids in tokens.ids]


# Other commands


def test_held_out_texts_of_score_model_confidence_are_calibrated(by_length, tmp_path):
    without = replace(by_length, manifest=replace(by_length.manifest, confidence=None))
    settings = ConfidenceSettings(tmp_path / "new", precisions=("int8",), quiet=True)
    new = add_confidence(without, DATASET.test, settings, lambda line: None)
    assert new.manifest.confidence["int8"] == by_length.manifest.confidence["int8"]
    assert new.manifest.calibration_by_length == by_length.manifest.calibration_by_length


LENIENT = CascadeSettings(loss=5.0, ece=1.0, least_texts=20)


def test_a_cascade_is_chosen_on_calibrated_logits_and_the_bundle_keeps_its_calibration(encoder, tmp_path):
    wide = {**OPTIONS, "wide": WideSettings(pairs=512), "precisions": ("fp32",)}
    at_once = make_bundle(encoder("bert"), tmp_path / "once" / "b", LABELS, cascade=LENIENT, **wide)
    old = make_bundle(encoder("bert"), tmp_path / "old" / "b", LABELS, cascade=None, **wide)
    settings = AddSettings(tmp_path / "new", LENIENT, quiet=True)
    new = add_cascade(old, DATASET, settings, lambda line: None)
    assert new.manifest.needs == ("cascade", "confidence", "calibration_by_length")
    assert new.manifest.calibration_by_length == old.manifest.calibration_by_length
    assert load_bundle(tmp_path / "new").manifest == new.manifest
    chosen = [one.manifest.metrics["cascade"]["held_out"] for one in (at_once, new)]
    assert chosen[0]["without"]["accuracy"] == pytest.approx(chosen[1]["without"]["accuracy"], abs=0.002)
    assert chosen[0]["without"]["ece"] == pytest.approx(chosen[1]["without"]["ece"], abs=0.005)
    np.testing.assert_allclose(new.manifest.cascade.limits, at_once.manifest.cascade.limits, rtol=0.05)
    card = (new.path / "README.md").read_text()
    assert "A text that the wide part alone decides has the calibration of the cascade." in card
    texts = DATASET.test.texts
    late = Scorer(new, provider="cpu", cascade=False).score(texts).probabilities
    assert late.tobytes() == Scorer(old, provider="cpu").score(texts).probabilities.tobytes()


def test_the_figures_of_a_cascade_count_calibrated_texts(encoder, tmp_path):
    """The held-out figure without the cascade is that of the calibration, not of the temperature alone."""
    wide = {**OPTIONS, "wide": WideSettings(pairs=512), "precisions": ("fp32",), "cascade": LENIENT}
    found = make_bundle(encoder("bert"), tmp_path / "b", LABELS, **wide).manifest
    without = found.metrics["cascade"]["held_out"]["without"]
    assert without["ece"] == found.calibration["ece_after"]


def test_the_option_is_for_one_label_a_text():
    given = train.make_context("train", ["-o", "b", "--calibrate", "length"]).params
    by_task = {
        task: [one.met for one in _conditions_of_task(given, task) if "calibrate" in one.options]
        for task in (SINGLE_LABEL, MULTI_LABEL)
    }
    assert by_task == {SINGLE_LABEL: [True], MULTI_LABEL: [False]}


def test_the_manifest_holds_the_figures_as_json(by_length):
    fields = json.loads(by_length.files[MANIFEST])
    assert fields["calibration_by_length"]["lengths"] == list(by_length.manifest.calibration_by_length.lengths)
    assert fields["needs"] == ["confidence", "calibration_by_length"]
