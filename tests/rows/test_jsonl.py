"""JSON Lines: every line is a record or a reject, and values keep their spelling."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import read, texts

from scorer.rows.columns import Wanted
from scorer.rows.jsonl import NotAnObject, parse_object


def test_values_keep_their_spelling(tmp_path):
    line = b'{"id": 007e, "text": "a"}\n{"id":12345678901234567890,"text":"caf\\u00e9","a":1.10,"b":1E400,"c":{"x": [1, 2]},"d":true,"e":null,"f":"\\u00e9"}\n'
    rejected, record = read(tmp_path, "a.jsonl", line, Wanted(keep=("*",)))
    assert rejected.reason == "invalid_json"
    assert record.text == "café"
    assert [value.source for value in record.carried] == [
        "12345678901234567890", '"caf\\u00e9"', "1.10", "1E400", '{"x": [1, 2]}', "true", "null", '"\\u00e9"',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "invalid_json"),
        (b'{"text": "a"} x', "invalid_json"),
        (b'{"text": "a", "n": NaN}', "invalid_json"),
        (b'{"text": "a", "n": -Infinity}', "invalid_json"),
        (b'{"text": "\\ud800"}', "invalid_json"),
        (b'{"text": "a", "n": [{"\\udc00\\ud800": 1}]}', "invalid_json"),
        (b'{"text": "a", "n": "\\ud800", "n": 1}', "invalid_json"),
        (b'{"text": "a", "n": {"a": "\\\\\\ud800", "a": 1}}', "invalid_json"),
        (b'{"text": "a\tb"}', "invalid_json"),
        (b"{'text': 'a'}", "invalid_json"),
        (b'{"text": "a",}', "invalid_json"),
        (b'{"text": ' + b"[" * 100_000, "invalid_json"),
        (b'["text"]', "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"12", "not_an_object"),
        (b'{"text": "a", "text": "b"}', "duplicate_key"),
        (b'{"id": 1, "text": "a", "id": 1}', "duplicate_key"),
        (b'{"other": "a"}', "missing_text"),
        (b'{"text": null}', "empty_text"),
        (b'{"text": ""}', "empty_text"),
        (b'{"text": " \\n\\u00a0"}', "empty_text"),
        (b'{"text": 5}', "not_text"),
        (b'{"text": ["a"]}', "not_text"),
        (b'{"text": "\xff"}', "invalid_encoding"),
        (b'{"text": "' + b"a" * 3000 + b'"}', "too_long"),
    ],
)
def test_a_bad_json_line_is_rejected_and_its_neighbours_are_not(tmp_path, line, reason):
    data = b'{"id": 1, "text": "one"}\n' + line + b'\n{"id": 3, "text": "three"}\n'
    items = read(tmp_path, "a.jsonl", data, max_record_bytes=2000 if reason == "too_long" else 10**6)
    assert texts(items) == ["one", reason, "three"]
    assert [item.row for item in items] == [1, 2, 3]
    assert (items[1].position.line, items[1].position.offset, items[1].length) == (2, 25, len(line) + 1)


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "ok", "n": ' + b"1" * 5000 + b"}",
        b'\xef\xbb\xbf{"text": "ok"}',
        b' { "text" : "ok" } \r',
        b'{"a": {"text": 1, "text": 2}, "text": "ok"}',
        b'{"x": 1, "x": 2, "text": "ok"}',
        b'{"text": "ok", "smile": "\\ud83d\\ude00", "n": 1E400}',
        b'{"text": "ok", "n": {"\\ud83d\\ude00": ["\\\\ud800"]}}',
    ],
)
def test_an_unusual_but_valid_json_line_is_read(tmp_path, line):
    assert texts(read(tmp_path, "a.jsonl", line + b"\n\n  \n")) == ["ok"]


@pytest.mark.parametrize("tail", [b"\\", b"", b"x", b'"'])
def test_quotes_that_are_escaped_without_end_take_no_time(tmp_path, tail):
    line = b'{"text": ' + b"[]" * 501 + b'"' + b'\\"' * 1_000_000 + tail
    assert texts(read(tmp_path, "a.jsonl", b'{"text": "one"}\n' + line)) == ["one", "invalid_json"]


def test_line_separators_inside_json_strings_do_not_split_records(tmp_path):
    data = '{"text": "a\u2028b\u2029c\x85d"}\n'.encode()
    assert texts(read(tmp_path, "a.jsonl", data)) == ["a\u2028b\u2029c\x85d"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_objects_are_parsed_as_the_standard_library_does(value, ascii_only, indent):
    fields, duplicates = parse_object(json.dumps(value, ensure_ascii=ascii_only, indent=indent))
    assert not duplicates
    assert {key: json.loads(field.source) for key, field in fields.items()} == value


@given(st.text(alphabet='{}[]",:\\ 0123456789.eE+-truefalsn\n\t', max_size=30))
def test_no_text_is_accepted_that_the_standard_library_refuses(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            parse_object(text)
        return
    if isinstance(expected, dict):
        assert set(parse_object(text)[0]) == set(expected)
    else:
        with pytest.raises((NotAnObject, ValueError)):
            parse_object(text)


def test_nested_values_of_jsonl_pass_through_unchanged(score, tmp_path):
    nested = '{"a": [1.10, {"b":null}], "c":"\\u00e9"}'
    (tmp_path / "in.jsonl").write_text(f'{{"text": "good", "meta": {nested}, "tags": [ ]}}\n')
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--keep", "*")
    assert f'"meta":{nested},"tags":[ ],' in (tmp_path / "out.jsonl").read_text()
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--keep", "meta")
    with open(tmp_path / "out.csv", newline="") as file:
        assert next(csv.DictReader(file))["meta"] == nested
