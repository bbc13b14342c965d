"""Tasks: several labels a text, numbers, and ordered labels, in every format, resumed, sharded and from Python."""

import csv
import json

import numpy as np
import pyarrow.parquet
import pytest
from factories import reviews, with_fields

from scorer import LabelSets, Scorer, Values
from scorer.engine.row_engine import RowEngine
from scorer.engine.runtime import open_session
from scorer.model.confidence import correctness_of
from scorer.model.tokenizer import Tokenizer
from scorer.rows.label_cell import split_labels

TEXTS = [*reviews(40, 3, 5).texts, "good | bad"]


def logits_of(bundle):
    ids = Tokenizer(bundle.files["tokenizer.json"], bundle.manifest.tokens_kept).encode(TEXTS).ids
    session = open_session(bundle.graph("fp32"), "cpu", external=bundle.external("fp32"))
    return RowEngine(session, 1).logits(ids).astype(np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": f"n{n}", "text": text}) + "\n" for n, text in enumerate(TEXTS)))
    return path


def read(path):
    """Return the rows of an output as dicts of Python values."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    numbers = {name for name in rows[0] if name.startswith("score") or name in ("expected", "row", "tokens")}
    return [{name: float(value) if name in numbers else value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_several_labels(score, source, tmp_path, multi_label_bundle, kind):
    out = tmp_path / f"out.{kind}"
    result = score(source, "-o", out, "--model", multi_label_bundle.path, "--precision", "fp32")
    assert result.code == 0
    rows = read(out)
    assert [*rows[0]] == ["row", "id", "labels", "score_bad", "score_good", "score_mixed"]
    probabilities = sigmoid(logits_of(multi_label_bundle) / [0.5, 1.0, 2.0])
    given = probabilities >= [0.5, 0.25, 0.75]
    assert 0 < given.sum() < given.size
    names = np.array(["bad", "good", "mixed"])
    for row, share, has in zip(rows, probabilities, given, strict=True):
        labels = split_labels(row["labels"]) if isinstance(row["labels"], str) else row["labels"]
        assert labels == names[has].tolist()
        assert [row[f"score_{name}"] for name in names] == pytest.approx(share, abs=2e-6)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_numbers(score, source, tmp_path, regression_bundle, kind):
    out = tmp_path / f"out.{kind}"
    assert score(source, "-o", out, "--model", regression_bundle.path, "--precision", "fp32").code == 0
    rows = read(out)
    assert [*rows[0]] == ["row", "id", "score"]
    assert [row["score"] for row in rows] == pytest.approx(2 * logits_of(regression_bundle)[:, 0] + 3, abs=2e-6)


def test_the_mean_of_ordered_labels(score, source, tmp_path, ordered_bundle):
    out = tmp_path / "out.csv"
    assert score(source, "-o", out, "--model", ordered_bundle.path, "--details").code == 0
    rows = read(out)
    assert [*rows[0]][4:] == ["tokens", "truncated", "expected", "score_1", "score_2.5", "score_5"]
    for row in rows:
        mean = row["score_1"] + 2.5 * row["score_2.5"] + 5 * row["score_5"]
        assert row["expected"] == pytest.approx(mean, abs=1e-5)
        assert row["label"] == max(("1", "2.5", "5"), key=lambda label: row[f"score_{label}"])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("task", ["multi_label_bundle", "regression_bundle"])
def test_an_interrupted_run_is_resumed_to_the_same_bytes(
    score, interrupted, source, tmp_path, request, small_chunks, task, kind
):
    model = request.getfixturevalue(task).path
    score(source, "-o", tmp_path / f"whole.{kind}", "--model", model, "--summary", tmp_path / "whole.json")
    arguments = (source, "-o", tmp_path / f"out.{kind}", "--model", model, "--summary", tmp_path / "out.json")
    assert interrupted(2, *arguments).code == 143
    assert "Resuming at row 17" in score(*arguments).err
    assert (tmp_path / f"out.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()
    whole, found = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "out"))
    assert found["score_histogram"] == whole["score_histogram"]
    assert found["labels"] == whole["labels"]
    assert found["drift"] == whole["drift"]


@pytest.mark.parametrize("task", ["multi_label_bundle", "regression_bundle"])
def test_shards_add_up_to_the_whole(score, source, tmp_path, request, task):
    model = request.getfixturevalue(task).path
    score(source, "-o", tmp_path / "whole.csv", "--model", model)
    for index in (1, 2, 3):
        score(source, "-o", tmp_path / f"{index}.csv", "--model", model, "--shard", f"{index}/3")
    parts = [line for index in (1, 2, 3) for line in (tmp_path / f"{index}.csv").read_text().splitlines()[1:]]
    assert parts == (tmp_path / "whole.csv").read_text().splitlines()[1:]


def test_the_types_of_results_in_python(multi_label_bundle, regression_bundle):
    found = Scorer(multi_label_bundle, provider="cpu", precision="fp32").score(TEXTS)
    assert isinstance(found, LabelSets)
    probabilities = sigmoid(logits_of(multi_label_bundle) / [0.5, 1.0, 2.0])
    assert found.probabilities == pytest.approx(probabilities, abs=1e-12)
    assert found.labels[0] == tuple(
        name for name, has in zip(("bad", "good", "mixed"), probabilities[0] >= [0.5, 0.25, 0.75], strict=True) if has
    )
    numbers = Scorer(regression_bundle, provider="cpu", precision="fp32").score(TEXTS)
    assert isinstance(numbers, Values)
    assert numbers.values.shape == (len(TEXTS), 1)
    assert numbers.values == pytest.approx(2 * logits_of(regression_bundle) + 3, abs=1e-12)


@pytest.mark.parametrize(
    ("task", "gives"), [("multi_label_bundle", "each label that fits"), ("regression_bundle", "numbers")]
)
def test_a_threshold_is_refused_by_other_tasks(score, source, tmp_path, request, task, gives):
    model = request.getfixturevalue(task).path
    result = score(source, "-o", tmp_path / "out.csv", "--model", model, "--threshold", "0.7")
    assert result.code == 2
    assert f"need a model that chooses one label; this one gives {gives}. Omit them." in result.err
    assert not (tmp_path / "out.csv").exists()


def test_values_beyond_the_edges_are_counted_in_the_outer_bins(score, tmp_path, bundle, regression_bundle):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": "bad"}\n')
    arguments = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--model", regression_bundle.path)
    assert score(*arguments, "--summary", tmp_path / "run.json").code == 0
    histogram = json.loads((tmp_path / "run.json").read_text())["score_histogram"]
    assert histogram["edges"] == [float(edge) for edge in range(-7, 14)]
    assert sum(histogram["counts"]) == 2


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("multi_label_bundle", "any of the labels bad, good, mixed; precisions fp32"),
        ("regression_bundle", "numbers: score; precisions fp16, fp32, int8"),
        ("ordered_bundle", "ordered labels 1, 2.5, 5; precisions fp32"),
    ],
)
def test_the_check_names_the_task(score, request, name, line):
    result = score("--check", "--model", request.getfixturevalue(name).path)
    assert result.code == 0
    assert f"  {line}\n" in result.out


def test_the_check_names_the_error_that_can_be_promised(score, bundle, tmp_path):
    correctness = correctness_of(np.tile([0.005, 0.995], (1000, 1)), np.array([0] * 4 + [1] * 996))
    new = with_fields(
        bundle,
        tmp_path / "new",
        confidence={"int8": correctness, "fp32": correctness_of(np.zeros((0, 2)), np.zeros(0))},
    )
    result = score("--check", "--model", new.path)
    assert (
        "  held-out texts for --max-error: 0 in fp32 prove no error, 1,000 in int8 prove an error of 0.01\n"
        in result.out
    )
