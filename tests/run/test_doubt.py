"""--max-error, --uncertain-rows and the expected accuracy, from the command line to the record of the run."""

import csv
import gzip
import json
import os
import re
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import held_out, reviews, with_confidence, with_fields

from scorer import Scorer
from scorer.base.errors import UsageError
from scorer.model.confidence import CONFIDENCES, correctness_of, expected_accuracy
from scorer.model.decision import UNCERTAIN, Decision

LEAST = 0.8
TEXTS = reviews(200, 2, 5).texts


@pytest.fixture(scope="module")
def sure(bundle, tmp_path_factory):
    """The bundle of two labels, whose held-out texts were all right from 0.8 up and all wrong below."""
    found = held_out(LEAST)
    return with_confidence(bundle, tmp_path_factory.mktemp("bundles") / "sure", fp32=found, int8=found)


@pytest.fixture(scope="module")
def sure_of_three(bundle_of_three, tmp_path_factory):
    return with_confidence(bundle_of_three, tmp_path_factory.mktemp("bundles") / "sure3", fp32=held_out(0.6))


@pytest.fixture
def source(tmp_path):
    records = [{"id": f"r{row}", "text": text} for row, text in enumerate(TEXTS, start=1)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with open(tmp_path / "in.csv", "w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *([record["id"], record["text"]] for record in records)])
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "in.parquet")
    return tmp_path / "in.jsonl"


@pytest.fixture
def run(score, sure, tmp_path):
    """Run `score` with the sure bundle in fp32, and return its result, its rows and its record."""

    def score_and_read(source, *arguments, model=sure, output="out.csv", precision="fp32"):
        out, summary = tmp_path / output, tmp_path / "run.json"
        fixed = ("--model", model.path, "--precision", precision, "--summary", summary)
        result = score(source, "-o", out, *fixed, *arguments)
        record = json.loads(summary.read_text()) if summary.exists() else None
        return result, read(out) if out.exists() else None, record

    return score_and_read


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("out", ["out.csv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
def test_labels_below_the_confidence_are_uncertain_and_scores_unchanged(run, source, tmp_path, name, out):
    _, plain, _ = run(tmp_path / name, output=out)
    result, rows, record = run(tmp_path / name, "--max-error", "0.05", "--max-drift", "0.25", output=out)
    assert result.code == 0, result.err
    assert [row["score"] for row in rows] == [row["score"] for row in plain]
    for row, before in zip(rows, plain, strict=True):
        positive = float(row["score"])
        assert row["label"] == (before["label"] if max(positive, 1 - positive) >= LEAST else UNCERTAIN)
    uncertain = sum(row["label"] == UNCERTAIN for row in rows)
    assert 0 < uncertain < len(rows)
    assert record["rows_uncertain"] == record["labels"][UNCERTAIN] == uncertain
    assert record["max_error"] == {"limit": 0.05, "confidence": LEAST, "holds": True, "reason": None}
    assert (
        f"{uncertain} rows ({uncertain / len(rows):.1%}) are uncertain: their confidence is below 0.8, above which the "
        "model's held-out texts prove an error of at most 5%.\n"
    ) in result.err


def test_any_number_of_labels_can_be_uncertain(run, source, sure_of_three):
    result, rows, record = run(source, "--max-error", "0.05", "--details", model=sure_of_three)
    assert result.code == 0, result.err
    names = sure_of_three.manifest.labels
    for row in rows:
        probabilities = [float(row[f"score_{name}"]) for name in names]
        best = names[int(np.argmax(probabilities))]
        assert row["label"] == (best if max(probabilities) >= record["max_error"]["confidence"] else UNCERTAIN)
    assert 0 < record["rows_uncertain"] < len(rows)


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (0.05, ["--threshold", "0.7"], "--max-error chooses the labels that are uncertain; omit --threshold and --uncertain, or --max-error."),
        (0.05, ["--uncertain", "0.4,0.6"], "--max-error chooses the labels that are uncertain; omit --threshold and --uncertain, or --max-error."),
        (0.05, ["--no-cascade"], "--max-error rests on held-out texts that were scored as the bundle states; omit --no-cascade or --max-error."),
        (0.00001, [], "--max-error 1e-05: the 43,000 held-out texts of the bundle tiny (fp32) do not prove it. They prove 0.0002 at best, which leaves 44.2% of them with a label."),
        (0, [], "--max-error 0 is not above 0 and below 1; write 0.05 for 5%."),
        (1, [], "--max-error 1 is not above 0 and below 1; write 0.05 for 5%."),
        ("nan", [], "nan is not in the range 0<=x<=1."),
    ],
)  # fmt: skip
def test_max_error_is_refused_where_it_cannot_be_kept(run, source, error, options, message, tmp_path):
    (tmp_path / "out.csv").write_text("old")
    result, _, _ = run(source, "--max-error", error, *options)
    assert result.code == 2
    assert message in result.err
    assert (tmp_path / "out.csv").read_text() == "old"


def test_max_error_names_the_precisions_that_have_held_out_texts(run, source):
    result, _, _ = run(source, "--max-error", "0.05", precision="fp16")
    assert result.code == 2
    assert "--max-error: the bundle tiny has no held-out texts in fp16; choose --precision fp32 or int8." in result.err


def test_other_bundles_refuse_max_error(run, source, bundle, multi_label_bundle, regression_bundle, sure, tmp_path):
    for model, message in (
        (with_fields(bundle, tmp_path / "older", confidence=None), "--max-error needs held-out texts by confidence, which the bundle tiny does not have; `score-model confidence BUNDLE -o NEW --data LABELLED` adds them."),
        (multi_label_bundle, "--max-error need a model that chooses one label; this one gives each label that fits. Omit them."),
        (regression_bundle, "--max-error need a model that chooses one label; this one gives numbers. Omit them."),
        (with_confidence(bundle, tmp_path / "none", fp32=held_out(1.0)), "do not prove it. They prove no error at all; omit --max-error."),
        (with_fields(sure, tmp_path / "named", labels=("no", UNCERTAIN), positive_label=UNCERTAIN), "--max-error cannot be used: the model has a label 'uncertain' of its own."),
    ):  # fmt: skip
        result, _, record = run(source, "--max-error", "0.05", model=model)
        assert (result.code, record["exit_code"]) == (2, 2)
        assert message in result.err


def test_max_error_comes_from_the_file_the_environment_and_python(run, source, sure, monkeypatch, tmp_path):
    _, expected, _ = run(source, "--max-error", "0.05")
    (tmp_path / "other.toml").write_text("max-error = 0.05\n")
    assert run(source, "--config", tmp_path / "other.toml")[1] == expected
    monkeypatch.setenv("SCORE_MAX_ERROR", "0.05")
    assert run(source)[1] == expected
    scorer = Scorer(sure, provider="cpu", precision="fp32", decision=Decision(max_error=0.05))
    assert scorer.score(TEXTS).labels == [row["label"] for row in expected]
    with pytest.raises(UsageError, match="omit --no-cascade"):
        Scorer(sure, provider="cpu", decision=Decision(max_error=0.05), cascade=False)


@pytest.mark.parametrize("name", ["doubt.csv", "doubt.tsv", "doubt.jsonl", "doubt.csv.gz"])
def test_uncertain_rows_go_to_people_with_their_most_probable_label(run, source, tmp_path, name):
    plain = run(source)[1]
    result, rows, record = run(source, "--max-error", "0.05", "--uncertain-rows", tmp_path / name, "--source")
    found = read(tmp_path / name)
    assert [int(row["row"]) for row in found] == [int(row["row"]) for row in rows if row["label"] == UNCERTAIN]
    for row in found:
        before = plain[int(row["row"]) - 1]
        expected = [str(source), before["id"], before["label"], TEXTS[int(row["row"]) - 1]]
        assert [row["source"], row["id"], row["label"], row["text"]] == expected
        assert float(row["score"]) == float(before["score"])
    assert list(found[0]) == ["row", "source", "id", "label", "score", "text"]
    assert result.err.count(f"at most 5%. They are in {tmp_path / name}.\n") == 1
    assert record["uncertain_rows"]["path"] == str(tmp_path / name)
    assert record["uncertain_rows"]["bytes"] == (tmp_path / name).stat().st_size


def test_the_rows_of_a_band_go_to_people_too(run, source, tmp_path):
    result, rows, record = run(source, "--uncertain", "0.3,0.7", "--uncertain-rows", tmp_path / "doubt.csv")
    found = read(tmp_path / "doubt.csv")
    assert len(found) == record["rows_uncertain"] == sum(row["label"] == UNCERTAIN for row in rows) > 0
    assert {row["label"] for row in found} == {"negative", "positive"}
    assert f"{len(found)} rows are uncertain. They are in {tmp_path / 'doubt.csv'}.\n" in result.err
    assert record["max_error"] is None


def test_what_people_have_labelled_is_not_replaced(run, source, tmp_path):
    place, options = tmp_path / "doubt.csv", ("--max-error", "0.05", "--uncertain-rows", tmp_path / "doubt.csv")
    run(source, *options)
    first = place.read_bytes()
    assert run(source, *options)[0].code == 0  # nobody has changed it
    assert place.read_bytes() == first
    place.write_bytes(first.replace(b"negative", b"positive"))
    os.utime(place, (time.time() + 60, time.time() + 60))
    output = (tmp_path / "out.csv").read_bytes()
    result, _, record = run(source, *options)
    assert (result.code, record["published"]) == (2, False)
    assert f"the uncertain rows of an earlier run in {place} have been changed since, perhaps by a person" in result.err
    assert place.read_bytes() == first.replace(b"negative", b"positive")
    assert (tmp_path / "out.csv").read_bytes() == output
    place.rename(tmp_path / "labelled.csv")
    assert run(source, *options)[0].code == 0
    assert place.read_bytes() == first


def test_without_an_uncertain_row_there_is_no_file_and_a_stale_one_goes(run, source, tmp_path):
    place = tmp_path / "doubt.csv"
    run(source, "--max-error", "0.05", "--uncertain-rows", place)
    assert place.exists()
    _, _, record = run(source, "--uncertain", "0,0.000001", "--threshold", "0", "--uncertain-rows", place)
    assert not place.exists()
    assert record["uncertain_rows"] is None
    place.write_text("row,id,text,label,score\n1,r1,mine,positive,0.9\n")  # an output with --keep text
    result, _, _ = run(source, "--max-error", "0.05", "--uncertain-rows", place)
    assert result.code == 2
    assert (
        f"--uncertain-rows {place} exists and is not the list of uncertain rows of an earlier run; move it"
        in result.err
    )
    assert "mine" in place.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--uncertain-rows", "d.csv"], "--uncertain-rows needs --max-error or --uncertain, which decide the rows that are uncertain."),
        (["--max-error", "0.05", "--uncertain-rows", "-"], "--uncertain-rows - is a stream; name a file, such as uncertain.csv."),
        (["--max-error", "0.05", "--uncertain-rows", "/dev/stderr"], "--uncertain-rows /dev/stderr is a stream; name a file, such as uncertain.csv."),
        (["--max-error", "0.05", "--uncertain-rows", "d.parquet"], "--uncertain-rows d.parquet: people edit text files; name a .csv, .tsv or .jsonl file (also .gz or .zst)."),
        (["--max-error", "0.05", "--uncertain-rows", "d.txt"], "--uncertain-rows d.txt: people edit text files; name a .csv, .tsv or .jsonl file (also .gz or .zst)."),
        (["--max-error", "0.05", "--uncertain-rows", "out.csv"], "--uncertain-rows and --output are the same file"),
        (["--max-error", "0.05", "--uncertain-rows", "out.csv.rejects.jsonl"], "--uncertain-rows and --rejects are the same file"),
        (["--max-error", "0.05", "--uncertain-rows", "in.csv"], "--uncertain-rows in.csv is an input too"),
        (["--max-error", "0.05", "--uncertain-rows", "no/d.csv"], "of --uncertain-rows no/d.csv does not exist; create it first."),
    ],
)  # fmt: skip
def test_a_place_that_cannot_hold_uncertain_rows_is_refused(
    score, source, sure, options, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = score("in.csv", "-o", "out.csv", "--model", sure.path, *options)
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "out.csv").exists()


def test_formulas_in_uncertain_texts_are_escaped_whatever_the_output_is(run, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "=1+1 the film"}\n{"text": "good great lovely fine superb"}\n')
    options = ("--uncertain", "0,1", "--uncertain-rows", tmp_path / "doubt.csv", "--escape-formulas")
    run(tmp_path / "in.jsonl", *options, output="out.jsonl")
    assert [row["text"] for row in read(tmp_path / "doubt.csv")] == ["'=1+1 the film", "good great lovely fine superb"]


def test_an_interrupted_run_resumes_its_uncertain_rows(small_chunks, interrupted, score, source, sure, tmp_path):
    def command(name, error=0.05, rows="doubt"):
        options = ("--precision", "fp32", "--max-error", error, "--uncertain-rows", tmp_path / f"{name}.{rows}.csv")
        return source, "-o", tmp_path / f"{name}.csv", "--model", sure.path, *options

    assert score(*command("whole")).code == 0
    assert interrupted(3, *command("out")).code == 143
    assert not (tmp_path / "out.doubt.csv").exists()
    again = score(*command("out"))
    assert again.err.startswith("Resuming at row 25")
    for extension in ("csv", "doubt.csv"):
        assert (tmp_path / f"out.{extension}").read_bytes() == (tmp_path / f"whole.{extension}").read_bytes()
    assert again.err.splitlines()[-1] == score(*command("whole")).err.splitlines()[-1]  # expected accuracy of all rows
    assert "Expected accuracy" in again.err

    # With another value, everything starts over, and the other file of uncertain rows is not left behind.
    assert interrupted(3, *command("out")).code == 143
    assert list(tmp_path.glob(".out.doubt.csv.score-*"))
    result = score(*command("out", 0.1, "other"))
    assert "--max-error was 0.05, now 0.1" in result.err
    assert "--uncertain-rows was" in result.err
    assert not list(tmp_path.glob(".out*"))


def test_a_changed_partial_file_of_uncertain_rows_is_noticed(small_chunks, interrupted, score, source, sure, tmp_path):
    options = ("--max-error", "0.05", "--uncertain-rows", tmp_path / "doubt.csv", "--precision", "fp32")
    command = (source, "-o", tmp_path / "out.csv", "--model", sure.path, *options)
    interrupted(3, *command)
    (partial,) = tmp_path.glob(".doubt.csv.score-*partial")
    partial.write_bytes(b"x" * partial.stat().st_size)
    result = score(*command)
    assert (
        "Not resuming the interrupted run: its uncertain rows are missing or have changed. Starting over." in result.err
    )
    assert result.code == 0


def test_shards_promise_the_same_and_their_uncertain_rows_are_those_of_all(run, source, tmp_path):
    _, rows, _ = run(source, "--max-error", "0.05")
    found = []
    for number in (1, 2, 3):
        place = tmp_path / f"doubt{number}.csv"
        result, _, _ = run(source, "--max-error", "0.05", "--shard", f"{number}/3", "--uncertain-rows", place)
        assert result.code == 0
        found += [int(row["row"]) for row in read(place)]
    assert found == [int(row["row"]) for row in rows if row["label"] == UNCERTAIN]


def drifted(path):
    """Write texts of nothing but unknown words."""
    path.write_text("".join(json.dumps({"text": f"zq{row} " * 3 + "good"}) + "\n" for row in range(300)))
    return path


def test_under_drift_the_promise_does_not_hold_and_no_accuracy_is_expected(run, source, tmp_path):
    result, _, record = run(drifted(tmp_path / "other.jsonl"), "--max-error", "0.05", "--metrics", tmp_path / "a.prom")
    assert result.code == record["exit_code"] == 3
    promise = record["max_error"]
    assert promise["holds"] is False
    assert promise["reason"].startswith("the drift of ")
    assert promise["reason"].endswith(" exceeds 0.1")
    assert f"shares of unknown word pieces ({record['drift']['unknown']['psi']:.3f})" in promise["reason"]
    assert f"--max-error 0.05 does not hold for this input: {promise['reason']}.\n" in result.err
    assert record["expected_accuracy"] is None
    assert record["expected_accuracy_withheld"] == promise["reason"]
    assert f"Expected accuracy withheld: {promise['reason']}.\n" in result.err
    metrics = (tmp_path / "a.prom").read_text()
    assert 'review_scorer_max_error_holds{run="a"} 0\n' in metrics
    assert "expected_accuracy" not in metrics
    # The drift of two rows could be chance.
    few = tmp_path / "few.jsonl"
    few.write_text("".join(f'{{"text": "{text}"}}\n' for text in TEXTS[:2]))
    result, _, record = run(few, "--max-error", "0.05")
    assert (result.code, record["max_error"]["holds"]) == (0, None)
    assert record["max_error"]["reason"].endswith(" is beyond 0.1, but may be chance: there are too few rows")
    assert f"--max-error 0.05 may not hold for this input: {record['max_error']['reason']}.\n" in result.err
    # Up to a limit of one's own, the promise holds.
    result, _, record = run(tmp_path / "other.jsonl", "--max-error", "0.05", "--max-drift", "50")
    assert record["max_error"]["holds"] is True
    assert record["expected_accuracy"] is not None or "confidence" in record["expected_accuracy_withheld"]


@pytest.fixture(scope="module")
def calibrated(bundle, tmp_path_factory):
    """The bundle with the correctness of 2,000 texts, of which it is right as often as its confidence states."""
    generator = np.random.default_rng(0)
    positive = generator.random(2_000)
    found = correctness_of(np.stack([1 - positive, positive], axis=1), (generator.random(2_000) < positive) * 1)
    return with_confidence(bundle, tmp_path_factory.mktemp("bundles") / "calibrated", fp32=found)


@pytest.mark.parametrize("options", [[], ["--uncertain", "0.3,0.7"]])
def test_the_expected_accuracy_is_the_mean_probability_of_the_labels(run, calibrated, source, tmp_path, options):
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines, *lines[:50]]) + "\n")  # 50 repeated texts
    result, rows, record = run(source, "--metrics", tmp_path / "a.prom", *options, model=calibrated)
    sure = [max(float(row["score"]), 1 - float(row["score"])) for row in rows if row["label"] != UNCERTAIN]
    counts, _ = np.histogram(sure, CONFIDENCES)
    found, variance = calibrated.manifest.confidence["fp32"], sum(p * (1 - p) for p in sure)
    different = len(sure) * (1 - record["duplicates"] / 250)
    expected = expected_accuracy(found, counts.tolist(), sum(sure), variance, different)
    stated = record["expected_accuracy"]
    assert record["duplicates"] >= 50
    assert [stated["value"], stated["low"], stated["high"]] == pytest.approx(
        [expected.value, expected.low, expected.high], abs=2e-5
    )
    assert record["expected_accuracy_withheld"] is None
    line = f"Expected accuracy {stated['value']:.1%} (95%: {stated['low']:.1%} to {stated['high']:.1%}).\n"
    assert line in result.err
    assert f'review_scorer_expected_accuracy{{run="a"}} {stated["value"]}\n' in (tmp_path / "a.prom").read_text()
    assert "Expected" not in run(source, "-q", model=calibrated)[0].err


def test_the_expected_accuracy_is_withheld_with_the_reason(
    run, source, bundle, calibrated, multi_label_bundle, staged_bundle, tmp_path
):
    staged = with_confidence(staged_bundle, tmp_path / "staged", fp32=held_out(0.0))
    (tmp_path / "empty.csv").write_text("text\n")
    unknown = with_fields(calibrated, tmp_path / "unknown", reference=None)
    older = with_fields(bundle, tmp_path / "older", confidence=None)
    for place, model, options, reason in (
        (source, older, [], "the bundle has no held-out texts by confidence"),
        (source, calibrated, ["--threshold", "0.7"], "--threshold gives other labels than the most probable ones"),
        (source, staged, ["--no-cascade"], "the cascade is off, with which the held-out texts were scored"),
        (source, multi_label_bundle, [], "the model does not choose one label of several"),
        (source, unknown, [], "the bundle has no histograms of its test data, so drift is unknown"),
        (tmp_path / "empty.csv", calibrated, [], "no row was scored"),
        (source, calibrated, ["--uncertain", "0,1"], None),
    ):
        record = run(place, *options, model=model)[2]
        assert record["expected_accuracy_withheld"] == reason or reason is None, (options, reason)
        assert (record["expected_accuracy"] is None) == (record["expected_accuracy_withheld"] is not None)
    assert record["rows_uncertain"] >= len(TEXTS) - 1
    record = run(source, model=calibrated, precision="int8")[2]
    assert record["expected_accuracy_withheld"] == "the bundle has no held-out texts by confidence in int8"


def test_a_calibrated_model_expects_the_accuracy_that_it_has(calibrated):
    """Draw labels by the bundle's own probabilities: the interval holds in 95% of draws, within chance."""
    scorer = Scorer(calibrated, provider="cpu", precision="fp32")
    probabilities = scorer.score(reviews(2_000, 2, 11).texts).probabilities
    sure = probabilities.max(axis=1)
    counts, _ = np.histogram(sure, CONFIDENCES)
    found = expected_accuracy(
        calibrated.manifest.confidence["fp32"], counts.tolist(), sure.sum(), (sure * (1 - sure)).sum(), len(sure)
    )
    drawn = (np.random.default_rng(2).random((400, len(sure))) < sure).mean(axis=1)
    assert ((found.low <= drawn) & (drawn <= found.high)).mean() >= 0.95


def test_the_page_shows_uncertain_rows_and_the_expected_accuracy(run, source, calibrated, sure, tmp_path):
    _, _, record = run(source, "--report", tmp_path / "run.html", model=calibrated)
    page = (tmp_path / "run.html").read_text()
    expected = record["expected_accuracy"]
    assert f"{100 * expected['value']:.1f}%" in page
    assert f"expected accuracy (95%: {100 * expected['low']:.1f}% to {100 * expected['high']:.1f}%)" in page
    _, _, record = run(
        source, "--max-error", "0.05", "--report", tmp_path / "run.html", "--uncertain-rows", tmp_path / "d.csv"
    )
    page = (tmp_path / "run.html").read_text()
    assert re.search(r"<dt>uncertain, [\d.]+%: confidence below 0.8<", page)
    assert record["uncertain_rows"]["sha256"] in page
    run(drifted(tmp_path / "other.jsonl"), "--max-error", "0.05", "--report", tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert '<header class="verdict bad">' in page  # the texts are unreadable, which breaks the promise
    assert '<li class="look">The promise of --max-error 0.05 does not hold: the drift of' in page
