"""Huge lines, headers and texts: they take time in proportion to their size, and no extra memory."""

import json
import os
import sys
from pathlib import Path

import pytest
from factories import peak_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

GIGABYTE = 1 << 30
USUAL = {"csv": b"id,text\n1,good\n", "jsonl": b'{"id": 1, "text": "good"}\n'}


@pytest.mark.parametrize("kind", USUAL)
def test_a_line_of_a_gigabyte_costs_one_reject_and_no_memory(bundle, tmp_path, kind):
    small, large, out = tmp_path / f"small.{kind}", tmp_path / f"large.{kind}", tmp_path / "out.csv"
    for path in (small, large):
        path.write_bytes(USUAL[kind])
    os.truncate(large, GIGABYTE)  # zero bytes that take no disk space
    usual = peak_memory(bundle, small, out)
    assert peak_memory(bundle, large, out) < usual + 64
    (reject,) = map(json.loads, Path(f"{out}.rejects.jsonl").read_text().splitlines())
    expected = {"row": 2, "reason": "too_long", "length": GIGABYTE - len(USUAL[kind]), "offset": len(USUAL[kind])}
    assert {key: reject[key] for key in expected} == expected
    assert out.read_text().count("\n") == 2


def test_an_open_quote_before_a_million_lines_takes_no_memory_for_each(bundle, tmp_path):
    small, large, out = tmp_path / "small.csv", tmp_path / "large.csv", tmp_path / "out.csv"
    small.write_bytes(USUAL["csv"])
    large.write_bytes(USUAL["csv"] + b'2,"' + b"\n" * 1_000_000)
    assert peak_memory(bundle, large, out) < peak_memory(bundle, small, out) + 64


def test_a_header_of_100_000_columns_is_read(score, tmp_path):
    names = ",".join(f"c{number}" for number in range(100_000))
    (tmp_path / "in.csv").write_text(f"text,{names}\ngood{',' * 100_000}\ngood\n")
    result = score(tmp_path / "in.csv", "-o", tmp_path / "out.csv", "--keep", "*")
    assert result.code == 3, result.err
    assert "column_count" in result.err


@pytest.mark.parametrize(
    "text",
    ["good film " * 999_000, "x" * 9_900_000, "電影" * 1_600_000, "!" * 9_900_000],
    ids=["words", "a word", "Chinese", "dots"],
)
def test_a_review_of_ten_megabytes_is_scored_by_its_beginning(score, tmp_path, text):
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text}, ensure_ascii=False) + '\n{"text": "good"}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--details")
    assert result.code == 0, result.err
