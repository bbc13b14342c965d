"""Outputs with names of up to 255 bytes, the most that a file system accepts."""

import json
import os
from pathlib import Path

import pytest

from scorer.cluster.part_scorer import PartScorer
from scorer.cluster.parts import check_folder, find_parts, forget_others
from scorer.rows.rejects import rejects_beside
from scorer.storage.atomic import is_work, publish_folder, sibling
from scorer.storage.lock import hold, release
from scorer.storage.names import LONGEST_NAME, derived_name

pytestmark = pytest.mark.usefixtures("small_chunks")
CHARACTERS = {"ascii": "n", "latin": "é", "kana": "あ", "emoji": "😀"}
LENGTHS = (226, 227, 240, 255)


def name_of(length, character, extension):
    """Return a name of exactly so many bytes."""
    left = length - len(extension)
    size = len(character.encode())
    return "a" * (left % size) + character * (left // size) + extension


@pytest.fixture
def source(tmp_path):
    """Input of 24 texts, and one with a blank line among them as well."""
    lines = [json.dumps({"id": row, "text": f"good film number {row}"}) for row in range(24)]
    (tmp_path / "clean.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in [*lines, '{"id": 25}']))
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.mark.parametrize("extension", [".csv", ".parquet", ".csv.gz", ".jsonl.zst"])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)
def test_an_output_may_have_any_name_that_the_file_system_accepts(score, source, character, length, extension):
    output = source / "out" / name_of(length, character, extension)
    assert len(os.fsencode(output.name)) == length
    result = score(source / "clean.jsonl", "-o", output)
    assert (result.code, os.listdir(output.parent)) == (0, [output.name])
    result = score(source / "in.jsonl", "-o", output)
    (rejects,) = set(os.listdir(output.parent)) - {output.name}
    assert result.code == 3
    assert f"see {output.parent / rejects}." in result.err
    assert json.loads((output.parent / rejects).read_text())["reason"] == "missing_text"
    assert rejects.endswith(".rejects.jsonl")
    assert score(source / "clean.jsonl", "-o", output).code == 0
    assert os.listdir(output.parent) == [output.name]  # the rejects of the run before are gone


@pytest.mark.parametrize("character", ["n", "あ"])
@pytest.mark.parametrize("extension", [".csv", ".parquet", ".csv.gz"])
@pytest.mark.parametrize("length", LENGTHS)
def test_an_interrupted_run_with_a_long_name_resumes(score, source, interrupted, length, extension, character):
    score(source / "in.jsonl", "-o", source / f"whole{extension}")
    output = source / "out" / name_of(length, character, extension)
    assert interrupted(2, source / "in.jsonl", "-o", output).code == 143
    assert all(is_work(Path(name)) for name in os.listdir(output.parent))
    again = score(source / "in.jsonl", "-o", output)
    assert again.err.startswith("Resuming at row 17:")
    assert output.read_bytes() == (source / f"whole{extension}").read_bytes()
    assert sorted(os.listdir(output.parent)) == sorted([output.name, os.path.basename(rejects_beside(str(output)))])


def test_every_file_of_a_run_may_have_a_long_name(score, source):
    names = {
        "--rejects": name_of(255, "r", ".jsonl.gz"),
        "--uncertain-rows": name_of(255, "u", ".csv"),
        "--summary": name_of(255, "s", ".json"),
        "--metrics": name_of(255, "m", ".prom"),
        "--report": name_of(255, "p", ".html"),
    }
    places = [part for option, name in names.items() for part in (option, source / "out" / name)]
    result = score(
        source / "in.jsonl", "-o", source / "out" / name_of(255, "o", ".csv"), "--uncertain", "0.0,1.0", *places
    )
    assert result.code == 3, result.err
    assert set(os.listdir(source / "out")) == {*names.values(), name_of(255, "o", ".csv")}


def test_a_name_that_is_too_long_for_a_file_is_refused_before_the_run(score, source):
    result = score(source / "in.jsonl", "-o", source / "out" / name_of(256, "n", ".csv"))
    assert (result.code, os.listdir(source / "out")) == (1, [])
    assert result.err.endswith("cannot be written: File name too long.\n")


def test_names_that_differ_only_at_their_end_share_no_working_file():
    first, second = (Path("/data") / ("n" * 250 + end) for end in ("1.csv", "2.csv"))
    assert sibling(first, "partial") != sibling(second, "partial")
    assert rejects_beside(str(first)) != rejects_beside(str(second))


@pytest.mark.parametrize("length", range(200, 256))
def test_a_derived_name_is_whole_while_it_fits_and_never_longer_than_a_name_may_be(length):
    for character in CHARACTERS.values():
        name = name_of(length, character, "")
        found = derived_name(name, prefix=".", suffix=".score-partial")
        assert len(found.encode()) <= LONGEST_NAME
        assert (found == f".{name}.score-partial") == (length + 15 <= LONGEST_NAME)
        assert LONGEST_NAME - len(found.encode()) < 4 or found == f".{name}.score-partial"


def test_bytes_that_are_not_utf_8_stay_bytes_of_a_derived_name():
    name = os.fsdecode(b"\xff" * 255)
    assert len(os.fsencode(derived_name(name, suffix=".rejects.jsonl"))) == 255


def test_an_output_under_a_long_name_is_locked_against_another_run(score, source):
    output = source / "out" / name_of(255, "é", ".csv")
    held = hold(sibling(output, "journal"), output.name)
    try:
        result = score(source / "in.jsonl", "-o", output)
    finally:
        release(held)
    assert result.code == 1
    assert "another run is writing" in result.err


def test_a_rejects_file_moves_along_with_an_output_of_a_long_name(score, score_model, source):
    output, moved = (source / "out" / name_of(255, character, ".csv") for character in "om")
    score(source / "in.jsonl", "-o", output, "--summary", source / "run.json")
    os.rename(output, moved)
    os.rename(rejects_beside(str(output)), rejects_beside(str(moved)))
    result = score_model("verify", moved, "--summary", source / "run.json")
    assert result.code == 0, result.out


def test_a_folder_is_published_under_a_long_name(tmp_path):
    for length in (237, 238, 255):
        for character in CHARACTERS.values():
            folder = tmp_path / name_of(length, character, "")
            for content in (b"1", b"2"):
                publish_folder(folder, {"a": content})
            assert (folder / "a").read_bytes() == b"2"
    assert len(os.listdir(tmp_path)) == 3 * len(CHARACTERS)


@pytest.mark.parametrize("stem", [240, 247, 251])
def test_parts_with_long_names_are_scored_once_and_keep_their_notes(source, bundle, stem):
    lake = source / "lake"
    lake.mkdir()
    for number in "12":
        (lake / f"{'p' * (stem - 1)}{number}.csv").write_text("text\ngood\n \n")
    folder = str(source / "scores")
    parts = find_parts([str(lake)])
    scorer = PartScorer(folder, model=str(bundle.path))
    assert [scorer(part).finished_before for part in parts] == [False, False]
    forget_others(folder, parts)
    check_folder(folder, parts, [str(lake)], "parquet")
    assert [scorer(part).finished_before for part in parts] == [True, True]
    assert [len(os.listdir(f"{folder}/{kind}")) for kind in ("_parts", "_rejects")] == [2, 2]
    forget_others(folder, parts[:1])
    assert [len(os.listdir(f"{folder}/{kind}")) for kind in ("_parts", "_rejects")] == [1, 1]
