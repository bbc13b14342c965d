"""The record of a run: --summary, --metrics and --log-format json, after success and every kind of failure."""

import gzip
import hashlib
import json
import os
import re
import signal
from pathlib import Path

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import ROOT, reviews, start, with_fields
from prometheus_client.parser import text_string_to_metric_families

import scorer
from scorer.base.errors import ScorerError
from scorer.base.progress import Progress
from scorer.cli.score import command
from scorer.engine.cpu_features import cpu_features
from scorer.report.prometheus import prometheus
from scorer.rows.duplicates import Duplicates
from scorer.storage.output import publish_text

pytestmark = pytest.mark.usefixtures("small_chunks")

SCHEMA = json.loads((Path(scorer.__file__).parent / "report" / "summary.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@pytest.fixture
def source(tmp_path):
    """Input of 40 records: every 9th has no text, one has a long text, and five repeat earlier texts."""
    texts = [f"{text} {row}" for row, text in enumerate(reviews(40, 2, 3).texts, start=1)]
    texts[10] = "so " * 100
    texts[20:25] = texts[0:5]
    records = [{"id": row, "text": "" if row % 9 == 0 else text} for row, text in enumerate(texts, start=1)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path / "in.jsonl"


@pytest.fixture
def recorded(score, tmp_path):
    """Run `score` and read its record, which must conform to the schema."""

    def run(*arguments, of=score):
        result = of(*arguments, "--summary", tmp_path / "run.json", "--metrics", tmp_path / "night.prom")
        record = json.loads((tmp_path / "run.json").read_text())
        CHECK.validate(record)
        assert record["exit_code"] == result.code
        return result, record, metrics(tmp_path / "night.prom")

    return run


def metrics(path):
    """Return samples by name and labels, as the official client parses them."""
    families = list(text_string_to_metric_families(path.read_text()))
    assert all(family.documentation and family.name.startswith("review_scorer_") for family in families)
    samples = {}
    for family in families:
        for sample in family.samples:
            assert sample.labels.pop("run") == path.stem
            samples[(sample.name.removeprefix("review_scorer_"), *sorted(sample.labels.items()))] = sample.value
    return samples


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_schema_is_valid_and_describes_every_key():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])


def test_the_record_of_a_run_counts_times_and_names_all_of_it(recorded, source, tmp_path, bundle):
    _, record, _ = recorded(source, "-o", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()[1:]
    labels = [line.split(",")[2] for line in lines]
    scores = [float(line.split(",")[3]) for line in lines]
    assert (record["exit_code"], record["error"], record["published"]) == (3, None, True)
    assert (record["rows_in"], record["rows_scored"], record["rows_rejected"]) == (40, 36, 4)
    assert record["rows_rejected_by_reason"] == {"empty_text": 4}
    assert (record["rows_truncated"], record["duplicates"], record["resumed_from_row"]) == (1, 5, None)
    assert record["labels"] == {label: labels.count(label) for label in set(labels)}
    assert sum(record["score_histogram"]["counts"]) == 36
    assert record["score_histogram"]["counts"][0] == sum(score < 0.05 for score in scores)
    assert record["score_histogram"]["sum"] == pytest.approx(sum(scores), abs=1e-4)
    assert record["rows_per_second"] > 0 < record["tokens_per_second"] < record["tokens"] * 1000
    assert record["seconds_by_phase"].keys() == {
        "load", "count", "skip", "read", "tokenize", "compute", "write", "publish",
    }  # fmt: skip
    assert record["seconds"] >= record["seconds_by_phase"]["load"] > 0
    assert (record["provider"], record["precision"]) == ("cpu", "int8")
    assert record["bundle"] == {"name": "tiny", "id": bundle.id, "path": str(bundle.path)}
    assert record["inputs"] == [{"path": str(source), "bytes": source.stat().st_size, "sha256": sha256(source)}]
    for key, name in (("output", "out.csv"), ("rejects", "out.csv.rejects.jsonl")):
        path = tmp_path / name
        assert record[key] == {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}
    assert record["versions"]["review-scorer"] == scorer.__version__
    assert {"python", "tokenizers", "numpy"} < record["versions"].keys()
    assert record["host"]["cpu_features"] == cpu_features()
    assert record["arguments"]["output"] == str(tmp_path / "out.csv")
    options = {max(parameter.opts, key=len).lstrip("-") for parameter in command.params if parameter.expose_value}
    assert record["arguments"].keys() == options


def test_the_record_of_several_labels_counts_each_and_the_rows_without_any(
    recorded, source, tmp_path, multi_label_bundle
):
    strict = with_fields(multi_label_bundle, tmp_path / "strict", thresholds=(0.4, 0.6, 0.5))
    result, record, samples = recorded(source, "-o", tmp_path / "out.jsonl", "--model", strict.path)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    labels = [label for row in rows for label in row["labels"]]
    without = sum(not row["labels"] for row in rows)
    highest = [max(row["score_bad"], row["score_good"], row["score_mixed"]) for row in rows]
    assert {min(len(row["labels"]), 2) for row in rows} == {0, 1, 2}
    assert record["task"] == "multi_label"
    assert record["labels"] == {label: labels.count(label) for label in set(labels)}
    assert record["rows_without_label"] == without
    histogram = record["score_histogram"]
    assert sum(histogram["counts"]) == 36
    assert histogram["sum"] == pytest.approx(sum(highest), abs=1e-4)
    assert (histogram["least"], histogram["greatest"]) == pytest.approx((min(highest), max(highest)), abs=1e-6)
    assert samples["rows_without_label",] == without
    assert samples["rows_labelled", ("label", "bad")] == labels.count("bad")
    info = next(dict(name[1:]) for name in samples if name[0] == "info")
    assert info["task"] == "multi_label"
    each = ", ".join(f"{labels.count(label)} {label}" for label in sorted(set(labels)))
    assert f"written to {tmp_path}/out.jsonl: {each}, {without} without a label.\n" in result.err


def test_the_record_of_values_has_their_own_histogram(recorded, source, tmp_path, regression_bundle):
    result, record, samples = recorded(source, "-o", tmp_path / "out.csv", "--model", regression_bundle.path)
    values = [float(line.split(",")[2]) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert min(values) < 0  # so that there are negative edges, and sums that fall
    assert (record["task"], record["labels"], record["rows_without_label"]) == ("regression", {}, 0)
    edges = [float(edge) for edge in range(-7, 14)]
    counts = [sum(low <= value < low + 1 for value in values) for low in edges[:-1]]
    counts[0] += sum(value < -7 for value in values)
    counts[-1] += sum(value >= 13 for value in values)
    histogram = record["score_histogram"]
    assert (histogram["edges"], histogram["counts"]) == (edges, counts)
    assert histogram["sum"] == pytest.approx(sum(values), abs=1e-4)
    assert (histogram["least"], histogram["greatest"]) == pytest.approx((min(values), max(values)), abs=1e-6)
    assert samples["score_bucket", ("le", "-6.0")] == counts[0]
    assert samples["score_bucket", ("le", "0.0")] == sum(value < 0 for value in values)
    assert samples["score_bucket", ("le", "+Inf")] == samples["score_count",] == 36
    assert samples["score_sum",] == pytest.approx(sum(values), abs=1e-4)
    assert ("rows_without_label",) not in samples
    least, greatest, mean = (f"{value:.4g}" for value in (min(values), max(values), sum(values) / 36))
    assert f"written to {tmp_path}/out.csv: values from {least} to {greatest}, mean {mean}.\n" in result.err


@pytest.mark.parametrize("model", ["multi_label_bundle", "regression_bundle"])
def test_a_resumed_run_of_another_task_counts_all_rows(recorded, interrupted, source, tmp_path, request, model):
    options = ("--model", request.getfixturevalue(model).path)
    _, whole, _ = recorded(source, "-o", tmp_path / "whole.csv", *options)
    command = (source, "-o", tmp_path / "out.csv", *options)
    assert recorded(*command, of=lambda *arguments: interrupted(3, *arguments))[0].code == 143
    _, record, _ = recorded(*command)
    assert record["resumed_from_row"] == 25
    for key in ("task", "labels", "rows_without_label", "score_histogram", "drift"):
        assert record[key] == whole[key]


@pytest.mark.parametrize("extension", ["csv.gz", "jsonl.zst", "parquet"])
def test_hashes_are_those_of_the_files_as_they_are_stored(recorded, score, source, tmp_path, extension):
    stored = tmp_path / f"in.{extension}"
    score(source, "-o", stored, "--keep", "text")
    _, record, _ = recorded(stored, source, "-o", tmp_path / f"out.{extension}", "--keep", "label")
    assert [(file["bytes"], file["sha256"]) for file in record["inputs"]] == [
        (path.stat().st_size, sha256(path)) for path in (stored, source)
    ]
    assert record["output"]["sha256"] == sha256(tmp_path / f"out.{extension}")


def test_a_file_that_was_not_read_to_its_end_has_no_hash(recorded, source, tmp_path):
    _, record, _ = recorded(source, source, "-o", tmp_path / "out.csv", "--limit", "5")
    assert [(file["bytes"], file["sha256"]) for file in record["inputs"]] == [(None, None)] * 2


def test_a_stream_has_its_hash_and_the_record_can_go_to_stdout(bundle, source, tmp_path):
    run = start(bundle, source, "--summary", tmp_path / "run.json", "--rejects", "/dev/null")
    out, _ = run.communicate()
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["output"] == {"path": "-", "bytes": len(out), "sha256": hashlib.sha256(out).hexdigest()}
    run = start(bundle, source, "-o", tmp_path / "out.csv", "--summary", "-")
    out, _ = run.communicate()
    assert json.loads(out)["rows_in"] == 40


def test_a_resumed_run_counts_all_rows_and_says_where_it_began(recorded, interrupted, source, tmp_path):
    command = (source, "-o", tmp_path / "out.csv")
    _, whole, _ = recorded(source, "-o", tmp_path / "whole.csv")
    result, broken, samples = recorded(*command, of=lambda *arguments: interrupted(3, *arguments))
    assert result.code == 143
    assert (broken["published"], broken["output"]["sha256"], broken["rows_in"]) == (False, None, 24)
    assert broken["error"].startswith("Terminated.\n24 rows are done and kept. The same command resumes at row 25.")
    assert samples[("exit_code",)] == 143
    _, record, samples = recorded(*command)
    assert record["resumed_from_row"] == 25
    for key in (
        "rows_in", "rows_scored", "rows_rejected", "rows_rejected_by_reason", "rows_truncated", "duplicates", "labels",
        "score_histogram", "tokens", "inputs",
    ):  # fmt: skip
        assert record[key] == whole[key], key
    assert record["output"]["sha256"] == whole["output"]["sha256"]


@pytest.mark.parametrize(
    ("arguments", "data", "code", "error"),
    [
        (["none.csv"], None, 2, "the input none.csv does not exist"),
        (["in.jsonl", "--text", "body"], '{"text": "good"}\n', 2, "in.jsonl has no column 'body'"),
        (["in.jsonl", "--strict"], '{"text": "good"}\nbroken\n', 4, "1 of the first 2 records were rejected"),
        (["in.jsonl"], "broken\n", 4, "the only record was rejected"),
        (["in.jsonl", "--model", "none"], '{"text": "good"}\n', 5, "none"),
        (["in.jsonl", "-o", "no/out.csv"], '{"text": "good"}\n', 2, "create it first"),
    ],
)
def test_a_run_that_fails_leaves_its_record(recorded, tmp_path, monkeypatch, arguments, data, code, error):
    monkeypatch.chdir(tmp_path)
    if data is not None:
        (tmp_path / "in.jsonl").write_text(data)
    result, record, samples = recorded(*arguments, *([] if "-o" in arguments else ["-o", "out.csv"]))
    assert result.code == code
    assert error in record["error"]
    assert record["error"] in result.err
    assert (record["published"], samples[("published",)], samples[("exit_code",)]) == (False, 0, code)


def test_an_unexpected_failure_leaves_its_record_too(recorded, source, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("scorer.run.score.score_rows", fail)
    result, record, _ = recorded(source, "-o", tmp_path / "out.csv")
    assert (result.code, record["error"]) == (1, "out of luck")


def test_a_killed_reader_of_stdout_leaves_141(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n' * 3000)
    run = start(bundle, tmp_path / "in.jsonl", "--summary", tmp_path / "run.json")
    run.stdout.close()
    assert run.wait() == 141
    record = json.loads((tmp_path / "run.json").read_text())
    CHECK.validate(record)
    assert (record["exit_code"], record["published"]) == (141, False)


def test_a_signal_leaves_its_record(bundle, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    options = ("--input-format", "jsonl", "--provider", "auto", "--summary", tmp_path / "run.json")
    run = start(bundle, tmp_path / "fifo", "-o", tmp_path / "out.csv", *options)
    assert run.stderr.readline().startswith(b"Using ")  # the model is loaded, and the first record awaited
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 143
    record = json.loads((tmp_path / "run.json").read_text())
    CHECK.validate(record)
    assert (record["exit_code"], record["rows_in"]) == (143, 0)


@pytest.mark.parametrize("option", ["--summary", "--metrics"])
def test_a_record_never_takes_the_place_of_another_file_of_the_run(score, source, tmp_path, option):
    before = source.read_bytes()
    for place, message in (
        (source, f"{option} {source} is an input too; write to another file."),
        (tmp_path / "out.csv", f"{option} and --output are the same file; name another for one of them."),
        (
            tmp_path / "out.csv.rejects.jsonl",
            f"{option} and --rejects are the same file; name another for one of them.",
        ),
        (
            tmp_path / "no" / "x",
            f"the folder {tmp_path / 'no'} of {option} {tmp_path / 'no' / 'x'} does not exist; create it first.",
        ),
    ):
        result = score(tmp_path / "in.*", "-o", tmp_path / "out.csv", option, place)
        assert (result.code, result.err) == (2, f"Error: {message}\n")
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_a_record_that_cannot_be_written_is_reported_and_the_other_files_are_written(
    score, source, tmp_path, monkeypatch
):
    def fail(place, text, work_dir):
        if place == str(tmp_path / "night.prom"):
            raise ScorerError("disk full.")
        write(place, text)

    write = publish_text
    monkeypatch.setattr("scorer.run.record.publish_text", fail)
    options = ("--metrics", tmp_path / "night.prom", "--summary", tmp_path / "run.json")
    result = score(source, "-o", tmp_path / "out.csv", *options)
    message = f"{tmp_path / 'out.csv'} is published and complete, but the record of the run is not: disk full."
    assert (result.code, result.err) == (1, f"Error: {message}\n")
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["exit_code"], record["error"], record["published"]) == (1, message, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.jsonl",
        "out.csv",
        "out.csv.rejects.jsonl",
        "run.json",
    ]
    result = score("none.csv", "-o", tmp_path / "out.csv", *options)
    assert result.err.startswith("Error: the input none.csv does not exist")
    assert "The record of the run is incomplete: disk full." in result.err


def test_names_that_are_no_text_can_be_those_of_records(score, source, tmp_path):
    place = os.fsdecode(b"m\xff.prom")
    assert (
        score(
            source,
            "-o",
            tmp_path / "out.csv",
            "--metrics",
            f"{tmp_path}/{place}",
            "--summary",
            f"{tmp_path}/{place}.json",
        ).code
        == 3
    )
    assert 'run="m\\\\xff"' in (tmp_path / place).read_text()


def test_a_limit_on_rejects_leaves_the_rejects_in_the_record(recorded, source, tmp_path):
    _, record, _ = recorded(source, "-o", tmp_path / "out.csv", "--strict")
    rejects = tmp_path / "out.csv.rejects.jsonl"
    assert record["rejects"] == {"path": str(rejects), "bytes": rejects.stat().st_size, "sha256": sha256(rejects)}
    assert (record["published"], record["rows_scored"], record["rows_rejected"]) == (False, 8, 1)


def test_metrics_are_what_the_record_says(recorded, source, tmp_path):
    _, record, samples = recorded(source, "-o", tmp_path / "out.csv")
    for name in ("exit_code", "rows_in", "rows_scored", "rows_rejected", "rows_truncated", "tokens", "rows_per_second"):
        assert samples[(name,)] == record[name]
    assert samples[("published",)] == 1
    assert samples[("rows_duplicate",)] == record["duplicates"]
    assert samples[("rows_rejected_by_reason", ("reason", "empty_text"))] == 4
    assert {name[1][1]: value for name, value in samples.items() if name[0] == "rows_labelled"} == record["labels"]
    assert {name[1][1]: value for name, value in samples.items() if name[0] == "phase_seconds"} == record[
        "seconds_by_phase"
    ]
    assert samples[("score_count",)] == samples[("score_bucket", ("le", "+Inf"))] == 36
    assert samples[("score_bucket", ("le", "0.5"))] == sum(record["score_histogram"]["counts"][:10])
    info = next(dict(name[1:]) for name in samples if name[0] == "info")
    assert info["bundle_id"] == record["bundle"]["id"]


def test_labels_of_metrics_may_hold_anything():
    record = {
        "ended": "2026-11-23T00:00:00.000Z", "bundle": {"name": 'a "b"\\\n', "id": ""}, "task": None, "provider": None,
        "precision": None, "versions": {"review-scorer": "0"}, "exit_code": 0, "published": True, "seconds": 1.0, "rows_in": 0, "rows_scored": 0,
        "rows_rejected": 0, "rows_rejected_by_reason": {}, "rows_truncated": 0, "duplicates": 0, "labels": {'so "so"\n': 1},
        "tokens": 0, "windows": None, "rows_in_windows": None, "cascade": None, "cache": None, "rows_per_second": None, "tokens_per_second": None, "seconds_by_phase": {},
        "score_histogram": {"edges": [0.0, 0.5, 1.0], "counts": [0, 0], "sum": 0.0}, "drift": None,
        "rows_uncertain": 0, "max_error": None, "expected_accuracy": None,
    }  # fmt: skip
    text = prometheus(record, "/x/night.prom")
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert found["review_scorer_info"][0].labels["bundle"] == 'a "b"\\\n'
    assert found["review_scorer_rows_labelled"][0].labels == {"run": "night", "label": 'so "so"\n'}
    assert "review_scorer_rows_per_second" not in found


@pytest.mark.parametrize("model", ["staged_windows_bundle", "multi_label_bundle", "regression_bundle"])
def test_every_key_and_metric_is_in_the_docs(recorded, source, tmp_path, request, model):
    recorded(source, "-o", tmp_path / "out.csv", "--model", request.getfixturevalue(model).path)
    text = (ROOT / "docs" / "RECORD.md").read_text()
    for key in SCHEMA["properties"]:
        assert f"`{key}`" in text, key
    for name in re.findall(r"^# TYPE (\S+)", (tmp_path / "night.prom").read_text(), re.MULTILINE):
        assert f"`{name}`" in text, name


def test_messages_as_json_are_an_object_a_line_whatever_is_printed(score, source, tmp_path):
    result = score(source, "-o", tmp_path / "out.csv", "--log-format", "json", "--keep", "nothing")
    lines = [json.loads(line) for line in result.err.splitlines()]
    assert [(line["level"], line.get("event")) for line in lines] == [
        ("info", "result"), ("info", None), ("info", None), ("warning", None), ("warning", None),
    ]  # fmt: skip
    assert (lines[0]["rows_in"], lines[0]["rows_scored"], lines[0]["rows_rejected"]) == (40, 36, 4)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    for arguments, code in (
        (["--log-format", "json", "none.csv"], 2),
        (["--max-rejects", "x", "--log-format", "json"], 2),  # an error that click raises
        (["--bogus", "--log-format=json"], 2),
        ([source, "-o", tmp_path / "out.csv", "--strict", "--log-format", "json"], 4),
    ):
        result = score(*arguments)
        (line,) = [json.loads(line) for line in result.err.splitlines()]
        assert (line["level"], line["exit_code"], result.code) == ("error", code, code)
        assert line["message"].startswith("Error: ")
    # The next command in the process prints words again.
    assert score("none.csv").err.startswith("Error: ")


def test_a_traceback_is_a_field_of_the_line(score, source, tmp_path, monkeypatch):
    monkeypatch.setenv("SCORE_LOG_FORMAT", "json")
    (line,) = score("none.csv", "--debug").err.splitlines()
    assert "UsageError" in json.loads(line)["traceback"]


def test_progress_as_json_has_numbers(capsys, monkeypatch):
    monkeypatch.setattr("scorer.base.messages._Form.as_json", True)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("scorer.base.progress.time.monotonic", lambda: float(next(clock)))
    with Progress("scoring", 100, quiet=False, every=15) as progress:
        for done in (0, 10, 20):
            progress.show(done, f"{done} rows", {"rows_in": done})
    line = json.loads(capsys.readouterr().err)
    assert {key: line[key] for key in ("event", "rows_in", "share", "seconds_left")} == {
        "event": "progress", "rows_in": 10, "share": 0.1, "seconds_left": 90,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl.gz", "in.parquet"])
def test_progress_is_by_rows_where_they_are_known_else_by_bytes_as_stored(score, tmp_path, monkeypatch, name):
    texts = [f"good {row}" for row in range(40)]
    if name.endswith("parquet"):
        pq.write_table(pa.table({"text": texts}), tmp_path / name)
    else:
        data = "text\n" + "\n".join(texts) if name == "in.csv" else "".join(f'{{"text": "{text}"}}\n' for text in texts)
        (tmp_path / name).write_bytes(gzip.compress(data.encode()) if name.endswith("gz") else data.encode())
    shown, totals = [], []

    def begin(self, what, total, *, quiet):
        totals.append(total)

    monkeypatch.setattr(Progress, "__init__", begin)
    monkeypatch.setattr(Progress, "show", lambda self, done, note, fields=None: shown.append(done))
    monkeypatch.setattr(Progress, "__exit__", lambda self, *error: None)
    score(tmp_path / name, "-o", tmp_path / "out.csv")
    size = 40 if name.endswith("parquet") else (tmp_path / name).stat().st_size
    assert (totals, shown[-1]) == ([size], size)


def test_duplicates_are_counted_exactly_as_long_as_there_is_room():
    seen = Duplicates(1 << 10)
    texts = [f"text {number % 500}" for number in range(1500)]
    assert sum(map(seen.add, texts)) == 1000
    assert not any(Duplicates(64).add(str(number)) for number in range(1000))
