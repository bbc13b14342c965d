"""The command score-ray with one worker in this process instead of a cluster; cluster/test_cluster.py has a real one."""

import builtins
import json
import signal

import pytest
from factories import in_process, reviews, with_second_histogram

from scorer.base.errors import ScorerError
from scorer.base.extras import install_advice
from scorer.base.signals import Interrupted
from scorer.cli.score_ray import command
from scorer.cluster import part_scorer
from scorer.cluster import score_parts as distributed
from scorer.cluster.part_scorer import PartScorer
from scorer.storage.lock import hold, release

TEXTS = reviews(60, 2, 8).texts


@pytest.fixture
def lake(tmp_path):
    """Two parts, the second of which has a reject."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS[:40]))
    (folder / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ["", *TEXTS[40:]]))
    return folder


@pytest.fixture
def without_a_cluster(monkeypatch):
    """Names of the parts in the order in which they are scored."""
    scored = []

    def score_parts(parts, arguments, bundle, cluster, begin):
        begin()
        scorer = PartScorer(arguments.output, arguments, bundle)
        for part in parts:
            scored.append(part.name)
            yield scorer(part)

    monkeypatch.setattr(distributed, "score_parts", score_parts)
    return scored


@pytest.fixture
def score_ray(bundle, capfd, monkeypatch):
    monkeypatch.setenv("SCORE_MODEL", str(bundle.path))
    monkeypatch.setenv("SCORE_PROVIDER", "cpu")
    return in_process(command, "score-ray", "finished parts are kept.", capfd)


def test_success_is_the_last_file_and_says_what_there_is(score_ray, without_a_cluster, lake, tmp_path, bundle):
    found = score_ray(lake, "-o", f"{tmp_path}/out/", "--output-format", "jsonl")
    assert found.code == 3
    assert found.out == ""
    assert found.err.startswith(f"60 of 61 rows in 2 parts scored, written to {tmp_path}/out: ")
    assert f"1 rejected (1 empty_text): see {tmp_path}/out/_rejects." in found.err
    success = json.loads((tmp_path / "out" / "_SUCCESS").read_text())
    assert (success["parts"], success["rows_in"], success["rows_scored"]) == (2, 61, 60)
    assert success["rows_rejected_by_reason"] == {"empty_text": 1}
    assert success["bundle"]["id"] == bundle.id
    assert [success[key] for key in ("cascade", "rows_decided_early", "tokens_decided_early")] == [None, 0, 0]
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["_SUCCESS", "_parts/a.json", "_parts/b.json", "_rejects/b.jsonl", "a.jsonl", "b.jsonl"]
    assert without_a_cluster == ["a", "b"]  # the larger one first
    again = score_ray(lake, "-o", tmp_path / "out", "--output-format", "jsonl")
    assert "in 2 parts (2 of them earlier) scored, written to" in again.err
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text()) == success


def test_success_says_how_much_was_decided_early_and_drift_is_that_of_the_cascade_in_effect(
    score_ray, without_a_cluster, tmp_path, staged_bundle
):
    bundle = with_second_histogram(staged_bundle, tmp_path / "bundle")
    texts = reviews(120, 2, 2).texts  # the test data
    (tmp_path / "lake").mkdir()
    for name, part in (("a", texts[:70]), ("b", texts[70:])):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in part)
        (tmp_path / "lake" / f"{name}.jsonl").write_text(lines)
    out = tmp_path / "out"

    def run(*more):
        options = ("--model", bundle.path, "--output-format", "jsonl", "--details", "--max-drift", "0.1", *more)
        found = score_ray(tmp_path / "lake", "-o", out, *options)
        rows = [json.loads(line) for name in "ab" for line in (out / f"{name}.jsonl").read_text().splitlines()]
        return (
            found,
            [row["tokens"] for row in rows if row["stage"] == "wide"],
            json.loads((out / "_SUCCESS").read_text()),
        )

    found, early, success = run()
    assert (found.code, "Drift" in found.err, len(early) > 10) == (0, False, True)
    assert [success[key] for key in ("windows", "rows_in_windows")] == [None, None]
    said = [success[key] for key in ("cascade", "rows_decided_early", "tokens_decided_early")]
    assert said == [True, len(early), sum(early)]
    share = sum(early) / success["tokens"]
    assert f"\nThe wide part alone decided {len(early)} rows, with {share:.1%} of the tokens.\n" in found.err
    found, early, success = run("--no-cascade")
    assert "in 2 parts scored, written to" in found.err  # none is reused, since the options differ
    assert (found.code, "test data exceeds --max-drift 0.1: " in found.err, early) == (3, True, [])
    assert [success[key] for key in ("cascade", "rows_decided_early", "tokens_decided_early")] == [False, 0, 0]
    assert "wide part" not in found.err


def test_success_says_how_much_was_read_in_windows(score_ray, without_a_cluster, lake, tmp_path, windows_bundle):
    (lake / "c.jsonl").write_text(json.dumps({"text": "good film " * 30}) + "\n" + json.dumps({"text": "good"}) + "\n")
    found = score_ray(
        lake, "-o", tmp_path / "out", "--model", windows_bundle.path, "--details", "--output-format", "jsonl"
    )
    rows = [json.loads(line) for path in (tmp_path / "out").glob("*.jsonl") for line in path.read_text().splitlines()]
    windows = [row["windows"] for row in rows]
    assert {"c"} < {*without_a_cluster}
    success = json.loads((tmp_path / "out" / "_SUCCESS").read_text())
    several = [one for one in windows if one > 1]
    assert [success[key] for key in ("windows", "rows_in_windows")] == [sum(windows), len(several)] == [sum(windows), 1]
    assert f"\n1 text was read in several windows; there were {sum(windows)} in all.\n" in found.err


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (["--strict"], "1 of the first 61 records were rejected (1 empty_text): none is allowed"),
        (["--max-reject-ratio", "0.01"], "more than --max-reject-ratio 0.01 allows"),
    ],
)
def test_limits_are_those_of_all_parts_and_without_them_nothing_is_complete(
    score_ray, without_a_cluster, lake, tmp_path, limit, message
):
    out = tmp_path / "out"
    assert score_ray(lake, "-o", out).code == 3
    found = score_ray(lake, "-o", out, *limit)
    assert found.code == 4
    assert message in found.err
    assert not (out / "_SUCCESS").exists()
    assert (out / "b.parquet").exists()
    assert score_ray(lake, "-o", out, "--max-rejects", 1).code == 3
    assert (out / "_SUCCESS").exists()


def test_a_part_that_fails_is_named_and_the_others_are_done(score_ray, without_a_cluster, lake, tmp_path):
    (lake / "c.jsonl.gz").write_bytes(b"no archive")
    found = score_ray(lake, "-o", tmp_path / "out")
    assert found.code == 4
    assert "Error: 1 of 3 parts failed.\n" in found.err
    assert f"\n{lake}/c.jsonl.gz is not a gzip file." in found.err
    assert "The others are done and kept, without _SUCCESS. The same command scores the missing ones." in found.err
    (lake / "c.jsonl.gz").unlink()
    without_a_cluster.clear()
    again = score_ray(lake, "-o", tmp_path / "out")
    assert again.code == 3
    assert "(2 of them earlier)" in again.err


def test_an_interrupted_run_says_what_is_done(score_ray, without_a_cluster, lake, tmp_path, monkeypatch):
    score_parts = distributed.score_parts

    def interrupted(*arguments):
        yield next(score_parts(*arguments))
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(distributed, "score_parts", interrupted)
    found = score_ray(lake, "-o", tmp_path / "out")
    assert found.code == 143
    assert "Terminated: 1 of 2 parts are done and kept. The same command scores the others." in found.err
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_a_worker_that_cannot_compute_stops_the_run(score_ray, monkeypatch, lake, tmp_path, without_a_cluster):
    call = PartScorer.__call__

    def refused(scorer, part):
        result = call(scorer, part)
        return type(result)(**{**vars(result), "exit_code": 5, "error": "no driver."})

    monkeypatch.setattr(PartScorer, "__call__", refused)
    found = score_ray(lake, "-o", tmp_path / "out")
    assert found.code == 5
    assert "Error: a worker cannot score: no driver.\n" in found.err
    assert len(without_a_cluster) == 1


def test_what_cannot_work_is_said_before_there_is_a_cluster(score_ray, lake, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "score_parts", None)
    out = tmp_path / "out"
    for arguments, code, message in (
        ([lake], 2, "Missing option '-o' / '--output'"),
        (["-o", out], 2, "name an input, for instance: score-ray lake/day=2026-11-23 -o scores --workers 2"),
        ([tmp_path / "none", "-o", out], 2, "the input"),
        ([lake, "-o", lake / "out"], 2, "overlap; write to another folder"),
        ([lake, "-o", out, "--output-format", "txt"], 2, "--output-format 'txt' is not a format"),
        ([lake, "-o", out, "--model", "none"], 5, "there is no bundle at none"),
        ([lake, "-o", out, "--max-drift", "0.1"], 2, "has no histograms of its test data"),
        ([lake, "-o", out, "--workers", "0"], 2, "--workers"),
        ([lake, "-o", ""], 2, "--output must name a folder other than the root"),
        ([lake, "-o", "/"], 2, "--output must name a folder other than the root"),
        ([lake, "-o", "http://localhost/out"], 2, "nothing can be written to http://"),
        ([lake, lake / "a.jsonl", f"{lake.parent}/l*", "-o", out], 2, "a.jsonl is named twice, by"),
        (["-", "-o", out], 2, "- is a stream; a part must be a file"),
        ([f"s3://key:hush@bucket/{lake.name}", "-o", out], 2, "carries a credential"),
    ):
        if "--max-drift" in arguments:
            monkeypatch.setattr(distributed, "load_bundle", _without_reference(distributed.load_bundle))
        found = score_ray(*arguments)
        assert found.code == code, found.err
        assert message in found.err
        assert not out.exists()


def _without_reference(load_bundle):
    def load(path):
        from dataclasses import replace

        bundle = load_bundle(path)
        return replace(bundle, manifest=replace(bundle.manifest, reference=None))

    return load


def test_a_run_that_cannot_begin_leaves_a_complete_folder_complete(
    score_ray, without_a_cluster, lake, tmp_path, monkeypatch
):
    assert score_ray(lake, "-o", tmp_path / "out").code == 3

    def no_cluster(*arguments):
        raise ScorerError("no Ray cluster at 127.0.0.1:9.")
        yield

    monkeypatch.setattr(distributed, "score_parts", no_cluster)
    found = score_ray(lake, "-o", tmp_path / "out")
    assert (found.code, found.err) == (1, "Error: no Ray cluster at 127.0.0.1:9.\n")
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_what_is_left_of_a_part_that_is_no_more_goes_away(score_ray, without_a_cluster, lake, tmp_path):
    out = tmp_path / "out"
    assert score_ray(lake, "-o", out).code == 3
    (lake / "b.jsonl").unlink()
    found = score_ray(lake, "-o", out)
    assert found.code == 2
    assert "contains files that are not among the 1 parts of this run" in found.err
    assert "b.parquet. Remove them, or write to another folder." in found.err
    (out / "b.parquet").unlink()
    assert score_ray(lake, "-o", out).code == 0
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["_SUCCESS", "a.json", "a.parquet"]


def test_two_runs_do_not_write_one_folder(score_ray, without_a_cluster, lake, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    held = hold(out / ".score-ray.lock", str(out))
    found = score_ray(lake, "-o", out)
    release(held)
    assert found.code == 1
    assert f"another run is writing {out}; wait until it ends" in found.err
    assert score_ray(lake, "-o", out).code == 3
    assert not (out / ".score-ray.lock").exists()


def test_score_toml_sets_what_both_commands_have(score_ray, without_a_cluster, lake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.toml").write_text('details = true\nsummary = "run.json"\noutput = "x.csv"\nthreads = 1\n')
    found = score_ray("lake", "-o", "out", "--output-format", "csv")
    assert found.code == 3, found.err
    assert "Options from score.toml: " in found.err
    assert "summary" not in found.err
    assert (tmp_path / "out" / "a.csv").read_text().startswith("row,source,label,score,tokens,truncated")
    assert "lake/a.jsonl" in (tmp_path / "out" / "a.csv").read_text()
    (tmp_path / "score.toml").write_text("workers = 2\n")
    assert "'workers' is for the command line only" in score_ray("lake", "-o", "out").err
    (tmp_path / "score.toml").write_text("detials = true\n")
    assert "there is no option 'detials'; did you mean 'details'?" in score_ray("lake", "-o", "out").err


def test_a_cache_is_used_by_all_parts_and_success_counts_its_rows(
    score_ray, without_a_cluster, lake, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert score_ray(lake, "-o", "alone", "--output-format", "csv").code == 3
    assert json.loads((tmp_path / "alone" / "_SUCCESS").read_text())["rows_from_cache"] == 0
    for out, rows in (("first", 0), ("second", 60)):
        found = score_ray(lake, "-o", out, "--output-format", "csv", "--cache", "scores.sqlite")
        assert found.code == 3
        success = json.loads((tmp_path / out / "_SUCCESS").read_text())
        assert success["rows_from_cache"] == rows
        for name in ("a.csv", "b.csv", "_rejects/b.jsonl"):
            assert (tmp_path / out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert f"\n60 rows (100%) came from the cache {tmp_path}/scores.sqlite.\n" in found.err
    found = score_ray(lake, "-o", "second", "--output-format", "csv")
    assert "2 parts (2 of them earlier) scored" in found.err
    assert "cache" not in found.err


def test_a_problem_of_a_workers_cache_is_printed_once(score_ray, without_a_cluster, lake, tmp_path, monkeypatch):
    monkeypatch.setattr(part_scorer, "warn", lambda message: None)  # what a worker prints, nobody sees
    for quiet in ([], ["--quiet"]):
        found = score_ray(
            lake, "-o", tmp_path / "out", "--cache", tmp_path / "c", "--cache-read-only", "--strict", *quiet
        )
        assert (found.code, found.err.count(f"Warning: The cache {tmp_path}/c cannot be used (")) == (4, 1)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cache-max-rows", "5"], "--cache-max-rows needs --cache, which names the file."),
        (["--cache", "s3://bucket/c"], "--cache s3://bucket/c is an address; name a file on a local disk."),
        (["--cache", "s3://key:hush@bucket/c"], "carries a credential"),
        (["--cache", "text"], "text exists and is no cache of this program; name another file."),
        (["--cache", "lake/c"], "lake/c is in the input folder "),
        (["--cache", "out/c"], "out/c is in the output folder out, so its readers would read it; put it elsewhere."),
    ],
)
def test_what_cannot_be_a_cache_is_said_before_there_is_a_cluster(
    score_ray, lake, tmp_path, monkeypatch, options, message
):
    monkeypatch.setattr(distributed, "score_parts", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("Dear diary, " * 20)
    found = score_ray("lake", "-o", "out", *options)
    assert found.code == 2
    assert message in found.err
    assert "hush" not in found.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "text"]


def test_a_folder_that_only_the_workers_have_is_left_to_them(score_ray, without_a_cluster, lake, tmp_path):
    cache = tmp_path / "scratch" / "scores.sqlite"
    worker = PartScorer.__init__

    def on_its_node(*arguments, **options):
        cache.parent.mkdir()
        worker(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PartScorer, "__init__", on_its_node)
        assert score_ray(lake, "-o", tmp_path / "out", "--cache", cache).code == 3
    assert cache.exists()


def test_without_ray_it_is_said_how_to_get_it(score_ray, lake, tmp_path, monkeypatch):
    imported = builtins.__import__

    def missing(name, *more):
        if name.partition(".")[0] == "ray":
            raise ImportError("No module named 'ray'", name="ray")
        return imported(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    found = score_ray(lake, "-o", tmp_path / "out")
    assert found.code == 2
    assert f"Error: Ray Data is not installed (ray): {install_advice('ray')}" in found.err


def test_it_has_the_options_of_score_with_their_help():
    from scorer.cli.score import command as score

    of_score = {parameter.name: parameter for parameter in score.params}
    shared = [
        parameter
        for parameter in command.params
        if parameter.name in of_score and parameter.to_info_dict() == of_score[parameter.name].to_info_dict()
    ]
    assert {"text", "keep", "model", "provider", "max_drift"} <= {parameter.name for parameter in shared}
    # These belong to a single run: its files, its part of the rows, its GPU, its forecast.
    assert set(of_score) - {parameter.name for parameter in command.params} == {
        "rejects", "uncertain_rows", "explain", "source", "limit", "shard", "restart", "device_id", "check", "show_config",
        "summary", "metrics", "report", "plan", "max_seconds", "price_per_hour", "forecast",
    }  # fmt: skip
