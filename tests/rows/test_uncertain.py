"""Uncertain rows: their columns in each format, and which files are taken for earlier ones."""

import io
import json

import pytest

from scorer.rows.columns import Selection, Wanted
from scorer.rows.formats import Format
from scorer.rows.record import JsonValue, Position, Record, ScoredRecord
from scorer.rows.uncertain import is_uncertain_rows, uncertain_columns
from scorer.rows.writer import formatter
from scorer.storage.compression import compress

RECORD = Record(
    row=3,
    text='=1+1, "so"\nso',
    carried=(JsonValue("7", "7"), "kept"),
    position=Position("a.jsonl", 3, 0),
    raw=b"",
    length=9,
)
SCORED = ScoredRecord(RECORD, 4, False, "good", (0.4, 0.6), 0.6)
SELECTION = Selection("review", ("id", "stars"))


def test_rows_have_id_source_most_probable_label_score_and_text():
    columns = uncertain_columns(SELECTION, Wanted(source=True))
    head, rows = formatter("csv", columns)
    assert (head + rows([SCORED])).decode() == (
        'row,source,id,label,score,text\n3,a.jsonl,7,good,0.600000,"=1+1, ""so""\nso"\n'
    )
    assert json.loads(formatter("jsonl", columns)[1]([SCORED])) == {
        "row": 3, "source": "a.jsonl", "id": 7, "label": "good", "score": 0.6, "text": '=1+1, "so"\nso'
    }  # fmt: skip


def test_texts_that_are_formulas_are_escaped():
    head, rows = formatter("tsv", uncertain_columns(Selection("text", ()), Wanted()), escape_formulas=True)
    assert (head + rows([SCORED])).decode() == 'row\tlabel\tscore\ttext\n3\tgood\t0.600000\t"\'=1+1, ""so""\nso"\n'


@pytest.mark.parametrize("compression", [None, "gz", "zst"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize(("selection", "wanted"), [(SELECTION, Wanted(source=True)), (Selection("t", ()), Wanted())])
def test_a_file_of_uncertain_rows_is_recognized(compression, kind, selection, wanted):
    head, rows = formatter(kind, uncertain_columns(selection, wanted))
    data = compress(head + rows([SCORED]), compression)
    assert is_uncertain_rows(io.BytesIO(data), Format(kind, compression))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("csv", b"row,id,text,label,score\n"),  # an output with --keep text
        ("csv", b"row,label,score\n"),
        ("csv", b"row,id,source,label,score,text\n"),
        ("csv", b"label,score,text\n"),
        ("csv", b"\xff\xfe\n"),
        ("csv", b""),
        ("jsonl", b'{"row":1,"label":"good","score":0.6}\n'),
        ("jsonl", b'{"row":1,"source":"a","line":1,"offset":0,"reason":"empty_text"}\n'),  # rejects
        ("jsonl", b"[1]\n"),
        ("jsonl", b"7\n"),
        ("jsonl", b"row,label,score,text\n"),
    ],
)
def test_other_files_are_not_taken_for_uncertain_rows(kind, data):
    assert not is_uncertain_rows(io.BytesIO(data), Format(kind))
    assert not is_uncertain_rows(io.BytesIO(data), Format(kind, "gz"))
