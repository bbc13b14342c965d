"""`score-model check-labels`: what it lists, in which order, and a file that `train` takes back."""

import csv
import json

import numpy as np
import pytest
from factories import reviews

NAMES = ("negative", "positive")


def table(count=200, flipped=(), seed=3):
    """Rows of id, text and label, some labels of which are wrong."""
    split = reviews(count, 2, seed)
    return [
        {"id": f"r{row}", "text": f"{text} {row % 7}", "label": NAMES[label ^ (row in flipped)], "stars": str(row % 5)}
        for row, (text, label) in enumerate(zip(split.texts, split.labels.tolist(), strict=True))
    ]


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def check(score_model, bundle, tmp_path):
    """Run the command on rows or on a file; return its result and the rows that it wrote."""

    def run(given, *more, name="to-check.csv", source="labelled.csv"):
        path = write(tmp_path / source, given) if isinstance(given, list) else given
        output = tmp_path / name
        result = score_model("check-labels", path, "-o", output, "--model", bundle.path, "-q", "--threads", "1", *more)
        return result, read(output) if result.code == 0 else None

    return run


def test_flipped_labels_come_first_with_the_label_that_they_had(check):
    flipped = {11, 40, 77, 120, 163}
    result, rows = check(table(flipped=flipped))
    assert result.code == 0, result.err
    assert {row["id"] for row in rows[:5]} == {f"r{row}" for row in flipped}
    first = [row for row in rows if row["check"] == "label_disagrees"]
    assert len(first) >= 4
    assert rows[: len(first)] == first
    for row in rows[:5]:
        assert row["suggested"] != row["label"]
        assert float(row["score"]) > 0.5


def test_every_record_is_written_once_with_all_its_columns(check):
    given = table(flipped={3})
    _, rows = check(given)
    columns = ["check", "suggested", "score", "id", "text", "label", "stars", "set", "row"]
    assert list(rows[0]) == columns
    by_row = {int(row["row"]): {name: row[name] for name in given[0]} for row in rows}
    assert by_row == dict(enumerate(given, start=1))


def test_the_report_counts_pairs_of_labels_and_names_the_command_that_trains(check, tmp_path):
    result, rows = check(table(flipped={10, 12, 21}))
    doubtful = [row for row in rows if row["check"]]
    assert f"{len(doubtful)} of 200 labels are doubtful; an estimated " in result.err
    for given, suggested in (NAMES, NAMES[::-1]):
        count = sum((row["label"], row["suggested"]) == (given, suggested) for row in doubtful)
        assert f"  {given} -> {suggested}: {count}\n" in result.err
    assert f"score-model train --train-file {tmp_path}/to-check.csv -o models/corrected\n" in result.err
    assert "trained on labelled texts" not in result.err


def test_near_duplicates_with_different_labels_are_listed_together(check):
    given = table()
    words = "a long text about the film and the plot and its actor in every scene was "
    given[5]["text"], given[90]["text"], given[150]["text"] = f"{words} good", f"{words.upper()} Good!", f"{words} fine"
    given[5]["label"], given[90]["label"], given[150]["label"] = "positive", "negative", "positive"
    result, rows = check(given)
    places = [place for place, row in enumerate(rows) if row["set"] == "1"]
    assert {rows[place]["id"] for place in places} == {"r5", "r90", "r150"}
    assert max(places) - min(places) == 2
    assert all(rows[place]["check"] in ("label_disagrees", "near_duplicate_disagrees") for place in places)
    assert "1 set of near duplicates or equal texts disagree: 3 records" in result.err


def test_near_duplicates_with_the_same_label_are_no_set(check):
    given = table()
    given[5]["text"] = given[7]["text"]
    assert not any(row["set"] for row in check(given)[1] if row["id"] in ("r5", "r7"))


def test_texts_without_a_label_follow_the_doubtful_ones(check):
    given = table(flipped={3, 20})
    for row in range(100, 140):
        given[row]["label"] = ("", " ", "nan")[row % 3]
    result, rows = check(given, "--most-proposed", "10")
    parts = [row["check"] for row in rows]
    first = parts.index("worth_labelling")
    assert set(parts[:first]) == {"label_disagrees"}
    assert parts[first : first + 10] == ["worth_labelling"] * 10
    assert "worth_labelling" not in parts[first + 10 :]
    assert {row["id"] for row in rows if row["check"] == "worth_labelling"} <= {f"r{row}" for row in range(100, 140)}
    assert all(row["suggested"] in NAMES for row in rows)
    assert "10 of 40 texts without a label follow" in result.err
    assert "--drop-unlabelled" in result.err


def test_one_of_several_equal_texts_without_a_label_is_proposed(check):
    given = table()
    for row in range(100, 120):
        given[row]["label"], given[row]["text"] = "", "so good and so bad"
    rows = check(given)[1]
    assert [row["id"] for row in rows if row["check"] == "worth_labelling"] == ["r100"]


def test_the_corrected_file_is_trained_on(check, score_model, encoder_folder, tmp_path):
    given = table(flipped={3, 20, 50})
    given[7]["label"] = ""
    result, rows = check([{"body": row["text"], "score": row["label"], "content": row["stars"]} for row in given],
                         "--text-column", "body", "--label-column", "score")  # fmt: skip
    assert result.code == 0, result.err
    assert list(rows[0]) == ["check", "suggested", "score", "body", "input_score", "content", "set", "row"]
    for row in rows:
        if row["check"] == "label_disagrees":
            row["input_score"] = row["suggested"]
    write(tmp_path / "to-check.csv", rows)
    command = result.err.splitlines()[-1].split()
    assert command[:2] == ["score-model", "train"]
    command[-1] = str(tmp_path / "corrected")
    more = (
        "--encoder",
        encoder_folder("distilbert"),
        "--max-length",
        "24",
        "--cache-dir",
        tmp_path,
        "--precisions",
        "fp32",
    )
    trained = score_model(*command[1:], *more, "--no-baseline", "-q", "--threads", "1")
    assert trained.code == 0, trained.err
    assert json.loads((tmp_path / "corrected" / "manifest.json").read_text())["labels"] == list(NAMES)


def test_a_file_of_an_earlier_check_is_checked_again_without_its_old_columns(check, tmp_path):
    given = table(flipped={3})
    check(given)
    (tmp_path / "to-check.csv").rename(tmp_path / "corrected.csv")
    result, rows = check(tmp_path / "corrected.csv")
    assert result.code == 0, result.err
    assert list(rows[0]) == ["check", "suggested", "score", "id", "text", "label", "stars", "set", "row"]


def test_keys_that_only_later_records_have_are_kept(check):
    given = table()
    given[150]["note"] = {"by": "me"}
    del given[20]["label"]
    result, rows = check(given, name="to-check.jsonl", source="labelled.jsonl")
    assert result.code == 0, result.err
    (noted,) = (row for row in rows if row["id"] == "r150")
    assert noted["note"] == {"by": "me"}
    (unlabelled,) = (row for row in rows if row["id"] == "r20")
    assert unlabelled["label"] is None
    assert unlabelled["check"] == "worth_labelling"


def test_several_files_become_one(check, tmp_path):
    given = table()
    first, second = write(tmp_path / "a.csv", given[:120]), write(tmp_path / "b.jsonl", given[120:])
    result, rows = check(first, second)
    assert result.code == 0, result.err
    assert sorted(int(row["row"]) for row in rows) == list(range(1, 201))


def test_a_label_with_one_text_is_not_judged_and_named(check):
    given = table()
    given[8]["label"] = "mixed"
    result, rows = check(given)
    (row,) = (row for row in rows if row["id"] == "r8")
    assert (row["check"], row["suggested"], row["score"]) == ("", "", "")
    assert "1 label cannot be judged" in result.err
    assert "'mixed' has a single training text" in result.err


@pytest.mark.parametrize(
    ("change", "more", "code", "words"),
    [
        ({"label": "positive"}, (), 2, "all labelled texts have the label 'positive'; at least two labels are needed"),
        ({"label": ""}, (), 2, "no record has a label in the column 'label'"),
        ({}, ("--label-column", "lable"), 2, "has no column 'lable'; did you mean 'label'?"),
        ({}, ("--text-column", "txt"), 2, "has no column 'txt'"),
        ({}, ("--task", "multi_label"), 2, "check-labels checks texts with one label each: --task single_label"),
        ({}, ("--task", "regression"), 2, "check-labels checks texts with one label each"),
    ],
)
def test_what_cannot_be_checked_is_named(check, change, more, code, words):
    result, _ = check([row | change for row in table(40)], *more)
    assert result.code == code, result.err
    assert words in result.err


def test_a_missing_bundle_is_named_before_the_file_is_read(score_model, tmp_path):
    source = write(tmp_path / "labelled.csv", table(40))
    result = score_model("check-labels", source, "-o", tmp_path / "to-check.csv", "--model", tmp_path / "nowhere")
    assert result.code == 5
    assert "there is no bundle at" in result.err


def test_lists_of_labels_are_refused_with_what_to_do(check):
    result, _ = check([row | {"label": [row["label"]]} for row in table(40)], source="labelled.jsonl")
    assert result.code == 2
    assert "these have several labels or numbers. Check one label at a time" in result.err


def test_similar_labels_are_refused_or_merged_as_in_training(check):
    given = table()
    given[4]["label"] = "Negative"
    assert "labels differ only by case" in check(given)[0].err
    result, rows = check(given, "--similar-labels", "merge")
    assert {row["suggested"] for row in rows} == set(NAMES)
    assert "Negative" in {row["label"] for row in rows}
    assert "--similar-labels merge" in result.err


def test_corrected_labels_are_not_overwritten_unless_that_is_wanted(check):
    given = table(60)
    assert check(given)[0].code == 0
    refused = check(given)[0]
    assert refused.code == 2
    assert "exists, and may hold labels that were corrected. Give --overwrite" in refused.err
    assert check(given, "--overwrite")[0].code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("labelled.csv", "is an input too"),
        ("to-check.parquet", "no spreadsheet opens Parquet"),
        ("to-check.xlsx", "cannot infer the format"),
        ("missing/to-check.csv", "does not exist; create it first"),
    ],
)
def test_an_output_that_is_no_table_to_correct_is_refused_before_any_work(check, name, words):
    result, _ = check(table(60), name=name)
    assert result.code == 2
    assert words in result.err


def test_the_vectors_are_those_of_the_bundle(check, bundle_of_three, score_model, tmp_path):
    given = table(flipped={3, 44})
    check(given)
    other = tmp_path / "other.csv"
    result = score_model("check-labels", tmp_path / "labelled.csv", "-o", other, "--model", bundle_of_three.path, "-q")
    assert result.code == 0, result.err
    scores = [np.array([float(row["score"]) for row in sorted(read(path), key=lambda row: int(row["row"]))])
              for path in (tmp_path / "to-check.csv", other)]  # fmt: skip
    assert (scores[0] != scores[1]).any()
