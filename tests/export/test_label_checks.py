"""Labels as people have them: refused, merged or warned about before any work."""

import csv
import json

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from export.data import Row
from export.data_files import load, load_hub, read_rows
from export.data_source import Columns, DataSource, LabelNames
from export.errors import DatasetError
from export.evaluation.baseline import trained_on
from export.label_checks import settle

AS_THEY_ARE = "--task single_label takes them as they are."


@pytest.fixture
def labelled(tmp_path):
    """Load labels as a training file and a test file of CSV; without test labels, as one file."""

    def run(train, test=None, *, task=None, **names):
        files = {"train": train} if test is None else {"train": train, "test": test}
        for name, labels in files.items():
            with (tmp_path / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows(
                    [("text", "label"), *((f"{name} text {n} of {n * 7919}", label) for n, label in enumerate(labels))]
                )
        paths = {f"{name}_files": (str(tmp_path / f"{name}.csv"),) for name in files}
        columns = Columns(task=task, drop_unlabelled=names.pop("drop_unlabelled", False))
        source = DataSource(**paths, columns=columns, cache=tmp_path / "c", label_names=LabelNames(**names))
        return load(source)

    return run


def refused(labelled, *labels, **given):
    with pytest.raises(DatasetError) as caught:
        labelled(*labels, **given)
    return str(caught.value)


GOOD = ["good", "bad"] * 20


def test_clean_labels_bring_no_message(labelled, capfd):
    assert labelled(GOOD, GOOD).labels == ("bad", "good")
    for pair in (("1.0", "0.0"), ("true", "false"), ("5", "1")):
        assert labelled(pair * 20, pair).labels == pair[::-1] if pair[0] != "true" else ("false", "true")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("Positive", "positive", "'positive' (3 texts) and 'Positive' (1 text)"),
        ("pos ", "pos", "'pos' (3 texts) and 'pos ' (1 text)"),
        ("1.0", "1", "'1' (3 texts) and '1.0' (1 text)"),
        ("cafe\u0301", "caf\u00e9", "'caf\\xe9' (3 texts) and 'cafe\\u0301' (1 text)"),
        ("\u0440os", "pos", "'pos' (3 texts) and '\\u0440os' (1 text)"),
        ("very  good", "Very Good", "'Very Good' (3 texts) and 'very  good' (1 text)"),
    ],
)
def test_labels_that_are_nearly_equal_are_asked_about_and_never_merged_in_silence(labelled, capfd, one, other, shown):
    labels = [*GOOD, one, other, other, other]
    assert refused(labelled, labels, GOOD) == (
        f"labels differ only by case, blanks or the like: {shown}. Give --similar-labels merge to make them one label, "
        "spelled as most of its texts are, or --similar-labels keep if they differ in meaning."
    )
    merged = labelled(labels, [*GOOD, one], similar="merge")
    assert set(merged.labels) == {"good", "bad", other}
    assert capfd.readouterr().err.startswith("Similar labels are merged, the first name is kept: ")
    assert set(labelled(labels, GOOD, similar="keep").labels) == {"good", "bad", one, other}


def test_labels_of_the_test_file_are_compared_with_those_of_the_training_file(labelled):
    assert "'good' (20 texts) and 'Good' (1 text)" in refused(labelled, GOOD, ["Good", "bad"])
    assert "the test split has labels that the training split lacks: great." in refused(labelled, GOOD, ["great"])


def test_similar_labels_of_a_text_with_several_become_one():
    rows = [Row("a", ("Late", "late", "wet")), Row("b", ("late",)), Row("c", ())]
    with pytest.raises(DatasetError, match="differ only by case"):
        settle(rows, "refuse", is_task_given=True)
    assert [row.label for row in settle(rows, "merge", is_task_given=True)] == [("late", "wet"), ("late",), ()]


def test_numbers_that_are_codes_may_be_kept_apart(labelled):
    assert "'7' (21 texts) and '007' (20 texts)" in refused(labelled, ["007", "7"] * 20, ["7"])
    assert labelled(["007", "7"] * 20, ["7"], similar="keep").labels in (("007", "7"), ("7", "007"))


@pytest.mark.parametrize("label", ["['anger', 'sad']", '["anger"]', "[]", "('a', 'b')", "{'a'}", "[1, 2]", "['a' 'b']"])
def test_lists_written_as_text_are_refused_with_what_to_write_instead(labelled, label):
    message = refused(labelled, [*GOOD, label], GOOD)
    assert message == (
        f"1 label is a list written as text, such as {label}. If a text has several labels, write lists in JSONL or Parquet, "
        f"or join the labels with a character and name it with --label-separator. {AS_THEY_ARE}"
    )
    assert label in labelled([*GOOD, label], GOOD, task="single_label").labels


def test_names_in_brackets_are_no_lists(labelled):
    assert "[deleted]" in labelled([*GOOD, "[deleted]", "(other)"], GOOD).labels


def test_stars_with_fractions_are_refused_unless_each_value_is_wanted_as_a_label(labelled, capfd):
    stars = [f"{1 + n % 37 / 10:.1f}" for n in range(600)]
    assert refused(labelled, stars, stars) == (
        "the labels are 37 different numbers from 1 to 4.6, and each would be a label of its own. Give --task regression to "
        f"predict numbers, or name another column with --label-column. {AS_THEY_ARE}"
    )
    assert len(labelled(stars, stars, task="single_label").labels) == 37
    halves = ["1.5", "2", "2.5"] * 20
    labelled(halves, halves)
    assert "Warning: the labels are numbers with fractions, and each is a label of its own." in capfd.readouterr().err


def test_labels_that_are_ids_are_refused(labelled):
    message = refused(labelled, [f"user-{n}" for n in range(50)], ["user-1"])
    assert message.startswith(
        "there are 50 different labels for 51 texts, so they look like ids or texts: user-0, user-1, user-10. Name another"
    )
    assert "different numbers from 0 to 49" in refused(labelled, [str(n) for n in range(50)], ["1"])


def test_more_labels_than_a_tenth_of_the_texts_are_refused_and_a_thousand_with_enough_texts_are_not(labelled):
    assert refused(labelled, [f"topic {n % 30}" for n in range(200)], ["topic 1"]) == (
        "there are 30 labels for 201 texts (topic 0, topic 1, topic 10, ...): fewer than 10 texts a label on average, too few "
        f"to learn from. Give more texts, or join rare labels. {AS_THEY_ARE}"
    )
    rows = [Row("a", f"topic {n % 1000}") for n in range(10_000)]
    assert settle(rows, "refuse", is_task_given=False) == rows


def test_few_texts_of_few_labels_are_a_warning(labelled, capfd):
    labelled(["a", "b", "c"] * 4, ["a", "b", "c"])
    assert capfd.readouterr().err == (
        "Warning: there are 3 labels for 12 training texts, fewer than 10 texts a label on average. Expect little of the "
        "model; give more texts.\n"
    )


@pytest.mark.parametrize(
    ("train", "test", "warning"),
    [
        ([*GOOD, "once"], [*GOOD, "once"], "the label 'once' has a single training text, too few to learn from."),
        ([*GOOD, *["odd"] * 9], GOOD, "the label 'odd' has no test text, so the model card has no figures for this."),
        ([*GOOD, *[" odd"] * 9], [*GOOD, " odd"], "the label ' odd' has blanks around the name, which are kept."),
        ([*GOOD, *["None"] * 9], [*GOOD, "None"], "the label 'None' may stand for a missing one."),
        (
            [*GOOD, *["late|wet"] * 9, *["wet|bad"] * 9, *["late"] * 9],
            [*GOOD, "late|wet", "wet|bad", "late"],
            "labels such as 'late|wet' look like several. If so, give --label-separator '|'.",
        ),
    ],
)
def test_labels_that_are_probably_not_meant_are_a_warning(labelled, capfd, train, test, warning):
    labelled(train, test)
    assert capfd.readouterr().err.startswith(f"Warning: {warning}")


def test_a_single_label_is_refused(labelled):
    assert refused(labelled, ["good"] * 40) == "at least two labels are needed; the training split has 1."


@pytest.mark.parametrize("missing", ["", "  ", "nan", "NaN", "<NA>"])
def test_missing_labels_are_named_by_their_lines_and_dropped_only_if_that_is_asked_for(
    labelled, tmp_path, capfd, missing
):
    message = refused(labelled, [*GOOD, missing, "good"], GOOD)
    path = tmp_path / "train.csv"
    assert message.startswith(f"{path}, line 42: the column 'label' ")
    assert message.endswith("Fix or remove this record. --drop-unlabelled drops such records.")
    many = [missing, *GOOD, *[missing] * 6]
    assert refused(labelled, many, GOOD) == (
        f"{path}: 7 records have no label in the column 'label' (line 2; line 43; line 44; line 45; line 46 and 2 more). Fix "
        "or remove these records. --drop-unlabelled drops such records."
    )
    capfd.readouterr()
    found = labelled(many, GOOD, drop_unlabelled=True)
    assert (len(found.train), found.labels) == (40, ("bad", "good"))
    assert capfd.readouterr().err == (
        f"{path}: 7 records without a label dropped (line 2; line 43; line 44; line 45; line 46 and 2 more).\n"
    )


def test_a_file_whose_labels_are_all_missing_is_an_error_even_if_they_are_dropped(labelled):
    assert "no labelled texts are left" in refused(labelled, ["", "nan"], drop_unlabelled=True)


def test_missing_labels_of_every_format_and_task_are_dropped(tmp_path, capfd):
    table = pyarrow.table(
        {"text": ["a", "b", "c"], "label": pyarrow.array([None, 1.0, float("nan")], from_pandas=False)}
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "a", "label": {one}}}\n' for one in ("null", "1.0", '"nan"')))
    (tmp_path / "lists.jsonl").write_text('{"text": "a", "label": null}\n{"text": "b", "label": ["x"]}\n')
    for task, label in (("single_label", "1.0"), ("regression", 1.0)):
        for name in ("a.parquet", "a.jsonl"):
            found = read_rows(str(tmp_path / name), Columns(task=task, drop_unlabelled=True))
            assert [row.label for row in found] == [label]
    found = read_rows(str(tmp_path / "lists.jsonl"), Columns(drop_unlabelled=True))
    assert [row.label for row in found] == [("x",)]
    assert "without a label dropped" in capfd.readouterr().err


def test_an_empty_text_without_labels_is_no_missing_label(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,\nb,x|y\n")
    found = read_rows(str(tmp_path / "a.csv"), Columns(separator="|"))
    assert [row.label for row in found] == [(), ("x", "y")]


def test_the_hubs_labels_are_checked_as_well(monkeypatch, capfd):
    part = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": ["Good", "good", None]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict({"train": part, "test": part}))
    with pytest.raises(DatasetError, match=r"d, split train, row 3: the column 'label' has no value"):
        load_hub("d", columns=Columns(), label_names=LabelNames())
    with pytest.raises(DatasetError, match=r"'Good' \(2 texts\) and 'good' \(2 texts\)"):
        load_hub("d", columns=Columns(drop_unlabelled=True), label_names=LabelNames())
    assert "d, split train: 1 record without a label dropped (row 3)." in capfd.readouterr().err


def test_labels_are_checked_before_the_libraries_of_training(score_model, encoder_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("export.training.train.train", lambda *_: pytest.fail("it was trained"))
    lines = [{"text": f"text {n}", "label": label} for n, label in enumerate(["Good", "good", "bad", None] * 10)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = ("--train-file", tmp_path / "a.jsonl", "--encoder", encoder_folder("bert"), "--max-length", 24)
    places = ("--cache-dir", tmp_path / "c", "-o", tmp_path / "b")
    found = score_model("train", *given, *places)
    assert (found.code, "10 records have no label" in found.err) == (2, True)
    found = score_model("train", *given, *places, "--drop-unlabelled")
    assert (found.code, "Give --similar-labels merge to make them one label" in found.err) == (2, True)


def test_a_label_that_training_kept_to_itself_is_named(labelled, capfd):
    found = labelled([*GOOD * 3, "once"])
    assert found.test.labels.max() < 3
    assert np.bincount(found.test.labels, minlength=3)[found.labels.index("once")] == 0
    assert "the label 'once' has no test text" in capfd.readouterr().err


def test_a_baseline_of_labels_with_one_text_each_prints_no_warning_of_its_library(recwarn):
    texts = [f"word{n} and more" for n in range(12)]
    found = trained_on(texts, np.arange(12) % 11, texts[:2], 11)
    assert (found.argmax(axis=1).tolist(), list(recwarn)) == ([0, 1], [])
