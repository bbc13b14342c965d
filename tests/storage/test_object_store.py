"""Inputs and outputs in stores: addresses, fsspec's memory store, a web server; faults/test_stores.py has a real S3."""

import builtins
import functools
import http.server
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pyarrow.parquet
import pytest
from factories import Result
from fsspec.implementations.memory import MemoryFile

from scorer.base.errors import UsageError
from scorer.base.extras import install_advice
from scorer.storage.address import refuse_credentials

ROWS = [
    {"id": f"r{number}", "text": f"the film was {word}"} for number, word in enumerate(["good", "bad", "fine"] * 12)
]
BROKEN = [*ROWS[:20], {"id": "r20", "text": ""}, *ROWS[20:]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's memory store, empty; work in progress is kept in a folder of the test."""
    monkeypatch.setenv("SCORE_WORK_DIR", str(tmp_path / "work"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield memory
    memory.store.clear()


def left(tmp_path: Path) -> list[str]:
    """List the work in progress that is left."""
    work = tmp_path / "work"
    return sorted(path.name.split("-", 1)[1] for path in work.iterdir()) if work.exists() else []


def jsonl(rows: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.jsonl.zst", "out.parquet"])
def test_objects_are_scored_to_the_bytes_of_files(score, store, tmp_path, monkeypatch, name, output):
    monkeypatch.chdir(tmp_path)
    if name == "in.parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(BROKEN), name)
    elif name == "in.csv":
        Path(name).write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in BROKEN))
    else:
        Path(name).write_bytes(jsonl(BROKEN))
    store.pipe_file(f"/lake/{name}", Path(name).read_bytes())
    assert score(name, "-o", output).code == 3
    found = score(f"memory://lake/{name}", "-o", f"memory://lake/out/{output}")
    assert found.code == 3, found.err
    assert store.cat(f"/lake/out/{output}") == Path(output).read_bytes()
    rejects = store.cat(f"/lake/out/{output}.rejects.jsonl").replace(f"memory://lake/{name}".encode(), name.encode())
    assert rejects == Path(f"{output}.rejects.jsonl").read_bytes()
    assert left(tmp_path) == []


def test_a_folder_and_a_glob_stand_for_their_objects_in_order(score, store):
    for name in ("b.jsonl", "a.jsonl", "day=1/c.jsonl", "_day=2/d.jsonl", "_SUCCESS", ".part.crc", "_log/d.jsonl"):
        store.pipe_file(f"/lake/{name}", jsonl(ROWS[:2]))
    whole = score("memory://lake", "--source")
    rows = [line.split(",")[1] for line in whole.out.splitlines()[1:]]
    assert rows[::2] == [f"memory://lake/{name}" for name in ("_day=2/d.jsonl", "a.jsonl", "b.jsonl", "day=1/c.jsonl")]
    assert "3 names in input folders were ignored" in whole.err
    assert "memory://lake/.part.crc, memory://lake/_SUCCESS, memory://lake/_log/." in whole.err
    rows = [line.split(",")[1] for line in score("memory://lake/?.jsonl", "--source").out.splitlines()[1:]]
    assert rows[::2] == ["memory://lake/a.jsonl", "memory://lake/b.jsonl"]


def test_a_missing_object_is_reported(score, store):
    found = score("memory://lake/in.jsonl")
    assert found.code == 2
    assert (
        "Error: the input memory://lake/in.jsonl does not exist, or is a folder without files; check the address"
        in found.err
    )


def test_an_interrupted_run_resumes_and_until_then_nothing_is_visible(
    score, store, interrupted, tmp_path, small_chunks
):
    store.pipe_file("/lake/in.jsonl", jsonl(BROKEN))
    command = ("memory://lake/in.jsonl", "-o", "memory://lake/out.csv")
    assert score(*command[:2], tmp_path / "whole.csv").code == 3
    stopped = interrupted(2, *command)
    assert stopped.code == 143
    assert "16 rows are done and kept. The same command resumes at row 17." in stopped.err
    assert store.find("/lake") == ["/lake/in.jsonl"]
    again = score(*command)
    assert "Resuming at row 17" in again.err
    assert store.cat("/lake/out.csv") == (tmp_path / "whole.csv").read_bytes()
    assert left(tmp_path) == []


def test_a_failed_upload_leaves_the_old_object_and_is_repeated_without_scoring(score, store, tmp_path, monkeypatch):
    store.pipe_file("/lake/in.jsonl", jsonl(BROKEN))
    store.pipe_file("/lake/out.csv", b"last night's\n")
    command = ("memory://lake/in.jsonl", "-o", "memory://lake/out.csv")
    with monkeypatch.context() as broken:

        def write(file: MemoryFile, data: bytes) -> int:
            if file.path == "/lake/out.csv" and data != b"\n":  # but not the trial before the work
                raise OSError("the network went away")
            return builtins.super(MemoryFile, file).write(data)

        broken.setattr(MemoryFile, "write", write, raising=False)
        failed = score(*command)
    assert failed.code == 1
    assert "Error: memory://lake/out.csv cannot be written: the network went away." in failed.err
    assert "37 rows are done and kept. The same command resumes at row 38." in failed.err
    assert store.cat("/lake/out.csv") == b"last night's\n"
    again = score(*command)
    assert again.code == 3
    assert "Resuming at row 38" in again.err
    assert store.cat("/lake/out.csv").count(b"\n") == 37
    assert store.cat("/lake/out.csv.rejects.jsonl").count(b"\n") == 1
    assert left(tmp_path) == []


def test_rejects_of_an_earlier_run_are_deleted(score, store):
    store.pipe_file("/lake/in.jsonl", jsonl(ROWS))
    store.pipe_file("/lake/out.csv.rejects.jsonl", b"{}\n")
    assert score("memory://lake/in.jsonl", "-o", "memory://lake/out.csv").code == 0
    assert store.find("/lake") == ["/lake/in.jsonl", "/lake/out.csv"]


def test_after_too_many_rejects_only_the_rejects_are_uploaded(score, store):
    store.pipe_file("/lake/in.jsonl", jsonl(BROKEN))
    assert score("memory://lake/in.jsonl", "-o", "memory://lake/out.csv", "--strict").code == 4
    assert store.find("/lake") == ["/lake/in.jsonl", "/lake/out.csv.rejects.jsonl"]


def test_an_object_that_changes_meanwhile_is_an_error(score, store, monkeypatch):
    store.pipe_file("/lake/in.jsonl", jsonl(ROWS))
    import scorer.run.score

    score_rows = scorer.run.score.score_rows

    def changing(*arguments: object, **options: object) -> object:
        store.pipe_file("/lake/in.jsonl", jsonl(ROWS))  # the same bytes, as another object
        return score_rows(*arguments, **options)

    monkeypatch.setattr(scorer.run.score, "score_rows", changing)
    found = score("memory://lake/in.jsonl", "-o", "memory://lake/out.csv")
    assert found.code == 4
    assert "memory://lake/in.jsonl changed while it was read" in found.err
    assert store.find("/lake") == ["/lake/in.jsonl"]


def test_the_record_can_go_to_a_store(score, store, tmp_path):
    store.pipe_file("/lake/in.jsonl", jsonl(ROWS))
    command = ("memory://lake/in.jsonl", "-o", "memory://lake/out.csv")
    assert score(*command, "--summary", "memory://lake/run.json", "--report", "memory://lake/run.html").code == 0
    record = json.loads(store.cat("/lake/run.json"))
    assert record["output"]["path"] == "memory://lake/out.csv"
    assert record["output"]["bytes"] == store.size("/lake/out.csv")
    assert record["inputs"][0]["bytes"] == store.size("/lake/in.jsonl")
    assert b"memory://lake/in.jsonl" in store.cat("/lake/run.html")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "memory://lake"], "is a folder; give an object in it, for instance memory://lake/out.csv"),
        (["-o", "memory://lake/in.jsonl"], "is an input too; write to another"),
        (["-o", "memory://lake/out/"], "is not an object; give one, for instance memory://lake/out/out.csv"),
        (["-o", "http://localhost/out.csv"], "nothing can be written to http://"),
        (["-o", "ftp://localhost/out.csv"], "ftp:// is not supported (supported: s3, gs, http, https)"),
        (["-o", "memory://lake/x.csv", "--rejects", "memory://lake/x.csv"], "--rejects and --output are the same file"),
        (
            ["-o", "memory://lake/x.csv", "--work-dir", "s3://b/w"],
            "--work-dir must be a folder on this machine, not 's3://b/w'",
        ),
        (["-o", "memory://lake/x.csv", "--work-dir", ""], "--work-dir must be a folder on this machine, not ''"),
        (["-o", "S3://bucket/x.csv"], "S3:// is not supported (supported: s3, gs, http, https); write s3://."),
        (["-o", "s3a://bucket/x.csv"], "s3a:// is not supported (supported: s3, gs, http, https); write s3://."),
        (["-o", "s3://"], "s3:// is not a complete address"),
        (["-o", "memory://lake/x.csv", "--work-dir", "/dev/null/x"], "the work folder /dev/null/x cannot be created"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_at_once(score, store, arguments, message):
    store.pipe_file("/lake/in.jsonl", jsonl(ROWS))
    found = score("memory://lake/in.jsonl", "--output-format", "csv", *arguments)
    assert found.code in (1, 2)
    assert message in found.err
    assert store.find("/lake") == ["/lake/in.jsonl"]


def test_an_output_in_an_input_folder_is_refused(score, store):
    store.pipe_file("/lake/in.jsonl", jsonl(ROWS))
    found = score("memory://lake/", "-o", "memory://lake/out.csv")
    assert found.code == 2
    assert "is in the input folder memory://lake/, so the next run would read it" in found.err


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("s3://AKIAEXAMPLE:hush@bucket/in.csv", "hush"),
        ("https://user:hush@host/in.csv", "hush"),
        ("https://host/in.csv?X-Amz-Expires=60&X-Amz-Signature=hush", "hush"),
        ("https://host/in.csv?sv=1&sig=hush", "hush"),
        ("https://host/in.csv?access_token=hush", "hush"),
        ("https://host/in.csv?user=me&pw=hush", "hush"),
        ("https://host/in.csv?AWSAccessKeyId=hush", "hush"),
    ],
)
def test_an_address_with_a_credential_is_refused_and_never_written_down(score, tmp_path, address, secret):
    for arguments in ([address, "-o", tmp_path / "out.csv"], [tmp_path / "in.csv", "-o", address]):
        found = score(*arguments, "--summary", tmp_path / "run.json", "--debug")
        assert found.code == 2
        assert "carries a credential" in found.err
        assert secret not in found.err
        assert list(tmp_path.iterdir()) == []


def test_an_address_without_a_credential_is_accepted():
    refuse_credentials(["https://host/in.csv?keyword=good&part=2", "s3://bucket/a@b/in.csv", "in@home.csv", "-", None])
    with pytest.raises(UsageError, match="before the @"):
        refuse_credentials(["https://user@host/in.csv"])


def test_a_missing_package_is_named_with_how_to_install_it(score, monkeypatch):
    imported = builtins.__import__

    def missing(name: str, *more: object) -> object:
        if name == "fsspec":
            raise ImportError("No module named 'fsspec'", name="fsspec")
        return imported(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    found = score("s3://bucket/in.jsonl")
    assert found.code == 2
    assert f"s3:// needs a package that is missing (fsspec): {install_advice('remote')}" in found.err


@pytest.mark.parametrize(("address", "package"), [("s3://bucket/in.jsonl", "s3fs"), ("gs://bucket/in.jsonl", "gcsfs")])
def test_a_store_whose_own_package_is_missing_names_it(score, monkeypatch, address, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
    found = score(address)
    assert found.code == 2
    scheme = address.partition("/")[0]
    assert f"{scheme}// needs a package that is missing ({package}): {install_advice('remote')}" in found.err


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Address of a file on a web server, as a function of its name; the server serves the test's folder."""
    handler = functools.partial(_Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lambda name: f"http://127.0.0.1:{server.server_port}/{name}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet"])
def test_web_addresses_are_read(score, web, tmp_path, name):
    if name == "in.parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(BROKEN), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(jsonl(BROKEN))
    local: Result = score(tmp_path / name)
    found: Result = score(web(f"{name}?part=2"))
    assert found.code == 3, found.err
    assert found.out == local.out


def test_a_web_address_that_is_missing_or_does_not_answer_is_reported(score, web):
    found = score(web("nothing.jsonl"))
    assert found.code == 2
    assert "nothing.jsonl does not exist, or is a folder without files; check the address" in found.err
    found = score("http://127.0.0.1:9/in.jsonl")
    assert found.code == 1
    assert "http://127.0.0.1:9/in.jsonl cannot be read: " in found.err
