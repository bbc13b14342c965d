"""Parquet, gzip and Zstandard, folders: every format in and out, with the values and types as they were."""

import csv
import datetime
import decimal
import gzip
import io
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from factories import reviews, start

from scorer.base.errors import InputError, UsageError
from scorer.rows.formats import format_of
from scorer.rows.parquet_writer import stream_formatter, to_parquet
from scorer.storage.compression import compress
from scorer.storage.inputs import expand
from scorer.storage.output import StreamDestination

TEXTS = ["good great film", "awful dull film", "a film", None, "fine", " ", "the plot", "cold"]
TIME = pa.timestamp("ns", "Europe/Berlin")


def every_type():
    """A table with a column of each type that pyarrow reads back from Parquet as it was."""
    numbers, count = range(len(TEXTS)), len(TEXTS)
    columns = {
        "id": pa.array(numbers, pa.int16()),
        "text": pa.array([TEXTS[n] for n in numbers]),
        "large": pa.array([None if n == 1 else f"l{n}" for n in numbers], pa.large_string()),
        "category": pa.array(["low", "high"] * (count // 2)).dictionary_encode(),
        "ordered": pa.array(["b", "a"] * (count // 2)).cast(pa.dictionary(pa.int8(), pa.string(), ordered=True)),
        "unsigned": pa.array(numbers, pa.uint8()),
        "half": pa.array(np.arange(count, dtype=np.float16)),
        "single": pa.array([0.1] * count, pa.float32()),
        "double": pa.array([0.1, float("nan"), float("inf"), None] * (count // 4)),
        "money": pa.array([decimal.Decimal("1.10")] * count, pa.decimal128(10, 2)),
        "time": pa.array([1_700_000_000_123_456_789 + n for n in numbers], TIME),
        "day": pa.array([datetime.date(2026, 11, 23)] * count),
        "flag": pa.array([True, None] * (count // 2)),
        "bytes": pa.array([b"\xff\x00"] * count),
        "list": pa.array([[1, None], None] * (count // 2), pa.large_list(pa.int8())),
        "record": pa.array([{"a": 1, "b": [{"c": "x"}]}] * count),
        "map": pa.array([[("k", 1)], []] * (count // 2), pa.map_(pa.string(), pa.int32())),
    }
    schema = pa.schema([pa.field(name, array.type, nullable=name != "id") for name, array in columns.items()])
    return pa.table(columns, schema.set(0, schema.field(0).with_metadata({"unit": "none"})))


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(every_type(), path, row_group_size=3)
    return path


# Parquet in and out


def test_passed_through_columns_keep_their_types_and_values_from_parquet_to_parquet(score, parquet, tmp_path):
    result = score(parquet, "-o", tmp_path / "out.parquet", "--keep", "*", "--details")
    assert result.code == 3
    before, after = pq.read_table(parquet), pq.read_table(tmp_path / "out.parquet")
    kept = before.take([0, 1, 2, 4, 6, 7])
    for name in before.column_names:
        assert after.schema.field(name).equals(before.schema.field(name), check_metadata=name == "id"), name
        # Arrow's own comparison takes NaN for unlike itself.
        assert str(after[name].to_pylist()) == str(kept[name].to_pylist()), name
    assert after.column_names == [
        "row", *before.column_names, "label", "score", "tokens", "truncated", "score_negative", "score_positive",
    ]  # fmt: skip
    own = [after.schema.field(name).type for name in ("row", "label", "score", "tokens", "truncated")]
    assert own == [pa.int64(), pa.string(), pa.float64(), pa.int64(), pa.bool_()]
    assert after["row"].to_pylist() == [1, 2, 3, 5, 7, 8]


def test_the_scores_are_those_of_the_same_texts_in_jsonl(score, parquet, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(TEXTS))
    )
    score(tmp_path / "in.jsonl", "-o", tmp_path / "a.csv")
    score(parquet, "-o", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    score(parquet, "-o", tmp_path / "c.parquet")
    with open(tmp_path / "a.csv", newline="") as file:
        rows = [(int(row["row"]), row["label"], float(row["score"])) for row in csv.DictReader(file)]
    table = pq.read_table(tmp_path / "c.parquet", columns=["row", "label", "score"])
    assert rows == list(zip(*table.to_pydict().values(), strict=True))


def test_parquet_values_are_spelled_exactly_in_jsonl_and_csv(score, parquet, tmp_path):
    score(parquet, "-o", tmp_path / "out.jsonl", "--keep", "*")
    line = (tmp_path / "out.jsonl").read_text().splitlines()[0]
    assert line.startswith(
        '{"row":1,"id":0,"text":"good great film","large":"l0","category":"low","ordered":"b","unsigned":0,"half":0.0,'
        '"single":0.1,"double":0.1,"money":1.10,"time":"2023-11-14T22:13:20.123456789Z","day":"2026-11-23",'
        '"flag":true,"bytes":"/wA=","list":[1,null],"record":{"a":1,"b":[{"c":"x"}]},"map":{"k":1},"label":'
    )
    assert '"double":"NaN"' in (tmp_path / "out.jsonl").read_text()
    score(parquet, "-o", tmp_path / "out.csv", "--keep", "*")
    with open(tmp_path / "out.csv", newline="") as file:
        row = list(csv.DictReader(file))[1]
    assert (row["large"], row["double"], row["money"], row["list"], row["flag"]) == ("", "NaN", "1.10", "", "")
    assert row["record"] == '{"a":1,"b":[{"c":"x"}]}'


def test_values_of_text_files_are_text_in_parquet_whatever_they_look_like(score, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        '{"text": "good", "a": 1.10, "b": {"x": [1,  2]}, "c": null, "d": "007"}\n{"text": "bad"}\n'
    )
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.parquet", "--keep", "*")
    table = pq.read_table(tmp_path / "out.parquet", columns=["a", "b", "c", "d"])
    assert set(table.schema.types) == {pa.string()}
    assert table.to_pylist() == [{"a": "1.10", "b": '{"x": [1,  2]}', "c": None, "d": "007"}, dict.fromkeys("abcd")]


def test_a_reject_of_parquet_says_which_row_it_was_and_what_was_read_of_it(score, parquet, tmp_path):
    score(parquet, "-o", tmp_path / "out.csv", "--keep", "money")
    found = [json.loads(line) for line in (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()]
    raw = '{"id":3,"text":null,"money":1.10}\n'
    assert found[0] == {
        "row": 4, "source": str(parquet), "line": 4, "offset": None, "reason": "empty_text", "raw": raw,
        "length": len(raw), "raw_truncated": False,
    }  # fmt: skip
    assert [reject["reason"] for reject in found] == ["empty_text", "empty_text"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()])
def test_text_of_any_arrow_type_is_scored_and_what_is_no_utf8_or_too_long_is_rejected(score, tmp_path, kind):
    bad = pa.Array.from_buffers(
        pa.string(), 4, [None, pa.array([0, 4, 6, 106, 110], pa.int32()).buffers()[1], pa.py_buffer(b"good\xff\xfe" + b"x" * 100 + b"dull")]
    )  # fmt: skip
    given = bad.cast(pa.binary()) if pa.types.is_binary(kind) else bad
    if kind in (pa.large_string(), pa.large_binary()):
        given = bad.cast(pa.binary()).cast(pa.large_binary())
        given = given if kind == pa.large_binary() else pa.Array.from_buffers(kind, 4, given.buffers())
    if kind == pa.string_view():  # cannot hold what is no UTF-8 on its way through a cast
        given = pa.array(["good", None, "x" * 100, "dull"], kind)
    pq.write_table(pa.table({"text": given}), tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv", "--max-record-bytes", "99")
    assert [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()] == ["row", "1", "4"]
    found = [json.loads(line)["reason"] for line in (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()]
    assert found == ["empty_text" if kind == pa.string_view() else "invalid_encoding", "too_long"]
    assert result.code == 3
    assert (
        score(
            tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--keep", "text", "--max-record-bytes", "99"
        ).code
        == 3
    )
    assert pq.read_schema(tmp_path / "out.parquet").field("text").type == kind


def test_a_text_column_in_a_dictionary_is_scored(score, tmp_path):
    texts = pa.array(["good", "bad", "good", None]).dictionary_encode()
    pq.write_table(pa.table({"review": texts}), tmp_path / "in.parquet")
    assert score(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--keep", "review").code == 3
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["review"].to_pylist() == ["good", "bad", "good"]
    assert table.schema.field("review").type == texts.type


def test_a_column_without_text_is_refused_and_others_are_named(score, parquet, tmp_path):
    result = score(parquet, "-o", tmp_path / "out.csv", "--text", "unsigned")
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        f"Error: {parquet}: the column 'unsigned' holds no text but uint8. Name another with --text; it has text in: "
        "'text', 'large', 'category', 'ordered', 'bytes'."
    )


def test_later_files_without_the_text_cost_their_records_and_the_hint_names_what_is_there(score, tmp_path):
    pq.write_table(pa.table({"text": ["good"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"body": ["good"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("body\nx\n")
    result = score(tmp_path / "?.*", "-o", tmp_path / "out.csv")
    assert result.code == 3
    found = [json.loads(line) for line in (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()]
    assert [(reject["reason"], reject["raw"]) for reject in found] == [
        ("missing_text", '{"body":"good"}\n'), ("not_text", '{"text":1}\n'), ("missing_text", "x\n"),
    ]  # fmt: skip
    assert (
        f"missing_text: {tmp_path / 'b.parquet'} has no column 'text', which the first file has; it has: 'body'."
        in result.err
    )


def test_columns_whose_names_hold_dots_are_told_from_the_fields_of_records(score, tmp_path):
    table = pa.table({"text": ["good"], "a": [{"b": 1, "c": 2}], "a.b": ["dotted"]})
    pq.write_table(table, tmp_path / "in.parquet")
    for keep in ("a", "a.b"):
        score(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--keep", keep)
        assert pq.read_table(tmp_path / "out.parquet")[keep].to_pylist() == table[keep].to_pylist()


def test_types_that_differ_between_files_are_refused_and_those_that_go_together_do(score, tmp_path):
    pq.write_table(pa.table({"text": ["good"], "x": pa.array([1], pa.int8())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["good"], "x": pa.array([1], pa.int64())}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": ["good"], "x": pa.nulls(1)}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"text": ["good"]}), tmp_path / "d.parquet")
    inputs = [tmp_path / f"{name}.parquet" for name in "abcd"]
    result = score(*inputs[:2], "-o", tmp_path / "out.parquet", "--keep", "x")
    assert result.code == 2
    assert (
        f"{inputs[1]} has the column 'x' as int64; {inputs[0]} has it as int8, and a Parquet column has one type."
        in result.err
    )
    assert not (tmp_path / "out.parquet").exists()
    assert score(inputs[0], *inputs[2:], "-o", tmp_path / "out.parquet", "--keep", "x").code == 0
    assert pq.read_table(tmp_path / "out.parquet")["x"].to_pylist() == [1, None, None]
    assert pq.read_schema(tmp_path / "out.parquet").field("x").type == pa.int8()


def test_dictionaries_too_large_for_their_indices_together_are_written_in_several_row_groups():
    kind = pa.dictionary(pa.int8(), pa.string())
    head, messages = stream_formatter(["row", "x"], {1: pa.field("x", kind)})
    from scorer.rows.arrow_value import ArrowValue

    data = head
    for first in (0, 100):
        values = pa.array([f"v{n}" for n in range(first, first + 100)]).cast(kind)
        data += messages((first + n, ArrowValue(values, n)) for n in range(100))
    out = io.BytesIO()
    to_parquet(io.BytesIO(data), out.write)
    table = pq.read_table(out)
    assert table["x"].to_pylist() == [f"v{n}" for n in range(200)]
    assert pq.ParquetFile(out).metadata.num_row_groups == 2


def test_row_groups_are_streamed_in_bounded_batches(tmp_path):
    """A row group of large texts is not decoded at once."""
    from scorer.rows.columns import Wanted
    from scorer.rows.parquet_reader import _BATCH_BYTES
    from scorer.rows.reader import Inputs, Reader

    texts = [f"{n} " + "word " * 40_000 for n in range(200)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet", use_dictionary=False, write_batch_size=4)
    del texts
    before = pa.total_allocated_bytes()
    most = 0
    for _ in Reader(Inputs((str(tmp_path / "in.parquet"),)), Wanted()):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 3 * _BATCH_BYTES  # of 40 MB


def test_an_output_without_rows_is_a_table_without_rows(score, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n")
    assert score(tmp_path / "in.csv", "-o", tmp_path / "out.parquet").code == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert (table.num_rows, table.column_names) == (0, ["row", "id", "label", "score"])
    pq.write_table(table.rename_columns(["row", "id", "text", "score"]), tmp_path / "in.parquet")
    assert score(tmp_path / "in.parquet", "-o", tmp_path / "again.parquet", "--keep", "row").code == 0
    assert pq.read_schema(tmp_path / "again.parquet").field("input_row").type == pa.int64()


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_cut_parquet_file_is_refused(score, parquet, tmp_path, share):
    data = parquet.read_bytes()
    parquet.write_bytes(data[: int(len(data) * share)])
    result = score(parquet, "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert f"{parquet} is no Parquet file, cut short or damaged: " in result.err
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_page_with_a_checksum_is_refused(score, tmp_path):
    texts = [f"good film {n}" for n in range(2000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet", compression=None, write_page_checksum=True)
    data = bytearray((tmp_path / "in.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "in.parquet").write_bytes(data)
    result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "in.parquet is no Parquet file, cut short or damaged: " in result.err


def test_parquet_passes_through_stdin_and_stdout(bundle, parquet):
    options = ("-", "--input-format", "parquet", "--output-format", "parquet", "--rejects", "/dev/null")
    run = start(bundle, *options)
    out, err = run.communicate(parquet.read_bytes())
    assert run.returncode == 3, err
    assert pq.read_table(io.BytesIO(out))["id"].to_pylist() == [0, 1, 2, 4, 6, 7]


def footer_says(path, rows):
    """A file whose directory says that it has so many rows, of less than 64."""
    data = bytearray(path.read_bytes())
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    there = pq.ParquetFile(path).metadata.num_rows
    at = data.index(bytes([0x16, 2 * there]), start)  # a field of type i64 and its zigzag number
    data[at + 1] = 2 * rows
    path.write_bytes(data)


def test_a_directory_that_contradicts_its_row_groups_is_refused(score, tmp_path):
    pq.write_table(pa.table({"text": ["good"] * 50}), tmp_path / "in.parquet", store_schema=False)
    footer_says(tmp_path / "in.parquet", 30)
    for shard in ((), ("--shard", "1/2")):
        result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv", *shard)
        assert result.code == 4
        assert "its row groups have 50 rows, its directory says 30" in result.err


def test_odd_values_cost_no_more_than_their_record(score, tmp_path):
    bad = pa.ListArray.from_arrays([0, 1, 2], pa.Array.from_buffers(
        pa.string(), 2, [None, pa.array([0, 4, 5], pa.int32()).buffers()[1], pa.py_buffer(b"good\xff")]
    ))  # fmt: skip
    columns = {
        "text": ["good", "bad"],
        "words": bad,
        "mars": pa.array([0, 1], pa.timestamp("us", "Mars/Phobos")),
        "late": pa.array([0, 2**31 - 1], pa.date32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    for out in ("out.jsonl", "out.parquet"):
        assert score(tmp_path / "in.parquet", "-o", tmp_path / out, "--keep", "*").code == 3
    line = (tmp_path / "out.jsonl").read_text()
    assert '"words":["good"],"mars":"1970-01-01T00:00:00.000000Z","late":"1970-01-01",' in line
    reject = json.loads((tmp_path / "out.jsonl.rejects.jsonl").read_text())
    assert reject["reason"] == "invalid_encoding"
    assert pq.read_table(tmp_path / "out.parquet")["mars"].type == columns["mars"].type
    score(tmp_path / "in.parquet", "-o", tmp_path / "out.jsonl", "--keep", "late")
    assert '"late":"2147483647"' in (tmp_path / "out.jsonl").read_text()


def test_a_later_file_with_a_column_twice_that_nobody_needs_costs_its_records(score, tmp_path):
    pq.write_table(pa.table({"text": ["good"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]), tmp_path / "b.parquet")
    assert score(tmp_path / "a.parquet", tmp_path / "b.parquet", "-o", tmp_path / "out.csv").code == 3
    reject = json.loads((tmp_path / "out.csv.rejects.jsonl").read_text())
    assert (reject["reason"], reject["raw"]) == ("missing_text", '{"x":1,"x":2}\n')


def test_parquet_comes_through_a_pipe_too(score, parquet, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(parquet.read_bytes()))
    writer.start()
    result = score(tmp_path / "fifo", "--input-format", "parquet", "-o", tmp_path / "out.csv")
    writer.join()
    assert (result.code, len((tmp_path / "out.csv").read_text().splitlines())) == (3, 7)


# Archives


@pytest.mark.parametrize(
    "extension", ["csv", "tsv", "jsonl", "ndjson", "csv.gz", "tsv.gz", "jsonl.gz", "csv.zst", "jsonl.zst", "parquet"]
)
def test_every_format_in_gives_the_same_and_every_format_out_holds_the_same(score, tmp_path, extension):
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


def test_archives_are_what_gzip_and_zstd_read_and_the_same_bytes_each_time(score, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\nbad\n")
    score(tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    plain = (tmp_path / "out.csv").read_bytes()
    for name in ("out.csv.gz", "out.csv.zst"):
        score(tmp_path / "in.csv", "-o", tmp_path / name)
        data = (tmp_path / name).read_bytes()
        score(tmp_path / "in.csv", "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes() == data
        found = (
            gzip.decompress(data) if name.endswith("gz") else zstandard.ZstdDecompressor().stream_reader(data).read()
        )
        assert found == plain


def test_rejects_are_compressed_where_their_name_says_so(score, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\n \n")
    assert score(tmp_path / "in.csv", "-o", tmp_path / "o.csv", "--rejects", tmp_path / "r.jsonl.gz").code == 3
    assert json.loads(gzip.decompress((tmp_path / "r.jsonl.gz").read_bytes()))["reason"] == "empty_text"


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_members_in_a_row_are_one_file_and_offsets_are_those_of_what_they_hold(score, tmp_path, compression):
    parts = [b'{"text": "good"}\n{"te', b'xt": ""}\n', b"", b'{"text": "bad"}\n']
    path = tmp_path / f"in.jsonl.{compression}"
    path.write_bytes(b"".join(compress(part, compression) for part in parts))
    assert score(path, "-o", tmp_path / "out.csv").code == 3
    found = json.loads((tmp_path / "out.csv.rejects.jsonl").read_text())
    assert (found["row"], found["line"], found["offset"]) == (2, 2, 17)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_an_archive_that_is_cut_anywhere_is_never_a_short_success(tmp_path, compression):
    from scorer.rows.columns import Wanted
    from scorer.rows.reader import Inputs, Reader

    data = compress(b'{"text": "good"}\n' * 3, compression) + compress(b'{"text": "bad"}\n' * 3, compression)
    path = tmp_path / f"in.jsonl.{compression}"
    whole = len(compress(b'{"text": "good"}\n' * 3, compression))
    for length in range(len(data)):
        path.write_bytes(data[:length])
        reader = Reader(Inputs((str(path),)), Wanted())
        if length == whole:
            assert len(list(reader)) == 3  # which is a whole archive
            continue
        with pytest.raises(InputError, match="is cut short"):
            list(reader)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("in.jsonl.gz", gzip.compress(b'{"text":"good"}\n')[:-4], "is cut short or damaged, has something behind its end, or is no gzip file (Truncated compressed stream)"),
        ("in.jsonl.zst", b"", "is cut short: a Zstandard file has more than 0 bytes."),
        ("in.jsonl.gz", b'{"text":"good"}\n', "is cut short or damaged, has something behind its end, or is no gzip file"),
        ("in.csv.gz", gzip.compress(b"text\ngood\n") + b"behind it", "is cut short or damaged, has something behind its end, or is no gzip file"),
        ("in.jsonl.gz", gzip.compress(b" " * 150_000_000, 6), "expands to more than 500 times its size"),
        ("in.csv.zst", zstandard.compress(b"text\n" + b"x" * 150_000_000), "expands to more than 500 times its size"),
    ],
    ids=["cut", "empty", "plain", "garbage", "gzip bomb", "zstd bomb"],
)  # fmt: skip
def test_archives_that_are_none_cut_or_bombs_end_with_4_and_nothing(score, tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    result = score(tmp_path / name, "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert f"Error: {tmp_path / name} {message}" in result.err
    assert not (tmp_path / "out.csv").exists()


def test_a_window_that_would_fill_memory_is_refused(score, tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "in.jsonl.zst").write_bytes(data.compress(b'{"text": "good"}\n') + data.flush())
    result = score(tmp_path / "in.jsonl.zst", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "requires too much memory" in result.err


def test_a_compressed_stream_is_read_where_the_format_says_so(bundle):
    run = start(bundle, "-", "--input-format", "jsonl.gz", "--output-format", "jsonl.zst")
    out, err = run.communicate(gzip.compress(b'{"text": "good"}\n'))
    assert run.returncode == 0, err
    assert json.loads(zstandard.ZstdDecompressor().stream_reader(out).read())["row"] == 1


def test_the_format_that_is_given_leaves_the_compression_to_the_name():
    assert format_of("part-0001.gz", "csv", "--input-format").compression == "gz"
    assert format_of("x.dat", "jsonl.zst", "--input-format").compression == "zst"
    for path, given, message in (
        ("x.parquet.gz", None, "x.parquet.gz: Parquet is compressed inside; it is not read or written as .gz."),
        ("x.gz", None, "the format of x.gz cannot be told from its name: give --input-format, one of: "),
        ("x.csv", "xml", "--input-format 'xml' is no format: give --input-format, one of: "),
    ):
        with pytest.raises(UsageError) as caught:
            format_of(path, given, "--input-format")
        assert str(caught.value).startswith(message)


# Several files


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


def test_a_file_of_unknown_format_in_a_folder_is_an_error_and_not_left_out(score, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text\ngood\n")
    (tmp_path / "in" / "notes.txt").write_text("remember the milk")
    result = score(tmp_path / "in", "-o", tmp_path / "out.csv")
    assert result.code == 2
    assert (
        f"the format of {tmp_path / 'in' / 'notes.txt'} cannot be told from its name: give --input-format" in result.err
    )


@pytest.mark.parametrize("out", ["out.csv", "out.jsonl", "out.parquet"])
def test_source_names_each_rows_file(score, tmp_path, out, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id,text,source\n1,good,web\n")
    pq.write_table(pa.table({"id": ["2", "3"], "text": ["bad", "fine"]}), tmp_path / "in" / "b.parquet")
    (tmp_path / "in" / "c.jsonl.gz").write_bytes(gzip.compress(b'{"text": "good"}\n'))
    assert score("in", "-o", out, "--source", "--keep", "source").code == 0
    score(out, "-o", "back.jsonl", "--text", "label", "--keep", "*", "-q")
    rows = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == ["in/a.csv", "in/b.parquet", "in/b.parquet", "in/c.jsonl.gz"]
    assert [row["input_source"] or None for row in rows] == ["web", None, None, None]
    assert [str(row["input_row"]) for row in rows] == ["1", "2", "3", "4"]


def test_nested_values_of_jsonl_pass_through_to_the_letter(score, tmp_path):
    nested = '{"a": [1.10, {"b":null}], "c":"\\u00e9"}'
    (tmp_path / "in.jsonl").write_text(f'{{"text": "good", "meta": {nested}, "tags": [ ]}}\n')
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--keep", "*")
    assert f'"meta":{nested},"tags":[ ],' in (tmp_path / "out.jsonl").read_text()
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--keep", "meta")
    with open(tmp_path / "out.csv", newline="") as file:
        assert next(csv.DictReader(file))["meta"] == nested


def test_a_stream_that_is_converted_sends_nothing_before_it_is_published():
    sent = io.BytesIO()
    place = StreamDestination(sent, close=False, convert=lambda stream, write: write(stream.read().upper()))
    place.write(b"abc")
    assert sent.getvalue() == b""
    place.publish()
    assert sent.getvalue() == b"ABC"
    assert place.published == (3, "b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78")


def test_pyarrow_is_not_imported_for_plain_files():
    code = "import scorer.run.score, scorer.cli.score, sys; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
