"""The texts of a single file that a training keeps to test with: how they are chosen, recorded and shown."""

import csv
from collections import Counter

import numpy as np
import pytest
from factories import MAX_LENGTH, reviews

from export.data import Row
from export.data_files import load
from export.data_source import Columns, DataSource, LabelNames
from export.errors import DatasetError
from export.split_file import NAME
from export.tested_part import choose_test
from scorer.base.errors import ScorerError, UsageError
from scorer.model.bundle import load_bundle

WORDS = [f"word{number}" for number in range(3000)]


def rows_of(labels, origins=None, seed=0):
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, 12)) for _ in labels]
    origins = origins or [""] * len(labels)
    return [
        Row(text, label, str(n), origin=one)
        for n, (text, label, one) in enumerate(zip(texts, labels, origins, strict=True))
    ]


LABELS = ["a"] * 150 + ["b"] * 100 + ["c"] * 44 + ["rare"] * 6


def test_every_label_has_the_same_share_of_the_test_part():
    rows = rows_of(LABELS)
    chosen = choose_test(rows, 0.2)
    found = Counter(row.label for row, one in zip(rows, chosen, strict=True) if one)
    assert found == {"a": 30, "b": 20, "c": 9, "rare": 1}


def test_the_default_part_is_a_fifth_or_100_texts_but_at_most_a_third():
    assert [choose_test(rows_of(["a", "b"] * half)).sum() for half in (30, 150, 400)] == [20, 100, 160]


def test_many_rare_labels_do_not_leave_the_test_part_empty():
    assert choose_test(rows_of([str(n // 2) for n in range(80)]), 0.25).sum() == pytest.approx(20, abs=1)


def test_labels_of_a_single_text_are_trained_on():
    rows = rows_of(["a"] * 20 + ["once", "twice", "twice"])
    chosen = choose_test(rows, 0.5)
    left = {row.label for row, one in zip(rows, chosen, strict=True) if not one}
    assert left == {"a", "once", "twice"}


def test_any_number_of_labels_and_numbers_are_stratified_too():
    random = np.random.default_rng(0)
    several = rows_of([tuple(tag for tag, p in (("x", 0.5), ("y", 0.1)) if random.random() < p) for _ in range(400)])
    chosen = choose_test(several, 0.25)
    for tag in ("x", "y"):
        have = np.array([tag in row.label for row in several])
        assert chosen[have].mean() == pytest.approx(0.25, abs=0.03)
    numbers = rows_of(random.gamma(1.0, size=400).tolist())
    values, chosen = np.array([row.label for row in numbers]), choose_test(numbers, 0.25)
    for low, high in ((0, 0.5), (0.5, 1.5), (1.5, 99)):
        inside = (values >= low) & (values < high)
        assert chosen[inside].mean() == pytest.approx(0.25, abs=0.06)


def test_texts_of_one_thread_and_near_duplicates_are_on_one_side():
    random = np.random.default_rng(1)
    threads = [f"t{random.integers(60)}" for _ in LABELS]
    rows = rows_of(LABELS, threads)
    copies = [row._replace(text=f"{row.text} indeed", origin="") for row in rows[:100]]
    chosen = choose_test([*rows, *copies], 0.2)
    sides = {}
    for thread, side in zip(threads, chosen, strict=False):
        sides.setdefault(thread, set()).add(side)
    assert all(len(both) == 1 for both in sides.values())
    assert (chosen[: len(copies)] == chosen[len(rows) :]).all()
    assert chosen.mean() == pytest.approx(0.2, abs=0.05)


def test_the_choice_depends_on_the_texts_and_not_on_their_order():
    rows = rows_of(LABELS)
    order = np.random.default_rng(3).permutation(len(rows))
    assert (choose_test([rows[at] for at in order]) == choose_test(rows)[order]).all()


def test_the_only_threads_of_a_file_are_divided_too():
    chosen = choose_test(rows_of(["a", "b"] * 30, ["x"] * 40 + ["y"] * 20))
    assert chosen.tolist() == [False] * 40 + [True] * 20


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (rows_of(["a", "b"] * 9, ["x"] * 18), "all 18 texts belong together, as near duplicates or by --split-by"),
        (rows_of(["a", "b"]), "without any of them, training would lack a label or have no text"),
    ],
)
def test_texts_that_cannot_be_spared_are_an_error(rows, why):
    with pytest.raises(DatasetError) as caught:
        choose_test(rows)
    assert str(caught.value) == (
        f"no texts can be spared to test with: {why}. Give other texts to test with in --test-file."
    )


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("id", "text", "label", "thread"), *((row.id, row.text, row.label, row.origin) for row in rows)]
        )
    return str(path)


@pytest.fixture
def one_file(tmp_path):
    """Load a file of rows as `score-model train --train-file` does, its splits recorded in a folder."""

    def run(rows, name="a.csv", **more):
        return load(DataSource(train_files=(write(tmp_path / name, rows),), cache=tmp_path / "cache", **more))

    return run


def test_a_second_run_tests_with_the_same_texts_whatever_became_of_labels_and_order(one_file, tmp_path, capfd):
    rows = rows_of(LABELS)
    first = one_file(rows)
    (path,) = (tmp_path / "cache" / "splits").glob(f"*/{NAME}")
    assert capfd.readouterr().err == f"100 of 300 texts are kept to test with, chosen now: {path}\n"
    corrected = [row._replace(label="b") if n % 7 == 0 and row.label == "a" else row for n, row in enumerate(rows)]
    second = one_file(corrected[::-1], "b.csv")
    assert capfd.readouterr().err == f"100 of 300 texts are kept to test with, as in an earlier run: {path}\n"
    assert sorted(first.test.texts) == sorted(second.test.texts)
    assert (len(first.train), len(first.test)) == (200, 100)
    assert first.name == "a.csv (tested on 100 of its 300 texts)"
    assert first.test_part.share == pytest.approx(1 / 3)


def test_the_record_names_rows_and_ids_and_holds_no_text(one_file, tmp_path):
    rows = rows_of(LABELS)
    found = one_file(rows)
    (path,) = (tmp_path / "cache" / "splits").glob(f"*/{NAME}")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == [str(n) for n in range(1, 301)]
    assert [line["id"] for line in lines if line["part"] == "test"] == list(found.test.ids)
    assert "word" not in path.read_text()


def test_a_record_that_a_person_changes_is_used(one_file, tmp_path):
    rows = rows_of(LABELS)
    before = set(one_file(rows).test.texts)
    (path,) = (tmp_path / "cache" / "splits").glob(f"*/{NAME}")
    path.write_text(path.read_text().replace(",train,", ",test,", 1))
    assert len(set(one_file(rows).test.texts) - before) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace(",test,", ",tset,", 1), "a text has no part, which is train or test, or is in both"),
        (lambda text: text.replace(",test,", ",train,"), "all of its texts are in one part"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "it lists other texts"),
        (lambda text: "\x00", "it lists other texts"),
    ],
)
def test_a_record_that_does_not_fit_is_named_and_another_is_made_beside_it(one_file, tmp_path, capfd, change, problem):
    rows = rows_of(LABELS)
    first = one_file(rows)
    (path,) = (tmp_path / "cache" / "splits").glob(f"*/{NAME}")
    path.write_text(change(path.read_text()))
    for origin in ("chosen now", "as in an earlier run"):
        capfd.readouterr()
        assert one_file(rows).test.texts == first.test.texts
        beside = path.parent.with_name(f"{path.parent.name}-2") / NAME
        assert capfd.readouterr().err == (
            f"{path} does not fit these texts: {problem}. It is ignored; remove its folder if nothing needs it.\n"
            f"100 of 300 texts are kept to test with, {origin}: {beside}\n"
        )


def test_a_label_that_only_test_texts_have_after_a_correction_leads_to_another_choice(one_file, capfd):
    rows = rows_of(LABELS)
    tested = set(one_file(rows).test.texts)
    corrected = [row._replace(label="new") if row.text in tested and row.label == "c" else row for row in rows]
    found = one_file(corrected)
    assert "no text to train on has the label new now" in capfd.readouterr().err
    assert {found.labels[label] for label in found.train.labels} == set(found.labels) == {"a", "b", "c", "new", "rare"}


def test_another_share_or_column_is_another_choice(one_file, tmp_path):
    rows = rows_of(LABELS, [f"t{n % 50}" for n in range(300)])
    one_file(rows)
    assert len(one_file(rows, test_share=0.1).test) == 30
    found = one_file(rows, columns=Columns(split_by="thread"))
    assert found.test_part.split_by == "thread"
    threads = {row.text: row.origin for row in rows}
    assert not {threads[text] for text in found.test.texts} & {threads[text] for text in found.train.texts}
    assert len(list((tmp_path / "cache" / "splits").iterdir())) == 3


def test_a_part_that_large_threads_make_much_larger_is_a_warning(one_file, capfd):
    one_file(rows_of(["a", "b"] * 100, ["x"] * 120 + ["y"] * 80), columns=Columns(split_by="thread"), test_share=0.1)
    assert (
        "Warning: 80 texts are tested with, not 20, because large sets of texts belong together"
        in capfd.readouterr().err
    )


def test_a_column_to_split_by_that_is_missing_is_named(one_file):
    with pytest.raises(UsageError, match=r"a\.csv has no column 'product'; name the one to use with --split-by"):
        one_file(rows_of(LABELS), columns=Columns(split_by="product"))


def test_a_record_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    source = DataSource(train_files=(write(tmp_path / "a.csv", rows_of(LABELS)),), cache=tmp_path / "file")
    with pytest.raises(ScorerError, match="cannot be"):
        load(source)


def test_numbers_of_the_test_part_need_not_be_trained_on(one_file):
    rows = rows_of([n / 100 for n in range(300)])
    columns = Columns(task="regression")
    first = one_file(rows, columns=columns)
    assert one_file(rows, columns=columns).test.texts == first.test.texts


def test_test_files_without_training_files_are_refused():
    with pytest.raises(UsageError, match="--test-file needs --train-file"):
        DataSource(test_files=("a.csv",), label_names=LabelNames())


def test_train_tests_with_the_part_and_the_card_states_how_it_was_chosen(tmp_path, encoder_folder, score_model):
    path = tmp_path / "reviews.csv"
    split = reviews(90, 2, 1)
    lines = [
        (f"{text} {n}", label, f"t{n // 2}")
        for n, (text, label) in enumerate(zip(split.texts, split.labels, strict=True))
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label", "thread"), *lines])
    given = (
        "--train-file",
        path,
        "--encoder",
        encoder_folder("bert"),
        "--max-length",
        MAX_LENGTH,
        "--no-baseline",
        "-q",
    )
    places = ("--cache-dir", tmp_path / "c", "--precisions", "fp32", "--no-wide")
    found = score_model("train", *given, *places, "-o", tmp_path / "b", "--split-by", "thread")
    assert found.code == 0, found.err
    manifest = load_bundle(tmp_path / "b").manifest
    tested = manifest.metrics["test_texts"]
    assert manifest.training["dataset"] == f"reviews.csv (tested on {tested} of its 90 texts)"
    assert manifest.training["test_part"] == {"share": tested / 90, "split_by": "thread"}
    card = (tmp_path / "b" / "README.md").read_text()
    assert (
        f"They are {tested / 90:.0%} of the texts of the training files, with each label in the same share. Equal texts, near "
        "duplicates, and texts with one value of `thread` are either all among them or all among the others:\n"
    ) in card
    again = score_model("train", *given, *places, "-o", tmp_path / "n", "--split-by", "thread", "--pooling", "mean")
    assert f"{tested} of 90 texts are kept to test with, as in an earlier run: " in again.err
