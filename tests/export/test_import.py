"""`score-model import`, through the whole command: a checkpoint becomes a bundle that scores as transformers does."""

import csv
import json
import shutil
import socket
from pathlib import PurePath

import numpy as np
import onnx
import pytest
import torch
import transformers
from factories import list_again, reviews
from tiny_checkpoints import KINDS, WRITTEN, Notebook, save_checkpoint, tiny_classifier
from tiny_tokenizers import tiny_tokenizer

from export.bundle.bundle import load_classifier
from export.errors import ExportError
from export.graph import source
from export.importing import graphs as importing_graphs
from scorer.base.errors import BundleError
from scorer.model.bundle import load_bundle
from scorer.model.manifest import parse_manifest

LABELS = {2: ("bad", "good"), 3: ("bad", "good", "mixed")}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Folder of a tiny checkpoint of a family, with some number of labels."""
    folders = {}

    def folder(kind="distilbert", labels=2):
        if (kind, labels) not in folders:
            place = tmp_path_factory.mktemp("checkpoints") / f"tiny-{kind}"
            folders[kind, labels] = save_checkpoint(kind, place, LABELS[labels])
        return folders[kind, labels]

    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """CSV of 120 texts, some of them long, with raw labels as ids and as names."""
    split = reviews(120, 2, 4)
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "id"])
        for row, (text, label) in enumerate(zip(split.texts, split.labels, strict=True)):
            writer.writerow([f"{text} " * (1 + 12 * (row % 9 == 0)), LABELS[2][label], label])
    return path


def written(folder):
    """Read the rows of an output file."""
    with open(folder, newline="") as stream:
        return list(csv.DictReader(stream))


def piped(folder, texts, **options):
    """Results of transformers' own pipeline on a file."""
    pipe = transformers.pipeline("text-classification", model=str(folder), device="cpu", **options)
    rows = [row["text"] for row in written(texts)]
    return [pipe(text, truncation=True, max_length=64)[0] for text in rows]


def imported(score_model, *arguments):
    """Run an import that must succeed; return its result."""
    result = score_model("import", *arguments, "-q", "--threads", "1")
    assert result.code == 0, result.err
    return result


def score_of(theirs, names):
    """The score that a bundle with these labels writes for a result of the pipeline."""
    if len(names) > 2 or theirs["label"] == names[1]:
        return theirs["score"]
    return 1 - theirs["score"]


def as_the_pipeline(folder, bundle, texts, output, score, names):
    """Check a run of `score` against the pipeline; return the number of labels that occur."""
    result = score(texts, "-o", output, "--model", bundle)
    assert result.code == 0, result.err
    found = written(output)
    for row, theirs in zip(found, piped(folder, texts), strict=True):
        assert row["label"] == theirs["label"]
        assert float(row["score"]) == pytest.approx(score_of(theirs, names), abs=1.1e-5)
    return len({row["label"] for row in found})


@pytest.mark.parametrize("kind", KINDS)
def test_score_gives_what_the_pipeline_gives(kind, checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint(kind), tmp_path / "bundle"
    imported(score_model, folder, "-o", bundle, "--precisions", "fp32", "--texts", texts)
    assert as_the_pipeline(folder, bundle, texts, tmp_path / "out.csv", score, LABELS[2]) == 2
    assert load_bundle(bundle).manifest.source["graph"] == ("written" if kind in WRITTEN else "exported")


@pytest.mark.parametrize("kind", ["distilbert", "electra", "modernbert"])
def test_score_gives_what_the_pipeline_gives_with_more_labels(kind, checkpoint, texts, tmp_path, score_model, score):
    folder, bundle = checkpoint(kind, 3), tmp_path / "bundle"
    imported(score_model, folder, "-o", bundle, "--precisions", "fp32", "--texts", texts)
    assert as_the_pipeline(folder, bundle, texts, tmp_path / "out.csv", score, LABELS[3]) > 1


@pytest.mark.parametrize("kind", ["distilbert", "roberta"])
def test_the_certificate_of_every_precision_is_in_manifest_card_and_log(kind, checkpoint, texts, tmp_path, score_model):
    bundle = tmp_path / "bundle"
    log = imported(score_model, checkpoint(kind), "-o", bundle, "--texts", texts).out
    manifest = load_bundle(bundle).manifest
    card = (bundle / "README.md").read_text()
    assert set(manifest.precisions) == {"fp32", "fp16", "int8"}
    assert manifest.needs == ("imported",)
    origin = manifest.source
    assert (origin["kind"], origin["checkpoint"], origin["graph"]) == ("imported", f"tiny-{kind}", "written")
    assert origin["left_out"] == {}
    for precision, count in (("fp32", 60), ("fp16", 32), ("int8", 60)):  # float16 is emulated, on fewer texts
        found = origin["certificate"][precision]
        assert found["texts"] == found["pipeline"]["labels"]["texts"] == count
        assert f"| {precision} | {count} | {found['logit']['largest']:.1e} |" in card
        assert f"{precision}: logits differ from PyTorch by at most {found['logit']['largest']:.1e}" in log
    exact = origin["certificate"]["fp32"]
    assert exact["logit"]["largest"] < 1e-4
    assert exact["probability"]["largest"] < 1e-5
    assert exact["labels"]["share"] == exact["pipeline"]["labels"]["share"] == 1
    assert origin["certificate"]["int8"]["logit"]["largest"] > 1e-4
    assert manifest.reference.texts == 120
    assert manifest.calibration is None


def test_labels_give_figures_and_a_temperature_from_the_other_half(checkpoint, texts, tmp_path, score_model, score):
    raw, ids, plain = (tmp_path / name for name in ("raw", "ids", "plain"))
    options = ("--texts", texts, "--precisions", "fp32")
    by_name = imported(score_model, checkpoint(), "-o", raw, *options, "--label-column", "label")
    by_id = imported(score_model, checkpoint(), "-o", ids, *options, "--label-column", "id")
    imported(score_model, checkpoint(), "-o", plain, *options)
    assert "The texts have the model's ids as labels: 0 for bad, 1 for good." in by_id.err
    found, other = (load_bundle(one).manifest for one in (raw, ids))
    assert found.metrics == other.metrics
    assert found.metrics["test"]["texts"] == found.calibration["texts"] == 60
    assert "The scores are calibrated, so they differ from the pipeline's" in by_name.out
    assert {"confusion.png", "reliability.png"} <= {path.name for path in raw.iterdir()}
    assert f"| with the temperature | {found.metrics['test']['accuracy']:.2%} |" in (raw / "README.md").read_text()
    # The accuracy is that of the labels on the judging half, and the temperature divides the pipeline's logits.
    theirs = piped(checkpoint(), texts)
    score(texts, "-o", tmp_path / "out.csv", "--model", raw)
    score(texts, "-o", tmp_path / "plain.csv", "--model", plain)
    for row, same, one in zip(written(tmp_path / "out.csv"), written(tmp_path / "plain.csv"), theirs, strict=True):
        positive = one["score"] if one["label"] == "good" else 1 - one["score"]
        logit = np.log(positive / (1 - positive)) / found.temperature
        assert float(row["score"]) == pytest.approx(1 / (1 + np.exp(-logit)), abs=2e-5)
        assert float(same["score"]) == pytest.approx(positive, abs=1.1e-5)


@pytest.mark.parametrize(
    ("count", "why"), [(10, "5 calibrating texts are fewer than 50"), (120, "60 calibrating texts lack the label good")]
)
def test_too_few_labels_calibrate_nothing_and_the_scores_stay_the_pipelines(
    count, why, checkpoint, texts, tmp_path, score_model, score
):
    few = tmp_path / "few.csv"
    rows = [(row["text"], row["label"] if count == 10 else "bad") for row in written(texts)[:count]]
    few.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    result = imported(score_model, checkpoint(), "-o", tmp_path / "b", "--texts", few, "--label-column", "label")
    assert f"The {why}, so the scores are not calibrated: they stay the model's own." in result.err
    manifest, card = load_bundle(tmp_path / "b").manifest, (tmp_path / "b" / "README.md").read_text()
    assert manifest.temperature == 1
    assert "there is no temperature: the scores are the model's own" in card
    assert ("int8" in manifest.precisions) == (count == 120)
    if count == 10:
        why = manifest.source["left_out"]["int8"]
        assert why.startswith("5 texts are too few to judge it, and at least 30 are needed")
        assert f"int8 is not in the bundle: {why}." in card
    as_the_pipeline(checkpoint(), tmp_path / "b", texts, tmp_path / "out.csv", partial_fp32(score), ("bad", "good"))


def partial_fp32(score):
    return lambda *arguments: score(*arguments, "--precision", "fp32")


def test_labels_of_the_file_that_the_model_lacks_are_refused(checkpoint, texts, tmp_path, score_model):
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "good film,great\nbad film,bad\n" * 4)
    result = score_model(
        "import", checkpoint(), "-o", tmp_path / "b", "--texts", other, "--label-column", "label", "-q"
    )
    assert result.code == 2
    assert "the texts have labels that the model lacks: great. It has: bad, good, or by their ids 0, 1." in result.err
    assert not (tmp_path / "b").exists()


def test_without_texts_there_is_no_int8_and_no_reference_and_the_log_says_what_texts_would_bring(
    checkpoint, texts, tmp_path, score_model, score
):
    result = imported(score_model, checkpoint(), "-o", tmp_path / "b")
    assert "Without --texts there is no int8" in result.out
    manifest = load_bundle(tmp_path / "b").manifest
    assert set(manifest.precisions) == {"fp32", "fp16"}
    assert manifest.reference is None
    assert manifest.source["certificate"]["fp32"]["texts"] == 8
    assert score("--check", "--model", tmp_path / "b").code == 0
    done = score(texts, "-o", tmp_path / "out.csv", "--model", tmp_path / "b", "--report", tmp_path / "r.json")
    assert done.code == 0, done.err


@pytest.mark.parametrize(("positive", "names"), [(None, ("bad", "good")), ("bad", ("good", "bad"))])
def test_the_positive_label_is_the_last_or_the_one_that_is_named(
    positive, names, checkpoint, texts, tmp_path, score_model, score
):
    option = () if positive is None else ("--positive-label", positive)
    result = imported(score_model, checkpoint(), "-o", tmp_path / "b", *option)
    assert ("The score is the probability of good, the last label" in result.err) == (positive is None)
    manifest = load_bundle(tmp_path / "b").manifest
    assert (manifest.labels, manifest.positive_label) == (names, names[1])
    as_the_pipeline(checkpoint(), tmp_path / "b", texts, tmp_path / "out.csv", score, names)


@pytest.mark.parametrize("truncation", ["tail", "head+tail"])
def test_a_text_is_cut_as_the_option_says_and_the_pipeline_is_compared_where_it_is_not(
    truncation, checkpoint, texts, tmp_path, score_model
):
    arguments = ("--texts", texts, "--truncation", truncation, "--max-length", "20", "--max-tokens", "50")
    imported(score_model, checkpoint("bert"), "-o", tmp_path / "b", *arguments)
    manifest = load_bundle(tmp_path / "b").manifest
    assert (manifest.max_length, manifest.tokens_kept, manifest.truncation) == (20, 50, truncation)
    exact = manifest.source["certificate"]["fp32"]
    assert exact["logit"]["largest"] < 1e-4
    assert 0 < exact["pipeline"]["labels"]["texts"] < exact["texts"] == 60


def test_a_row_scores_the_same_in_any_company(checkpoint, texts, tmp_path, score_model, score):
    imported(score_model, checkpoint("roberta"), "-o", tmp_path / "b", "--texts", texts)
    rows = written(texts)
    alone = tmp_path / "alone.csv"
    alone.write_text(f"text\n{rows[7]['text']}\n")
    score(texts, "-o", tmp_path / "all.csv", "--model", tmp_path / "b")
    score(alone, "-o", tmp_path / "one.csv", "--model", tmp_path / "b")
    assert written(tmp_path / "one.csv")[0]["score"] == written(tmp_path / "all.csv")[7]["score"]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Folder of an encoder, and a plain module with other weights of it and some outputs."""
    folder = tmp_path_factory.mktemp("encoders") / "plain"
    tokenizer = tiny_tokenizer("wordpiece")
    tokenizer.save_pretrained(folder)
    encoder = tiny_classifier("bert", tokenizer, 2).bert
    encoder.save_pretrained(folder)

    def module(outputs):
        torch.manual_seed(outputs)
        made = Notebook(encoder, outputs)
        with torch.no_grad():
            made.classifier.weight.normal_()
        return made.eval()

    return folder, module


FORMS = {
    "plain": lambda state: state,
    "wrapped": lambda state: {"epoch": 3, "model_state_dict": state},
    "parallel": lambda state: {f"module.{name}": one for name, one in state.items()},
    "lightning": lambda state: {"state_dict": {f"model.{name}": one for name, one in state.items()}},
    "weighted loss": lambda state: {**state, "loss_fct.weight": torch.ones(2)},
    "half": lambda state: {name: one.half() for name, one in state.items()},
    "old": lambda state: {**state, "encoder.embeddings.position_ids": torch.arange(64)[None]},
    "safetensors": lambda state: state,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_a_state_dict_becomes_a_bundle_with_the_modules_probabilities(
    outputs, form, notebook, texts, tmp_path, score_model, score
):
    folder, module = notebook
    model, state = module(outputs), FORMS[form](module(outputs).state_dict())
    path = tmp_path / "model.pt"
    if form == "safetensors":
        import safetensors.torch

        safetensors.torch.save_file({name: one.contiguous() for name, one in state.items()}, path)
    else:
        torch.save(state, path)
    if form == "half":
        model = model.half().float()
    names = LABELS[max(outputs, 2)]
    arguments = ("--state-dict", path, "--encoder", folder, "--label-names", ",".join(names), "--precisions", "fp32")
    log = imported(score_model, *arguments, "-o", tmp_path / "b", "--texts", texts).out
    assert "padding is masked, whether the notebook passed an attention mask or not" in log
    assert "Padding is masked, whether the notebook" in (tmp_path / "b" / "README.md").read_text()
    assert "the file has a pooling layer (encoder.pooler), which is not read" in log
    assert "without a pooling layer or a mean; the file does not state what the notebook computed" in log
    assert load_classifier(load_bundle(tmp_path / "b")).dense is None
    score(texts, "-o", tmp_path / "out.csv", "--model", tmp_path / "b")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for row, given in zip(written(tmp_path / "out.csv"), written(texts), strict=True):
        tokens = tokenizer(given["text"], truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            logits = model(tokens["input_ids"], tokens["attention_mask"])[0]
        shares = logits.softmax(0) if outputs > 1 else torch.cat([1 - logits.sigmoid(), logits.sigmoid()])
        assert row["label"] == names[int(shares.argmax())]
        expected = shares[1] if len(names) == 2 else shares.max()
        assert float(row["score"]) == pytest.approx(float(expected), abs=1.1e-5)


def test_with_one_output_the_other_label_can_be_the_positive_one(notebook, texts, tmp_path, score_model, score):
    folder, module = notebook
    torch.save(module(1).state_dict(), tmp_path / "model.pt")
    base = ("--state-dict", tmp_path / "model.pt", "--encoder", folder, "--label-names", "bad,good")
    imported(score_model, *base, "-o", tmp_path / "good")
    imported(score_model, *base, "-o", tmp_path / "bad", "--positive-label", "bad")
    for name in ("good", "bad"):
        score(texts, "-o", tmp_path / f"{name}.csv", "--model", tmp_path / name)
    for one, other in zip(written(tmp_path / "good.csv"), written(tmp_path / "bad.csv"), strict=True):
        assert one["label"] == other["label"]
        assert float(one["score"]) + float(other["score"]) == pytest.approx(1, abs=3e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {**state, "dropout.p": torch.ones(1)}, "the unknown keys dropout.p, but needs keys that begin with encoder."),
        (lambda state: {n: v for n, v in state.items() if n != "classifier.bias"}, "classifier.weight of shape (2, 32)"),
        (lambda state: {n: v for n, v in state.items() if "word_embeddings" not in n},
         "it lacks encoder.embeddings.word_embeddings.weight. Name the encoder that the notebook loaded."),
        (lambda state: {**state, "encoder.more.weight": torch.ones(1)}, "it has the unknown encoder.more.weight."),
        (lambda state: {**state, "encoder.embeddings.LayerNorm.weight": torch.ones(7)},
         "encoder.embeddings.LayerNorm.weight has the shape (7,), not (32,)."),
        (lambda state: {**state, "classifier.weight": torch.ones(2, 64)},
         "classifier.weight reads 64 values, and the encoder gives 32."),
        (lambda state: {**state, "classifier.bias": torch.full((2,), torch.nan)}, "classifier.bias holds numbers that are NaN or infinite."),
        (lambda state: list(state.values()), "is not a dict of tensors by name"),
        (lambda state: PurePath("x"), "holds more than tensors, and loading it would run code. Save `model.state_dict()` instead"),
    ],
)  # fmt: skip
def test_a_state_dict_that_does_not_fit_is_refused_by_name(change, message, notebook, tmp_path, score_model):
    folder, module = notebook
    torch.save(change(module(2).state_dict()), tmp_path / "model.pt")
    arguments = ("--state-dict", tmp_path / "model.pt", "--encoder", folder, "--label-names", "bad,good")
    result = score_model("import", *arguments, "-o", tmp_path / "b", "-q")
    assert result.code != 0
    assert message in result.err
    assert not (tmp_path / "b").exists()


def test_a_file_that_pytorch_never_wrote_cannot_be_read(notebook, tmp_path, score_model):
    (tmp_path / "model.pt").write_bytes(b"hello")
    arguments = ("--state-dict", tmp_path / "model.pt", "--encoder", notebook[0], "--label-names", "bad,good")
    result = score_model("import", *arguments, "-o", tmp_path / "b", "-q")
    assert result.code == 1
    assert (
        "cannot be read: KeyError. Give a file of `torch.save(model.state_dict(), FILE)`, or of safetensors."
        in result.err
    )


def test_an_fp32_graph_that_is_not_the_model_is_refused_and_nothing_is_written(
    checkpoint, texts, tmp_path, score_model, monkeypatch
):
    exact = source.Written.float32

    def tampered(self, classifier):
        graph = exact(self, classifier)
        (weight,) = (one for one in graph.graph.initializer if one.name == "dense.weight")
        array = onnx.numpy_helper.to_array(weight).copy()
        array[3, 5] += 0.05
        weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
        return graph

    monkeypatch.setattr(source.Written, "float32", tampered)
    result = score_model("import", checkpoint(), "-o", tmp_path / "new" / "b", "--texts", texts, "-q")
    assert result.code == 5
    assert "fp32 differs from PyTorch by" in result.err
    assert "No bundle was written." in result.err
    assert not (tmp_path / "new").exists()


def test_an_int8_graph_that_turns_labels_is_left_out_with_its_figures(
    checkpoint, texts, tmp_path, score_model, monkeypatch
):
    def tampered(self, classifier, calibration, float32):
        graph = onnx.ModelProto()
        graph.CopyFrom(float32)
        (bias,) = (one for one in graph.graph.initializer if one.name == "head.bias")
        turned = onnx.numpy_helper.to_array(bias) - 100
        bias.CopyFrom(onnx.numpy_helper.from_array(turned, bias.name))
        return graph

    monkeypatch.setattr(source.Written, "int8", tampered)
    result = imported(score_model, checkpoint(), "-o", tmp_path / "b", "--texts", texts)
    manifest = load_bundle(tmp_path / "b").manifest
    assert set(manifest.precisions) == {"fp32", "fp16"}
    why = manifest.source["left_out"]["int8"]
    share = manifest.source["certificate"]["int8"]["labels"]["share"]
    assert share < 0.9
    assert f"it keeps PyTorch's label for {share:.2%} of 60 texts" in why
    assert f"int8 is left out: {why}." in result.out
    assert f"int8 is not in the bundle: {why}." in (tmp_path / "b" / "README.md").read_text()
    only = score_model("import", checkpoint(), "-o", tmp_path / "c", "--texts", texts, "--precisions", "int8", "-q")
    assert only.code != 0
    assert "no precision is left. No bundle was written; add fp32 to --precisions." in only.err
    assert not (tmp_path / "c").exists()


def test_an_fp16_graph_that_is_too_far_from_float32_is_left_out(checkpoint, texts, tmp_path, score_model, monkeypatch):
    monkeypatch.setattr(
        importing_graphs, "half_logits", lambda graph, rows: np.full((len(rows), 1), 3.0, dtype=np.float32)
    )
    imported(score_model, checkpoint(), "-o", tmp_path / "b", "--texts", texts)
    manifest = load_bundle(tmp_path / "b").manifest
    assert set(manifest.precisions) == {"fp32", "int8"}
    assert "(emulated), and at most 5e-03 is allowed" in manifest.source["left_out"]["fp16"]


def test_a_checkpoint_of_pytorchs_own_format_is_read_and_one_that_would_run_code_is_not(
    checkpoint, tmp_path, score_model
):
    folder = tmp_path / "bin"
    shutil.copytree(checkpoint(), folder)
    (folder / "model.safetensors").unlink()
    whole = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint())
    torch.save(whole.state_dict(), folder / "pytorch_model.bin")
    imported(score_model, folder, "-o", tmp_path / "b")
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return open, (str(mark), "w")

    torch.save({"classifier.weight": Evil()}, folder / "pytorch_model.bin")
    result = score_model("import", folder, "-o", tmp_path / "c", "-q")
    assert result.code != 0
    assert "cannot be loaded" in result.err
    assert not mark.exists()


def test_an_import_from_a_folder_opens_no_connection(checkpoint, tmp_path, score_model, monkeypatch):
    def refused(*arguments, **more):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    imported(score_model, checkpoint(), "-o", tmp_path / "b")


def test_a_base_model_is_no_classifier_even_if_its_class_says_so(checkpoint, tmp_path, score_model):
    folder = tmp_path / "base"
    shutil.copytree(checkpoint("bert"), folder)
    import safetensors.torch

    kept = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file(
        {name: one for name, one in kept.items() if not name.startswith("classifier")}, folder / "model.safetensors",
        metadata={"format": "pt"},
    )  # fmt: skip
    result = score_model("import", folder, "-o", tmp_path / "b", "-q")
    assert result.code != 0
    assert "has no weights for classifier.bias, classifier.weight, so it is not a fine-tuned classifier" in result.err
    assert not (tmp_path / "b").exists()


def test_parity_compares_an_imported_bundle_with_its_checkpoint_again(
    checkpoint, texts, tmp_path, score_model, notebook
):
    imported(score_model, checkpoint("bert", 3), "-o", tmp_path / "b", "--texts", texts)
    again = score_model("parity", tmp_path / "b", "--data", texts, "--encoder", checkpoint("bert", 3), "--threads", "1")
    assert again.code == 0, again.err
    assert "fp32, one row per run: largest logit difference" in again.out
    folder, module = notebook
    torch.save(module(2).state_dict(), tmp_path / "model.pt")
    arguments = ("--state-dict", tmp_path / "model.pt", "--encoder", folder, "--label-names", "bad,good")
    imported(score_model, *arguments, "-o", tmp_path / "c")
    refused = score_model("parity", tmp_path / "c", "--data", texts, "--encoder", folder)
    assert (
        "was imported from a state dict, which this command cannot load again. The certificate in its README"
        in refused.err
    )


def test_a_cascade_is_refused_and_figures_are_computed_for_an_imported_bundle(checkpoint, texts, tmp_path, score_model):
    imported(score_model, checkpoint(), "-o", tmp_path / "b", "--texts", texts)
    files = ("--train-file", texts, "--test-file", texts)
    refused = score_model("cascade", tmp_path / "b", "-o", tmp_path / "c", *files)
    assert "was imported, so it has no wide part, which a cascade needs" in refused.err
    found = score_model("evaluate", tmp_path / "b", "--data", texts, "--no-baseline", "-q")
    assert found.code == 0, found.err
    by_id = score_model("evaluate", tmp_path / "b", "--data", texts, "--label-column", "id", "--no-baseline", "-q")
    assert by_id.out == found.out


def test_evaluation_takes_the_models_ids_in_its_own_order(checkpoint, texts, tmp_path, score_model):
    imported(score_model, checkpoint(), "-o", tmp_path / "b", "--precisions", "fp32", "--positive-label", "bad")
    by_name, by_id = (
        score_model("evaluate", tmp_path / "b", "--data", texts, "--label-column", column, "--no-baseline", "-q").out
        for column in ("label", "id")
    )
    assert by_name == by_id
    assert "accuracy" in by_id


def test_what_people_name_instead_of_a_checkpoint_is_refused_with_what_works(checkpoint, tmp_path, score_model):
    adapter, run = tmp_path / "adapter", tmp_path / "run"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (run / "checkpoint-500").mkdir(parents=True)
    (run / "checkpoint-500" / "config.json").write_text("{}")
    for given, words in (
        (adapter, "is an adapter (PEFT), without its model. Merge them first: model.merge_and_unload()"),
        (run, "holds checkpoints, but has no config.json itself. Name one of them: checkpoint-500."),
        (
            checkpoint() / "config.json",
            "is a file. Name its folder, or give the weights of a notebook with --state-dict",
        ),
    ):
        result = score_model("import", given, "-o", tmp_path / "b", "-q")
        assert (result.code, words in result.err) == (2, True), result.err


def test_settings_with_which_a_pipeline_would_differ_are_in_log_and_card(tmp_path, score_model):
    tokenizer = tiny_tokenizer("wordpiece")
    tiny_classifier("distilbert", tokenizer, ("bad", "good")).half().save_pretrained(tmp_path / "half")
    tokenizer.save_pretrained(tmp_path / "half")
    settings = tmp_path / "half" / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "truncation_side": "left"}))
    log = imported(score_model, tmp_path / "half", "-o", tmp_path / "b", "--precisions", "fp32").out
    card = (tmp_path / "b" / "README.md").read_text()
    assert "transformers would cut the beginning of a long text" in log
    assert "Transformers would cut the beginning of a long text" in card
    assert "the weights are stored in float16 and computed in float32" in log
    assert "The weights are stored in float16 and computed in float32" in card


def test_a_decoder_without_a_padding_token_is_refused_before_the_work(tmp_path, score_model):
    tokenizer = tiny_tokenizer("bpe")
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    arguments = ("import", tmp_path / "gpt2", "-o", tmp_path / "b", "--label-names", "bad,good", "-q")
    result = score_model(*arguments)
    assert result.code == 2
    assert "names no padding token, without which a gpt2 cannot compute several texts at once." in result.err


def test_a_checkpoint_in_place_of_a_bundle_is_recognized(checkpoint, texts, tmp_path, score, monkeypatch):
    folder = checkpoint()
    found = score(texts, "-o", tmp_path / "out.csv", "--model", folder)
    assert found.code == 5
    assert f"Make one of it with `score-model import {folder} -o models/tiny-distilbert`" in found.err
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="run `score-model import owner/name -o models/name` first"):
        load_bundle("owner/name")


def test_training_on_a_fine_tuned_classifier_names_the_import(checkpoint, texts, tmp_path, score_model):
    arguments = ("--train-file", texts, "--test-file", texts, "--no-wide", "--max-length", "24", "--no-baseline")
    result = score_model(
        "train", "-o", tmp_path / "b", "--encoder", checkpoint("bert"), *arguments, "--cache-dir", tmp_path / "cache", "-q",
        "--precisions", "fp32",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "is a fine-tuned classifier. Its head is not used: a new one is trained. `score-model import" in result.err


def test_the_manifest_of_a_trained_bundle_has_no_source_and_that_of_an_imported_one_needs_a_release_that_knows_it(
    bundle, checkpoint, tmp_path, score_model
):
    assert b"source" not in bundle.files["manifest.json"]
    imported(score_model, checkpoint(), "-o", tmp_path / "b")
    fields = json.loads((tmp_path / "b" / "manifest.json").read_bytes())
    assert (fields["format_version"], fields["needs"]) == (2, ["imported"])
    assert "cascade" not in fields
    for changed in ({**fields, "needs": []}, {**fields, "source": "hub"}, {**fields, "source": None}):
        with pytest.raises(BundleError):
            parse_manifest(json.dumps(changed).encode())


def test_the_dense_layer_that_a_bundle_needs_must_be_there(checkpoint, tmp_path, score_model):
    imported(score_model, checkpoint(), "-o", tmp_path / "b")
    fields = json.loads((tmp_path / "b" / "manifest.json").read_bytes())
    assert fields["head"]["dense"] == "relu"
    fields["head"]["dense"] = "swish"
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(fields))
    list_again(tmp_path / "b")
    with pytest.raises(ExportError, match="Import the model again"):
        load_classifier(load_bundle(tmp_path / "b"))


def test_a_model_that_needs_more_than_tokens_is_refused_with_pytorchs_reason(
    checkpoint, tmp_path, score_model, monkeypatch
):
    folder = checkpoint()

    def needing(self, input_ids, **more):
        raise ValueError("You have to specify bounding boxes")

    monkeypatch.setattr(transformers.DistilBertForSequenceClassification, "forward", needing)
    result = score_model("import", folder, "-o", tmp_path / "b", "-q")
    assert result.code == 2
    assert "in PyTorch: You have to specify bounding boxes\nGive a checkpoint of another architecture." in result.err
    assert not (tmp_path / "b").exists()


def test_an_exported_model_has_no_fp16_and_says_so(checkpoint, texts, tmp_path, score_model):
    folder, bundle = checkpoint("deberta-v2"), tmp_path / "b"
    result = imported(score_model, folder, "-o", bundle)
    manifest = load_bundle(bundle).manifest
    assert (set(manifest.precisions), manifest.pooling, manifest.source["graph"]) == ({"fp32"}, "logits", "exported")
    assert "fp16 is left out: no float16 graph is written for a model that PyTorch exports." in result.out
    assert "fp16 is not in the bundle: no float16 graph is written" in (bundle / "README.md").read_text()
    again = score_model("parity", bundle, "--data", texts, "--encoder", folder)
    assert again.code == 1
    assert "was imported as a whole, by PyTorch's exporter, which this command cannot load again." in again.err
