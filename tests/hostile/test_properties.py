"""Any bytes, in any dialect: nothing is lost or changed, and the result matches a second, independent reader."""

import json
import tempfile
from pathlib import Path

from cases import Case, check
from hypothesis import given, settings
from hypothesis import strategies as st

PIECES = [
    b'"', b"'", b",", b";", b"\t", b"|", b"\\", b"\n", b"\r", b"\r\n", b"\n\n", b'""', b'"\n', b',"', b'",', b'\\"', b"\\\n",
    b"id,text\n", b"text\n", b"1,good\n", b'2,"a\nb"\n', b"a", b" ", b"\0", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"=1", b"-", b"+x", b"@y", b"x" * 50,
    b"\\N", b"#", b"//", b",;", b"aa", b"a a", b",,", b"id,text,id,,\n",
]  # fmt: skip
JSON_PIECES = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\n", b"\r", b" ", b"\t", b'"text"', b'"id"', b'"text": "good"',
    b'{"text": "good"}\n', b'{"id": 1, "text": "a"}\n', b"null", b"true", b"NaN", b"-Infinity", b"1E400", b"007", b"1.10",
    b"\\ud800", b"\\ude00", b"\\u0000", b"\0", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b'"a\tb"', b"x" * 50,
]  # fmt: skip


def of(pieces):
    return st.lists(st.sampled_from(pieces), max_size=40).map(b"".join) | st.binary(max_size=200)


outputs = {
    "output_kind": st.sampled_from(["csv", "tsv", "jsonl"]),
    "details": st.booleans(),
    "escape_formulas": st.booleans(),
    "limit": st.sampled_from([7, 30, 10_000_000]),
}
csv_cases = st.builds(
    Case,
    data=st.builds(bytes.__add__, st.sampled_from([b"", b"id,text\n", b"text\n", b"id;text\r\n", b"id\ttext\n"]), of(PIECES)),
    kind=st.sampled_from(["csv", "tsv"]),
    delimiter=st.sampled_from([None, None, ";", "|", " ", "é", ",;", "aa"]),
    quote_char=st.sampled_from(['"', '"', "'", ""]),
    escape_char=st.sampled_from(["", "", "\\", "x"]),
    no_header=st.booleans(),
    text=st.sampled_from([None, None, "column_1", "column_2"]),
    keep=st.sampled_from([(), ("id",), ("*",)]),
    skip_initial_space=st.booleans(),
    comment=st.sampled_from(["", "", "#", "a", "//"]),
    skip_lines=st.sampled_from([0, 0, 1, 3]),
    ragged=st.sampled_from(["reject", "pad"]),
    null=st.sampled_from([(), (), ("\\N",), ("a", "\\N", "")]),
    **outputs,
).filter(lambda case: not (case.delimiter == " " and case.skip_initial_space))  # fmt: skip
json_cases = st.builds(
    Case,
    data=st.builds(bytes.__add__, st.sampled_from([b"", b'{"id": 1, "text": "good"}\n']), of(JSON_PIECES)),
    kind=st.just("jsonl"),
    keep=st.sampled_from([(), ("id",), ("*",)]),
    **outputs,
)
thorough = settings(max_examples=1200)


@thorough
@given(csv_cases)
def test_any_bytes_as_csv_in_any_dialect(case):
    with tempfile.TemporaryDirectory() as folder:
        check(case, Path(folder))


@thorough
@given(json_cases)
def test_any_bytes_as_json_lines(case):
    with tempfile.TemporaryDirectory() as folder:
        check(case, Path(folder))


texts = st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=1, max_size=5)


@settings(max_examples=300)
@given(texts, of(JSON_PIECES).filter(lambda data: not data.startswith((b"\xff\xfe", b"\xfe\xff"))))
def test_bad_lines_between_good_ones_change_no_score(good, bad):
    lines = [json.dumps({"id": number, "text": text}).encode() for number, text in enumerate(good)]
    with tempfile.TemporaryDirectory() as folder:
        check(Case(b"\n".join([lines[0], bad, *lines[1:], b""]), "jsonl"), Path(folder))
        rows = (Path(folder) / "out.csv").read_bytes().split(b"\n")[1:-1]
        assert len(rows) >= len(good)
