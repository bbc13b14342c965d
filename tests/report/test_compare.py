"""`score-model compare`: two outputs of `score`, joined, and their differences."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from factories import ROOT, reviews
from hypothesis import given
from hypothesis import strategies as st
from test_run_page import Page

from scorer.report.compare import compare
from scorer.report.comparison import MOVE_EDGES


@pytest.fixture
def run(score_model):
    def compared(*arguments):
        found = score_model("compare", *arguments)
        return found.code, found.out, found.err

    return compared


def output(path, rows, columns="row,id,label,score"):
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


@pytest.fixture
def pair(tmp_path):
    """Two outputs: row 2 flips, row 3 moves, row 4 stays, rows 1 and 5 are in one only."""
    before = output(tmp_path / "a.csv", ["1,k,no,0.100000", "2,l,no,0.400000", "3,m,yes,0.700000", "4,n,yes,0.900000"])
    after = output(tmp_path / "b.csv", ["2,l,yes,0.650000", "3,m,yes,0.600000", "4,n,yes,0.900000", "5,o,no,0.000000"])
    return before, after


@pytest.mark.parametrize(("by", "keys"), [("auto", "id k o l m"), ("id", "id k o l m"), ("row", "row 1 5 2 3")])
def test_rows_are_joined_and_differences_are_printed(run, pair, by, keys):
    before, after = pair
    code, out, err = run(before, after, "--by", by)
    name, only_before, only_after, flipped, moved = keys.split()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"3 rows in both, joined by {name}",
        f"1 only in {before}: {name} {only_before}",
        f"1 only in {after}: {name} {only_after}",
        "labels: 1 flipped (33.33%): 1 no to yes",
        "scores: moved by 0.1167 on average (signed mean +0.0500); 50% of the rows by at most 0.1000, 95% by 0.2350, "
        "99% by 0.2470, all by 0.2500",
        "flipped:",
        f"  {name} {flipped}: no 0.400, yes 0.650 (+0.250)",
        "largest moves of other rows:",
        f"  {name} {moved}: yes 0.700, yes 0.600 (-0.100)",
    ]


def test_the_same_file_twice_moves_nothing(run, pair):
    code, out, _ = run(pair[0], pair[0], "--max-flips", "0")
    assert code == 0
    assert "labels: 0 flipped (0.00%)\n" in out
    assert "largest moves" not in out


def test_texts_come_from_the_inputs_by_row_or_by_id(run, pair, tmp_path):
    lines = [json.dumps({"id": name, "body": f"text of {name}"}) for name in "klmno"]
    (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "turned.jsonl").write_text("".join(f"{line}\n" for line in reversed(lines)))
    for by, name in (("row", "in"), ("id", "in"), ("id", "turned")):
        page = tmp_path / "c.html"
        code, out, _ = run(*pair, "--by", by, "--inputs", tmp_path / f"{name}.jsonl", "-o", page)
        assert code == 0
        assert "no 0.400, yes 0.650 (+0.250)  text of l\n" in out
        assert "yes 0.700, yes 0.600 (-0.100)  text of m\n" in out
        assert "no 0.400 → yes 0.650 +0.250 text of l" in Page(page.read_text()).text


def test_several_inputs_are_numbered_as_one(run, pair, tmp_path):
    for name, letters in (("one", "kl"), ("two", "mno")):
        (tmp_path / f"{name}.csv").write_text("words\n" + "".join(f"text of {letter}\n" for letter in letters))
    both = ("--inputs", tmp_path / "one.csv", "--inputs", tmp_path / "two.csv", "--text", "words")
    out = run(*pair, "--by", "row", *both)[1]
    assert "no 0.400, yes 0.650 (+0.250)  text of l\n" in out
    assert "yes 0.700, yes 0.600 (-0.100)  text of m\n" in out


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (
            "id,text\nz,so\n",
            [],
            "no id of the rows to show is in in.csv. Name the inputs that the outputs were scored from.",
        ),
        ("text\nso\n", [], "has no column 'id'"),
        ("id,words\nl,so\n", ["--text", "word"], "has no column 'word'; did you mean 'words'?"),
        (None, [], "does not exist"),
    ],
)
def test_inputs_of_other_rows_or_without_the_columns_are_refused(
    run, pair, tmp_path, monkeypatch, content, arguments, words
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "in.csv").write_text(content)
    code, out, err = run(*pair, "--inputs", "in.csv", *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_the_page_is_not_written_over_an_input(run, pair, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\nl,so\n")
    code, _, err = run(*pair, "--inputs", tmp_path / "in.csv", "-o", tmp_path / "in.csv", "--overwrite")
    assert (code, "is an input too" in err) == (2, True)


def test_with_most_0_no_row_is_named(run, pair, tmp_path):
    out = run(*pair, "--most", "0", "-o", tmp_path / "c.html")[1]
    assert out.splitlines()[-1].startswith("scores: ")
    assert "0.650" not in (tmp_path / "c.html").read_text()


def test_a_page_without_texts_names_the_option_for_them(run, pair, tmp_path):
    run(*pair, "-o", tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text())
    assert (
        "Labels that flipped The largest moves first; --inputs adds the texts id first second move l no 0.400"
        in page.text
    )
    assert "2 rows are in one output only." in page.text


def test_too_many_flips_end_with_3_and_the_page_is_there(run, pair, tmp_path):
    code, _, err = run(*pair, "--max-flips", "0.3", "-o", tmp_path / "c.html")
    assert (code, err) == (3, "33.33% of the labels flipped: more than --max-flips 0.3 allows.\n")
    assert (tmp_path / "c.html").exists()
    assert run(*pair, "--max-flips", "0.34")[0] == 0


def test_outputs_of_every_format_are_read_and_text_is_shown_where_it_was_kept(run, score, tmp_path):
    texts = reviews(40, 2, 3).texts
    records = [{"id": f"r{row}", "text": text} for row, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for name, more in (
        ("a.csv.gz", ()),
        ("b.jsonl", ("--keep", "text")),
        ("c.parquet", ("--keep", "text", "--precision", "fp32")),
    ):
        assert score(tmp_path / "in.jsonl", "-o", tmp_path / name, *more).code == 0
    _, out, _ = run(tmp_path / "a.csv.gz", tmp_path / "b.jsonl")
    assert out.startswith(
        "40 rows in both, joined by id\nlabels: 0 flipped (0.00%)\nscores: moved by 0.0000 on average"
    )
    _, out, _ = run(tmp_path / "b.jsonl", tmp_path / "c.parquet", "--most", "3")
    assert out.startswith("40 rows in both, joined by id\n")
    shown = re.findall(r"^  id r(\d+): .*?\)  (.*)$", out, re.MULTILINE)
    assert len(shown) == 3
    assert all(texts[int(row)] == text for row, text in shown)


def test_of_all_rows_those_that_moved_most_are_found(tmp_path):
    generator = np.random.default_rng(0)
    scores = generator.random((2, 500)).round(6)
    files = [
        output(tmp_path / f"{name}.csv", [f"{row},{'ny'[int(score >= 0.5)]},{score:.6f}" for row, score in enumerate(column, start=1)], "row,label,score")
        for name, column in zip("ab", scores, strict=True)
    ]  # fmt: skip
    found = compare(*map(str, files), most=7)
    moves = scores[1] - scores[0]
    flipped = (scores[0] >= 0.5) != (scores[1] >= 0.5)
    order = np.argsort(-np.abs(moves), kind="stable")
    assert [int(one.after.key) for one in found.moved] == (order[~flipped[order]][:7] + 1).tolist()
    assert [int(one.after.key) for one in found.flipped_rows] == (order[flipped[order]][:200] + 1).tolist()
    assert found.flipped == int(flipped.sum()) > 200
    assert found.distances.percentile_95 == pytest.approx(np.quantile(np.abs(moves), 0.95))
    assert found.moves().counts == np.histogram(moves, MOVE_EDGES)[0].tolist()
    assert sum(found.together.values()) == found.rows == 500


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_whatever_rows_there_are_each_is_in_both_or_in_one(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("joined")
    files = [
        str(output(folder / f"{name}.csv", [f"{row},{90 - row},no,0.25" for row in sorted(rows)]))
        for name, rows in (("a", one), ("b", other))
    ]
    if not one & other:
        return
    for by in ("row", "id"):
        found = compare(*files, by=by)
        assert (found.rows, found.only_before.rows, found.only_after.rows) == (
            len(one & other), len(one - other), len(other - one),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "columns", "arguments", "code", "words"),
    [
        (["1,a,yes,0.5"], "row,id,name,points", [], 2, "bad.csv is not an output of score: it must be"),
        (["1,a,yes,0.5"], "row,id,name,score", [], 2, "bad.csv has values (column score or score_<output>, no labels)"),
        (["1,a,yes,0.5"], "row,id,label,points", [], 2, "has no column 'score'"),
        (["a,yes,0.5"], "id,label,score", [], 2, "has no column 'row'"),
        (["1,a,yes,0.5"], "row,id,label,score", ["--text", "words"], 2, "has no column 'words'"),
        (["1,yes,0.5"], "row,label,score", ["--by", "id"], 2, "has no ids. Join by row: --by row"),
        (["1,a,yes,high"], "row,id,label,score", [], 4, "line 2 has the score 'high', which is not a number between 0 and 1"),
        (["1,a,yes,1.5"], "row,id,label,score", [], 4, "the score '1.5', which is not"),
        (["1,a,yes,nan"], "row,id,label,score", [], 4, "the score 'nan', which is not"),
        (["1,a,,0.5"], "row,id,label,score", [], 4, "line 2 is not a row of an output of score: empty_text"),
        (["1,,yes,0.5"], "row,id,label,score", [], 4, "line 2 has no id"),
        (["1,a,yes,0.5", "2,a,yes,0.5"], "row,id,label,score", [], 4, "bad.csv has the id 'a' more than once"),
        (["2,a,yes,0.5", "1,b,yes,0.5"], "row,id,label,score", ["--by", "row"], 4, "row 1 comes after row 2"),
        (["x,a,yes,0.5"], "row,id,label,score", ["--by", "row"], 4, "row x comes after row 0"),
        (["9,z,yes,0.5"], "row,id,label,score", [], 4, "is in"),
        ([], "row,id,label,score", [], 4, "nothing to compare"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_that_is_not_an_output_is_refused(run, tmp_path, rows, columns, arguments, code, words, swapped):
    good = output(tmp_path / "good.csv", ["1,a,yes,0.5", "2,b,yes,0.5"])
    bad = output(tmp_path / "bad.csv", rows, columns)
    found = run(*((good, bad) if swapped else (bad, good)), *arguments)
    assert found[0] == code
    assert words in found[2]
    assert "Traceback" not in found[2]


def test_a_missing_file_and_a_page_in_the_place_of_an_output_are_refused(run, pair, tmp_path):
    before, after = pair
    assert run(before, tmp_path / "none.csv")[0] == 2
    assert run(before, after, "-o", "-")[0] == 2
    assert "is not a regular file" in run(tmp_path, after)[2]
    code, _, err = run(before, after, "-o", before)
    assert (code, "--output" in err) == (2, True)
    assert before.read_text().startswith("row,")


def test_the_page_says_what_the_command_says_and_texts_stay_texts(run, tmp_path):
    text = '"<script>alert(1)</script><b onclick=x>so</b>"'
    before = output(tmp_path / "<a>.csv", [f"1,<i>,no,0.4,{text}", "2,l,no,0.2,x"], "row,id,label,score,text")
    after = output(tmp_path / "b.csv", [f"1,<i>,<u>yes,0.9,{text}", "2,l,no,0.2,x"], "row,id,label,score,text")
    assert run(before, after, "-o", tmp_path / "c.html")[0] == 0
    page = Page((tmp_path / "c.html").read_text())
    assert (
        "Labels differ 1 of 2 labels (50.0%) flipped, from no to <u>yes; scores moved by 0.2500 on average."
        in page.text
    )
    assert "<i> no 0.400 → <u>yes 0.900 +0.500 <script>alert(1)</script><b onclick=x>so</b>" in page.text
    assert not [tag for tag, attributes in page.elements if tag in ("i", "u", "a") or "onclick" in attributes]
    assert sum(page.charts["moves"]["counts"]) == sum(cell["rows"] for cell in page.charts["together"]["cells"]) == 2
    figures = {attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"}
    assert figures == page.charts.keys()


def test_the_page_calls_two_flips_both(run, tmp_path):
    before = output(tmp_path / "a.csv", ["1,l,no,0.4", "2,m,no,0.2", "3,n,no,0.2"], "row,id,label,score")
    after = output(tmp_path / "b.csv", ["1,l,yes,0.9", "2,m,yes,0.7", "3,n,no,0.2"], "row,id,label,score")
    assert run(before, after, "-o", tmp_path / "c.html")[0] == 0
    assert "2 of 3 labels (66.7%) flipped, both from no to yes;" in Page((tmp_path / "c.html").read_text()).text


# Stages of a cascade

STAGED = "row,label,score,tokens,truncated,stage,score_no,score_yes"


def staged(path, *rows, columns=STAGED):
    """Write an output with details; each row gives its number, label, score and stage."""
    lines = []
    for row in rows:
        number, label, score, stage = row.split(",")
        lines.append(f"{number},{label},{score},7,false,{stage},{1 - float(score):g},{score}")
    return output(path, lines, columns)


def test_stages_of_rows_in_both_and_flips_of_rows_that_a_different_stage_decided_are_printed(run, tmp_path):
    before = staged(
        tmp_path / "a.csv", "1,no,0.1,wide", "2,no,0.4,wide", "3,no,0.2,encoder", "4,yes,0.7,encoder", "5,no,0.1,wide"
    )
    after = staged(tmp_path / "b.csv", "2,yes,0.6,encoder", "3,no,0.2,wide", "4,no,0.4,encoder", "5,no,0.1,wide", "6,no,0.1,wide")  # fmt: skip
    code, out, err = run(before, after, "-o", tmp_path / "c.html")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("stages: "))
    assert lines[at - 1].startswith("scores: ")
    assert lines[at : at + 3] == [
        "stages: the wide part alone decided 2 (50.00%) and 2 (50.00%) of 4 rows",
        "a different stage decided 2 rows, with labels: 1 flipped (50.00%): 1 no to yes",
        "flipped:",
    ]
    page = Page((tmp_path / "c.html").read_text())
    for words in (
        "Decided by the wide part alone: 2 rows in the first (50.0%), 2 in the second (50.0%)",
        "Decided by a different stage: 2 rows, 1 of them with a different label",
        "no → yes 50.0% 1 yes → no 50.0% 1",
    ):
        assert words in page.text


def test_the_same_stages_twice_have_changed_for_no_row(run, tmp_path):
    before = staged(tmp_path / "a.csv", "1,no,0.1,wide", "2,no,0.4,encoder")
    out = run(before, before)[1]
    assert out.splitlines()[-1] == "stages: the wide part alone decided 1 (50.00%) and 1 (50.00%) of 2 rows"


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("row,label,score", "1,no,0.1"),
        ("row,stage,label,score", "1,wide,no,0.1"),  # a kept column, as it comes before the label
        ("row,tokens,truncated,stage,label,score", "1,7,false,encoder,no,0.1"),
        ("row,stage,label,score", "1,draft,no,0.1"),
        ("row,label,score,stage", "1,no,0.1,draft"),
        ("row,label,score,stage", "1,no,0.1,"),
        ("row,label,score,Stage", "1,no,0.1,wide"),
    ],
)
def test_a_column_that_does_not_name_the_stages_says_nothing_of_them(run, tmp_path, columns, row, swapped):
    named = staged(tmp_path / "a.csv", "1,no,0.1,wide")
    other = output(tmp_path / "b.csv", [row], columns)
    code, out, err = run(*((other, named) if swapped else (named, other)), "-o", tmp_path / "c.html")
    assert (code, err) == (0, "")
    assert "stage" not in out
    assert "wide part" not in (tmp_path / "c.html").read_text()


def test_rows_that_do_not_name_their_stage_are_left_out_of_the_count(run, tmp_path):
    rows = ("1,no,0.1,wide", "2,no,0.1,draft", "3,no,0.1,encoder")
    out = run(staged(tmp_path / "a.csv", *rows), staged(tmp_path / "b.csv", *rows))[1]
    assert "stages: the wide part alone decided 1 (50.00%) and 1 (50.00%) of 2 rows\n" in out


@pytest.mark.parametrize("forms", [("csv", "parquet"), ("jsonl.gz", "tsv")])
def test_outputs_with_and_without_the_cascade_are_compared_by_stage(run, score, staged_bundle, tmp_path, forms):
    texts = reviews(60, 2, 8).texts
    records = [{"id": f"r{row}", "text": text, "stage": ["wide"]} for row, text in enumerate(texts)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    on, off = (tmp_path / f"{name}.{form}" for name, form in zip(("on", "off"), forms, strict=True))
    options = ("--details", "--keep", "stage", "--model", staged_bundle.path)
    score(tmp_path / "in.jsonl", "-o", on, *options, "--summary", tmp_path / "run.json")
    score(tmp_path / "in.jsonl", "-o", off, *options, "--no-cascade")
    early = json.loads((tmp_path / "run.json").read_text())["rows_decided_early"]
    assert 0 < early < 60
    for by in ("id", "row"):
        out = run(on, off, "--by", by)[1]
        assert f"stages: the wide part alone decided {early} ({early / 60:.2%}) and 0 (0.00%) of 60 rows\n" in out
        assert f"a different stage decided {early} rows, with labels: " in out


def test_comparing_needs_nothing_of_training(pair):
    code = (
        "import sys; from export.cli.score_model import command; from scorer.cli.program import run_command\n"
        f"assert run_command(command, ['compare', *{[str(path) for path in pair]!r}], name='', interrupted='') == 0\n"
        "sys.exit(bool({'torch', 'sklearn', 'matplotlib', 'onnxruntime', 'tokenizers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_no_page_is_written_into_a_bundle(run, pair, bundle):
    code, _, err = run(*pair, "-o", bundle.path / "x.html", "--overwrite")
    assert (code, "is a bundle, which never changes" in err) == (2, True)
    assert not (bundle.path / "x.html").exists()


def test_a_page_replaces_earlier_pages_only(run, pair, tmp_path):
    page = tmp_path / "c.html"
    assert run(*pair, "-o", page)[0] == 0
    assert run(*pair, "-o", page)[0] == 0
    first = page.read_text()
    assert first.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n')
    for foreign in ("thesis", first.replace("review-scorer compare", "review-scorer run")):
        page.write_text(foreign)
        assert run(*pair, "-o", page) == (
            2, "", f"Error: --output {page} exists and is not the comparison of an earlier run; give --overwrite to replace it, "
            "or choose another name.\n",
        )  # fmt: skip
        assert page.read_text() == foreign
    assert run(*pair, "-o", page, "--overwrite")[0] == 0
    assert page.read_text() == first
    code, out, err = run(*pair, "-o", pair[0], "--overwrite")
    assert (code, out, err) == (2, "", f"Error: --output {pair[0]} is an input too; write to another file.\n")


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, rb"1 \xe9\u2192 to b"),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, rb"1 \xe9\u2192 to b"),
        ({"PYTHONIOENCODING": "latin-1"}, b"1 \xe9\\u2192 to b"),
        ({"PYTHONIOENCODING": "utf-8"}, "1 é→ to b".encode()),
    ],
    ids=["ascii", "C", "latin-1", "utf-8"],
)
def test_what_stdout_cannot_spell_is_escaped(tmp_path, environment, shown):
    before = output(tmp_path / "a.csv", ["1,k,é→,0.1"])
    after = output(tmp_path / "b.csv", ["1,k,b,0.1"])
    arguments = [sys.executable, "-m", "export", "compare", before, after]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    found = subprocess.run(arguments, env={**plain, **environment}, cwd=ROOT, capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"1 flipped (100.00%): " + shown in found.stdout
