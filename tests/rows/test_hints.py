"""Advice on files that are read wrongly: it names the option, and no option of another format."""

import pytest
from reading import read

from scorer.base.errors import InputError, UsageError
from scorer.rows.columns import Wanted
from scorer.rows.dialect import Dialect
from scorer.rows.input_options import delimiter_of
from scorer.rows.reader import Inputs, Reader


def hint(tmp_path, name, data, **options):
    """Return the advice on the first reject of a file."""
    (tmp_path / name).write_bytes(data)
    reader = Reader(Inputs((str(tmp_path / name),), **options), Wanted())
    list(reader)
    return next(iter(reader.notes.hints.values()))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'text,n\n"so \\"good\\", really",1\nfine,2\n', r"use --escape-char '\'."),
        (b'text,n\n"so\n' * 3, "use --quote-char ''"),
        (
            b"id,text,n\n1,good\n",
            "The first has 2 instead of 3 values. If values at the end may be missing, use --ragged pad.",
        ),
        (
            b"text,n\ngood,1,,\n",
            "The first has 4 instead of 2 values. If delimiters at the end have no meaning, use --ragged pad.",
        ),
        (
            b"text,n\nso, so,1\n",
            "The first has 3 instead of 2 values. If fields contain delimiters or line ends, check --delimiter",
        ),
        (
            b"id,text\n1,good\n(1 row)\n",
            "The first has 1 instead of 2 values. If it is no record, such as a footer, nothing is lost.",
        ),
        (b"id,text,n\n1,good,2\n\x1a\n", "It has control characters: check that the file is complete and is text."),
        (b'id,text\n1, "good, really"\n', "Spaces stand before quotes: use --skip-initial-space."),
        (b"id,text\n1,good\n# made, by, hand\n", "If lines that begin with # are comments, use --comment '#'."),
        (b"text\nso, so\n", r"use one that they lack, as in --delimiter '\t'."),
        (b'"text","n"\n"1","good",5\n', "use --skip-lines 1 --no-header, and name the columns column_1, column_2, ..."),
        (b'text,n\n"two\nlines",1,,\n', "The first has 4 instead of 2 values."),
    ],
)
def test_the_advice_on_a_rejected_csv_record_names_the_option(tmp_path, data, expected):
    assert expected in hint(tmp_path, "a.csv", data)


def test_the_advice_does_not_name_an_option_that_is_given(tmp_path):
    assert "--ragged" not in hint(tmp_path, "a.csv", b"text,n\na,b,c\n", dialect=Dialect(ragged="pad"))
    found = hint(tmp_path, "a.csv", b'text,n\n"a \\"b,1\n', dialect=Dialect(escape_char="\\"))
    assert "Backslashes" not in found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[\n", "`jq -c '.[]'`"),
        (b"id,text\n1,good\n", "If this file is CSV, use --input-format csv."),
        (b"{'text': 'good'}\n", "these are Python's. Write the file with json.dumps."),
        (b'{"text": "good", "n": NaN}\n', "NaN and Infinity are not JSON: write null in their place."),
        (b'{"text": "good"}\r{"text": "bad"}\r', "`tr '\\r' '\\n'`"),
        (b'{"text": "good"},\n{"text": "bad"},\n', "Remove it, as with `sed 's/,$//'`."),
        (b'{"text": "good",}\n', ""),
    ],
)
def test_the_advice_on_a_rejected_json_record_is_about_json(tmp_path, data, expected):
    found = hint(tmp_path, "a.jsonl", data)
    assert expected in found if expected else not found


@pytest.mark.parametrize("data", [b'{"1": "a"}\n', b'{"id;text": "a"}\n', b'{"a": 1, "' + b"x" * 50 + b'": 2}\n'])
def test_json_without_the_text_gets_no_advice_on_csv(tmp_path, data):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "a.jsonl", data)
    assert not any(option in str(caught.value) for option in ("--delimiter", "--no-header", "--skip-lines"))


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (b"id;text\n1;good\n", {}, "Line 1 has 'text': use --delimiter ';'."),
        (b"id;Kommentar\n1;gut\n", {}, "If these are several columns, use --delimiter ';'."),
        (b"id\tText\n1\tgood\n", {}, r"Line 1 has 'Text': use --delimiter '\t'."),
        (b"id,text\n1,good\n", {"delimiter": ";"}, "Line 1 has 'text': use --delimiter ','."),
        (b"Report\n\nid,text\n1,good\n", {}, "Line 3 has 'text': use --skip-lines 2."),
        (b"A\nB\nReport\n\nid,text\n1,good\n", {"skip_lines": 2}, "Line 5 has 'text': use --skip-lines 4."),
        (b'Report\n"id";"text";"n"\n1;good;2\n', {}, "Line 2 has 'text': use --skip-lines 1 --delimiter ';'."),
        (
            b"Report,,\n,,\nid,words,n\n1,good,2\n2,bad,3\n",
            {},
            "If the lines before line 3 are titles, use --skip-lines 2.",
        ),
        (b"sep=;\nid;words\n", {}, "Line 1 is Excel's and sets the delimiter: use --skip-lines 1 --delimiter ';'."),
        (b'"sep=|"\r\nid|words\n', {}, "use --skip-lines 1 --delimiter '|'."),
        (b"sep=;\nid;words\n", {"delimiter": ";"}, "use --skip-lines 1 --delimiter ';'."),
        (b"id,\xe2\x80\x8btext\n1,good\n", {}, r"as in --text $'\xe2\x80\x8btext'."),
        (b"id::text::n\n1::good::2\n", {}, "Line 1 has 'text': use --delimiter '::'."),
        (b"id\x01text\n1\x01good\n", {}, r"Line 1 has 'text': use --delimiter '\x01'."),
        (b"1\x01good\n", {}, r"If these are several columns, use --delimiter '\x01'."),
        (b"'id','text'\n'1','good'\n", {}, "Line 1 has 'text': use --quote-char \"'\"."),
        (b"id, text\n1, good\n", {}, "Line 1 has 'text': use --skip-initial-space."),
        (b"# by hand\n# twice\nid,text\n1,good\n", {}, "Line 3 has 'text': use --comment '#'."),
        (b"#id,text\n1,good\n", {"comment": "#"}, "if the header is one of them, leave it out."),
        (
            b"Report\nid,text\n1,good\n",
            {"header": False},
            "Line 2 has 'text': leave out --no-header and use --skip-lines 1.",
        ),
        (b"id,text\n1,good\n", {"header": False}, "Line 1 has 'text': leave out --no-header."),
        (b"1,good\n", {"header": False}, "Name the text column with --text."),
        (
            b"Umfrage\n\nNr;Kommentar;Note\n0;gut;1\n1;mies;2\n",
            {},
            "If the lines before line 3 are titles, use --skip-lines 2 --delimiter ';'.",
        ),
        (b",\n1,good\n2,bad\n", {}, "Name the text column with --text."),
        (b'{"text":"good"}\n', {}, "Line 1 is JSON: use --input-format jsonl."),
        (b"good,5\nbad,1\n", {}, "If the first line is data rather than a header, use --no-header."),
    ],
)
def test_a_csv_file_without_the_text_column_names_the_options(tmp_path, data, options, expected):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "a.csv", data, dialect=Dialect(**options))
    assert str(caught.value).endswith(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tab", r"--delimiter takes the character itself: --delimiter '\t'."),
        ("Semicolon", "--delimiter takes the character itself: --delimiter ';'."),
        (
            r"\001",
            r"--delimiter '\\001' is unknown: write '\t' for a tab, or '\x01' for a control character by its number.",
        ),
    ],
)
def test_a_delimiter_that_is_the_name_of_one_is_refused(given, message):
    with pytest.raises(UsageError) as caught:
        delimiter_of(given)
    assert str(caught.value) == message


def test_a_line_that_sets_the_delimiter_is_no_record(tmp_path):
    with pytest.raises(UsageError, match="use --skip-lines 1 --delimiter ';'"):
        read(tmp_path, "a.csv", b"sep=;\n1;good\n", Wanted(text="column_2"), dialect=Dialect(";", header=False))


def test_a_header_that_does_not_parse_names_the_options(tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, "a.csv", b'id,"the \\"text\\" of it"\n1,good\n')
    assert str(caught.value).endswith(r"if they escape them, as in MySQL's files, use --escape-char '\'.")


def test_a_later_file_without_the_text_column_is_read_to_its_end(tmp_path):
    (tmp_path / "1.csv").write_text("id,text\n1,good\n")
    (tmp_path / "2.csv").write_text("Report\nid,text\n" + "2,bad\n" * 100)
    reader = Reader(Inputs((str(tmp_path / "1.csv"), str(tmp_path / "2.csv"))), Wanted())
    assert len(list(reader)) == 102
    assert reader.notes.hints["missing_text"].endswith("Line 2 has 'text': use --skip-lines 1.")
