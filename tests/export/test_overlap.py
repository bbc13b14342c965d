"""Test texts that are also training texts: the warning before a training begins, and when it has ended."""

import csv
import json
import os
import shutil
import sys

import numpy as np
import pytest
from factories import reviews

from export.data import Split
from export.evaluation.overlap import Given, Overlap, overlap_of, shared_texts
from scorer.rows.input_options import InputOptions

KNOWN = "The model knows them, so the figures on its card and the promises of `score --max-error` do not hold for new texts."
FAST = ("--max-length", 16, "--no-wide", "--no-baseline", "--precisions", "fp32", "-q")


def split(*texts):
    return Split(list(texts), np.zeros(len(texts), np.int64))


def written(path, count, seed):
    found = reviews(count, 2, seed)
    with open(path, "w", newline="") as file:
        rows = zip(found.texts, (("neg", "pos")[label] for label in found.labels), strict=True)
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture
def files(tmp_path):
    """A folder with files of texts, no text in two of them."""
    for name, count, seed in (("train", 200, 1), ("test", 60, 2)):
        written(tmp_path / f"{name}.csv", count, seed)
    return tmp_path


@pytest.fixture
def compared():
    """A function that compares the files of two options, as if they shared all texts."""

    def compare(train, test):
        names = [
            Given(option, [*map(str, some)], InputOptions())
            for option, some in (("--train-file", train), ("--test-file", test))
        ]
        return overlap_of(split("a"), split("a"), (names[0], names[1])).same_files

    return compare


def test_texts_count_that_are_equal_to_the_letter():
    assert shared_texts(split("good", "bad"), split("good", "good", "Bad", "bad ")) == 2


def test_one_file_under_two_names_and_a_copy_are_named(files, compared):
    train = files / "train.csv"
    os.link(train, files / "linked.csv")
    (files / "symbolic.csv").symlink_to(train)
    shutil.copy(train, files / "copy.csv")
    assert compared([train], [train]) == (f"--train-file {train} and --test-file {train} are the same file.",)
    for name in ("linked.csv", "symbolic.csv"):
        assert compared([train], [files / name]) == (
            f"--train-file {train} and --test-file {files / name} are the same file.",
        )
    assert compared([train], [files / "copy.csv"]) == (
        f"--test-file {files / 'copy.csv'} is a copy of --train-file {train}.",
    )


def test_files_with_other_bytes_are_not_named_even_if_they_have_the_same_size(files, compared):
    data = (files / "train.csv").read_bytes()
    (files / "other.csv").write_bytes(data.swapcase())
    assert compared([files / "train.csv"], [files / "test.csv", files / "other.csv"]) == ()
    assert compared([], []) == ()


def test_files_in_folders_are_compared_and_the_first_few_are_named(files, compared):
    for name in ("a", "b"):
        (files / name).mkdir()
        for number in range(5):
            written(files / name / f"{number}.csv", 3, number)
    found = compared([files / "a"], [files / "b"])
    assert [one.startswith("--test-file") for one in found] == [True, True, True, False]
    assert found[-1] == "2 more pairs of files are equal."


def test_files_are_not_compared_if_no_text_is_shared(files):
    missing = Given("--train-file", [str(files / "missing.csv")], InputOptions())
    assert overlap_of(split("a"), split("b"), (missing, missing)) == Overlap(0, 1)


def test_a_few_shared_texts_are_noted_once(capsys):
    few = Overlap(1, 101)
    few.warn_of_test()
    few.warn_of_test(again=True)
    few.warn_of_baseline()
    Overlap(0, 101).warn_of_test()
    assert (
        capsys.readouterr().err
        == "Note: 1 of 101 test texts (1.0%) are also training texts; the figures include them.\n"
    )


def test_many_shared_texts_are_a_warning_with_a_remedy(capsys):
    Overlap(30, 60).warn_of_test()
    assert capsys.readouterr().err == (
        f"Warning: 30 of 60 test texts (50.0%) are also training texts. {KNOWN} "
        "Test with other texts (--test-file), or leave these out of training (--exclude-ids).\n"
    )


def assert_warned_before_and_after(found, train):
    assert found.code == 0, found.err
    before, after = found.err.split("working\n")
    assert before == after
    same = (
        f"Warning: --train-file {train} and --test-file {train} are the same file. All 200 test texts are also training"
    )
    assert before.startswith(same)
    assert KNOWN in before


def work(*_):
    print("working", file=sys.stderr)


def test_the_warning_comes_before_a_training_and_after_it(files, score_model, encoder_folder, monkeypatch):
    monkeypatch.setattr("export.training.train.train", work)
    train = files / "train.csv"
    data = ("--train-file", train, "--test-file", train, "--encoder", encoder_folder("bert"))
    assert_warned_before_and_after(score_model("train", *data, *FAST, "-o", files / "new"), train)


def test_the_warning_comes_before_a_cascade_is_chosen_and_after_it(files, score_model, staged_bundle, monkeypatch):
    monkeypatch.setattr("export.training.checks.check_recallable", lambda *_: None)
    monkeypatch.setattr("export.training.add_cascade.add_cascade", work)
    train = files / "train.csv"
    data = ("--train-file", train, "--test-file", train)
    assert_warned_before_and_after(score_model("cascade", staged_bundle.path, *data, "-q", "-o", files / "new"), train)


def test_training_with_one_file_for_both_works_and_the_card_has_the_number(files, score_model, encoder_folder):
    both = files / "test.csv"
    data = ("--train-file", both, "--test-file", both, "--encoder", encoder_folder("bert"))
    found = score_model("train", *data, *FAST, "-o", files / "b")
    assert found.code == 0, found.err
    assert found.err.count("All 60 test texts are also training texts.") == 2
    assert found.out.splitlines()[-1].startswith("wrote ")
    assert json.loads((files / "b" / "manifest.json").read_text())["metrics"]["test_in_train"] == 60
    assert "60 texts of the test split also occur verbatim" in (files / "b" / "README.md").read_text()


def test_other_test_texts_give_no_warning(files, score_model, encoder_folder, monkeypatch):
    monkeypatch.setattr("export.training.train.train", lambda *_: None)
    data = ("--train-file", files / "train.csv", "--test-file", files / "test.csv")
    found = score_model("train", *data, "--encoder", encoder_folder("bert"), *FAST, "-o", files / "b")
    assert (found.code, found.err) == (0, "")


def test_texts_that_a_baseline_was_trained_on_are_a_warning(bundle, files, score_model):
    with open(files / "own.csv", "w") as file:
        csv.writer(file).writerows(
            [("text", "label"), *((f"text {at}", ("negative", "positive")[at % 2]) for at in range(20))]
        )
    shutil.copy(files / "own.csv", files / "copy.csv")
    data = ("--data", files / "own.csv", "--train-file", files / "copy.csv", "--provider", "cpu", "-q")
    found = score_model("evaluate", bundle.path, *data)
    assert found.code == 0, found.err
    assert found.err == (
        f"Warning: --data {files / 'own.csv'} is a copy of --train-file {files / 'copy.csv'}. All 20 texts of --data are also "
        "training texts. The baseline knows them, so its figures are too good. Name another --train-file, or omit it.\n"
    )
