"""Columns: the text column is found or named, and the output's columns have the right names and order."""

import pyarrow.parquet
import pytest
from factories import ROOT

from scorer.base.errors import UsageError
from scorer.base.task import TASKS
from scorer.rows.columns import Results, Selection, Wanted, output_columns, select
from scorer.rows.header import header_of

TWO = Results("single_label", ["n", "p"])


def test_the_text_column_is_the_only_one_of_the_known_names():
    assert select(Wanted(), header_of(["x", "review"]), "a").text == "review"
    for columns, message in (
        (
            ["text", "body"],
            "a has several columns that may hold the text: 'text', 'body'. Name the one to use with --text.",
        ),
        (
            ["x"],
            "a has no column called text, review, content, body or comment. It has: 'x'. Name the text column with --text.",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            select(Wanted(), header_of(columns), "a")
        assert str(caught.value) == message


def test_clashing_names_are_told_apart():
    selection = select(
        Wanted(keep=("row", "score", "input_score", "label")),
        header_of(["text", "row", "score", "input_score", "label"]),
        "a",
    )
    assert tuple(column.name for column in output_columns(selection, TWO, Wanted())) == (
        "row", "input_row", "input_score", "input_input_score", "input_label", "label", "score",
    )  # fmt: skip


def test_names_that_differ_only_in_case_clash_as_well(score, tmp_path):
    wanted = Wanted(keep=("*",))
    columns = ["text", "Label", "SCORE", "Row", "stars", "Stars", "ID", "id"]
    assert [column.name for column in output_columns(select(wanted, header_of(columns), "a"), TWO, wanted)] == [
        "row", "id", "text", "input_Label", "input_SCORE", "input_Row", "stars", "input_Stars", "input_ID", "label", "score",
    ]  # fmt: skip
    (tmp_path / "in.csv").write_text("text,Label,Score\ngood,mine,7\n")
    assert score(tmp_path / "in.csv", "-o", tmp_path / "out.parquet", "--keep", "*").code == 0
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["row", "text", "input_Label", "input_Score", "label", "score"]
    assert table.select(["input_Label", "input_Score"]).to_pylist() == [{"input_Label": "mine", "input_Score": "7"}]


def test_only_a_column_called_id_is_the_id_unless_another_is_named():
    assert select(Wanted(), header_of(["ID", "text"]), "a").carried == ()
    assert select(Wanted(keep=("ID",)), header_of(["ID", "text"]), "a").carried == ("ID",)
    assert select(Wanted(), header_of(["Id", "id", "text"]), "a").carried == ("id",)


def test_every_column_that_the_scorer_adds_is_in_the_docs():
    docs = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    wanted = Wanted(details=True, source=True)
    results = [Results(task, ["1"], staged=True, windowed=True, ordered=task == "single_label") for task in TASKS]
    names = {column.name for one in results for column in output_columns(Selection("text", ()), one, wanted)}
    assert [name for name in names if f"`{name.replace('score_1', 'score_<label>')}`" not in docs] == []


def test_the_columns_depend_on_the_task():
    selection, plain, detailed = Selection("text", ("labels",)), Wanted(), Wanted(details=True)

    def names(results, wanted):
        return [column.name for column in output_columns(selection, results, wanted)[1:]]

    stars = Results("single_label", ["1", "2"], ordered=True)
    assert names(stars, detailed) == [
        "labels",
        "label",
        "score",
        "tokens",
        "truncated",
        "expected",
        "score_1",
        "score_2",
    ]
    several = Results("multi_label", ["late", "rude"])
    assert names(several, plain) == ["input_labels", "labels", "score_late", "score_rude"]
    assert names(several, detailed) == ["input_labels", "labels", "tokens", "truncated", "score_late", "score_rude"]
    assert names(Results("regression", ["stars"]), plain) == ["input_labels", "score"]
    values = Results("regression", ["x", "y"])
    assert names(values, detailed) == ["input_labels", "tokens", "truncated", "score_x", "score_y"]


@pytest.mark.parametrize(
    ("results", "own"),
    [
        (Results("multi_label", ["late"]), ["labels", "score_late"]),
        (Results("regression", ["stars"]), ["score"]),
        (Results("regression", ["x", "y"]), ["score_x", "score_y"]),
    ],
)
def test_a_kept_column_does_not_make_an_output_look_like_one_of_another_task(results, own):
    kept = Selection("text", ("label", "Labels", "score"))
    names = [column.name for column in output_columns(kept, results, Wanted())]
    assert names == ["row", "input_label", "input_Labels", "input_score", *own]
