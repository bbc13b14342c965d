"""CSV and TSV: a record that does not parse costs its first line, and values are never inferred."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reading import read, texts

from scorer.base.errors import InputError, UsageError
from scorer.rows.columns import Selection, Wanted
from scorer.rows.csv_reader import CsvFile
from scorer.rows.csv_records import RecordReader
from scorer.rows.dialect import Dialect
from scorer.rows.encodings import check_encoding
from scorer.rows.lines import lines
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record


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
def test_a_bad_csv_line_costs_only_itself(tmp_path, line, reason):
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


def parse_csv(data, limit=10**6, dialect=Dialect(",")):  # noqa: B008
    """Return the column names, then the records."""
    file = CsvFile("x", lines(io.BytesIO(data), limit, carriage_returns=True), dialect, limit)
    return [file.header.names, *file.records(Selection("", ()))]


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
        for dialect in (Dialect(","), Dialect(",", escape_char="\\")):
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
def test_remembering_lines_changes_no_record(text, limit, escape):
    dialect = Dialect(",", escape_char=escape)
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


def test_an_empty_csv_file_is_an_error_and_a_header_alone_is_not(tmp_path):
    with pytest.raises(InputError, match="is empty: it has no header line"):
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
    # \r\n, because with \n this Python's csv module leaves a bare \r unquoted.
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
    writer.writerows([("a", "b"), *rows])
    columns, *parsed = parse_csv(buffer.getvalue().encode(), dialect=Dialect(delimiter))
    assert columns == ("a", "b")
    assert [(one.fields["a"], one.fields["b"]) for one in parsed] == rows


@settings(max_examples=300)
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
def test_a_csv_file_with_an_escape_character_is_read_exactly(
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
    dialect = Dialect(delimiter, quote_char, escape_char, header=header, encoding=check_encoding(encoding))
    names = ("a", "b") if header else ("column_1", "column_2")
    items = list(Reader(Inputs((str(path),), dialect=dialect), Wanted(text=names[0], keep=names)))
    found = [item.carried if isinstance(item, Record) else item.reason for item in items]
    assert found == [row if row[0].strip() else "empty_text" for row in rows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ""}, "--delimiter takes at least one character, as in --delimiter ';'."),
        ({"delimiter": "|" * 101}, "--delimiter takes at most 100 characters, not 101."),
        ({"quote_char": "''"}, "--quote-char takes one character, not \"''\"."),
        ({"quote_char": "\n"}, "--quote-char cannot contain a line end."),
        ({"null": ("a\rb",)}, "--null cannot contain a line end."),
        (
            {"delimiter": ";", "escape_char": ";"},
            "--delimiter and --escape-char must differ, and a delimiter cannot contain ';'.",
        ),
        (
            {"delimiter": "|'|", "quote_char": "'"},
            '--delimiter and --quote-char must differ, and a delimiter cannot contain "\'".',
        ),
        (
            {"escape_char": '"'},
            "--quote-char and --escape-char must differ. A quote that is doubled inside of quotes needs no --escape-char.",
        ),
        ({"comment": '"'}, "--comment must differ from --delimiter, --quote-char and --escape-char."),
        (
            {"delimiter": " ", "skip_initial_space": True},
            "--skip-initial-space drops spaces, so --delimiter cannot begin with one. Give only one of them.",
        ),
        ({"ragged": "drop"}, "--ragged takes reject or pad, not 'drop'."),
        ({"skip_lines": -1}, "--skip-lines takes a number of lines, not -1."),
    ],
)
def test_an_invalid_dialect_is_refused(options, message):
    with pytest.raises(UsageError) as caught:
        Dialect(**options)
    assert str(caught.value) == message
