"""--shard: N runs of the same command, one for each range of records, together give the output of one run."""

import gzip
import json
import os
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import reviews, start
from hypothesis import given
from hypothesis import strategies as st

from scorer.base.errors import UsageError
from scorer.run.options import Shard

pytestmark = pytest.mark.usefixtures("small_chunks")

ROWS = 43


@pytest.fixture
def folder(tmp_path):
    """Folder with 43 records in each format: every 9th has no text, and in JSONL the first is broken."""
    texts = ["" if row % 9 == 0 else text for row, text in enumerate(reviews(ROWS, 2, 3).texts, start=1)]
    lines = [json.dumps({"id": row, "text": text, "n": f"a\n{row}"}) for row, text in enumerate(texts, start=1)]
    lines[0] = "broken"
    (tmp_path / "in.jsonl").write_text("\n".join([*lines[:20], "", *lines[20:]]) + "\n")
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress((tmp_path / "in.jsonl").read_bytes()))
    (tmp_path / "in.csv").write_text(
        "id,text,n\n" + "".join(f'{row},{text},"a\n{row}"\n' for row, text in enumerate(texts))
    )
    pq.write_table(pa.table({"id": range(ROWS), "text": texts}), tmp_path / "in.parquet", row_group_size=10)
    return tmp_path


@given(st.integers(0, 1000), st.integers(1, 60))
def test_the_ranges_hold_each_row_once_in_order_and_are_of_one_size(total, count):
    ranges = [Shard(index, count).rows(total) for index in range(1, count + 1)]
    assert [row for first, last in ranges for row in range(first, last + 1)] == list(range(1, total + 1))
    sizes = [last - first + 1 for first, last in ranges]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("source", "out"),
    [("in.jsonl", "csv"), ("in.csv", "jsonl"), ("in.jsonl.gz", "csv"), ("in.parquet", "csv"), ("in.*l", "jsonl")],
)
@pytest.mark.parametrize("count", [1, 3, 60])
def test_headers_aside_the_shards_one_after_the_other_are_the_whole(score, folder, source, out, count):
    options = ("--details", "--source")
    score(folder / source, "-o", folder / f"whole.{out}", *options)
    heads, parts, rejects, codes = set(), [], b"", set()
    for index in range(1, count + 1):
        place = folder / f"part-{index}.{out}"
        codes.add(score(folder / source, "-o", place, *options, "--shard", f"{index}/{count}").code)
        head, body = place.read_bytes().split(b"\n", 1) if out == "csv" else (b"", place.read_bytes())
        heads.add(head)
        parts.append(body)
        if (folder / f"{place.name}.rejects.jsonl").exists():
            rejects += (folder / f"{place.name}.rejects.jsonl").read_bytes()
        if not body and index == 1:
            assert not codes - {0, 3, 4}
    whole = (folder / f"whole.{out}").read_bytes()
    assert len(heads) == 1
    assert (b"" if out == "jsonl" else heads.pop() + b"\n") + b"".join(parts) == whole
    assert rejects == (folder / f"whole.{out}.rejects.jsonl").read_bytes()


def test_parquet_shards_have_one_schema_and_the_rows_of_the_whole(score, folder):
    score(folder / "in.parquet", "-o", folder / "whole.parquet")
    (folder / "parts").mkdir()
    for index in range(1, 51):  # some are empty
        score(folder / "in.parquet", "-o", folder / "parts" / f"{index:02}.parquet", "--shard", f"{index}/50")
    parts = [pq.read_table(path) for path in sorted((folder / "parts").glob("*.parquet"))]
    assert len({str(part.schema) for part in parts}) == 1
    assert pa.concat_tables(parts).equals(pq.read_table(folder / "whole.parquet"))


def test_a_limit_is_that_of_the_whole(score, folder):
    score(folder / "in.csv", "-o", folder / "whole.jsonl", "--limit", "20")
    parts = b""
    for index in (1, 2):
        score(folder / "in.csv", "-o", folder / "part.jsonl", "--limit", "20", "--shard", f"{index}/2")
        parts += (folder / "part.jsonl").read_bytes()
    assert parts == (folder / "whole.jsonl").read_bytes()


def test_an_interrupted_shard_is_resumed_and_its_record_names_the_row(score, folder, interrupted):
    command = (folder / "in.jsonl", "-o", folder / "out.csv", "--shard", "2/2", "--summary", folder / "run.json")
    score(*command[:1], "-o", folder / "whole.csv", *command[3:])
    record = json.loads((folder / "run.json").read_text())
    assert record["shard"] == {"index": 2, "count": 2, "first_row": 22, "last_row": 43, "rows_of_all_shards": 43}
    assert record["rows_in"] == 22
    assert interrupted(2, *command).code == 143
    assert "Resuming at row " in score(*command).err
    assert json.loads((folder / "run.json").read_text())["resumed_from_row"] > 22
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    # Another shard's work is not resumed as this one's.
    interrupted(2, *command)
    result = score(*command[:3], "--shard", "1/2")
    assert '--shard was "2/2", now "1/2"' in result.err


@pytest.mark.parametrize("windows", [1, 2, 4])
@pytest.mark.parametrize("out", ["csv", "csv.gz", "parquet"])
def test_a_shard_of_rejects_alone_is_published(score, tmp_path, interrupted, out, windows):
    texts = [""] * 20 + ["good"] * 20
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    command = (tmp_path / "in.jsonl", "--shard", "1/2")
    assert score(*command, "-o", tmp_path / f"whole.{out}").code == 3
    assert interrupted(windows, *command, "-o", tmp_path / f"out.{out}").code == 143
    assert score(*command, "-o", tmp_path / f"out.{out}").code == 3
    assert (tmp_path / f"out.{out}").read_bytes() == (tmp_path / f"whole.{out}").read_bytes()
    assert len((tmp_path / f"out.{out}.rejects.jsonl").read_text().splitlines()) == 20


@pytest.mark.parametrize("name", ["in.parquet", "in.csv"])
def test_a_shard_whose_rows_are_others_now_is_started_over(score, folder, interrupted, name):
    command = (folder / name, "--shard", "2/2", "-o", folder / "out.jsonl")
    assert interrupted(2, *command, "--limit", "30").code == 143
    result = score(*command, "--limit", "40")
    assert (
        "Not resuming the interrupted run: the shard's rows were [16, 30], now [21, 40]. Starting over." in result.err
    )
    rows = [json.loads(line)["row"] for line in (folder / "out.jsonl").read_text().splitlines()]
    assert rows == [row for row in range(21, 41) if row not in (27, 36)]


def test_a_pipe_is_no_input_for_shards(score, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    result = score(tmp_path / "fifo", "--input-format", "jsonl", "--shard", "1/2", "-o", tmp_path / "out.csv")
    assert (result.code, "a stream can be read only once" in result.err) == (2, True)


def test_stdin_and_what_is_no_shard_are_refused(score, bundle, folder):
    run = start(bundle, "-", "--input-format", "jsonl", "--shard", "1/2")
    _, err = run.communicate(b'{"text": "good"}\n')
    assert (run.returncode, err.decode()) == (
        2, "Error: --shard needs files: each shard counts all rows first, and a stream can be read only once.\n",
    )  # fmt: skip
    take = partial(score, folder / "in.csv", "-o", folder / "out.csv", "--shard")
    assert "--shard 0/2: I must be from 1 to N. If the scheduler counts from 0, add 1: " in take("0/2").err
    for wrong in ("3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""):
        result = take(wrong)
        assert (result.code, "--shard" in result.err) == (2, True)
    with pytest.raises(UsageError):
        Shard.parse("1 /2")
