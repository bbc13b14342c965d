"""`score-model import` of models that give a text any number of labels, or values, through the whole command."""

import csv
import json

import numpy as np
import onnx
import pytest
import torch
import transformers
from factories import reviews
from tiny_checkpoints import Notebook, save_checkpoint, saved_once
from tiny_tokenizers import tiny_tokenizer

from export.graph import source
from export.importing import graphs as importing_graphs
from scorer import Scorer
from scorer.model.bundle import load_bundle

MULTI, VALUES = "multi_label_classification", "regression"
TOPICS = ("plot", "sound", "cast")
TEXTS = 160


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Folder of a tiny checkpoint with some labels and a problem_type."""
    return saved_once(tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """CSV of texts, some of them long, without labels."""
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    path.write_text("".join(f"{text}\n" for text in ("text", *words())))
    return path


def words():
    return [f"{text} " * (1 + 12 * (row % 9 == 0)) for row, text in enumerate(reviews(TEXTS, 2, 4).texts)]


def written(path):
    """Read the rows of an output file."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def imported(score_model, *arguments):
    """Run an import that must succeed; return its result."""
    result = score_model("import", *arguments, "-q", "--threads", "1")
    assert result.code == 0, result.err
    return result


def refused(score_model, *arguments):
    """Run an import that must be refused as wrong usage; return its message."""
    result = score_model("import", *arguments, "-q", "--threads", "1")
    assert result.code == 2, result.err
    return result.err


def piped(folder, given=None, **options):
    """All scores of transformers' own pipeline by label name, for each text."""
    pipe = transformers.pipeline("text-classification", model=str(folder), device="cpu", **options)
    found = [pipe(text, top_k=None, truncation=True, max_length=64) for text in given or words()]
    return [{one["label"]: one["score"] for one in scores} for scores in found]


def scored(score, bundle, texts, output, *options):
    """Rows that a bundle gives to texts."""
    result = score(texts, "-o", output, "--model", bundle, *options)
    assert result.code == 0, result.err
    return written(output)


@pytest.mark.parametrize("kind", ["bert", "roberta", "nomic_bert"])
def test_every_label_and_its_probability_are_the_pipelines(kind, checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint(kind, TOPICS, MULTI), tmp_path / "bundle"
    log = imported(score_model, folder, "-o", bundle, "--texts", texts, "--precisions", "fp32").out
    sets = set()
    for row, theirs in zip(scored(score, bundle, texts, tmp_path / "out.csv"), piped(folder), strict=True):
        assert [float(row[f"score_{label}"]) for label in TOPICS] == pytest.approx(
            [theirs[label] for label in TOPICS], abs=1.1e-5
        )
        assert row["labels"] == "|".join(label for label in TOPICS if theirs[label] >= 0.5)
        sets.add(row["labels"])
    assert len(sets) > 3
    manifest, card = load_bundle(bundle).manifest, (bundle / "README.md").read_text()
    assert (manifest.task, manifest.labels, manifest.logit_count) == ("multi_label", TOPICS, 3)
    assert manifest.needs == ("imported", "multi_label")
    assert (manifest.positive_label, manifest.thresholds, manifest.calibration) == (None, None, None)
    exact = manifest.source["certificate"]["fp32"]
    assert exact["logit"]["largest"] < 1e-4
    assert exact["probability"]["largest"] < 1e-5
    assert exact["least"] == exact["labels"]["share"] == exact["pipeline"]["labels"]["share"] == 1
    assert exact["pipeline"]["labels"]["texts"] == TEXTS / 2
    assert manifest.reference.texts == TEXTS
    assert "Gives each text any number of the labels plot, sound and cast." in card
    assert "with truncation and `top_k=None`" in card
    assert f"| fp32 | 80 | {exact['logit']['largest']:.1e} |" in card
    assert f"any number of the labels {', '.join(TOPICS)}" in log
    assert "PyTorch's labels for 100.00% of 80 texts, the pipeline's for 100.00% of 80" in log


@pytest.mark.parametrize("labels", [("toxic",), ("toxic", "rude")])
def test_two_labels_keep_two_logits_and_one_keeps_one(labels, checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint("distilbert", labels, MULTI), tmp_path / "bundle"
    imported(score_model, folder, "-o", bundle)
    assert load_bundle(bundle).manifest.logit_count == len(labels)
    for row, theirs in zip(scored(score, bundle, texts, tmp_path / "out.csv"), piped(folder), strict=True):
        for label in labels:
            assert float(row[f"score_{label}"]) == pytest.approx(theirs[label], abs=1.1e-5)
            assert (label in row["labels"].split("|")) == (theirs[label] >= 0.5)
    assert "--positive-label is for one label of two a text" in refused(
        score_model, folder, "-o", tmp_path / "c", "--positive-label", "toxic"
    )


@pytest.mark.parametrize(
    ("kind", "scale", "offset"),
    [("bert", 1e-3, 2.0), ("roberta", 1e4, 5e5), ("nomic_bert", 1.0, 0.0)],
)
def test_a_value_of_any_size_is_the_pipelines(kind, scale, offset, checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint(kind, 1, VALUES, scale=scale, offset=offset), tmp_path / "bundle"
    log = imported(score_model, folder, "-o", bundle, "--texts", texts, "--precisions", "fp32").out
    manifest, card = load_bundle(bundle).manifest, (bundle / "README.md").read_text()
    theirs = np.array([one["LABEL_0"] for one in piped(folder)])
    rows = scored(score, bundle, texts, tmp_path / "out.csv")
    assert list(rows[0]) == ["row", "score"]
    # The output has six decimals, and PyTorch's own float32 has steps of 1/32 at 5e5.
    allowed = 1e-4 * theirs.std() + np.spacing(np.float32(offset))
    assert [float(row["score"]) for row in rows] == pytest.approx(theirs, abs=allowed + 5e-7)
    assert Scorer(bundle, provider="cpu").score(words()).values[:, 0] == pytest.approx(theirs, abs=allowed)
    assert (manifest.task, manifest.labels, manifest.needs) == ("regression", ("score",), ("imported", "regression"))
    assert (manifest.calibration, manifest.confidence) == (None, None)
    # The graph works in standard deviations of the values, so its golden rows keep their tolerance.
    assert 0.7 < theirs.std() / manifest.unit.scale[0] < 1.5
    assert abs(theirs.mean() - manifest.unit.offset[0]) < manifest.unit.scale[0]
    assert manifest.precisions["fp32"].tolerance == 1e-3
    found = manifest.source["certificate"]["fp32"]
    assert found["logit"]["largest"] < (1e-3 if scale < 1 else 1e-4)
    assert found["value"]["largest"] == pytest.approx(found["logit"]["largest"] * manifest.unit.scale[0], rel=1e-3)
    assert found["explained"]["share"] > 0.9999
    assert found["pipeline"]["explained"]["share"] > 0.9999
    assert not {"probability", "labels", "least"} & found.keys()
    assert "Gives each text a number." in card
    assert f"| fp32 | 80 | {found['logit']['largest']:.1e} |" in card
    assert "of the variance of PyTorch's values is explained over 80 texts" in log
    # Drift is counted in edges of these values.
    score_of = manifest.reference.score
    assert len(score_of.edges) == 21
    assert score_of.edges[0] - allowed <= theirs.min()
    assert theirs.max() <= score_of.edges[-1] + allowed
    assert score_of.total == TEXTS
    assert max(score_of.counts) < TEXTS / 2


@pytest.mark.parametrize("task", [MULTI, VALUES])
def test_every_precision_passes_its_gate_on_large_outputs(task, checkpoint, texts, tmp_path, score_model, score):
    labels, scale = (1, 1e4) if task == VALUES else (TOPICS, 1.0)
    folder, bundle = checkpoint("bert", labels, task, scale=scale), tmp_path / "bundle"
    log = imported(score_model, folder, "-o", bundle, "--texts", texts).out
    manifest = load_bundle(bundle).manifest
    assert set(manifest.precisions) == {"fp32", "fp16", "int8"}, log
    for precision in manifest.precisions:
        result = score("--check", "--model", bundle, "--precision", precision)
        assert result.code == 0, result.err
        found = manifest.source["certificate"][precision]
        assert (found["explained"]["share"] if task == VALUES else found["least"]) >= 0.97


def test_several_outputs_are_values_with_names(checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint("roberta", 2, VALUES, scale=3.0), tmp_path / "bundle"
    message = score_model("import", folder, "-o", bundle, "-q").err
    assert (
        "has no names for its outputs, only LABEL_0, LABEL_1: name its 2 outputs in the order of their ids" in message
    )
    names = ("--label-names", "valence,arousal")
    imported(score_model, folder, "-o", bundle, "--texts", texts, "--precisions", "fp32", *names)
    for row, theirs in zip(scored(score, bundle, texts, tmp_path / "out.csv"), piped(folder), strict=True):
        assert list(row) == ["row", "score_valence", "score_arousal"]
        for name, made_up in (("valence", "LABEL_0"), ("arousal", "LABEL_1")):
            assert float(row[f"score_{name}"]) == pytest.approx(theirs[made_up], abs=1e-4)
    assert "Gives each text numbers: valence and arousal." in (bundle / "README.md").read_text()
    imported(score_model, folder, "-o", tmp_path / "kept", "--keep-label-names")
    assert load_bundle(tmp_path / "kept").manifest.labels == ("LABEL_0", "LABEL_1")


def test_one_output_without_a_problem_type_needs_a_persons_word(checkpoint, texts, tmp_path, score_model, score):
    folder = checkpoint("distilbert", 1, None)
    message = refused(score_model, folder, "-o", tmp_path / "b")
    assert f"score-model import {folder} --task regression." in message
    assert f"score-model import {folder} --task multi_label --label-names NAME." in message
    assert "--task single_label chooses one of two or more labels" in refused(
        score_model, folder, "-o", tmp_path / "b", "--task", "single_label"
    )
    assert not (tmp_path / "b").exists()

    log = imported(score_model, folder, "-o", tmp_path / "value", "--task", "regression").out
    remark = (
        'the pipeline of transformers applies no function only if it gets function_to_apply="none", as for the certificate, '
        "and a sigmoid otherwise"
    )
    assert f"--task regression was given, while the checkpoint's settings have no problem_type; {remark}" in log
    assert remark in (tmp_path / "value" / "README.md").read_text()
    imported(score_model, folder, "-o", tmp_path / "label", "--task", "multi_label", "--label-names", "toxic")
    assert "--task" not in (tmp_path / "label" / "README.md").read_text()  # it is what the pipeline does
    values = scored(score, tmp_path / "value", texts, tmp_path / "value.csv")
    labels = scored(score, tmp_path / "label", texts, tmp_path / "label.csv")
    for value, label, theirs in zip(values, labels, piped(folder), strict=True):
        assert float(label["score_toxic"]) == pytest.approx(theirs["LABEL_0"], abs=1.1e-5)
        assert 1 / (1 + np.exp(-float(value["score"]))) == pytest.approx(theirs["LABEL_0"], abs=1.1e-5)


def test_a_task_that_is_given_wins_over_the_settings(checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint("bert", TOPICS, MULTI), tmp_path / "bundle"
    imported(score_model, folder, "-o", bundle, "--task", "single_label", "--texts", texts, "--precisions", "fp32")
    theirs = piped(folder, function_to_apply="softmax")
    for row, one in zip(scored(score, bundle, texts, tmp_path / "out.csv"), theirs, strict=True):
        assert row["label"] == max(one, key=one.get)
        assert float(row["score"]) == pytest.approx(max(one.values()), abs=1.1e-5)
    manifest, card = load_bundle(bundle).manifest, (bundle / "README.md").read_text()
    assert (manifest.task, manifest.needs) == ("single_label", ("imported",))
    assert manifest.source["certificate"]["fp32"]["pipeline"]["labels"]["share"] == 1
    assert "--task single_label was given, while the checkpoint's settings have the problem_type multi_label" in card
    assert 'applies a softmax only if it gets function_to_apply="softmax", as for the certificate' in card


def labelled(folder, tmp_path, form, most_cast=TEXTS):
    """File of texts with the labels of a model's own answers, one in ten of them wrong; return it with its options."""
    rows = []
    for row, theirs in enumerate(piped(folder)):
        have = {label for label in TOPICS if theirs[label] >= 0.5}
        if row % 10 == 3:
            have ^= {"plot"}
        if row >= most_cast:
            have.discard("cast")
        rows.append(sorted(have, reverse=True))
    path = tmp_path / f"labelled.{'csv' if form == 'csv' else 'jsonl'}"
    if form == "csv":
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["text", "topics"])
            writer.writerows([text, ";".join(one)] for text, one in zip(words(), rows, strict=True))
        return path, ("--label-column", "topics", "--label-separator", ";")
    numbered = [[TOPICS.index(label) for label in one] for one in rows] if form == "ids" else rows
    lines = [json.dumps({"text": text, "topics": one}) for text, one in zip(words(), numbered, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path, ("--label-column", "topics")


def test_labelled_texts_give_figures_and_a_temperature_a_label(checkpoint, tmp_path, score_model, score):
    folder = checkpoint("bert", TOPICS, MULTI)
    manifests = {}
    for form in ("csv", "jsonl", "ids"):
        file, options = labelled(folder, tmp_path, form)
        bundle = tmp_path / form
        result = imported(score_model, folder, "-o", bundle, "--texts", file, *options, "--precisions", "fp32")
        manifests[form] = load_bundle(bundle).manifest
    assert "The texts have the model's ids as labels: 0 for plot, 1 for sound, 2 for cast." in result.err
    manifest = manifests["csv"]
    assert manifest.metrics == manifests["jsonl"].metrics == manifests["ids"].metrics
    assert manifest.calibration["temperature"] == pytest.approx(manifests["jsonl"].calibration["temperature"])
    test, card = manifest.metrics["test"], (tmp_path / "csv" / "README.md").read_text()
    # All wrong labels are plots, of one text in ten.
    assert test["texts"] == 80
    assert 0.8 <= test["exact"] < 1
    by_label = {one["name"]: one for one in manifest.metrics["by_label"]}
    assert by_label["plot"]["f1"] < by_label["sound"]["f1"] == by_label["cast"]["f1"] == 1
    assert manifest.temperatures[0] > manifest.temperatures[1]  # plots are less sure than they seem
    assert "micro F1" in result.out
    assert f"| with the temperatures | {test['micro_f1']:.4f} |" in card
    assert "| plot |" in card
    assert "The scores are calibrated, so they differ from the pipeline's; the labels do not" in result.out
    assert manifest.thresholds is None
    path, theirs = tmp_path / "csv" / "..", piped(folder)
    rows = scored(score, path / "csv", file, tmp_path / "out.csv")
    for row, one in zip(rows, theirs, strict=True):
        assert row["labels"] == "|".join(label for label in TOPICS if one[label] >= 0.5)
        for label, temperature in zip(TOPICS, manifest.temperatures, strict=True):
            logit = np.log(one[label] / (1 - one[label])) / temperature
            assert float(row[f"score_{label}"]) == pytest.approx(1 / (1 + np.exp(-logit)), abs=2e-5)


def test_a_label_of_too_few_texts_is_not_calibrated(checkpoint, tmp_path, score_model):
    folder = checkpoint("bert", TOPICS, MULTI)
    file, options = labelled(folder, tmp_path, "jsonl", most_cast=10)
    result = imported(score_model, folder, "-o", tmp_path / "b", "--texts", file, *options, "--precisions", "fp32")
    assert (
        "fewer than 20 have, or lack, the label cast. The probabilities of such a label are not calibrated"
        in result.err
    )
    temperatures = load_bundle(tmp_path / "b").manifest.temperatures
    assert temperatures[2] == 1 != temperatures[0]


def test_labels_that_do_not_fit_the_task_are_refused(checkpoint, tmp_path, score_model):
    sets, value = checkpoint("bert", TOPICS, MULTI), checkpoint("bert", 1, VALUES)
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps({"text": f"good film {row}", "l": ["plot", "gore"]}) + "\n" for row in range(8)))
    column = ("--texts", file, "--label-column", "l")
    message = refused(score_model, sets, "-o", tmp_path / "b", *column)
    assert (
        "the texts have labels that the model lacks: gore. It has: plot, sound, cast, or by their ids 0, 1, 2"
        in message
    )
    assert score_model("import", value, "-o", tmp_path / "b", *column, "-q").code == 2
    message = refused(score_model, value, "-o", tmp_path / "b", *column, "--label-separator", ",")
    assert (
        "--label-separator is for several labels or values a text; the model gives one (regression). Omit it."
        in message
    )
    assert "--label-separator has an effect only with --label-column." in refused(
        score_model, sets, "-o", tmp_path / "b", "--texts", file, "--label-separator", ","
    )
    assert not (tmp_path / "b").exists()


def test_true_values_give_figures_in_their_unit(checkpoint, tmp_path, score_model):
    folder = checkpoint("bert", 1, VALUES, scale=100.0, offset=3.0)
    theirs = np.array([one["LABEL_0"] for one in piped(folder)])
    truth = theirs + np.where(np.arange(TEXTS) % 2, 5.0, -5.0)
    file = tmp_path / "t.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "price"), *zip(words(), truth, strict=True)])
    options = ("--texts", file, "--label-column", "price", "--precisions", "fp32")
    log = imported(score_model, folder, "-o", tmp_path / "b", *options).out
    manifest, card = load_bundle(tmp_path / "b").manifest, (tmp_path / "b" / "README.md").read_text()
    test = manifest.metrics["test"]
    assert (test["texts"], manifest.calibration, manifest.metrics["labelled"]) == (80, None, True)
    assert test["mae"] == pytest.approx(5, abs=1e-2)
    assert test["rmse"] == pytest.approx(5, abs=1e-2)
    assert test["r2"] == pytest.approx(1 - 25 / theirs.var(), abs=0.05)
    assert f"fp32 on CPU: R2 {test['r2']:.4f} (95%: " in log
    assert "calibrat" not in log.partition("on CPU")[2]
    assert f"| {test['r2']:.4f} |" in card
    assert "reliability.png" not in card


def test_lists_of_numbers_are_the_true_values_of_several_outputs(checkpoint, tmp_path, score_model):
    folder = checkpoint("roberta", 2, VALUES, scale=3.0)
    file = tmp_path / "t.jsonl"
    rows = [
        {"text": text, "vad": [one["LABEL_0"] + 1, one["LABEL_1"]]}
        for text, one in zip(words(), piped(folder), strict=True)
    ]
    options = ("--texts", file, "--label-column", "vad", "--label-names", "valence,arousal", "--precisions", "fp32")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    imported(score_model, folder, "-o", tmp_path / "b", *options)
    metrics = load_bundle(tmp_path / "b").manifest.metrics
    assert metrics["test"]["mae"] == pytest.approx(0.5, abs=1e-3)
    assert [one["mae"] for one in metrics["by_output"]] == pytest.approx([1, 0], abs=1e-3)
    assert "| valence |" in (tmp_path / "b" / "README.md").read_text()
    file.write_text("".join(json.dumps({**row, "vad": row["vad"][:1]}) + "\n" for row in rows))
    assert "a list of 2 numbers is needed" in refused(score_model, folder, "-o", tmp_path / "c", *options)


@pytest.mark.parametrize(
    ("task", "outputs"), [("regression", 1), ("regression", 2), ("multi_label", 1), ("multi_label", 3)]
)
def test_a_state_dict_gives_what_its_task_states(task, outputs, texts, tmp_path, score_model, score):
    folder, tokenizer = tmp_path / "plain", tiny_tokenizer("wordpiece")
    tokenizer.save_pretrained(folder)
    save_checkpoint("bert", tmp_path / "whole", 2)
    encoder = transformers.AutoModel.from_pretrained(tmp_path / "whole")
    encoder.save_pretrained(folder)
    torch.manual_seed(outputs)
    model = Notebook(encoder, outputs).eval()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    names = TOPICS[:outputs]
    given = () if (task, outputs) == ("regression", 1) else ("--label-names", ",".join(names))
    arguments = ("--state-dict", tmp_path / "model.pt", "--encoder", folder, "--task", task, "--precisions", "fp32")
    imported(score_model, *arguments, *given, "-o", tmp_path / "b")
    manifest = load_bundle(tmp_path / "b").manifest
    assert (manifest.task, manifest.logit_count) == (task, outputs)
    for row, text in zip(scored(score, tmp_path / "b", texts, tmp_path / "out.csv"), words(), strict=True):
        tokens = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            logits = model(tokens["input_ids"], tokens["attention_mask"])[0]
        expected = logits if task == "regression" else logits.sigmoid()
        columns = ["score"] if not given else [f"score_{name}" for name in names]
        assert [float(row[name]) for name in columns] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("task", [MULTI, VALUES])
def test_an_int8_graph_that_is_too_far_off_is_left_out_with_its_figures(
    task, checkpoint, texts, tmp_path, score_model, monkeypatch
):
    def tampered(self, classifier, calibration, float32):
        graph = onnx.ModelProto()
        graph.CopyFrom(float32)
        (bias,) = (one for one in graph.graph.initializer if one.name == "head.bias")
        turned = onnx.numpy_helper.to_array(bias).copy()
        turned[-1] += 0.5 if task == VALUES else 100  # one label of three
        bias.CopyFrom(onnx.numpy_helper.from_array(turned, bias.name))
        return graph

    monkeypatch.setattr(source.Written, "int8", tampered)
    folder = checkpoint("bert", 1 if task == VALUES else TOPICS, task)
    log = imported(score_model, folder, "-o", tmp_path / "b", "--texts", texts).out
    manifest = load_bundle(tmp_path / "b").manifest
    assert set(manifest.precisions) == {"fp32", "fp16"}
    why, found = manifest.source["left_out"]["int8"], manifest.source["certificate"]["int8"]
    share = found["explained"]["share"] if task == VALUES else found["least"]
    assert share < 0.9
    assert f"{share:.2%} of" in why
    assert ("of the variance of PyTorch's" if task == VALUES else "on the label that differs most") in why
    assert f"int8 is left out: {why}." in log
    assert f"int8 is not in the bundle: {why}." in (tmp_path / "b" / "README.md").read_text()


def test_an_fp16_graph_whose_values_are_off_is_left_out(checkpoint, texts, tmp_path, score_model, monkeypatch):
    monkeypatch.setattr(
        importing_graphs, "half_logits", lambda graph, rows: np.full((len(rows), 1), 0.5, dtype=np.float32)
    )
    imported(score_model, checkpoint("bert", 1, VALUES), "-o", tmp_path / "b", "--texts", texts)
    manifest = load_bundle(tmp_path / "b").manifest
    assert set(manifest.precisions) == {"fp32", "int8"}
    assert "(emulated), and at most 2e-02 is allowed" in manifest.source["left_out"]["fp16"]


def test_enough_labelled_texts_give_the_correctness_by_confidence_that_max_error_needs(
    checkpoint, tmp_path, score_model
):
    split, names = reviews(440, 2, 4), ("bad", "good")
    file = tmp_path / "t.csv"
    file.write_text(
        "text,label\n" + "".join(f"{text},{names[one]}\n" for text, one in zip(split.texts, split.labels, strict=True))
    )
    options = ("--texts", file, "--label-column", "label")
    folder = checkpoint("bert", names, None)
    imported(score_model, folder, "-o", tmp_path / "many", *options)
    imported(score_model, folder, "-o", tmp_path / "few", *options, "--most-texts", "300")
    manifest = load_bundle(tmp_path / "many").manifest
    assert set(manifest.confidence) == {"fp32", "int8"}
    for one in manifest.confidence.values():
        assert sum(one.texts) == 220
    right = round(manifest.metrics["test"]["accuracy"] * 220)
    assert sum(manifest.confidence[manifest.metrics["precision"]].right) == right
    assert "## Doubt" in (tmp_path / "many" / "README.md").read_text()
    assert load_bundle(tmp_path / "few").manifest.confidence is None
    assert "## Doubt" not in (tmp_path / "few" / "README.md").read_text()


@pytest.mark.parametrize("task", [MULTI, VALUES])
def test_parity_and_evaluation_take_an_imported_bundle_of_any_task(task, checkpoint, tmp_path, score_model):
    folder, bundle = checkpoint("bert", 1 if task == VALUES else TOPICS, task), tmp_path / "b"
    if task == MULTI:
        file, options = labelled(folder, tmp_path, "jsonl")
    else:
        file, options = tmp_path / "t.csv", ("--label-column", "stars")
        with file.open("w", newline="") as stream:
            stars = [one["LABEL_0"] + 1 for one in piped(folder)]
            csv.writer(stream).writerows([("text", "stars"), *zip(words(), stars, strict=True)])
    imported(score_model, folder, "-o", bundle, "--texts", file, *options)
    again = score_model("parity", bundle, "--data", file, "--encoder", folder, "--threads", "1")
    assert again.code == 0, again.err
    found = score_model("evaluate", bundle, "--data", file, *options, "--precision", "fp32", "--no-baseline", "-q")
    assert found.code == 0, found.err
    assert ("micro F1" if task == MULTI else "R2") in found.out
