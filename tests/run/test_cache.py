"""The promise of --cache: whatever the cache holds, a run has the bytes and counts of one without it."""

import contextlib
import gzip
import json
import re
import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import BAD, CHUNK, FILLER, GOOD, for_each_row, reviews, start
from hypothesis import given, settings
from hypothesis import strategies as st
from test_record import CHECK, metrics

from scorer.base.errors import ScorerError
from scorer.engine.row_engine import RowEngine
from scorer.model.loaded import LoadedModel
from scorer.run.checkpoint import Work
from scorer.run.options import Band, ScoreOptions
from scorer.run.record import RunRecord
from scorer.run.score import Run, run
from scorer.storage.cache_file import CacheFile
from scorer.storage.cache_settings import CacheSettings

# A random night, and the nights after it

BUNDLES = [
    "bundle", "bundle_of_three", "staged_bundle", "windows_bundle", "staged_windows_bundle", "multi_label_bundle",
    "regression_bundle",
]  # fmt: skip
WORDS = [*GOOD, *BAD, *(word for word in FILLER if word.isalnum()), "zebra", "Ünïcode", "😀", "."]
# Equal words, but other bytes: composed and decomposed letters, blanks, capitals.
NEAR = ["café good", "cafe\u0301 good", "good  film", "good film", "Good film", " good film", "good film\n", "a\u0000b"]
REJECTED = [
    "{", '"text"', '{"id": "r"}', '{"text": 5}', '{"text": ""}', '{"text": " "}', '{"text": "\\u200b"}', '{"text": null}',
    '{"text": "\\ud800 good"}', '{"text": "good", "text": "bad"}',
]  # fmt: skip

texts = st.one_of(
    st.sampled_from([*NEAR, "so " * 100, "good " * 30, *reviews(12, 2, 8).texts]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join),
    st.lists(st.sampled_from(WORDS), min_size=40, max_size=90).map(" ".join),
)
records = st.one_of(texts, texts, texts, texts, st.sampled_from(REJECTED).map(lambda line: (line,)))


@dataclass(frozen=True)
class Night:
    """A night: its records, each a text or the line of a reject, and options that may differ from night to night."""

    records: list
    chunk: int
    options: dict = field(default_factory=dict)


@st.composite
def nights(draw):
    """Nights of which each repeats, edits, doubles or leaves out records of the one before."""
    found, before = [], []
    for _ in range(draw(st.integers(2, 3))):
        some = st.one_of(st.sampled_from(before), st.sampled_from(before), records) if before else records
        before = draw(st.lists(some, min_size=1, max_size=20))
        found.append(
            Night(
                before,
                draw(st.sampled_from([1, 3, CHUNK, 64])),
                {
                    "threads": draw(st.integers(1, 3)),
                    "details": draw(st.booleans()),
                    "no_cascade": draw(st.sampled_from([False, False, True])),
                    "output_format": draw(st.sampled_from(["csv", "jsonl", "parquet"])),
                    "keep": draw(st.sampled_from([(), ("*",)])),
                    "doubt": draw(st.booleans()),
                },
            )
        )
    return found


def frozen():
    """A clock that stands still, so that the records and pages of two runs can be equal."""
    return SimpleNamespace(time=lambda: 1.7e9, monotonic=lambda: 5.0, perf_counter=lambda: 5.0)


class Runs:
    """Runs in a folder with and without a cache."""

    def __init__(self, bundle, folder):
        self.bundle, self.folder = bundle, Path(folder)

    def run(self, night, cache=None, **more):
        """Run with or without a cache, and return all that it leaves but what the cache may change, and its record."""
        (self.folder / "in.jsonl").write_bytes(
            b"".join(
                f"{record[0] if isinstance(record, tuple) else json.dumps({'n': n, 'text': record})}\n".encode()
                for n, record in enumerate(night.records)
            )
        )
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        options = {**night.options, **more}
        if options.pop("doubt", False) and len(self.bundle.manifest.labels) == 2:
            options |= {"uncertain": Band(0.3, 0.6), "uncertain_rows": str(out / "uncertain.jsonl")}
        options |= {name: str(out / f"run.{name}") for name in ("summary", "metrics", "report")}
        options |= {"output": str(out / "rows"), "inputs": (str(self.folder / "in.jsonl"),), "quiet": True}
        options |= {"model": str(self.bundle.path), "provider": "cpu", "cache": cache and str(cache)}
        with pytest.MonkeyPatch.context() as patched:
            for module in ("base.timing", "run.score", "run.record", "run.chunks", "run.pipeline"):
                patched.setattr(f"scorer.{module}.time", frozen())
            patched.setattr(RunRecord, "_seconds", lambda record: {})
            patched.setattr(RowEngine, "chunk_rows", night.chunk)
            patched.setattr(RowEngine, "journal_rows", night.chunk)
            try:
                end = run(ScoreOptions(**options))
            except ScorerError as error:
                end = f"{type(error).__name__}: {error}"
        left = {path.name: path.read_bytes() for path in out.iterdir()}
        record = json.loads(left.pop("run.summary"))
        CHECK.validate(record)
        left["run.report"] = re.sub(
            rb"<tr><td>cache[a-z-]*</td>.*?</tr>|<li>[^<]* from the cache[^<]*</li>",
            b"",
            left["run.report"],
        ).split()
        left["run.metrics"] = [line for line in left["run.metrics"].splitlines() if b"rows_from_cache" not in line]
        other = {"arguments": None, "rows_from_cache": None, "cache": None}
        same = {name: value for name, value in record["arguments"].items() if not name.startswith("cache")}
        return {"end": end, "record": {**record, **other}, "arguments": same, **left}, record

    def scored(self, night, end):
        """Return the texts of the records that the last run scored, in order."""
        if isinstance(end, str):  # an error; all were rejected, or none has a text
            return []
        rejected = set()
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "out" / "rows.rejects.jsonl").read_text().splitlines()
            rejected = {json.loads(line)["row"] for line in lines}
        return [text for row, text in enumerate(night.records, start=1) if row not in rejected]


@pytest.mark.parametrize("model", BUNDLES)
def test_nights_with_a_cache_have_all_that_those_without_one_have(request, model):
    bundle = request.getfixturevalue(model)
    staged = bundle.manifest.cascade is not None

    @settings(max_examples=6)
    @given(nights())
    def check(nights):
        with tempfile.TemporaryDirectory() as folder:
            runs, known = Runs(bundle, folder), {False: set(), True: set()}
            for night in nights:
                expected, _ = runs.run(night)
                found, record = runs.run(night, Path(folder) / "scores.sqlite")
                for name, value in expected.items():
                    assert found[name] == value, name
                before, rows = known[staged and not night.options["no_cascade"]], runs.scored(night, found["end"])
                assert record["rows_from_cache"] == sum(text in before for text in rows)
                assert record["cache"] == {
                    "path": f"{folder}/scores.sqlite", "read_only": False, "rows_added": len({*rows} - before),
                    "rows_removed": 0, "rows_damaged": 0, "problem": None,
                }  # fmt: skip
                before.update(rows)

    check()


# What is kept, and what is durable with the journal


def lines_of(texts):
    return "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts, start=1))


@pytest.fixture
def source(tmp_path):
    """Input of 60 records: every 9th has no text, one is truncated, and ten repeat earlier texts."""
    texts = [f"{text} {row % 7}" for row, text in enumerate(reviews(60, 2, 3).texts, start=1)]
    texts[10], texts[30:40] = "so " * 100, texts[0:10]
    texts[8::9] = [""] * len(texts[8::9])
    (tmp_path / "in.jsonl").write_text(lines_of(texts))
    return tmp_path / "in.jsonl"


@pytest.fixture
def night(score, source, tmp_path):
    """Run `score` with a record, by default with the cache."""

    def run(*arguments, inputs=(source,), cache=("--cache", tmp_path / "scores.sqlite"), name="out.csv"):
        result = score(*inputs, "-o", tmp_path / name, *cache, "--summary", tmp_path / "run.json", *arguments)
        record = json.loads((tmp_path / "run.json").read_text())
        CHECK.validate(record)
        return result, record, (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None

    return run


def texts_in(source):
    return [json.loads(line)["text"] for line in source.read_text().splitlines()]


def test_the_second_night_computes_nothing_and_says_so(night, source, tmp_path):
    alone, without, expected = night(cache=())
    assert (without["rows_from_cache"], without["cache"]) == (0, None)
    assert "cache" not in alone.err
    first, record, out = night()
    assert out == expected
    distinct = len({*texts_in(source)} - {""})
    assert (record["rows_from_cache"], record["cache"]["rows_added"]) == (0, distinct)
    assert f"\nNo row came from the cache {tmp_path}/scores.sqlite.\n" in first.err
    second, record, out = night("--metrics", tmp_path / "m.prom", "--report", tmp_path / "run.html")
    assert out == expected
    assert record["rows_scored"] == record["rows_from_cache"] == 54
    assert record["cache"]["rows_added"] == 0
    assert "compute" not in record["seconds_by_phase"]
    assert f"\n54 rows (100%) came from the cache {tmp_path}/scores.sqlite.\n" in second.err
    assert metrics(tmp_path / "m.prom")[("rows_from_cache",)] == 54
    assert "<li>54 rows (100%) from the cache</li>" in (tmp_path / "run.html").read_text()


def test_an_edited_text_gets_its_new_score_whatever_its_id(night, source, score, tmp_path):
    night()
    texts = texts_in(source)
    texts[0], texts[1] = texts[1], f"{texts[0]} superb"
    source.write_text(lines_of(texts))
    result, record, out = night()
    assert (record["rows_from_cache"], record["cache"]["rows_added"]) == (53, 1)
    assert "\n53 rows (98.1%) came from the cache" in result.err
    assert out == night(cache=())[2]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl.gz", "parquet"])
def test_a_text_is_known_whatever_file_it_comes_from(night, source, tmp_path, form):
    night()
    texts = [text for text in texts_in(source) if text]
    other = tmp_path / f"other.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"text": texts, "stars": range(len(texts))}), other)
    elif form == "jsonl.gz":
        other.write_bytes(gzip.compress(lines_of(texts).encode()))
    else:
        separator = "\t" if form == "tsv" else ","
        other.write_text("".join(f"x{separator}{text}\n" for text in ["text", *texts]))
    _, record, out = night(inputs=(other,), name="out.jsonl")
    assert record["rows_scored"] == record["rows_from_cache"] == len(texts)
    assert out == night(inputs=(other,), name="out.jsonl", cache=())[2]


@pytest.mark.usefixtures("small_chunks")
def test_what_the_journal_calls_done_is_in_the_cache_and_durable(night, source, tmp_path, bundle, monkeypatch):
    texts, seen = texts_in(source), []
    commit, write = Work.commit, CacheFile._write
    settings = CacheSettings(str(tmp_path / "scores.sqlite"), read_only=True)

    def checking(work, summary, *, complete=False):
        done = [text for text in texts[: summary.counts.rows_in] if text]
        with LoadedModel(bundle, provider="cpu", cache=settings, report=pytest.fail) as other:
            seen.append(len(done))
            assert not other.cache.look_up(done).missing.any()
        commit(work, summary, complete=complete)

    def slowly(*arguments):
        time.sleep(0.5)
        write(*arguments)

    monkeypatch.setattr(Work, "commit", checking)
    monkeypatch.setattr(CacheFile, "_write", slowly)
    assert night("--limit", "24")[0].code == 3
    assert seen[:3] == [8, 15, 22]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("chunks", [1, 4, 7])
@pytest.mark.parametrize("cached", ["both", "before", "after"])
def test_a_resumed_run_has_the_bytes_of_a_whole_one(night, interrupted, source, tmp_path, chunks, cached):
    expected = night("--details", cache=())[2]
    (tmp_path / "out.csv").unlink()
    cache = ("--cache", tmp_path / "scores.sqlite")
    before = cache if cached != "after" else ()
    assert interrupted(chunks, source, "-o", tmp_path / "out.csv", "--details", *before).code == 143
    result, record, out = night("--details", cache=cache if cached != "before" else ())
    assert f"Resuming at row {CHUNK * chunks + 1}:" in result.err
    assert out == expected
    assert record["rows_scored"] == 54
    if cached == "both":  # repetitions of texts that the interrupted run added
        done, rest = texts_in(source)[: CHUNK * chunks], texts_in(source)[CHUNK * chunks :]
        assert record["rows_from_cache"] >= sum(text in done for text in rest if text)
    if cached != "before":
        _, again, out = night("--details")
        assert out == expected
        assert again["rows_from_cache"] == 54 if cached == "both" else again["rows_from_cache"] < 54


@pytest.mark.usefixtures("small_chunks")
def test_shards_fill_one_cache_and_are_together_the_whole(night, source, tmp_path):
    expected = night(cache=())[2]
    for found in range(2):
        parts, rows = [], 0
        for index in (1, 2, 3):
            _, record, out = night("--shard", f"{index}/3")
            parts.append(out if index == 1 else out.partition(b"\n")[2])
            rows += record["rows_from_cache"]
        assert b"".join(parts) == expected
        assert rows == 54 if found else rows < 20


def test_stdin_and_stdout_use_the_cache(bundle, night, source, tmp_path):
    expected = night()[2]
    run = start(bundle, "-", "--input-format", "jsonl", "--rejects", "/dev/null", "--cache", tmp_path / "scores.sqlite")
    out, err = run.communicate(source.read_bytes())
    assert out == expected
    assert b"54 rows (100%) came from the cache" in err


def test_texts_that_are_rejected_are_not_kept(night, source, tmp_path, bundle, monkeypatch):
    texts = ["good film", "superb film", "\u200b", "", "bad film"]
    source.write_text(lines_of(texts))
    unlucky = LoadedModel(bundle, provider="cpu").tokenizer.encode(["superb"]).ids[0][1]
    with monkeypatch.context() as patched:
        for_each_row(patched, lambda row: np.nan if unlucky in row else 1)
        expected, rejects = night(cache=())[2], (tmp_path / "out.csv.rejects.jsonl").read_bytes()
        assert b'"reason":"out_of_memory"' in rejects
        for rows in (0, 2):
            _, record, out = night()
            assert (out, (tmp_path / "out.csv.rejects.jsonl").read_bytes()) == (expected, rejects)
            assert (record["rows_from_cache"], record["cache"]["rows_added"]) == (rows, 2 - rows)
    _, record, out = night()
    assert (record["rows_from_cache"], record["rows_scored"], record["cache"]["rows_added"]) == (2, 3, 1)


# What computed an outcome


def test_another_bundle_precision_or_cascade_computes_its_own(night, staged_bundle, bundle):
    kinds = [
        ("--precision", "int8"),
        ("--precision", "fp32"),
        ("--model", staged_bundle.path),
        ("--model", staged_bundle.path, "--no-cascade"),
    ]
    expected = [night(*kind, cache=())[2] for kind in kinds]
    for rows in (0, 54):
        for kind, bytes_of in zip(kinds, expected, strict=True):
            _, record, out = night(*kind)
            assert out == bytes_of, kind
            assert record["rows_from_cache"] == rows, kind
    assert len(set(expected)) == 4


@pytest.mark.parametrize(
    "options",
    [("--threshold", "0.9"), ("--uncertain", "0.2,0.9"), ("--details",), ("--threads", "1"), ("--keep", "*"), ("--source",)],
)  # fmt: skip
def test_options_that_change_no_outcome_take_what_there_is(night, options):
    night()
    _, record, out = night(*options)
    assert record["rows_from_cache"] == 54
    assert out == night(*options, cache=())[2]


@pytest.mark.parametrize("options", [(), ("--threshold", "0"), ("--threshold", "1"), ("--uncertain", "0,1")])
def test_the_deciding_window_is_that_of_a_run_with_these_options(night, source, windows_bundle, options):
    words = [text for text in texts_in(source) if text]
    source.write_text(lines_of([" ".join(words[row : row + 9]) for row in range(0, len(words), 3)]))
    model = ("--model", windows_bundle.path, "--details", *options)
    expected = night(*model, cache=())[2]
    night("--model", windows_bundle.path)
    _, record, out = night(*model)
    assert record["rows_from_cache"] == record["rows_scored"]
    assert record["rows_in_windows"] > 10
    assert out == expected


@pytest.mark.parametrize("name", ["__version__", "onnxruntime_version", "cpu_features"])
def test_another_version_computes_its_own(night, monkeypatch, name):
    expected = night()[2]
    value = "99" if name == "__version__" else lambda: ["99"]
    monkeypatch.setattr(f"scorer.model.loaded.{name}", value)
    for rows in (0, 54):
        _, record, out = night()
        assert (record["rows_from_cache"], out) == (rows, expected)


# Limits and settings


def test_the_least_recently_used_texts_go_and_the_output_stays(night, source, tmp_path):
    expected = night(cache=())[2]
    distinct = len({*texts_in(source)} - {""})
    _, record, out = night("--cache-max-rows", "10")
    assert (record["cache"]["rows_added"], record["cache"]["rows_removed"]) == (distinct, distinct - 10)
    for _ in range(2):
        _, record, out = night("--cache-max-rows", "10")
        assert out == expected
        assert 10 <= record["rows_from_cache"] <= 24
    night()
    assert night()[1]["rows_from_cache"] == 54


def test_a_cache_that_is_only_read_stays_as_it_is(night, source, tmp_path):
    night(inputs=(source,), cache=("--cache", tmp_path / "scores.sqlite"))
    before = (tmp_path / "scores.sqlite").read_bytes()
    source.write_text(source.read_text() + lines_of(["a new film"]))
    for _ in range(2):
        _, record, out = night("--cache-read-only")
        assert (record["rows_from_cache"], record["rows_scored"], record["cache"]["rows_added"]) == (54, 55, 0)
        assert record["cache"]["read_only"]
        assert (tmp_path / "scores.sqlite").read_bytes() == before
    assert out == night(cache=())[2]


def test_a_missing_cache_that_is_only_read_is_a_warning(night, source, tmp_path):
    result, record, out = night("--cache-read-only")
    assert f"Warning: The cache {tmp_path}/scores.sqlite cannot be used (" in result.err
    assert record["cache"]["problem"]
    assert not (tmp_path / "scores.sqlite").exists()
    assert out == night(cache=())[2]


def test_a_problem_is_on_the_page(night, tmp_path):
    night("--cache-read-only", "--report", tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert '<li class="look">0 rows (0%) from the cache, which had a problem: ' in page


def test_damaged_entries_are_counted_and_computed_again(night, source, tmp_path):
    expected = night()[2]
    with contextlib.closing(sqlite3.connect(tmp_path / "scores.sqlite")) as connection, connection:
        connection.execute("UPDATE scores SET value = zeroblob(length(value)) WHERE id % 5 = 0")
        (damaged,) = connection.execute("SELECT count(*) FROM scores WHERE id % 5 = 0").fetchone()
    result, record, out = night()
    assert out == expected
    assert record["cache"]["rows_damaged"] == record["cache"]["rows_added"] == damaged > 1
    assert f"\nWarning: {damaged} entries of the cache were damaged, and computed again.\n" in result.err
    assert night()[1]["rows_from_cache"] == 54


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cache-max-rows", "5"), "--cache-max-rows needs --cache, which names the file."),
        (("--cache-read-only",), "--cache-read-only needs --cache, which names the file."),
        (("--cache", "s3://b/c"), "--cache s3://b/c is an address; name a file on a local disk."),
        (("--cache", "s3://key:hush@b/c"), "carries a credential"),
        (("--cache", "none/c"), "--cache none/c: the folder none does not exist; create it first."),
        (("--cache", "."), "--cache . is not a regular file; name another."),
        (("--cache", "in.jsonl"), "--cache in.jsonl exists and is no cache of this program; name another file."),
        (("--cache", "out.csv"), "--cache out.csv and --output are the same file; name another for the cache."),
        (("--cache", "./out.csv.rejects.jsonl"), "--cache ./out.csv.rejects.jsonl and --rejects are the same file"),
        (("--cache", "s", "--summary", "s"), "--cache s and --summary are the same file"),
        (("--cache", "s", "--metrics", "./s"), "--cache s and --metrics are the same file"),
        (("--cache", "link", "--report", "page.html"), "--cache link and --report are the same file"),
        (("--cache", "s", "--summary", "s-wal"), "--summary s-wal is a file that --cache s needs; name another."),
        (("--cache", "s", "--rejects", "./s-shm"), "--rejects ./s-shm is a file that --cache s needs; name another."),
        (("--cache", "s", "--summary", "s", "--plan"), "--cache s and --summary are the same file"),
        (("--cache", "lake/c", "lake"), "--cache lake/c is in the input folder lake, so the next run would read it; put it elsewhere."),
        (("--cache", "bundle/c"), "is a bundle"),
        (("--cache-max-rows", "0", "--cache", "c"), "--cache-max-rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_cache_is_refused_before_a_row_is_read(
    score, source, bundle, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "a.jsonl").write_text(lines_of(["good"]))
    (tmp_path / "link").symlink_to("page.html")
    (tmp_path / "bundle").symlink_to(bundle.path)
    monkeypatch.setattr(Run, "load", None)
    before = sorted(tmp_path.rglob("*"))
    result = score("in.jsonl", "-o", "out.csv", *options)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "hush" not in result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refused_command_leaves_the_cache_as_it_is(night, score, source, tmp_path):
    expected = night()[2]
    cache = tmp_path / "scores.sqlite"
    before = cache.read_bytes()
    for option in ("--summary", "--metrics", "--report"):
        assert score(source, "-o", tmp_path / "out.csv", "--cache", cache, option, cache).code == 2
        assert cache.read_bytes() == before
    _, record, out = night()
    assert (record["rows_from_cache"], out) == (record["rows_scored"], expected)


def test_an_empty_name_turns_off_the_cache_of_a_file_with_options(score, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("score.toml").write_text('cache = "scores.sqlite"\ncache-max-rows = 9\n')
    assert score(source, "-o", "out.csv", "--cache", "").code in (0, 3)
    assert not Path("scores.sqlite").exists()
    monkeypatch.setenv("SCORE_CACHE", "")  # counts as a missing one
    assert score(source, "-o", "out.csv").code in (0, 3)
    assert Path("scores.sqlite").exists()


def test_a_limit_that_removes_texts_of_a_night_without_new_ones_is_in_the_record(night):
    night()
    record = night("--cache-max-rows", "20")[1]
    assert record["cache"]["rows_added"] == 0
    assert record["cache"]["rows_removed"] > 20


def test_entries_of_another_context_only_are_noted(night):
    note = "Note: the cache has entries of another bundle, precision, version or CPU only, so every text is computed."
    assert note not in night()[0].err
    assert note in night("--precision", "fp32")[0].err
    assert note not in night("--precision", "fp32")[0].err


def test_a_second_path_to_a_file_of_the_run_is_noticed(score, source, tmp_path):
    (tmp_path / "alias").symlink_to(tmp_path)
    result = score(source, "-o", tmp_path / "out.csv", "--cache", tmp_path / "alias" / "out.csv")
    assert result.code == 2
    assert "are the same file; name another for the cache." in result.err
