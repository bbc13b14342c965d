"""Scores by the values of kept columns: in the summary, and as tables of the page."""

import json

import pytest
from factories import reviews
from test_run_page import Page

TEXTS = reviews(60, 2, 3).texts


@pytest.fixture
def counted(score, tmp_path):
    """Score rows with kept columns; return the record's `by_column` and the page."""

    def run(rows, *arguments, of=score):
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths = ("--summary", tmp_path / "run.json", "--report", tmp_path / "run.html")
        result = of(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *paths, *arguments)
        assert result.code in (0, 3, 143)
        return json.loads((tmp_path / "run.json").read_text())["by_column"], Page((tmp_path / "run.html").read_text())

    return run


def starred(values, **more):
    return [{"id": row, "text": text, "stars": values[row % len(values)], **more} for row, text in enumerate(TEXTS)]


def rows_of(folder):
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_rows_scores_and_labels_are_counted_by_value_and_numbers_are_in_order(counted, tmp_path):
    found, page = counted(starred([10, 2, 1]), "--keep", "stars")
    assert [one["value"] for one in found["stars"]] == ["1", "2", "10"]
    for one in found["stars"]:
        rows = [row for row in rows_of(tmp_path) if str(row["stars"]) == one["value"]]
        assert one["rows"] == len(rows) == 20
        assert one["score_mean"] == pytest.approx(sum(row["score"] for row in rows) / 20, abs=1e-6)
        for label in ("negative", "positive"):
            assert one["labels"].get(label, 0) == sum(row["label"] == label for row in rows)
        assert f"{one['value']} {5 * one['labels'].get('positive', 0)}.0% {one['score_mean']:.3f} 20" in page.text


def test_other_values_are_ordered_by_their_rows_and_a_missing_one_is_last(counted):
    found, page = counted(starred(["b", None, "a", "a", "", None]), "--keep", "stars")
    assert [(one["value"], one["rows"]) for one in found["stars"]] == [("a", 20), ("", 10), ("b", 10), (None, 20)]
    assert "(empty)" in page.text
    assert "missing" in page.text


def test_a_column_with_one_value_or_with_more_than_twelve_or_with_as_many_as_rows_is_left_out(counted):
    rows = [{**row, "same": "x", "many": row["id"] % 13, "few": row["id"] % 12} for row in starred([1])]
    found, page = counted(rows, "--keep", "*")
    assert list(found) == ["few"]
    assert len(found["few"]) == 12
    found, _ = counted(rows[:20], "--keep", "few")
    assert found == {}
    assert "By kept column" in page.text


def test_long_values_are_texts_and_no_categories(counted):
    found, page = counted(starred(["x" * 61, "y"]), "--keep", "stars")
    assert found == {}
    assert "By kept column" not in page.text


def test_rejected_rows_do_not_count(counted):
    rows = [{**row, "text": "" if row["stars"] == 1 else row["text"]} for row in starred([1, 2, 3])]
    found, _ = counted(rows, "--keep", "stars")
    assert [one["value"] for one in found["stars"]] == ["2", "3"]


@pytest.mark.usefixtures("small_chunks")
def test_a_resumed_run_counts_what_an_undisturbed_one_counts(counted, interrupted, tmp_path):
    rows = starred([1, None, 5])
    whole, _ = counted(rows, "--keep", "stars")
    (tmp_path / "out.jsonl").unlink()
    part, _ = counted(rows, "--keep", "stars", of=lambda *arguments: interrupted(3, *arguments))
    assert sum(one["rows"] for one in part["stars"]) < len(TEXTS)
    assert counted(rows, "--keep", "stars")[0] == whole


def test_of_several_labels_the_share_of_rows_with_each_is_shown(counted, multi_label_bundle):
    found, page = counted(starred(["a", "b"]), "--keep", "stars", "--model", multi_label_bundle.path)
    table = page.text.split("Share of rows with each label")[1].split("Rows to look at")[0]
    for one in found["stars"]:
        for label, rows in one["labels"].items():
            assert label in table
            assert f" {100 * rows / 30:.1f}% " in table or rows == 30


def test_of_a_regression_the_mean_value_is_shown(counted, regression_bundle):
    found, page = counted(starred(["a", "b"]), "--keep", "stars", "--model", regression_bundle.path)
    table = page.text.split("Mean value")[1].split("Rows to look at")[0]
    for one in found["stars"]:
        assert one["labels"] == {}
        assert f"{one['value']} {one['score_mean']:.4g} 30" in table
