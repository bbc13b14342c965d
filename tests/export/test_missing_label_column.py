"""A label column that is missing: every command lists the columns that are there."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.data_files import read_rows
from export.data_source import Columns
from scorer.base.errors import UsageError

TEXTS = ["good film", "bad film"]


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def source(request, tmp_path):
    """File with the columns text, stars and lable."""
    path = tmp_path / f"in.{request.param}"
    columns = {"text": TEXTS, "stars": ["5", "1"], "lable": ["pos", "neg"]}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if request.param == "parquet":
        pq.write_table(pa.table(columns), path)
    elif request.param == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text("".join(",".join(row) + "\n" for row in [columns, *(row.values() for row in rows)]))
    return path


@pytest.mark.parametrize("command", ["train", "evaluate", "confidence"])
def test_every_command_lists_the_columns_that_are_there(score_model, source, bundle, encoder_folder, tmp_path, command):
    files = ["--train-file", source, "--test-file", source]
    arguments = {
        "train": [*files, "-o", tmp_path / "new", "--encoder", encoder_folder("bert"), "--max-length", "32"],
        "evaluate": [bundle.path, "--data", source],
        "confidence": [bundle.path, "-o", tmp_path / "new", "--data", source],
    }[command]
    result = score_model(command, *arguments)
    assert result.code == 2
    assert f"{source.name} has no column 'label'; did you mean 'lable'? It has: 'text', 'stars', 'lable'." in result.err


@pytest.mark.parametrize("extension", ["csv", "jsonl", "parquet"])
def test_a_later_file_without_the_label_column_is_named_with_its_columns(tmp_path, extension):
    for name, label in (("a", "label"), ("b", "stars")):
        path, columns = tmp_path / f"{name}.{extension}", {"text": ["good"], label: ["5"], "more": ["x"]}
        if extension == "parquet":
            pq.write_table(pa.table(columns), path)
        elif extension == "jsonl":
            path.write_text(json.dumps({key: values[0] for key, values in columns.items()}) + "\n")
        else:
            path.write_text(f"text,{label},more\ngood,5,x\n")
    place = "b.jsonl, line 1" if extension == "jsonl" else f"b.{extension}"
    with pytest.raises(UsageError) as caught:
        read_rows(str(tmp_path / f"*.{extension}"), Columns())
    assert str(caught.value) == (
        f"{tmp_path}/{place} has no column 'label'; name the one to use with --label-column. It has: 'text', 'stars', 'more'."
    )


def test_a_later_record_without_the_label_is_named_with_its_columns(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good", "label": 1}\n{"text": "bad", "labels": 0}\n')
    with pytest.raises(UsageError) as caught:
        read_rows(str(tmp_path / "in.jsonl"), Columns())
    assert str(caught.value) == (
        f"{tmp_path}/in.jsonl, line 2 has no column 'label'; did you mean 'labels'? It has: 'text', 'labels'."
    )


def test_a_record_of_score_may_lack_a_kept_column(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good", "stars": 1}\n{"text": "bad"}\n')
    assert score(tmp_path / "in.jsonl", "--keep", "stars").code == 0
