"""Part files without a cluster: the work of a single worker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow.parquet as pq
import pytest
from factories import ROOT, held_out, reviews, with_confidence, with_fields

from scorer.base.errors import InputError, ScorerError, UsageError
from scorer.base.signals import Interrupted
from scorer.cluster import score_parts
from scorer.cluster.part_scorer import PartScorer
from scorer.cluster.parts import check_folder, find_parts
from scorer.cluster.ray_backend import Cluster
from scorer.model.decision import Decision
from scorer.model.interpretation import interpretation_of
from scorer.report.summary import Counts, Summary
from scorer.run.checkpoint import Work
from scorer.run.limits import Limits
from scorer.run.options import ScoreOptions
from scorer.storage.lock import hold, release

TEXTS = reviews(90, 2, 8).texts


@pytest.fixture
def lake(tmp_path):
    """Folder of three parts in two folders, one with rejects, and a file that is not data."""
    folder = tmp_path / "lake"
    for day in (1, 2):
        (folder / f"day={day}").mkdir(parents=True)
    rows = [{"id": f"r{row}", "text": text} for row, text in enumerate(TEXTS)]
    pq.write_table(pq.read_table(_parquet(tmp_path, rows[:30])), folder / "day=1" / "part-0.parquet")
    broken = [*rows[30:40], {"id": "x", "text": ""}, *rows[40:60]]
    (folder / "day=1" / "part-1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in broken))
    lines = [f"{row['id']},{row['text']}" for row in rows[60:]]
    (folder / "day=2" / "part-0.csv").write_text(
        "\n".join(["id,text", *(line if line.count(",") == 1 else '"' for line in lines)]) + "\n"
    )
    (folder / "_SUCCESS").touch()
    return folder


def _parquet(folder, rows):
    import pyarrow

    path = folder / "rows.parquet"
    pq.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def part_scorer(bundle, tmp_path):
    def make(folder=None, **options):
        return PartScorer(str(folder or tmp_path / "out"), model=str(bundle.path), provider="cpu", **options)

    return make


def test_a_part_has_the_bytes_that_score_gives_its_file(score, part_scorer, lake, tmp_path):
    found = [part_scorer(output_format="csv", details=True)(part) for part in find_parts([str(lake)])]
    assert [result.exit_code for result in found][:2] == [0, 3]
    for result in found:
        alone = score(result.source, "-o", tmp_path / "alone.csv", "--source", "--details")
        assert alone.code == result.exit_code
        assert Path(result.output).read_bytes() == (tmp_path / "alone.csv").read_bytes()
        rejects = (
            tmp_path / "out" / "_rejects" / Path(result.output).relative_to(tmp_path / "out").with_suffix(".jsonl")
        )
        assert rejects.exists() == (result.exit_code == 3)
        if rejects.exists():
            assert rejects.read_bytes() == (tmp_path / "alone.csv.rejects.jsonl").read_bytes()
    assert sum(result.counts.rows_in for result in found) == 91


@pytest.mark.parametrize("no_cascade", [False, True])
def test_a_part_of_a_cascade_has_the_bytes_that_score_gives_its_file(score, staged_bundle, lake, tmp_path, no_cascade):
    options = ("--model", staged_bundle.path, "--source", "--details", *(["--no-cascade"] if no_cascade else []))
    scorer = PartScorer(
        str(tmp_path / "out"), model=str(staged_bundle.path), provider="cpu", output_format="csv", details=True,
        no_cascade=no_cascade,
    )  # fmt: skip
    early = 0
    for part in find_parts([str(lake)]):
        found = scorer(part)
        score(found.source, "-o", tmp_path / "alone.csv", *options)
        content = (tmp_path / "alone.csv").read_bytes()
        assert Path(found.output).read_bytes() == content
        assert found.counts.rows_early == content.count(b",wide,")
        early += found.counts.rows_early
        again = scorer(part)
        assert (again.finished_before, again.counts) == (True, found.counts)
    assert (early > 0) == (not no_cascade)


def test_source_and_row_name_every_row_once(part_scorer, lake, tmp_path):
    results = [part_scorer()(part) for part in find_parts([str(lake)])]
    seen = Counter()
    for result in results:
        table = pq.read_table(result.output)
        assert table["row"].to_pylist() == sorted(table["row"].to_pylist())
        seen.update(zip(table["source"].to_pylist(), table["row"].to_pylist(), strict=True))
        for line in (tmp_path / "out" / "_rejects").rglob("*.jsonl"):
            rejected = map(json.loads, line.read_text().splitlines())
            seen.update({(row["source"], row["row"]): 1 for row in rejected if row["source"] == result.source})
    assert len(seen) == seen.total() == 91


def test_names_are_kept_below_what_was_given(lake):
    names = ["day=1/part-0", "day=1/part-1", "day=2/part-0"]
    assert [part.name for part in find_parts([str(lake)])] == names
    assert [part.name for part in find_parts([f"{lake}/"])] == names
    assert [part.name for part in find_parts([f"{lake}/day=*/part-0*"])] == ["day=1/part-0", "day=2/part-0"]
    assert [part.name for part in find_parts([f"{lake}/day=2/part-0.csv"])] == ["part-0"]


def test_two_files_for_one_name_are_refused(lake):
    with pytest.raises(UsageError, match=r"part-0.csv would both become part-0; score them into different folders"):
        find_parts([f"{lake}/day=1", f"{lake}/day=2/part-0.csv"])


def test_a_finished_part_is_skipped_until_something_of_it_changes(part_scorer, lake, tmp_path):
    part = find_parts([str(lake)])[1]
    first = part_scorer()(part)
    assert not first.finished_before
    before = os.stat(first.output)
    again = part_scorer()(part)
    assert again.finished_before
    assert (again.exit_code, again.counts) == (3, first.counts)
    assert os.stat(first.output).st_mtime_ns == before.st_mtime_ns
    assert not part_scorer(threshold=0.7)(part).finished_before
    assert not part_scorer()(part).finished_before  # the existing output has the other threshold
    with open(part.source, "a") as file:
        file.write('{"text": "good"}\n')
    changed = part_scorer()(part)
    assert not changed.finished_before
    assert changed.counts.rows_in == first.counts.rows_in + 1
    (tmp_path / "out" / "_rejects" / "day=1" / "part-1.jsonl").unlink()
    assert not part_scorer()(part).finished_before
    Path(changed.output).write_bytes(b"")
    assert not part_scorer()(part).finished_before


def test_a_part_whose_worker_died_is_resumed(part_scorer, lake, monkeypatch, small_chunks, tmp_path):
    part = find_parts([str(lake)])[0]
    whole = part_scorer(tmp_path / "whole")(part)
    commit = Work.commit
    with monkeypatch.context() as patched:

        def dying(work: Work, summary: Summary, *, complete: bool = False) -> None:
            commit(work, summary, complete=complete)
            if summary.counts.rows_in >= 16:
                raise Interrupted(signal.SIGTERM)

        patched.setattr(Work, "commit", dying)
        with pytest.raises(Interrupted):
            part_scorer()(part)
    computed = []
    again = part_scorer()
    submit = again._scorer.submit_texts
    monkeypatch.setattr(again._scorer, "submit_texts", lambda texts: computed.extend(texts) or submit(texts))
    result = again(part)
    assert len(computed) == 14
    assert Path(result.output).read_bytes() == Path(whole.output).read_bytes()
    assert result.counts == whole.counts


def test_a_part_that_a_worker_still_holds_is_waited_for(part_scorer, lake, tmp_path, monkeypatch):
    part = find_parts([str(lake)])[0]
    monkeypatch.setattr("scorer.cluster.part_scorer._PATIENCE_SECONDS", 600.0)
    (tmp_path / "out" / "day=1").mkdir(parents=True)
    held, waited = [hold(tmp_path / "out" / "day=1" / ".part-0.parquet.score-journal", "the part")], []

    def sleep(seconds):
        waited.append(seconds)
        release(held.pop())

    with monkeypatch.context() as patched:
        patched.setattr("scorer.cluster.part_scorer.time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        assert part_scorer()(part).exit_code == 0
    assert waited == [10]
    held = hold(tmp_path / "out" / "day=1" / ".part-0.parquet.score-journal", "the part")
    monkeypatch.setattr("scorer.cluster.part_scorer._PATIENCE_SECONDS", 0.1)
    found = part_scorer(threshold=0.7)(part)
    release(held)
    assert found.exit_code == 1
    assert "another run is writing" in found.error


def test_a_part_with_nothing_but_rejects_and_one_without_rows_are_parts(part_scorer, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n')
    (tmp_path / "b.csv").write_text("text\n")
    found = [part_scorer()(part) for part in find_parts([f"{tmp_path}/a.jsonl", f"{tmp_path}/b.csv"])]
    assert [result.exit_code for result in found] == [3, 0]
    assert [pq.read_table(result.output).num_rows for result in found] == [0, 0]


def test_what_goes_wrong_with_a_part_is_in_its_result(part_scorer, lake):
    source = lake / "day=1" / "part-0.parquet"
    source.write_bytes(source.read_bytes()[:-10])
    found = [part_scorer()(part) for part in find_parts([str(lake)])]
    assert [result.published for result in found] == [False, True, True]
    assert found[0].exit_code == 4
    assert "is not a Parquet file, or it is truncated or damaged" in found[0].error
    assert not Path(found[0].output).exists()


def test_a_folder_with_other_files_or_within_the_input_is_refused(lake, tmp_path):
    parts = find_parts([str(lake)])
    check_folder(str(tmp_path / "out"), parts, [str(lake)], "csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.csv").touch()
    with pytest.raises(
        UsageError, match=r"contains files that are not among the 3 parts of this run, .*old\.csv\. Remove them"
    ):
        check_folder(str(tmp_path / "out"), parts, [str(lake)], "csv")
    for folder in (lake / "scores", tmp_path, lake):
        with pytest.raises(UsageError, match="overlap; write to another folder"):
            check_folder(str(folder), parts, [str(lake)], "csv")


def test_parts_in_a_store(part_scorer, lake, tmp_path):
    store = fsspec.filesystem("memory")
    store.store.clear()
    try:
        for source in lake.rglob("part*"):
            store.pipe_file(f"/lake/{source.relative_to(lake)}", source.read_bytes())
        parts = find_parts(["memory://lake"])
        options = {"work_dir": str(tmp_path / "work"), "output_format": "csv"}
        found = [part_scorer("memory://out", **options)(part) for part in parts]
        assert found[0].output == "memory://out/day=1/part-0.csv"
        local = [part_scorer(output_format="csv")(part) for part in find_parts([str(lake)])]
        for there, here in zip(found, local, strict=True):
            expected = Path(here.output).read_bytes().replace(str(lake).encode(), b"memory://lake")
            assert store.cat(there.output) == expected
        assert store.exists("/out/_rejects/day=1/part-1.jsonl")
        assert all(part_scorer("memory://out", **options)(part).finished_before for part in parts)
        check_folder("memory://out", parts, ["memory://lake"], "csv")
    finally:
        store.store.clear()


def test_limits_hold_for_all_parts_together():
    counted = Counts(rows_in=100, rows_scored=97, rejected=Counter(empty_text=3))
    Limits(3, 0.03).check(counted)
    with pytest.raises(InputError, match=r"more than --max-reject-ratio 0\.02 allows"):
        Limits(None, 0.02).check(counted)
    with pytest.raises(InputError, match="more than --max-rejects 2 allows"):
        Limits(2).check(counted)


def test_options_by_name_are_those_of_an_empty_command_line(monkeypatch, tmp_path):
    monkeypatch.setenv("SCORE_TEXT", "body")
    (tmp_path / "score.toml").write_text("details = true\n")
    monkeypatch.chdir(tmp_path)
    options = ScoreOptions(keep=("stars",))
    assert (options.text, options.details, options.keep) == (None, False, ("stars",))
    assert (options.quote_char, options.output, options.inputs) == ('"', "-", ())
    with pytest.raises(TypeError):
        ScoreOptions(no_such_option=1)
    assert ScoreOptions(uncertain=(0.4, 0.6)).decision == Decision(uncertain=(0.4, 0.6))
    with pytest.raises(UsageError, match=r"takes two numbers, as in \(0\.4, 0\.6\), not '0\.4,0\.6'"):
        _ = ScoreOptions(uncertain="0.4,0.6").decision


def test_a_summary_is_the_sum_of_those_of_its_parts(part_scorer, lake):
    results = [part_scorer()(part) for part in find_parts([str(lake)])]
    total = sum((result.counts for result in results), Counts())
    assert total.rows_in == total.rows_scored + total.rows_rejected == 91
    assert total.scores.total == total.labels.total() == total.rows_scored
    with pytest.raises(ScorerError):
        Limits(0).check(total)


@pytest.mark.parametrize("name", ["multi_label_bundle", "regression_bundle", "ordered_bundle"])
def test_parts_of_every_task_have_the_bytes_of_score_and_add_up(score, request, lake, tmp_path, name):
    bundle = request.getfixturevalue(name)
    scorer = PartScorer(
        str(tmp_path / "out"), model=str(bundle.path), provider="cpu", output_format="jsonl", details=True
    )
    results = [scorer(part) for part in find_parts([str(lake)])]
    edges = interpretation_of(bundle.manifest).score_edges
    total = sum((result.counts for result in results), Counts.empty(edges))
    assert total.scores.total == total.rows_scored > 60
    arguments = ("--model", bundle.path, "--source", "--details")
    for result in results:
        score(result.source, "-o", tmp_path / "alone.jsonl", *arguments)
        assert Path(result.output).read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    score(str(lake), "-o", tmp_path / "whole.jsonl", *arguments, "--summary", tmp_path / "run.json")
    whole = json.loads((tmp_path / "run.json").read_text())
    assert whole["score_histogram"]["edges"] == list(edges)
    assert whole["score_histogram"]["counts"] == total.scores.counts
    assert whole["labels"] == dict(total.labels)


@pytest.fixture
def whole_run(monkeypatch, lake, tmp_path):
    """Run `score-ray` with one worker, which is this process."""

    def scored_here(parts, options, bundle, cluster, begin):
        begin()
        yield from map(PartScorer(options.output, options, bundle), parts)

    def run(bundle, **options):
        monkeypatch.setattr(score_parts, "score_parts", scored_here)
        wanted = {"model": str(bundle.path), "provider": "cpu", "precision": "fp32", "output_format": "csv", **options}
        code = score_parts.run(ScoreOptions(inputs=(str(lake),), output=str(tmp_path / "out"), **wanted), Cluster(1))
        return code, json.loads((tmp_path / "out" / "_SUCCESS").read_text())

    return run


def test_all_parts_together_have_uncertain_rows_a_promise_and_an_expected_accuracy(
    whole_run, bundle, score, lake, tmp_path, capfd
):
    sure = with_confidence(bundle, tmp_path / "sure", fp32=held_out(0.8))
    code, found = whole_run(sure, max_error=0.05, max_drift=0.25)
    err = capfd.readouterr().err
    assert code == 3
    # `score` reads the same files as one input.
    summary = tmp_path / "run.json"
    options = (
        "--model",
        sure.path,
        "--precision",
        "fp32",
        "--max-error",
        "0.05",
        "--max-drift",
        "0.25",
        "--summary",
        summary,
    )
    alone = score(*sorted(lake.rglob("*-*.*")), "-o", tmp_path / "alone.csv", *options)
    expected = json.loads(summary.read_text())
    assert found["rows_uncertain"] == expected["rows_uncertain"] > 0
    assert (
        found["max_error"] == expected["max_error"] == {"limit": 0.05, "confidence": 0.8, "holds": True, "reason": None}
    )
    assert found["expected_accuracy"] == pytest.approx(expected["expected_accuracy"], abs=2e-6)
    lines = [line for line in alone.err.splitlines() if "uncertain: their confidence" in line or "Expected" in line]
    assert len(lines) == 2
    assert set(lines) <= set(err.splitlines())
    for part in ("day=1/part-0", "day=1/part-1", "day=2/part-0"):
        assert ",uncertain," in (tmp_path / "out" / f"{part}.csv").read_text()
    # Finished parts count as well.
    assert whole_run(sure, max_error=0.05, max_drift=0.25) == (code, found)


def test_a_promise_that_cannot_be_kept_is_refused_before_the_first_part(whole_run, bundle, tmp_path):
    with pytest.raises(UsageError, match="--max-error needs held-out texts by confidence"):
        whole_run(with_fields(bundle, tmp_path / "older", confidence=None), max_error=0.05)
    sure = with_confidence(bundle, tmp_path / "sure", fp32=held_out(0.8))
    for options, message in (
        ({"precision": "fp16"}, "no held-out texts in fp16; choose --precision fp32."),
        ({"precision": "auto"}, "no held-out texts in int8; choose --precision fp32."),
        ({"max_error": 1e-5}, "They prove 0.0002 at best"),
    ):
        with pytest.raises(UsageError, match=message):
            whole_run(sure, **{"max_error": 0.05, **options})
    assert not (tmp_path / "out").exists()


def test_uncertain_rows_of_all_parts_have_no_file(part_scorer, tmp_path):
    with pytest.raises(UsageError, match=r"--uncertain-rows is for `score`; filter the parts by the label `uncertain`"):
        part_scorer(uncertain=(0.4, 0.6), uncertain_rows=str(tmp_path / "doubt.csv"))


def test_a_cache_serves_all_parts_and_their_bytes_stay(part_scorer, lake, tmp_path):
    parts = find_parts([str(lake)])
    expected = {part.name: Path(part_scorer(output_format="csv")(part).output).read_bytes() for part in parts}
    for folder, rows in (("one", 0), ("two", 90)):
        scorer = part_scorer(tmp_path / folder, output_format="csv", cache=str(tmp_path / "scores.sqlite"))
        results = [scorer(part) for part in parts]
        assert {
            part.name: Path(result.output).read_bytes() for part, result in zip(parts, results, strict=True)
        } == expected
        assert sum(result.counts.rows_scored for result in results) == 90
        assert sum(result.counts.rows_from_cache for result in results) == rows
        assert [list(result.problems) for result in results] == [[]] * 3
        again = scorer(parts[0])
        assert (again.finished_before, again.counts) == (True, results[0].counts)


def test_two_workers_share_a_cache(part_scorer, lake, tmp_path):
    one, two = (part_scorer(tmp_path / folder, cache=str(tmp_path / "scores.sqlite")) for folder in ("one", "two"))
    for part in find_parts([str(lake)]):
        first, second = one(part), two(part)
        assert second.counts.rows_from_cache == second.counts.rows_scored > 0
        assert first.counts.rows_from_cache == 0


def test_what_a_worker_did_is_in_the_cache_without_an_end(bundle, lake, tmp_path):
    """A cluster kills its workers once the parts are done."""
    code = (
        "import os, signal, sys; from scorer.cluster import PartScorer, find_parts\n"
        "scorer = PartScorer(sys.argv[2], model=sys.argv[3], provider='cpu', cache=sys.argv[4])\n"
        "assert all(scorer(part).published for part in find_parts([sys.argv[1]]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    for out, rows in (("one", 0), ("two", 90)):
        arguments = [lake, tmp_path / out, bundle.path, tmp_path / "scores.sqlite"]
        done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        notes = [json.loads(path.read_text()) for path in (tmp_path / out / "_parts").rglob("*.json")]
        assert sum(note["summary"]["rows_from_cache"] for note in notes) == rows


def test_a_part_says_what_its_cache_could_not_do(part_scorer, lake, tmp_path):
    scorer = part_scorer(cache=str(tmp_path / "none.sqlite"), cache_read_only=True)
    first, second = (scorer(part) for part in find_parts([str(lake)])[:2])
    assert first.published
    assert [problem.partition(" (")[0] for problem in first.problems] == [
        f"The cache {tmp_path}/none.sqlite cannot be used"
    ]
    assert list(second.problems) == []
