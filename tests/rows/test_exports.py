"""Files in the manner of the programs that people export from: read wholly equal, with the options that messages name."""

import csv
import io
import re
import shlex
from typing import NamedTuple

import click
import pytest

from scorer.base.errors import InputError, UsageError
from scorer.cli.options import DIALECT
from scorer.rows.columns import Wanted
from scorer.rows.input_options import InputOptions
from scorer.rows.reader import Reader
from scorer.rows.record import Record, plain

ROWS = [
    ("007", 'She said "great", then left; really', "5"),
    ("008", 'line one\nline two, of "two"', "1.10"),
    ("009", "naïve café, at 8 pm", None),
    ("010", "a path C:\\new\\N and a tail\\", "12345678901234567890"),
    ("011", "tab\there, 'quoted'", "NULL"),
    ("012", "N", "N"),
]
HEADER = ("id", "text", "stars")


def written(rows, end="\r\n", null="", **dialect):
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=end, **dialect).writerows(
        [null if value is None else value for value in row] for row in rows
    )
    return buffer.getvalue()


def mysql(rows, delimiter, enclosed):
    """Write as SELECT ... INTO OUTFILE does: it escapes the escape character, delimiters, quotes and line ends, and NULL."""

    def cell(value):
        if value is None:
            return r"\N"
        special = '\\\n"' if enclosed else "\\\n" + delimiter
        text = "".join(f"\\{char}" if char in special else char for char in value)
        return f'"{text}"' if enclosed else text

    return "".join(f"{delimiter.join(map(cell, row))}\n" for row in rows)


def turk(rows):
    """Write every value in quotes, and leave out the last two columns of the header."""
    head = written([(*HEADER, "Approve", "Reject")], "\n", quoting=csv.QUOTE_ALL)
    return head + written(rows, "\n", quoting=csv.QUOTE_ALL)


def excel_report(rows):
    """Write titles and an empty line as wide as the table, as Excel does, and one column more than there is."""
    return written([("Reviews of May", "", "", ""), ("", "", "", ""), (*HEADER, ""), *[(*row, "") for row in rows]])


class Export(NamedTuple):
    """A file as a program writes it, and how to read it.

    Attributes:
        content: bytes of the file.
        options: fields of `InputOptions`.
        columns: names of the columns of `HEADER`.
        rows: rows in it.
        name: name of the file.
        advised: whether the messages without options lead to these options.
    """

    content: bytes
    options: dict[str, object]
    columns: tuple[str, str, str] = HEADER
    rows: list[tuple[str, str, str | None]] = ROWS
    name: str = "a.csv"
    advised: bool = False


SPACES = [("7", "so, so", "5")]
EXPORTS = {
    "Excel, CSV UTF-8": Export(written([HEADER, *ROWS]).encode("utf-8-sig"), {}),
    "Excel in Germany": Export(
        written([HEADER, *ROWS], delimiter=";").encode("cp1252"),
        {"delimiter": ";", "encoding": "cp1252"},
    ),
    "Excel, with the delimiter in the first line": Export(
        ("sep=;\r\n" + written([HEADER, *ROWS], delimiter=";")).encode("utf-8-sig"),
        {"skip_lines": 1, "delimiter": ";"},
        advised=True,
    ),
    "Excel, semicolons": Export(written([HEADER, *ROWS], delimiter=";").encode(), {"delimiter": ";"}, advised=True),
    "Excel, Unicode text": Export(
        written([HEADER, *ROWS], delimiter="\t").encode("utf-16"), {"delimiter": r"\t", "encoding": "utf-16"}
    ),
    "Excel, titles before the table": Export(excel_report(ROWS).encode("utf-8-sig"), {"skip_lines": 2}, advised=True),
    "Excel, titles, semicolons and lines before the table": Export(
        ("Reviews of May\r\n\r\nmade by Ann; Bob\r\n" + written([HEADER, *ROWS], delimiter=";")).encode(),
        {"skip_lines": 3, "delimiter": ";"},
        advised=True,
    ),
    "Excel, delimiters after the table": Export(
        written([HEADER, *[(*row, "", "") for row in ROWS]]).encode(), {"ragged": "pad"}, advised=True
    ),
    "MySQL, INTO OUTFILE": Export(
        mysql(ROWS, "\t", enclosed=False).encode(),
        {"quote_char": "", "escape_char": "\\", "null": (r"\N",), "no_header": True},
        ("column_1", "column_2", "column_3"),
        name="a.tsv",
    ),
    "MySQL, ENCLOSED BY": Export(
        mysql([HEADER, *ROWS], ",", enclosed=True).encode(), {"escape_char": "\\", "null": (r"\N",)}
    ),
    "MySQL, ENCLOSED BY, without NULL": Export(
        mysql([HEADER, *[row for row in ROWS if row[2]]], ",", enclosed=True).encode(),
        {"escape_char": "\\"},
        rows=[row for row in ROWS if row[2]],
        advised=True,
    ),
    "PostgreSQL, COPY CSV HEADER": Export(written([HEADER, *ROWS], "\n").encode(), {}),
    "PostgreSQL, COPY CSV with NULL": Export(written([HEADER, *ROWS], "\n", r"\N").encode(), {"null": (r"\N",)}),
    "Google Sheets": Export(written([HEADER, *ROWS]).encode(), {}),
    "Salesforce Data Loader": Export(written([HEADER, *ROWS], "\n", quoting=csv.QUOTE_ALL).encode(), {}),
    "SurveyMonkey": Export(
        written(
            [
                ("Respondent ID", "How was it?", "", "How was it?"),
                ("", "text", "stars", ""),
                *[(*row, "") for row in ROWS],
            ]
        ).encode(),
        {"skip_lines": 1},
        ("column_1", "text", "stars"),
        advised=True,
    ),
    "Mechanical Turk": Export(turk(ROWS).encode(), {"ragged": "pad"}, advised=True),
    "spaces after commas": Export(b'id, text, stars\n7, "so, so", 5\n', {"skip_initial_space": True}, rows=SPACES),
    "a log with comments and long delimiters": Export(
        b"# version 1\nid||text||stars\n7||so, so||5\n# end\n", {"comment": "#", "delimiter": "||"}, rows=SPACES
    ),
    "long delimiters": Export(b"id~|~text~|~stars\n7~|~so, so~|~5\n", {"delimiter": "~|~"}, rows=SPACES, advised=True),
}
ADVISED = [name for name, export in EXPORTS.items() if export.advised]


def read_export(path, options, columns):
    reader = Reader(InputOptions(**options).inputs([str(path)]), Wanted(text=columns[1], keep=(columns[0], columns[2])))
    return list(reader), reader


def check(export, items):
    found = [(plain(item.carried[0]), item.text, plain(item.carried[1])) for item in items if isinstance(item, Record)]
    missing = None if export.options.get("null") else ""
    assert found == [(row[0], row[1], missing if row[2] is None else row[2]) for row in export.rows]
    assert len(items) == len(found)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_read_wholly_equal(tmp_path, name):
    export = EXPORTS[name]
    (tmp_path / export.name).write_bytes(export.content)
    check(export, read_export(tmp_path / export.name, export.options, export.columns)[0])


@pytest.mark.parametrize("name", ADVISED)
def test_the_messages_on_an_export_name_the_options_to_type(tmp_path, name):
    """Read without options, and then with those of the message, until the file is read."""
    export = EXPORTS[name]
    path = tmp_path / export.name
    path.write_bytes(export.content)
    options = {}
    for _ in range(3):
        try:
            items, reader = read_export(path, options, export.columns)
        except (UsageError, InputError) as error:
            message = str(error)
        else:
            rejects = [item for item in items if not isinstance(item, Record)]
            if not rejects:
                break
            message = reader.notes.hints[rejects[0].reason]
        advised = options_in(message)
        assert advised, message
        options |= advised
    assert options == export.options
    check(export, items)


def options_in(message):
    """Parse the options that a message names, as the command line would."""
    typed = re.search(r"use ((?:--[a-z-]+ '?[^ ]+'? ?)+?)\.(?: |$)", message)
    arguments = shlex.split(typed[1]) if typed else []
    command = DIALECT(click.command()(lambda **given: given))
    given = command.main(arguments, standalone_mode=False)
    context = command.make_context("score", arguments)
    sources = {name: context.get_parameter_source(name).name for name in given}
    return {name: value for name, value in given.items() if sources[name] == "COMMANDLINE"}
