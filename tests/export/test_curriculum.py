"""Versions of training texts, and the order in which block training reads them."""

from dataclasses import replace

import numpy as np
import pytest
from factories import reviews

from export.classifier.objective import OneOf
from export.training import finetune
from export.training.augment import crop, stretch, with_typos
from export.training.curriculum import curriculum_of, plain
from export.training.finetune import tune
from export.training.holdout import divide
from export.training.settings import DomainSettings, FitSettings, TuneSettings
from export.training.tuning_run import TuningRun

LONG = " ".join(f"w{number}" for number in range(200))


def test_a_crop_is_ten_to_sixty_words_in_a_row_without_markup():
    random = np.random.default_rng(0)
    crops = [crop(LONG.replace("w50 ", "w50<br />"), random) for _ in range(300)]
    lengths = {len(one.split()) for one in crops}
    assert (min(lengths), max(lengths)) == (10, 60)
    assert all(one in LONG for one in crops)
    assert len({one.split()[0] for one in crops}) > 100
    assert stretch(LONG, random) in LONG


def test_typing_errors_change_some_letters_of_some_words():
    random = np.random.default_rng(0)
    text = " ".join(["wonderful", "a", "bad", "ending!"] * 500)
    found = with_typos(text, random).split(" ")
    changed = [(old, new) for old, new in zip(text.split(" "), found, strict=True) if old != new]
    assert 0.02 < len(changed) / 1000 < 0.12
    assert {old for old, _ in changed} == {"wonderful", "ending!"}
    assert all(abs(len(old) - len(new)) <= 1 for old, new in changed)


@pytest.fixture
def divided(encoder):
    frozen = encoder("bert")
    split = reviews(40, 2, 1)
    texts = [f"{text} {LONG}" if number < 20 else text for number, text in enumerate(split.texts)]
    ids = frozen.tokenizer.encode(texts).ids
    return frozen, texts, lambda settings, domains=(): divide(ids, replace(split, domains=tuple(domains)), settings)


def test_each_epoch_has_its_own_crops_and_errors(divided):
    frozen, texts, divide_by = divided
    settings = FitSettings(augment=("crops", "typos"), validation_share=0.1)
    found = curriculum_of(texts, divide_by(settings), frozen, settings, TuneSettings(1, epochs=2, short_epochs=1))
    count = len(divide_by(settings).train_rows)
    long = int((divide_by(settings).train_rows < 20).sum())
    assert [len(epoch) for epoch in found.epochs] == [count + long] * 2
    first, second = (set(epoch.tolist()) for epoch in found.epochs)
    assert first & second <= set(range(count))
    assert not first & {row for row in range(count) if divide_by(settings).train_rows[row] < 20}  # stretches instead
    assert len(second & set(range(count))) < count  # errors instead of some
    assert found.weights.tolist().count(0.5) == 2 * long
    again = curriculum_of(texts, divide_by(settings), frozen, settings, TuneSettings(1, epochs=2, short_epochs=1))
    assert all((one == two).all() for one, two in zip(found.rows, again.rows, strict=True))


def test_crops_weigh_half_of_their_text(divided):
    frozen, texts, divide_by = divided
    settings = FitSettings(augment=("crops",), domains=DomainSettings(0.5), validation_share=0.1)
    parts = divide_by(settings, ["a"] * 10 + ["b"] * 30)
    found = curriculum_of(texts, parts, frozen, settings, TuneSettings(1, epochs=1))
    whole, crops = found.weights[: len(parts.train_rows)], found.weights[len(parts.train_rows) :]
    assert whole == pytest.approx(parts.training_weights[0])
    assert crops == pytest.approx(whole[parts.train_rows < 20] / 2)


def trained(frozen, curriculum, folder, **settings):
    held_out = frozen.tokenizer.encode(reviews(60, 2, 2).texts).ids, reviews(60, 2, 2).labels
    how = TuneSettings(2, epochs=len(curriculum.epochs), learning_rate=3e-3, batch_size=8, **settings)
    return tune(
        frozen, curriculum, held_out, pooling="cls", objective=OneOf(2), settings=how, folder=folder, quiet=True
    )


@pytest.mark.parametrize("number_format", ["fp32", "bf16"])
def test_an_interrupted_training_on_versions_resumes_to_the_same_weights(encoder, tmp_path, monkeypatch, number_format):
    frozen, split = encoder("bert"), reviews(80, 2, 1)
    ids = frozen.tokenizer.encode(split.texts).ids
    settings = FitSettings(augment=("typos",), domains=DomainSettings(0.5), validation_share=0.1)
    parts = divide(ids, replace(split, domains=("a",) * 20 + ("b",) * 60), settings)
    curriculum = curriculum_of(split.texts, parts, frozen, settings, TuneSettings(2, epochs=3))
    whole = trained(frozen, curriculum, tmp_path / "whole", number_format=number_format)
    monkeypatch.setattr(finetune, "_BATCHES_PER_SAVE", 3)
    step, steps = TuningRun.step, []

    def interrupted(self, sample, texts):
        steps.append(texts)
        if len(steps) == 14:
            raise KeyboardInterrupt
        step(self, sample, texts)

    monkeypatch.setattr(TuningRun, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(frozen, curriculum, tmp_path / "parts", number_format=number_format)
    resumed = trained(frozen, curriculum, tmp_path / "parts", number_format=number_format)
    assert len(steps) < 2 * 27
    assert resumed.encoder.sha256 == whole.encoder.sha256 != frozen.sha256
    assert (resumed.training.head.weight == whole.training.head.weight).all()


def test_bf16_learns_as_much_as_fp32_and_gives_other_weights(encoder, tmp_path):
    frozen, split = encoder("bert"), reviews(160, 2, 1)
    curriculum = plain((frozen.tokenizer.encode(split.texts).ids, split.labels), 8)
    found = {one: trained(frozen, curriculum, tmp_path, number_format=one) for one in ("fp32", "bf16")}
    assert all(one.training.best.figure > 0.9 for one in found.values())
    assert found["fp32"].encoder.sha256 != found["bf16"].encoder.sha256


def test_a_text_of_weight_nought_is_not_learned(encoder, tmp_path):
    frozen, split = encoder("bert"), reviews(160, 2, 1)
    ids = frozen.tokenizer.encode(split.texts).ids
    texts = [*ids, *ids], np.concatenate([split.labels, 1 - split.labels])
    weights = np.repeat([2.0, 0.0], 160)
    found = trained(frozen, plain(texts, 8, weights), tmp_path)
    assert found.training.best.figure > 0.9
    assert found.training.best.figure > trained(frozen, plain(texts, 8), tmp_path).training.best.figure + 0.2
