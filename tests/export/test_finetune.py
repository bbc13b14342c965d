"""Block training (--unfreeze): trained blocks, the frozen rest, attention poolings, and interrupted runs."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import BAD, FILLER, GOOD, make_bundle, reviews

from export.bundle.bundle import load_classifier
from export.bundle.parity_check import check_bundle
from export.classifier.choice import loss_of
from export.classifier.classifier import Classifier
from export.classifier.head import train_head
from export.classifier.objective import OneOf, predict
from export.classifier.settings import HeadSettings
from export.encoder.families import family_named
from export.encoder.load import load_encoder, weights_sha256
from export.encoder.vectors import vectors
from export.encoder.weights import block_modules
from export.errors import ExportError
from export.graph.parity import torch_logits
from export.training import finetune
from export.training.checks import check_tuning
from export.training.curriculum import plain
from export.training.features import extract
from export.training.finetune import tune
from export.training.settings import HEAD_ALONE, TuneSettings
from export.training.tuning_run import TuningRun
from scorer.base.errors import UsageError
from scorer.engine.batches import pad

FAMILIES = ("distilbert", "bert", "roberta", "electra", "mpnet")
SETTINGS = TuneSettings(2, epochs=3, learning_rate=3e-3, batch_size=8)


def parts(encoder):
    train, held_out = reviews(160, 2, 1), reviews(60, 2, 2)
    return [(encoder.tokenizer.encode(split.texts).ids, split.labels) for split in (train, held_out)]


def tuned(encoder, folder, settings=SETTINGS, pooling="cls"):
    train, held_out = parts(encoder)
    return tune(
        encoder,
        plain(train, settings.epochs),
        held_out,
        pooling=pooling,
        objective=OneOf(2),
        settings=settings,
        folder=folder,
        quiet=True,
    )


def assert_computed_as_validated(found, pooling, rows, labels):
    """Check with transformers' own model what was trained on float16 hidden states, with standardising poolings."""
    classifier = Classifier(found.training.head, pooling, queries=found.queries)
    logits = np.concatenate([torch_logits(found.encoder, classifier, *pad([row])) for row in rows])
    assert np.mean(predict(logits) == labels) == pytest.approx(found.training.best.figure)
    found_loss = loss_of(OneOf(2), logits, labels)
    assert found_loss == pytest.approx(found.training.best.validation_loss, rel=2e-3)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("blocks", "pooling"),
    [
        (1, "cls"),
        (2, "cls+mean1"),
        (1, "mean+mean1"),
        (1, "cls+attention1"),
        (2, "attention"),
        (0, "attention1"),
        (0, "cls+mean+attention1"),
        (0, "attention+attention1"),
    ],
)
def test_only_the_last_blocks_are_trained_and_pytorch_computes_what_was_validated(
    encoder, tmp_path, family, blocks, pooling
):
    frozen = encoder(family)
    before = weights(frozen.model)
    found = tuned(frozen, tmp_path, TuneSettings(blocks, epochs=1, learning_rate=1e-3, batch_size=8), pooling)
    assert all((tensor == before[name]).all() for name, tensor in frozen.model.state_dict().items())
    assert weights_sha256(found.encoder.model) == found.encoder.sha256
    assert (found.encoder.sha256 != frozen.sha256) == (blocks > 0)
    modules = block_modules(found.encoder.model, frozen.family), block_modules(frozen.model, frozen.family)
    changed = [
        any(
            (new != old).any()
            for part in now
            for new, old in zip(now[part].parameters(), then[part].parameters(), strict=True)
        )
        for now, then in zip(*modules, strict=True)
    ]
    assert changed == [number >= 2 - blocks for number in range(2)]
    rows, labels = parts(frozen)[1]
    assert list(found.queries) == [layer for kind, layer in vectors(pooling, 2) if kind == "attention"]
    assert_computed_as_validated(found, pooling, rows, labels)


@pytest.mark.parametrize("family", ["bert", "electra"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_embeddings_of_emoji_are_trained_with_the_first_block(encoder, tmp_path, family, blocks):
    plain_encoder = encoder(family)
    words = [plain_encoder.tokenizer.encode([word]).ids[0][1] for word in (BAD[0], GOOD[0])]
    frozen = replace(plain_encoder, emoji_ids=tuple(map(int, words)))
    found = tuned(frozen, tmp_path, TuneSettings(blocks, epochs=2, learning_rate=1e-3, batch_size=8))
    before, after = (one.model.get_input_embeddings().weight for one in (frozen, found.encoder))
    changed = torch.nonzero((before != after).any(dim=1))[:, 0].tolist()
    assert changed == (sorted(words) if blocks == 2 else [])
    rows, labels = parts(frozen)[1]
    assert_computed_as_validated(found, "cls", rows, labels)


def test_training_blocks_beats_the_frozen_encoder(encoder, tmp_path):
    frozen = encoder("bert")
    (rows, labels), (held_out, held_out_labels) = parts(frozen)
    features = [extract(frozen, some, tmp_path, name="x", quiet=True).pooled("cls") for some in (rows, held_out)]
    head = train_head(
        (features[0], labels), (features[1], held_out_labels), objective=OneOf(2), settings=HeadSettings()
    )
    found = tuned(frozen, tmp_path, replace(SETTINGS, epochs=8))
    assert [step.number for step in found.training.steps] == list(range(1, 9))
    assert found.training.best.figure > head.best.figure
    assert found.training.best.figure > 0.95


def test_attention_learns_which_word_tells(encoder, tmp_path):
    frozen = encoder("bert")
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    texts = [[*random.choice(FILLER[:5], 14), (BAD, GOOD)[label][0]] for label in labels]
    for words in texts:
        random.shuffle(words)
    rows = frozen.tokenizer.encode([" ".join(words) for words in texts]).ids
    settings = TuneSettings(0, 10, head_learning_rate=HEAD_ALONE, batch_size=8)
    found = tune(
        frozen, plain((rows[:300], labels[:300]), 10), (rows[300:], labels[300:]), pooling="attention1", objective=OneOf(2),
        settings=settings, folder=tmp_path, quiet=True,
    )  # fmt: skip
    assert found.encoder is frozen
    assert found.training.best.figure > 0.95
    telling = [frozen.tokenizer.encode([word]).ids[0][1] for word in (BAD[0], GOOD[0])]
    shares = []
    for row in rows[300:]:
        hidden = frozen.model(torch.from_numpy(row[np.newaxis]), output_hidden_states=True).hidden_states[1][0]
        share = (hidden @ torch.from_numpy(found.queries[1]).T).softmax(dim=0).max(dim=1).values
        shares.append(share[np.isin(row, telling)].item() * len(row))
    assert np.mean(shares) > 2  # the mean share of a telling word, relative to an equal share


@pytest.mark.parametrize("scale", [1e-33, 1e-4])
def test_a_channel_that_hardly_changes_weighs_no_more_than_others(encoder, tmp_path, scale):
    """all-MiniLM-L6-v2 has a channel that is 0 but for rounding; scaled up to the others, it outweighed them all."""
    frozen = encoder("bert")
    model = copy.deepcopy(frozen.model)
    model.encoder.layer[1].output.LayerNorm.weight.data[7] = scale
    frozen = replace(frozen, model=model, sha256=weights_sha256(model))
    settings = TuneSettings(0, 2, head_learning_rate=HEAD_ALONE, batch_size=8)
    found = tuned(frozen, tmp_path, settings, "attention")
    sizes = np.abs(found.queries[2]).max(axis=0)
    assert sizes[7] < 20 * np.median(sizes)
    rows, labels = parts(frozen)[1]
    assert_computed_as_validated(found, "attention", rows, labels)


def test_an_attention_pooling_that_nobody_trains_is_refused(encoder, tmp_path):
    with pytest.raises(UsageError, match=r"set FitSettings\.tune to train them"):
        make_bundle(encoder("bert"), tmp_path / "b", pooling="attention1")


@pytest.mark.parametrize("pooling", ["cls", "cls+attention"])
def test_an_interrupted_run_ends_with_the_same_weights(encoder, tmp_path, monkeypatch, pooling):
    monkeypatch.setattr(finetune, "_BATCHES_PER_SAVE", 3)
    whole = tuned(encoder("bert"), tmp_path / "whole", pooling=pooling)
    step, calls = TuningRun.step, []

    def interrupted(run, *arguments):
        calls.append(1)
        if len(calls) in (5, 25, 31):
            raise KeyboardInterrupt
        step(run, *arguments)

    monkeypatch.setattr(TuningRun, "step", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            tuned(encoder("bert"), tmp_path / "parts", pooling=pooling)
    torch.rand(7)  # random numbers that other code draws in between
    parted = tuned(encoder("bert"), tmp_path / "parts", pooling=pooling)
    assert len(calls) < 2 * 60  # the run did not start over each time
    assert parted.encoder.sha256 == whole.encoder.sha256
    assert (parted.training.head.weight == whole.training.head.weight).all()
    assert parted.training.steps == whole.training.steps
    assert all((parted.queries[layer] == queries).all() for layer, queries in whole.queries.items())
    again = tuned(encoder("bert"), tmp_path / "parts", pooling=pooling)
    assert again.encoder.sha256 == whole.encoder.sha256


def test_a_checkpoint_is_for_the_same_validation_texts(encoder, tmp_path):
    frozen = encoder("bert")
    train, validation = parts(frozen)
    settings = TuneSettings(1, epochs=1, learning_rate=1e-3, batch_size=8)

    def accuracy(labels):
        held_out = (validation[0], labels)
        found = tune(
            frozen,
            plain(train, 1),
            held_out,
            pooling="cls",
            objective=OneOf(2),
            settings=settings,
            folder=tmp_path,
            quiet=True,
        )
        return found.training.best.figure

    assert accuracy(validation[1]) + accuracy(1 - validation[1]) == pytest.approx(1)


def test_a_damaged_checkpoint_is_named(encoder, tmp_path):
    tuned(encoder("bert"), tmp_path)
    (checkpoint,) = tmp_path.glob("*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(ExportError, match=f"the checkpoint {checkpoint} is damaged .*Remove it to start over"):
        tuned(encoder("bert"), tmp_path)


def test_other_settings_do_not_go_on_with_a_checkpoint(encoder, tmp_path):
    first = tuned(encoder("bert"), tmp_path)
    second = tuned(encoder("bert"), tmp_path, TuneSettings(2, epochs=3, learning_rate=3e-3, batch_size=8, seed=1))
    assert first.encoder.sha256 != second.encoder.sha256


@pytest.mark.parametrize(
    ("family", "blocks", "pooling", "message"),
    [
        ("bert", 3, "cls", "--unfreeze 3: the encoder 'tiny' has 2 blocks."),
        ("bert", 1, "cls+mean1", None),
        ("bert", 2, "mean1", "--pooling mean1 does not read the last layer, so --unfreeze would train nothing there: add cls, as in cls+mean1."),
        ("albert", 2, "cls", "--unfreeze 2: the blocks of the encoder 'tiny' share their weights, so the last ones cannot be trained alone. Train without --unfreeze."),
        ("albert", 0, "mean+attention1", None),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said(family, blocks, pooling, message):
    settings = TuneSettings(blocks)
    if message is None:
        check_tuning("tiny", 2, family_named(family), pooling, settings)
        return
    with pytest.raises(UsageError) as caught:
        check_tuning("tiny", 2, family_named(family), pooling, settings)
    assert str(caught.value) == message


def test_attention_poolings_of_shared_blocks_are_trained(encoder, tmp_path):
    frozen = encoder("albert")
    found = tuned(frozen, tmp_path, TuneSettings(0, epochs=1, batch_size=8), "cls+mean+attention1")
    assert found.encoder is frozen
    rows, labels = parts(frozen)[1]
    assert_computed_as_validated(found, "cls+mean+attention1", rows, labels)


def test_a_bundle_with_trained_blocks_is_checked_against_the_saved_encoder(encoder, tmp_path):
    frozen = encoder("distilbert")
    bundle = make_bundle(
        frozen,
        tmp_path / "b",
        pooling="cls+mean1",
        precisions=("fp32",),
        tune=TuneSettings(2, epochs=2, learning_rate=1e-3),
        save_encoder=tmp_path / "encoder",
    )
    assert bundle.manifest.encoder["unfrozen"] == 2
    assert bundle.manifest.training["unfrozen"]["epochs"] == 2
    loaded = load_encoder(str(tmp_path / "encoder"), max_length=frozen.tokenizer.max_length)
    assert loaded.sha256 == bundle.manifest.encoder["sha256"] != frozen.sha256
    texts = reviews(40, 2, 3).texts
    assert loaded.tokenizer.encode(texts).ids[0].tolist() == frozen.tokenizer.encode(texts).ids[0].tolist()
    parity, (agreement,) = check_bundle(bundle, loaded, texts, threads=2)
    assert parity is not None
    assert agreement.difference < 1e-4


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_bundle_with_attention_pooling_scores_as_pytorch_computes(encoder, tmp_path, blocks):
    frozen = encoder("roberta")
    bundle = make_bundle(
        frozen,
        tmp_path / "b",
        pooling="mean1+attention1" if blocks == 0 else "mean+attention1",
        tune=TuneSettings(blocks, epochs=2, learning_rate=1e-3, head_learning_rate=HEAD_ALONE),
        save_encoder=tmp_path / "encoder",
    )
    assert bundle.manifest.encoder["unfrozen"] == blocks
    assert load_classifier(bundle).queries[1].shape == (4, 32)
    loaded = load_encoder(str(tmp_path / "encoder"), max_length=frozen.tokenizer.max_length)
    parity, agreements = check_bundle(bundle, loaded, reviews(40, 2, 3).texts, threads=2)
    assert parity is not None
    assert {one.precision for one in agreements} == {"fp16", "fp32", "int8"}
    assert all(one.difference < 0.05 for one in agreements)
