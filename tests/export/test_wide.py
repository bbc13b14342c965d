"""The wide part and the truncation of long texts: equal sums in the graph, in numpy, and by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from factories import make_bundle, reviews
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from export.bundle.bundle import load_classifier
from export.bundle.golden import tolerances_of
from export.classifier.classifier import Classifier
from export.classifier.head import LinearHead
from export.classifier.objective import AnyOf, OneOf, Value
from export.classifier.settings import WideSettings
from export.classifier.span import Span, span_of
from export.classifier.stacking import stack
from export.classifier.truncation import Cut, cut_of
from export.classifier.wide import Wide, key_matrix, train_wide
from export.encoder.load import load_encoder
from export.encoder.vectors import vectors
from export.encoder.weights import encoder_weights
from export.graph.classifier import graph_logits
from export.graph.fp16 import to_float16, to_half
from export.graph.fp16_emulator import half_logits
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from export.graph.parity import compare, torch_logits
from export.training.checks import reading_for
from scorer import Scorer
from scorer.base.errors import UsageError
from scorer.engine import runtime
from scorer.engine.batches import pad
from scorer.engine.runtime import open_session
from scorer.engine.wide import Keys
from scorer.model.manifest import Manifest

LENGTH, MOST = 12, 40
FAMILIES = ("distilbert", "bert", "roberta")


def classifier(layers, pieces, pooling, truncation, logits):
    random = np.random.default_rng(5)
    wanted = vectors(pooling, layers)
    queries = {
        layer: random.normal(size=(3, 32), scale=0.2).astype(np.float32)
        for kind, layer in wanted
        if kind == "attention"
    }
    head = LinearHead(
        random.normal(size=(logits, 32 * (len(wanted) + 2 * len(queries)))).astype(np.float32) / 5,
        random.normal(size=logits).astype(np.float32),
    )
    keys = Keys(pieces, 97)
    wide = Wide(keys, random.normal(size=(keys.count, logits)).astype(np.float16))
    return Classifier(head, pooling, cut_of(truncation, LENGTH), wide, queries)


@pytest.fixture(scope="module", params=FAMILIES)
def long_encoder(request, encoder_folder):
    return load_encoder(str(encoder_folder(request.param)), max_length=LENGTH, max_tokens=MOST)


@pytest.fixture(scope="module")
def rows(long_encoder):
    """Token rows of short texts, and of some that are longer than the encoder reads."""
    texts = reviews(30, 2, 1).texts
    return long_encoder.tokenizer.encode([*texts, " ".join(texts[:4]), " ".join(texts[4:30])]).ids


@pytest.mark.parametrize(("truncation", "pooling", "logits"), [
    ("head", "cls", 1), ("tail", "cls+mean1", 3), ("head+tail", "mean1", 1), ("head+tail", "cls+mean1+mean2", 3),
    ("head", "attention1", 1), ("tail", "cls+attention2", 1), ("head+tail", "cls+mean1+attention1+attention2", 3),
])  # fmt: skip
def test_every_graph_cuts_and_sums_as_numpy_does(long_encoder, rows, truncation, pooling, logits):
    model = classifier(2, int(long_encoder.config.vocab_size), pooling, truncation, logits)
    weights = encoder_weights(long_encoder)
    exact = to_float32(weights, model)
    session = open_session(exact.SerializeToString(), "cpu")
    assert compare(session, long_encoder, model, rows, longest=MOST).difference < 1e-5
    expected = graph_logits(exact, rows)
    assert np.abs(graph_logits(to_int8(weights, model, rows[:20]), rows) - expected).mean() < 0.05
    assert np.abs(half_logits(to_half(weights, model, rows[:20]).graph, rows) - expected).max() < 0.03


def test_padding_and_neighbours_change_no_sum(long_encoder, rows):
    model = classifier(2, int(long_encoder.config.vocab_size), "cls+mean1+attention1", "head+tail", 1)
    for graph in (
        to_float32(encoder_weights(long_encoder), model),
        to_float16(encoder_weights(long_encoder), model),
    ):
        session = open_session(graph.SerializeToString(), "cpu")
        ids, mask = pad(rows, MOST + 9)
        alone = np.concatenate(
            [session.run(None, dict(zip(("input_ids", "attention_mask"), pad([row]), strict=True)))[0] for row in rows]
        )
        together = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        np.testing.assert_allclose(together, alone, atol=0.02 if "fp16" in graph.graph.name else 5e-3)


@settings(max_examples=50)
@given(ids=st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_each_different_piece_and_pair_counts_once(ids):
    keys = Keys(10, 1 << 20)
    found, begins = keys.of([np.array(ids)])
    assert begins.tolist() == [0]
    assert len(found) == len(set(ids)) + len(set(pairwise(ids)))  # none of the hundred pairs collide
    assert set(ids) == {int(key) for key in found if key < 10}
    assert (found < keys.count).all()


@given(length=st.integers(2, 30), kept=st.integers(2, 30), name=st.sampled_from(("head", "tail", "head+tail")))
def test_a_cut_keeps_both_ends_and_as_many_tokens_as_fit(length, kept, name):
    ids = np.arange(length)
    cut = cut_of(name, kept).apply(ids)
    assert len(cut) == min(length, kept)
    assert (cut[0], cut[-1]) == (0, length - 1)
    assert (np.diff(cut) > 0).all()


def test_the_wide_part_learns_what_a_pair_says_and_its_pieces_do_not():
    """The texts differ only in pairs such as 'not good' and 'not bad'; single pieces are equally frequent in both labels."""
    random = np.random.default_rng(0)
    good, bad, negation, filler = 1, 2, 3, [4, 5, 6, 7]

    def texts(count):
        rows, labels = [], []
        for _ in range(count):
            word, negated = random.choice([good, bad]), random.integers(2)
            some = [
                *random.choice(filler, 3),
                *([negation, word] if negated else [word, negation]),
                *random.choice(filler, 3),
            ]
            rows.append(np.array(some))
            labels.append(int((word == good) != bool(negated)))
        return rows, np.array(labels)

    training = train_wide(texts(600), texts(200), pieces=8, objective=OneOf(2), settings=WideSettings(pairs=1 << 12))
    assert training.best.figure > 0.95
    held_out, labels = texts(200)
    assert np.mean((training.logits(held_out)[:, 0] >= 0) == labels) > 0.95
    rounded = training.wide(1.0).logits(held_out) + training.bias
    np.testing.assert_allclose(rounded, training.logits(held_out), atol=0.02)


def test_more_than_two_labels_have_weights_each():
    rows = [np.array([label, 3 + place % 5]) for place in range(60) for label in range(3)]
    labels = np.array([row[0] for row in rows])
    training = train_wide((rows, labels), (rows, labels), pieces=8, objective=OneOf(3), settings=WideSettings(pairs=64))
    assert training.weight.shape == (8 + 64, 3)
    assert training.best.figure == 1.0


def test_keys_that_no_text_has_weigh_nothing_and_change_nothing():
    random = np.random.default_rng(0)
    rows = [random.integers(5, 40, size=length) for length in random.integers(3, 12, size=80)]
    labels = np.array([int(row.sum() % 40 > row.size) for row in rows])
    penalty = WideSettings(pairs=1 << 12, l2=(1e-2,))
    found = train_wide((rows, labels), (rows, labels), pieces=60, objective=OneOf(2), settings=penalty)
    matrix = key_matrix(found.keys, rows)
    # Wang and Manning 2012, over all keys.
    inside, outside = (1 + matrix[labels == label].toarray().sum(axis=0) for label in (1, 0))
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    model = LogisticRegression(C=1 / (1e-2 * len(rows)), max_iter=1000, tol=1e-10)
    model.fit(matrix.toarray().astype(np.float64) * ratio, labels)
    np.testing.assert_allclose(found.weight[:, 0], ratio * model.coef_[0], atol=1e-5)
    assert found.bias[0] == pytest.approx(model.intercept_[0], abs=1e-5)
    unused = np.setdiff1d(np.arange(matrix.shape[1]), matrix.indices)
    assert len(unused) > 3000
    assert not found.weight[unused].any()


@pytest.mark.parametrize("l2", [1e-2, 1e-3])
@pytest.mark.parametrize("objective", [OneOf(2), OneOf(3, (0.5, 1.0, 2.0)), AnyOf(2), Value(), Value(1.345)])
def test_few_texts_get_the_weights_that_a_fit_of_every_key_gets(objective, l2, monkeypatch):
    """Some texts are equal, so that the texts do not even need as many weights as there are texts."""
    random = np.random.default_rng(2)
    rows = [random.integers(5, 60, size=length) for length in random.integers(3, 30, size=50)]
    rows += rows[:10]
    numbers = np.array([float(row.mean()) for row in rows])
    targets = {
        "single_label": np.argsort(np.argsort(numbers)) * objective.logit_count // len(rows)
        if objective.logit_count > 1
        else (numbers > np.median(numbers)).astype(np.int64),
        "multi_label": np.stack([numbers > 30, numbers > 35], axis=1).astype(np.int64),
        "regression": ((numbers - numbers.mean()) / numbers.std())[:, np.newaxis],
    }[objective.task]
    penalty = WideSettings(pairs=1 << 12, l2=(l2,))

    def trained():
        training = train_wide((rows, targets), (rows, targets), pieces=60, objective=objective, settings=penalty)
        return training, training.on((rows, targets))

    few = trained()
    # Every key is fitted, as for many texts.
    monkeypatch.setattr("export.classifier.wide.span_of", lambda features: Span(features.astype(np.float64)))
    monkeypatch.setattr("export.classifier.wide._CLOSE", 1e-10)
    for found, every in zip(few, trained(), strict=True):
        assert np.abs(every.weight).max() > 0.1
        np.testing.assert_allclose(found.weight, every.weight, atol=2e-4)
        np.testing.assert_allclose(found.bias, every.bias, atol=2e-4)


def test_few_texts_need_as_many_weights_as_there_are_texts_and_many_texts_keep_their_keys():
    random = np.random.default_rng(0)
    rows = [random.integers(0, 500, size=40) for _ in range(30)]
    matrix = key_matrix(Keys(500, 1 << 12), rows)
    few, many = span_of(matrix), span_of(matrix, most=29)
    assert few.features.shape == (30, 30)
    np.testing.assert_allclose(few.features @ few.features.T, (matrix @ matrix.T).toarray(), atol=1e-6)
    assert many.features is matrix


@pytest.mark.parametrize("labels", [2, 3])
def test_head_and_wide_part_add_up_to_what_was_stacked(labels):
    """The labels are not equally frequent, so the wide part has a bias, which must not be lost."""
    random = np.random.default_rng(0)
    truth = random.choice(labels, 300, p=np.arange(1, labels + 1) / sum(range(1, labels + 1)))
    rows = [np.array([random.choice([label, random.integers(labels)]), 5]) for label in truth]
    wide = train_wide((rows, truth), (rows, truth), pieces=8, objective=OneOf(labels), settings=WideSettings(pairs=64))
    assert (np.abs(wide.bias) > 0.1).all()
    logits = 1 if labels == 2 else labels
    head = LinearHead(*(random.normal(size=shape).astype(np.float32) for shape in ((logits, 4), (logits,))))
    features = random.normal(size=(300, 4)).astype(np.float32)
    stacked = stack(head.logits(features), wide.logits(rows), truth)
    head_of_both, kept = stacked.parts(head, wide)
    together = Classifier(head_of_both, "cls", None, kept).logits(features, rows)
    np.testing.assert_allclose(together, stacked.logits(head.logits(features), wide.logits(rows)), atol=5e-3)
    alone, none = stack(head.logits(features), None, truth).parts(head, None)
    assert none is None
    assert (alone.weight == head.weight).all()
    assert (alone.bias == head.bias).all()


def test_trained_again_on_all_texts_it_knows_what_was_held_out():
    rows = [np.array([label, 3 + place % 5]) for place in range(60) for label in range(2)]
    labels = np.array([row[0] for row in rows])
    held_out = [np.array([9 + label, 3]) for label in range(2)] * 10
    known = (rows, labels), (held_out, labels[:20])
    training = train_wide(*known, pieces=12, objective=OneOf(2), settings=WideSettings(pairs=64))
    assert np.mean((training.logits(held_out)[:, 0] >= 0) == labels[:20]) == 0.5
    again = training.on((rows + held_out, np.concatenate([labels, labels[:20]])))
    assert np.mean((again.logits(held_out)[:, 0] >= 0) == labels[:20]) == 1.0
    assert (again.best, again.steps) == (training.best, training.steps)


def test_golden_rows_reach_the_cut_and_do_not_excuse_int8_by_what_the_wide_part_says(encoder_folder, tmp_path):
    encoder = load_encoder(str(encoder_folder("bert")), max_length=LENGTH, max_tokens=MOST)
    bundle = make_bundle(
        encoder, tmp_path / "b", wide=WideSettings(pairs=512), max_length=LENGTH, truncation="tail", precisions=("int8",)
    )  # fmt: skip
    golden, tolerance = bundle.manifest.golden, bundle.manifest.precisions["int8"].tolerance
    ids = encoder.tokenizer.encode([row.text for row in golden]).ids
    assert max(map(len, ids)) > LENGTH
    classifier = load_classifier(bundle)
    assert tolerances_of(golden, encoder.tokenizer, classifier) == {"int8": tolerance}
    larger = Wide(classifier.wide.keys, 100 * classifier.wide.weight)
    more = larger.logits(ids) - classifier.wide.logits(ids)
    moved = [replace(row, logits={"int8": row.logits["int8"] + added}) for row, added in zip(golden, more, strict=True)]
    found = tolerances_of(moved, encoder.tokenizer, replace(classifier, wide=larger))
    assert found["int8"] == pytest.approx(tolerance, rel=0.01)


def test_a_bundle_with_all_of_it_trains_scores_and_is_what_pytorch_says(encoder_folder, tmp_path):
    encoder = load_encoder(str(encoder_folder("bert")), max_length=LENGTH, max_tokens=MOST)
    bundle = make_bundle(
        encoder, tmp_path / "b", pooling="cls+mean1", wide=WideSettings(pairs=512), max_length=LENGTH, truncation="head+tail"
    )  # fmt: skip
    manifest = bundle.manifest
    assert (manifest.max_length, manifest.tokens_kept, manifest.truncation) == (LENGTH, MOST, "head+tail")
    assert manifest.metrics["validation"].keys() == {"encoder", "wide", "together"}
    assert manifest.metrics["test"]["accuracy"] > 0.95
    texts = [*reviews(20, 2, 8).texts, " ".join(reviews(9, 2, 8).texts)]
    scorer = Scorer(bundle, provider="cpu", precision="fp32")
    rows = scorer.model.tokenizer.encode(texts).ids
    assert max(map(len, rows)) == MOST
    logits = np.concatenate([torch_logits(encoder, load_classifier(bundle), *pad([row])) for row in rows])
    expected = 1 / (1 + np.exp(-logits[:, 0] / manifest.temperature))
    np.testing.assert_allclose(scorer.score(texts).probabilities[:, 1], expected, atol=1e-5)


def test_what_the_encoder_skips_still_counts_for_the_wide_part(encoder_folder, tmp_path):
    encoder = load_encoder(str(encoder_folder("bert")), max_length=LENGTH, max_tokens=MOST)
    bundle = make_bundle(encoder, tmp_path / "b", wide=WideSettings(pairs=512), max_length=LENGTH)
    scorer = Scorer(bundle, provider="cpu", precision="fp32")
    filler = "the film was a plot and it so the film was a plot and it so"
    good, bad = scorer.score([f"{filler} superb great lovely", f"{filler} awful dull stale"]).probabilities[:, 1]
    assert good > bad + 0.2
    session = runtime.Session(bundle.graph("fp32"), "cpu", external=bundle.external("fp32"))
    assert not session.independent_rows  # the sums of the wide part's weights are in this graph


@pytest.mark.parametrize(
    ("lengths", "truncation", "message"),
    [
        (
            (24, 24),
            "tail",
            "--truncation tail needs more tokens to choose from than --max-length 24: give a larger --max-tokens.",
        ),
        ((24, 12), "head", "--max-tokens 12 is less than --max-length 24."),
    ],
)
def test_lengths_that_do_not_go_together_are_an_error(encoder_folder, tmp_path, lengths, truncation, message):
    from export.training.settings import Settings

    encoder = load_encoder(str(encoder_folder("bert")), max_length=24, max_tokens=lengths[1])
    with pytest.raises(UsageError) as caught:
        reading_for(encoder, Settings(tmp_path / "b", "b", max_length=lengths[0], truncation=truncation))
    assert str(caught.value) == message


@pytest.mark.parametrize("pooling", ["", "max", "mean0", "mean3", "attention3", "cls1", "cls+", "mean+mean2"])
def test_a_pooling_that_is_none_is_an_error_that_names_what_there_is(pooling):
    with pytest.raises(UsageError, match="names a vector twice" if pooling == "mean+mean2" else "cls, mean, mean1"):
        vectors(pooling, 2)


def test_a_manifest_says_how_many_tokens_are_kept(bundle):
    plain = bundle.manifest
    assert replace(plain, max_tokens=None).tokens_kept == plain.max_length
    assert replace(plain, max_tokens=400).tokens_kept == 400
    with pytest.raises(ValueError, match="max_tokens must be between max_length and"):
        replace(plain, max_tokens=plain.max_length - 1)
    with pytest.raises(ValueError, match="a temperature must be between"):
        replace(plain, calibration={"temperature": 0.0})
    with pytest.raises(ValueError, match="a temperature must be between"):
        replace(plain, calibration={"temperature": "1"})
    assert isinstance(plain, Manifest)
    assert Cut(4, 1) == cut_of("tail", 4)
