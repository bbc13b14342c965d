"""Training: encoder, features, head, data, and the command with its log and messages."""

import csv
import dataclasses
import decimal
import errno
import gzip
import io
import itertools
import json
import os
import re
import shutil
from functools import partial

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import zstandard
from factories import MAX_LENGTH, make_bundle, reviews, tiny_model, tiny_tokenizer

from export.bundle.place import check_free
from export.classifier.head import train_head
from export.classifier.objective import OneOf, predict
from export.classifier.settings import HeadSettings
from export.data import Dataset, Row, make_dataset, sort_labels
from export.data_files import load_files, load_hub, read_rows, read_texts
from export.data_source import Columns, LabelNames
from export.encoder.load import load_encoder, save
from export.encoder.pooling import pool
from export.encoder.saved import check_saved
from export.encoder.vectors import every_vector
from export.errors import DatasetError, ExportError, UnsupportedEncoder
from export.evaluation.evaluate import score_split
from export.training import features
from export.training.cache import CachedArray
from export.training.features import extract
from export.training.settings import FitSettings, Settings
from export.training.train import train
from scorer.base.errors import InputError, UsageError
from scorer.engine.row_engine import RowEngine
from scorer.model.loaded import LoadedModel
from scorer.rows.input_options import InputOptions


@pytest.fixture
def files(tmp_path):
    """A folder with a train and a test file of each format, with the labels neg and pos."""
    for name, count, seed in (("train", 200, 1), ("test", 60, 2)):
        split = reviews(count, 2, seed)
        labels = [("neg", "pos")[label] for label in split.labels]
        rows = list(zip(split.texts, labels, strict=True))
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("review", "label"), *rows])
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps({"review": t, "label": lb}) + "\n" for t, lb in rows)
        )
        pyarrow.parquet.write_table(
            pyarrow.table({"review": split.texts, "label": labels}), tmp_path / f"{name}.parquet"
        )
    return tmp_path


# Encoder and features


def test_every_weight_is_frozen_and_dropout_is_off(encoder):
    for family in ("distilbert", "bert", "roberta"):
        model = encoder(family).model
        assert not any(weight.requires_grad for weight in model.parameters())
        assert not any(module.training for module in model.modules())


def test_training_changes_no_weight_of_the_encoder(encoder, tmp_path):
    from export.encoder.load import weights_sha256

    frozen = encoder("bert")
    make_bundle(frozen, tmp_path / "b", precisions=("fp32",))
    assert weights_sha256(frozen.model) == frozen.sha256


@pytest.mark.parametrize("family", ["distilbert", "bert", "roberta"])
def test_features_are_what_pytorch_computes(encoder, family):
    frozen = encoder(family)
    rows = frozen.tokenizer.encode(["good", "bad plot " * 10, "so"]).ids
    queries = np.random.default_rng(1).normal(size=(3, 32)).astype(np.float32)
    found = features.feature_engine(frozen, 2, {1: queries}).logits(rows)
    for row, vectors in zip(rows, found, strict=True):
        ids = torch.from_numpy(row[np.newaxis])
        mask = torch.ones_like(ids)
        layers = frozen.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[1:]
        expected = [pool(layers[layer - 1], mask, kind)[0].detach() for kind, layer in every_vector(2)]
        expected += pool(layers[0], mask, "attention", torch.from_numpy(queries))[0].detach().split(32)
        np.testing.assert_allclose(vectors, torch.stack(expected), atol=1e-5)


def test_pooling_leaves_padding_out():
    hidden = torch.tensor([[[2.0], [4.0], [99.0]]])
    assert pool(hidden, torch.tensor([[1, 1, 0]]), "mean").tolist() == [[3.0]]
    assert pool(hidden, torch.tensor([[1, 1, 0]]), "cls").tolist() == [[2.0]]
    # The first query weighs both tokens equally; the second gives e^2 times the weight to the token that is larger by 2.
    queries, share = torch.tensor([[0.0], [1.0]]), np.exp(2) / (1 + np.exp(2))
    found = pool(hidden, torch.tensor([[1, 1, 0]]), "attention", queries)
    np.testing.assert_allclose(found, [[3.0, 2 + 2 * share]], rtol=1e-6)


def test_an_interrupted_extraction_goes_on_where_it_stopped(encoder, tmp_path, monkeypatch):
    frozen = encoder("distilbert")
    tokens = frozen.tokenizer.encode(reviews(200, 2, 4).texts).ids
    monkeypatch.setattr(features, "_TEXTS_PER_SAVE", 9)
    whole = extract(frozen, tokens, tmp_path / "whole", name="train", quiet=True)
    assert whole.computed == 200
    original, calls = RowEngine.logits, []

    def interrupted(engine, rows):
        calls.append(len(rows))
        if len(calls) == 18:
            raise KeyboardInterrupt
        return original(engine, rows)

    monkeypatch.setattr(RowEngine, "logits", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(frozen, tokens, tmp_path / "parts", name="train", quiet=True)
    rest = extract(frozen, tokens, tmp_path / "parts", name="train", quiet=True)
    assert rest.computed == 200 - 17 * 9
    assert (rest.vectors == whole.vectors).all()
    again = extract(frozen, tokens, tmp_path / "parts", name="train", quiet=True)
    assert again.computed == 0
    assert (again.vectors == whole.vectors).all()


def test_other_texts_weights_or_lengths_have_features_of_their_own(encoder, encoder_folder):
    frozen = encoder("distilbert")
    texts = reviews(5, 2, 4).texts
    keys = {
        features.features_key(frozen, frozen.tokenizer.encode(texts).ids),
        features.features_key(frozen, frozen.tokenizer.encode(texts[:4]).ids),
        features.features_key(frozen, frozen.tokenizer.encode([*texts[:4], "other"]).ids),
        features.features_key(frozen, frozen.tokenizer.encode(texts).ids, {1: np.zeros((4, 32), dtype=np.float32)}),
        features.features_key(frozen, frozen.tokenizer.encode(texts).ids, {2: np.zeros((4, 32), dtype=np.float32)}),
        features.features_key(frozen, frozen.tokenizer.encode(texts).ids, {2: np.ones((4, 32), dtype=np.float32)}),
        features.features_key(encoder("bert"), frozen.tokenizer.encode(texts).ids),
        features.features_key(
            frozen, load_encoder(str(encoder_folder("distilbert")), max_length=4).tokenizer.encode(texts).ids
        ),
    }
    assert len(keys) == 8


def test_more_tokens_than_the_encoder_has_positions_is_an_error(encoder_folder):
    with pytest.raises(UnsupportedEncoder, match="has 64 positions, fewer than --max-length 65"):
        load_encoder(str(encoder_folder("roberta")), max_length=65)


def test_a_tokenizer_of_another_encoder_is_refused(tmp_path):
    tokenizer = tiny_tokenizer("bert")
    tokenizer.save_pretrained(tmp_path)
    highest = max(tokenizer.get_vocab().values())
    tiny_model("bert", highest).save_pretrained(tmp_path)
    with pytest.raises(
        UnsupportedEncoder, match=f"has ids up to {highest}, but the encoder's vocabulary has only {highest} entries"
    ):
        load_encoder(str(tmp_path), max_length=MAX_LENGTH)


def test_an_encoder_that_is_not_there_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(ExportError, match=r"Give a hub name .* or a local folder"):
        load_encoder(str(tmp_path), max_length=8)


def test_break_tags_are_cleaned_by_the_tokenizer_if_asked(encoder_folder):
    folder = str(encoder_folder("bert"))
    plain = load_encoder(folder, max_length=MAX_LENGTH).tokenizer
    clean = load_encoder(folder, max_length=MAX_LENGTH, clean_text=True).tokenizer
    dirty, tidy = "good<br /><br/>film<BR>", "good  film "
    assert (
        clean.encode([dirty]).ids[0].tolist()
        == plain.encode([tidy]).ids[0].tolist()
        != plain.encode([dirty]).ids[0].tolist()
    )


# Head


def separable(count, labels, seed):
    generator = np.random.default_rng(seed)
    numbers = generator.integers(0, labels, size=count)
    vectors = generator.normal(size=(count, 6)) * [1, 10, 100, 0.1, 1, 0] + 50
    vectors[:, 0] += 6 * numbers
    return vectors.astype(np.float32), numbers


@pytest.mark.parametrize("solver", ["newton", "adam"])
@pytest.mark.parametrize("labels", [2, 3])
def test_the_folded_head_classifies_raw_features_of_any_scale(labels, solver):
    training = train_head(
        separable(2000, labels, 0),
        separable(200, labels, 1),
        objective=OneOf(labels),
        settings=HeadSettings(solver=solver, epochs=30, learning_rate=0.01),
    )
    vectors, truth = separable(500, labels, 2)
    assert training.head.weight.shape == (1 if labels == 2 else labels, 6)
    assert np.mean(predict(training.head.logits(vectors)) == truth) > 0.95


def test_the_epoch_with_the_lowest_validation_loss_is_kept():
    train_part, other = separable(60, 2, 0), separable(60, 2, 1)
    # There is nothing to learn, so later epochs overfit.
    shuffled = (other[0], np.random.default_rng(0).permutation(other[1]))
    training = train_head(
        train_part, shuffled, objective=OneOf(2), settings=HeadSettings(solver="adam", epochs=20, learning_rate=0.05)
    )
    assert training.best == min(training.steps, key=lambda step: step.validation_loss)
    assert training.best.number < 20


def test_training_is_repeatable():
    first, second = (
        train_head(separable(300, 2, 0), separable(50, 2, 1), objective=OneOf(2), settings=HeadSettings(solver="adam"))
        for _ in range(2)
    )
    assert (first.head.weight == second.head.weight).all()


# Data


def test_labels_are_sorted_named_and_the_positive_one_is_last():
    rows = [Row("a", "0"), Row("b", "1")]
    assert make_dataset("d", rows, rows, LabelNames()).labels == ("0", "1")
    assert make_dataset("d", rows, rows, LabelNames(("neg", "pos"))).train.labels.tolist() == [0, 1]
    turned = make_dataset("d", rows, rows, LabelNames(("neg", "pos"), "neg"))
    assert (turned.labels, turned.train.labels.tolist()) == (("pos", "neg"), [1, 0])
    ten = [Row(str(n), str(n)) for n in range(1, 12)]
    assert make_dataset("d", ten, ten, LabelNames()).labels == tuple(str(n) for n in range(1, 12))


@pytest.mark.parametrize(
    ("train_rows", "test_rows", "names", "message"),
    [
        (
            [("a", "x")],
            [("a", "x")],
            LabelNames(),
            "at least two labels are needed; the training split has 1.",
        ),
        (
            [("a", "x"), ("b", "y")],
            [("a", "z")],
            LabelNames(),
            "the test split has labels that the training split lacks: z. Add such texts to the training split, or remove them from the test split.",
        ),
        (
            [("a", "x"), ("b", "y")],
            [("a", "x")],
            LabelNames(("n",)),
            "--label-names gives 1 names (n) for 2 labels (x, y).",
        ),
        (
            [("a", "x"), ("b", "y")],
            [("a", "x")],
            LabelNames(None, "z"),
            "--positive-label 'z' is not one of the labels: x, y.",
        ),
        (
            [("a", "x"), ("b", "y"), ("c", "z")],
            [("a", "x")],
            LabelNames(None, "z"),
            "--positive-label is for two labels; there are 3: x, y, z.",
        ),
        (
            [("a", "x"), ("b", "y")],
            [("a", "x")],
            LabelNames(("n", "")),
            "a label is empty or cannot be printed; name the labels with --label-names: 'n', ''",
        ),
    ],
)
def test_labels_that_do_not_fit_are_an_error(train_rows, test_rows, names, message):
    with pytest.raises(DatasetError) as caught:
        make_dataset("d", *([Row(*row) for row in rows] for rows in (train_rows, test_rows)), names)
    assert str(caught.value) == message


def test_every_format_gives_the_same_dataset(files):
    found = [
        load_files(
            [str(files / f"train.{kind}")],
            [str(files / f"test.{kind}")],
            columns=Columns(),
            label_names=LabelNames(),
        )
        for kind in ("csv", "jsonl", "parquet")
    ]
    assert found[0].labels == ("neg", "pos")
    assert len(found[0].train) == 200
    for other in found[1:]:
        assert other.train.texts == found[0].train.texts
        assert (other.test.labels == found[0].test.labels).all()


def test_a_training_record_that_cannot_be_used_is_named_and_never_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\ngood,1\n,0\n")
    with pytest.raises(DatasetError, match=r"a\.csv, line 3: empty_text"):
        load_files([str(tmp_path / "a.csv")], [str(tmp_path / "a.csv")], columns=Columns(), label_names=LabelNames())
    (tmp_path / "b.csv").write_text("text,label\ngood,\n")
    with pytest.raises(DatasetError, match=r"b\.csv, line 2: the column 'label' has no value"):
        load_files([str(tmp_path / "b.csv")], [str(tmp_path / "b.csv")], columns=Columns(), label_names=LabelNames())


@pytest.mark.parametrize("label", [None, "", float("nan")])
def test_what_other_tools_write_for_no_label_is_none(tmp_path, label):
    columns = {"text": ["good", "bad"], "label": ["1", label] if isinstance(label, str) else [1.0, label]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"a\.parquet, row 2: the column 'label' has no value"):
        read_rows(str(tmp_path / "a.parquet"), Columns())
    lines = (json.dumps({"text": text, "label": label}) for text, label in zip(*columns.values(), strict=True))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"a\.jsonl, line 2: (the column 'label' has no value|invalid_json)"):
        read_rows(str(tmp_path / "a.jsonl"), Columns())


def test_a_text_without_a_token_is_refused(encoder, bundle, tmp_path):
    some = reviews(6, 2, 1)
    one = dataclasses.replace(some, texts=["\u200b", *some.texts[1:]], ids=tuple("abcdef"))
    for train_split, test_split in ((one, some), (some, one)):
        with pytest.raises(
            DatasetError, match=r"finds no token in 1 of the texts .*\. Fix or remove the records with these ids: a\."
        ):
            train(
                Dataset("d", ("n", "p"), train_split, test_split),
                encoder("bert"),
                Settings(tmp_path / "b", "b", max_length=MAX_LENGTH),
                print,
            )
    with pytest.raises(DatasetError, match=r"ids: a\."):
        score_split(LoadedModel(bundle, provider="cpu", cascade=False), one, quiet=True)


def test_labels_have_one_order_even_if_one_is_called_nan():
    assert sort_labels(["nan", "10", "b", "2"]) == sort_labels(["b", "2", "nan", "10"]) == ["2", "10", "b", "nan"]


def test_an_id_of_0_is_an_id(tmp_path):
    pyarrow.parquet.write_table(
        pyarrow.table({"id": [0, 1], "text": ["a", "b"], "label": [1, 2]}), tmp_path / "a.parquet"
    )
    assert [row.id for row in read_rows(str(tmp_path / "a.parquet"), Columns())] == ["0", "1"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_rating_that_is_the_label_is_no_group(tmp_path, kind):
    table = pyarrow.table({"text": ["a", "b"], "rating": [1, 2]})
    if kind == "parquet":
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    elif kind == "csv":
        (tmp_path / "a.csv").write_text("text,rating\na,1\nb,2\n")
    else:
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    rows = read_rows(str(tmp_path / f"a.{kind}"), Columns(label="rating"))
    assert [(row.label, row.group) for row in rows] == [("1", ""), ("2", "")]
    assert [row.group for row in read_rows(str(tmp_path / f"a.{kind}"), Columns(label="rating", group="rating"))] == [
        "1",
        "2",
    ]


def test_training_reads_what_score_reads(files, monkeypatch):
    """The same texts are read from compressed files, other delimiters and encodings, without a header, and from stdin."""
    expected = read_rows(str(files / "train.csv"), Columns())
    with open(files / "train.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    plain = (files / "train.csv").read_bytes()
    (files / "a.csv.gz").write_bytes(gzip.compress(plain))
    (files / "a.jsonl.zst").write_bytes(zstandard.compress((files / "train.jsonl").read_bytes()))
    semicolons = "".join(f"'{text}';{label}\n" for text, label in rows)
    (files / "odd.txt").write_bytes(semicolons.encode("utf-16"))
    (files / "bare.csv").write_bytes(plain.split(b"\n", 1)[1])
    columns = {"review": [row[0].encode() for row in rows[1:]], "label": [row[1].encode() for row in rows[1:]]}
    pyarrow.parquet.write_table(pyarrow.table(columns), files / "bytes.parquet")
    (files / "parts").mkdir()
    for part, lines in enumerate((rows[:100], [rows[0], *rows[100:]])):
        with open(files / "parts" / f"{part}.csv", "w", newline="") as file:
            csv.writer(file).writerows(lines)
    odd = InputOptions(input_format="csv", delimiter=";", quote_char="'", encoding="utf-16")
    bare = Columns("column_1", "column_2")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(plain)))
    for name, options, named in (
        ("a.csv.gz", InputOptions(), Columns()),
        ("a.jsonl.zst", InputOptions(), Columns()),
        ("odd.txt", odd, Columns()),
        ("bare.csv", InputOptions(no_header=True), bare),
        ("bytes.parquet", InputOptions(), Columns()),
        ("parts", InputOptions(), Columns()),
        ("parts/*.csv", InputOptions(), Columns()),
    ):
        assert read_rows(str(files / name), named, options) == expected, name
    assert read_rows("-", Columns(), InputOptions(input_format="csv")) == expected


def test_options_of_the_input_reach_train_evaluate_and_parity(bundle, files, encoder_folder, score_model):
    split = reviews(60, 2, 3)
    lines = [f"{text};{('negative', 'positive')[label]}" for text, label in zip(split.texts, split.labels, strict=True)]
    (files / "odd.txt").write_bytes("\n".join(lines).encode("utf-16"))
    given = (
        "--input-format",
        "csv",
        "--delimiter",
        ";",
        "--encoding",
        "utf-16",
        "--no-header",
        "--text-column",
        "column_1",
    )
    labelled = (*given, "--label-column", "column_2")
    found = score_model("evaluate", bundle.path, "--data", files / "odd.txt", "--provider", "cpu", "-q", *labelled)
    assert (found.code, "| tiny (int8, cpu) | 60 | " in found.out) == (0, True), found.err
    found = score_model(
        "parity", bundle.path, "--data", files / "odd.txt", "--encoder", encoder_folder("distilbert"), *given
    )
    assert (found.code, found.out.splitlines()[-1].endswith("of 60 texts")) == (0, True), found.err
    data = ("--train-file", files / "odd.txt", "--test-file", files / "odd.txt", "--precisions", "int4")
    found = score_model("train", "-o", files / "b", *data[:4], "--encoder", files, *labelled)
    assert f"the encoder '{files}' cannot be loaded" in found.err


def test_a_record_that_cannot_be_used_is_named_with_what_to_try(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\ngood,1\nna\u00efve,0\n".encode("latin-1"))
    with pytest.raises(DatasetError) as caught:
        read_rows(str(tmp_path / "a.csv"), Columns())
    assert str(caught.value).startswith(
        f"{tmp_path / 'a.csv'}, line 3: invalid_encoding. Fix or remove this record. "
        "Use the encoding that reads right: --encoding cp1252 reads 'naïve,0'; --encoding "
    )
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", " "], "label": ["x", "y"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"a\.parquet, row 2: empty_text\. Fix or remove this record\.$"):
        read_rows(str(tmp_path / "a.parquet"), Columns())
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match="is not a Parquet file, or it is truncated or damaged"):
        read_rows(str(tmp_path / "cut.parquet"), Columns())


def test_probes_need_their_own_columns_and_no_option_is_advised(tmp_path):
    (tmp_path / "p.csv").write_text("text,label\na,b\n")
    with pytest.raises(UsageError) as caught:
        read_rows(str(tmp_path / "p.csv"), Columns("text", group="kind", fixed=True))
    assert str(caught.value) == (
        f"{tmp_path / 'p.csv'} has no column 'kind'; rename the column that holds it. It has: 'text', 'label'."
    )


def test_texts_to_compare_are_spread_over_the_file_and_rejects_are_counted(tmp_path, capfd):
    (tmp_path / "a.csv").write_text("text,n\n" + "".join(f"t{row},1\n" for row in range(1000)) + ",2\n")
    found = [int(text[1:]) for text in read_texts(str(tmp_path / "a.csv"), None, 10)]
    assert len(set(found)) == 10
    assert found[0] == 0
    assert all(abs(row - 1000 / 9 * at) < 100 for at, row in enumerate(found))
    assert "`score` would reject 1 of 1,001 records" in capfd.readouterr().err
    assert read_texts(str(tmp_path / "a.csv"), None, 1000) == [f"t{row}" for row in range(1000)]


# Spelling


VALUES = {
    "bytes": (pyarrow.array([b"neg"]), "neg"),
    "float32": (pyarrow.array([3.7], pyarrow.float32()), "3.7"),
    "double": (pyarrow.array([1.0]), "1.0"),
    "bool": (pyarrow.array([True]), "true"),
    "integer": (pyarrow.array([2**63], pyarrow.uint64()), "9223372036854775808"),
    "date": (pyarrow.array([0], pyarrow.date32()), "1970-01-01"),
    "dictionary": (pyarrow.array(["neg"]).dictionary_encode(), "neg"),
    "decimal": (pyarrow.array([decimal.Decimal("1.10")]), "1.10"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_labels_groups_and_ids_are_spelled_as_score_spells_them(tmp_path, kind):
    array, spelled = VALUES[kind]
    columns = {"text": pyarrow.array(["good"]), "label": array, "kind": array, "id": array}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    identifier = "bmVn" if kind == "bytes" else spelled  # as in the output of `score`, so that the two can be joined
    assert read_rows(str(tmp_path / "a.parquet"), Columns(group="kind")) == [Row("good", spelled, identifier, spelled)]


@pytest.mark.parametrize(("value", "spelled"), [("true", "true"), ("3.70", "3.70"), ('"neg"', "neg"), ("1E2", "1E2")])
def test_labels_of_json_are_as_they_were_written(tmp_path, value, spelled):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "good", "label": {value}}}\n')
    assert read_rows(str(tmp_path / "a.jsonl"), Columns()) == [Row("good", spelled, "1")]


NESTED = {
    "list": pyarrow.array([["a", "b"]]),
    "record": pyarrow.array([{"a": 1}]),
    "map": pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
}


@pytest.mark.parametrize("kind", NESTED)
def test_lists_maps_and_records_are_no_labels(tmp_path, kind):
    table = pyarrow.table({"text": ["good"], "label": NESTED[kind]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    shown = '["a","b"]' if kind == "list" else '{"a":1}'
    more = "; for lists of labels, give --task multi_label" if kind == "list" else ""
    message = (
        f"the column 'label' holds {shown}; a label is one value, not a list, map or record. "
        f"Name another column with --label-column, or fix this one{more}."
    )
    single = Columns(task="single_label")
    with pytest.raises(DatasetError) as caught:
        read_rows(str(tmp_path / "a.parquet"), single)
    assert str(caught.value) == f"{tmp_path / 'a.parquet'}, row 1: {message}"
    (tmp_path / "a.jsonl").write_text(f'{{"text": "good", "label": {shown}}}\n')
    with pytest.raises(DatasetError) as caught:
        read_rows(str(tmp_path / "a.jsonl"), single)
    assert str(caught.value) == f"{tmp_path / 'a.jsonl'}, line 1: {message}"


def test_bytes_that_are_no_text_are_no_label(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": ["good"], "label": [b"\xff"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"row 1: the column 'label' holds bytes that are not UTF-8"):
        read_rows(str(tmp_path / "a.parquet"), Columns())


@pytest.fixture
def hub(monkeypatch):
    """Make the hub of datasets return some columns, as train and as test split."""

    def give(columns, features=None):
        split = datasets.Dataset.from_dict(columns, features)
        both = datasets.DatasetDict({"train": split, "test": split})
        monkeypatch.setattr(datasets, "load_dataset", lambda name, revision=None: both)

    return give


def test_labels_of_the_hub_are_spelled_as_those_of_files(hub):
    texts = ["good", "bad"]
    for values, names in (([True, False], ("false", "true")), ([b"pos", b"neg"], ("neg", "pos"))):
        hub({"review": texts, "label": values})
        assert load_hub("d", columns=Columns(), label_names=LabelNames()).labels == names
    float32 = datasets.Features({"text": datasets.Value("string"), "label": datasets.Value("float32")})
    hub({"text": texts, "label": [3.7, 0.1]}, float32)
    assert load_hub("d", columns=Columns(), label_names=LabelNames()).labels == ("0.1", "3.7")
    named = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    hub({"text": texts, "label": [1, 0]}, named)
    found = load_hub("d", columns=Columns(), label_names=LabelNames())
    assert (found.labels, found.train.labels.tolist(), found.train.ids) == (("neg", "pos"), [1, 0], ("1", "2"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"text": ["a"], "label": [{"x": 1}]},
            "d, split train, row 1: the column 'label' holds {\"x\":1}; a label is one",
        ),
        ({"text": ["a", ""], "label": [1, 2]}, "d, split train, row 2: empty_text. Fix or remove this record."),
        (
            {"text": ["a"], "lable": [1]},
            "the dataset 'd' has no column 'label'; did you mean 'lable'? It has: 'text', 'lable'.",
        ),
        ({"text": ["a"], "label": [None]}, "d, split train, row 1: the column 'label' has no value."),
    ],
)
def test_records_of_the_hub_that_cannot_be_used_are_named(hub, columns, message):
    hub(columns)
    with pytest.raises((DatasetError, UsageError), match=re.escape(message)):
        load_hub("d", columns=Columns(), label_names=LabelNames())


def test_a_number_of_the_hub_that_stands_for_no_label_is_none(hub):
    named = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    hub({"text": ["a"], "label": [-1]}, named)
    with pytest.raises(DatasetError, match="row 1: the column 'label' has no value"):
        load_hub("d", columns=Columns(), label_names=LabelNames())


def test_a_damaged_record_of_the_cache_is_computed_anew(tmp_path):
    CachedArray(tmp_path, "k", (4,), np.float32).save(2)
    assert CachedArray(tmp_path, "k", (4,), np.float32).done == 2
    (tmp_path / "k.json").write_text("")
    assert CachedArray(tmp_path, "k", (4,), np.float32).done == 0


def test_a_disk_without_room_is_said_at_once(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ExportError, match=r"has no room for 0\.0 GB: No space left on device. Give another folder"):
        CachedArray(tmp_path, "k", (4,), np.float32)
    assert list(tmp_path.iterdir()) == []


# The command


def test_train_evaluate_parity_and_score_go_together(files, encoder_folder, score_model, score):
    folder = encoder_folder("roberta")
    (files / "probes.csv").write_text(
        "text,label,kind\ngood film,pos,plain\nawful,neg,one word\ngreat,neg,wrong on purpose\n"
    )
    result = score_model(
        "train", "--encoder", folder, "--train-file", files / "train.csv", "--test-file", files / "test.parquet",
        "--max-length", 24, "--pooling", "mean", "--solver", "adam", "--epochs", 5, "--wide-pairs", 512,
        "--probes", files / "probes.csv", "--cache-dir", files / "cache", "-o", files / "new" / "models" / "b", "-q",
    )  # fmt: skip
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "train.csv (tested on test.parquet): 200 training and 60 test texts; labels neg, pos"
    assert lines[1].startswith("cross-validation: 200 training texts are few, so each is held out once, in 10 folds; ")
    assert re.fullmatch(r"features of train: 200 texts in \d+ s, [\d.]+ a second", lines[2])
    assert any(line.startswith("epoch 1: training loss 0.") for line in lines[3:5])
    assert any(
        re.fullmatch(r"wide part: L2 (0\.00\d+|\de-0\d), validation accuracy \d+\.\d\d%", line) for line in lines
    )
    assert any(line.startswith("validation accuracy: encoder ") for line in lines)
    assert any(line.startswith("baseline (TF-IDF + logistic regression): test accuracy ") for line in lines)
    assert any(line.startswith("parity: logits differ from PyTorch by at most ") for line in lines)
    assert lines[-1].startswith(f"wrote {files / 'new' / 'models' / 'b'} (")
    manifest = json.loads((files / "new" / "models" / "b" / "manifest.json").read_text())
    metrics = manifest["metrics"]
    assert len(metrics["head"]["steps"]) == 5
    assert (manifest["max_length"], manifest["max_tokens"]) == (24, 1024)
    assert manifest["parity"]["difference"] <= 1e-4
    card = (files / "new" / "models" / "b" / "README.md").read_text()
    assert "3 short texts written for the purpose; it labels 2 of them as intended." in card
    assert "| wrong on purpose | great | pos |" in card
    assert f"| fp32, PyTorch | {metrics['test']['accuracy']:.2%} |" in card

    evaluated = score_model(
        "evaluate",
        files / "new" / "models" / "b",
        "--data",
        files / "test.jsonl",
        "--precision",
        "fp32",
        "--provider",
        "cpu",
        "-q",
    )
    assert f"| b (fp32, cpu) | 60 | {metrics['test']['accuracy']:.2%} |" in evaluated.out

    compared = score_model(
        "parity", files / "new" / "models" / "b", "--data", files / "test.csv", "--encoder", folder, "--rows", 50
    )
    assert compared.code == 0, compared.err
    assert compared.out.startswith("fp32, padded batches ((1, 1), (1, 1024), (7, 33), (5, ")
    assert compared.out.splitlines()[1].endswith("same label 100.00% of 50 texts")

    scored = score(
        files / "test.csv",
        "-o",
        files / "out.csv",
        "--model",
        files / "new" / "models" / "b",
        "--precision",
        "fp32",
        "--keep",
        "label",
    )
    assert scored.code == 0
    with open(files / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert np.mean([row["input_label"] == row["label"] for row in rows]) == pytest.approx(metrics["test"]["accuracy"])

    refused = score_model(
        "train",
        "--encoder",
        folder,
        "--train-file",
        files / "train.csv",
        "--test-file",
        files / "test.csv",
        "-o",
        files / "new" / "models" / "b",
    )
    assert (refused.code, refused.err) == (
        1,
        f"Error: {files / 'new' / 'models' / 'b'} already exists; give --overwrite to replace it, or another --output.\n",
    )


def test_overwrite_replaces_bundles_only(files, encoder_folder, score_model):
    (files / "precious").mkdir()
    (files / "precious" / "thesis.txt").write_text("years of work")
    result = score_model(
        "train", "--encoder", encoder_folder("bert"), "--train-file", files / "train.csv", "--test-file", files / "test.csv",
        "-o", files / "precious", "--overwrite",
    )  # fmt: skip
    assert (result.code, result.err) == (
        1, f"Error: {files / 'precious'} already exists and is not a bundle; --overwrite replaces bundles only.\n",
    )  # fmt: skip
    assert (files / "precious" / "thesis.txt").exists()


@pytest.fixture
def bundle_to_replace(bundle, tmp_path):
    """A copy of a bundle, for trainings with --overwrite that are refused before anything is trained."""
    return shutil.copytree(bundle.path, tmp_path / "b")


@pytest.fixture
def overwrite(files, encoder_folder, score_model, bundle_to_replace, monkeypatch):
    def run(*options):
        monkeypatch.setattr("export.training.train.train", lambda *arguments: pytest.fail("it was trained"))
        data = {
            "--train-file": files / "train.csv",
            "--test-file": files / "test.csv",
            "--encoder": encoder_folder("bert"),
            **dict(zip(options[::2], options[1::2], strict=True)),
        }
        return score_model("train", *itertools.chain(*data.items()), "-o", bundle_to_replace, "--overwrite")

    return run


def test_an_empty_folder_is_taken_for_a_bundle_without_overwrite(tmp_path):
    (tmp_path / "b").mkdir()
    check_free(tmp_path / "b", overwrite=False)
    (tmp_path / "b" / "mine").touch()
    with pytest.raises(ExportError, match="already exists and is not a bundle"):
        check_free(tmp_path / "b", overwrite=False)


def test_overwrite_deletes_nothing_but_the_bundle(overwrite, bundle_to_replace):
    for name in ("reviews.csv", "z.txt"):
        (bundle_to_replace / name).write_text("mine")
    (bundle_to_replace / "README.md").unlink()
    (bundle_to_replace / "README.md").mkdir()
    result = overwrite()
    assert (result.code, result.err) == (
        2, f"Error: {bundle_to_replace} holds files that are not part of its bundle and that --overwrite would delete: "
        "README.md, reviews.csv, z.txt. Move them away, or give another --output.\n",
    )  # fmt: skip
    assert (bundle_to_replace / "reviews.csv").read_text() == "mine"


@pytest.mark.parametrize(
    "option", ["--train-file", "--test-file", "--probes", "--notes", "--cache-dir", "--save-encoder", "--encoder"]
)
@pytest.mark.parametrize("through", ["itself", "a link"])
def test_nothing_that_the_run_needs_lies_in_the_folder_that_is_replaced(
    overwrite, bundle_to_replace, tmp_path, option, through
):
    folder = bundle_to_replace
    if through == "a link":
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    is_folder = option in ("--cache-dir", "--save-encoder", "--encoder")
    place = folder if option == "--encoder" else folder / ("x" if is_folder else "manifest.json")
    more = ("--unfreeze", 1) if option == "--save-encoder" else ("--input-format", "jsonl") if not is_folder else ()
    result = overwrite(option, place, *more)
    assert (result.code, result.err) == (
        2, f"Error: {option} {place} is in the folder {bundle_to_replace} of --output, which is replaced as a whole; give one "
        "outside it.\n",
    )  # fmt: skip


def test_what_comes_to_lie_in_the_bundle_while_it_is_trained_stays(encoder, tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "SHA256SUMS").write_bytes(b"")
    (tmp_path / "b" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        UsageError,
        match=r"holds files that are not part of its bundle and that --overwrite would delete: thesis\.txt\.",
    ):
        make_bundle(encoder("bert"), tmp_path / "b", precisions=("fp32",))
    assert (tmp_path / "b" / "thesis.txt").read_text() == "years of work"


def test_training_is_not_lost_where_stdout_cannot_spell_a_label(files, encoder_folder, score_model, monkeypatch):
    monkeypatch.setattr("export.training.train.train", lambda dataset, encoder, settings, say: say("labels é, →"))
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", stdout)
    data = ("--train-file", files / "train.csv", "--test-file", files / "test.csv", "--encoder", encoder_folder("bert"))
    result = score_model("train", *data, "--max-length", 24, "--cache-dir", files / "c", "-o", files / "b")
    assert result.code == 0, result.err
    stdout.flush()
    assert stdout.buffer.getvalue() == b"labels \xe9, \\u2192\n"


def test_a_saved_encoder_replaces_an_earlier_one_only(encoder, encoder_folder, tmp_path):
    theirs = shutil.copytree(encoder_folder("bert"), tmp_path / "theirs")
    check = partial(check_saved, encoder="bert-base-uncased", overwrite=False)
    with pytest.raises(UsageError) as caught:
        check(theirs)
    assert str(caught.value) == (
        f"--save-encoder {theirs} holds files that no earlier run wrote: config.json, model.safetensors, tokenizer.json, "
        "tokenizer_config.json. Give --overwrite to replace them, or another folder."
    )
    check(theirs, overwrite=True)
    with pytest.raises(UsageError, match="is the encoder that training starts from"):
        check(theirs, encoder=str(theirs), overwrite=True)
    ours = tmp_path / "deep" / "ours"
    check(ours)
    assert not ours.parent.exists()
    save(encoder("bert"), ours)
    (ours / "notes.txt").write_text("mine")
    check(ours)
    save(encoder("bert"), ours)
    assert sorted(path.name for path in ours.iterdir()) == [
        "config.json", "model.safetensors", "notes.txt", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be created: .*/file is a file; name another folder"):
        check(tmp_path / "file" / "encoder")


def test_int8_that_disagrees_is_left_out(encoder, tmp_path, monkeypatch):
    # The answers are for int8 and fp32 of the first training, and for int8 of the others.
    told = iter([True, False, True, True])
    monkeypatch.setattr("export.training.scoring.is_too_low", lambda share, rows, task: next(told))
    split = reviews(80, 2, 1)
    said = []
    dataset = Dataset("d", ("n", "p"), split, reviews(40, 2, 2))
    of_fit = FitSettings(cache=tmp_path / "f", wide=None, quiet=True)
    settings = Settings(tmp_path / "b", "b", of_fit, max_length=MAX_LENGTH, parity_rows=4, baseline=False, quiet=True)
    bundle = train(dataset, encoder("bert"), settings, said.append)
    assert sorted(bundle.manifest.precisions) == ["fp16", "fp32"]
    assert bundle.manifest.providers == {"cpu": "fp32", "cuda": "fp16"}
    assert not {"model.int8.onnx", "weights.int8.bin"} & set(bundle.files)
    assert "int8 is left out: at least 99% is needed. The bundle scores in fp32 on CPU." in said
    assert bundle.manifest.metrics["precisions"].keys() == {"fp32"}
    card = (bundle.path / "README.md").read_text()
    assert "| fp32, as scored on CPU |" in card
    assert "int8 is not in the bundle: it gave the same label as PyTorch for only " in card
    for precisions in (("int8",), ("fp16", "int8")):  # fp16 would share the weights of int8
        with pytest.raises(ExportError, match="No bundle was written"):
            make_bundle(encoder("bert"), tmp_path / "int8", precisions=precisions)
        assert not (tmp_path / "int8").exists()


def test_fp16_that_is_too_far_from_float32_is_left_out(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("export.graph.parity.HALF_TOLERANCE", 0.0)
    said = []
    dataset = Dataset("d", ("n", "p"), reviews(80, 2, 1), reviews(40, 2, 2))
    of_fit = FitSettings(cache=tmp_path / "f", wide=None, quiet=True)
    settings = Settings(tmp_path / "b", "b", of_fit, max_length=MAX_LENGTH, parity_rows=4, baseline=False, quiet=True)
    bundle = train(dataset, encoder("bert"), settings, said.append)
    assert bundle.manifest.providers == {"cpu": "int8", "cuda": "fp32"}
    assert "fp16 is left out: at most 0e+00 is allowed." in said
    assert "fp16" not in bundle.manifest.parity
    with pytest.raises(ExportError, match="no precision is left"):
        train(dataset, encoder("bert"), dataclasses.replace(settings, precisions=("fp16",)), said.append)


def test_evaluate_wants_the_labels_of_the_bundle(bundle, files, score_model):
    result = score_model("evaluate", bundle.path, "--data", files / "test.csv", "--provider", "cpu")
    assert result.code == 2
    assert result.err == (
        "Error: the data has labels that the bundle lacks: neg, pos. The bundle has: negative, positive; "
        "name the data's labels (neg, pos) in this order with --label-names.\n"
    )
    named = score_model(
        "evaluate", bundle.path, "--data", files / "test.csv", "--provider", "cpu", "--label-names", "negative,positive"
    )
    assert named.code == 0
    assert "\n| tiny (int8, cpu) | 60 | " in named.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test-file", "train.csv"], "--test-file needs --train-file, the texts to train on."),
        (
            [],
            "name labelled texts: --train-file FILE with a column of texts and one of labels, or --dataset NAME for a dataset on the hub.",
        ),
        (
            ["--train-file", "odd.dat", "--test-file", "odd.dat"],
            "cannot infer the format of odd.dat from its name; set --input-format to one of csv, tsv, jsonl, ndjson, parquet, with .gz or .zst if compressed.",
        ),
        (
            ["--train-file", "none.csv", "--test-file", "test.csv"],
            "none.csv has no records; give a file of labelled texts.",
        ),
        (
            ["--train-file", "other.csv", "--test-file", "test.csv"],
            "other.csv has no column called text, review, content, body or comment. It has: 'a', 'label'. Name the text column with --text-column.",
        ),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--precisions", "fp8"],
            "--precisions takes one or more of fp32, fp16 and int8, separated by commas, not 'fp8'.",
        ),
        (["--no-wide", "--wide-pairs", "9"], "--wide-pairs has an effect only with --wide."),
        (["--epochs", "20"], "--epochs has an effect only with --solver adam."),
        (
            ["--unfreeze", "1", "--solver", "adam"],
            "--solver has an effect only without --unfreeze and --pooling attention.",
        ),
        (
            ["--pooling", "attention", "--solver", "adam"],
            "--solver has an effect only without --unfreeze and --pooling attention.",
        ),
        (
            ["--batch-size", "20"],
            "--batch-size has an effect only with --solver adam, --unfreeze or --pooling attention.",
        ),
        (["--tune-epochs", "3"], "--tune-epochs has an effect only with --unfreeze or --pooling attention."),
        (
            ["--pooling", "attention", "--tune-learning-rate", "1"],
            "--tune-learning-rate has an effect only with --unfreeze.",
        ),
        (["--save-encoder", "e"], "--save-encoder has an effect only with --unfreeze."),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--dataset", "imdb"],
            "--dataset has an effect only without --train-file.",
        ),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--no-wide", "--max-tokens", "30"],
            "with --no-wide, nothing reads the tokens beyond --max-length: omit --max-tokens, or choose another --truncation.",
        ),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--unfreeze", "1", "--pooling", "mean1"],
            "--pooling mean1 does not read the last layer, so --unfreeze would train nothing there: add cls, as in cls+mean1.",
        ),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--text-column", "body"],
            "train.csv has no column 'body'; name the one to use with --text-column. It has: 'review', 'label'.",
        ),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--label-column", "stars"],
            "train.csv has no column 'stars'; name the one to use with --label-column. It has: 'review', 'label'.",
        ),
        (
            ["--train-file", "train.csv", "--test-file", "test.csv", "--label-column", "lable"],
            "train.csv has no column 'lable'; did you mean 'label'? It has: 'review', 'label'.",
        ),
        (
            ["--train-file", "train.jsonl", "--test-file", "test.csv", "--group-column", "Label"],
            "train.jsonl has no column 'Label'; did you mean 'label'? It has: 'review', 'label'.",
        ),
        (
            ["--train-file", "train.parquet", "--test-file", "test.csv", "--text-column", "reviews"],
            "train.parquet has no column 'reviews'; did you mean 'review'? It has: 'review', 'label'.",
        ),
        (
            ["--train-file", "number.parquet", "--test-file", "test.csv", "--text-column", "label"],
            "number.parquet: the column 'label' is int64, not text. Name another with --text-column; the text columns are 'review'.",
        ),
        (
            ["--train-file", "-", "--test-file", "-", "--input-format", "csv"],
            "stdin can be read only once: --train-file and --test-file cannot both be -.",
        ),
        (
            ["--train-file", "tarin.csv", "--test-file", "test.csv"],
            "the input tarin.csv does not exist; did you mean 'train.csv'?",
        ),
        (
            ["--delimiter", ";"],
            "--delimiter has an effect only with --train-file, --test-file or --probes.",
        ),
    ],
)
def test_what_train_cannot_do_is_said(files, encoder_folder, score_model, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    (files / "odd.dat").touch()
    (files / "none.csv").write_text("text,label\n")
    (files / "other.csv").write_text("a,label\n1,2\n")
    pyarrow.parquet.write_table(pyarrow.table({"review": ["a"], "label": [1]}), files / "number.parquet")
    result = score_model("train", "--encoder", encoder_folder("bert"), "--max-length", 24, "-o", "b", *arguments)
    assert (result.code, result.err) == (2, f"Error: {message}\n")
    assert not (files / "b").exists()
