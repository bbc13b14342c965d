"""`score-model import --truncation windows`: a bundle that scores a long text as PyTorch does its windows, one by one."""

import csv
import json
import random

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from factories import BAD, FILLER, GOOD
from tiny_checkpoints import Notebook, saved_once, tiny_classifier
from tiny_tokenizers import byte_level_bpe, tiny_tokenizer
from tokenizers import models, pre_tokenizers, processors

from export.classifier.settings import WindowOptions
from export.importing import graphs as importing_graphs
from export.importing.checkpoint import load_checkpoint
from export.importing.reference import expected_of as expected_in_pytorch
from export.importing.settings import CheckpointSettings
from scorer import Scorer
from scorer.model.bundle import load_bundle
from scorer.model.loaded import LoadedModel
from scorer.model.manifest import Unit, WindowSettings

LENGTH, STRIDE, MOST = 20, 12, 4
READ = ("--truncation", "windows", "--max-length", LENGTH, "--window-stride", STRIDE, "--max-windows", MOST)
KEPT = LENGTH + (MOST - 1) * STRIDE
TEXTS = 120


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Folder of a tiny checkpoint of a family, with some labels and a problem_type."""
    return saved_once(tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """CSV of texts of one to many words, most of them of several windows."""
    rng = random.Random(5)
    words = [word for word in (*GOOD, *BAD, *FILLER) if word.isalpha()]
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    rows = []
    for row in range(TEXTS):
        some = rng.choices((GOOD, BAD), k=1)[0]
        rows.append(" ".join(rng.choices([*words, *some * 3], k=1 + row % 61)))
    path.write_text("text\n" + "".join(f"{text}\n" for text in rows))
    return path


def written(path):
    """Read the rows of an output file."""
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def texts_of(path):
    return [row["text"] for row in written(path)]


def imported(score_model, *arguments):
    """Run an import that must succeed; return its result."""
    result = score_model("import", *arguments, "-q", "--threads", "1")
    assert result.code == 0, result.err
    return result


def windows_of(ids, before=1, after=1):
    """Windows of a text's ids and the weight of each, by the definition in the docs, one token after the other."""
    own = ids[before : len(ids) - after]
    width = LENGTH - before - after
    own = own[: width + (MOST - 1) * STRIDE]
    begins = [0]
    while begins[-1] + width < len(own):
        begins.append(min(begins[-1] + STRIDE, len(own) - width))
    assert len(begins) <= MOST
    having = [begins_at(begins, width, place) for place in range(len(own))]
    assert all(having)
    found = []
    for begin in begins:
        weight = sum(1 / len(some) for some in having if begin in some)
        found.append((ids[:before] + own[begin : begin + width] + ids[len(ids) - after :], weight))
    assert sum(weight for _, weight in found) == pytest.approx(len(own))
    return found


def begins_at(begins, width, place):
    """Begins of the windows that have a token of the text."""
    return [begin for begin in begins if begin <= place < begin + width]


def logits_of(model, tokenizer, text, *special, combine="mean"):
    """PyTorch's logits of a text in windows: float64 (labels,)."""
    found = windows_of(tokenizer(text)["input_ids"], *special)
    with torch.inference_mode():
        rows = [
            model(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.int64)) for ids, _ in found
        ]
    rows = np.array([getattr(row, "logits", row)[0].numpy() for row in rows], dtype=np.float64)
    return rows.max(axis=0) if combine == "max" else np.average(rows, axis=0, weights=[weight for _, weight in found])


def expected_of(folder, texts, *special, combine="mean"):
    """PyTorch's logits of a file's texts in windows: float64 (texts, labels)."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return np.array([logits_of(model, tokenizer, text, *special, combine=combine) for text in texts_of(texts)])


def several(folder, texts):
    """Texts of a file that have more than one window, bool (texts,)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return np.array([len(tokenizer(text)["input_ids"]) > LENGTH for text in texts_of(texts)])


def scores_of(bundle, texts, output, score, *options):
    result = score(texts, "-o", output, "--model", bundle, *options)
    assert result.code == 0, result.err
    return written(output)


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "modernbert"])
@pytest.mark.parametrize("labels", [("bad", "good"), ("bad", "good", "mixed")])
def test_a_long_text_scores_as_the_mean_of_its_windows_in_pytorch(
    kind, labels, checkpoint, texts, tmp_path, score_model, score
):
    folder, bundle = checkpoint(kind, labels), tmp_path / "b"
    log = imported(score_model, folder, "-o", bundle, "--precisions", "fp32", "--texts", texts, *READ).out
    shares = softmax(expected_of(folder, texts))
    long = several(folder, texts)
    assert 20 < long.sum() < TEXTS - 20
    rows = scores_of(bundle, texts, tmp_path / "out.csv", score)
    for row, one in zip(rows, shares, strict=True):
        assert row["label"] == labels[one.argmax()]
        assert float(row["score"]) == pytest.approx(one[1] if len(labels) == 2 else one.max(), abs=1.1e-5)
    assert len({row["label"] for row, is_long in zip(rows, long, strict=True) if is_long}) > 1
    manifest = load_bundle(bundle).manifest
    assert (manifest.max_length, manifest.tokens_kept) == (LENGTH, KEPT)
    assert (manifest.windows.stride, manifest.windows.most, manifest.windows.combination) == (STRIDE, MOST, "mean")
    assert (manifest.truncation, manifest.needs) == ("windows", ("imported", "windows"))
    exact = manifest.source["certificate"]["fp32"]
    assert exact["texts"] == 60
    assert exact["logit"]["largest"] < 1e-4
    assert exact["labels"]["share"] == exact["pipeline"]["labels"]["share"] == 1
    # The pipeline reads a long text's beginning only, so it is compared on the others.
    assert 5 < exact["pipeline"]["labels"]["texts"] < 40
    assert f"in at most {MOST} windows of {LENGTH} tokens that begin every {STRIDE}" in log


def test_every_text_of_one_window_is_compared_with_the_pipeline(checkpoint, texts, tmp_path, score_model):
    folder, short = checkpoint("bert"), tmp_path / "short.csv"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    fits = [text for text in texts_of(texts) if len(tokenizer(text)["input_ids"]) <= LENGTH]
    assert max(len(tokenizer(text)["input_ids"]) for text in fits) == LENGTH
    short.write_text("text\n" + "".join(f"{text}\n" for text in fits))
    imported(score_model, folder, "-o", tmp_path / "b", "--texts", short, "--precisions", "fp32", *READ)
    exact = load_bundle(tmp_path / "b").manifest.source["certificate"]["fp32"]
    assert exact["texts"] == exact["pipeline"]["labels"]["texts"] == len(fits) - len(fits) // 2
    imported(
        score_model, folder, "-o", tmp_path / "c", "--texts", short, "--precisions", "fp32", "--max-length", LENGTH
    )
    assert load_bundle(tmp_path / "c").manifest.source["certificate"]["fp32"] == exact


def test_pytorch_computes_each_window_alone_and_the_pipeline_only_texts_of_one(checkpoint, texts):
    options = WindowOptions(STRIDE, MOST)
    settings = CheckpointSettings(str(checkpoint("bert")), max_length=LENGTH, truncation="windows", windows=options)
    loaded = load_checkpoint(settings)
    assert loaded.windows == WindowSettings(STRIDE, MOST, "mean")
    some = texts_of(texts)[:40]
    rows = loaded.encoder.tokenizer.encode(some).ids
    split = loaded.classifier.split(rows)
    found = expected_in_pytorch(loaded, some, rows, quiet=True)
    alone = [loaded.reference(row[np.newaxis], np.ones_like(row)[np.newaxis]) for row in split.rows]
    assert found.each == pytest.approx(np.concatenate(alone), abs=1e-6)
    assert found.logits.tolist() == split.combined(found.each).tolist()
    assert found.piped.rows.tolist() == np.flatnonzero(split.counts == 1).tolist()
    scaled = found.in_unit(Unit((2.0,), (1.0,)))
    assert scaled.each == pytest.approx((found.each - 1) / 2)
    assert scaled.logits == pytest.approx((found.logits - 1) / 2)


@pytest.mark.parametrize("combine", ["mean", "max"])
def test_the_largest_logit_of_each_label_or_the_mean_gives_the_labels(
    combine, checkpoint, texts, tmp_path, score_model, score
):
    topics = ("plot", "sound", "cast")
    folder, bundle = checkpoint("bert", topics, "multi_label_classification"), tmp_path / "b"
    more = ("--combine-windows", combine)
    log = imported(score_model, folder, "-o", bundle, "--texts", texts, *READ, *more).out
    manifest = load_bundle(bundle).manifest
    assert set(manifest.precisions) == {"fp32", "fp16", "int8"}, log
    assert manifest.windows.combination == combine
    rows = scores_of(bundle, texts, tmp_path / "out.csv", score, "--precision", "fp32")
    for row, one in zip(rows, sigmoid(expected_of(folder, texts, combine=combine)), strict=True):
        assert [float(row[f"score_{topic}"]) for topic in topics] == pytest.approx(one, abs=1.1e-5)
        assert row["labels"] == "|".join(topic for topic, share in zip(topics, one, strict=True) if share >= 0.5)
    for precision in ("fp16", "int8"):
        assert manifest.source["certificate"][precision]["least"] >= 0.95


def test_only_a_model_of_several_labels_a_text_takes_the_largest_logit(checkpoint, tmp_path, score_model):
    more = (*READ, "--combine-windows", "max", "-q")
    for problem, labels in ((None, ("bad", "good")), ("regression", 1)):
        result = score_model("import", checkpoint("bert", labels, problem), "-o", tmp_path / "b", *more)
        assert result.code == 2, result.err
        assert "--combine-windows max" in result.err
        assert "--combine-windows mean" in result.err
        assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("kind", "scale", "offset"), [("bert", 1e4, 5e5), ("nomic_bert", 1.0, 2.0)])
def test_a_long_texts_value_is_the_mean_of_its_windows_in_its_own_unit(
    kind, scale, offset, checkpoint, texts, tmp_path, score_model
):
    folder, bundle = checkpoint(kind, 1, "regression", scale=scale, offset=offset), tmp_path / "b"
    imported(score_model, folder, "-o", bundle, "--texts", texts, "--precisions", "fp32", *READ)
    expected = expected_of(folder, texts)
    values = Scorer(bundle, provider="cpu").score(texts_of(texts)).values
    assert values == pytest.approx(expected, abs=1e-4 * expected.std() + np.spacing(np.float32(offset)))
    manifest = load_bundle(bundle).manifest
    assert 0.5 < expected.std() / manifest.unit.scale[0] < 2
    assert manifest.source["certificate"]["fp32"]["explained"]["share"] > 0.9999


def test_every_precision_is_made_judged_and_calibrated_in_windows(
    checkpoint, texts, tmp_path, score_model, monkeypatch
):
    seen = []
    calibrating = importing_graphs.GraphMaker._calibration

    def watched(self, most):
        found = calibrating(self, most)
        seen.append(found)
        return found

    monkeypatch.setattr(importing_graphs.GraphMaker, "_calibration", watched)
    monkeypatch.setattr(importing_graphs, "_MOST_EMULATED_WINDOWS", 24)
    bundle = tmp_path / "b"
    log = imported(score_model, checkpoint("bert"), "-o", bundle, "--texts", texts, *READ).out
    manifest, card = load_bundle(bundle).manifest, (bundle / "README.md").read_text()
    assert set(manifest.precisions) == {"fp32", "fp16", "int8"}, log
    assert [max(map(len, rows)) for rows in seen] == [LENGTH, LENGTH]
    assert [len(rows) for rows in seen] == [64, 16]
    for precision, count in (("fp32", 60), ("int8", 60)):
        assert manifest.source["certificate"][precision]["texts"] == count
        assert LoadedModel(bundle, provider="cpu", precision=precision)
    # float16 is emulated, on as many texts as have so few windows.
    assert 6 <= manifest.source["certificate"]["fp16"]["texts"] < 20
    assert "int8: rounding the weights, with 64 windows of texts for calibration" in log
    edges = manifest.parity["texts"]
    assert (edges["texts"], edges["windows"]) == (5, [1, 2, MOST])
    assert edges["difference"] < 1e-4
    assert f"fp32, 5 whole texts of 1 to {MOST} windows: logits differ from PyTorch by at most" in log
    for words in (
        f"The encoder reads a text of more than {LENGTH} tokens in windows, and its logits are the mean",
        f"Of the texts below, {manifest.metrics['several_windows']:.1%} have several windows, and ",
        "PyTorch computed every window alone, and its logits were combined in the same way.",
        "on the texts of which it reads the same tokens, none of several windows:",
        "The logits of 5 whole texts differ by at most",
        f"| up to {KEPT}, in at most {MOST} windows of {LENGTH} tokens that begin every {STRIDE} (truncation: windows) |",
    ):
        assert words in card
    again = score_model("parity", bundle, "--data", texts, "--encoder", checkpoint("bert"), "--threads", "1")
    assert again.code == 0, again.err
    assert f"fp32, {TEXTS + 5} whole texts of 1 to {MOST} windows: largest logit difference" in again.out


def test_labelled_texts_are_judged_and_calibrated_whole(checkpoint, texts, tmp_path, score_model, score):
    folder = checkpoint("bert")
    logits = expected_of(folder, texts)
    truth = [("bad", "good")[int(one.argmax()) if row % 7 else 1 - int(one.argmax())] for row, one in enumerate(logits)]
    file = tmp_path / "labelled.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *zip(texts_of(texts), truth, strict=True)])
    more = ("--texts", file, "--label-column", "label", "--precisions", "fp32")
    imported(score_model, folder, "-o", tmp_path / "b", *more, *READ)
    manifest = load_bundle(tmp_path / "b").manifest
    assert manifest.metrics["test"]["texts"] == manifest.calibration["texts"] == 60
    assert manifest.temperature != 1
    shares = softmax(logits / manifest.temperature)
    for row, one in zip(scores_of(tmp_path / "b", texts, tmp_path / "out.csv", score), shares, strict=True):
        assert float(row["score"]) == pytest.approx(one[1], abs=1.5e-5)
    wrong = 1 - manifest.metrics["test"]["accuracy"]
    assert 0.05 < wrong < 0.25  # one in seven
    assert manifest.reference.texts == TEXTS
    lengths = [len(ids) for ids in LoadedModel(tmp_path / "b", provider="cpu").tokenizer.encode(texts_of(texts)).ids]
    assert max(lengths) == KEPT
    assert manifest.metrics["several_windows"] == pytest.approx(np.mean(np.array(lengths) > LENGTH))
    assert 0 < manifest.metrics["truncated"] < 0.3


def two_after(tokenizer):
    """Make a tokenizer add nothing before a text, and two special tokens after it, as that of XLNet does."""
    inner = tokenizer.backend_tokenizer
    special = [(token, inner.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    inner.post_processor = processors.TemplateProcessing(single="$A [SEP] [CLS]", special_tokens=special)
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names)


def test_special_tokens_may_all_be_behind_a_text(texts, tmp_path, score_model, score):
    folder, tokenizer = tmp_path / "xl", two_after(tiny_tokenizer("wordpiece"))
    tiny_classifier("distilbert", tokenizer, ("bad", "good")).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert tokenizer("good")["input_ids"][0] == tokenizer.convert_tokens_to_ids("good")
    cut = score_model("import", folder, "-o", tmp_path / "c", "--truncation", "tail", "--max-length", LENGTH, "-q")
    assert cut.code == 2
    assert "adds 0 special tokens before a text and 2 after it, not one each, so texts cannot be cut" in cut.err
    imported(score_model, folder, "-o", tmp_path / "b", "--texts", texts, "--precisions", "fp32", *READ)
    shares = softmax(expected_of(folder, texts, 0, 2))
    rows = scores_of(tmp_path / "b", texts, tmp_path / "out.csv", score)
    assert [float(row["score"]) for row in rows] == pytest.approx(shares[:, 1], abs=1.1e-5)


def test_a_decoder_without_special_tokens_reads_windows_too(texts, tmp_path, score_model, score):
    vocabulary, merges = byte_level_bpe(("<|endoftext|>", "<pad>"))
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>")
    assert len(tokenizer("")["input_ids"]) == 0
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": len(tokenizer)}
    config = transformers.GPT2Config(
        **sizes, pad_token_id=vocabulary["<pad>"], id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1}
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data + 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    imported(score_model, tmp_path / "gpt2", "-o", tmp_path / "b", "--texts", texts, "--precisions", "fp32", *READ)
    shares = softmax(expected_of(tmp_path / "gpt2", texts, 0, 0))
    rows = scores_of(tmp_path / "b", texts, tmp_path / "out.csv", score)
    assert [float(row["score"]) for row in rows] == pytest.approx(shares[:, 1], abs=1.1e-5)


@pytest.mark.parametrize(("task", "outputs"), [("single_label", 1), ("multi_label", 3), ("regression", 1)])
def test_a_state_dict_reads_windows(task, outputs, texts, tmp_path, score_model):
    folder, tokenizer = tmp_path / "plain", tiny_tokenizer("wordpiece")
    tokenizer.save_pretrained(folder)
    encoder = tiny_classifier("bert", tokenizer, 2).bert
    encoder.save_pretrained(folder)
    torch.manual_seed(outputs)
    model = Notebook(encoder, outputs).eval()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    names = {"single_label": "bad,good", "multi_label": "plot,sound,cast", "regression": "score"}[task]
    arguments = ("--state-dict", tmp_path / "model.pt", "--encoder", folder, "--task", task, "--label-names", names)
    combine = "max" if task == "multi_label" else "mean"
    more = ("--combine-windows", combine, "--precisions", "fp32", "--texts", texts)
    imported(score_model, *arguments, "-o", tmp_path / "b", *READ, *more)
    logits = np.array([logits_of(model, tokenizer, text, combine=combine) for text in texts_of(texts)])
    found = Scorer(tmp_path / "b", provider="cpu").score(texts_of(texts))
    if task == "regression":
        assert found.values == pytest.approx(logits, abs=1e-4)
    else:
        expected = sigmoid(logits) if task == "multi_label" else np.hstack([1 - sigmoid(logits), sigmoid(logits)])
        assert found.probabilities == pytest.approx(expected, abs=1e-5)


def test_the_windows_are_as_long_as_the_model_unless_a_person_says_otherwise(checkpoint, tmp_path, score_model):
    log = imported(score_model, checkpoint("roberta"), "-o", tmp_path / "b", "--truncation", "windows").out
    manifest = load_bundle(tmp_path / "b").manifest
    assert (manifest.max_length, manifest.windows.most) == (64, 8)  # its positions
    assert manifest.tokens_kept == 64 + 7 * manifest.windows.stride
    assert manifest.source["certificate"]["fp32"]["logit"]["largest"] < 1e-4
    assert "in at most 8 windows of 64 tokens that begin every 60" in log


def test_windows_that_the_pipeline_would_not_read_are_in_log_and_card(checkpoint, tmp_path, score_model):
    folder = tmp_path / "left"
    tokenizer = tiny_tokenizer("wordpiece")
    tiny_classifier("distilbert", tokenizer, ("bad", "good")).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "truncation_side": "left"}))
    found = imported(score_model, folder, "-o", tmp_path / "b", "--precisions", "fp32", *READ).out
    card = (tmp_path / "b" / "README.md").read_text()
    assert "transformers would cut the beginning of a long text, as the checkpoint's tokenizer states, while" in found
    assert "the end of a text with more windows" in found
    assert "the end of a text with more windows" in card
    assert "--truncation tail" not in found


def test_a_graph_that_differs_in_a_window_alone_is_refused(checkpoint, texts, tmp_path, score_model, monkeypatch):
    """The reference takes every window through PyTorch: a text is not judged by its first window."""
    folder = checkpoint("bert")
    whole = importing_graphs.Whole

    def first_only(engine, wide=None, windows=None):
        class First:
            def logits(self, rows):
                return whole(engine).logits([windows.rows(row)[0] for row in rows])

        return First()

    monkeypatch.setattr(importing_graphs, "Whole", first_only)
    result = score_model("import", folder, "-o", tmp_path / "b", "--texts", texts, "-q", "--threads", "1", *READ)
    assert result.code == 5, result.err
    assert "fp32 differs from PyTorch by" in result.err
    assert not (tmp_path / "b").exists()
