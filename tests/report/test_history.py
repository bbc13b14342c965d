"""`score-model history`: records of runs over time, and the rule that finds unusual ones."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
from factories import ROOT, reviews
from history_records import START, nights, stamp, write
from test_run_page import HOSTILE, Page

from scorer.report.history import history_of, lines
from scorer.report.history_findings import findings, newest
from scorer.report.history_job import Job, PastRun
from scorer.report.history_page import history_page
from scorer.report.history_record import moment
from scorer.report.history_rule import ENOUGH, WINDOW, Point, is_unusual, verdicts


@pytest.fixture
def run(score_model):
    def made(*arguments):
        found = score_model("history", *arguments)
        return found.code, found.out, found.err

    return made


def job(records):
    runs = [PastRun(f"{number}.json", moment(record["started"]), record) for number, record in enumerate(records)]
    return Job("runs", runs)


def words(records):
    """The findings of a job, the newest first."""
    of = job(records)
    return [finding.words(of) for finding in findings(of)]


def unusual(values, least=0.0):
    """The places of unusual values."""
    found = verdicts([None if value is None else Point(value) for value in values], least)
    return [place for place, verdict in enumerate(found) if is_unusual(verdict)]


def with_rejects(record, share):
    """The record of the same night, with another share of rejects."""
    rejected = round(record["rows_in"] * share)
    scored = record["rows_in"] - rejected
    labels = {"negative": scored // 2, "positive": scored - scored // 2}
    histogram = {
        **record["score_histogram"],
        "counts": [labels["negative"], *[0] * 18, labels["positive"]],
        "sum": scored / 2,
    }
    parts = {
        name: round(record[name] * scored / record["rows_scored"])
        for name in ("rows_from_cache", "rows_decided_early", "duplicates")
    }
    return {
        **record,
        **parts,
        "rows_rejected": rejected,
        "rows_scored": scored,
        "labels": labels,
        "score_histogram": histogram,
    }


def test_a_steady_year_has_no_unusual_night():
    for seed, rows in ((1, 1000), (2, 1000), (3, 1000), (4, 30), (5, 30)):
        assert words(nights(365, seed, rows)) == []


def test_in_heavy_noise_few_nights_are_unusual():
    draw = np.random.default_rng(0)
    for noise, most in ((draw.standard_normal, 1), (lambda size: draw.standard_t(5, size), 40)):
        assert sum(len(unusual(noise(365))) for _ in range(40)) <= most


def test_the_obvious_is_found_in_every_measure_and_named():
    last = nights(30)[-1]
    scored = last["rows_scored"]
    for change, expected in (
        ({"rows_in": 400, "rows_rejected": 10, "rows_scored": 390, "labels": {"negative": 190, "positive": 200}}, "rows read 400, usually"),
        (with_rejects(last, 0.31), "rejected 31.0%, usually 2.1%"),
        ({"duplicates": scored // 2}, "repeated texts 49.9%, usually 0.9%"),
        ({"labels": {"negative": scored - 100, "positive": 100}}, "label positive 10.1%, usually 51."),
        ({"score_histogram": {**last["score_histogram"], "sum": 0.2 * scored}}, "mean score 0.200, usually 0.5"),
        ({"drift": {**last["drift"], "tokens": {"psi": 1.5, "by_chance": 0.05}}}, "drift of lengths 1.500, usually 0.0"),
        ({"seconds": 45.0}, "time 45 s, usually 9.8 s"),
        ({"rows_per_second": 20.0}, "rows per second 20, usually 9"),
        ({"rows_from_cache": 0}, "from the cache 0%, usually 94."),
        ({"rows_decided_early": 10}, "decided by the wide part alone 1.0%, usually "),
        ({"forecast": {"error": 2.0}}, "error of the forecast +200%, usually "),
        ({"started": stamp(START + timedelta(days=31))}, "time since the run before 72 h, usually 24 h"),
    ):  # fmt: skip
        found = words([*nights(29), {**last, **change}])
        assert len(found) == 1, (change, found)
        assert expected in found[0]


def test_a_run_is_judged_by_at_least_seven_earlier_ones():
    for before, expected in ((ENOUGH - 1, []), (ENOUGH, [ENOUGH])):
        assert unusual([*[1.0] * before, 50.0]) == expected
    assert newest(job(nights(ENOUGH))).words == "The newest cannot be judged yet: that takes 7 earlier runs."
    assert newest(job(nights(ENOUGH + 1))).words == "The newest is as usual."


def test_a_missing_value_is_a_gap_and_never_unusual():
    values = [1.0, None] * 7
    assert unusual([*values, 50.0]) == [14]
    assert unusual([*values[2:], 50.0]) == []
    assert unusual([*values, None]) == []


def test_days_that_are_quiet_every_week_are_usual_from_the_second_week():
    draw = np.random.default_rng(0)
    rows = [1000 if day % 7 < 5 else 300 for day in range(364)]
    assert unusual(np.log(draw.poisson(rows)), np.log(1.5)) == []
    rows[100] = 300  # a Wednesday is as quiet as a Sunday, which the rule accepts
    rows[101] = 30
    assert unusual(np.log(draw.poisson(rows)), np.log(1.5)) == [101]


def test_an_unusual_night_excuses_no_later_one():
    assert unusual([*[1.0, 1.1] * 10, 9.0, 1.0, 9.0, 9.1, 1.0]) == [20, 22, 23]


def test_a_new_level_is_unusual_until_it_is_that_of_most_earlier_runs():
    found = unusual([*[1.0, 1.1, 0.9] * 20, *[9.0, 9.1, 8.9] * 20])
    assert found[0] == 60
    assert found == [*range(60, 60 + len(found))]
    assert WINDOW // 4 <= len(found) <= WINDOW // 2


def test_a_change_that_lasts_is_one_finding_with_its_first_day():
    records = nights(30)
    records[20:24] = [
        with_rejects(record, share) for record, share in zip(records[20:24], (0.31, 0.28, 0.35, 0.3), strict=True)
    ]
    assert words(records) == ["18 to 21 December 2026 (4 runs): rejected 28.0% to 35.0%, usually 2.1%"]


def test_few_rows_explain_what_many_do_not():
    for rows, expected in ((20, 0), (2000, 1)):
        records = nights(20, rows=rows)
        clean = [with_rejects(record, 0.0) for record in records]
        assert len(words([*clean[:-1], with_rejects(records[-1], 0.1)])) == expected


def test_a_failed_run_is_named_with_its_error_and_compared_with_none():
    records = nights(20)
    failed = {
        "published": False,
        "exit_code": 4,
        "rows_in": 5,
        "rows_scored": 5,
        "rows_rejected": 0,
        "error": "too few records.\nHelp.",
    }
    records[10], records[11] = {**records[10], **failed}, {**records[11], **failed}
    assert words(records) == ["8 to 9 December 2026 (2 runs): failed: too few records."]
    assert newest(job(records[:12])).words == "The newest failed: too few records."
    assert newest(job(records[:12])).level == "bad"


def test_a_run_that_failed_after_it_had_published_is_compared(tmp_path):
    records = nights(20)
    records[-1] |= {"exit_code": 1, "error": "run.html cannot be written."}
    assert words(records) == []
    assert "failed after its output was published" in history_page(history_of(write(tmp_path / "runs", records)))


def test_a_new_model_is_named_and_its_first_run_compared_with_the_model_before():
    records = nights(40)
    for record in records[20:]:
        record["bundle"] = {"name": "newer", "id": "b" * 64}
    assert words(records) == ["18 December 2026: changed: model from ours (aaaaaaaa) to newer (bbbbbbbb)"]
    for record in records[20:]:
        record["labels"] = {"negative": record["rows_scored"] - 100, "positive": 100}
    assert words(records) == [
        "18 December 2026: label positive 10.0%, usually 51.6%; changed with it: model from ours (aaaaaaaa) to newer (bbbbbbbb)"
    ]


def test_what_changed_with_an_unusual_run_is_named():
    records = nights(20)
    last = records[-1]
    last["labels"] = {"negative": last["rows_scored"], "positive": 0}
    last["arguments"] = {"threshold": 0.8, "no-cascade": True}
    last["versions"] = {"review-scorer": "1.0.0", "onnxruntime": "1.32.0"}
    last["host"] = {"name": "other", "cpu_features": ["neon"]}
    (found,) = words(records)
    assert found.endswith(
        "changed with it: onnxruntime from 1.31.0 to 1.32.0, --threshold from not given to 0.8, "
        "--no-cascade from not given to given, another type of CPU"
    )


def test_the_time_of_a_run_that_resumed_another_one_is_unknown():
    records = nights(20)
    records[-1] |= {"resumed_from_row": 900, "seconds": 0.1}
    assert words(records) == []


def test_of_two_labels_one_is_shown_and_of_many_the_most_frequent():
    assert job(nights(3)).labels == ("positive",)
    records = nights(3)
    for record in records:
        record["labels"] = {f"label {number}": number for number in range(1, 20)}
    assert job(records).labels == tuple(sorted(f"label {number}" for number in range(14, 20)))


def test_real_records_make_a_history(run, score, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in ("", *reviews(50, 2, 3).texts))
    )
    for number in range(9):
        command = (tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--summary", tmp_path / f"{number}.json")
        assert score(*command).code == 3
    found = json.loads((tmp_path / "8.json").read_text())
    (tmp_path / "8.json").write_text(
        json.dumps({**found, "started": stamp(moment(found["started"]) + timedelta(days=9))})
    )
    code, out, err = run(*sorted(tmp_path.glob("*.json")), "-o", tmp_path / "history.html")
    assert (code, err) == (0, "")
    assert out.startswith("9 runs, ")
    assert "The newest is unusual: time since the run before 216 h, usually 0 h." in out
    page = Page((tmp_path / "history.html").read_text())
    assert "rejected 2.0%" in page.text.split("The same in every run: ")[1].split(".  ")[0]


def test_records_of_earlier_versions_have_gaps(run, tmp_path):
    first = (
        "format_version", "exit_code", "error", "published", "started", "ended", "seconds", "rows_in", "rows_scored", "rows_rejected",
        "rows_rejected_by_reason", "rows_truncated", "duplicates", "resumed_from_row", "labels", "score_histogram", "tokens",
        "rows_per_second", "tokens_per_second", "provider", "precision", "bundle", "shard", "output", "versions", "host", "arguments",
    )  # fmt: skip
    records = nights(30)
    records[:20] = [{key: value for key, value in record.items() if key in first} for record in records[:20]]
    paths = write(tmp_path / "runs", records)
    assert run(*paths)[:2] == (0, "30 runs, 28 November to 27 December 2026. The newest is as usual.\n")
    series = {one.measure.name: one for one in history_of(paths).jobs[0].series}
    assert [series["from the cache"].shown(place) for place in (0, 19)] == ["", ""]
    assert series["from the cache"].shown(20) == "93.9%"
    assert series["rejected"].shown(0) != ""


def test_records_of_several_folders_and_shards_are_several_jobs(run, tmp_path):
    records = nights(10)
    shards = [{**record, "shard": {"index": 1 + number % 2, "count": 2}} for number, record in enumerate(nights(16))]
    paths = [*write(tmp_path / "b", records), *write(tmp_path / "a", shards)]
    code, out, err = run(*paths)
    assert (code, err) == (0, "")
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        f"{tmp_path}/a, shard 1 of 2", f"{tmp_path}/a, shard 2 of 2", f"{tmp_path}/b",
    ]  # fmt: skip


def test_runs_are_in_the_order_of_their_starts_and_a_copy_counts_once(run, tmp_path):
    paths = write(tmp_path / "runs", nights(10)[::-1])
    (tmp_path / "runs" / "run.json").write_bytes((tmp_path / "runs" / "001.json").read_bytes())
    code, out, _ = run(*paths, tmp_path / "runs" / "run.json")
    assert code == 0
    assert out.splitlines() == [
        f"1 record of a run that another one describes, counted once: {tmp_path}/runs/run.json",
        "10 runs, 28 November to 7 December 2026. The newest is as usual.",
    ]


def test_several_runs_a_day_are_named_with_their_time(run, tmp_path):
    records = [
        {**record, "started": stamp(START + timedelta(hours=6 * number))} for number, record in enumerate(nights(10))
    ]
    out = run(*write(tmp_path / "runs", records))[1]
    assert out.startswith("10 runs, 28 November 2026, 02:00 to 30 November 2026, 08:00. ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is an empty file, and no record of a run."),
        ("row,label\n", "is not JSON, and no record of a run."),
        ("[1]", "is a list in JSON, and no record of a run."),
        ('{"a": 1}', "is no record of a run that this version knows: it has other keys."),
        ('{"kind": "plan", "rows_in": 1}', "is the summary of `score --plan`, which is no run."),
        ('{"parts": 3, "rows_in": 5}', "is the record of `score-ray`, which has no scores."),
        ({"format_version": 2}, "is no record of a run that this version knows: it has format_version 2, not 1."),
        ({"rows_in": "many"}, "is damaged: rows_in is 'many'."),
        ({"rows_in": 10**400}, f"is damaged: rows_in is '1{'0' * 99}'."),
        ({"rows_scored": -1}, "is damaged: rows_scored is '-1'."),
        ({"labels": {"a": -1}}, "is damaged: labels is"),
        ({"labels": None}, "is damaged: labels is 'None'."),
        ({"rows_in": 7}, "is damaged: its rows read are not those scored and those rejected."),
        ({"started": "yesterday"}, "is damaged: started is 'yesterday'."),
        ({"started": "0001-01-01T00:00:00+23:00"}, "is damaged: started is"),
        ({"seconds": -2.0}, "is damaged: seconds is -2.0."),
        ({"seconds": True}, "is damaged: seconds is 'True'."),
        ({"drift": {"score": 1}}, "is damaged: drift is"),
        ({"score_histogram": {"edges": [0.0, 1.0], "counts": [], "sum": 1.0}}, "is damaged: score_histogram has other edges than counts."),
        ({"score_histogram": {"edges": [1e200, 1e300], "counts": [1], "sum": 1.0}}, "is damaged: score_histogram is"),
        ({"bundle": {"name": 5, "id": "a"}}, "is damaged: bundle is"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_record_of_a_run_is_named_with_the_reason(run, tmp_path, content, problem):
    paths = write(tmp_path / "runs", nights(3))
    text = content if isinstance(content, str) else json.dumps({**nights(1)[0], **content})
    (tmp_path / "runs" / "002.json").write_text(text)
    code, out, err = run(*paths, "-o", tmp_path / "h.html")
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {paths[1]} {problem}"), err
    assert err.endswith("Name only JSON files that `score --summary` wrote in runs.\n")
    assert not (tmp_path / "h.html").exists()


def test_all_foreign_files_are_named_at_once(run, tmp_path):
    paths = write(tmp_path / "runs", nights(3))
    for number in range(7):
        (tmp_path / f"{number}.html").write_text("<p>")
    code, _, err = run(*paths, *sorted(tmp_path.glob("*.html")), tmp_path / "none.json", tmp_path)
    assert code == 2
    assert [line.split(" ")[0] for line in err.splitlines()[1:5]] == [
        f"{tmp_path}/{number}.html" for number in range(1, 5)
    ]
    assert err.splitlines()[5] == "and 4 more"
    assert run(tmp_path / "none.json")[2].startswith(f"Error: {tmp_path}/none.json does not exist.\n")
    assert run("/dev/null")[2].startswith("Error: /dev/null is not a regular file.\n")


def test_folders_and_patterns_without_a_file_are_named_as_such(run, tmp_path):
    assert run(tmp_path)[2].startswith(f"Error: {tmp_path} is a folder; name the records in it: {tmp_path}/*.json.\n")
    assert run(tmp_path / "*.json")[2].startswith(
        f"Error: {tmp_path}/*.json does not exist: the shell found no such file, or the pattern stands in quotes.\n"
    )


def test_check_ends_with_3_if_the_newest_run_is_unusual_or_failed(run, tmp_path):
    records = nights(20)
    paths = write(tmp_path / "runs", [*records[:-1], with_rejects(records[-1], 0.31)])
    assert run(*paths)[0] == 0
    assert run(*paths, "--check", "-o", tmp_path / "h.html")[0] == 3
    assert (tmp_path / "h.html").exists()
    assert run(*paths[:-1], "--check")[0] == 0
    assert run(*paths[:3], "--check")[0] == 0
    write(tmp_path / "runs", [*records[:-1], {**records[-1], "published": False}])
    assert run(*paths, "--check")[0] == 3


def test_a_page_of_a_history_replaces_earlier_ones_only(run, tmp_path):
    paths, page = write(tmp_path / "runs", nights(3)), tmp_path / "h.html"
    assert run(*paths, "-o", page)[0] == 0
    assert run(*paths, "-o", page)[0] == 0
    page.write_text("thesis")
    code, _, err = run(*paths, "-o", page)
    assert (code, "is not the history of an earlier run; give --overwrite to replace it" in err) == (2, True)
    assert page.read_text() == "thesis"
    assert run(*paths, "-o", page, "--overwrite")[0] == 0
    assert run(*paths, "-o", paths[0], "--overwrite")[::2] == (
        2, f"Error: --output {paths[0]} is an input too; write to another file.\n",
    )  # fmt: skip
    assert run(*paths, "-o", "-")[::2] == (2, "Error: --output needs a file, since the history goes to stdout.\n")
    assert run()[0] == 2


def test_no_library_of_training_or_of_the_engine_is_needed(tmp_path):
    paths = write(tmp_path / "runs", nights(3))
    code = (
        "import sys; from export.cli.score_model import command; from scorer.cli.program import run_command\n"
        f"assert run_command(command, ['history', *{paths!r}, '-o', {str(tmp_path / 'h.html')!r}], name='', interrupted='') == 0\n"
        "sys.exit(bool({'torch', 'sklearn', 'matplotlib', 'onnxruntime', 'tokenizers', 'pandas', 'pyarrow'} & sys.modules.keys()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, cwd=ROOT, env=dict(os.environ)
    )
    assert (found.returncode, found.stderr) == (0, b"")


def test_the_page_has_a_sentence_the_findings_the_rule_and_all_runs(tmp_path):
    records = nights(30)
    records[10] = {**records[10], "published": False, "error": "disk full."}
    records[-1] = {**with_rejects(records[-1], 0.31), "resumed_from_row": 5}
    page = Page(history_page(history_of(write(tmp_path / "runs", records))))
    for text in (
        "The newest run is unusual 30 runs, 28 November to 27 December 2026",
        "The newest is unusual: rejected 31.0%, usually 2.1%. Of the 29 runs before, 1 failed, the last on 8 December 2026.",
        "27 December 2026 rejected 31.0%, usually 2.1%",
        "8 December 2026 failed: disk full.",
        "Each value is compared with the median of the last 28 runs before it, or of at least 7.",
        " resumed ",
        f"{records[10]['started'][:16].replace('T', ' ')} failed",
        "The same in every run: time since the run before 24 h.",
    ):
        assert text in page.text, text
    titles = [attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"]
    assert titles == [*page.charts]
    rejected = page.charts["job-1-1"]
    assert [run["unusual"] for run in rejected["runs"]] == [*[False] * 29, True]
    assert rejected["runs"][10]["value"] is None
    assert len(rejected["failed"]) == 1
    assert rejected["models"] == []


def test_hostile_names_stay_text_on_the_page_and_on_the_terminal(run, tmp_path):
    records = nights(9)
    for record in records:
        record["labels"] = {text: 100 + len(text) for text in HOSTILE}
        record["bundle"] = {"name": HOSTILE[0], "id": "a" * 64}
    records[-1] |= {"bundle": {"name": HOSTILE[1], "id": "b" * 64}, "error": HOSTILE[5], "published": True}
    records[4] |= {"error": "\x1b[2J" + HOSTILE[1], "published": False}
    (tmp_path / "<b>").mkdir()
    paths = write(tmp_path / "<b>" / "a\x07", records)
    code, out, _ = run(*paths, "-o", tmp_path / "h.html")
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    page = Page((tmp_path / "h.html").read_text())
    assert len(page.scripts) == 4
    assert not [tag for tag, _ in page.elements if tag in ("img", "base", "iframe")]
    assert any(HOSTILE[1] in text for text in page.texts)


def test_a_month_of_findings_is_cut_on_the_terminal(tmp_path):
    records = nights(120)
    for record in records[8::3]:
        record["duplicates"] = record["rows_scored"]
    found = [*lines(history_of(write(tmp_path / "runs", records)))]
    assert len(found) == 22
    assert found[-1].startswith("  and ")
