"""Forecasts: figures that are exact, those that are estimated, the exit code, and the history of their errors."""

import gzip
import json
import re
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import ROOT, reviews

import scorer
from scorer.base.signals import Interrupted
from scorer.forecast.estimate import Costs, seconds_of
from scorer.forecast.footers import Group, groups_in
from scorer.forecast.sample import Sample
from scorer.forecast.speed import Speed
from scorer.report.figure import NOTHING, Figure, share, total
from scorer.report.forecast_history import Forecast
from scorer.rows.columns import Wanted
from scorer.rows.formats import INPUT_FORMATS
from scorer.rows.reader import Inputs, Reader
from scorer.run.console import report_forecast

pytestmark = pytest.mark.usefixtures("small_chunks")

SCHEMA = json.loads((Path(scorer.__file__).parent / "report" / "plan.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def texts(rows, seed=3):
    return [f"{text} {row}" for row, text in enumerate(reviews(rows, 2, seed).texts, start=1)]


def write_jsonl(path, found):
    path.write_text("".join(json.dumps({"id": row, "text": text}) + "\n" for row, text in enumerate(found, start=1)))
    return path


@pytest.fixture
def source(tmp_path):
    """Input of 60 records: every 9th has no text, one is no JSON, ten repeat earlier texts, and one is long."""
    found = texts(60)
    found[30:40] = found[10:20]
    found[8::9] = [""] * len(found[8::9])
    found[1] = "so " * 100
    write_jsonl(tmp_path / "in.jsonl", found)
    with (tmp_path / "in.jsonl").open("a") as file:
        file.write("broken\n")
    return tmp_path / "in.jsonl"


@pytest.fixture
def plan(score, tmp_path):
    """Plan a run and read the summary, which must conform to the schema."""

    def run(*arguments):
        result = score(*arguments, "--plan", "--summary", tmp_path / "plan.json")
        found = json.loads((tmp_path / "plan.json").read_text())
        CHECK.validate(found)
        assert found["exit_code"] == result.code
        return result, found

    return run


def recorded(score, tmp_path, *arguments):
    result = score(*arguments, "--summary", tmp_path / "run.json")
    return result, json.loads((tmp_path / "run.json").read_text())


COUNTS = (
    "rows_in",
    "duplicates",
    "rows_from_cache",
    "rows_truncated",
    "tokens",
    "rows_decided_early",
    "tokens_decided_early",
)


def value_of(found, name):
    figure = found["forecast"][name]
    return figure["value"] if figure is not None else None


def check_counts(found, record, rejected=None):
    """Check that a forecast whose sample has every text has the counts of the run's record."""
    for name in COUNTS:
        assert (value_of(found, name), found["forecast"][name]["exact"]) == (record[name], True), name
    by_reason = {reason: one["value"] for reason, one in found["forecast"]["rows_rejected_by_reason"].items()}
    by_reason["empty_text"] = by_reason.get("empty_text", 0) + value_of(found, "rows_without_token")
    assert {reason: count for reason, count in by_reason.items() if count} == record["rows_rejected_by_reason"]
    assert value_of(found, "windows") == record["windows"]


@pytest.mark.parametrize(
    "model", ["bundle", "staged_bundle", "windows_bundle", "staged_windows_bundle", "regression_bundle"]
)
def test_a_forecast_of_a_small_file_has_the_counts_of_the_run(plan, score, source, tmp_path, request, model):
    command = (source, "-o", tmp_path / "out.csv", "--model", request.getfixturevalue(model).path)
    result, found = plan(*command)
    assert (result.code, found["would_publish"], found["refusal"], found["unknown"]) == (0, True, None, [])
    _, record = recorded(score, tmp_path, *command)
    check_counts(found, record)
    seconds = found["forecast"]["seconds"]
    assert 0 < seconds["low"] < seconds["value"] < seconds["high"]
    assert not seconds["exact"]
    for name in ("task", "provider", "precision", "cascade", "bundle"):
        assert found[name] == record[name]


def test_a_plan_writes_nothing_but_its_summary(plan, source, tmp_path):
    plan(source, "-o", tmp_path / "out.csv", "--metrics", tmp_path / "x.prom", "--report", tmp_path / "x.html",
         "--rejects", tmp_path / "rejects.jsonl", "--cache", tmp_path / "scores.sqlite")  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "plan.json"]


def test_a_plan_leaves_an_interrupted_run_and_the_cache_as_they_are(plan, interrupted, score, source, tmp_path):
    command = (source, "-o", tmp_path / "out.csv", "--cache", tmp_path / "scores.sqlite")
    assert interrupted(3, *command).code == 143

    def state():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "plan.json"}

    before = state()
    result, found = plan(*command)
    assert value_of(found, "rows_from_cache") == 30  # 21 rows that were done, and 9 that repeat them
    after = state()  # SQLite's readers leave files of their own beside a cache
    assert {name: after[name] for name in before} == before
    result = score(*command)
    assert "Resuming at row 25" in result.err


def test_a_plan_prints_whether_each_figure_is_exact(score, source, tmp_path):
    result = score(
        source, "-o", tmp_path / "out.csv", "--plan", "--price-per-hour", "3600", "--cache", tmp_path / "none.sqlite"
    )
    assert result.out == ""
    lines = [re.split(r"  +", line.strip()) for line in result.err.splitlines()]
    assert lines[0] == ["Forecast of the run:"]
    assert ["records", "61", "exact"] in lines
    assert ["rejected", "7", "exact: 6 empty_text, 1 invalid_json"] in lines
    assert ["duplicates", "8", "exact"] in lines
    assert ["from the cache", "0", "exact"] in lines
    for name in ("time", "cost"):
        (line,) = [line for line in lines if line[0] == name]
        assert re.fullmatch(r"estimated \(95%: .+ to .+\)", line[2])


def test_quiet_prints_nothing_and_json_has_the_time(score, source, tmp_path):
    assert score(source, "-o", tmp_path / "out.csv", "--plan", "-q").err == ""
    result = score(source, "-o", tmp_path / "out.csv", "--plan", "--log-format", "json")
    lines = [json.loads(line) for line in result.err.splitlines()]
    (line,) = [line for line in lines if line.get("event") == "forecast"]
    assert line["forecast"]["value"] > 0


def test_rows_in_the_cache_are_counted_and_cost_no_computing(plan, score, source, tmp_path):
    cache = ("--cache", tmp_path / "scores.sqlite")
    write_jsonl(tmp_path / "before.jsonl", texts(60)[:30])
    score(tmp_path / "before.jsonl", "-o", tmp_path / "before.csv", *cache)
    _, without = plan(source, "-o", tmp_path / "out.csv")
    _, found = plan(source, "-o", tmp_path / "out.csv", *cache, "--cache-max-rows", "1000")
    _, record = recorded(score, tmp_path, source, "-o", tmp_path / "out.csv", *cache)
    check_counts(found, record)
    assert record["rows_from_cache"] > 30
    assert value_of(found, "rows_to_compute") == record["cache"]["rows_added"] < value_of(without, "rows_to_compute")
    assert value_of(found, "tokens_to_compute") < value_of(without, "tokens_to_compute")


def test_texts_that_equal_one_of_the_latest_are_not_computed_again(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("scorer.forecast.counted.REMEMBERED", 5)
    far, near = texts(6), texts(2, seed=4)
    path = write_jsonl(tmp_path / "in.jsonl", [*far, *near, near[0], *far])
    _, found = plan(path, "-o", tmp_path / "out.csv")
    assert (value_of(found, "rows_to_compute"), value_of(found, "duplicates")) == (14, 7)
    # What a cache gets is never computed again in the run.
    _, found = plan(path, "-o", tmp_path / "out.csv", "--cache", tmp_path / "scores.sqlite")
    assert (value_of(found, "rows_to_compute"), value_of(found, "duplicates")) == (8, 7)


def test_a_cache_that_cannot_be_read_is_reported_and_its_rows_are_unknown(plan, score, source, tmp_path):
    cache = tmp_path / "scores.sqlite"
    score(source, "-o", tmp_path / "out.csv", "--cache", cache)
    data = cache.read_bytes()
    cache.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
    result, found = plan(source, "-o", tmp_path / "out.csv", "--cache", cache)
    assert (result.code, value_of(found, "rows_from_cache")) == (0, None)
    (sentence,) = found["unknown"]
    assert sentence.startswith(f"Rows from the cache are unknown: {cache} cannot be read (")
    assert sentence.endswith("). The forecast counts its texts as texts to compute.")
    assert result.err.count(str(cache)) == 1
    assert f"Note: {sentence}" in result.err
    assert "The run continues" not in result.err
    # The run may find every text in the cache, or none. What does not depend on the cache is exact.
    lines = [re.split(r"  +", line.strip()) for line in result.err.splitlines()]
    assert ["texts to compute", "46", "estimated (95%: 0 to 54)"] in lines
    assert found["forecast"]["rows_to_compute"] == {"value": 46, "low": 0, "high": 54, "exact": False}
    tokens, work = (found["forecast"][name] for name in ("tokens", "tokens_to_compute"))
    assert (work["low"], work["high"], work["exact"]) == (0, tokens["value"], False)
    assert tokens["exact"]
    assert "from the cache" not in [line[0] for line in lines]
    assert cache.stat().st_size == len(data)
    (tmp_path / "other.sqlite").write_text("something else")
    assert plan(source, "-o", tmp_path / "out.csv", "--cache", tmp_path / "other.sqlite")[0].code == 2


def test_several_inputs_compressed_ones_limits_and_shards_are_those_of_the_run(plan, score, source, tmp_path):
    (tmp_path / "more.jsonl.gz").write_bytes(gzip.compress(source.read_bytes()))
    write_jsonl(tmp_path / "third.jsonl", texts(10, seed=9))
    inputs = (source, tmp_path / "more.jsonl.gz", tmp_path / "third.jsonl")
    for options in ((), ("--limit", "17"), ("--shard", "2/3"), ("--shard", "2/3", "--limit", "30")):
        _, found = plan(*inputs, "-o", tmp_path / "out.csv", *options)
        _, record = recorded(score, tmp_path, *inputs, "-o", tmp_path / "out.csv", *options, "--restart")
        check_counts(found, record)
        assert found["shard"] == record["shard"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strict"], "7 of the first 61 records were rejected"),
        (["--max-rejects", "6"], "more than --max-rejects 6 allows"),
        (["--max-reject-ratio", "0.1"], "more than --max-reject-ratio 0.1 allows"),
    ],
)
def test_a_plan_says_that_the_run_would_publish_nothing(plan, source, tmp_path, options, message):
    result, found = plan(source, "-o", tmp_path / "out.csv", *options)
    assert (result.code, found["would_publish"]) == (3, False)
    assert message in found["refusal"]
    assert f"The run would publish nothing: {found['refusal']}" in result.err
    assert plan(source, "-o", tmp_path / "out.csv", "--max-rejects", "7")[0].code == 0


def test_a_plan_of_rejects_only_says_that_the_run_would_publish_nothing(plan, tmp_path):
    write_jsonl(tmp_path / "in.jsonl", [""] * 5)
    result, found = plan(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv")
    assert (result.code, found["refusal"]) == (3, "every one of the 5 records was rejected (5 empty_text).")
    assert value_of(found, "tokens") == 0


WITHOUT_TOKEN = "\u200b"


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (["good", WITHOUT_TOKEN], ["--strict"], "1 of the first 2 records were rejected (1 empty_text): none is allowed"),
        ([WITHOUT_TOKEN] * 3, [], "every one of the 3 records was rejected (3 empty_text)."),
        (["good", WITHOUT_TOKEN, "", WITHOUT_TOKEN], ["--max-rejects", "2"], "(3 empty_text): more than --max-rejects 2 allows."),
        (["good", WITHOUT_TOKEN], ["--max-reject-ratio", "0.4"], "(1 empty_text): more than --max-reject-ratio 0.4 allows."),
    ],
)  # fmt: skip
def test_texts_without_a_token_count_for_the_limits_on_rejects(plan, score, tmp_path, found, options, message):
    path = write_jsonl(tmp_path / "in.jsonl", found)
    result, planned = plan(path, "-o", tmp_path / "out.csv", *options)
    assert (result.code, planned["would_publish"]) == (3, False)
    assert message in planned["refusal"]
    run = score(path, "-o", tmp_path / "out.csv", *options)
    assert (run.code, message in run.err) == (4, True)


def test_a_text_of_which_only_the_begin_was_sampled_may_have_tokens(plan, tmp_path):
    path = write_jsonl(tmp_path / "in.jsonl", [WITHOUT_TOKEN * 20_000 + "good"])
    result, planned = plan(path, "-o", tmp_path / "out.csv", "--strict")
    assert (result.code, planned["refusal"]) == (0, None)


def test_repeated_texts_without_a_token_are_no_duplicates(plan, score, tmp_path, monkeypatch):
    found = texts(20)
    found[3::5] = [WITHOUT_TOKEN] * 4
    found[9:12] = found[0:3]
    path = write_jsonl(tmp_path / "in.jsonl", found)
    command = (path, "-o", tmp_path / "out.csv")
    _, record = recorded(score, tmp_path, *command)
    for options in ((), ("--cache", tmp_path / "scores.sqlite")):
        _, planned = plan(*command, *options)
        check_counts(planned, record)
        assert planned["forecast"]["rows_without_token"] == Figure.known(4).as_json()
    monkeypatch.setattr("scorer.forecast.counted._REPEATED", 3)
    duplicates = plan(*command)[1]["forecast"]["duplicates"]
    assert not duplicates["exact"]
    assert duplicates["low"] <= record["duplicates"] <= duplicates["high"] <= 6


def test_an_input_without_records_has_a_forecast(plan, tmp_path):
    (tmp_path / "in.jsonl").write_text("")
    result, found = plan(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv")
    assert (result.code, value_of(found, "rows_in")) == (0, 0)


def test_max_seconds_decides_the_exit_code(plan, score, source, tmp_path):
    result, found = plan(source, "-o", tmp_path / "out.csv", "--max-seconds", "0.001")
    assert (result.code, found["max_seconds_passed"]) == (3, True)
    assert "The forecast exceeds --max-seconds 0.001." in result.err
    result, found = plan(source, "-o", tmp_path / "out.csv", "--max-seconds", "1e9")
    assert (result.code, found["max_seconds_passed"]) == (0, False)
    result = score(source, "-o", tmp_path / "out.csv", "--max-seconds", "5")
    assert (result.code, result.err) == (
        2,
        "Error: --max-seconds is a limit for the forecast of --plan; give both, or neither.\n",
    )


def test_the_price_is_of_the_time(plan, source, tmp_path):
    _, found = plan(source, "-o", tmp_path / "out.csv", "--price-per-hour", "7200")
    forecast = found["forecast"]
    for one in ("value", "low", "high"):
        assert forecast["money"][one] == pytest.approx(2 * forecast["seconds"][one], abs=0.01)
    assert plan(source, "-o", tmp_path / "out.csv")[1]["forecast"]["money"] is None


@pytest.mark.parametrize(
    ("seconds", "price", "time", "cost"),
    [
        ((0.5, 0.26, 0.74), 60.0, "0.5 s (0.3 s to 0.7 s)", "0.00833 (0.00433 to 0.01233)"),
        ((6.72, 6.01, 9.97), 3600.0, "6.7 s (6.0 s to 10 s)", "6.72 (6.01 to 9.97)"),
        ((4000.0, 3601.0, 4300.0), 3600.0, "1 h 6 min (1 h 0 min to 1 h 11 min)", "4,000.00 (3,601.00 to 4,300.00)"),
    ],
)
def test_a_plan_prints_the_digits_that_tell_figures_apart(
    score, source, tmp_path, monkeypatch, seconds, price, time, cost
):
    found = Figure(*seconds, exact=False)
    monkeypatch.setattr("scorer.forecast.forecast.seconds_of", lambda *arguments: found)
    result = score(source, "-o", tmp_path / "out.csv", "--plan", "--price-per-hour", str(price))
    lines = [re.split(r"  +", line.strip()) for line in result.err.splitlines()]
    printed = {line[0]: f"{line[1]} {line[2]}".replace("estimated (95%: ", "(") for line in lines if len(line) == 3}
    assert (printed["time"], printed["cost"]) == (time, cost)


def test_a_run_prints_tenths_of_short_forecasts_and_facts(capsys):
    report_forecast(Forecast("plan.json", ("in.csv",), Figure(6.7, 6.0, 7.4, exact=False), ()), 7.0)
    assert capsys.readouterr().err == "The forecast was 6.7 s, 4% too short: the run took 7.0 s.\n"


def test_only_the_expected_time_counts_for_max_seconds(score, source, tmp_path, monkeypatch):
    monkeypatch.setattr("scorer.forecast.forecast.seconds_of", lambda *arguments: Figure(5.0, 4.0, 6.0, exact=False))
    command = (source, "-o", tmp_path / "out.csv", "--plan", "--max-seconds")
    assert [score(*command, limit).code for limit in ("5.5", "5", "4.9")] == [0, 0, 3]


def test_plan_and_check_exclude_each_other(score, source):
    result = score(source, "--plan", "--check")
    assert (result.code, result.out, result.err) == (
        2,
        "",
        "Error: --plan forecasts a run, and --check tests this machine; give one, and then the other.\n",
    )


def test_stdin_is_refused(score):
    result = score("-", "--input-format", "jsonl", "--plan")
    assert result.code == 2
    assert result.err == (
        "Error: --plan needs files: it reads the input before the run, and a stream can be read only once.\n"
    )


@pytest.mark.parametrize(
    ("name", "data", "code", "error"),
    [
        ("in.csv", b"", 4, "is empty"),
        ("in.jsonl.gz", gzip.compress(b'{"text": "good"}\n' * 1000, mtime=0)[:-9], 4, "truncated"),
        ("in.jsonl", b'{"body": 1, "comment": 2}\n', 2, "text"),
    ],
)
def test_a_plan_fails_as_the_run_does_and_leaves_its_summary(plan, score, tmp_path, name, data, code, error):
    (tmp_path / name).write_bytes(data)
    result, found = plan(tmp_path / name, "-o", tmp_path / "out.csv")
    run = score(tmp_path / name, "-o", tmp_path / "out.csv")
    assert (result.code, found["forecast"]) == (code, None) == (run.code, None)
    assert error in found["error"]


def test_an_interrupted_plan_leaves_its_summary_and_nothing_else(plan, source, tmp_path, monkeypatch):
    def interrupt():
        raise Interrupted(signal.SIGTERM)

    for place in ("counted", "read_texts", "speed"):
        with monkeypatch.context() as patched:
            patched.setattr(f"scorer.forecast.{place}.signals", SimpleNamespace(check=interrupt))
            result, found = plan(source, "-o", tmp_path / "out.csv")
        assert (result.code, found["error"], found["forecast"]) == (143, "Terminated.", None)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "plan.json"]


def write_parquet(path, found, group_rows):
    pq.write_table(pa.table({"id": range(len(found)), "text": found}), path, row_group_size=group_rows)
    return path


def test_of_parquet_without_a_cache_only_footers_and_a_sample_are_read(plan, score, tmp_path):
    found = texts(50)
    found[7], found[20:25] = None, found[:5]
    path = write_parquet(tmp_path / "in.parquet", found, 7)
    result, planned = plan(path, "-o", tmp_path / "out.parquet", "--strict")
    forecast = planned["forecast"]
    assert (result.code, planned["would_publish"]) == (0, None)
    assert forecast["rows_in"] == {"value": 50, "low": 50, "high": 50, "exact": True}
    assert [forecast[name] for name in ("rows_rejected", "rows_rejected_by_reason", "duplicates")] == [None] * 3
    assert planned["unknown"][0].startswith("Rejects, duplicates and texts that equal earlier ones are unknown")
    assert planned["unknown"][0] in result.err
    assert forecast["rows_to_compute"]["value"] == 49
    _, record = recorded(score, tmp_path, path, "-o", tmp_path / "out.parquet")
    assert forecast["tokens"]["value"] == record["tokens"]
    # With a cache, all rows have to be looked up, so all are read.
    _, planned = plan(path, "-o", tmp_path / "out.parquet", "--cache", tmp_path / "scores.sqlite")
    check_counts(planned, record)


def test_a_sample_of_parquet_estimates_what_a_whole_read_counts(plan, score, tmp_path, monkeypatch):
    monkeypatch.setattr("scorer.forecast.footers.SAMPLED", 300)
    found = [text if row % 4 else None for row, text in enumerate(texts(2000))]
    paths = [write_parquet(tmp_path / f"{number}.parquet", found[number::2], 90) for number in range(2)]
    for options in ((), ("--shard", "2/3"), ("--limit", "700")):
        _, planned = plan(*paths, "-o", tmp_path / "out.csv", *options)
        _, record = recorded(score, tmp_path, *paths, "-o", tmp_path / "out.csv", *options, "--restart")
        forecast = planned["forecast"]
        assert value_of(planned, "rows_in") == record["rows_in"]
        assert planned["texts_sampled"] < 300
        assert forecast["rows_to_compute"]["low"] <= record["rows_scored"] <= forecast["rows_to_compute"]["high"]
        assert forecast["tokens"]["low"] <= record["tokens"] <= forecast["tokens"]["high"]


def test_rows_of_row_groups_are_those_of_the_file(tmp_path):
    found = texts(100)
    path = str(write_parquet(tmp_path / "in.parquet", found, 33))
    inputs = Inputs((path,))
    assert groups_in(inputs, 31, 70) == [Group(path, 30, 3), Group(path, 33, 33), Group(path, 66, 4)]
    assert groups_in(Inputs((path, "a.csv")), 1, 200) is None
    reader = Reader(inputs, Wanted(None, ()))
    rows = [0, 1, 31, 32, 33, 64, 65, 66, 99]
    assert [record.text for record in reader.drawn(path, rows)] == [found[row] for row in rows]
    assert INPUT_FORMATS["parquet"].groups(path) == [33, 33, 33, 1]


def test_a_plan_and_its_runs_keep_the_history_of_their_errors(plan, score, source, tmp_path):
    command = (source, "-o", tmp_path / "out.csv")
    _, planned = plan(*command)
    for night in range(1, 4):
        result, record = recorded(score, tmp_path, *command, "--forecast", tmp_path / "plan.json")
        found = record["forecast"]
        assert found["forecast"] == planned["forecast"]["seconds"]["value"]
        assert found["seconds"] == record["seconds"]
        assert found["error"] == pytest.approx(found["forecast"] / found["seconds"] - 1, abs=1e-5)
        assert "The forecast was " in result.err
        result, planned = plan(*command, "--forecast", tmp_path / "run.json")
        assert len(planned["history"]) == night
        assert planned["history"][-1] == {
            "started": record["started"],
            "forecast": found["forecast"],
            "seconds": found["seconds"],
        }
        assert "(median)" in result.err
    errors = [abs(one["forecast"] / one["seconds"] - 1) for one in planned["history"]]
    assert planned["history_median_error"] == pytest.approx(sorted(errors)[1], abs=1e-5)


def test_a_forecast_of_other_inputs_is_noted_and_not_compared(plan, score, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    others = [write_jsonl(tmp_path / name, texts(5)) for name in ("a.jsonl", "b.jsonl")]
    plan(*others, "-o", tmp_path / "out.csv")
    command = (source, "-o", tmp_path / "out.csv", "--forecast", "plan.json")
    result, record = recorded(score, tmp_path, *command)
    assert (result.code, record["forecast"]) == (3, None)  # because of the rejects of this input
    note = (
        f"Note: --forecast plan.json is a forecast of other inputs ({others[0]} and 1 more), and is not compared with "
        "this run. Plan the inputs of this run.\n"
    )
    assert note in result.err
    assert "The forecast was" not in result.err
    assert plan(source, "-o", tmp_path / "out.csv", "--forecast", "run.json")[1]["history"] == []
    # A local file may have another name.
    plan("./in.jsonl", "-o", tmp_path / "out.csv")
    result, record = recorded(score, tmp_path, *command)
    assert record["forecast"]["seconds"] == record["seconds"]
    assert "other inputs" not in result.err


def test_a_history_of_five_widens_the_range_and_thirty_are_kept(plan, source, tmp_path, monkeypatch):
    monkeypatch.setattr("scorer.forecast.estimate._SLACK", 0.0)  # most of the range of so short a run
    command = (source, "-o", tmp_path / "out.csv")
    night = {"started": "2026-11-01T00:00:00.000Z", "forecast": 150.0, "seconds": 100.0}

    def with_history(nights):
        record = {
            "rows_in": 1,
            "seconds": 100.0,
            "started": night["started"],
            "forecast": {**night, "error": 0.5, "history": [night] * nights},
        }
        (tmp_path / "last.json").write_text(json.dumps(record))
        return plan(*command, "--forecast", tmp_path / "last.json")

    result, found = with_history(3)
    assert "which widens the range once there are 5" in result.err
    narrow = found["forecast"]["seconds"]
    result, found = with_history(40)
    assert (len(found["history"]), found["history_median_error"]) == (30, 0.5)
    assert "The last 30 forecasts missed by 50% (median), which widens the range." in result.err
    wide = found["forecast"]["seconds"]
    assert wide["high"] / wide["value"] > 1.5 > narrow["high"] / narrow["value"]


def test_the_range_of_a_short_run_holds_what_starting_it_varies_by():
    none = Speed(seconds=0.0, error=0.0, texts=0, cores=1.0)

    def of(before):
        costs = Costs(before, python=0, waiting=0, tokenizing=0, tokenizing_clock=0, computing=0, share=1.0, cores=2)
        found = seconds_of(costs, NOTHING, none, missed=None)
        return found.low, found.value, found.high

    assert of(0.5) == pytest.approx((0.225, 0.5, 0.775))
    assert of(0.1) == pytest.approx((0.0425, 0.1, 0.315))  # a run takes some time
    assert of(1000.0) == pytest.approx((849.8, 1000.0, 1150.2))


def test_a_run_that_resumed_is_no_night_of_the_history(plan, interrupted, score, source, tmp_path):
    command = (source, "-o", tmp_path / "out.csv")
    plan(*command)
    options = ("--forecast", tmp_path / "plan.json", "--summary", tmp_path / "run.json")
    for run in (lambda: interrupted(3, *command, *options), lambda: score(*command, *options)):
        run()
        record = json.loads((tmp_path / "run.json").read_text())
        assert (record["forecast"]["seconds"], record["forecast"]["error"]) == (None, None)
        result, found = plan(*command, "--forecast", tmp_path / "run.json")
        assert (result.code, found["history"]) == (0, [])
        plan(*command)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory.\n"),
        ("", "is neither the summary of `score --plan` nor the record of a run: it is an empty file."),
        ("broken", "is neither the summary of `score --plan` nor the record of a run: it is not JSON."),
        ("[1]", "is neither the summary of `score --plan` nor the record of a run: it is a list in JSON."),
        ('{"a": 1, "b": 2}', "is neither the summary of `score --plan` nor the record of a run: it is an object with a, b."),
        ('{"kind": "plan", "history": 5, "forecast": {"seconds": {"value": -1}}}', "is damaged (ValueError: -1 is no number of seconds)."),
        ('{"kind": "plan", "history": [], "forecast": null, "error": "disk full."}', "is of a plan that failed: disk full. Plan again."),
        ('{"rows_in": 1, "seconds": 1, "forecast": null}', "is the record of a run, and a run needs the summary of `score --plan`"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_forecast_is_named_with_what_it_is(score, source, tmp_path, content, message):
    path = tmp_path / "some.json"
    if content is not None:
        path.write_text(content)
    result = score(source, "-o", tmp_path / "out.csv", "--forecast", path)
    assert result.code == 2
    assert f"Error: --forecast {path} {message}" in result.err
    assert not (tmp_path / "out.csv").exists()


def test_a_plan_refuses_a_history_that_is_none(score, source, tmp_path):
    (tmp_path / "some.json").write_text('{"rows_in": 1, "seconds": 1, "forecast": {"history": "x"}}')
    result = score(source, "-o", tmp_path / "out.csv", "--plan", "--forecast", tmp_path / "some.json")
    assert (result.code, result.err[:60]) == (2, f"Error: --forecast {tmp_path / 'some.json'} is damaged"[:60])


def test_totals_of_samples_lie_in_their_range_as_often_as_stated():
    draw = np.random.default_rng(1)
    sizes = draw.lognormal(5, 1, 20_000)
    values = sizes / 4 + draw.normal(0, 10, len(sizes))
    flags = draw.random(len(sizes)) < 0.03
    held = Counter()
    for _ in range(400):
        some = draw.choice(len(sizes), 500, replace=False)
        found = total(values[some], sizes[some], sizes.sum(), len(sizes))
        held["total"] += found.low <= values.sum() <= found.high
        held["narrow"] += found.high - found.low < 0.04 * values.sum()
        plain = total(values[some], np.ones(500), len(sizes), len(sizes))
        held["plain"] += plain.low <= values.sum() <= plain.high
        part = share(int(flags[some].sum()), 500, len(sizes))
        held["share"] += part.low <= flags.sum() <= part.high
    assert held["total"] > 365
    assert held["plain"] > 360
    assert held["share"] > 365
    assert held["narrow"] == 400


def test_totals_of_rows_drawn_in_groups_have_the_spread_of_the_groups():
    draw = np.random.default_rng(2)
    values = np.repeat(draw.lognormal(4, 0.7, 1000), 50)  # all rows of a group are alike
    held = 0
    for _ in range(300):
        groups = draw.choice(1000, 40, replace=False)
        rows = np.concatenate([50 * group + np.arange(50) for group in groups])
        found = total(values[rows], np.ones(len(rows)), len(values), len(values), np.repeat(groups, 50))
        held += found.low <= values.sum() <= found.high
    assert 260 < held < 300


def test_a_sample_has_each_text_with_the_same_chance_and_is_the_same_again():
    counts = Counter()
    for run in range(300):
        sample = Sample(most=10, longest=100, full=100)
        sample._random.seed(run)
        for number in range(40):
            sample.add(str(number))
        assert len(sample.texts) == 10
        counts.update(sample.texts)
    assert len(counts) == 40
    assert max(counts.values()) < 115
    assert min(counts.values()) > 40
    samples = []
    for _ in range(2):
        sample = Sample(most=10, longest=100, full=100)
        for number in range(400):
            sample.add(str(number))
        samples.append(sample.texts)
    assert samples[0] == samples[1]


def test_figures_add_up_and_their_ranges_too():
    found = Figure.known(5) + Figure(10, 7, 14, exact=False) + Figure(20, 16, 23, exact=False)
    assert found == Figure(35, 30, 40, exact=False)
    assert found.times(2).as_json() == {"value": 70, "low": 60, "high": 80, "exact": False}


def test_every_key_of_the_summary_is_in_the_docs():
    text = (ROOT / "docs" / "FORECAST.md").read_text()
    for key in (*SCHEMA["properties"], *SCHEMA["properties"]["forecast"]["properties"]):
        assert f"`{key}`" in text, key


def test_a_sample_of_many_rows_estimates_the_counts_of_the_run(plan, score, tmp_path, monkeypatch, staged_bundle):
    monkeypatch.setattr("scorer.forecast.counted.SAMPLED", 200)
    monkeypatch.setattr("scorer.forecast.counted._REPEATED", 50)
    monkeypatch.setattr("scorer.forecast.counted.REMEMBERED", 1000)
    found = texts(1500)
    found[::50] = ["so " * 100] * len(found[::50])
    found[1::3] = found[0::3][: len(found[1::3])]
    write_jsonl(tmp_path / "in.jsonl", found)
    command = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--model", staged_bundle.path)
    result, planned = plan(*command)
    _, record = recorded(score, tmp_path, *command)
    assert planned["texts_sampled"] == 250
    assert planned["forecast"]["rows_in"] == Figure.known(record["rows_in"]).as_json()
    # A duplicate outside of the sample may have no token, and then the record does not count it.
    duplicates = planned["forecast"]["duplicates"]
    assert (duplicates["value"], duplicates["high"], duplicates["exact"]) == (*[record["duplicates"]] * 2, False)
    assert 0 < duplicates["low"] < duplicates["value"]
    for name in ("rows_truncated", "tokens", "rows_decided_early", "tokens_decided_early"):
        figure = planned["forecast"][name]
        assert not figure["exact"]
        assert figure["low"] <= record[name] <= figure["high"], name
        assert figure["low"] < figure["value"] < figure["high"] < 4 * figure["value"]
    assert re.search(r"tokens +[\d,]+ +estimated \(95%: [\d,]+ to [\d,]+\)", result.err)


def test_computing_stops_when_its_time_is_over(plan, tmp_path, monkeypatch):
    write_jsonl(tmp_path / "in.jsonl", texts(400))
    command = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--threads", "2")
    assert plan(*command)[1]["texts_computed"] == 400
    monkeypatch.setattr("scorer.forecast.speed._SECONDS", 0.0)
    _, found = plan(*command)
    assert 50 <= found["texts_computed"] <= 64
    assert found["texts_sampled"] == 400


@pytest.mark.parametrize("extension", ["csv", "jsonl.zst", "parquet"])
def test_every_kind_of_output_and_options_for_its_columns_can_be_forecast(
    plan, source, tmp_path, extension, windows_bundle
):
    options = (
        "--keep",
        "id",
        "--details",
        "--source",
        "--uncertain",
        "0.4,0.6",
        "--uncertain-rows",
        tmp_path / "doubt.csv",
        "--model",
        windows_bundle.path,
    )
    result, found = plan(source, "-o", tmp_path / f"out.{extension}", *options)
    assert result.code == 0
    assert found["forecast"]["seconds"]["value"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "plan.json"]


def test_an_output_to_stdout_can_be_forecast(plan, source):
    result, found = plan(source)
    assert (result.code, result.out, value_of(found, "rows_in")) == (0, "", 61)
