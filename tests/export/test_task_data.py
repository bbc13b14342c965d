"""Labelled texts by task: lists of labels, numbers and ordered labels, from files of every format and from the hub."""

import csv
import json
import re

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from factories import TAGS, rated_reviews, tagged_reviews

from export.data import Row, make_dataset
from export.data_files import load, load_files, load_hub, read_rows
from export.data_source import Columns, DataSource, LabelNames
from export.errors import DatasetError
from export.evaluation.evaluate import number_labels
from export.training.holdout import split_rows
from export.training.settings import FitSettings
from scorer.base.errors import UsageError

SPLIT_BY_BAR = Columns(label="tags", separator="|")


def write(folder, name, column, labels, texts):
    """Write texts with labels as CSV (lists joined by |), JSONL and Parquet."""
    with open(folder / f"{name}.csv", "w", newline="") as file:
        joined = [" | ".join(one) if isinstance(one, list) else one for one in labels]
        csv.writer(file).writerows([("review", column), *zip(texts, joined, strict=True)])
    lines = ({"review": text, column: label} for text, label in zip(texts, labels, strict=True))
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pyarrow.parquet.write_table(pyarrow.table({"review": texts, column: labels}), folder / f"{name}.parquet")


@pytest.fixture
def tagged(tmp_path):
    """A folder with a train and a test file of each format; texts have any number of labels."""
    for name, count, seed in (("train", 200, 1), ("test", 60, 2)):
        split = tagged_reviews(count, seed)
        labels = [[tag for tag, one in zip(TAGS, row, strict=True) if one] for row in split.labels]
        write(tmp_path, name, "tags", labels, split.texts)
    return tmp_path


@pytest.fixture
def rated(tmp_path):
    """A folder with a train and a test file of each format; texts have numbers."""
    for name, count, seed in (("train", 200, 1), ("test", 60, 2)):
        split = rated_reviews(count, seed)
        write(tmp_path, name, "stars", split.labels[:, 0].tolist(), split.texts)
    return tmp_path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_lists_of_labels_are_the_same_from_every_format(tagged, kind):
    files = [str(tagged / f"train.{kind}")], [str(tagged / f"test.{kind}")]
    columns = SPLIT_BY_BAR if kind == "csv" else Columns(label="tags")
    found = load_files(*files, columns=columns, label_names=LabelNames())
    assert (found.task, found.labels) == ("multi_label", ("bad", "café", "good"))
    assert (found.train.labels == tagged_reviews(200, 1).labels).all()
    assert (found.test.labels == tagged_reviews(60, 2).labels).all()
    assert not found.train.labels.any(axis=1).all()  # texts without a label are valid
    renamed = load_files(*files, columns=columns, label_names=LabelNames(("b", "c", "g")))
    assert renamed.labels == ("b", "c", "g")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_numbers_are_the_same_from_every_format(rated, kind):
    columns = Columns(label="stars", task="regression")
    found = load_files(
        [str(rated / f"train.{kind}")], [str(rated / f"test.{kind}")], columns=columns, label_names=LabelNames()
    )
    assert (found.task, found.labels) == ("regression", ("score",))
    assert (found.train.labels == rated_reviews(200, 1).labels).all()


def one_record(folder, kind, value):
    """Write a file of one record, whose label is JSON, or for CSV a cell."""
    path = folder / f"a.{kind}"
    path.write_text(f"text,y\ngood,{value}\n" if kind == "csv" else f'{{"text": "good", "y": {value}}}\n')
    return str(path)


@pytest.mark.parametrize(
    ("kind", "value", "labels"),
    [
        ("jsonl", '["b", "a", "b"]', ("b", "a")),
        ("jsonl", '[1, 2.50, true, " x "]', ("1", "2.50", "true", "x")),
        ("jsonl", "[]", ()),
        ("jsonl", '"b|a"', ("b", "a")),
        ("jsonl", '""', ()),
        ("jsonl", "7", ("7",)),
        ("csv", " b | a", ("b", "a")),
        ("csv", "  ", ()),
        ("csv", "", ()),
    ],
)
def test_labels_of_a_text_are_kept_once_and_without_the_space_around_them(tmp_path, kind, value, labels):
    columns = Columns(label="y", separator="|")
    assert [row.label for row in read_rows(one_record(tmp_path, kind, value), columns)] == [labels]


def test_lists_of_bytes_and_numbers_of_parquet_are_spelled_as_single_labels(tmp_path):
    for values, labels in (([b"x", b"y"], ("x", "y")), ([1.0, 2.5], ("1.0", "2.5")), ([True], ("true",))):
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": [values]}), tmp_path / "a.parquet")
        assert [row.label for row in read_rows(str(tmp_path / "a.parquet"), Columns())] == [labels]


MULTI, NUMBER = Columns(label="y", task="multi_label"), Columns(label="y", task="regression")


@pytest.mark.parametrize(
    ("columns", "kind", "value", "message"),
    [
        (MULTI, "jsonl", "null", "has no value. Write [] for a text without labels, or fix or remove this record."),
        (MULTI, "jsonl", '"a"', "holds 'a', which is no list of labels. Give a list, or name the character between labels with --label-separator."),
        (MULTI, "csv", "a", "holds 'a', which is no list of labels. Give a list, or name the character between labels with --label-separator."),
        (MULTI, "jsonl", '["a", ""]', "has a label that is empty or cannot be printed: ''. Fix or remove this record."),
        (MULTI, "jsonl", '["a\\u0007"]', "has a label that is empty or cannot be printed: 'a\\x07'. Fix or remove this record."),
        (MULTI, "jsonl", '["a", null]', 'holds ["a", null]; each element of a list is one value. Fix or remove this record.'),
        (MULTI, "jsonl", '[["a"]]', 'holds [["a"]]; each element of a list is one value. Fix or remove this record.'),
        (MULTI, "jsonl", '{"a": 1}', 'holds {"a": 1}; a label is one value, not a list, map or record. Name another column with --label-column, or fix this one.'),
        (Columns(label="y", separator="|"), "csv", "a||b", "has a label that is empty or cannot be printed: ''. Fix or remove this record."),
        (NUMBER, "csv", "abc", "holds 'abc', which is not a number. Fix or remove this record."),
        (NUMBER, "csv", '"1,5"', "holds '1,5', which is not a number (write a decimal point, not a comma). Fix or remove this record."),
        (NUMBER, "csv", "nan", "holds 'nan', which is not a number. Fix or remove this record."),
        (NUMBER, "csv", "-inf", "holds '-inf', which is not a number. Fix or remove this record."),
        (NUMBER, "csv", "1_000", "holds '1_000', which is not a number. Fix or remove this record."),
        (NUMBER, "csv", "", "has no value. Fix or remove this record."),
        (NUMBER, "jsonl", "null", "has no value. Fix or remove this record."),
        (NUMBER, "jsonl", "true", "holds 'true', which is not a number. Fix or remove this record."),
        (NUMBER, "jsonl", "1e999", "holds '1e999', which is too large. Fix or remove this record."),
        (NUMBER, "jsonl", "[1]", "holds [1]; a number is needed, not a list. Name another column with --label-column, or fix this one."),
    ],
)  # fmt: skip
def test_a_record_that_the_task_cannot_use_is_named_by_its_line(tmp_path, columns, kind, value, message):
    path = one_record(tmp_path, kind, value)
    with pytest.raises(DatasetError) as caught:
        read_rows(path, columns)
    assert str(caught.value) == f"{path}, line {2 if kind == 'csv' else 1}: the column 'y' {message}"


@pytest.mark.parametrize("value", ["3.5", "1e3", " +7 ", ".5", "-0"])
def test_numbers_may_be_text(tmp_path, value):
    for kind, written in (("csv", value), ("jsonl", json.dumps(value))):
        assert read_rows(one_record(tmp_path, kind, written), NUMBER)[0].label == float(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_numbers_of_parquet_that_are_not_finite_are_named_by_their_row(tmp_path, value):
    table = pyarrow.table({"text": ["a", "b"], "y": pyarrow.array([1.0, value], from_pandas=False)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(
        DatasetError, match=r"a\.parquet, row 2: the column 'y' (has no value|holds '(NaN|Infinity)', which)"
    ):
        read_rows(str(tmp_path / "a.parquet"), NUMBER)


def test_several_numbers_of_a_text_are_a_list_or_are_separated(tmp_path):
    two = Columns(label="y", task="regression", separator=";", outputs=2)
    assert read_rows(one_record(tmp_path, "jsonl", "[1, 1]"), two)[0].label == (1.0, 1.0)
    assert read_rows(one_record(tmp_path, "csv", "1; 2.5"), two)[0].label == (1.0, 2.5)
    with pytest.raises(DatasetError, match="a list of 2 numbers is needed"):
        read_rows(one_record(tmp_path, "jsonl", "[1]"), two)


def test_the_first_training_record_decides_whether_a_text_has_one_label_or_several(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": ["x"]}\n{"text": "b", "label": []}\n')
    (tmp_path / "test.jsonl").write_text('{"text": "a", "label": "x"}\n')
    files = [str(tmp_path / "train.jsonl")], [str(tmp_path / "test.jsonl")]
    with pytest.raises(DatasetError, match=r"test\.jsonl, line 1: the column 'label' holds 'x', which is no list"):
        load_files(*files, columns=Columns(), label_names=LabelNames())
    with pytest.raises(DatasetError, match=r"train\.jsonl, line 1: .* for lists of labels, give --task multi_label"):
        load_files(*files[::-1], columns=Columns(), label_names=LabelNames())


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([("a",), ()], [("b",)], "the test split has labels that the training split lacks: b."),
        ([(), ()], [()], "no training text has a label; give texts with labels."),
        ([("a", "b"), ("b",)], [("a",)], "every training text has the label b, so there is nothing to learn for it."),
    ],
)
def test_sets_of_labels_that_teach_nothing_are_an_error(train, test, message):
    rows = ([Row("text", label) for label in labels] for labels in (train, test))
    with pytest.raises(DatasetError, match=re.escape(message)):
        make_dataset("d", *rows, LabelNames())


def test_one_label_is_enough_where_a_text_may_lack_it():
    rows = [Row("a", ("x",)), Row("b", ())]
    found = make_dataset("d", rows, rows, LabelNames())
    assert (found.labels, found.train.labels.tolist()) == (("x",), [[1], [0]])


def test_texts_of_an_evaluation_have_the_labels_of_the_bundle():
    rows = [Row("a", ("y",)), Row("b", ())]
    assert number_labels(rows, ("x", "y", "z"), None).labels.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert number_labels([Row("a", 1.5)], ("score",), None).labels.tolist() == [[1.5]]
    with pytest.raises(DatasetError, match="the data has labels that the bundle lacks: y"):
        number_labels(rows, ("x",), None)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ("1 2 5", None, None),
        ("bad good", ("0", "1.5"), None),
        ("1 2 many", None, "--ordered needs labels that are numbers; 'many' is not one. Give them numbers with --label-names 1,2,3, in the order 1, 2, many, or omit --ordered."),
        ("1 inf", None, "--ordered needs labels that are numbers; 'inf' is not one."),
        ("1 1.0 2", None, "--ordered needs different numbers; the labels '1' and '1.0' are the same one."),
    ],
)  # fmt: skip
def test_ordered_labels_are_different_numbers(tmp_path, labels, names, message):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"a,{label}\n" for label in labels.split()))
    path = str(tmp_path / "a.csv")
    source = DataSource(
        train_files=(path,), test_files=(path,), ordered=True, label_names=LabelNames(names, similar="keep")
    )
    if message is None:
        assert load(source).ordered
        return
    with pytest.raises(DatasetError, match=re.escape(message)):
        load(source)


def test_lists_of_the_hub_are_read_by_name(monkeypatch):
    kinds = {
        "names": datasets.Sequence(datasets.ClassLabel(names=["joy", "fear"])),
        "texts": datasets.Sequence(datasets.Value("string")),
    }
    for kind, labels in (("names", [[1, 0], []]), ("texts", [["fear", "joy"], []])):
        features = datasets.Features({"text": datasets.Value("string"), "label": kinds[kind]})
        split = datasets.Dataset.from_dict({"text": ["a", "b"], "label": labels}, features)
        both = datasets.DatasetDict({"train": split, "test": split})
        monkeypatch.setattr(datasets, "load_dataset", lambda name, revision=None, both=both: both)
        found = load_hub("d", columns=Columns(), label_names=LabelNames())
        assert (found.task, found.labels, found.train.labels.tolist()) == (
            "multi_label", ("fear", "joy"), [[1, 1], [0, 0]],
        )  # fmt: skip


@pytest.mark.parametrize("separator", ["", "||", "\n"])
def test_a_separator_is_one_character(separator):
    with pytest.raises(UsageError, match="--label-separator takes one character"):
        Columns(separator=separator)


@pytest.mark.parametrize("seed", range(5))
def test_texts_with_and_without_each_label_are_trained_on_and_held_out(seed):
    random = np.random.default_rng(seed)
    labels = (random.random((600, 5)) < [0.5, 0.9, 0.1, 0.01, 0]).astype(int)
    labels[:3, 4] = 1  # three neighbours
    train, validation = split_rows(labels, FitSettings(seed=seed))
    assert sorted([*train, *validation]) == list(range(600))
    for side in (train, validation):
        assert labels[side].any(axis=0).all()
        assert not labels[side].all(axis=0).any()
    assert 55 <= len(validation) <= 70


def test_a_text_with_the_only_one_of_a_label_is_trained_on():
    labels = np.zeros((100, 2), dtype=int)
    labels[::2, 0] = 1
    labels[40, 1] = 1
    for seed in range(20):
        train, _ = split_rows(labels, FitSettings(seed=seed, validation_share=0.5))
        assert labels[train].sum(axis=0).all()


def test_numbers_are_held_out_in_runs_alone():
    train, validation = split_rows(np.arange(1000.0)[:, np.newaxis], FitSettings())
    assert (len(train), len(validation)) == (900, 100)
