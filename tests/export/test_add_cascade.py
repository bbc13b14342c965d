"""A cascade for a bundle that was trained without one: same weights, and same scores for texts that the encoder decides."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from factories import MAX_LENGTH, list_again, make_bundle, reviews

from export.bundle.apart import with_wide_apart
from export.bundle.bundle import load_classifier
from export.classifier.settings import CascadeSettings, WideSettings
from export.classifier.wide import Wide
from export.data import Dataset, Split
from export.encoder.load import load_encoder
from export.encoder.weights import encoder_weights
from export.errors import DatasetError, ExportError
from export.graph.classifier import set_head_bias
from export.graph.fp16 import to_half
from export.graph.fp32 import to_float32
from export.graph.int8 import to_int8
from export.graph.split import without_wide
from export.training.add_cascade import add_cascade
from export.training.checks import check_recallable
from export.training.settings import AddSettings
from scorer import Scorer
from scorer.engine.cascade import Cascade
from scorer.engine.row_engine import RowEngine
from scorer.engine.wide import Keys
from scorer.model.bundle import HEAD, MANIFEST, load_bundle

LABELS = ("negative", "positive")
DATASET = Dataset("synthetic", LABELS, reviews(400, 2, 1), reviews(120, 2, 2))
LENIENT = CascadeSettings(loss=5.0, ece=1.0, least_texts=20)
TEXTS = reviews(200, 2, 9).texts


def ignored(line):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cascade")


@pytest.fixture(scope="module")
def long_encoder(encoder_folder):
    return load_encoder(str(encoder_folder("bert")), max_length=MAX_LENGTH, max_tokens=2 * MAX_LENGTH)


@pytest.fixture(scope="module")
def old(long_encoder, folder):
    """A bundle with the wide part inside each of its graphs, as in earlier versions; the encoder reads some texts in part."""
    wide = WideSettings(pairs=512)
    more = {"wide": wide, "cascade": None, "max_length": 12, "truncation": "head+tail"}
    return make_bundle(long_encoder, folder / "old", LABELS, **more)


@pytest.fixture(scope="module")
def new(old, folder):
    return add_cascade(old, DATASET, AddSettings(folder / "new", LENIENT, quiet=True), ignored)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_without_its_cascade_the_new_bundle_gives_the_old_scores_bit_for_bit(old, new, precision):
    before = Scorer(old, provider="cpu", precision=precision).score(TEXTS)
    after = Scorer(new, provider="cpu", precision=precision, cascade=False).score(TEXTS)
    assert after.probabilities.tobytes() == before.probabilities.tobytes()
    assert Scorer(new, provider="cpu", precision=precision).score(TEXTS).probabilities.tobytes() != after.probabilities.tobytes()  # fmt: skip


def test_weights_tokenizer_and_head_keep_their_bytes(old, new):
    kept = [name for name in old.files if not name.endswith(".onnx") and name != MANIFEST]
    assert {name for name in kept if name.startswith("weights.")} == {"weights.fp32.bin", "weights.int8.bin"}
    assert {name: new.files[name] == old.files[name] for name in kept} == dict.fromkeys(kept, True)
    assert set(new.files) == {*old.files, "wide.onnx"}
    # The wide part's graph shares the file of weights with the other graphs.
    assert len(new.files["wide.onnx"]) < 10_000
    assert new.outside["wide.onnx"] == old.outside["model.fp32.onnx"]


def test_the_new_manifest_differs_where_the_cascade_is(old, new):
    before, after = (json.loads(one.files[MANIFEST]) for one in (old, new))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"needs", "confidence", "golden", "training", "metrics", "reference", "parity"}
    assert set(after) - set(before) == {"wide", "cascade"}
    assert (before["needs"], after["needs"]) == (["confidence"], ["cascade", "confidence"])
    scored = sum(before["confidence"]["int8"]["texts"])
    assert set(before["confidence"]) == {"fp32", "fp16", "int8"}
    assert set(after["confidence"]) == {"int8"}  # no other precision was scored again
    assert sum(after["confidence"]["int8"]["texts"]) == scored == after["metrics"]["test_texts"]
    assert after["training"] == {
        **before["training"],
        "cascade": {"loss": 5.0, "ece": 1.0, "most": 1.0, "least_texts": 20},
    }
    assert after["parity"] == {**before["parity"], "wide": after["parity"]["wide"]}
    assert 0 < after["parity"]["wide"] < 1e-4
    kept = {
        name: found for name, found in before["metrics"].items() if name not in ("by_length", "by_group", "costliest")
    }
    assert {name: after["metrics"][name] for name in kept} == kept
    for then, now in zip(before["golden"], after["golden"], strict=True):
        assert {**then["logits"], "wide": now["logits"]["wide"]} == now["logits"]
    assert after["reference"]["score_without_cascade"] == before["reference"]["score"]


def test_held_out_texts_of_a_balanced_training_are_recalled_with_their_weights(long_encoder, folder):
    rare = np.concatenate([np.flatnonzero(DATASET.train.labels == 0), np.flatnonzero(DATASET.train.labels == 1)[:30]])
    train_split = Split([DATASET.train.texts[row] for row in sorted(rare)], DATASET.train.labels[sorted(rare)])
    dataset = replace(DATASET, train=train_split)
    of_fit = {"wide": WideSettings(pairs=512), "cascade": None, "balance": True, "precisions": ("fp32",)}
    balanced = make_bundle(long_encoder, folder / "balanced", LABELS, dataset=dataset, max_length=12, **of_fit)
    assert balanced.manifest.training["balance"] is True
    found = add_cascade(balanced, dataset, AddSettings(folder / "balanced-new", LENIENT, quiet=True), ignored)
    assert found.manifest.training["balance"] is True
    plain = replace(balanced.manifest, training={**balanced.manifest.training, "balance": False})
    with pytest.raises(ExportError, match="the loss of the wide part on training and held-out texts was"):
        add_cascade(replace(balanced, manifest=plain), dataset, AddSettings(folder / "other", LENIENT), ignored)


def test_figures_of_the_new_bundle_are_those_of_the_held_out_and_the_test_texts(old, new):
    found = new.manifest.metrics["cascade"]
    assert found["held_out"]["texts"] == old.manifest.metrics["validation_texts"] == 40
    assert found["held_out"]["chosen"]["rows"] > 0.5
    assert found["points"]["texts"] == 120
    scored = Scorer(new, provider="cpu").score(DATASET.test.texts)
    right = np.mean([LABELS[label] == said for label, said in zip(DATASET.test.labels, scored.labels, strict=True)])
    assert found["test"]["accuracy"] == found["points"]["chosen"]["accuracy"] == right
    card = (new.path / "README.md").read_text()
    assert "## The cascade" in card
    assert {one.name for one in new.path.glob("*.png")} == {
        "confusion.png",
        "reliability.png",
        "loss.png",
        "cascade.png",
    }
    assert (new.path / "loss.png").read_bytes() == (old.path / "loss.png").read_bytes()


def test_a_bundle_of_several_domains_has_the_figures_of_each(long_encoder, folder):
    train, test = (
        replace(split, domains=tuple("hotels" if row % 2 else "films" for row in range(len(split))))
        for split in (DATASET.train, DATASET.test)
    )
    dataset, lenient = replace(DATASET, train=train, test=test), replace(LENIENT, domain_loss=100.0, least_of_domain=5)
    more = {"wide": WideSettings(pairs=512), "max_length": 12, "precisions": ("fp32",), "dataset": dataset}
    trained = make_bundle(long_encoder, folder / "domains", LABELS, cascade=lenient, **more)
    without = make_bundle(long_encoder, folder / "no-cascade", LABELS, cascade=None, **more)
    added = add_cascade(without, dataset, AddSettings(folder / "added", lenient, quiet=True), ignored)
    for bundle in (trained, added):
        manifest = bundle.manifest
        assert manifest.training["cascade"]["domain_loss"] == 100.0
        held_out, test_texts = manifest.metrics["cascade"]["held_out"], manifest.metrics["cascade"]["by_group"]
        assert [(one["name"], one["texts"]) for one in held_out["domains"]] == [("films", 20), ("hotels", 20)]
        assert [(one["name"], one["texts"]) for one in test_texts] == [("films", 60), ("hotels", 60)]
        card = (bundle.path / "README.md").read_text()
        assert "Held-out texts by domain:" in card
        assert "a domain lost more than 100 points" in card
    assert added.manifest.cascade.limits == pytest.approx(trained.manifest.cascade.limits, rel=0.02)


@pytest.mark.parametrize("truncation", ["head", "head+tail"])
@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_a_graph_without_its_wide_part_is_the_one_that_training_writes(
    long_encoder, folder, old, precision, truncation
):
    whole = load_classifier(old)
    if truncation == "head":
        whole = replace(whole, reading=None)
    apart = replace(whole, cascade=Cascade(1.0, (0.0,), (-1.0, 1.0)))
    weights, ids = encoder_weights(long_encoder), long_encoder.tokenizer.encode(TEXTS[:20]).ids
    graphs = []
    for classifier in (whole, apart.encoders_part):
        if precision == "fp32":
            graphs.append(to_float32(weights, classifier))
        elif precision == "int8":
            graphs.append(to_int8(weights, classifier, ids))
        else:
            graphs.append(to_half(weights, classifier, ids).graph)
    found, direct = without_wide(graphs[0]), graphs[1]
    biases = [next(one for one in graph.graph.initializer if one.name == "head.bias") for graph in (found, direct)]
    values = [np.frombuffer(one.raw_data, np.float32) for one in biases]
    # The bias correction is a mean of logits, which include the wide part in one graph only.
    np.testing.assert_allclose(*values, atol=1e-5)
    set_head_bias(found, replace(whole.head, bias=values[1]))
    assert found == direct


def test_a_graph_without_a_wide_part_cannot_be_split(bundle):
    import onnx

    with pytest.raises(ExportError, match="does not add a wide part"):
        without_wide(onnx.load_from_string(bundle.graph("fp32")))


# Refusals


def test_a_bundle_without_a_wide_part_is_refused(bundle, tmp_path):
    with pytest.raises(
        ExportError, match=r"has no wide part, which a cascade needs\. Train a bundle without --no-wide."
    ):
        add_cascade(bundle, DATASET, AddSettings(tmp_path / "b"), ignored)


def test_a_bundle_with_a_cascade_is_refused(new, tmp_path):
    with pytest.raises(ExportError, match=r"new already has a cascade\. Give the bundle that it was made from"):
        add_cascade(new, DATASET, AddSettings(tmp_path / "b"), ignored)


def test_a_bundle_without_its_head_is_refused(old, tmp_path):
    shutil.copytree(old.path, tmp_path / "old")
    (tmp_path / "old" / HEAD).unlink()
    sums = (tmp_path / "old" / "SHA256SUMS").read_text().splitlines(keepends=True)
    (tmp_path / "old" / "SHA256SUMS").write_text("".join(line for line in sums if HEAD not in line))
    with pytest.raises(ExportError, match=f"has no {HEAD}, so its classifier is unknown"):
        add_cascade(load_bundle(tmp_path / "old"), DATASET, AddSettings(tmp_path / "b"), ignored)


def test_a_manifest_that_does_not_say_how_it_was_trained_is_refused(old, tmp_path):
    odd = changed(old, tmp_path / "odd", training={"seed": 0}, metrics={**old.manifest.metrics, "wide": {}})
    with pytest.raises(
        ExportError,
        match=r"manifest.json lacks a valid training\.validation_share, metrics\.wide, so the held-out texts cannot be found",
    ):
        add_cascade(odd, DATASET, AddSettings(tmp_path / "b"), ignored)


def changed(bundle, folder, **fields):
    """Copy a bundle and change its manifest, with valid checksums."""
    shutil.copytree(bundle.path, folder)
    (folder / MANIFEST).write_bytes(replace(bundle.manifest, **fields).to_json())
    list_again(folder)
    return load_bundle(folder)


@pytest.mark.parametrize("pairs", [10**9, 0, -1, True, "many", 512.0, None])
def test_a_number_of_pairs_that_does_not_fit_the_weights_is_refused(old, tmp_path, pairs):
    odd = changed(old, tmp_path / "odd", head={**old.manifest.head, "wide_pairs": pairs})
    with pytest.raises(ExportError, match=rf"odd: model\.fp\d\d\.onnx has wide weights .* do not fit '{pairs}' pairs"):
        load_classifier(odd)


def test_more_pairs_than_leave_weights_for_the_vocabulary_are_refused(old, tmp_path):
    odd = changed(old, tmp_path / "odd", head={**old.manifest.head, "wide_pairs": 530})
    with pytest.raises(
        ExportError, match=r"odd has wide weights for \d+ pieces, but the tokenizer's highest id is \d+"
    ):
        load_classifier(odd)


def test_a_bundle_with_a_cascade_has_the_pairs_that_its_scorer_checks(new, tmp_path):
    odd = changed(new, tmp_path / "odd", head={**new.manifest.head, "wide_pairs": 10**9})
    assert load_classifier(odd).wide.keys.pairs == 512


def test_a_graph_without_the_weights_that_the_manifest_speaks_of_is_refused(bundle, tmp_path):
    odd = changed(bundle, tmp_path / "odd", head={**bundle.manifest.head, "wide_pairs": 512})
    with pytest.raises(ExportError, match=r"odd: the wide part cannot be read from .* it has no tensor 'wide\.weight'"):
        load_classifier(odd)
    cascade = Cascade(1.0, (0.0,), (-1.0, 1.0))
    wide = Wide(Keys(10, 5), np.zeros((15, 1), np.float16))
    with pytest.raises(ExportError, match="does not add a wide part"):
        with_wide_apart(bundle, wide, cascade, tmp_path / "b")


LONGER = replace(DATASET.test, texts=[f"{text} and so on and on and it was so very so" for text in DATASET.test.texts])


@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        (replace(DATASET, train=reviews(401, 2, 1)), ExportError, "it was trained on 400 texts, of which 40 were held out, and tested on 120, but these are 401 and 120"),
        (replace(DATASET, test=reviews(119, 2, 2)), ExportError, "these are 400 and 119"),
        (replace(DATASET, test=LONGER), ExportError, "the lengths of the test texts differ"),
        (replace(DATASET, test=reviews(120, 2, 3)), ExportError, r"the loss of the bundle on test texts was 0\.\d{4}, but with these it is 0"),
        (replace(DATASET, train=reviews(400, 2, 7)), ExportError, "the loss of the wide part on training and held-out texts was"),
        (replace(DATASET, labels=("bad", "good")), ExportError, "old has the labels negative, positive, but these texts have bad, good"),
        (replace(DATASET, train=replace(DATASET.train, texts=["\u200b", *DATASET.train.texts[1:]])), DatasetError, "the tokenizer finds no token in 1 of the texts"),
    ],
    ids=["more", "fewer-tests", "longer-tests", "other-tests", "other", "labels", "empty"],
)  # fmt: skip
def test_other_texts_than_those_of_the_training_are_refused(old, tmp_path, other, error, message):
    with pytest.raises(error, match=message):
        add_cascade(old, other, AddSettings(tmp_path / "b", LENIENT, quiet=True), ignored)
    assert not (tmp_path / "b").exists()


def test_where_nothing_can_be_chosen_no_bundle_is_written(old, tmp_path):
    lines, strict = [], replace(LENIENT, most=0.001)
    with pytest.raises(ExportError, match=r"old: .* --cascade-most 0\.001 .*\. No bundle was written\.$"):
        add_cascade(old, DATASET, AddSettings(tmp_path / "b", strict, quiet=True), lines.append)
    assert lines == []
    assert not (tmp_path / "b").exists()


def test_too_few_held_out_texts_are_refused_before_any_text_is_read(old, tmp_path):
    nothing = replace(DATASET, train=reviews(2, 2, 1), test=reviews(2, 2, 2))
    with pytest.raises(
        ExportError, match=r"old: 40 held-out texts are too few: 2,000 are needed\. No bundle was written\."
    ):
        add_cascade(old, nothing, AddSettings(tmp_path / "b", quiet=True), ignored)


STEP = {"number": 0.001, "train_loss": 0.1, "validation_loss": 0.2}


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("head", "wide_pairs", "512"),
        ("head", "wide_pairs", 0),
        *(("training", "seed", odd) for odd in ("x", -1, 1.5, True, None)),
        *(("training", "validation_share", odd) for odd in ("0.1", 0, 1, -0.5, True, None)),
        *(("metrics", name, odd) for name in ("train_texts", "validation_texts", "test_texts") for odd in ("40", 0, 4.5)),
        *(("metrics", "precisions", odd) for odd in (None, [], {}, {"int8": None}, {"int8": {}}, {"int8": {"log_loss": "0.2"}}, {"int8": {"log_loss": -1}})),
        *(("metrics", "wide", odd) for odd in (None, [], {}, {"kept": 0.001}, {"kept": 0.001, "steps": None}, {"kept": 0.001, "steps": [None]}, {"kept": 0.001, "steps": [{}]})),
        *(("metrics", "wide", {"kept": odd, "steps": [STEP]}) for odd in (0.002, "0.001", None)),
        *(("metrics", "wide", {"kept": odd, "steps": [{**STEP, "number": odd}]}) for odd in (0, -1, True, 10**400)),
        *(("metrics", "wide", {"kept": 0.001, "steps": [{**STEP, name: "0.1"}]}) for name in ("train_loss", "validation_loss")),
        ("metrics", "wide", {"kept": 0.001, "steps": [STEP, STEP]}),
    ],
)  # fmt: skip
def test_a_manifest_with_an_invalid_value_about_its_training_is_refused(old, tmp_path, part, name, value):
    odd = changed(old, tmp_path / "odd", **{part: {**getattr(old.manifest, part), name: value}})
    with pytest.raises(
        ExportError, match=rf"odd/manifest\.json lacks a valid {part}\.{name}, so the held-out texts cannot be found"
    ):
        add_cascade(odd, DATASET, AddSettings(tmp_path / "b", LENIENT), ignored)


def test_a_bundle_that_is_not_written_yet_is_a_bundle(old, tmp_path):
    cascade = Cascade(1.0, (0.0,), (-1.0, 1.0))
    found = with_wide_apart(old, load_classifier(old).wide, cascade, tmp_path / "b")
    assert (found.path, found.manifest.cascade) == (tmp_path / "b", cascade)
    assert Scorer(found, provider="cpu").score(["good"]).labels == ["positive"]


# The command


@pytest.fixture(scope="module")
def files(folder):
    """A folder of data, large enough that half of the training texts suffice to choose a cascade."""
    for name, split in (("train", reviews(4_100, 2, 1)), ("test", reviews(200, 2, 2))):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            rows = zip(split.texts, (LABELS[label] for label in split.labels), strict=True)
            csv.writer(file).writerows([("text", "label"), *rows])
    (folder / "probes.csv").write_text("text,label,kind\na good plot,positive,plain\n")
    (folder / "notes.md").write_text("A note of ours.\n")
    return folder


@pytest.fixture
def data(files):
    return "--train-file", files / "train.csv", "--test-file", files / "test.csv"


def test_the_command_gives_the_cascade_that_training_gives(score_model, files, data, encoder_folder, tmp_path):
    encoder = encoder_folder("bert")
    how = (
        "--encoder",
        encoder,
        "--max-length",
        "24",
        "--wide-pairs",
        "512",
        "--validation-share",
        "0.5",
        "--pooling",
        "cls",
    )
    more = ("--no-baseline", "--precisions", "fp32", "--cache-dir", tmp_path / "cache", "-q", *data)
    trained = {}
    for name in ("cascade", "no-cascade"):
        found = score_model("train", *how, *more, f"--{name}", "-o", tmp_path / name)
        assert found.code == 0, found.err
        trained[name] = found.out
    assert "cascade: the wide part alone decides" in trained["cascade"]
    assert "cascade:" not in trained["no-cascade"]
    noted = ("--probes", files / "probes.csv", "--notes", files / "notes.md")
    found = score_model("cascade", tmp_path / "no-cascade", "-o", tmp_path / "added", "-q", *data, *noted)
    assert found.code == 0, found.err
    assert "cascade: the wide part alone decides" in found.out + found.err
    direct, added = load_bundle(tmp_path / "cascade"), load_bundle(tmp_path / "added")
    # The share of the wide part is fitted again, to the logits of the graph instead of PyTorch's.
    for name in ("scale", "bias", "limits"):
        np.testing.assert_allclose(
            getattr(added.manifest.cascade, name), getattr(direct.manifest.cascade, name), rtol=1e-2, atol=1e-2
        )
    for name in ("wide.onnx", "model.fp32.onnx", "weights.fp32.bin", HEAD):
        assert added.files[name] == direct.files[name], name
    card = (tmp_path / "added" / "README.md").read_text()
    assert "A note of ours." in card
    assert "1 short texts written for the purpose" in card
    parity = score_model(
        "parity", tmp_path / "added", "--encoder", encoder, "--data", files / "test.csv", "--rows", "40"
    )
    assert parity.code == 0, parity.err


@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_rows_are_scored_at_a_time_as_threads_say(old, tmp_path, monkeypatch, threads):
    found, begin = [], RowEngine.__init__

    def recorded(self, session, threads, *more, **named):
        found.append(threads)
        begin(self, session, threads, *more, **named)

    monkeypatch.setattr(RowEngine, "__init__", recorded)
    probes = Split(["a good plot"], np.array([1]), groups=("plain",))
    add_cascade(old, DATASET, AddSettings(tmp_path / "b", LENIENT, probes, threads=threads, quiet=True), ignored)
    assert len(found) >= 5
    assert set(found) == {threads}


def test_the_command_hands_its_threads_on(score_model, old, data, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr("export.training.add_cascade.add_cascade", lambda *given: found.append(given[2].threads))
    monkeypatch.setattr(CascadeSettings, "too_few", lambda self, texts: None)
    for more, threads in ((("--threads", "1"), 1), ((), None)):
        done = score_model("cascade", old.path, "-o", tmp_path / "b", *more, *data)
        assert (done.code, found.pop()) == (0, threads), done.err


def test_the_command_refuses_places_before_anything_is_read(score_model, old, files, data, tmp_path):
    shutil.copytree(old.path, tmp_path / "b")
    for output, message in (
        (
            tmp_path / "b",
            f"--output {tmp_path / 'b'} is the bundle {tmp_path / 'b'}, which never changes, or lies in it",
        ),
        (tmp_path / "b" / "new", ", which never changes, or lies in it; write elsewhere."),
        (tmp_path, f"{tmp_path} already exists and is not a bundle"),
    ):
        found = score_model("cascade", tmp_path / "b", "-o", output, "--overwrite", *data)
        assert (found.code, message in found.err) == (2 if output != tmp_path else 1, True), found.err
    (tmp_path / "b" / "notes.md").touch()
    found = score_model("cascade", tmp_path / "b", "-o", tmp_path / "n", "--notes", tmp_path / "none.md", *data)
    assert found.code == 2
    found = score_model("cascade", tmp_path / "b", "-o", tmp_path / "n", "--test-file", files / "train.csv")
    assert (found.code, "--test-file needs --train-file, the texts to train on." in found.err) == (2, True)


def test_the_command_says_which_bundle_it_cannot_use_and_why(score_model, bundle, new, data, tmp_path):
    for given, message in ((bundle.path, "has no wide part"), (new.path, "already has a cascade")):
        found = score_model("cascade", given, "-o", tmp_path / "b", *data)
        assert (found.code, message in found.err) == (1, True), found.err
    assert score_model("cascade", tmp_path / "none", "-o", tmp_path / "b", *data).code == 5


def test_a_bundle_trained_from_one_file_gets_its_cascade_from_that_file(score_model, encoder_folder, tmp_path):
    split = reviews(5_400, 2, 1)
    with (tmp_path / "all.csv").open("w", newline="") as file:
        rows = zip(split.texts, (LABELS[label] for label in split.labels), strict=True)
        csv.writer(file).writerows([("text", "label"), *rows])
    one = ("--train-file", tmp_path / "all.csv", "--cache-dir", tmp_path / "cache", "-q")
    how = (
        "--encoder",
        encoder_folder("bert"),
        "--max-length",
        "24",
        "--wide-pairs",
        "512",
        "--validation-share",
        "0.5",
    )
    bundle = tmp_path / "b"
    found = score_model("train", *one, *how, "--no-cascade", "--no-baseline", "--precisions", "fp32", "-o", bundle)
    assert found.code == 0, found.err
    found = score_model("cascade", bundle, "-o", tmp_path / "added", *one)
    assert found.code == 0, found.err
    assert "as in an earlier run" in found.err
    assert load_bundle(tmp_path / "added").manifest.training["test_part"] == {"share": 0.2}
    other = score_model("cascade", bundle, "-o", tmp_path / "other", *one, "--test-share", "0.3")
    assert (other.code, "these are not the texts that" in other.err) == (1, True), other.err


def test_a_bundle_of_a_cross_validation_is_refused(old, folder):
    """Its manifest has the number of folds instead of the share that was held out."""
    training = {name: value for name, value in old.manifest.training.items() if name != "validation_share"}
    made = changed(old, folder / "crossed", training={**training, "folds": 10})
    with pytest.raises(ExportError) as caught:
        check_recallable(made, CascadeSettings())
    assert str(caught.value) == (
        f"{made.path} was trained by cross-validation, since its texts are few: none were held out for good, and a cascade needs "
        "2,000. Train a bundle with more texts."
    )
