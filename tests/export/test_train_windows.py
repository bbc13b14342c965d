"""Training on texts that are read in windows: heads on frozen features, blocks and poolings, the wide part and the cascade."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import BAD, FILLER, GOOD, MAX_LENGTH, TAGS, lengthened, rated_reviews, reviews, tagged_reviews

from export.classifier.choice import loss_of
from export.classifier.classifier import Classifier
from export.classifier.combining import combined, largest, some_of
from export.classifier.head import LinearHead, train_head
from export.classifier.maximum import optima_of_largest
from export.classifier.objective import AnyOf, OneOf
from export.classifier.settings import CascadeSettings, HeadSettings, WideSettings, WindowOptions
from export.classifier.wide import train_wide
from export.data import Dataset
from export.graph.parity import torch_logits
from export.training import finetune
from export.training.checks import check_options
from export.training.curriculum import plain
from export.training.features import extract, hidden_states
from export.training.finetune import tune
from export.training.fit import fit
from export.training.network import Network
from export.training.settings import FitSettings, Settings, TuneSettings
from export.training.tuning_run import Sample, TuningRun
from scorer.base.errors import UsageError
from scorer.engine.batches import pad
from scorer.engine.windows import Split, Windows
from scorer.model.tokenizer import Tokenizer

WINDOWS = Windows(MAX_LENGTH, 1, 1, 16)
MOST = 4
REACH = WINDOWS.reach(MOST)


def drawn_split(random, texts, combination="mean", most=5):
    """Return windows of texts that need no token ids."""
    counts = random.integers(1, most + 1, texts)
    rows = [np.zeros(1, dtype=np.int64)] * int(counts.sum())
    return Split(rows, counts, random.uniform(1, 20, int(counts.sum())), combination)


# The logits of texts


@pytest.mark.parametrize("combination", ["mean", "max"])
def test_pytorch_combines_windows_as_the_engine_does(combination):
    random = np.random.default_rng(0)
    split = drawn_split(random, 30, combination)
    logits = random.normal(size=(len(split.rows), 3)).astype(np.float32)
    found = combined(torch.from_numpy(logits), split)
    assert found.dtype == torch.float32
    assert (found.numpy() == split.combined(logits)).all()


@pytest.mark.parametrize("combination", ["mean", "max"])
def test_a_gradient_reaches_the_windows_as_much_as_they_count(combination):
    split = Split([np.zeros(1)] * 3, np.array([2, 1]), np.array([3.0, 1.0, 5.0]), combination)
    logits = torch.tensor([[1.0], [2.0], [7.0]], requires_grad=True)
    combined(logits, split).sum().backward()
    assert logits.grad[:, 0].tolist() == ([0.75, 0.25, 1.0] if combination == "mean" else [0.0, 1.0, 1.0])


def test_the_largest_window_of_each_label_is_found():
    random = np.random.default_rng(1)
    split = drawn_split(random, 40)
    logits = random.integers(0, 4, (len(split.rows), 3)).astype(np.float64)  # with equal ones
    ends = np.cumsum(split.counts)
    expected = [begin + logits[begin:end].argmax(axis=0) for begin, end in zip(ends - split.counts, ends, strict=True)]
    assert (largest(logits, split) == expected).all()


def test_some_texts_have_their_own_windows():
    random = np.random.default_rng(2)
    split = drawn_split(random, 20, "max")
    values = random.normal(size=(len(split.rows), 2)).astype(np.float32)
    texts = random.permutation(20)[:7]
    windows, alone = some_of(split, texts)
    assert (alone.combined(values[windows]) == split.combined(values)[texts]).all()
    assert (alone.weights == split.weights[windows]).all()
    assert len(alone.rows) == len(windows)


# A head on frozen features


def hidden_signals(texts, seed, labels=3, hidden=12, most=8, signal=1.5):
    """Return features of windows, their split and targets: one window of a text has the signal of each of its labels."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(labels, hidden))
    split = drawn_split(random, texts, "max", most)
    features = random.normal(size=(len(split.rows), hidden))
    targets = (random.random((texts, labels)) < 0.3).astype(np.int64)
    for text, label in np.argwhere(targets):
        features[split.begins[text] + random.integers(split.counts[text])] += signal * directions[label]
    return (features.astype(np.float32), targets), split


@pytest.mark.parametrize("settings", [HeadSettings(l2=(0.003,)), HeadSettings("adam", epochs=60, learning_rate=0.03)])
def test_the_window_that_tells_is_found_among_the_others_of_a_text(settings):
    train, held_out = hidden_signals(600, 0, signal=2.0), hidden_signals(400, 1, signal=2.0)
    objective = AnyOf(3)
    found = train_head(train[0], held_out[0], objective=objective, settings=settings, splits=(train[1], held_out[1]))
    means = [(split.mean_of(features), targets) for (features, targets), split in (train, held_out)]
    by_mean = train_head(*means, objective=objective, settings=settings)
    assert found.best.figure > 0.9 > 0.8 > by_mean.best.figure
    (features, targets), split = held_out
    logits = split.combined(found.head.logits(features))
    assert loss_of(objective, logits, targets) == pytest.approx(found.best.validation_loss, rel=1e-4)
    assert objective.figure(logits, targets) == found.best.figure


def test_texts_of_one_window_have_the_optimum_of_plain_texts():
    (features, targets), split = hidden_signals(300, 0, most=1)
    held_out, others = hidden_signals(100, 1, most=1)
    settings = HeadSettings(l2=(0.01,))
    plain = train_head((features, targets), held_out, objective=AnyOf(3), settings=settings)
    found = train_head((features, targets), held_out, objective=AnyOf(3), settings=settings, splits=(split, others))
    assert np.abs(found.head.weight - plain.head.weight).max() < 1e-3
    assert found.best.train_loss == pytest.approx(plain.best.train_loss, abs=1e-5)


@pytest.mark.parametrize("signal", [1.5, 0.3])
def test_no_weight_near_those_found_has_a_smaller_loss(signal):
    """The loss of the maximum has no gradient at its kinks, so points around are tried instead."""
    (features, targets), split = hidden_signals(300, 3, signal=signal)
    features, l2 = features.astype(np.float64), 0.01
    ((_, (weight, bias)),) = optima_of_largest(features, targets, split, (l2,))

    def loss(weight, bias):
        logits = np.maximum.reduceat(features @ weight.T + bias, split.begins)
        return (np.logaddexp(0, logits) - targets * logits).sum() / 300 + l2 / 2 * (weight**2).sum()

    least, random = loss(weight, bias), np.random.default_rng(0)
    for size in (0.3, 0.1, 0.03):
        for _ in range(200):
            aside = random.normal(size=weight.shape), random.normal(size=bias.shape)
            assert loss(weight + size * aside[0], bias + size * aside[1]) > least - 1e-4 * size


def test_the_mean_of_the_features_has_the_head_of_the_mean_of_the_logits():
    """The head is linear; Adam's gradient through the mean of the logits is that of the mean features."""
    random = np.random.default_rng(4)
    split = drawn_split(random, 50)
    features = random.normal(size=(len(split.rows), 6)).astype(np.float32)
    head = LinearHead(random.normal(size=(2, 6)).astype(np.float32), np.ones(2, dtype=np.float32))
    assert np.abs(head.logits(split.mean_of(features)) - split.combined(head.logits(features))).max() < 1e-6


# Blocks and attention poolings


def long_texts(encoder, count, seed, labels=2):
    """Return token ids of texts of one to `MOST` windows, with labels that one of their words shows."""
    random = np.random.default_rng(seed)
    texts, truth = [], np.arange(count) % labels
    for label in truth:
        words = [*random.choice(FILLER[:5], random.integers(2, REACH - 8)), *random.choice((BAD, GOOD)[label], 3)]
        random.shuffle(words)
        texts.append(" ".join(words))
    return [ids[:REACH] for ids in encoder.tokenizer.encode(texts).ids], truth


@pytest.fixture
def frozen(encoder):
    """A tiny encoder whose tokenizer keeps the tokens of four windows."""
    found = encoder("bert")
    return replace(found, tokenizer=Tokenizer(found.tokenizer_json, REACH))


def tuned(frozen, folder, settings, pooling="cls", windows=WINDOWS):
    train, held_out = long_texts(frozen, 96, 1), long_texts(frozen, 40, 2)
    return tune(
        frozen, plain(train, settings.epochs), held_out, pooling=pooling, objective=OneOf(2), settings=settings, folder=folder,
        windows=windows, quiet=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("blocks", "pooling"), [(1, "cls"), (2, "cls+mean1"), (0, "attention1"), (1, "mean+attention1")]
)
def test_pytorch_computes_of_each_window_what_was_validated(frozen, tmp_path, blocks, pooling):
    settings = TuneSettings(blocks, epochs=1, learning_rate=1e-3, batch_size=8)
    found = tuned(frozen, tmp_path, settings, pooling)
    rows, truth = long_texts(frozen, 40, 2)
    split = WINDOWS.split(rows)
    assert split.counts.max() == MOST
    classifier = Classifier(found.training.head, pooling, queries=found.queries)
    logits = np.concatenate([torch_logits(found.encoder, classifier, *pad([row])) for row in split.rows])
    assert loss_of(OneOf(2), split.combined(logits), truth) == pytest.approx(
        found.training.best.validation_loss, rel=2e-3
    )


@pytest.mark.parametrize("combination", ["mean", "max"])
def test_pieces_of_a_batch_change_nothing_in_its_gradient(frozen, tmp_path, combination):
    """With one text or less a piece, texts with more windows than a piece holds are computed twice."""
    rows, truth = long_texts(frozen, 12, 1)
    split = replace(WINDOWS, combination=combination).split(rows)
    targets = np.stack([truth, 1 - truth], axis=1)
    settings = TuneSettings(1, dropout=0.0)
    weights = []
    for most in (1, 3, 100):
        network = Network(frozen, "cls+mean1", 2, blocks=1, dropout=0.0, seed=0)
        features = extract_inputs(frozen, split, network.first, tmp_path)
        run = TuningRun(network, AnyOf(2), settings, 1, tmp_path / f"{most}.pt")
        run._most = most
        run.step(Sample(features, split, torch.from_numpy(targets), None), np.arange(12))
        weights.append([run.mean_loss, *(part.grad.clone() for part in network.parameters() if part.requires_grad)])
    for other in weights[1:]:
        assert other[0] == pytest.approx(weights[0][0], rel=1e-6)
        for one, two in zip(weights[0][1:], other[1:], strict=True):
            assert torch.allclose(one, two, rtol=1e-3, atol=1e-6)


def extract_inputs(frozen, split, layer, folder):
    return hidden_states(frozen, split.rows, layer, folder, name="x", quiet=True)


@pytest.mark.parametrize("batch_size", [3, 4, 8])
def test_memory_holds_no_more_windows_than_a_batch_has_texts(frozen, tmp_path, monkeypatch, batch_size):
    sizes, forward = [], Network.forward

    def counted(network, rows):
        if network.training:
            sizes.append(len(rows))
        return forward(network, rows)

    monkeypatch.setattr(Network, "forward", counted)
    tuned(frozen, tmp_path, TuneSettings(1, epochs=1, batch_size=batch_size))
    assert max(sizes) == batch_size
    counts = WINDOWS.split(long_texts(frozen, 96, 1)[0]).counts
    assert sum(sizes) == counts.sum() + counts[counts > batch_size].sum()  # the latter on the way back as well


def test_an_interrupted_run_with_windows_ends_with_the_same_weights(frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "_BATCHES_PER_SAVE", 3)
    settings = TuneSettings(1, epochs=2, learning_rate=3e-3, batch_size=3)
    whole = tuned(frozen, tmp_path / "whole", settings)
    step, calls = TuningRun.step, []

    def interrupted(run, *arguments):
        calls.append(1)
        if len(calls) in (5, 40):
            raise KeyboardInterrupt
        step(run, *arguments)

    monkeypatch.setattr(TuningRun, "step", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tuned(frozen, tmp_path / "parts", settings)
    parted = tuned(frozen, tmp_path / "parts", settings)
    assert parted.encoder.sha256 == whole.encoder.sha256
    assert parted.training.steps == whole.training.steps


def test_a_checkpoint_is_for_the_same_windows(frozen, tmp_path):
    settings = TuneSettings(1, epochs=1, batch_size=8)
    one = tuned(frozen, tmp_path, settings)
    other = tuned(frozen, tmp_path, settings, windows=replace(WINDOWS, stride=8))
    assert one.encoder.sha256 != other.encoder.sha256


# A classifier of each task


def long_dataset(task, count, seed):
    """Return texts of one to `MOST` windows, of each task."""
    make = {"multi_label": tagged_reviews, "regression": rated_reviews}.get(task, lambda n, s: reviews(n, 2, s))
    return lengthened(make(count, seed), REACH - 30, seed)


LABELS = {"single_label": ("bad", "good"), "multi_label": TAGS, "regression": ("stars",)}


def fitted(frozen, folder, task, combination="mean", **settings):
    """Train a classifier that reads in windows; return it, its log, and its values of other texts with their targets."""
    dataset = Dataset("d", LABELS[task], long_dataset(task, 300, 1), long_dataset(task, 120, 2), task)
    log = []
    of_fit = FitSettings(
        **{
            "pooling": "cls+mean1", "wide": WideSettings(512), "cache": folder, "quiet": True,
            "reading": replace(WINDOWS, combination=combination), **settings,
        }
    )  # fmt: skip
    found = fit(dataset, frozen, frozen.tokenizer.encode(dataset.train.texts).ids, of_fit, log.append)
    rows = frozen.tokenizer.encode(dataset.test.texts).ids
    queries = found.classifier.queries
    features = extract(found.encoder, WINDOWS.split(rows).rows, folder, queries=queries, name="x", quiet=True)
    logits = found.classifier.logits(features.pooled(found.classifier.pooling), rows)
    return found, log, found.calibrated(logits), dataset.test.labels


@pytest.mark.parametrize(
    "how",
    [{}, {"head": HeadSettings("adam", learning_rate=0.01)}, {"wide": None}, {"tune": TuneSettings(1, 3, 3e-3)}],
    ids=["newton", "adam", "encoder", "blocks"],
)
@pytest.mark.parametrize(("task", "combination"), [
    ("single_label", "mean"), ("multi_label", "mean"), ("multi_label", "max"), ("regression", "mean"),
])  # fmt: skip
def test_each_task_is_trained_on_windows(frozen, tmp_path, task, combination, how):
    found, log, values, truth = fitted(frozen, tmp_path, task, combination, **how)
    if task == "single_label":
        assert np.mean(values.argmax(axis=1) == truth) > 0.8
    elif task == "multi_label":
        assert np.mean((values >= 0.5) == truth) > 0.8
    else:
        # An encoder of random weights hardly counts words in a mean of windows; the wide part does.
        least = 0.05 if how == {"wide": None} else 0.3
        assert 1 - ((values - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum() > least
    assert any("windows in" in line for line in log)
    assert found.classifier.windows == replace(WINDOWS, combination=combination)
    # With the largest logit, no other pooling is compared: each would take as long as the head.
    assert bool(found.poolings) == (combination == "mean" and "tune" not in how)


@pytest.mark.parametrize(
    ("windows", "max_tokens", "message"),
    [
        (WindowOptions(16, 4), 1024, "4 windows of 24 tokens cover 72 tokens, but the tokenizer keeps 1024: load the encoder with max_tokens=72."),
        (WindowOptions(16, 1), 24, "--max-windows must be at least 2, not 1."),
        (WindowOptions(1, 4), 27, "--window-stride must be at least 3 with --max-length 24, not 1."),
        (WindowOptions(16, 4), 72, None),
    ],
)  # fmt: skip
def test_windows_that_do_not_fit_are_refused_before_the_encoder_is_loaded(tmp_path, windows, max_tokens, message):
    settings = Settings(tmp_path, "b", max_length=MAX_LENGTH, truncation="windows", windows=windows)
    if message is None:
        check_options(settings, max_tokens)
        return
    with pytest.raises(UsageError) as caught:
        check_options(settings, max_tokens)
    assert str(caught.value) == message


def test_a_mean_is_trained_on_what_the_bundle_computes(frozen, tmp_path):
    """The held-out figure of the training is that of logits combined window by window."""
    found, _, _, _ = fitted(frozen, tmp_path, "single_label", wide=None)
    texts = long_dataset("single_label", 300, 1)
    held_out = [frozen.tokenizer.encode([texts.texts[row]]).ids[0] for row in found.validation_rows]
    features = extract(frozen, WINDOWS.split(held_out).rows, tmp_path, name="y", quiet=True).pooled("cls+mean1")
    logits = WINDOWS.split(held_out).combined(found.training.head.logits(features))
    loss = loss_of(OneOf(2), logits, texts.labels[found.validation_rows])
    assert loss == pytest.approx(found.training.best.validation_loss, rel=1e-4)


def test_the_cascade_saves_the_tokens_of_all_windows(frozen, tmp_path):
    settings = CascadeSettings(loss=50.0, ece=1.0, least_texts=20)
    found, _, _, _ = fitted(frozen, tmp_path, "single_label", cascade=settings)
    assert found.cascade is not None
    texts = long_dataset("single_label", 300, 1)
    held_out = [frozen.tokenizer.encode([texts.texts[row]]).ids[0] for row in found.validation_rows]
    read = np.array([sum(map(len, WINDOWS.rows(ids))) for ids in held_out])
    early = found.cascade.cascade.decides(sums_before_the_last_training(found, frozen, texts, held_out))
    assert found.cascade.chosen.tokens == pytest.approx(read[early].sum() / read.sum())


def sums_before_the_last_training(found, frozen, texts, held_out):
    """Return the wide part's sums of the held-out texts when the cascade was chosen, before it was trained on them."""
    train = [frozen.tokenizer.encode([texts.texts[row]]).ids[0] for row in found.train_rows]
    parts = [(ids, texts.labels[rows]) for ids, rows in ((train, found.train_rows), (held_out, found.validation_rows))]
    pieces = int(frozen.config.vocab_size)
    wide = train_wide(*parts, pieces=pieces, objective=OneOf(2), settings=WideSettings(512))
    return wide.wide(found.stack.share).sums(held_out)
