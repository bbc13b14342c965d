"""Columns: the text's is told or asked for, and the output's have their names and their order."""

import pytest
from factories import ROOT

from scorer.base.errors import UsageError
from scorer.rows.columns import Selection, Wanted, output_columns, select


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


def test_clashing_names_are_told_apart():
    selection = select(
        Wanted(keep=("row", "score", "input_score", "label")), ["text", "row", "score", "input_score", "label"], "a"
    )
    assert tuple(column.name for column in output_columns(selection, ["n", "p"], Wanted())) == (
        "row", "input_row", "input_score", "input_input_score", "input_label", "label", "score",
    )  # fmt: skip


def test_every_column_of_the_scorers_own_is_in_the_docs():
    docs = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    columns = output_columns(Selection("text", ()), ["<label>"], Wanted(details=True, source=True))
    assert [column.name for column in columns if f"`{column.name}`" not in docs] == []
