"""`score-model compare` of outputs with several labels a row, and of outputs with values."""

import json
import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from factories import as_several_values, reviews
from hypothesis import example, given
from hypothesis import strategies as st
from test_run_page import Page

from scorer.report.comparison import MOVE_EDGES
from scorer.report.value_comparison import tidy_edges
from scorer.rows.label_cell import join_labels


@pytest.fixture
def run(score_model):
    def compared(*arguments):
        found = score_model("compare", *arguments)
        return found.code, found.out, found.err

    return compared


def output(path, columns, *rows):
    """Write an output in the format that its name shows; cells of labels are tuples."""
    names = columns.split(",")
    form = path.suffix
    if form == ".csv":
        cells = [[join_labels(cell) if isinstance(cell, tuple) else str(cell) for cell in row] for row in rows]
        path.write_text("\n".join([columns, *map(",".join, cells)]) + "\n")
    elif form == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    else:
        table = {
            name: [list(row[at]) if isinstance(row[at], tuple) else row[at] for row in rows]
            for at, name in enumerate(names)
        }
        pyarrow.parquet.write_table(pa.table(table), path)
    return path


# Several labels a row

SETS = "row,id,labels,score_late,score_a|b"
BEFORE = [
    (1, "k", ("late",), 0.9, 0.1),
    (2, "l", ("late", "a|b"), 0.7, 0.6),
    (3, "m", (), 0.2, 0.1),
    (4, "n", ("a|b",), 0.1, 0.8),
]
AFTER = [
    (2, "l", ("a|b",), 0.4, 0.7),
    (3, "m", ("late",), 0.55, 0.1),
    (4, "n", ("late", "a|b"), 0.1, 0.6),
    (5, "o", (), 0.0, 0.0),
]


@pytest.mark.parametrize("forms", [("csv", "csv"), ("csv", "jsonl"), ("jsonl", "parquet"), ("parquet", "csv")])
def test_labels_gained_and_lost_are_counted_by_label(run, tmp_path, forms):
    before = output(tmp_path / f"before.{forms[0]}", SETS, *BEFORE)
    after = output(tmp_path / f"after.{forms[1]}", SETS, *AFTER)
    code, out, err = run(before, after)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "3 rows in both, joined by id",
        f"1 only in {before}: id k",
        f"1 only in {after}: id o",
        "labels: 3 rows changed (100.00%)",
        "  late: gained by 2 rows, lost by 1; scores moved by 0.2167 on average (signed mean +0.0167)",
        "  a|b: gained by 0 rows, lost by 0; scores moved by 0.1000 on average (signed mean -0.0333)",
        "scores, the one that moved most in each row: moved by 0.2833 on average (signed mean -0.0500); 50% of the rows by "
        "at most 0.3000, 95% by 0.3450, 99% by 0.3490, all by 0.3500",
        "flipped:",
        "  id m: no label to late; late 0.200 to 0.550 (+0.350)",
        r"  id l: late|a\|b to a\|b; late 0.700 to 0.400 (-0.300)",
        r"  id n: a\|b to late|a\|b; a|b 0.800 to 0.600 (-0.200)",
    ]


def test_the_page_on_labels_says_what_the_command_says(run, tmp_path):
    before = output(tmp_path / "before.csv", SETS, *BEFORE)
    after = output(tmp_path / "after.csv", SETS, *AFTER)
    assert run(before, after, "-o", tmp_path / "c.html")[0] == 0
    page = Page((tmp_path / "c.html").read_text())
    for words in (
        "The labels of 3 of 3 rows (100%) changed; scores moved by 0.2833 on average; 2 rows are in one output only.",
        "rows whose labels changed, 100% 3 ",
        "labels gained 2 ",
        "labels lost 1 ",
        "late 2 1 +0.0167 0.2167",
        "a|b 0 0 -0.0333 0.1000",
        "m (no label) → late late 0.200 → 0.550 +0.350",
    ):
        assert words in page.text
    assert sum(page.charts["moves"]["counts"]) == 3
    assert sum(cell["rows"] for cell in page.charts["together"]["cells"]) == sum(page.charts["scores"]["counts"]) == 6
    figures = {attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"}
    assert figures == page.charts.keys() == {"together", "moves", "scores"}


def test_a_row_changes_with_its_set_of_labels_and_not_with_their_order(run, tmp_path):
    before = output(tmp_path / "a.csv", "row,labels,score_x,score_y", (1, ("x", "y"), 0.5, 0.5))
    after = output(tmp_path / "b.csv", "row,labels,score_y,score_x", (1, ("y", "x"), 0.5, 0.5))
    out = run(before, after)[1]
    assert "labels: 0 rows changed (0.00%)\n" in out
    assert "largest moves" not in out


def test_a_row_whose_labels_changed_without_its_scores_is_shown(run, tmp_path):
    before = output(tmp_path / "a.csv", "row,labels,score_x", (1, ("x",), 0.5))
    after = output(tmp_path / "b.csv", "row,labels,score_x", (1, (), 0.5))
    assert run(before, after)[1].splitlines()[-1] == "  row 1: x to no label; x 0.500 to 0.500 (+0.000)"


def test_labels_of_one_output_only_are_named_and_counted(run, tmp_path):
    before = output(tmp_path / "a.csv", "row,labels,score_x,score_old", (1, ("x", "old"), 0.8, 0.9), (2, (), 0.1, 0.1))
    after = output(tmp_path / "b.csv", "row,labels,score_new,score_x", (1, ("x",), 0.0, 0.9), (2, ("new",), 0.9, 0.1))
    code, out, _ = run(before, after, "-o", tmp_path / "c.html")
    assert code == 0
    assert out.splitlines()[1:7] == [
        "labels only in the first output: old",
        "labels only in the second output: new",
        "labels: 2 rows changed (100.00%)",
        "  x: gained by 0 rows, lost by 0; scores moved by 0.0500 on average (signed mean +0.0500)",
        "  old: gained by 0 rows, lost by 1",
        "  new: gained by 1 rows, lost by 0",
    ]
    assert "Labels only in the second: new" in Page((tmp_path / "c.html").read_text()).text


def test_max_flips_limits_the_share_of_rows_whose_labels_changed(run, tmp_path):
    before = output(tmp_path / "before.csv", SETS, *BEFORE)
    after = output(tmp_path / "after.csv", SETS, *AFTER[:2], BEFORE[3])
    code, _, err = run(before, after, "--max-flips", "0.6")
    assert (code, err) == (3, "66.67% of the rows changed their labels: more than --max-flips 0.6 allows.\n")
    assert run(before, after, "--max-flips", "0.67")[0] == 0


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_outputs_of_a_model_with_several_labels_are_compared(run, score, multi_label_bundle, tmp_path, form):
    texts = reviews(60, 2, 8).texts
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "labels": 7}) + "\n" for text in texts))
    first, second = tmp_path / f"a.{form}", tmp_path / "b.jsonl"
    options = ("--model", multi_label_bundle.path, "--keep", "labels")
    assert score(tmp_path / "in.jsonl", "-o", first, *options, "--keep", "text").code == 0
    assert score(tmp_path / "in.jsonl", "-o", second, *options, "--details").code == 0
    code, out, err = run(first, second)
    assert (code, err) == (0, "")
    assert out.splitlines()[0:2] == ["60 rows in both, joined by row", "labels: 0 rows changed (0.00%)"]
    labels = [json.loads(line)["labels"] for line in second.read_text().splitlines()]
    assert 0 < sum(map(len, labels)) < 180
    shown = re.findall(r"^  (\w+): gained by 0 rows, lost by 0; scores moved by 0\.0000", out, re.MULTILINE)
    assert shown == ["bad", "good", "mixed"]


# Values


@pytest.mark.parametrize("forms", [("csv", "csv"), ("csv", "jsonl"), ("jsonl", "parquet"), ("parquet", "csv")])
def test_moves_of_values_are_in_their_own_unit(run, tmp_path, forms):
    before = output(
        tmp_path / f"a.{forms[0]}", "row,id,score", (1, "k", 5.0), (2, "l", -12.5), (3, "m", 1000.0), (4, "n", 0.25)
    )
    after = output(
        tmp_path / f"b.{forms[1]}", "row,id,score", (2, "l", -10.5), (3, "m", 1060.0), (4, "n", 0.25), (5, "o", 9.0)
    )
    code, out, err = run(before, after)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "3 rows in both, joined by id",
        f"1 only in {before}: id k",
        f"1 only in {after}: id o",
        "values: moved by 20.67 on average (signed mean +20.67); 50% of the rows by at most 2, 95% by 54.2, 99% by 58.84, "
        "all by 60",
        "largest moves:",
        "  id m: 1000 to 1060 (+60)",
        "  id l: -12.5 to -10.5 (+2)",
    ]


def test_the_page_on_values_has_edges_from_both_files(run, tmp_path):
    before = output(tmp_path / "a.csv", "row,score", (1, 1.02), (2, 3.0), (3, 4.0))
    after = output(tmp_path / "b.csv", "row,score", (1, 1.02), (2, 3.5), (3, 4.98))
    assert run(before, after, "-o", tmp_path / "c.html")[0] == 0
    page = Page((tmp_path / "c.html").read_text())
    assert page.charts["together-1"]["edges"] == [round(1 + at / 5, 1) for at in range(21)]
    assert page.charts["together-1"]["cells"] == [
        {"x": 0, "y": 0, "rows": 1}, {"x": 10, "y": 12, "rows": 1}, {"x": 15, "y": 19, "rows": 1},
    ]  # fmt: skip
    scores = page.charts["scores-1"]
    assert [at for at, rows in enumerate(scores["counts"]) if rows] == [0, 12, 19]
    assert [at for at, rows in enumerate(scores["expected"]) if rows] == [0, 10, 15]
    moves = page.charts["moves-1"]
    assert moves["edges"] == list(MOVE_EDGES)  # the largest move is 0.98
    assert moves["counts"] == np.histogram([0.0, 0.5, 0.98], MOVE_EDGES)[0].tolist()
    for words in (
        "Values moved by 0.4933 on average, and by at most 0.98.",
        "mean distance between values 0.4933",
        "largest distance 0.98",
        "3 4 → 4.98 +0.98",
    ):
        assert words in page.text
    figures = {attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"}
    assert figures == page.charts.keys() == {"together-1", "moves-1", "scores-1"}


def test_edges_for_moves_scale_with_the_largest_one(run, tmp_path):
    before = output(tmp_path / "a.csv", "row,score", (1, 0.0), (2, 10.0))
    after = output(tmp_path / "b.csv", "row,score", (1, -1900.0), (2, 10.0))
    run(before, after, "-o", tmp_path / "c.html")
    moves = Page((tmp_path / "c.html").read_text()).charts["moves-1"]
    assert moves["edges"] == [round(2000 * edge, 6) for edge in MOVE_EDGES]
    assert moves["counts"] == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_several_values_are_compared_one_by_one(run, tmp_path):
    columns = "row,score_kept,text,score_price,score_stars,score_x"
    before = output(tmp_path / "a.csv", columns, (1, "k", "so", 100.0, 3.0, 0.0), (2, "l", "la", 50.0, 4.0, 0.0))
    after = output(tmp_path / "b.csv", "row,score_stars,score_price,score_y", (1, 3.5, 110.0, 0.0), (2, 4.0, 50.0, 0.0))
    code, out, err = run(before, after, "-o", tmp_path / "c.html")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "2 rows in both, joined by row",
        "values only in the first output: x",
        "values only in the second output: y",
        "values of price: moved by 5 on average (signed mean +5); 50% of the rows by at most 5, 95% by 9.5, 99% by 9.9, all by 10",
        "largest moves of price:",
        "  row 1: 100 to 110 (+10)  so",
        "values of stars: moved by 0.25 on average (signed mean +0.25); 50% of the rows by at most 0.25, 95% by 0.475, "
        "99% by 0.495, all by 0.5",
        "largest moves of stars:",
        "  row 1: 3 to 3.5 (+0.5)  so",
    ]
    page = Page((tmp_path / "c.html").read_text())
    figures = {attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"}
    assert figures == page.charts.keys()
    assert len(figures) == 6
    assert "Values that moved most: stars row first second move text 1 3 → 3.5 +0.5 so" in page.text


def test_the_same_values_twice_move_nothing(run, tmp_path):
    one = output(tmp_path / "a.csv", "row,score", (1, 3.0), (2, 3.0))
    code, out, _ = run(one, one, "-o", tmp_path / "c.html")
    assert code == 0
    assert out.splitlines()[1:] == [
        "values: moved by 0 on average (signed mean +0); 50% of the rows by at most 0, 95% by 0, 99% by 0, all by 0"
    ]
    page = Page((tmp_path / "c.html").read_text())
    assert "No value moved" in page.text
    assert page.charts["scores-1"]["edges"] == [2.5, 3.0, 3.5, 4.0]
    assert page.charts["scores-1"]["counts"] == [0, 2, 0]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_outputs_of_a_model_for_values_are_compared_whatever_was_kept(run, score, regression_bundle, tmp_path, form):
    texts = reviews(60, 2, 8).texts
    records = [{"id": f"r{row}", "text": text, "label": "5", "labels": "4"} for row, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    files = [tmp_path / f"{precision}.{form}" for precision in ("fp32", "int8")]
    options = ("--model", regression_bundle.path, "--keep", "label", "--keep", "labels")
    for path in files:
        assert score(tmp_path / "in.jsonl", "-o", path, *options, "--precision", path.stem).code == 0
    code, out, err = run(*files, "--most", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "60 rows in both, joined by id"
    assert lines[1].startswith("values: moved by 0.")
    assert len(lines) == 6


def test_outputs_of_a_model_for_several_values_are_compared(run, score, bundle_of_three, tmp_path):
    model = as_several_values(bundle_of_three, tmp_path / "values").path
    texts = reviews(60, 3, 8).texts
    for name, more in (("a", ""), ("b", " bad")):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text + more}) + "\n" for text in texts))
    files = [tmp_path / "x.csv", tmp_path / "y.parquet"]
    for name, path in zip("ab", files, strict=True):
        assert score(tmp_path / f"{name}.jsonl", "-o", path, "--model", model).code == 0
    out = run(*files, "--most", "1")[1]
    first = np.loadtxt(files[0], delimiter=",", skiprows=1)[:, 1:]
    table = pyarrow.parquet.read_table(files[1]).select(["score_price", "score_stars", "score_weight"])
    moves = np.column_stack([column.to_numpy() for column in table.columns]) - first
    for at, name in enumerate(("price", "stars", "weight")):
        row = int(np.abs(moves[:, at]).argmax())
        assert f"values of {name}: moved by {np.abs(moves[:, at]).mean():.4g} on average" in out
        assert f"largest moves of {name}:\n  row {row + 1}: " in out
        assert f"({moves[row, at]:+.4g})\n" in out


@given(low=st.floats(-1e300, 1e300), high=st.floats(-1e300, 1e300))
@example(low=5e-324, high=5e-324)
@example(low=1e300, high=-1e300)
@example(low=123456789.0, high=123456789.0000001)
@example(low=0.0, high=1e-300)
def test_tidy_edges_ascend_and_include_all_values(low, high):
    low, high = sorted((low, high))
    edges = tidy_edges(low, high)
    assert 3 <= len(edges) <= 23
    assert all(one < other for one, other in pairwise(edges))
    rounding = 1e-9 * max(map(abs, edges))  # the outer bins hold what lies beyond them
    assert edges[0] <= low + rounding
    assert high <= edges[-1] + rounding


# What is no output of either task


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("columns", "row", "arguments", "code", "words"),
    [
        ("row,label,score", (1, "x", 0.5), [], 2, "bad.csv has one label a row (columns label and score)"),
        ("row,score", (1, 0.5), [], 2, "bad.csv has values (column score or score_<output>, no labels)"),
        ("row,labels", (1, ("x",)), [], 2, "has the column labels, but no score_<label> after it"),
        ("row,labels,score_z", (1, ("z",), 0.5), [], 2, "have no label in common"),
        ("row,labels,score_x,score_x", (1, ("x",), 0.5, 0.5), [], 2, "the column 'score_x' more than once"),
        ("row,labels,score_x", (1, ("x",), 1.5), [], 4, "line 2 has the score_x '1.5', which is not a number between 0 and 1"),
        ("row,labels,score_x", (1, ("x",), ""), [], 4, "the score_x '', which is not a number between 0 and 1"),
        ("row,labels,score_x", (1, "x\\", 0.5), [], 4, "the labels 'x\\\\', which are not a list of labels"),
        ("row,labels,score_x", ("", ("x",), 0.5), [], 4, "line 2 has no row"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_output_with_labels_is_refused(run, tmp_path, columns, row, arguments, code, words, swapped):
    good = output(tmp_path / "good.csv", "row,labels,score_x", (1, ("x",), 0.5))
    bad = output(tmp_path / "bad.csv", columns, row)
    found = run(*((good, bad) if swapped else (bad, good)), *arguments)
    assert found[0] == code
    assert words in found[2]
    assert "Traceback" not in found[2]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("columns", "row", "arguments", "code", "words"),
    [
        ("row,label,score", (1, "x", 0.5), [], 2, "Compare outputs of the same task."),
        ("row,score_a", (1, 0.5), [], 2, "no value is in both files"),
        ("row,score", (1, "high"), [], 4, "line 2 has the score 'high', which is not a number between -1e+300 and 1e+300"),
        ("row,score", (1, "nan"), [], 4, "the score 'nan', which is not a number"),
        ("row,score", (1, "-inf"), [], 4, "the score '-inf', which is not a number"),
        ("row,score", (1, 0.5), ["--max-flips", "0.1"], 2, "--max-flips needs outputs with labels"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_output_with_values_is_refused(run, tmp_path, columns, row, arguments, code, words, swapped):
    good = output(tmp_path / "good.csv", "row,score", (1, 3.5))
    bad = output(tmp_path / "bad.csv", columns, row)
    found = run(*((good, bad) if swapped else (bad, good)), *arguments)
    assert found[0] == code
    assert words in found[2]
    assert "Traceback" not in found[2]


def test_labels_that_are_not_a_list_are_refused(run, tmp_path):
    good = output(tmp_path / "good.jsonl", "row,labels,score_x", (1, ("x",), 0.5))
    for labels in (None, 7, {"x": 1}, [7]):
        bad = tmp_path / "bad.jsonl"
        bad.write_text(json.dumps({"row": 1, "labels": labels, "score_x": 0.5}) + "\n")
        code, _, err = run(good, bad)
        assert code == 4
        assert "which are not a list of labels" in err


def test_a_file_without_a_record_fits_any_task(run, tmp_path):
    (tmp_path / "none.jsonl").write_text("")
    for columns, row in (("row,score", (1, 3.5)), ("row,labels,score_x", (1, (), 0.5))):
        code, _, err = run(output(tmp_path / "a.csv", columns, row), tmp_path / "none.jsonl")
        assert (code, "nothing to compare" in err) == (4, True)
