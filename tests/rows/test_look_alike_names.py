"""Column names that look like the ones asked for, but are written with other characters."""

import json
import re
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.base.look_alikes import shell_word
from scorer.base.text import did_you_mean

NFC, NFD = "Bewertung für café", "Bewertung fu\u0308r cafe\u0301"
PAIRS = {
    "composed, and decomposed in the file": (NFC, NFD),
    "decomposed, and composed in the file": (NFD, NFC),
    "a space at the end": ("words", "words "),
    "a no-break space at the end": ("words", "words\u00a0"),
    "a no-break space inside": ("the words", "the\u00a0words"),
    "a zero-width space": ("words", "wor\u200bds"),
    "a byte order mark": ("words", "\ufeffwords"),
    "a Cyrillic letter": ("words", "w\u043erds"),
    "a typographic apostrophe": ("guest's words", "guest\u2019s words"),
    "a full-width name": ("words", "\uff57\uff4f\uff52\uff44\uff53"),
    "a soft hyphen": ("words", "wo\u00adrds"),
}


def write(path, columns):
    """Write one record with these columns, in the format of the name."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [value] for name, value in columns.items()}), path)
    elif path.suffix == ".jsonl":
        path.write_text(json.dumps(columns, ensure_ascii=False) + "\n")
    else:
        path.write_text(",".join(columns) + "\n" + ",".join(columns.values()) + "\n")


def typed(message, option):
    """Return the value that bash makes of the advised option, in the locale of cron."""
    word = re.search(rf"use {option} (.+?)\. That name looks alike", message)
    assert word, message
    command = ["bash", "-c", f"printf %s {word[1]}"]
    return subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C"}).stdout.decode()


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize(("given", "there"), PAIRS.values(), ids=PAIRS)
def test_the_advice_on_a_text_column_that_looks_alike_can_be_typed(score, tmp_path, name, given, there):
    source = tmp_path / name
    write(source, {"first": "1", there: "good film"})
    result = score(source, "--text", given)
    assert (result.code, result.out) == (2, "")
    assert typed(result.err, "--text") == there
    assert score(source, "--text", there).code == 0


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize(("given", "there"), PAIRS.values(), ids=PAIRS)
def test_the_advice_on_a_kept_column_that_looks_alike_can_be_typed(score, tmp_path, name, given, there):
    source = tmp_path / name
    write(source, {"first": "1", there: "1", "text": "good film"})
    result = score(source, "--keep", given)
    assert result.code == (0 if name == "in.jsonl" else 2)  # a later record could still have it
    assert typed(result.err, "--keep") == there
    assert score(source, "--keep", there).out.startswith(f"row,{there},label,score\n")


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize(("given", "there"), PAIRS.values(), ids=PAIRS)
def test_the_advice_on_a_label_column_that_looks_alike_can_be_typed(score_model, bundle, tmp_path, name, given, there):
    source = tmp_path / name
    write(source, {"text": "good film", there: "positive"})
    result = score_model("evaluate", bundle.path, "--data", source, "--label-column", given)
    assert result.code == 2
    assert typed(result.err, "--label-column") == there


@pytest.mark.parametrize("there", ["\ufefftext", "text\u00a0", "te\u200bxt", "\uff34\uff25\uff38\uff34", "Text"])
def test_a_column_that_looks_like_one_of_texts_is_named_as_it_is_typed(score, tmp_path, there):
    write(tmp_path / "in.jsonl", {there: "good film"})
    result = score(tmp_path / "in.jsonl")
    assert result.code == 2
    assert f"as in --text {shell_word(there)}" in result.err


def test_the_message_names_the_characters_that_differ():
    assert did_you_mean("caf\u00e9", ["text", "cafe\u0301"], "", "--text") == (
        "use --text $'cafe\\xcc\\x81'. That name looks alike, but has U+0065 U+0301 where yours has U+00E9."
    )


def test_a_name_that_merely_resembles_another_is_asked_for_as_before():
    assert did_you_mean("cafe", ["café"], "") == "did you mean 'café'?"
    assert did_you_mean("CAFÉ", ["cafe\u0301"], "") == "did you mean $'cafe\\xcc\\x81'?"


def test_a_file_whose_name_looks_alike_is_named_as_it_is_typed(score, tmp_path):
    (tmp_path / "cafe\u0301.csv").write_text("text\ngood\n")
    result = score(tmp_path / "caf\u00e9.csv")
    assert result.code == 2
    assert "does not exist; use $'cafe\\xcc\\x81.csv'." in result.err


def test_names_that_look_alike_are_different_columns(score, tmp_path):
    (tmp_path / "in.csv").write_text("text,é,e\u0301\ngood,1,2\n")
    assert score(tmp_path / "in.csv", "--keep", "e\u0301", "--keep", "é").out.splitlines()[1].startswith("1,2,1,")
