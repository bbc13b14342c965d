"""A real S3-compatible server: runs killed while they score or upload leave nothing, the old object or a complete one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import s3fs
from harness import ENVIRONMENT, FORMATS, FULL, HERE, MARKS, ROOT, counted, published, write_input
from seaweedfs import BUCKET, READER_SECRET, SECRET, Server, seaweedfs

pytestmark = MARKS

DATA = Path(os.environ.get("REVIEW_SCORER_DATA", ROOT.parent / "shared")) / "imdb" / "test.parquet"
ROWS = 120
# A program that is killed in the middle of an upload, before it sends the third part.
KILLED_WHILE_UPLOADING = f"""
import os, signal, sys
from types import SimpleNamespace
sys.path.insert(0, {str(HERE)!r})
import scorer.run.score, scorer.storage.upload
from runner import Injected
from scorer.cli.score import main

handed_over = []
def pread(*arguments):
    handed_over.append(arguments)
    if len(handed_over) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.pread(*arguments)

scorer.run.score.LoadedModel = Injected
scorer.storage.upload._PART = 5 << 20
scorer.storage.upload.os = SimpleNamespace(fstat=os.fstat, pread=pread)
main()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> s3fs.S3FileSystem:
    """The bucket, empty at first, as a user with all rights sees it."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    store = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    for name in store.find(BUCKET):
        store.rm_file(name)
    return store


class Score:
    """Command `score` in a process of its own, with the server's credentials in the environment."""

    def __init__(self, server: Server, work: Path) -> None:
        self.work = work
        self.environment = {**ENVIRONMENT, **server.environment, "SCORE_WORK_DIR": str(work)}

    def __call__(
        self, *arguments: object, program: Any = (HERE / "runner.py", "--once")
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *map(str, program), *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )

    def killed(self, windows: int, *arguments: object, program: Any = (HERE / "runner.py", "--once")) -> int:
        """Kill a run after its ``windows``-th durable window; return its exit code."""
        process = subprocess.Popen(
            [sys.executable, *map(str, program), *map(str, arguments)],
            env=self.environment | {"ROW_SECONDS": "0.005"},
            stderr=subprocess.PIPE,
        )
        while process.poll() is None and self.windows() < windows:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        return process.returncode

    def windows(self) -> int:
        journals = list(self.work.glob(".*.score-journal"))
        return max(0, journals[0].read_bytes().count(b"\n") - 1) if journals else 0

    def left(self) -> list[str]:
        return sorted(path.name for path in self.work.iterdir()) if self.work.exists() else []


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Score:
    return Score(server, tmp_path / "work")


def objects(bucket: s3fs.S3FileSystem) -> dict[str, bytes]:
    return {name.removeprefix(f"{BUCKET}/"): bucket.cat_file(name) for name in bucket.find(BUCKET)}


@pytest.mark.parametrize(("name", "output"), FORMATS)
def test_a_killed_run_is_resumed_and_until_then_nothing_is_visible(run, bucket, tmp_path, name, output):
    source = write_input(tmp_path / name, ROWS)
    bucket.put_file(source, f"{BUCKET}/{name}")
    assert run(source, "-o", tmp_path / output).returncode == 3
    expected, rejects = published(tmp_path / output)
    command = (f"s3://{BUCKET}/{name}", "-o", f"s3://{BUCKET}/{output}")
    assert run.killed(2, *command) == -signal.SIGKILL
    assert list(objects(bucket)) == [name]
    again = run(*command)
    assert again.returncode == 3, again.stderr
    assert "Resuming at row " in again.stderr
    found = objects(bucket)
    assert found[output] == expected
    assert found[f"{output}.rejects.jsonl"].replace(command[0].encode(), str(source).encode()) == rejects
    assert run.left() == []


def test_a_run_killed_while_it_uploads_leaves_the_old_object_and_then_only_uploads(run, bucket, tmp_path):
    rows = 1_500  # of 9 kB each: some 13 MB, three parts
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"text": f"{row} " + "x" * 9_000}) + "\n" for row in range(rows)))
    assert run(source, "-o", tmp_path / "whole.jsonl", "--keep", "*").returncode == 0
    bucket.pipe_file(f"{BUCKET}/out.jsonl", b"last night's\n")
    command = (source, "-o", f"s3://{BUCKET}/out.jsonl", "--keep", "*")
    killed = run(*command, program=("-c", KILLED_WHILE_UPLOADING))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    begun = bucket.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads", [])
    assert [upload["Key"] for upload in begun] == ["out.jsonl"]  # it was killed in the middle of the upload
    assert objects(bucket) == {"out.jsonl": b"last night's\n"}
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert f"Resuming at row {rows + 1:,}" in again.stderr
    assert objects(bucket)["out.jsonl"] == (tmp_path / "whole.jsonl").read_bytes()
    assert run.left() == []


def test_an_output_that_a_store_refuses_is_reported_before_anything_is_scored(run, server, bucket, tmp_path):
    source = write_input(tmp_path / "in.jsonl", ROWS)
    run.environment |= server.reader
    denied = run(source, "-o", f"s3://{BUCKET}/out.csv", "--summary", tmp_path / "run.json")
    assert denied.returncode == 1
    assert (
        f"Error: s3://{BUCKET}/out.csv cannot be written: Access Denied. Credentials come from AWS_PROFILE"
        in denied.stderr
    )
    assert json.loads((tmp_path / "run.json").read_text())["rows_in"] == 0
    missing = run(source, "-o", "s3://no-such-bucket/out.csv")
    assert missing.returncode == 1
    assert "s3://no-such-bucket/out.csv cannot be written: " in missing.stderr
    assert objects(bucket) == {}


def test_no_secret_is_written_down(run, bucket, tmp_path):
    source = write_input(tmp_path / "in.jsonl", ROWS)
    bucket.put_file(source, f"{BUCKET}/in.jsonl")
    record = ("--summary", tmp_path / "run.json", "--report", tmp_path / "run.html", "--log-format", "json", "--debug")
    command = (f"s3://{BUCKET}/in.jsonl", "-o", f"s3://{BUCKET}/out.csv", *record)
    said = []
    assert run.killed(2, *command) == -signal.SIGKILL
    kept = b"".join((run.work / name).read_bytes() for name in run.left())
    assert b"fingerprint" in kept
    said.append(run(*command).stderr)
    run.environment["AWS_ACCESS_KEY_ID"] = "AKIANOBODY"
    denied = run(*command)
    assert denied.returncode == 1
    said.append(denied.stderr)
    said += [path.read_text() for path in (tmp_path / "run.json", tmp_path / "run.html")]
    for secret in (SECRET, READER_SECRET):
        assert secret.encode() not in kept
        assert not any(secret in text for text in said)


@pytest.mark.real
def test_reviews_killed_and_resumed_are_those_of_an_undisturbed_run(run, bucket, tmp_path, tally):
    """Score with the default model, 25,000 reviews if FAULTS=full, which takes minutes."""
    if not DATA.exists():
        pytest.skip(f"no reviews at {DATA}; set REVIEW_SCORER_DATA")
    rows = counted(25_000, 600)
    source = tmp_path / "reviews.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(DATA).slice(12_500 - rows // 2, rows), source)
    bucket.put_file(source, f"{BUCKET}/reviews.parquet")
    program = ("-m", "scorer")
    keep = ("--keep", "rating", "--source")
    command = (f"s3://{BUCKET}/reviews.parquet", "-o", f"s3://{BUCKET}/out.csv", *keep)
    for kill in (16, 48, 80) if FULL else (1, 2):  # windows of 256 rows
        assert run.killed(kill, *command, program=program) == -signal.SIGKILL
        assert list(objects(bucket)) == ["reviews.parquet"]
    again = run(*command, program=program)
    assert again.returncode == 0, again.stderr
    first = int(again.stderr.partition("Resuming at row ")[2].partition(":")[0].replace(",", ""))
    whole = run(source, "-o", tmp_path / "whole.csv", *keep, program=program)
    assert whole.returncode == 0, whole.stderr
    expected = (tmp_path / "whole.csv").read_bytes().replace(str(source).encode(), command[0].encode())
    assert expected.count(b"\n") == rows + 1
    print(f"resumed at row {first:,} of {rows:,}")
    tally(f"{rows:,} reviews, S3 to S3, killed on the way: same bytes", 1, objects(bucket)["out.csv"] == expected)
    assert run.left() == []
