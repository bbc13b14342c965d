"""Dialects beyond the csv module's: long delimiters, NULL markers, comments, titles, ragged records, blank lines."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import read, texts

from scorer.base.errors import InputError, UsageError
from scorer.rows.columns import Selection, Wanted
from scorer.rows.csv_reader import CsvFile
from scorer.rows.dialect import Dialect
from scorer.rows.header import header_apart
from scorer.rows.lines import lines
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import NULL, Record

EVERY = Wanted(keep=("*",))
VALUES = st.text('a",;|:\r\n \\N#é', max_size=8)
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=6)


def values(data, dialect, limit=10**6):
    """Return the names of the columns, and the values of each record, or its problem."""
    file = CsvFile("x", lines(io.BytesIO(data), limit, carriage_returns=True), dialect, limit)
    found = [parsed.problem or [*parsed.fields.values()] for parsed in file.records(Selection("", ()))]
    return file.header and file.header.names, found


def quoted(value, delimiter):
    return f'"{value.replace(chr(34), chr(34) * 2)}"'


@settings(max_examples=300)
@given(rows=ROWS, delimiter=st.sampled_from(["||", "::", "|;", "aa", "|~|", "éa"]), always=st.booleans())
def test_a_delimiter_of_several_characters_is_read_exactly(rows, delimiter, always):
    """Quote values with any character of the delimiter, as a writer does that knows no more than single characters."""

    def cell(value):
        needs = always or any(char in value for char in '"\r\n' + delimiter)
        return quoted(value, delimiter) if needs else value

    data = "".join(f"{delimiter.join(map(cell, row))}\r\n" for row in [("x", "y", "z"), *rows]).encode()
    assert values(data, Dialect(delimiter)) == (("x", "y", "z"), [list(row) for row in rows])


@settings(max_examples=300)
@given(
    rows=st.lists(st.tuples(*[st.none() | VALUES] * 3), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", "\t", "||", ";"]),
    enclosed=st.booleans(),
)
def test_null_with_an_escape_is_null_and_the_letter_is_not(rows, delimiter, enclosed):
    r"""Write as MySQL does: \N for NULL, a backslash before special characters, values in quotes or not."""

    def cell(value):
        if value is None:
            return r"\N"
        text = "".join(f"\\{char}" if char in '\\"\r\n' or char in delimiter else char for char in value)
        return f'"{text}"' if enclosed else text

    data = "".join(f"{delimiter.join(map(cell, row))}\n" for row in rows).encode()
    dialect = Dialect(delimiter, escape_char="\\", header=False, null=(r"\N",))
    file = CsvFile("x", lines(io.BytesIO(data), 10**6, carriage_returns=True), dialect, 10**6)
    assert list(file.unnamed()) == []
    found = [[*parsed.fields.values()] for parsed in file.records(Selection("", ()))]
    assert found == [[NULL if value is None else value for value in row] for row in rows]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (rb"\N,N,\N", [NULL, "N", NULL]),
        (rb"\N,\N,\N", [NULL, NULL, NULL]),
        (rb'"\N",\\N,a\N', ["N", "\\N", "aN"]),  # quoted, the text \N, and a part of a value
        (rb'"a,\N,b",\N,"\N', ["a,N,b", NULL, "N\n"]),  # the last quote closes in the next line
    ],
)
def test_an_escaped_marker_is_null_only_as_a_whole_field_without_quotes(line, expected):
    data = b"x,y,z\n" + line + (b'\n"\n' if line.endswith(rb'"\N') else b"\n")
    assert values(data, Dialect(",", escape_char="\\", null=(r"\N",)))[1] == [expected]


def test_markers_are_null_for_the_text_and_for_kept_values(tmp_path):
    data = b"text,stars,city\ngood,NULL,\\N\nNULL,1,x\nnull,NULLS,-\n"
    items = read(tmp_path, "a.csv", data, EVERY, dialect=Dialect(null=("NULL", r"\N", "-")))
    assert texts(items) == ["good", "empty_text", "null"]
    assert items[0].carried == ("good", NULL, NULL)
    assert items[2].carried == ("null", "NULLS", NULL)


def test_a_null_of_a_csv_file_is_written_as_null(score, tmp_path):
    (tmp_path / "in.csv").write_text("text,stars\ngood,NULL\nbad,\n")
    score(tmp_path / "in.csv", "-o", tmp_path / "o.jsonl", "--keep", "stars", "--null", "NULL")
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["stars"] for row in rows] == [None, ""]
    score(tmp_path / "in.csv", "-o", tmp_path / "o.csv", "--keep", "stars", "--null", "NULL", "--null", "")
    assert [row["stars"] for row in csv.DictReader((tmp_path / "o.csv").open())] == ["", ""]


@settings(max_examples=200)
@given(rows=st.lists(st.lists(st.text(' a",', max_size=5), min_size=2, max_size=2), min_size=1, max_size=5))
def test_spaces_after_a_delimiter_are_dropped_as_the_csv_module_drops_them(rows):
    data = "".join(
        ", ".join(quoted(value, ",") if '"' in value or "," in value else value for value in row) + "\n" for row in rows
    )
    expected = [row for row in csv.reader(io.StringIO(data), skipinitialspace=True, strict=True) if row]
    found = values(b"x,y\n" + data.encode(), Dialect(",", skip_initial_space=True))[1]
    assert [one if isinstance(one, list) else [] for one in found] == [row if len(row) == 2 else [] for row in expected]


def test_spaces_before_a_quote_are_read_with_the_option_and_cost_the_record_without_it(tmp_path):
    data = b'id, text\n1, "good, really"\n2, "bad"\n'
    assert texts(read(tmp_path, "a.csv", data, dialect=Dialect(skip_initial_space=True))) == ["good, really", "bad"]
    found = read(tmp_path, "a.csv", data, Wanted(text=" text"))
    assert texts(found) == ["column_count", ' "bad"']


def test_comments_are_ignored_between_records_and_not_in_them(tmp_path):
    data = b'# made by a tool\n\n#\ntext,n\n# more "\ngood,1\n"two\n# lines",2\nbad # not,3\n#last'
    items = read(tmp_path, "a.csv", data, Wanted(keep=("n",)), dialect=Dialect(comment="#"))
    assert texts(items) == ["good", "two\n# lines", "bad # not"]
    assert [item.position.line for item in items] == [6, 7, 9]


def test_a_comment_that_ends_in_an_escape_does_not_take_the_next_line(tmp_path):
    dialect = Dialect(escape_char="\\", comment="//")
    data = b'text\n// C:\\\ngood\n// an unfinished quote "\nb\\\n// c\n'
    assert texts(read(tmp_path, "a.csv", data, dialect=dialect)) == ["good", "b\n// c"]


def test_a_comment_over_the_limit_is_no_record(tmp_path):
    data = b"text\n#" + b"x" * 500 + b"\ngood\n"
    assert texts(read(tmp_path, "a.csv", data, dialect=Dialect(comment="#"), max_record_bytes=100)) == ["good"]


def test_lines_before_the_header_are_skipped_and_counted_in_positions(tmp_path):
    data = b'Report, "unfinished\r\n\r\ntext\r\ngood\r\n \r\n'
    items = read(tmp_path, "a.csv", data, dialect=Dialect(skip_lines=2))
    assert texts(items) == ["good", "empty_text"]
    assert [(item.row, item.position.line, item.position.offset) for item in items] == [(1, 4, 29), (2, 5, 35)]


@pytest.mark.parametrize(
    ("lines_there", "header", "message"),
    [
        (0, True, "is empty after the 3 lines of --skip-lines: it has no header line"),
        (3, True, "is empty after the 3 lines of --skip-lines: it has no header line"),
        (2, True, "has only 2 lines, and --skip-lines skips 3: give a smaller number."),
        (2, False, "has only 2 lines, and --skip-lines skips 3: give a smaller number."),
    ],
)
def test_a_file_that_ends_before_its_header_names_the_option(tmp_path, lines_there, header, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, "a.csv", b"title\n" * lines_there, dialect=Dialect(skip_lines=3, header=header))


def test_a_file_of_titles_alone_has_no_records_without_a_header(tmp_path):
    assert read(tmp_path, "a.csv", b"title\n" * 3, dialect=Dialect(skip_lines=3, header=False)) == []


def test_ragged_records_are_padded_or_cut_where_nothing_is_lost(tmp_path):
    data = b"id,text,n\n1,good,2\n2,bad\n3\n4,fine,5,,\n5,long,6,,x\n6,odd,7,\n"
    wanted = Wanted(keep=("n",))
    assert texts(read(tmp_path, "a.csv", data, wanted)) == ["good", *["column_count"] * 5]
    items = read(tmp_path, "a.csv", data, wanted, dialect=Dialect(ragged="pad"))
    assert texts(items) == ["good", "bad", "empty_text", "fine", "column_count", "odd"]
    assert [item.carried for item in items if isinstance(item, Record)] == [
        ("1", "2"),
        ("2", ""),
        ("4", "5"),
        ("6", "7"),
    ]


def test_a_null_beyond_the_last_column_is_no_empty_value(tmp_path):
    dialect = Dialect(escape_char="\\", null=(r"\N",), ragged="pad")
    assert texts(read(tmp_path, "a.csv", b"text\ngood,\\N\nbad,\n", dialect=dialect)) == ["column_count", "bad"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_blank_line_in_a_file_of_one_column_is_an_empty_record(tmp_path, end):
    data = end.join(["", "text", "good", "", "", "bad", "", "", ""]).encode()
    items = read(tmp_path, "a.csv", data)
    assert texts(items) == ["good", "empty_text", "empty_text", "bad"]
    assert [(item.row, item.position.line) for item in items] == [(1, 3), (2, 4), (3, 5), (4, 6)]
    assert [item.position.offset for item in items] == [
        data.find(b"good"),
        data.find(b"good") + 4 + len(end),
        data.find(b"bad") - len(end),
        data.find(b"bad"),
    ]
    assert items[1].raw == end.encode()


def test_a_blank_line_among_several_columns_is_no_record(tmp_path):
    assert texts(read(tmp_path, "a.csv", b"text,n\ngood,1\n\nbad,2\n")) == ["good", "bad"]


def test_without_a_header_blank_lines_count_as_soon_as_there_is_one_column(tmp_path):
    one, dialect = Wanted(text="column_1"), Dialect(header=False)
    assert texts(read(tmp_path, "a.csv", b"\n\ngood\n\nbad\n\n", one, dialect=dialect)) == [
        "empty_text",
        "empty_text",
        "good",
        "empty_text",
        "bad",
    ]
    assert texts(read(tmp_path, "a.csv", b"\ngood,1\n\nbad,2\n", one, dialect=dialect)) == ["good", "bad"]
    assert texts(read(tmp_path, "a.csv", b'\n"open\n\ngood\n', one, dialect=dialect)) == [
        "empty_text",
        "unterminated_quote",
        "empty_text",
        "good",
    ]
    assert texts(read(tmp_path, "a.csv", b'\n1,"open\n\ngood,1\n', one, dialect=dialect)) == [
        "unterminated_quote",
        "good",
    ]


def test_blank_lines_between_comments_are_records_with_their_own_positions(tmp_path):
    items = read(tmp_path, "a.csv", b"text\n\n# no\n\ngood\n", dialect=Dialect(comment="#"))
    assert [(item.row, item.position.line, item.position.offset) for item in items] == [
        (1, 2, 5),
        (2, 4, 11),
        (3, 5, 12),
    ]


def test_rows_of_a_file_of_one_column_fit_its_lines_in_every_shard(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text\n" + b"good\n\n" * 30 + b"\n\n")
    whole = list(Reader(Inputs((str(tmp_path / "a.csv"),)), Wanted()))
    assert [item.row for item in whole] == [item.position.line - 1 for item in whole] == list(range(1, 60))
    reader = Reader(Inputs((str(tmp_path / "a.csv"),)), Wanted())
    assert reader.count() == 59
    reader.restrict(20, 40)
    assert [item.row for item in reader] == list(range(20, 41))


def test_an_empty_file_has_no_records_without_a_header_or_if_it_is_allowed(tmp_path):
    for name, data in (
        ("1.csv", b""),
        ("2.csv", b"text\ngood\n"),
        ("3.csv", b"\xef\xbb\xbf"),
        ("4.csv", b"text\nbad\n"),
    ):
        (tmp_path / name).write_bytes(data)
    files = tuple(str(tmp_path / f"{number}.csv") for number in range(1, 5))
    with pytest.raises(InputError) as caught:
        list(Reader(Inputs(files), Wanted()))
    assert str(caught.value) == (
        f"{files[0]} is empty: it has no header line. Remove it, or use --allow-empty-files to read empty files as files "
        "without records."
    )
    allowed = Inputs(files, dialect=Dialect(allow_empty_files=True))
    assert texts(Reader(allowed, Wanted())) == ["good", "bad"]
    with pytest.raises(UsageError, match="has no column 'stars'"):
        list(Reader(allowed, Wanted(keep=("stars",))))
    headless = Inputs((files[0], files[1]), dialect=Dialect(header=False))
    assert texts(Reader(headless, Wanted(text="column_1"))) == ["text", "good"]


def test_naming_columns_apart_takes_linear_time():
    names = [*["x"] * 100_000, *[f"x_{number}" for number in range(2, 100_000)], *[""] * 100_000]
    assert len(set(header_apart(names).names)) == len(names)


def test_columns_of_the_same_name_or_none_are_named_apart_to_be_kept(score, tmp_path):
    (tmp_path / "in.csv").write_text("x,text,x,,x_2\n1,good,2,3,4\n")
    result = score(tmp_path / "in.csv", "-o", tmp_path / "o.csv", "--keep", "*")
    assert (tmp_path / "o.csv").read_text().startswith("row,x,text,x_3,column_4,x_2,label,score\n1,1,good,2,3,4,")
    assert "so these columns got names: 'x_3' (column 3), 'column_4' (column 4)." in result.err
    score(tmp_path / "in.csv", "-o", tmp_path / "o.csv", "--keep", "x_3", "--keep", "column_4")
    assert (tmp_path / "o.csv").read_text().startswith("row,x_3,column_4,label,score\n1,2,3,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--keep", "x"),
            "has the column 'x' more than once; rename all but the one to use, or name a later one, as in --keep x_2.",
        ),
        (
            ("--text", "x"),
            "has the column 'x' more than once; rename all but the one to use, or name a later one, as in --text x_2.",
        ),
        (("--text", "x", "--keep", "*"), "has the column 'x' more than once;"),
    ],
)
def test_a_name_that_two_columns_have_is_refused_unless_all_are_kept(score, tmp_path, arguments, message):
    (tmp_path / "in.csv").write_text("x,text,x\n1,good,2\n")
    result = score(tmp_path / "in.csv", "-o", tmp_path / "o.csv", *arguments)
    assert result.code == 2
    assert message in result.err


def test_a_later_file_may_repeat_a_name_only_if_all_are_kept(score, tmp_path):
    (tmp_path / "1.csv").write_text("x,text\n1,good\n")
    (tmp_path / "2.csv").write_text("x,text,x\n2,bad,3\n")
    files = (tmp_path / "1.csv", tmp_path / "2.csv", "-o", tmp_path / "o.csv")
    refused = score(*files, "--keep", "x")
    assert refused.code == 2
    assert "2.csv has the column 'x' more than once" in refused.err
    assert "later records have columns that the first one lacks: 'x_2'" in score(*files, "--keep", "*").err
