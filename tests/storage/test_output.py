"""Destinations of output."""

import io
import itertools
import os
import shutil
import subprocess
import sys

import pytest
from factories import ROOT

from scorer.storage.output import StreamDestination


def test_a_stream_that_is_converted_sends_nothing_before_it_is_published():
    sent = io.BytesIO()
    place = StreamDestination(sent, close=False, convert=lambda stream, write: write(stream.read().upper()))
    place.write(b"abc")
    assert sent.getvalue() == b""
    place.publish()
    assert sent.getvalue() == b"ABC"
    assert place.published == (3, "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78")


def shell(bundle, command):
    """Run a shell command in which ``score`` is the command with the tiny bundle."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCORE_MODEL": str(bundle.path), "SCORE_PROVIDER": "cpu"}
    line = f'score() {{ "{sys.executable}" -m scorer "$@"; }}\n{command}'
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)


# Options that ask for an output, and the beginning of what is written.
OPENED = {
    "output": ("-o /dev/stdout --output-format csv >>{log}", "row,label,score\n1,"),
    "rejects": ("--rejects /dev/stderr 2>>{log}", '{{"row":2,"source":"{source}"'),
    "rejects by a link": ("--rejects {link} 2>>{log}", '{{"row":2,"source":"{source}"'),
    "rejects to another process": ("--rejects /proc/$$/fd/3", '{{"row":2,"source":"{source}"'),
    "summary": ("--summary /dev/fd/3", '{{\n  "format_version": 1,'),
    "metrics": ("--metrics /proc/self/fd/3", "# HELP "),
    "report": ("--report /dev/fd/3", "<!doctype html>"),
}


@pytest.mark.parametrize("case", OPENED)
def test_a_file_that_the_shell_opened_is_written_to_and_never_replaced(bundle, tmp_path, case):
    log, source, link = tmp_path / "log", tmp_path / "in.csv", tmp_path / "link"
    log.write_text("before\n")
    source.write_text("text,n\na good film,1\n ,2\nawful,3\n")
    link.symlink_to("/dev/stderr")
    number = log.stat().st_ino
    option, begins = (text.format(log=log, link=link, source=source) for text in OPENED[case])
    output = "" if case == "output" else "-o out.csv"
    run = shell(
        bundle,
        f"cd {tmp_path}; exec 3>>{log}; score {source} {output} -q {option}; code=$?; echo after >&3; exit $code",
    )
    assert run.returncode == 3, run.stderr
    said = log.read_text()
    assert said.startswith(f"before\n{begins}")
    assert said.endswith("after\n")
    assert log.stat().st_ino == number
    kept = {"in.csv", "link", "log"} | ({"out.csv"} if output else set())
    assert {path.name for path in tmp_path.iterdir()} - {"out.csv.rejects.jsonl"} == kept


def test_the_page_of_a_comparison_goes_to_a_file_that_the_shell_opened(tmp_path):
    log, out = tmp_path / "log", tmp_path / "out.csv"
    log.write_text("before\n")
    out.write_text("row,label,score\n1,good,0.900000\n")
    line = f'"{sys.executable}" -c "from export.cli.score_model import main; main()" compare {out} {out} -o /dev/fd/3 3>>{log}'
    run = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert log.read_text().startswith("before\n<!doctype html>")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("-o /dev/fd/9 --output-format csv", "--output /dev/fd/9: descriptor 9 is not open for writing; open it in the shell, as in 9>>FILE."),
        ("-o out.csv --rejects /dev/fd/3 3<{source}", "--rejects /dev/fd/3: descriptor 3 is not open for writing"),
        ("-o /dev/stdout --output-format csv >>{source}", "--output /dev/stdout is an input too; write to another file."),
        ("--summary out.csv >out.csv", "--output is open on the file of --summary, which will be replaced; name another for one of them."),
        ("--rejects out.csv >out.csv", "--output is open on the file of --rejects, which will be replaced; name another for one of them."),
        ("--summary /dev/stdout", "--summary and --output are the same file; name another for one of them."),
        ("-o - --rejects /dev/fd/1", "--rejects and --output are the same file; name another for one of them."),
        (">>{source}", "--output - is an input too; write to another file."),
        ("-o out.csv --rejects /dev/fd/3 3>>out.csv", "--rejects is open on the file of --output, which will be replaced; name another for one of them."),
    ],
)  # fmt: skip
def test_a_descriptor_that_takes_no_output_is_reported_at_once(bundle, tmp_path, option, said):
    source = tmp_path / "in.csv"
    source.write_text("text\na good film\n")
    run = shell(bundle, f"cd {tmp_path}; score {source} {option.format(source=source)}")
    assert run.returncode == 2
    assert said in run.stderr
    assert source.read_text() == "text\na good film\n"


def test_an_input_redirected_to_stdin_is_not_replaced(bundle, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("text\na good film\n")
    for option in ("-o in.csv", "-o out.csv --rejects in.csv", "-o out.csv --summary in.csv", ">> in.csv"):
        run = shell(bundle, f"cd {tmp_path}; score - --input-format csv {option} < in.csv")
        assert (run.returncode, "is an input too; write to another file." in run.stderr) == (2, True), run.stderr
        assert source.read_text() == "text\na good film\n"


def test_a_file_that_is_not_a_rejects_file_is_not_deleted(score, tmp_path):
    source, mine = tmp_path / "in.csv", tmp_path / "mine.csv"
    source.write_text("text\na good film\n")
    mine.write_text("text,label\nmine,1\n")
    result = score(source, "-o", tmp_path / "out.csv", "--rejects", mine)
    assert (result.code, result.err) == (
        2, f"Error: --rejects {mine} exists and is not the rejects file of an earlier run; move it, or choose another name.\n",
    )  # fmt: skip
    assert mine.read_text() == "text,label\nmine,1\n"
    for name in ("r.jsonl", "r.jsonl.gz", "r.jsonl.zst"):
        source.write_text("text\na good film\n \n")
        assert score(source, "-o", tmp_path / "out.csv", "--rejects", tmp_path / name).code == 3
        assert score(source, "-o", tmp_path / "out.csv", "--rejects", tmp_path / name).code == 3  # its own, replaced
        source.write_text("text\na good film\n")
        assert score(source, "-o", tmp_path / "out.csv", "--rejects", tmp_path / name).code == 0
        assert not (tmp_path / name).exists()
    (tmp_path / "r.jsonl.gz").write_bytes(b"no archive")
    assert score(source, "-o", tmp_path / "out.csv", "--rejects", tmp_path / "r.jsonl.gz").code == 2


@pytest.mark.parametrize("option", ["-o", "--rejects", "--summary", "--metrics", "--report"])
def test_nothing_is_written_into_a_bundle(score, bundle, tmp_path, option):
    folder = shutil.copytree(bundle.path, tmp_path / "b")
    (tmp_path / "in.csv").write_text("text\na good film\n")
    for name in ("manifest.json", "new.json"):
        places = {"-o": tmp_path / "out.csv", option: folder / name}
        result = score(tmp_path / "in.csv", "--output-format", "csv", *itertools.chain(*places.items()))
        assert (result.code, "is a bundle, which never changes; write elsewhere." in result.err) == (2, True), (
            result.err
        )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.path.iterdir()
    }
