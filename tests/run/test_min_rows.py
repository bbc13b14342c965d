"""The least number of records: an input with fewer publishes nothing."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.base.errors import InputError
from scorer.cluster import score_parts
from scorer.cluster.part_scorer import PartScorer
from scorer.cluster.ray_backend import Cluster
from scorer.run.limits import Limits, TooFewRows
from scorer.run.options import ScoreOptions

pytestmark = pytest.mark.usefixtures("small_chunks")


def write(path, count):
    """Write so many records in the format of the name, and return the path."""
    texts = [f"good film {row}" for row in range(count)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        path.write_text("".join(f"{line}\n" for line in ["text", *texts]))
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_an_empty_input_publishes_nothing_and_is_named(score, tmp_path, kind, output):
    source = write(tmp_path / f"in.{kind}", 0)
    (tmp_path / output).write_text("of yesterday")
    result = score(source, "-o", tmp_path / output, "--min-rows", "1")
    assert (result.code, (tmp_path / output).read_text()) == (4, "of yesterday")
    assert result.err == (
        "Error: the input has 0 records, fewer than --min-rows 1 requires. "
        f"Files without a record: {source}.\nNothing was published.\n"
    )
    assert score(source, "-o", tmp_path / output).code == 0


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("least", "code"), [(19, 0), (20, 0), (21, 4)])
def test_the_number_itself_is_enough(score, tmp_path, kind, least, code):
    source = write(tmp_path / f"in.{kind}", 20)
    result = score(source, "-o", tmp_path / "out.csv", "--min-rows", least)
    assert (result.code, (tmp_path / "out.csv").exists()) == (code, code == 0)
    if code:
        assert "the input has 20 records, fewer than --min-rows 21 requires." in result.err
        assert "Files without" not in result.err


def test_rejects_count_as_records(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": ""}\nno json\n')
    assert score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--min-rows", "3").code == 3
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "new.csv", "--min-rows", "4")
    assert (result.code, sorted(path.name for path in tmp_path.glob("new*"))) == (4, [])


def test_the_empty_ones_of_several_files_are_named(score, tmp_path):
    lake = tmp_path / "lake"
    lake.mkdir()
    for name, count in {"a": 0, "b": 3, "c": 0, "d": 1}.items():
        write(lake / f"{name}.csv", count)
    result = score(lake, "-o", tmp_path / "out.csv", "--min-rows", "5")
    assert result.code == 4
    assert (
        f"has 4 records, fewer than --min-rows 5 requires. Files without a record: {lake}/a.csv, {lake}/c.csv.\n"
        in (result.err)
    )
    for name in "efghij":
        write(lake / f"{name}.csv", 0)
    named = ", ".join(f"{lake}/{name}.csv" for name in "acefg")
    assert (
        f"Files without a record: {named} and 3 more.\n" in score(lake, "-o", tmp_path / "o.csv", "--min-rows", "5").err
    )


def test_the_records_of_a_limit_or_a_shard_are_those_that_count(score, tmp_path):
    source = write(tmp_path / "in.csv", 20)
    for options in (["--limit", "5"], ["--shard", "1/4"]):
        out = tmp_path / "out.csv"
        assert score(source, "-o", out, *options, "--min-rows", "5").code == 0
        result = score(source, "-o", tmp_path / "other.csv", *options, "--min-rows", "6")
        assert (result.code, (tmp_path / "other.csv").exists()) == (4, False)
        assert "the input has 5 records" in result.err


def test_a_run_on_stdout_sends_nothing_of_an_empty_input(score, tmp_path):
    result = score(write(tmp_path / "in.csv", 0), "--min-rows", "1")
    assert (result.code, result.out) == (4, "")
    assert result.err.endswith("The output stream is incomplete.\n")


def test_a_run_resumes_once_the_input_has_grown(score, tmp_path, interrupted):
    source, out = write(tmp_path / "in.jsonl", 20), tmp_path / "out.csv"
    assert score(source, "-o", out, "--min-rows", "30").code == 4
    write(source, 40)
    assert score(source, "-o", out, "--min-rows", "30").err.startswith("Resuming at row ")
    score(source, "-o", tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("count", [0, 5])
def test_a_plan_warns_that_there_are_too_few(score, tmp_path, kind, count):
    source = write(tmp_path / f"in.{kind}", count)
    plan = ["--plan", "--summary", tmp_path / "plan.json", "-o", tmp_path / "out.csv"]
    result = score(source, *plan, "--min-rows", "6")
    found = json.loads((tmp_path / "plan.json").read_text())
    message = f"the input has {count} records, fewer than --min-rows 6 requires."
    assert (result.code, found["would_publish"]) == (3, False)
    assert found["refusal"].startswith(message)
    assert f"The run would publish nothing: {message}" in result.err
    assert score(source, *plan, "--min-rows", count).code == 0


def test_the_record_of_the_run_has_the_error(score, tmp_path):
    record = tmp_path / "run.json"
    score(write(tmp_path / "in.csv", 1), "-o", tmp_path / "out.csv", "--min-rows", "2", "--summary", record)
    found = json.loads(record.read_text())
    assert (found["exit_code"], found["published"], found["rows_in"], found["arguments"]["min-rows"]) == (
        4,
        False,
        1,
        2,
    )
    assert found["error"].startswith("the input has 1 record, fewer than --min-rows 2 requires.")


def test_the_parts_of_a_cluster_count_together(bundle, tmp_path, monkeypatch):
    def scored_here(parts, options, bundle, cluster, begin):
        begin()
        yield from map(PartScorer(options.output, options, bundle), parts)

    monkeypatch.setattr(score_parts, "score_parts", scored_here)
    lake = tmp_path / "lake"
    lake.mkdir()
    for name, count in {"a": 3, "b": 0, "c": 4}.items():
        write(lake / f"{name}.csv", count)
    options = ScoreOptions(
        inputs=(str(lake),),
        output=str(tmp_path / "scores"),
        output_format="csv",
        model=str(bundle.path),
        provider="cpu",
        min_rows=8,
    )
    with pytest.raises(InputError, match=r"the input has 7 records, .* Files without a record: .*/b\.csv\."):
        score_parts.run(options, Cluster(1))
    assert not (tmp_path / "scores" / "_SUCCESS").exists()


def test_limits_have_no_least_number_by_default():
    Limits().check_rows(0)
    with pytest.raises(TooFewRows):
        Limits(least_rows=1).check_rows(0)
