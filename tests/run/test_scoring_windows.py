"""Windows in `score`: what a text gets depends on the text alone, and --details name the passage that decided."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import (
    BAD,
    CHUNK,
    FILLER,
    GOOD,
    as_multi_label,
    as_regression,
    as_windows,
    for_each_row,
    peak_memory,
    start,
)
from test_record import CHECK, metrics

from scorer.cluster import PartScorer, find_parts
from scorer.engine.row_engine import RowEngine
from scorer.model.loaded import LoadedModel

DETAILS = ("--details", "--keep", "note")
NAMES = ["windows", "decided_by", "decided_start", "decided_end"]
MOST = 4
PLAIN = [word for word in FILLER if word.isalpha()]


def long_texts(count, seed=5):
    """Make texts of 3 to 80 words: of one window to four, and longer ones, with a passage of praise or blame."""
    random = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        words = list(random.choice(PLAIN, int(random.integers(3, 80))))
        at = int(random.integers(0, len(words) - 2))
        words[at : at + 3] = random.choice(GOOD if random.random() < 0.5 else BAD, 3)
        texts.append(" ".join(words))
    return texts


@pytest.fixture
def source(tmp_path):
    """Input of 60 records: every 9th has no text, ten repeat earlier texts, ten only begin as earlier ones do."""
    texts = long_texts(60)
    texts[30:40] = texts[0:10]
    texts[40:50] = [f"{text} {' '.join(GOOD)}" for text in texts[10:20]]
    records = [
        {"id": f"r{row}", "text": "" if row % 9 == 0 else text, "note": f"so, {row}"}
        for row, text in enumerate(texts, start=1)
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts_of(path):
    return {record["id"]: record["text"] for record in rows_of(path)}


@pytest.fixture
def windowed(score, windows_bundle):
    """Run `score` with a bundle that reads long texts in windows."""
    return lambda *arguments: score(*arguments, "--model", windows_bundle.path)


@pytest.fixture(params=["windows_bundle", "staged_windows_bundle"])
def whole(request, score, source, tmp_path):
    """Arguments of a run with a bundle, and the bytes and rows of its output."""
    arguments = (source, "--model", request.getfixturevalue(request.param).path, *DETAILS)
    score(*arguments, "-o", tmp_path / "whole.jsonl")
    rows = rows_of(tmp_path / "whole.jsonl")
    assert {row["windows"] for row in rows} >= {1, 2, 3, 4}
    return arguments, (tmp_path / "whole.jsonl").read_bytes(), rows


# Nothing but the text changes a row


def test_threads_and_chunks_change_nothing(score, whole, tmp_path, monkeypatch):
    arguments, expected, _ = whole
    for threads, chunk in ((1, 1), (2, 7), (5, CHUNK), (5, 256)):
        monkeypatch.setattr(RowEngine, "chunk_rows", chunk)
        score(*arguments, "-o", tmp_path / "out.jsonl", "--threads", threads)
        assert (tmp_path / "out.jsonl").read_bytes() == expected, (threads, chunk)


@pytest.mark.usefixtures("small_chunks")
def test_shards_are_together_the_whole(score, whole, tmp_path):
    arguments, expected, _ = whole
    parts = []
    for index in (1, 2, 3):
        score(*arguments, "-o", tmp_path / "part.jsonl", "--shard", f"{index}/3")
        parts.append((tmp_path / "part.jsonl").read_bytes())
    assert b"".join(parts) == expected


def test_several_inputs_are_read_as_one(score, whole, source, tmp_path):
    (_, *options), expected, _ = whole
    lines = source.read_text().splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_text("".join(lines[:23]))
    (tmp_path / "b.jsonl").write_text("".join(lines[23:]))
    score(tmp_path / "a.jsonl", tmp_path / "b.jsonl", *options, "-o", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == expected


@pytest.mark.usefixtures("small_chunks")
def test_the_order_of_rows_changes_no_row(score, whole, source, tmp_path):
    arguments, _, rows = whole
    source.write_text("".join(reversed(source.read_text().splitlines(keepends=True))))
    score(*arguments, "-o", tmp_path / "out.jsonl")
    turned = {row["id"]: row | {"row": 61 - row["row"]} for row in rows_of(tmp_path / "out.jsonl")}
    assert turned == {row["id"]: row for row in rows}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("commits", [1, 4])
def test_a_resumed_run_has_the_bytes_and_the_counts_of_a_whole_one(score, interrupted, whole, tmp_path, commits):
    arguments, expected, rows = whole
    command = (*arguments, "-o", tmp_path / "out.jsonl", "--summary", tmp_path / "run.json")
    assert interrupted(commits, *command).code == 143
    assert f"Resuming at row {commits * CHUNK + 1}:" in score(*command).err
    assert (tmp_path / "out.jsonl").read_bytes() == expected
    record = json.loads((tmp_path / "run.json").read_text())
    windows = [row["windows"] for row in rows]
    assert (record["windows"], record["rows_in_windows"]) == (sum(windows), sum(one > 1 for one in windows))


def test_a_run_is_not_resumed_with_details_added(windowed, interrupted, source, windows_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(RowEngine, "chunk_rows", CHUNK)
    monkeypatch.setattr(RowEngine, "journal_rows", CHUNK)
    assert interrupted(2, source, "--model", windows_bundle.path, "-o", tmp_path / "out.jsonl").code == 143
    assert windowed(source, "-o", tmp_path / "out.jsonl", "--details").err.startswith("Not resuming")


def test_stdin_gives_the_bytes_of_a_file(windows_bundle, windowed, source, tmp_path):
    windowed(source, "-o", tmp_path / "out.csv", *DETAILS)
    run = start(windows_bundle, "-", "--input-format", "jsonl", "--rejects", "/dev/null", *DETAILS)
    out, _ = run.communicate(source.read_bytes())
    assert out == (tmp_path / "out.csv").read_bytes()


def test_a_part_has_the_bytes_that_score_gives_its_file(windowed, windows_bundle, source, tmp_path):
    (tmp_path / "lake").mkdir()
    source.rename(tmp_path / "lake" / "a.jsonl")
    scorer = PartScorer(
        str(tmp_path / "out"), model=str(windows_bundle.path), provider="cpu", output_format="csv", details=True
    )
    [part] = find_parts([str(tmp_path / "lake")])
    found = scorer(part)
    windowed(found.source, "-o", tmp_path / "alone.csv", "--source", "--details")
    assert (tmp_path / "out" / "a.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    assert found.counts.rows_in_windows > 10
    again = scorer(part)
    assert (again.finished_before, again.counts) == (True, found.counts)


def test_equal_texts_have_one_result_and_equal_windows_are_computed_once(whole, source, windows_bundle):
    _, _, rows = whole
    texts, found = texts_of(source), {}
    for row in rows:
        found.setdefault(texts[row["id"]], []).append([row[name] for name in row if name not in ("row", "id", "note")])
    assert sum(len(each) > 1 for each in found.values()) >= 8
    assert all(one == each[0] for each in found.values() for one in each)
    scorer = LoadedModel(windows_bundle, provider="cpu")
    run, ran = scorer.engine._run, []
    scorer.engine._run = lambda rows: ran.extend(row.tobytes() for row in rows) or run(rows)
    tokens = scorer.tokenizer.encode([text for text in texts.values() if text])
    windows = [row.tobytes() for ids in tokens.ids for row in scorer.windows.rows(ids)]
    scorer.score_tokens(tokens)
    assert sorted(ran) == sorted({*windows})
    assert len(ran) < len(windows) - 25


# The columns


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl.gz", "parquet"])
def test_every_format_has_them_behind_the_stage(score, staged_windows_bundle, source, tmp_path, form):
    def run(*arguments):
        return score(*arguments, "--model", staged_windows_bundle.path)

    run(source, "-o", tmp_path / "out.jsonl", "--details")
    expected = [[row[name] for name in NAMES] for row in rows_of(tmp_path / "out.jsonl")]
    assert [0, None, None, None] in expected
    run(source, "-o", tmp_path / f"out.{form}", "--details")
    # Every output format is also an input format.
    run(tmp_path / f"out.{form}", "-o", tmp_path / "again.jsonl", "--keep", "*", "--text", "id")
    found = rows_of(tmp_path / "again.jsonl")
    cells = [[None if row[name] in (None, "") else int(row[name]) for name in NAMES] for row in found]
    assert cells == expected
    names = list(found[0])
    at = names.index("windows")
    assert names[at - 2 : at + 5] == ["truncated", "stage", *NAMES, "score_negative"]
    if form == "parquet":
        schema = pq.read_schema(tmp_path / "out.parquet")
        assert [schema.field(name).type for name in NAMES] == [pa.int64()] * 4


def test_without_details_or_windows_there_are_none(windowed, score, source, tmp_path):
    windowed(source, "-o", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "row,id,label,score"
    score(source, "-o", tmp_path / "out.csv", "--details")
    header = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert header == "row,id,label,score,tokens,truncated,score_negative,score_positive"


def test_a_kept_column_of_such_a_name_becomes_an_input(windowed, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good", "windows": "two", "Decided_By": "us"}\n')
    command = (tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--keep", "*")
    windowed(*command, "--details")
    [row] = rows_of(tmp_path / "out.jsonl")
    assert [row[name] for name in ("input_windows", "input_Decided_By", *NAMES)] == ["two", "us", 1, 1, 0, 4]
    windowed(*command)
    [row] = rows_of(tmp_path / "out.jsonl")
    assert (row["windows"], row["Decided_By"]) == ("two", "us")


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_the_passage_is_the_window_that_decided(score, source, tmp_path, windows_bundle, bundle_of_three, task):
    if task == "multi_label":
        made = as_windows(as_multi_label(bundle_of_three, tmp_path / "a"), tmp_path / "b", combination="max")
    else:
        made = windows_bundle if task == "single_label" else as_regression(windows_bundle, tmp_path / "b")
    score(source, "-o", tmp_path / "out.jsonl", "--details", "--model", made.path)
    scorer, texts, several = LoadedModel(made, provider="cpu"), texts_of(source), 0
    for row in rows_of(tmp_path / "out.jsonl"):
        text = texts[row["id"]]
        tokens = scorer.tokenizer.encode([text])
        assert row["windows"] == len(scorer.windows.rows(tokens.ids[0])) <= MOST
        assert 1 <= row["decided_by"] <= row["windows"]
        if row["windows"] == 1:
            assert (row["decided_start"], row["decided_end"]) == (0, len(text))
            continue
        several += 1
        window = scorer.windows.rows(tokens.ids[0])[row["decided_by"] - 1]
        passage = text[row["decided_start"] : row["decided_end"]]
        assert scorer.tokenizer.encode([passage]).ids[0].tolist() == window.tolist()
    assert several > 20


def test_the_passage_has_the_words_that_tell(score, windows_bundle, tmp_path):
    # As the weights of tiny bundles are random, the words are those of the window with the clearest score.
    words = ["the", "film", "was", "a", "plot", "and", "it", "scene"] * 8
    scorer = LoadedModel(windows_bundle, provider="cpu")
    texts = [" ".join([*words[:at], *["superb"] * 4, *words[at:60]]) for at in range(0, 60, 5)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--details", "--model", windows_bundle.path)
    for row, text in zip(rows_of(tmp_path / "out.jsonl"), texts, strict=True):
        ids = scorer.tokenizer.encode([text]).ids[0]
        logits = scorer.engine.logits(scorer.windows.rows(ids))[:, 0].astype(np.float64)
        weighted = logits * scorer.windows.weights(len(ids))
        towards = 1 if weighted.sum() >= 0 else -1
        assert row["decided_by"] == 1 + int(np.argmax(towards * weighted))


def test_of_a_text_beyond_the_last_window_the_passage_is_among_what_was_read(windowed, tmp_path):
    text = "good film " * 200
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text}) + "\n")
    result = windowed(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--details")
    [row] = rows_of(tmp_path / "out.jsonl")
    assert (row["tokens"], row["truncated"], row["windows"]) == (72, True, MOST)
    assert text[row["decided_start"] : row["decided_end"]] == ("good film " * 11).strip()
    assert "\n1 text was read in several windows; there were 4 in all.\n" in result.err
    assert "\n1 text was longer than the model reads; its rest was ignored.\n" in result.err


# Too little memory


@pytest.mark.parametrize("where", [0, 3, 11])
def test_a_window_that_finds_no_memory_rejects_its_text_alone(windowed, windows_bundle, tmp_path, monkeypatch, where):
    texts = [text.replace("superb", "good") for text in long_texts(12)]
    texts[where] = "the film was " * 15 + "superb"
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    windowed(tmp_path / "in.jsonl", "-o", tmp_path / "whole.jsonl", "--details")
    scorer = LoadedModel(windows_bundle, provider="cpu")
    superb = int(scorer.tokenizer.encode(["superb"]).ids[0][1])
    for_each_row(monkeypatch, lambda row: np.nan if superb in row[1:4] or superb == row[-2] else 1)
    result = windowed(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--details")
    assert result.code == 3
    assert "1 rejected (1 out_of_memory)" in result.err
    expected = (tmp_path / "whole.jsonl").read_text().splitlines()
    del expected[where]
    assert (tmp_path / "out.jsonl").read_text().splitlines() == expected


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("text", ["good film " * 999_000, "x" * 9_900_000, "good" + " " * 9_900_000 + "film " * 100])
def test_a_text_of_ten_megabytes_takes_as_much_memory_as_a_bundle_without_windows_needs(
    bundle, windows_bundle, tmp_path, text
):
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text}) + "\n")
    usual = peak_memory(bundle, tmp_path / "in.jsonl", tmp_path / "out.csv")
    found = peak_memory(windows_bundle, tmp_path / "in.jsonl", tmp_path / "out.csv", "--details")
    assert found < usual + 32


# Record, metrics, page, messages and --check


def recorded(run, source, folder, *options):
    result = run(
        source, "-o", folder / "out.jsonl", "--summary", folder / "run.json", "--metrics", folder / "m.prom",
        "--report", folder / "run.html", *options,
    )  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    CHECK.validate(record)
    return result, record, metrics(folder / "m.prom")


def test_record_metrics_page_and_console_say_what_was_read_in_windows(windowed, source, tmp_path):
    result, record, samples = recorded(windowed, source, tmp_path, "--details")
    windows = [row["windows"] for row in rows_of(tmp_path / "out.jsonl")]
    several = [one for one in windows if one > 1]
    assert (record["windows"], record["rows_in_windows"]) == (sum(windows), len(several))
    assert (samples[("windows",)], samples[("rows_in_windows",)]) == (sum(windows), len(several))
    assert (
        f"\n{len(several)} texts were read in several windows; there were {record['windows']} in all.\n" in result.err
    )
    page = (tmp_path / "run.html").read_text()
    assert "texts read in several windows" in page


def test_of_a_bundle_without_windows_they_say_nothing(score, source, tmp_path):
    result, record, samples = recorded(score, source, tmp_path)
    assert (record["windows"], record["rows_in_windows"]) == (None, None)
    assert not [name for name, *_ in samples if name.endswith("windows")]
    assert "windows" not in result.err
    assert "read in several windows" not in (tmp_path / "run.html").read_text()


def test_texts_that_the_wide_part_decides_are_no_windows(score, staged_windows_bundle, source, tmp_path):
    def run(*arguments):
        return score(*arguments, "--model", staged_windows_bundle.path)

    result, record, _ = recorded(run, source, tmp_path, "--details")
    rows = rows_of(tmp_path / "out.jsonl")
    assert all((row["windows"] == 0) == (row["stage"] == "wide") for row in rows)
    assert record["windows"] == sum(row["windows"] for row in rows)
    several = [row["windows"] for row in rows if row["windows"] > 1]
    assert (
        f"\n{len(several)} texts were read in several windows; there were {record['windows']} in all.\n" in result.err
    )
    result, record, _ = recorded(run, source, tmp_path, "--no-cascade", "--details")
    assert min(row["windows"] for row in rows_of(tmp_path / "out.jsonl")) == 1


def test_check_says_what_is_read(windowed):
    result = windowed("--check")
    assert result.code == 0
    assert (
        ", reads up to 72 tokens in at most 4 windows of 24, begun every 16 tokens, whose logits' mean counts "
        "(truncation: windows)\n" in result.out
    )


def test_outputs_with_the_columns_are_compared(score, score_model, windows_bundle, bundle_of_three, source, tmp_path):
    made = {
        "single": windows_bundle,
        "several": as_windows(as_multi_label(bundle_of_three, tmp_path / "a"), tmp_path / "b"),
        "numbers": as_regression(windows_bundle, tmp_path / "c"),
    }
    for name, bundle in made.items():
        score(source, "-o", tmp_path / f"{name}.parquet", "--details", "--model", bundle.path)
        score(source, "-o", tmp_path / f"{name}.csv", "--model", bundle.path)
        result = score_model(
            "compare", tmp_path / f"{name}.parquet", tmp_path / f"{name}.csv", "-o", tmp_path / "compared.html"
        )
        assert result.code == 0, result.err
        assert "54 rows in both" in result.out
