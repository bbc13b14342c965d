"""The reader: several files of any format as one stream of records, numbered and noted."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import texts

from scorer.base.errors import UsageError
from scorer.rows.columns import Wanted
from scorer.rows.dialect import Dialect
from scorer.rows.reader import Inputs, Reader


def test_a_needed_column_that_occurs_twice_is_an_error_in_any_file(tmp_path):
    (tmp_path / "a.csv").write_text("text,x,x\ngood,1,2\n")
    (tmp_path / "b.csv").write_text("text,text\ngood,bad\n")
    files = (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    with pytest.raises(UsageError, match="has the column 'x' more than once"):
        list(Reader(Inputs(files), Wanted(keep=("x",))))
    with pytest.raises(UsageError, match=r"b\.csv has the column 'text' more than once"):
        list(Reader(Inputs(files), Wanted()))


def test_rows_are_numbered_over_all_files_and_a_later_file_may_lack_the_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('broken\n{"id": 1, "text": "one"}\n')
    (tmp_path / "b.csv").write_text("id,body\n2,two\n")
    (tmp_path / "c.csv").write_text("text\nthree\n")
    reader = Reader(Inputs(tuple(str(tmp_path / name) for name in ("a.jsonl", "b.csv", "c.csv"))), Wanted())
    items = list(reader)
    assert [(item.row, text) for item, text in zip(items, texts(items), strict=True)] == [
        (1, "invalid_json"), (2, "one"), (3, "missing_text"), (4, "three"),
    ]  # fmt: skip
    assert items[3].carried == (None,)
    sizes = [(tmp_path / name).stat().st_size for name in ("a.jsonl", "b.csv", "c.csv")]
    assert [content.count for _, content in reader.contents] == sizes
    assert reader.bytes_read == sum(sizes)


def test_later_files_without_the_text_cost_their_records_and_the_hint_names_their_columns(score, tmp_path):
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
        f"missing_text: {tmp_path / 'b.parquet'} has no column 'text', unlike the first file. It has: 'body'."
        in result.err
    )


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_input_hash_is_that_of_the_lines_up_to_each_record(tmp_path, header, end):
    lines = [b"id,text" + end, b'1,"a' + end + b'b"' + end, b"2" + end, b"3,c" + end]
    path = tmp_path / "a.csv"
    path.write_bytes(b"".join(lines))
    dialect = Dialect(header=header)
    reader = Reader(Inputs((str(path),), dialect=dialect), Wanted(text="text" if header else "column_2"))
    expected = hashlib.sha256(str(path).encode())
    if header:
        expected.update(lines.pop(0))
    for line, _ in zip(lines, reader, strict=True):
        expected.update(line)
        assert reader.input_hash == expected.hexdigest()
