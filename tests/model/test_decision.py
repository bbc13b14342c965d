"""--threshold and --uncertain: the labels that they choose, and the values that they refuse."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from scorer import Scorer
from scorer.base.errors import UsageError
from scorer.model.decision import Decision
from scorer.model.loaded import LoadedModel

TEXTS = ["good great lovely", "bad awful dull", "good bad", "the film was", "a plot", "superb awful film"]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in TEXTS)])
    return path


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_threshold_moves_labels_and_no_score(source, score, tmp_path):
    assert score(source, "-o", tmp_path / "plain.csv").code == 0
    plain = rows(tmp_path / "plain.csv")
    scores = sorted(float(row["score"]) for row in plain)
    between = (scores[3] + scores[4]) / 2
    assert score(source, "-o", tmp_path / "high.csv", "--threshold", between).code == 0
    high = rows(tmp_path / "high.csv")
    assert [row["score"] for row in high] == [row["score"] for row in plain]
    assert sum(row["label"] == "positive" for row in high) == 2
    for threshold, label in ((0, "positive"), (1, "negative")):
        assert score(source, "-o", tmp_path / "all.csv", "--threshold", threshold).code == 0
        assert {row["label"] for row in rows(tmp_path / "all.csv")} == {label}


def test_texts_within_the_band_are_uncertain_and_counted_as_such(source, score, tmp_path):
    assert score(source, "-o", tmp_path / "plain.csv").code == 0
    scores = sorted(float(row["score"]) for row in rows(tmp_path / "plain.csv"))
    low, high = (scores[0] + scores[1]) / 2, (scores[4] + scores[5]) / 2
    result = score(source, "-o", tmp_path / "out.csv", "--uncertain", f"{low},{high}", "--threshold", (low + high) / 2)
    assert result.code == 0, result.err
    labels = [row["label"] for row in rows(tmp_path / "out.csv")]
    assert sorted(labels) == ["negative", "positive", *["uncertain"] * 4]
    assert "1 negative, 1 positive, 4 uncertain." in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--uncertain", "0.4"], "--uncertain takes LOW,HIGH, as in 0.4,0.6, not '0.4'."),
        (["--uncertain", "a,b"], "--uncertain takes LOW,HIGH, as in 0.4,0.6, not 'a,b'."),
        (["--uncertain", "0.6,0.8"], "--uncertain 0.6,0.8: LOW, the threshold (0.5) and HIGH must be in this order and between 0 and 1, with LOW below HIGH."),
        (["--uncertain", "nan,0.8"], "--uncertain nan,0.8: LOW, the threshold (0.5) and HIGH must be in this order and between 0 and 1, with LOW below HIGH."),
        (["--uncertain", "0.5,0.5"], "--uncertain 0.5,0.5: LOW, the threshold (0.5) and HIGH must be in this order and between 0 and 1, with LOW below HIGH."),
        (["--threshold", "nan"], "Invalid value for '--threshold': nan is not in the range 0<=x<=1.\nTry 'score --help'."),
        (["--max-reject-ratio", "nan"], "Invalid value for '--max-reject-ratio': nan is not in the range 0<=x<=1.\nTry 'score --help'."),
    ],
)  # fmt: skip
def test_an_invalid_band_is_refused_before_anything_is_written(source, score, tmp_path, options, message):
    result = score(source, "-o", tmp_path / "out.csv", *options)
    assert (result.code, f"\n{result.err}".endswith(f"\nError: {message}\n")) == (2, True), result.err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("threshold", [math.nan, 1.5, -0.1])
def test_a_threshold_from_python_is_checked_as_well(threshold):
    with pytest.raises(UsageError, match="is not between 0 and 1"):
        Decision(threshold=threshold).check(("no", "yes"))


def test_more_than_two_labels_have_no_threshold(bundle_of_three, source, score, tmp_path):
    result = score(source, "-o", tmp_path / "out.csv", "--model", bundle_of_three.path, "--threshold", 0.7)
    assert result.code == 2
    assert result.err.endswith(
        "Error: --threshold and --uncertain need a model with two labels; this one has 3: bad, good, mixed.\n"
    )


def test_a_run_with_another_threshold_is_not_resumed(bundle, source, score, tmp_path):
    from scorer.run.options import ScoreOptions

    assert {"--threshold", "--uncertain"} <= set(ScoreOptions().shaping())


def test_the_scorer_applies_a_decision_in_python(bundle):
    plain = Scorer(bundle, provider="cpu").score(TEXTS)
    found = Scorer(bundle, provider="cpu", decision=Decision(uncertain=(0.0, 1.0))).score(TEXTS)
    assert set(found.labels) == {"uncertain"}
    assert (found.probabilities == plain.probabilities).all()
    none = Decision(0.3).labels(np.array([[np.nan, np.nan], [0.7, 0.3]]), ["no", "yes"])
    assert none == ["", "yes"]


def test_logits_are_divided_by_the_bundles_temperature(bundle):
    manifest = bundle.manifest
    warm = replace(manifest, calibration={**manifest.calibration, "temperature": 1.7})
    scorer = LoadedModel(replace(bundle, manifest=warm), provider="cpu", precision="fp32")
    tokens = scorer.tokenizer.encode(["good film", "bad film"])
    logits = scorer.engine.logits(tokens.ids)
    expected = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64) / 1.7))
    np.testing.assert_allclose(scorer.score_tokens(tokens).values[:, 1], expected)


@pytest.mark.parametrize("what", ["--check", "--show-config"])
def test_an_invalid_band_is_refused_even_if_nothing_is_scored(score, what):
    for band in ("x", "0.9,0.1"):
        result = score(what, "--uncertain", band)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"Error: --uncertain {'takes LOW,HIGH' if band == 'x' else band}")
