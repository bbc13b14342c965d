"""The benchmark against peers with a trained classifier, on the peers that come with PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from factories import ROOT, reviews, with_fields

from scorer import Scorer
from scorer.model.bundle import Bundle
from scorer.model.length_calibration import LengthCalibration

GIVEN = reviews(90, 2, 5)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """File of labelled texts."""
    labels = [("negative", "positive")[number] for number in GIVEN.labels]
    pyarrow.parquet.write_table(pyarrow.table({"text": GIVEN.texts, "label": labels}), tmp_path / "texts.parquet")
    return tmp_path / "texts.parquet"


def bench(*arguments):
    command = [sys.executable, ROOT / "bench" / "cpu.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def right(bundle, **more):
    """Return the share of texts that a bundle labels right."""
    found = Scorer(bundle, provider="cpu", **more).score(GIVEN.texts)
    return np.mean(found.probabilities.argmax(axis=1) == GIVEN.labels)


@pytest.fixture
def by_length(staged_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle with a cascade, whose calibration by length turns labels."""
    calibration = LengthCalibration((4.0, 10.0), (1.0, 1.5), ((-2.0,), (2.0,)))
    return with_fields(staged_bundle, tmp_path / "by-length", calibration_by_length=calibration)


def test_each_rate_stands_beside_the_accuracy_of_the_same_classifier(by_length, encoder_folder, texts, tmp_path):
    files = ["--trained", encoder_folder("bert"), "--model", by_length.path, "--data", texts]
    sizes = ["--calibration", texts, "--labelled", "90", "--reviews", "8", "--rounds", "2"]
    picture = tmp_path / "engines.png"
    done = bench(*files, *sizes, "--only", "abcg", "--picture", picture)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["labelled"], report["reviews"], report["calibration"]) == (90, 8, 64)
    found = {(one["name"], one["precision"]): one for one in report["contenders"]}
    assert len(found) == 6
    pipeline = "transformers pipeline, batches of 32, tokenizing included"
    for name in ("PyTorch, unsorted, batches of 64", "PyTorch, sorted", pipeline, "this project"):
        assert found[name, "fp32"]["mean_error"] < 1e-4
        assert found[name, "fp32"]["accuracy"] == right(by_length, precision="fp32", cascade=False)
    # int8 is made again, on other calibration texts than the bundle's.
    with_cascade = found["this project, with the cascade", "int8"]
    assert abs(with_cascade["accuracy"] - right(by_length, precision="int8")) <= 1 / 90
    assert with_cascade["mean_error"] > 0.01
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_table_leads_with_those_that_are_as_accurate_as_pytorch(staged_bundle, encoder_folder, texts):
    files = ["--trained", encoder_folder("bert"), "--model", staged_bundle.path, "--data", texts]
    done = bench(*files, "--reviews", "4", "--rounds", "1", "--only", "cg")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    equal, worse = set(), set()
    for one in report["contenders"]:
        (equal if one["points_lost"]["points"] <= 0.1 else worse).add(f"{one['name']} | {one['precision']}")
    leading, _, rest = done.stdout.partition("Those that lose more than 0.1 points")
    assert leading.lstrip().splitlines()[2].startswith("Reviews a second among those within 0.1 points")
    assert all(f"| {one} |" in leading and f"| {one} |" not in rest for one in equal)
    assert all(f"| {one} |" in rest and f"| {one} |" not in leading for one in worse)
    ahead = {f"{one['name']} | {one['precision']}" for one in report["lead"]}
    assert ahead == {one for one in equal if "project" in one}
    # Without --calibration, the texts to calibrate on are not those that are labelled.
    assert report["labelled"] + report["calibration"] == len(GIVEN)


def test_an_encoder_of_another_bundle_is_refused(staged_bundle, encoder_folder, texts):
    folder = encoder_folder("distilbert")
    done = bench("--trained", folder, "--model", staged_bundle.path, "--data", texts)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"{folder} is not the encoder of {staged_bundle.path}; give the folder of its --save-encoder"
    )
