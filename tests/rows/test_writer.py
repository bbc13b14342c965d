"""Writing: every output format reads back exactly."""

import csv
import gzip
import io
import json
from operator import itemgetter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.rows.columns import Column
from scorer.rows.writer import formatter


@given(st.lists(st.text(alphabet='ab",;\t\r\n é'), min_size=2, max_size=4))
def test_written_csv_and_jsonl_read_back_exactly(values):
    columns = [f"c{n}" for n in range(len(values))]
    specified = [Column(name, "carried", itemgetter(n)) for n, name in enumerate(columns)]
    for kind, delimiter in (("csv", ","), ("tsv", "\t")):
        head, rows = formatter(kind, specified)
        back = list(
            csv.reader(io.StringIO((head + rows([values])).decode(), newline=""), delimiter=delimiter, strict=True)
        )
        assert back == [columns, values]
    head, rows = formatter("jsonl", specified)
    assert json.loads(head + rows([values])) == dict(zip(columns, values, strict=True))
    assert rows([values]).count(b"\n") == 1


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
