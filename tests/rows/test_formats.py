"""Formats: chosen by names or options, the same for input and output."""

import csv
import json
import subprocess
import sys

import pytest
from factories import reviews

from scorer.base.errors import UsageError
from scorer.rows.formats import format_of


def test_an_unknown_extension_asks_for_the_format():
    with pytest.raises(UsageError) as caught:
        format_of("reviews.dat", None, "--input-format")
    assert str(caught.value) == (
        "cannot infer the format of reviews.dat from its name; set --input-format to one of csv, tsv, jsonl, ndjson, parquet, "
        "with .gz or .zst if compressed."
    )


@pytest.mark.parametrize(
    "extension", ["csv", "tsv", "jsonl", "ndjson", "csv.gz", "tsv.gz", "jsonl.gz", "csv.zst", "jsonl.zst", "parquet"]
)
def test_every_input_format_gives_the_same_result_in_every_output_format(score, tmp_path, extension):
    texts = reviews(30, 2, 5).texts
    lines = "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts))
    (tmp_path / "in.jsonl").write_text(lines)
    score(tmp_path / "in.jsonl", "-o", tmp_path / "expected.csv", "--keep", "text")
    out = tmp_path / f"out.{extension}"
    assert score(tmp_path / "in.jsonl", "-o", out, "--keep", "text").code == 0
    assert score(out, "-o", tmp_path / "back.csv", "--keep", "label", "--keep", "score").code == 0
    with open(tmp_path / "expected.csv", newline="") as one, open(tmp_path / "back.csv", newline="") as other:
        for expected, found in zip(csv.DictReader(one), csv.DictReader(other), strict=True):
            assert [found[name] for name in ("id", "input_label", "label", "score")] == [
                expected[name] for name in ("id", "label", "label", "score")
            ]
            assert float(found["input_score"]) == float(expected["score"])


def test_a_given_format_leaves_the_compression_to_the_name():
    assert format_of("part-0001.gz", "csv", "--input-format").compression == "gz"
    assert format_of("x.dat", "jsonl.zst", "--input-format").compression == "zst"
    for path, given, message in (
        (
            "x.parquet.gz",
            None,
            "x.parquet.gz: Parquet is compressed internally, and is not read or written as .gz; use .parquet.",
        ),
        ("x.gz", None, "cannot infer the format of x.gz from its name; set --input-format to one of "),
        ("x.csv", "xml", "--input-format 'xml' is not a format; set --input-format to one of "),
    ):
        with pytest.raises(UsageError) as caught:
            format_of(path, given, "--input-format")
        assert str(caught.value).startswith(message)


def test_a_file_of_unknown_format_in_a_folder_is_an_error_and_not_left_out(score, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text\ngood\n")
    (tmp_path / "in" / "notes.md").write_text("remember the milk")
    result = score(tmp_path / "in", "-o", tmp_path / "out.csv")
    assert result.code == 2
    assert f"cannot infer the format of {tmp_path / 'in' / 'notes.md'} from its name; set --input-format" in result.err


def test_pyarrow_is_not_imported_for_plain_files():
    code = "import scorer.run.score, scorer.cli.score, sys; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
