"""The cascade in `score`: a row's stage and score depend on its text alone, and --no-cascade leaves all to the encoder."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import CHUNK, reviews, start
from test_record import CHECK, metrics

from scorer.engine.row_engine import RowEngine

DETAILS = ("--details", "--keep", "note")


@pytest.fixture
def source(tmp_path):
    """Input of 60 records: every 9th has no text, a long one is truncated, and ten repeat earlier texts."""
    texts = reviews(60, 2, 8).texts
    texts[10], texts[12] = "so " * 100, "good great " * 30
    texts[30:40] = texts[0:10]
    records = [
        {"id": f"r{row}", "text": "" if row % 9 == 0 else text, "note": f"so, {row}"}
        for row, text in enumerate(texts, start=1)
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def staged(score, staged_bundle):
    """Run `score` with a bundle whose wide part decides about half of the texts alone."""
    return lambda *arguments: score(*arguments, "--model", staged_bundle.path)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(params=["staged_bundle", "staged_bundle_of_three"])
def whole(request, score, source, tmp_path):
    """Arguments of a run with a bundle, and the bytes and rows of its output."""
    arguments = (source, "--model", request.getfixturevalue(request.param).path, *DETAILS)
    score(*arguments, "-o", tmp_path / "whole.jsonl")
    rows = rows_of(tmp_path / "whole.jsonl")
    assert {row["stage"] for row in rows} == {"wide", "encoder"}
    return arguments, (tmp_path / "whole.jsonl").read_bytes(), rows


# Nothing but the text changes a row's stage and score


def test_threads_and_chunks_change_nothing(score, whole, tmp_path, monkeypatch):
    arguments, expected, _ = whole
    for threads in (1, 2, 5):
        for chunk in (1, 7, CHUNK, 256):
            monkeypatch.setattr(RowEngine, "chunk_rows", chunk)
            score(*arguments, "-o", tmp_path / "out.jsonl", "--threads", threads)
            assert (tmp_path / "out.jsonl").read_bytes() == expected, (threads, chunk)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("count", [2, 7])
def test_shards_are_together_the_whole(score, whole, tmp_path, count):
    arguments, expected, _ = whole
    parts = []
    for index in range(1, count + 1):
        score(*arguments, "-o", tmp_path / "part.jsonl", "--shard", f"{index}/{count}")
        parts.append((tmp_path / "part.jsonl").read_bytes())
    assert b"".join(parts) == expected


@pytest.mark.usefixtures("small_chunks")
def test_the_order_of_rows_changes_no_row(score, whole, source, tmp_path):
    arguments, _, rows = whole
    source.write_text("".join(reversed(source.read_text().splitlines(keepends=True))))
    score(*arguments, "-o", tmp_path / "out.jsonl")
    turned = {row["id"]: row | {"row": 61 - row["row"]} for row in rows_of(tmp_path / "out.jsonl")}
    assert turned == {row["id"]: row for row in rows}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("windows", [1, 3, 6])
def test_a_resumed_run_has_the_bytes_and_the_counts_of_a_whole_one(score, interrupted, whole, tmp_path, windows):
    arguments, expected, rows = whole
    command = (*arguments, "-o", tmp_path / "out.jsonl", "--summary", tmp_path / "run.json")
    assert interrupted(windows, *command).code == 143
    assert f"Resuming at row {windows * CHUNK + 1}:" in score(*command).err
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    record = json.loads((tmp_path / "run.json").read_text())
    early = [row["tokens"] for row in rows if row["stage"] == "wide"]
    assert (record["rows_decided_early"], record["tokens_decided_early"]) == (len(early), sum(early))


def test_equal_texts_have_one_result(whole, source):
    _, _, rows = whole
    texts = {record["id"]: record["text"] for record in rows_of(source)}
    found = {}
    for row in rows:
        found.setdefault(texts[row["id"]], []).append([row[name] for name in row if name not in ("row", "id", "note")])
    assert sum(len(each) > 1 for each in found.values()) >= 8
    assert all(one == each[0] for each in found.values() for one in each)


def test_stdin_gives_the_bytes_of_a_file(staged_bundle, staged, source, tmp_path):
    staged(source, "-o", tmp_path / "out.csv", *DETAILS)
    run = start(staged_bundle, "-", "--input-format", "jsonl", "--rejects", "/dev/null", *DETAILS)
    out, _ = run.communicate(source.read_bytes())
    assert out == (tmp_path / "out.csv").read_bytes()


# --no-cascade


def test_without_the_cascade_all_rows_are_the_encoders_and_those_it_decided_keep_their_bits(staged, source, tmp_path):
    staged(source, "-o", tmp_path / "on.jsonl", *DETAILS)
    staged(source, "-o", tmp_path / "off.jsonl", *DETAILS, "--no-cascade")
    on, off = rows_of(tmp_path / "on.jsonl"), rows_of(tmp_path / "off.jsonl")
    assert {row["stage"] for row in off} == {"encoder"}
    decided = [(one, other) for one, other in zip(on, off, strict=True) if one["stage"] == "encoder"]
    assert len(decided) > 10
    assert all(one == other for one, other in decided)
    assert any(one["score"] != other["score"] for one, other in zip(on, off, strict=True))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("first", "then"), [(["--no-cascade"], []), ([], ["--no-cascade"])])
def test_a_run_is_not_resumed_with_the_cascade_switched(
    score, interrupted, staged_bundle, source, tmp_path, first, then
):
    command = (source, "--model", staged_bundle.path)
    assert interrupted(2, *command, "-o", tmp_path / "out.csv", *first).code == 143
    change = 'the cascade was "off", now "on"' if first else 'the cascade was "on", now "off"'
    result = score(*command, "-o", tmp_path / "out.csv", *then)
    assert result.err.startswith(f"Not resuming the interrupted run: {change}. Starting over.\n")
    score(*command, "-o", tmp_path / "whole.csv", *then)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("first", "then"), [(["--no-cascade"], []), ([], ["--no-cascade"])])
def test_a_bundle_without_a_cascade_knows_no_difference(score, interrupted, source, tmp_path, first, then):
    score(source, "-o", tmp_path / "whole.csv", *DETAILS, *first)
    assert "stage" not in (tmp_path / "whole.csv").read_text().splitlines()[0]
    command = (source, "-o", tmp_path / "out.csv", *DETAILS)
    assert interrupted(2, *command, *first).code == 143
    assert "Resuming at row 17:" in score(*command, *then).err
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_score_toml_and_the_environment_switch_it_off_too(score, staged_bundle, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def stages():
        score(source, "-o", "out.jsonl", "--details", "--model", staged_bundle.path)
        return {row["stage"] for row in rows_of(tmp_path / "out.jsonl")}

    (tmp_path / "score.toml").write_text("no-cascade = true\n")
    assert stages() == {"encoder"}
    assert "no-cascade = true  # score.toml" in score("--show-config").out.splitlines()
    monkeypatch.setenv("SCORE_NO_CASCADE", "0")
    assert stages() == {"wide", "encoder"}
    (tmp_path / "score.toml").unlink()
    monkeypatch.setenv("SCORE_NO_CASCADE", "1")
    assert stages() == {"encoder"}
    assert "no-cascade = true  # environment SCORE_NO_CASCADE" in score("--show-config").out.splitlines()


# The column


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl.gz", "parquet"])
def test_every_format_has_the_stage_behind_truncated(staged, source, tmp_path, form):
    staged(source, "-o", tmp_path / "out.jsonl", "--details")
    expected = [row["stage"] for row in rows_of(tmp_path / "out.jsonl")]
    staged(source, "-o", tmp_path / f"out.{form}", "--details")
    # Every output format is also an input format.
    staged(tmp_path / f"out.{form}", "-o", tmp_path / "again.jsonl", "--keep", "*", "--text", "id")
    found = rows_of(tmp_path / "again.jsonl")
    assert [row["stage"] for row in found] == expected
    names = list(found[0])
    assert names[names.index("stage") - 1 : names.index("stage") + 2] == ["truncated", "stage", "score_negative"]
    if form == "parquet":
        assert pq.read_schema(tmp_path / "out.parquet").field("stage").type == pa.string()


def test_a_kept_column_of_that_name_becomes_input_stage(staged, score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good", "stage": "draft"}\n')
    command = (tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--keep", "stage")
    staged(*command, "--details")
    row = rows_of(tmp_path / "out.jsonl")[0]
    assert row["input_stage"] == "draft"
    assert row["stage"] in ("wide", "encoder")
    for run, more in ((staged, ()), (score, ("--details",))):
        run(*command, *more)
        row = rows_of(tmp_path / "out.jsonl")[0]
        assert (row["stage"], "input_stage" in row) == ("draft", False)


# Record, metrics and messages


def recorded(run, source, folder, *options):
    result = run(source, "-o", folder / "out.jsonl", "--summary", folder / "run.json", "--metrics", folder / "m.prom", *options)  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    CHECK.validate(record)
    return result, record, metrics(folder / "m.prom")


def test_record_metrics_and_console_say_how_much_was_decided_early(staged, source, tmp_path):
    result, record, samples = recorded(staged, source, tmp_path, "--details")
    rows = rows_of(tmp_path / "out.jsonl")
    early = [row["tokens"] for row in rows if row["stage"] == "wide"]
    assert record["cascade"] is True
    assert (record["rows_decided_early"], record["tokens_decided_early"]) == (len(early), sum(early))
    assert record["tokens"] == sum(row["tokens"] for row in rows)
    assert record["seconds_by_phase"]["wide"] >= 0
    assert samples[("rows_decided_early",)] == len(early)
    assert samples[("tokens_decided_early",)] == sum(early)
    share = sum(early) / record["tokens"]
    assert f"\nThe wide part alone decided {len(early):,} rows, with {share:.1%} of the tokens.\n" in result.err


def test_with_the_cascade_switched_off_they_say_so(staged, source, tmp_path):
    result, record, samples = recorded(staged, source, tmp_path, "--no-cascade")
    assert (record["cascade"], record["rows_decided_early"], record["tokens_decided_early"]) == (False, 0, 0)
    assert (samples[("rows_decided_early",)], samples[("tokens_decided_early",)]) == (0, 0)
    assert record["arguments"]["no-cascade"] is True
    assert "wide part" not in result.err


def test_of_a_bundle_without_a_cascade_they_say_nothing(score, source, tmp_path):
    result, record, samples = recorded(score, source, tmp_path)
    assert (record["cascade"], record["rows_decided_early"], record["tokens_decided_early"]) == (None, 0, 0)
    assert not [name for name, *_ in samples if name.endswith("decided_early")]
    assert "wide" not in record["seconds_by_phase"]
    assert "wide part" not in result.err


def test_a_run_without_an_early_row_has_zero_in_its_record_only(staged, tmp_path):
    (tmp_path / "in.jsonl").write_text("")
    result, record, _ = recorded(staged, tmp_path / "in.jsonl", tmp_path)
    assert "wide part" not in result.err
    assert (result.code, record["cascade"], record["rows_decided_early"]) == (0, True, 0)
