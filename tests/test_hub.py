"""The defaults of `score-model train`, from the hub; skipped if no hub can be reached."""

import json
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from factories import Result

from export.cli.score_model import command as score_model
from export.data import Dataset
from export.data_files import load_hub
from export.data_source import Columns, LabelNames
from export.encoder.load import load_encoder
from export.training.settings import FitSettings, Settings
from export.training.train import train
from scorer.cli.program import run_command
from scorer.cli.score import command
from scorer.model.bundle import load_bundle

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    try:
        huggingface_hub.HfApi().model_info("distilbert-base-uncased", timeout=10)
    except Exception as error:  # the library's network errors share no base class
        pytest.skip(f"no hub can be reached: {type(error).__name__}")
    whole = load_hub("stanfordnlp/imdb", columns=Columns(), label_names=LabelNames())
    generator = np.random.default_rng(0)
    parts = {
        name: split.take(generator.choice(len(split), 200, replace=False))
        for name, split in (("train", whole.train), ("test", whole.test))
    }
    return Dataset(whole.name, whole.labels, **parts)


def test_distilbert_and_imdb_from_the_hub_go_all_the_way(
    dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dataset.labels == ("neg", "pos")
    encoder = load_encoder("distilbert-base-uncased", max_length=200)
    bundle = train(
        dataset,
        encoder,
        Settings(tmp_path / "imdb", "imdb", FitSettings(cache=tmp_path / "cache", wide=None, quiet=True), quiet=True),
        print,
    )
    assert bundle.manifest.parity["difference"] <= 1e-4
    assert bundle.manifest.metrics["test_accuracy"] > 0.6
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in dataset.test.texts))
    arguments = [
        str(tmp_path / "in.jsonl"),
        "-o",
        str(tmp_path / "out.csv"),
        "--model",
        str(tmp_path / "imdb"),
        "--provider",
        "cpu",
    ]
    result = Result(run_command(command, arguments, name="score", interrupted=""), *capfd.readouterr())
    assert result.code == 0, result.err
    assert (tmp_path / "out.csv").read_text().count("\n") == 201


@pytest.mark.parametrize(
    "name",
    [
        "distilbert-base-uncased-finetuned-sst-2-english",
        "cardiffnlp/twitter-roberta-base-sentiment-latest",
        "nlptown/bert-base-multilingual-uncased-sentiment",
        "cardiffnlp/twitter-xlm-roberta-base-sentiment",
    ],
)
def test_a_fine_tuned_checkpoint_from_the_hub_is_imported(
    name: str, dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "in.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in dataset.test.texts))
    arguments = ["import", name, "-o", str(tmp_path / "b"), "--texts", str(texts), "--max-length", "128", "-q"]
    result = Result(run_command(score_model, arguments, name="score-model", interrupted=""), *capfd.readouterr())
    assert result.code == 0, result.err
    exact = load_bundle(tmp_path / "b").manifest.source["certificate"]["fp32"]
    assert exact["labels"]["share"] == exact["pipeline"]["labels"]["share"] == 1
