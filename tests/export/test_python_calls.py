"""`train` and `import_checkpoint` of `export`, called from Python."""

import json
import subprocess
import sys

import pytest
from factories import MAX_LENGTH, reviews
from tiny_checkpoints import save_checkpoint

import export
from export import import_checkpoint, train
from scorer import Scorer
from scorer.base.errors import ScorerError, UsageError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    for name, count, seed in (("train", 120, 1), ("test", 60, 2)):
        split = reviews(count, 2, seed)
        rows = zip(split.texts, split.labels, strict=True)
        lines = [json.dumps({"text": text, "kind": ("bad", "good")[label]}) for text, label in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


def options(files, encoder_folder, tmp_path):
    return {
        "train_file": files / "train.jsonl", "test_file": [files / "test.jsonl"], "label_column": "kind",
        "encoder": encoder_folder("bert"), "max_length": MAX_LENGTH, "cache_dir": tmp_path / "cache", "wide": False,
        "precisions": ("fp32", "int8"), "baseline": None, "quiet": True, "threads": 1,
    }  # fmt: skip


def test_a_training_from_python_is_that_of_the_command(files, encoder_folder, tmp_path, score_model):
    lines = []
    made = train(tmp_path / "a", report=lines.append, **options(files, encoder_folder, tmp_path))
    done = score_model(
        "train", "-o", tmp_path / "b", "--train-file", files / "train.jsonl", "--test-file", files / "test.jsonl",
        "--label-column", "kind", "--encoder", encoder_folder("bert"), "--max-length", MAX_LENGTH, "--no-wide",
        "--cache-dir", tmp_path / "cache", "--precisions", "fp32,int8", "-q", "--name", "a", "--threads", 1,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert made.folder == tmp_path / "a"
    assert (made.folder / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()
    assert made.figures == json.loads((made.folder / "manifest.json").read_text())["metrics"]
    assert made.figures["test"]["texts"] == 60
    assert lines[-1].startswith(f"wrote {tmp_path / 'a'} (")
    assert Scorer(made.folder, provider="cpu").score(["good great film"]).labels


def test_an_import_from_python_is_that_of_the_command(files, tmp_path):
    checkpoint = save_checkpoint("distilbert", tmp_path / "tiny", ("bad", "good"))
    lines = []
    made = import_checkpoint(
        checkpoint,
        tmp_path / "b",
        texts=files / "test.jsonl",
        label_column="kind",
        quiet=True,
        threads=1,
        report=lines.append,
    )
    assert made.folder == tmp_path / "b"
    assert 0 <= made.figures["test"]["accuracy"] <= 1
    assert lines[-1].startswith("wrote ")
    assert Scorer(made.folder, provider="cpu").labels == ("bad", "good")


def test_a_call_prints_its_log_unless_told_otherwise(tmp_path, capsys):
    checkpoint = save_checkpoint("bert", tmp_path / "tiny", ("bad", "good"))
    import_checkpoint(str(checkpoint), str(tmp_path / "b"), quiet=True, threads=1)
    assert capsys.readouterr().out.splitlines()[-1].startswith("wrote ")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"label_colum": "x"}, TypeError, "there is no option 'label_colum': did you mean 'label_column'?"),
        ({"help": True}, TypeError, "there is no option 'help': "),
        ({"wide": "no"}, TypeError, "wide takes True or False, not 'no'"),
        ({"max_length": "many"}, UsageError, "Invalid value for '--max-length'"),
        ({"pooling": "mean", "augment": "crops", "train_file": None}, UsageError, "--augment has an effect only with"),
        ({"train_file": "missing.csv"}, UsageError, "missing.csv"),
        ({"label_column": "sort"}, UsageError, "has no column 'sort'"),
    ],
)
def test_what_the_command_refuses_is_an_error_with_its_message(
    files, encoder_folder, tmp_path, monkeypatch, given, error, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        train("b", **{**options(files, encoder_folder, tmp_path), **given})
    assert message in str(caught.value)
    assert not (tmp_path / "b").exists()
    assert issubclass(error, TypeError | ScorerError)


def test_the_environment_sets_options_as_for_the_command(files, encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SCORE_MODEL_TRAIN_LABEL_COLUMN", "sort")
    given = options(files, encoder_folder, tmp_path)
    del given["label_column"]
    with pytest.raises(UsageError, match="has no column 'sort'"):
        train(tmp_path / "b", **given)


def test_to_import_the_package_loads_no_library():
    script = "import sys, export; print('torch' in sys.modules, 'numpy' in sys.modules, hasattr(export, 'other'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False False\n"
    assert set(export.__all__) == {"Made", "import_checkpoint", "train"}
