"""Parquet in and out: every value keeps its type, memory is bounded, and damage is refused."""

import csv
import datetime
import decimal
import io
import json
import os
import threading
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import start

from scorer.rows import parquet_writer
from scorer.rows.columns import Column, Wanted
from scorer.rows.parquet_writer import to_parquet
from scorer.rows.reader import Inputs, Reader

TEXTS = ["good great film", "awful dull film", "a film", None, "fine", " ", "the plot", "cold"]

TIME = pa.timestamp("ns", "Europe/Berlin")


def every_type():
    """Return a table with a column of each type that pyarrow reads back unchanged from Parquet."""
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


def test_passed_through_columns_keep_their_types_and_values_from_parquet_to_parquet(score, parquet, tmp_path):
    result = score(parquet, "-o", tmp_path / "out.parquet", "--keep", "*", "--details")
    assert result.code == 3
    before, after = pq.read_table(parquet), pq.read_table(tmp_path / "out.parquet")
    kept = before.take([0, 1, 2, 4, 6, 7])
    for name in before.column_names:
        assert after.schema.field(name).equals(before.schema.field(name), check_metadata=name == "id"), name
        # In Arrow's own comparison, NaN differs from itself.
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


def test_a_parquet_reject_has_its_row_number_and_the_values_that_were_read(score, parquet, tmp_path):
    score(parquet, "-o", tmp_path / "out.csv", "--keep", "money")
    found = [json.loads(line) for line in (tmp_path / "out.csv.rejects.jsonl").read_text().splitlines()]
    raw = '{"id":3,"text":null,"money":1.10}\n'
    assert found[0] == {
        "row": 4, "source": str(parquet), "line": 4, "offset": None, "reason": "empty_text", "raw": raw,
        "length": len(raw), "raw_truncated": False,
    }  # fmt: skip
    assert [reject["reason"] for reject in found] == ["empty_text", "empty_text"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()])
def test_text_of_any_arrow_type_is_scored_and_invalid_utf8_or_long_text_is_rejected(score, tmp_path, kind):
    bad = pa.Array.from_buffers(
        pa.string(), 4, [None, pa.array([0, 4, 6, 106, 110], pa.int32()).buffers()[1], pa.py_buffer(b"good\xff\xfe" + b"x" * 100 + b"dull")]
    )  # fmt: skip
    given = bad.cast(pa.binary()) if pa.types.is_binary(kind) else bad
    if kind in (pa.large_string(), pa.large_binary()):
        given = bad.cast(pa.binary()).cast(pa.large_binary())
        given = given if kind == pa.large_binary() else pa.Array.from_buffers(kind, 4, given.buffers())
    if kind == pa.string_view():  # a cast to it fails for text that is not UTF-8
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
        f"Error: {parquet}: the column 'unsigned' is uint8, not text. Name another with --text; the text columns are "
        "'text', 'large', 'category', 'ordered', 'bytes'."
    )


def test_columns_with_dots_in_their_names_are_not_mistaken_for_fields_of_records(score, tmp_path):
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
        f"the column 'x' is int64 in {inputs[1]} but int8 in {inputs[0]}, and a Parquet column has one type."
        in result.err
    )
    assert not (tmp_path / "out.parquet").exists()
    assert score(inputs[0], *inputs[2:], "-o", tmp_path / "out.parquet", "--keep", "x").code == 0
    assert pq.read_table(tmp_path / "out.parquet")["x"].to_pylist() == [1, None, None]
    assert pq.read_schema(tmp_path / "out.parquet").field("x").type == pa.int8()


def test_dictionaries_too_large_for_their_indices_together_are_written_in_several_row_groups():
    kind = pa.dictionary(pa.int8(), pa.string())
    columns = [Column("row", "integer", itemgetter(0)), Column("x", "carried", itemgetter(1))]
    head, messages = parquet_writer.formatter(columns, [pa.field("x", kind)])
    from scorer.rows.arrow_value import ArrowValue

    data = head
    for first in (0, 100):
        values = pa.array([f"v{n}" for n in range(first, first + 100)]).cast(kind)
        data += messages([(first + n, ArrowValue(values, n)) for n in range(100)])
    out = io.BytesIO()
    to_parquet(io.BytesIO(data), out.write)
    table = pq.read_table(out)
    assert table["x"].to_pylist() == [f"v{n}" for n in range(200)]
    assert pq.ParquetFile(out).metadata.num_row_groups == 2


def test_row_groups_are_streamed_in_bounded_batches(tmp_path):
    """A row group of large texts is decoded in pieces."""
    from scorer.rows.parquet_reader import _BATCH_BYTES

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
    assert f"{parquet} is not a Parquet file, or it is truncated or damaged: " in result.err
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_page_with_a_checksum_is_refused(score, tmp_path):
    texts = [f"good film {n}" for n in range(2000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet", compression=None, write_page_checksum=True)
    data = bytearray((tmp_path / "in.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "in.parquet").write_bytes(data)
    result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "in.parquet is not a Parquet file, or it is truncated or damaged: " in result.err


def test_parquet_passes_through_stdin_and_stdout(bundle, parquet):
    options = ("-", "--input-format", "parquet", "--output-format", "parquet", "--rejects", "/dev/null")
    run = start(bundle, *options)
    out, err = run.communicate(parquet.read_bytes())
    assert run.returncode == 3, err
    assert pq.read_table(io.BytesIO(out))["id"].to_pylist() == [0, 1, 2, 4, 6, 7]


def footer_says(path, rows):
    """Change the number of rows that a file's footer states; both numbers must be below 64."""
    data = bytearray(path.read_bytes())
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    there = pq.ParquetFile(path).metadata.num_rows
    at = data.index(bytes([0x16, 2 * there]), start)  # a field of type i64 and its zigzag-encoded number
    data[at + 1] = 2 * rows
    path.write_bytes(data)


def test_a_footer_that_contradicts_its_row_groups_is_refused(score, tmp_path):
    pq.write_table(pa.table({"text": ["good"] * 50}), tmp_path / "in.parquet", store_schema=False)
    footer_says(tmp_path / "in.parquet", 30)
    for shard in ((), ("--shard", "1/2")):
        result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv", *shard)
        assert result.code == 4
        assert "its row groups have 50 rows, but its footer states 30" in result.err


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


def test_a_later_file_with_an_unneeded_column_twice_costs_its_records(score, tmp_path):
    pq.write_table(pa.table({"text": ["good"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]), tmp_path / "b.parquet")
    assert score(tmp_path / "a.parquet", tmp_path / "b.parquet", "-o", tmp_path / "out.csv").code == 3
    reject = json.loads((tmp_path / "out.csv.rejects.jsonl").read_text())
    assert (reject["reason"], reject["raw"]) == ("missing_text", '{"x":1,"x":2}\n')


def test_parquet_can_come_through_a_pipe(score, parquet, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(parquet.read_bytes()))
    writer.start()
    result = score(tmp_path / "fifo", "--input-format", "parquet", "-o", tmp_path / "out.csv")
    writer.join()
    assert (result.code, len((tmp_path / "out.csv").read_text().splitlines())) == (3, 7)
