"""The command as a user meets it: exact messages, exit codes, and files on disk afterwards."""

import csv
import fcntl
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from factories import list_again, start

from scorer import Scorer
from scorer.cli.score import command
from scorer.engine import gpu, runtime
from scorer.model.choice import choose
from scorer.storage.atomic import sibling
from scorer.storage.lock import hold, release
from scorer.storage.output import StreamDestination

ROWS = [
    {"id": "a", "text": "good great film", "stars": 5},
    {"id": "b", "text": "awful dull film", "stars": 1.10},
    {
        "id": "c",
        "text": "the plot was very very very so so so so so so so so so so so so so so so so so so",
        "stars": None,
    },
]


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_a_run_writes_one_row_a_record_and_says_so(score, jsonl, tmp_path, bundle):
    result = score(jsonl, "-o", tmp_path / "out.csv")
    scores = Scorer(bundle, provider="cpu").score([row["text"] for row in ROWS])
    expected = [
        f"{n},{row['id']},{label},{p[1]:.6f}" for n, row, label, p in zip((1, 2, 3), ROWS, *scores, strict=True)
    ]
    assert (tmp_path / "out.csv").read_text() == "\n".join(["row,id,label,score", *expected]) + "\n"
    assert (result.code, result.out) == (0, "")
    assert re.match(rf"3 of 3 rows scored in \d+ s, written to {tmp_path / 'out.csv'}: \d ", result.err.splitlines()[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.csv"]


def test_details_and_kept_columns_pass_through_unchanged(score, jsonl, tmp_path):
    assert score(jsonl, "-o", tmp_path / "out.jsonl", "--keep", "*", "--details", "-q").err == ""
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert lines[1].startswith('{"row":2,"id":"b","text":"awful dull film","stars":1.1,"label":')
    assert [list(json.loads(line)) for line in lines] == [
        ["row", "id", "text", "stars", "label", "score", "tokens", "truncated", "score_negative", "score_positive"]
    ] * 3
    assert [(json.loads(line)["tokens"], json.loads(line)["truncated"]) for line in lines] == [
        (5, False),
        (5, False),
        (24, True),
    ]
    assert '"stars":null' in lines[2]


def test_a_kept_column_that_no_record_has_is_a_warning_that_quiet_keeps(score, jsonl, tmp_path):
    result = score(jsonl, "-o", tmp_path / "out.csv", "--keep", "starz", "-q", "--summary", tmp_path / "run.json")
    assert (result.code, result.err) == (
        0, "Warning: no record has a column 'starz' (--keep), so the column is empty; did you mean 'stars'?\n",
    )  # fmt: skip
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("1,a,,")
    assert json.loads((tmp_path / "run.json").read_text())["columns_not_found"] == ["starz"]


def test_a_kept_column_that_later_records_have_is_noted(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text":"good"}\n{"text":"bad","rare":1}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--keep", "rare", "--summary", tmp_path / "s")
    assert result.err.splitlines()[-1] == (
        "Note: the first record has no column 'rare' (--keep); it is empty in the rows of records that lack it."
    )
    assert json.loads((tmp_path / "s").read_text())["columns_not_found"] == []


def test_a_shard_knows_the_columns_of_the_rows_before_it(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text":"good"}\n{"text":"so","rare":1}\n{"text":"bad"}\n{"text":"bad"}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--keep", "rare", "--shard", "2/2", "-q")
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_kept_column_that_no_header_has_is_an_error(score, tmp_path, kind):
    def write(name, columns):
        table = pyarrow.table({column: ["good"] for column in columns})
        if kind == "parquet":
            pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
        else:
            pyarrow.csv.write_csv(table, tmp_path / f"{name}.csv")
        return tmp_path / f"{name}.{kind}"

    one, other = write("a", ["text", "stars"]), write("b", ["text", "stars", "since"])
    result = score(one, "-o", tmp_path / "out.csv", "--keep", "strs")
    assert (result.code, result.err) == (
        2, f"Error: {one} has no column 'strs' (--keep); did you mean 'stars'? It has: 'text', 'stars'.\n",
    )  # fmt: skip
    assert score(one, other, "-o", tmp_path / "out.csv", "--keep", "sinse").code == 2
    assert not (tmp_path / "out.csv").exists()
    assert score(one, other, "-o", tmp_path / "out.csv", "--keep", "since").code == 0  # a column that came later
    assert [line.split(",")[1] for line in (tmp_path / "out.csv").read_text().splitlines()] == ["since", "", "good"]
    (tmp_path / "c.jsonl").write_text('{"text":"good","n":1}\n')  # JSONL has no header, so no error
    assert score(one, tmp_path / "c.jsonl", "-o", tmp_path / "out.csv", "--keep", "n").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--text", "text", "--text", "stars"], "--text is given 2 times; give it once."),
        (["-o", "a.csv", "--output", "b.csv", "-o", "c.csv"], "--output is given 3 times; give it once."),
        (["--threads", "1", "--threads", "2"], "--threads is given 2 times; give it once."),
    ],
)
def test_an_option_that_takes_one_value_is_given_once(score, jsonl, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    result = score(jsonl, *options)
    assert (result.code, result.err) == (2, f"Error: {said}\n")
    assert score(jsonl, "-o", "o.csv", "--keep", "id", "--keep", "stars", "-q", "-q").code == 0


def test_more_than_two_labels_give_the_predicted_labels_probability(score, jsonl, tmp_path, bundle_of_three):
    score(jsonl, "-o", tmp_path / "out.jsonl", "--model", bundle_of_three.path, "--details")
    for line in (tmp_path / "out.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert (
            row["score"]
            == row[f"score_{row['label']}"]
            == max(row[f"score_{label}"] for label in ("bad", "good", "mixed"))
        )


def test_the_same_records_as_csv_and_jsonl_get_the_same_scores(score, jsonl, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in ROWS))
    (tmp_path / "in.tsv").write_text("id\ttext\n" + "".join(f"{row['id']}\t{row['text']}\n" for row in ROWS))
    for name in ("in.csv", "in.tsv", "in.jsonl"):
        assert score(tmp_path / name, "-o", tmp_path / f"{name}.csv").code == 0
    assert len({(tmp_path / f"{name}.csv").read_bytes() for name in ("in.csv", "in.tsv", "in.jsonl")}) == 1


def test_several_inputs_are_one(score, jsonl, tmp_path):
    (tmp_path / "more.jsonl").write_bytes(jsonl.read_bytes())
    score(jsonl, tmp_path / "more.jsonl", "-o", tmp_path / "out.csv", "--limit", "5")
    rows = [line.split(",")[:2] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert rows == [["1", "a"], ["2", "b"], ["3", "c"], ["4", "a"], ["5", "b"]]


def test_rejects_are_published_and_the_exit_code_says_look(score, jsonl, tmp_path):
    with open(jsonl, "a") as file:
        file.write('{"text": ""}\nbroken\n{"text": "good"}\n')
    result = score(jsonl, "-o", tmp_path / "out.csv")
    rejects = tmp_path / "out.csv.rejects.jsonl"
    assert result.code == 3
    assert result.err.splitlines()[-1] == f"2 rejected (1 empty_text, 1 invalid_json): see {rejects}."
    found = [json.loads(line) for line in rejects.read_text().splitlines()]
    offset = len("".join(json.dumps(row) + "\n" for row in ROWS))
    assert found[0] == {
        "row": 4, "source": str(jsonl), "line": 4, "offset": offset, "reason": "empty_text",
        "raw": '{"text": ""}\n', "length": 13, "raw_truncated": False,
    }  # fmt: skip
    assert (found[1]["row"], found[1]["reason"]) == (5, "invalid_json")
    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()] == [
        "row",
        "1",
        "2",
        "3",
        "6",
    ]
    # A run without rejects removes the old rejects file.
    jsonl.write_text('{"text": "good"}\n')
    assert score(jsonl, "-o", tmp_path / "out.csv").code == 0
    assert not rejects.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--strict"],
            "1 of the first 4 records were rejected (1 invalid_json): none is allowed (--strict or --max-rejects 0).",
        ),
        (
            ["--max-rejects", "0"],
            "1 of the first 4 records were rejected (1 invalid_json): none is allowed (--strict or --max-rejects 0).",
        ),
        (
            ["--max-reject-ratio", "0.2"],
            "1 of 4 records were rejected (1 invalid_json): more than --max-reject-ratio 0.2 allows.",
        ),
    ],
)
def test_a_passed_reject_limit_publishes_the_rejects_only(score, jsonl, tmp_path, options, message):
    with open(jsonl, "a") as file:
        file.write("broken\n")
    (tmp_path / "out.csv").write_text("the old bytes")
    result = score(jsonl, "-o", tmp_path / "out.csv", *options)
    assert result.code == 4
    rejects = tmp_path / "out.csv.rejects.jsonl"
    assert result.err == f"Error: {message}\nNothing was published; the rejects are in {rejects}.\n"
    assert (tmp_path / "out.csv").read_text() == "the old bytes"
    assert len(rejects.read_text().splitlines()) == 1
    assert score(jsonl, "-o", tmp_path / "out.csv", "--max-rejects", "1", "--max-reject-ratio", "0.25").code == 3


def test_nothing_is_published_when_every_record_is_rejected(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('1\n{"text": null}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert result.err.startswith("Error: every one of the 2 records was rejected (1 not_an_object, 1 empty_text).\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.csv.rejects.jsonl"]


@pytest.mark.parametrize(
    ("name", "data", "code", "out"),
    [
        ("in.jsonl", "", 0, "row,label,score\n"),
        ("in.jsonl", "\n\n", 0, "row,label,score\n"),
        ("in.csv", "id,text\n", 0, "row,id,label,score\n"),
        ("in.csv", "", 4, None),
    ],
)
def test_an_input_without_records(score, tmp_path, name, data, code, out):
    (tmp_path / name).write_text(data)
    result = score(tmp_path / name, "-o", tmp_path / "out.csv")
    assert result.code == code
    assert ((tmp_path / "out.csv").read_text() if out is not None else None) == out
    if code:
        assert result.err == (
            f"Error: {tmp_path / name} is empty: it has no header line. Remove it, or use --allow-empty-files to read empty "
            "files as files without records.\n"
        )
        assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name an input, for instance: score reviews.jsonl -o out.csv"),
        (["none.csv"], 2, "the input none.csv does not exist; check its name and its folder."),
        (["inn.jsonl"], 2, "the input inn.jsonl does not exist; did you mean 'in.jsonl'?"),
        (["nowhere/in.jsonl"], 2, "the input nowhere/in.jsonl does not exist, and its folder cannot be read; check the name."),
        (["no*.csv"], 2, "the input no*.csv does not exist (no file matches); check the pattern with ls."),
        (["in.txt"], 2, "in.txt is a text file of an unknown format, which is not read. If it has columns, use --input-format csv or tsv. If each line is a text, use --input-format tsv --no-header --quote-char '' --text column_1."),
        (["-o", "out.txt", "in.jsonl"], 2, "cannot infer the format of out.txt from its name; set --output-format to one of csv, tsv, jsonl, ndjson, parquet, with .gz or .zst if compressed."),
        (["-"], 2, "stdin has no name to infer its format from; set --input-format to one of csv, tsv, jsonl, ndjson, parquet, with .gz or .zst if compressed."),
        (["in.jsonl", "-o", "out.xyz"], 2, "cannot infer the format of out.xyz from its name; set --output-format to one of csv, tsv, jsonl, ndjson, parquet, with .gz or .zst if compressed."),
        (["in.jsonl", "-o", "no/out.csv"], 2, "the folder {cwd}/no of --output no/out.csv does not exist; create it first."),
        (["in.jsonl", "-o", "folder.csv"], 2, "--output folder.csv is a folder; give a file in it, for instance folder.csv/out.csv."),
        (["in.jsonl", "-o", "link.jsonl"], 2, "--output link.jsonl is an input too; write to another file."),
        (["in.jsonl", "-o", "o.csv", "--rejects", "in.jsonl"], 2, "--rejects in.jsonl is an input too; write to another file."),
        (["in.jsonl", "-o", "o.csv", "--rejects", "./o.csv"], 2, "--rejects and --output are the same file; name another for one of them."),
        (["in.jsonl", "-o", "o.csv", "--rejects", ".o.csv.score-partial"], 2, "--rejects .o.csv.score-partial is a name reserved for work in progress; choose another."),
        (["in.jsonl", "-o", "in.txt/out.csv"], 2, "the folder {cwd}/in.txt of --output in.txt/out.csv does not exist; create it first."),
        (["dangling.csv"], 2, "the input dangling.csv does not exist; check its name and its folder."),
        (["in.jsonl", "--text", "body"], 2, "in.jsonl has no column 'body'; name the one to use with --text. It has: 'id', 'text', 'stars'."),
        (["in.jsonl", "--text", "Text"], 2, "in.jsonl has no column 'Text'; did you mean 'text'? It has: 'id', 'text', 'stars'."),
        (["title.csv"], 2, "title.csv has no column called text, review, content, body or comment. It has: 'id', 'Review'. Name the text column with --text, as in --text Review."),
        (["in.jsonl", "--encoding", "utf-7"], 2, "--encoding 'utf-7' is not one of files that are read line by line; use for instance utf-8, latin-1, cp1252 or utf-16."),
        (["in.jsonl", "--encoding", "klingon"], 2, "--encoding 'klingon' is unknown; use for instance utf-8, latin-1, cp1252 or utf-16."),
        (["in.jsonl", "--quote-char", "ab"], 2, "--quote-char takes one character, not 'ab'."),
        (["in.jsonl", "--precision", "fp8"], 2, "the bundle tiny has no precision 'fp8'; it has: fp16, fp32, int8."),
        (["in.jsonl", "--model", "none"], 5, "there is no bundle at none. Name a folder written by `score-model train` or `score-model import`."),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    score, jsonl, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").touch()
    (tmp_path / "title.csv").write_text("id,Review\n1,good\n")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.jsonl").symlink_to("in.jsonl")
    (tmp_path / "dangling.csv").symlink_to("nowhere.csv")
    before = sorted(path.name for path in tmp_path.iterdir())
    result = score(*arguments)
    assert result.err == f"Error: {message.format(cwd=Path.cwd())}\n"
    assert (result.code, result.out) == (code, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_unknown_option_is_clicks_own_message(score):
    result = score("a.csv", "--nonsense")
    assert result.code == 2
    assert "No such option: --nonsense" in result.err or "No such option '--nonsense'" in result.err


def test_cuda_never_falls_back(score, jsonl, tmp_path):
    result = score(jsonl, "-o", tmp_path / "out.csv", "--provider", "cuda")
    if result.code == 0:
        pytest.skip("a usable GPU is here")
    assert result.code == 5
    assert result.err.startswith("Error: --provider cuda cannot be used here: ")
    assert result.err.endswith("\nUse --provider cpu, or auto for whichever is available.\n")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("node", ["nvidia0", "nvidiactl", "driver/nvidia", "dxg"])
def test_auto_says_what_it_took_and_why_where_the_machine_has_a_gpu(score, jsonl, tmp_path, monkeypatch, node):
    place = tmp_path / "machine" / node
    place.parent.mkdir(parents=True)
    monkeypatch.setattr(
        gpu, "_DEVICES", tuple(f"{tmp_path}/machine/{name}" for name in ("nvidia*", "driver/nvidia", "dxg"))
    )
    monkeypatch.setattr(runtime, "provider_problem", lambda provider, gpu: "the NVIDIA driver shows no GPU")
    command = (jsonl, "-o", tmp_path / "out.csv", "--provider", "auto")
    assert score(*command).err.startswith("Using int8 on cpu.\n")
    place.touch()
    assert score(*command).err.startswith("Using int8 on cpu: cuda is not usable: the NVIDIA driver shows no GPU.\n")
    assert "cuda" not in score(*command, "-q").err


def test_the_devices_of_a_machine_are_where_its_driver_puts_them():
    assert gpu._DEVICES == ("/dev/nvidia*", "/proc/driver/nvidia", "/dev/dxg")
    assert gpu.has_device() == any(
        Path(name).exists() for name in ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg")
    )


def test_a_usable_gpu_is_named_even_if_its_device_is_nowhere(bundle, monkeypatch):
    monkeypatch.setattr(gpu, "_DEVICES", ())
    monkeypatch.setattr(runtime, "provider_problem", lambda provider, gpu: None)
    assert choose(bundle.manifest, "auto", "auto").reason == "a usable GPU was found"


def test_a_check_reports_cuda_on_every_machine(score, monkeypatch):
    monkeypatch.setattr(gpu, "_DEVICES", ())
    monkeypatch.setattr(gpu, "driver_problem", lambda device: "this machine has no NVIDIA driver")
    assert "provider cuda: not usable: " in score("--check").out


def test_stdout_carries_data_only_and_its_rejects_go_to_stderr(bundle, jsonl):
    process = start(bundle, "-", "--input-format", "jsonl", "-q")
    out, err = process.communicate(jsonl.read_bytes() + b"broken\n")
    assert process.returncode == 3
    assert [line.split(b",")[0] for line in out.splitlines()] == [b"row", b"1", b"2", b"3"]
    assert json.loads(err)["reason"] == "invalid_json"
    assert json.loads(err)["source"] == "-"


def test_existing_special_files_are_written_and_never_replaced(score, jsonl, tmp_path):
    assert score(jsonl, "-o", "/dev/null", "--output-format", "csv").code == 0
    assert Path("/dev/null").is_char_device()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
    assert score(jsonl, "-o", fifo, "--output-format", "csv").code == 0
    out, _ = reader.communicate(timeout=20)
    assert out.count(b"\n") == 4
    assert fifo.is_fifo()


def test_a_stream_that_takes_little_at_a_time_gets_everything(bundle, tmp_path):
    # Output is unbuffered, as in most containers. The pipe is full, the reader slow, and a stop signal cuts a write short.
    (tmp_path / "in.jsonl").write_text(('{"text": "good", "id": "' + "x" * 3000 + '"}\n') * 1000)
    process = start(bundle, tmp_path / "in.jsonl", "-q", environment={"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    first = os.read(process.stdout.fileno(), 10)
    size = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ) if sys.platform == "linux" else 1 << 14
    room = size - 4096
    while int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder) < room:
        assert process.poll() is None
        time.sleep(0.01)  # until the write waits for room
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert (first + out).count(b"\n") == 1001


def test_a_short_write_is_gone_on_with():
    class TakesThree(io.RawIOBase):
        def __init__(self):
            self.got = b""

        def writable(self):
            return True

        def write(self, data):
            self.got += bytes(data[:3])
            return min(3, len(data))

    stream = TakesThree()
    StreamDestination(stream, close=False).write(b"0123456789")
    assert stream.got == b"0123456789"


def test_closed_standard_streams_are_named(bundle, jsonl):
    for redirection, message in (
        (f"{jsonl} >&-", "stdout is closed; name an output file with --output."),
        (f"- --input-format jsonl -o {jsonl}.csv <&-", "stdin is closed; name an input file."),
    ):
        run = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m scorer --provider cpu --model {bundle.path} {redirection}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (1, f"Error: {message}\n")


def test_a_full_stderr_does_not_spoil_a_run(bundle, jsonl, tmp_path):
    run = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m scorer --provider cpu --model {bundle.path} {jsonl} -o {tmp_path}/out.csv 2>/dev/full",
        ],
        check=False,
    )
    assert run.returncode == 0
    assert (tmp_path / "out.csv").exists()


def test_a_file_name_that_is_no_utf_8_is_no_obstacle(score, tmp_path):
    name = os.fsdecode(bytes(tmp_path / "bad") + b"\xff.jsonl")
    Path(name).write_text('{"text": "good"}\nbroken\n')
    assert score(name, "-o", tmp_path / "out.csv").code == 3
    assert json.loads((tmp_path / "out.csv.rejects.jsonl").read_text())["source"].endswith("bad\\xff.jsonl")


def test_keys_that_only_later_records_have_are_noted(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": "bad", "id": 2, "late": 5}\n')
    end = "They are missing from the output; name them with --keep to include them."
    assert (
        score(tmp_path / "in.jsonl", "-o", tmp_path / "o.csv").err.splitlines()[-1]
        == f"Note: later records have columns that the first one lacks: 'id'. {end}"
    )
    assert (
        score(tmp_path / "in.jsonl", "-o", tmp_path / "o.csv", "--keep", "*").err.splitlines()[-1]
        == f"Note: later records have columns that the first one lacks: 'id', 'late'. {end}"
    )
    score(tmp_path / "in.jsonl", "-o", tmp_path / "o.csv", "--keep", "id")
    assert [line.split(",")[1] for line in (tmp_path / "o.csv").read_text().splitlines()] == ["id", "", "2"]


def test_check_says_all_it_can_about_a_bundle_that_is_refused(score, bundle, tmp_path):
    result = score("--check", "--model", tmp_path / "none")
    assert result.code == 5
    assert "provider cpu: usable\n" in result.out
    assert result.err.startswith("Error: there is no bundle at ")


def test_a_closed_stdout_ends_quietly_with_141(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n' * 5000)
    process = start(bundle, tmp_path / "in.jsonl", "-q")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (141, b"")


def test_every_option_can_be_set_in_the_environment(score, jsonl, tmp_path, monkeypatch):
    monkeypatch.setenv("SCORE_OUTPUT", str(tmp_path / "out.jsonl"))
    monkeypatch.setenv("SCORE_DETAILS", "1")
    monkeypatch.setenv("SCORE_QUIET", "1")
    assert score(jsonl).err == ""
    assert "tokens" in json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])


def test_a_file_keeps_its_mode_and_a_symlinks_target_is_replaced(score, jsonl, tmp_path):
    target = tmp_path / "target.csv"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "out.csv").symlink_to(target)
    assert score(jsonl, "-o", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").is_symlink()
    assert target.read_text().startswith("row,")
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_read_only_folder_is_refused_before_the_model_loads(score, jsonl, tmp_path, monkeypatch):
    # os.access is patched, since root, as in a container, may write anywhere.
    monkeypatch.setattr("scorer.storage.atomic.os.access", lambda path, mode: False)
    result = score(jsonl, "-o", tmp_path / "out.csv", "--model", "not even looked for")
    assert (result.code, result.err) == (
        1, f"Error: the folder {tmp_path} of --output {tmp_path / 'out.csv'} is not writable.\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("none/out.csv", 2, "the folder {folder}/none of --output {folder}/none/out.csv does not exist; create it first."),
        ("folder.csv", 2, "--output {folder}/folder.csv is a folder; give a file in it, for instance {folder}/folder.csv/out.csv."),
        ("hardlink.jsonl", 2, "--output {folder}/hardlink.jsonl is an input too; write to another file."),
        ("symlink.jsonl", 2, "--output {folder}/symlink.jsonl is an input too; write to another file."),
        ("x" * 300 + ".csv", 1, "{folder}/" + "x" * 300 + ".csv cannot be written: File name too long."),
        ("busy.csv", 1, "another run is writing {folder}/busy.csv; wait until it ends, or write to another file."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_output_is_found_before_the_model_loads(score, jsonl, tmp_path, output, code, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "hardlink.jsonl").hardlink_to(jsonl)
    (tmp_path / "symlink.jsonl").symlink_to(jsonl)
    held = hold(sibling(tmp_path / "busy.csv", "journal"), "busy.csv")
    result = score(jsonl, "-o", tmp_path / output, "--model", "not even looked for")
    release(held)
    assert (result.code, result.err) == (code, f"Error: {message.format(folder=tmp_path)}\n")


def test_work_in_progress_is_no_input_of_the_run_that_would_overwrite_it(score, tmp_path):
    partial = tmp_path / ".out.csv.score-partial"
    partial.write_text("text\nrescue me\n")
    result = score(partial, "--input-format", "csv", "-o", tmp_path / "out.csv")
    assert (result.code, result.err) == (
        2, f"Error: the input {partial} is work in progress on --output {tmp_path / 'out.csv'}; copy it first.\n",
    )  # fmt: skip
    assert partial.read_text() == "text\nrescue me\n"


def test_a_link_in_the_place_of_work_in_progress_is_found_before_the_model_loads(score, jsonl, tmp_path):
    (tmp_path / "precious").write_text("precious")
    link = sibling(tmp_path / "out.csv.rejects.jsonl", "partial")
    link.symlink_to("precious")
    result = score(jsonl, "-o", tmp_path / "out.csv", "--model", "not even looked for")
    assert result.code == 1
    assert result.err == (
        f"Error: {tmp_path}/out.csv.rejects.jsonl cannot be written: {link} cannot be opened: it is a symbolic link; "
        "remove it.\n"
    )
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == [link.name, "in.jsonl", "precious"]


def test_a_fifo_whose_reader_leaves_is_an_error_that_says_so(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": ""}\n' * 5000 + '{"text": "good"}\n')
    os.mkfifo(tmp_path / "fifo")
    process = start(bundle, tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--rejects", tmp_path / "fifo")
    with open(tmp_path / "fifo", "rb") as reader:
        reader.read(1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.decode().splitlines()[0] == f"Error: {tmp_path / 'fifo'} cannot be written: Broken pipe."


def test_a_traceback_is_shown_with_debug_only(score, jsonl):
    assert "Traceback" not in score(jsonl, "--text", "body").err
    assert "Traceback" in score(jsonl, "--text", "body", "--debug").err


def test_check_reports_the_machine_and_the_bundle(score, bundle):
    result = score("--check")
    assert result.code == 0
    for line in (
        "provider cpu: usable",
        f"bundle tiny: {bundle.path}",
        f"  id {bundle.id}",
        "  golden rows, fp32 on cpu: 8 checked, largest logit difference 0 (tolerance 0.001)",
        "  golden rows, int8 on cpu: 8 checked, largest logit difference 0 ",
    ):
        assert line in result.out
    assert any(line.startswith("provider cuda: ") for line in result.out.splitlines())


def test_check_says_that_there_is_a_cascade_and_that_its_golden_rows_were_checked(score, bundle, staged_bundle):
    result = score("--check", "--model", staged_bundle.path)
    assert result.code == 0
    rows = sum("wide" in row.logits for row in staged_bundle.manifest.golden)
    assert f"\n  golden rows, wide part on cpu: {rows} checked, sums identical\n" in result.out
    assert (
        "\n  cascade: the wide part alone decides if it is sure, otherwise the encoder (with --no-cascade, always the encoder)\n"
        in result.out
    )
    assert "wide part" not in score("--check").out


def test_check_of_a_wide_part_with_other_sums_does_not_say_that_it_was_checked(score, staged_bundle, tmp_path):
    shutil.copytree(staged_bundle.path, tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    manifest["golden"][0]["logits"]["wide"][0] += 2**-20
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(manifest))
    list_again(tmp_path / "bundle")
    result = score("--check", "--model", tmp_path / "bundle")
    assert result.code == 5
    assert "  golden rows, int8 on cpu: refused\n" in result.out
    assert "golden rows, wide part" not in result.out
    assert "the sums of the wide part differ from those of the machine that made the bundle" in result.err


def test_the_help_leads_with_examples(score):
    lines = score("--help").out.splitlines()
    order = [
        next(number for number, line in enumerate(lines) if line.strip().startswith(begin))
        for begin in ("Usage: score", "Score every text", "Examples:", "score reviews.jsonl -o", "INPUT is", "Input:")
    ]
    assert order == sorted(order)
    assert order[2] < 6


def test_every_option_is_explained_in_the_help(score):
    help_text = score("--help").out
    for parameter in command.params:
        if "--version" not in parameter.opts and parameter.param_type_name == "option":
            assert parameter.opts[-1] in help_text
            assert parameter.help, parameter.name
    assert score("--version").out == "score, version 0.1.0\n"


def test_bytes_that_are_no_text_are_no_names(score, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"id\xfftext\n1\xffgood\n")
    for option in ("--keep", "--text", "--delimiter", "--quote-char"):
        result = score(tmp_path / "in.csv", "-o", tmp_path / "out.csv", option, "\udcff")
        assert (result.code, result.err) == (2, f"Error: {option} is not valid text in this terminal's encoding.\n")


@pytest.mark.parametrize("name", ["SCORE_VERSION", "SCORE_HELP"])
def test_the_environment_asks_for_neither_version_nor_help(score, tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')
    assert score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").exists()


def test_an_empty_variable_leaves_quotes_as_they_are_and_an_empty_option_turns_them_off(score, tmp_path, monkeypatch):
    monkeypatch.setenv("SCORE_QUOTE_CHAR", "")
    (tmp_path / "in.csv").write_text('id,text\n1,"good\n2,bad"\n')
    assert len(score(tmp_path / "in.csv").out.splitlines()) == 2
    assert len(score(tmp_path / "in.csv", "--quote-char", "").out.splitlines()) == 3


def test_cells_that_a_spreadsheet_would_compute_are_made_text(score, tmp_path):
    cells = ["=1+1", "+1", "-5", "@x", "\tx", "\rx", "x=1", "'=1"]
    lines = [json.dumps({"id": cell, "text": "good", "=n": number - 5}) for number, cell in enumerate(cells)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    for kind in ("csv", "tsv"):
        out = tmp_path / f"out.{kind}"
        assert score(tmp_path / "in.jsonl", "-o", out, "--keep", "=n", "--escape-formulas").code == 0
        head, *rows = csv.reader(out.open(newline=""), delimiter="," if kind == "csv" else "\t")
        assert head == ["row", "id", "'=n", "label", "score"]
        assert [row[1] for row in rows] == [f"'{cell}" for cell in cells[:6]] + cells[6:]
        assert [row[2] for row in rows] == ["'-5", "'-4", "'-3", "'-2", "'-1", "0", "1", "2"]
    assert score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("1,=1+1,")
    refused = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--escape-formulas")
    assert (refused.code, "needs CSV or TSV output" in refused.err) == (2, True)


def test_a_folder_that_cannot_be_looked_at_is_no_bundle(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--model", "x" * 5000)
    assert (result.code, "cannot be opened" in result.err) == (5, True)


def test_a_file_said_to_be_in_another_encoding_than_utf_8_is_not_advised_into_a_third(score, tmp_path):
    (tmp_path / "in.csv").write_bytes("id,text\n1,café\n2,good\n".encode())
    result = score(tmp_path / "in.csv", "-o", tmp_path / "out.csv", "--encoding", "ascii")
    assert (result.code, "This is UTF-8: leave out --encoding." in result.err) == (3, True)


def test_options_of_csv_are_noted_where_no_input_is_csv(score, jsonl, tmp_path):
    result = score(jsonl, "-o", tmp_path / "out.csv", "--delimiter", ";", "--no-header")
    assert result.code == 0
    assert result.err.splitlines()[-1] == ("Note: --delimiter, --no-header: ignored, because no input is CSV or TSV.")
