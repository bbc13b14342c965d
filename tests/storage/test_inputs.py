"""Input files by name: paths, globs and folders."""

import array
import fcntl
import gzip
import io
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
    assert expand(["b.csv", "[ab].csv"]) == ["b.csv", "a.csv", "b.csv"]
    assert expand(["x[1].csv"]) == ["x[1].csv"]
    for name, message in (
        ("none.csv", "the input none.csv is not there; check its name and its folder."),
        ("*.jsonl", "the input *.jsonl is not there (no file matches); see with ls what does."),
    ):
        with pytest.raises(UsageError) as caught:
            expand([name])
        assert str(caught.value) == message
    with pytest.raises(UsageError, match="stdin"):
        expand(["-", "a.csv"])


def test_a_folder_is_its_part_files_sorted_and_what_is_hidden_is_none(tmp_path):
    names = ["b.csv", "a.csv", "day=2/part-0.csv", "day=1/part-1.csv", "day=1/part-0.csv"]
    for name in (*names, "_SUCCESS", ".a.csv.crc", "_temporary/x.csv", "day=1/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert expand([str(tmp_path)]) == sorted(str(tmp_path / name) for name in names)
    assert expand([f"{tmp_path}/day=*"]) == sorted(str(tmp_path / name) for name in names if "day" in name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is a folder without any file; name one that holds the files to score"):
        expand([str(tmp_path / "empty")])


def test_links_in_a_folder_are_followed_and_do_not_lead_in_circles(tmp_path):
    for name in ("real/deep", "in/sub"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "real" / "deep" / "a.csv").touch()
    (tmp_path / "in" / "b.csv").touch()
    (tmp_path / "in" / "link").symlink_to("../real")
    (tmp_path / "in" / "sub" / "round").symlink_to("../../in")
    assert expand([str(tmp_path / "in")]) == [
        str(tmp_path / "in" / "b.csv"),
        str(tmp_path / "in" / "link" / "deep" / "a.csv"),
    ]
    (tmp_path / "in" / "nowhere").symlink_to("gone")
    with pytest.raises(UsageError, match=r"nowhere, in the input folder .* is no regular file; take it out"):
        expand([str(tmp_path / "in")])


@pytest.mark.parametrize("option", ["-o", "--rejects", "--summary", "--metrics"])
def test_nothing_is_written_where_the_next_run_would_read_it(score, tmp_path, option):
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
        ("csv", AS_CSV, [0, AS_CSV.index(b"lovely"), len(AS_CSV) - 1]),  # in a text, which must not be scored cut
        ("csv.gz", gzip.compress(AS_CSV), [20, 40]),
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
        time.sleep(0.1)  # so that it asks for more; however long that takes, what comes out must be the same
        start = pause
    os.close(theirs)
    _, said = process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == 0, said.decode()
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def waiting(descriptor):
    """Bytes that nobody has read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
