"""Reading: every record is given once, in order, with its place, or rejected with a reason; values as they were."""

import csv
import encodings.aliases
import io
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.base.errors import InputError, UsageError
from scorer.rows.columns import Selection, Wanted, output_columns, select
from scorer.rows.csv_reader import CsvFile
from scorer.rows.csv_records import RecordReader
from scorer.rows.dialect import Dialect
from scorer.rows.encodings import check_encoding
from scorer.rows.formats import format_of
from scorer.rows.jsonl import NotAnObject, parse_object
from scorer.rows.lines import RAW_LIMIT, lines
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record
from scorer.rows.writer import formatter
from scorer.storage.inputs import expand


def read(tmp_path, name, data, wanted=None, **options):
    (tmp_path / name).write_bytes(data)
    return list(Reader(Inputs((str(tmp_path / name),), **options), wanted or Wanted()))


def texts(items):
    return [item.text if isinstance(item, Record) else item.reason for item in items]


# Lines


@pytest.mark.parametrize(
    ("data", "returns", "expected"),
    [
        (b"a\nb\n", False, [(1, 0, b"a\n"), (2, 2, b"b\n")]),
        (b"a\r\nb", False, [(1, 0, b"a\r\n"), (2, 3, b"b")]),
        (b"a\rb\n", False, [(1, 0, b"a\rb\n")]),
        (b"a\rb\nc\r", True, [(1, 0, b"a\r"), (2, 2, b"b\n"), (3, 4, b"c\r")]),
        (b"a\r\n\rb", True, [(1, 0, b"a\r\n"), (2, 3, b"\r"), (3, 4, b"b")]),
        (b"\xef\xbb\xbfa\nb", False, [(1, 3, b"a\n"), (2, 5, b"b")]),
        (b"\xef\xbb\xbf", False, []),
        (b"", False, []),
        (b"a\xe2\x80\xa8b\x0b\x0c\x85\n", True, [(1, 0, b"a\xe2\x80\xa8b\x0b\x0c\x85\n")]),
    ],
)
def test_lines_have_their_numbers_and_offsets(data, returns, expected):
    found = [(line.number, line.offset, line.data) for line in lines(io.BytesIO(data), 100, carriage_returns=returns)]
    assert found == expected


def test_a_byte_order_mark_does_not_count_towards_the_limit():
    for limit in (4, 5, 6, 7):
        (line,) = lines(io.BytesIO(b"\xef\xbb\xbfabcde"), limit)
        assert (line.length, line.too_long) == (5, limit < 5)


def test_a_line_over_the_limit_is_shortened_and_the_next_one_is_intact():
    data = b"x" * 200_000 + b"\nnext\n"
    long, following = lines(io.BytesIO(data), 1000)
    assert long.too_long
    assert (long.length, len(long.data)) == (200_001, RAW_LIMIT)
    assert (following.number, following.offset, following.data) == (2, 200_001, b"next\n")


@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\r").replace(b"y", b"\n")), st.integers(1, 12))
def test_lines_of_any_bytes_cover_them_exactly(data, limit):
    for returns in (False, True):
        found = list(lines(io.BytesIO(data), limit, carriage_returns=returns))
        at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        for number, line in enumerate(found, start=1):
            assert (line.number, line.offset) == (number, at)
            assert data[at : at + len(line.data)] == line.data
            assert line.too_long == (line.length > limit)
            at += line.length
        assert at == len(data)


@given(st.text(alphabet="ab\r\n", max_size=40))
def test_carriage_returns_cut_lines_as_universal_newlines_do(text):
    found = [line.data for line in lines(io.BytesIO(text.encode()), 7, carriage_returns=True) if not line.too_long]
    expected = [part for part in text.encode().splitlines(keepends=True) if len(part) <= 7]
    assert found == expected


# JSON Lines


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


# CSV


def test_csv_values_are_never_inferred(tmp_path):
    data = b'id,text,a,b\n007,"so, ""so""\n\nfine",1.10, x \n'
    (record,) = read(tmp_path, "a.csv", data, Wanted(keep=("*",)))
    assert record.text == 'so, "so"\n\nfine'
    assert record.carried == ("007", record.text, "1.10", " x ")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_csv_lines_may_end_in_any_way(tmp_path, end):
    data = end.join([b"id,text", b"1,one", b"", b"2,two", b""])
    assert texts(read(tmp_path, "a.csv", data)) == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"2", "column_count"),
        (b"2,two,more", "column_count"),
        (b"2,", "empty_text"),
        (b'2,"  "', "empty_text"),
        (b'2,"two"x', "unterminated_quote"),
        (b'2,"two', "unterminated_quote"),
        (b"2,t\xffo", "invalid_encoding"),
        (b"2," + b"t" * 3000, "too_long"),
        (b'2,"' + b"t" * 3000, "too_long"),
    ],
)
def test_a_bad_csv_line_costs_itself_only(tmp_path, line, reason):
    data = b"id,text\n1,one\n" + line + b"\n3,three\n4,four\n"
    items = read(tmp_path, "a.csv", data, max_record_bytes=2000 if reason == "too_long" else 10**6)
    assert texts(items) == ["one", reason, "three", "four"]
    assert (items[1].row, items[1].position.line, items[1].position.offset) == (2, 3, 14)
    assert items[1].length == len(line) + 1


def test_an_unterminated_quote_costs_one_row_of_a_thousand(tmp_path):
    rows = [f'{n},"text {n}"' for n in range(1000)]
    rows[500] = '500,"open'
    items = read(tmp_path, "a.csv", ("id,text\n" + "\n".join(rows) + "\n").encode())
    assert len(items) == 1000
    assert [item.row for item in items if not isinstance(item, Record)] == [501]


def test_a_quoted_record_over_the_limit_costs_its_first_line(tmp_path):
    data = b'id,text\n1,"a\n' + b"2,two\n" * 50 + b"3,three\n"
    items = read(tmp_path, "a.csv", data, max_record_bytes=100)
    assert texts(items) == ["unterminated_quote", *["two"] * 50, "three"]


def parse_csv(data, limit=10**6, dialect=Dialect()):  # noqa: B008
    """The column names, then the records."""
    file = CsvFile("x", lines(io.BytesIO(data), limit, carriage_returns=True), dialect, limit)
    return [file.columns, *file.records(Selection("", ()))]


@pytest.mark.parametrize("line", [b'a","\n', b'"a\n', b'a,"b\n', b'"\n', b'"",""","\n'])
@pytest.mark.parametrize("ending", [b"", b'"x\n', b'"\n'])
def test_lines_that_leave_quotes_open_are_read_about_twice_and_not_once_for_each(monkeypatch, line, ending):
    fed = 0
    parse = RecordReader._parse

    def counted(self, pieces):
        def noted():
            nonlocal fed
            for piece in pieces:
                fed += len(piece.splitlines())
                yield piece

        return parse(self, noted())

    monkeypatch.setattr(RecordReader, "_parse", counted)
    for limit in (10**6, 300):
        for dialect in (Dialect(), Dialect(escape_char="\\")):
            fed = 0
            found = parse_csv(b"h,i\n" + line * 2000 + ending, limit, dialect)
            assert sum(item.raw.count(b"\n") for item in found[1:]) == 2000 + bool(ending)
            assert 2000 <= fed < 5 * 2000


@example(text='"\n\\\n\n', limit=5, escape="\\")  # an escaped line end outside quotes
@given(
    text=st.lists(st.sampled_from(["a", '"', ",", "\n", '""', "\n\n", ',"', '"\n', "\\"]), max_size=40).map("".join),
    limit=st.sampled_from([5, 12, 10**6]),
    escape=st.sampled_from(["", "\\"]),
)
def test_what_is_remembered_of_lines_changes_no_record(text, limit, escape):
    dialect = Dialect(escape_char=escape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordReader, "_known", RecordReader._read)
        expected = parse_csv(b"h,i\n" + text.encode(), limit, dialect)
    assert parse_csv(b"h,i\n" + text.encode(), limit, dialect) == expected


def test_a_field_may_be_longer_than_the_standard_librarys_limit(tmp_path):
    (record,) = read(tmp_path, "a.csv", b"text\n" + b"a" * 200_000 + b"\n")
    assert len(record.text) == 200_000


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_file_may_end_without_a_line_end_after_an_escaped_one(tmp_path, end):
    data = f"text\nfirst\nx\\\ny{end}".encode()
    assert texts(read(tmp_path, "a.csv", data, dialect=Dialect(escape_char="\\"))) == ["first", "x\ny"]


def test_files_in_other_encodings_are_read_with_their_name(tmp_path):
    for encoding in ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"):
        data = 'id,text\n1,"café\nnoir"\n2,naïve\n'.encode(encoding)
        items = read(tmp_path, "a.csv", data, dialect=Dialect(encoding=encoding))
        assert texts(items) == ["café\nnoir", "naïve"], encoding


def test_half_a_pair_of_utf_16_costs_its_record_and_a_cut_file_ends_the_run(tmp_path):
    utf_16 = Dialect(encoding="utf-16")
    data = "id,text\n1,a\n2,b".encode("utf-16") + b"\x00\xd8" + "\n3,c\n".encode("utf-16-le")
    assert texts(read(tmp_path, "a.csv", data, dialect=utf_16)) == ["a", "invalid_encoding", "c"]
    with pytest.raises(InputError, match=r"or not the whole file: .*Check --encoding\."):
        read(tmp_path, "a.csv", data[:-1], dialect=utf_16)


def test_an_empty_csv_file_is_an_error_and_a_header_alone_is_not(tmp_path):
    with pytest.raises(InputError, match="is empty: not even a header line"):
        read(tmp_path, "a.csv", b"")
    assert read(tmp_path, "b.csv", b"id,text\n") == []


def test_without_a_header_the_first_record_that_parses_gives_the_columns(tmp_path):
    data = b'a,"open\nb,good\nc\nd,bad\n'
    items = read(tmp_path, "a.csv", data, Wanted(text="column_2"), dialect=Dialect(header=False))
    assert texts(items) == ["unterminated_quote", "good", "column_count", "bad"]
    assert texts(read(tmp_path, "a.csv", b'"open\n', dialect=Dialect(header=False))) == ["unterminated_quote"]


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n"])
def test_a_line_over_the_limit_costs_no_other_record_however_lines_end(tmp_path, end):
    data = end.join([b"text", b"0" * 3_000_000, b"good", b"bad", b""])
    items = read(tmp_path, "a.csv", data, max_record_bytes=50)
    assert texts(items) == ["too_long", "good", "bad"]
    assert items[0].length == 3_000_000 + len(end)


def test_without_a_header_columns_have_numbers(tmp_path):
    (record,) = read(
        tmp_path, "a.csv", b"x;good\n", Wanted(text="column_2", keep=("*",)), dialect=Dialect(";", header=False)
    )
    assert (record.row, record.text, record.carried) == (1, "good", ("x", "good"))


@given(
    rows=st.lists(
        st.tuples(st.text(alphabet='ab",;\t\r\n é\x00', min_size=1), st.text(alphabet='ab",;\\\r\n')), max_size=6
    ),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_any_file_of_the_csv_module_is_read_exactly(rows, delimiter, quoting):
    buffer = io.StringIO()
    # \r\n, since with \n alone the csv module of this Python writes a bare \r unquoted.
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
    writer.writerows([("a", "b"), *rows])
    columns, *parsed = parse_csv(buffer.getvalue().encode(), dialect=Dialect(delimiter))
    assert columns == ("a", "b")
    assert [(one.fields["a"], one.fields["b"]) for one in parsed] == rows


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.text("ab'\",;\t\r\n \\|é", min_size=1), st.text("ab'\",;\\|\r\n é")), min_size=1, max_size=6
    ),
    delimiter=st.sampled_from(",;\t| é"),
    quote_char=st.sampled_from(['"', "'", ""]),
    escape_char=st.sampled_from(["\\", "^"]),
    double=st.booleans(),
    header=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-32-be"]),
)
def test_what_the_csv_module_writes_with_an_escape_character_is_read_exactly(
    tmp_path_factory, rows, delimiter, quote_char, escape_char, double, header, encoding
):
    buffer = io.StringIO()
    writer = csv.writer(
        buffer,
        delimiter=delimiter,
        quotechar=quote_char or None,
        quoting=csv.QUOTE_MINIMAL if quote_char else csv.QUOTE_NONE,
        escapechar=escape_char,
        doublequote=double,
        lineterminator="\r\n",
    )
    writer.writerows([("a", "b"), *rows] if header else rows)
    path = tmp_path_factory.mktemp("dialect") / "a.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    dialect = Dialect(delimiter, quote_char, escape_char, header, check_encoding(encoding))
    names = ("a", "b") if header else ("column_1", "column_2")
    items = list(Reader(Inputs((str(path),), dialect=dialect), Wanted(text=names[0], keep=names)))
    found = [item.carried if isinstance(item, Record) else item.reason for item in items]
    assert found == [row if row[0].strip() else "empty_text" for row in rows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",,"}, "--delimiter takes one character, not ',,'."),
        ({"delimiter": ""}, "--delimiter takes one character, not ''."),
        ({"quote_char": "\n"}, "--quote-char cannot be a line end."),
        (
            {"delimiter": ";", "escape_char": ";"},
            "--delimiter, --quote-char and --escape-char must differ from each other.",
        ),
    ],
)
def test_a_senseless_dialect_is_refused(options, message):
    with pytest.raises(UsageError) as caught:
        Dialect(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("encoding", ["iso2022_jp", "iso2022_kr", "hz"])
def test_bytes_that_are_none_of_an_encoding_with_states_cost_their_record(tmp_path, encoding):
    data = b"id,text\n1,good\n2,\x1b$Zbad\xff~{\n3,fine\n"
    for escape in ("", "\\"):
        items = read(tmp_path, "a.csv", data, dialect=Dialect(encoding=encoding, escape_char=escape))
        assert texts(items) == ["good", "invalid_encoding", "fine"]


@pytest.mark.parametrize("encoding", sorted({*encodings.aliases.aliases.values(), "unicode-escape", "utf-7"}))
def test_a_file_in_any_encoding_that_is_accepted_is_read_exactly(tmp_path, encoding):
    try:
        name = check_encoding(encoding)
    except UsageError:
        assert not encoding.startswith(
            ("utf_8", "utf_16", "utf_32", "latin", "cp125", "iso8859", "shift", "gb", "big5")
        )
        return
    data = 'id,text\n1,"so, so\nlala"\n2,fine\n'.encode(name)
    assert texts(read(tmp_path, "a.csv", data, dialect=Dialect(encoding=name))) == ["so, so\nlala", "fine"]


# Columns and files


def test_the_text_column_is_the_only_one_of_the_known_names():
    assert select(Wanted(), ["x", "review"], "a").text == "review"
    for columns, message in (
        (["text", "body"], "a has 'text', 'body': name the one to use with --text."),
        (
            ["x"],
            "a has no column called text, review, content, body or comment. It has: 'x'. Name the one to use with --text.",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            select(Wanted(), columns, "a")
        assert str(caught.value) == message


def test_a_needed_column_that_stands_twice_is_an_error_in_any_file(tmp_path):
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


def test_clashing_names_are_told_apart():
    selection = select(
        Wanted(keep=("row", "score", "input_score", "label")), ["text", "row", "score", "input_score", "label"], "a"
    )
    assert output_columns(selection, ["n", "p"], details=False) == (
        "row", "input_row", "input_score", "input_input_score", "input_label", "label", "score",
    )  # fmt: skip


def test_a_literal_path_wins_over_a_glob_and_globs_are_sorted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "x[1].csv", "x1.csv"):
        (tmp_path / name).touch()
    assert expand(["b.csv", "[ab].csv"]) == ["b.csv", "a.csv", "b.csv"]
    assert expand(["x[1].csv"]) == ["x[1].csv"]
    for name, message in (
        ("none.csv", "the input none.csv is not there; check its name and its folder."),
        ("*.jsonl", "the input *.jsonl is not there (no file matches); see with ls what does."),
    ):
        with pytest.raises(UsageError) as caught:
            expand([name])
        assert str(caught.value) == message
    with pytest.raises(UsageError, match="stdin"):
        expand(["-", "a.csv"])


def test_an_unknown_extension_asks_for_the_format():
    with pytest.raises(UsageError) as caught:
        format_of("reviews.txt", None, "--input-format")
    assert str(caught.value) == (
        "the format of reviews.txt cannot be told from its name: give --input-format, one of: csv, tsv, jsonl, ndjson, parquet; "
        "with .gz or .zst behind it if compressed."
    )


# Writing


@given(st.lists(st.text(alphabet='ab",;\t\r\n é'), min_size=2, max_size=4))
def test_written_csv_and_jsonl_read_back_exactly(values):
    columns = [f"c{n}" for n in range(len(values))]
    for kind, delimiter in (("csv", ","), ("tsv", "\t")):
        head, rows = formatter(kind, columns)
        back = list(
            csv.reader(io.StringIO((head + rows([values])).decode(), newline=""), delimiter=delimiter, strict=True)
        )
        assert back == [columns, values]
    head, rows = formatter("jsonl", columns)
    assert json.loads(head + rows([values])) == dict(zip(columns, values, strict=True))
    assert rows([values]).count(b"\n") == 1
