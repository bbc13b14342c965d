"""Input files by name: paths, globs and folders."""

import array
import fcntl
import gzip
import io
import json
import os
import subprocess
import sys
import termios
import time

import pyarrow
import pyarrow.parquet
import pytest
from factories import ROOT

from scorer.base.errors import UsageError
from scorer.storage.inputs import expand


def test_a_literal_path_wins_over_a_glob_and_globs_are_sorted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "x[1].csv", "x1.csv"):
        (tmp_path / name).touch()
    assert expand(["x1.csv", "[ab].csv"]).files == ["x1.csv", "a.csv", "b.csv"]
    assert expand(["x[1].csv"]).files == ["x[1].csv"]
    for name, message in (
        ("none.csv", "the input none.csv does not exist; check its name and its folder."),
        ("*.jsonl", "the input *.jsonl does not exist (no file matches); check the pattern with ls."),
    ):
        with pytest.raises(UsageError) as caught:
            expand([name])
        assert str(caught.value) == message
    with pytest.raises(UsageError, match="stdin"):
        expand(["-", "a.csv"])


def test_a_folder_stands_for_its_files_sorted_without_hidden_ones(tmp_path):
    names = ["b.csv", "a.csv", "day=2/part-0.csv", "day=1/part-1.csv", "day=1/part-0.csv", "_day=3/_hour=1/part-0.csv"]
    hidden = ["_SUCCESS", ".a.csv.crc", "_temporary/", "day=1/.hidden", "_day=3/_SUCCESS", ".cache=1/"]
    for name in (*names, *hidden, "_temporary/x.csv", ".cache=1/y.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).mkdir(exist_ok=True) if name.endswith("/") else (tmp_path / name).touch()
    found = expand([str(tmp_path)])
    assert found.files == sorted(str(tmp_path / name) for name in names)
    assert found.left_out == sorted(f"{tmp_path}/{name}" for name in hidden)
    days = expand([f"{tmp_path}/day=*"])
    assert days.files == sorted(str(tmp_path / name) for name in names if name.startswith("day"))
    assert days.left_out == [f"{tmp_path}/day=1/.hidden"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "_a.csv").touch()
    with pytest.raises(
        UsageError, match=r"nothing but names that begin with \. or _, such as .*/_a\.csv, which are ignored"
    ):
        expand([str(tmp_path / "hidden")])
    with pytest.raises(UsageError, match="is a folder without files; name one that holds the files to score"):
        expand([str(tmp_path / "empty")])


def test_links_in_a_folder_are_followed_and_do_not_lead_in_circles(tmp_path):
    for name in ("real/deep", "in/sub"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "real" / "deep" / "a.csv").touch()
    (tmp_path / "in" / "b.csv").touch()
    (tmp_path / "in" / "link").symlink_to("../real")
    (tmp_path / "in" / "sub" / "round").symlink_to("../../in")
    assert expand([str(tmp_path / "in")]).files == [
        str(tmp_path / "in" / "b.csv"),
        str(tmp_path / "in" / "link" / "deep" / "a.csv"),
    ]
    (tmp_path / "in" / "nowhere").symlink_to("gone")
    with pytest.raises(UsageError, match=r"nowhere, in the input folder .* is not a regular file; remove it"):
        expand([str(tmp_path / "in")])


def test_a_file_is_scored_once_whatever_its_names(score, tmp_path):
    lake = tmp_path / "lake"
    (lake / "day=2").mkdir(parents=True)
    (lake / "day=2" / "a.csv").write_text("text\ngood\n")
    twice = "so its rows would be scored twice; name it once, or remove the link."
    (lake / "latest.csv").symlink_to("day=2/a.csv")
    given = f"{lake}/day=2/a.csv"
    for inputs, what in (
        ([lake], f"{given} and {lake}/latest.csv are the same file"),
        ([given, given], f"{given} is named twice"),
        ([f"{lake}/day=2/*.csv", given], f"{given} is named twice"),
        ([given, f"{lake}/./day=2/a.csv"], f"{given} and {lake}/./day=2/a.csv are the same file"),
    ):
        result = score(*inputs, "-o", tmp_path / "out.csv")
        assert (result.code, f"{what}, {twice}" in result.err) == (2, True), result.err
    (lake / "latest.csv").unlink()
    (lake / "current").symlink_to("day=2")
    assert "are the same file" in score(lake, "-o", tmp_path / "out.csv").err
    (lake / "current").unlink()
    (lake / "b.csv").hardlink_to(given)
    assert "are the same file" in score(lake, "-o", tmp_path / "out.csv").err
    assert not (tmp_path / "out.csv").exists()
    (lake / "b.csv").unlink()
    (lake / "b.csv").write_bytes((lake / "day=2" / "a.csv").read_bytes())  # equal, but another file
    assert score(lake, "-o", tmp_path / "out.csv").code == 0


def test_names_left_out_of_a_folder_are_reported_and_counted(score, tmp_path):
    for name in ("_day=1/a.csv", "_SUCCESS", "_temporary/0/b.csv", ".a.csv.crc"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("text\ngood\n")
    result = score(tmp_path / "in", "-o", tmp_path / "out.csv", "--summary", tmp_path / "run.json")
    assert result.code == 0
    folder = tmp_path / "in"
    assert (
        "Note: 3 names in input folders were ignored because they begin with . or _: "
        f"{folder}/.a.csv.crc, {folder}/_SUCCESS, {folder}/_temporary/."
    ) in result.err
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["rows_scored"], record["names_left_out"]) == (1, 3)


@pytest.mark.parametrize("option", ["-o", "--rejects", "--summary", "--metrics"])
def test_nothing_is_written_into_an_input_folder(score, tmp_path, option):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text\ngood\n")
    places = {"-o": tmp_path / "out.csv", option: tmp_path / "in" / "x.csv"}
    result = score(tmp_path / "in", *(each for pair in places.items() for each in pair))
    name = "--output" if option == "-o" else option
    assert (result.code, result.err) == (
        2, f"Error: {name} {places[option]} is in the input folder {tmp_path / 'in'}, so the next run would read it; write elsewhere.\n",
    )  # fmt: skip
    assert os.listdir(tmp_path / "in") == ["a.csv"]


TEXTS = ["a good film", "awful", "so, so\nlovely", "dull"]


def as_parquet(texts):
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), out)
    return out.getvalue()


AS_CSV = 'text\n{}"so, so\nlovely"\ndull\n'.format("".join(f"{text}\n" for text in TEXTS[:2])).encode()
AS_JSONL = b'{"text":"a good film"}\n{"text":"awful"}\n{"text":"so, so\\nlovely"}\n{"text":"dull"}\n'


@pytest.mark.parametrize(
    ("kind", "data", "pauses"),
    [
        ("jsonl", AS_JSONL, [AS_JSONL.index(b'{"text":"so')]),
        (
            "csv",
            AS_CSV,
            [0, AS_CSV.index(b"lovely"), len(AS_CSV) - 1],
        ),  # within a text, which must not be scored in part
        ("csv.gz", gzip.compress(AS_CSV, mtime=0), [20, 40]),
        ("parquet", as_parquet(TEXTS), [4, 300]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pause_on_a_non_blocking_stdin_is_waited_for(bundle, score, tmp_path, kind, data, pauses):
    (tmp_path / f"in.{kind}").write_bytes(data)
    assert score(tmp_path / f"in.{kind}", "-o", tmp_path / "expected.csv").code == 0
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)  # as node, asyncio or ssh leave it
    process = subprocess.Popen(
        [sys.executable, "-m", "scorer", "-", "--input-format", kind, "-o", tmp_path / "out.csv"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCORE_MODEL": str(bundle.path), "SCORE_PROVIDER": "cpu"},
        stdin=ours,
        stderr=subprocess.PIPE,
    )
    start = 0
    for pause in (*pauses, len(data)):
        os.write(theirs, data[start:pause])
        while waiting(ours) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1)  # so that it asks for more; the output must be the same however long that takes
        start = pause
    os.close(theirs)
    _, said = process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == 0, said.decode()
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def waiting(descriptor):
    """Count the bytes in a pipe that are not read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
