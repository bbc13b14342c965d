"""Labelled texts for training and evaluation, from the hub or from files."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet

from export.data_source import Columns, DataSource, LabelNames
from export.errors import DatasetError
from scorer.base.errors import UsageError
from scorer.rows.columns import ID, Wanted, select
from scorer.rows.formats import TEXT_FORMATS
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record, Reject, Value


@dataclass(frozen=True)
class Split:
    """Texts with the numbers of their labels.

    Attributes:
        texts: none empty.
        labels: int64 (texts,), numbers into the dataset's label names.
        ids: what each text is called; the number of its row, from 1, where nothing else is known.
        groups: what figures are given by, see `Columns`; empty where there is nothing.
    """

    texts: list[str]
    labels: np.ndarray
    ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Dataset:
    """A train and a test split that share their label names.

    Attributes:
        name: for the model card.
        labels: label names in the order of their numbers; for two labels, (negative, positive).
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split


RATING = "rating"


class Row(NamedTuple):
    """A text with its raw label, what it is called, and the value of the column that figures are given by."""

    text: str
    label: str
    id: str = ""
    group: str = ""


def load(source: DataSource) -> Dataset:
    """Load a source's dataset or files.

    Raises:
        UsageError: one of the two files is missing.
        DatasetError: see `load_hub` and `load_files`.
    """
    train, test, columns, label_names = source.train_file, source.test_file, source.columns, source.label_names
    if (train is None) != (test is None):
        raise UsageError("--train-file and --test-file belong together.")
    if train is not None and test is not None:
        dataset = load_files(train, test, columns=columns, label_names=label_names)
    else:
        dataset = load_hub(source.dataset, columns=columns, label_names=label_names, revision=source.revision)
    return replace(dataset, name=source.name) if source.name else dataset


def load_hub(name: str, *, columns: Columns, label_names: LabelNames, revision: str | None = None) -> Dataset:
    """Load the train and test splits of a dataset of the hub.

    Raises:
        DatasetError: it cannot be loaded, or lacks a split or a column.
    """
    try:
        loaded = datasets.load_dataset(name, revision=revision)
    except Exception as error:  # the library's errors share no base class
        raise DatasetError(
            f"the dataset {name!r} cannot be loaded: {error}\n"
            "Give local files instead: --train-file train.parquet --test-file test.parquet."
        ) from error
    train, test = (_hub_rows(loaded, name, split, columns) for split in ("train", "test"))
    return make_dataset(name, train, test, label_names)


def load_files(train: Path, test: Path, *, columns: Columns, label_names: LabelNames) -> Dataset:
    """Load CSV, TSV, JSONL or Parquet files; see `read_rows`."""
    return make_dataset(
        f"{train.name} (tested on {test.name})",
        read_rows(train, columns),
        read_rows(test, columns),
        label_names,
    )


def make_dataset(name: str, train: Sequence[Row], test: Sequence[Row], label_names: LabelNames) -> Dataset:
    """Name and number the labels.

    Raises:
        DatasetError: fewer than two labels, labels in the test split only, or names that do not fit.
    """
    raw = sort_labels({row.label for row in train})
    if not all(name and name.isprintable() for name in label_names.names or raw):
        raise DatasetError(
            "a label is empty or cannot be printed; name the labels with --label-names: "
            + ", ".join(map(repr, label_names.names or raw))
        )
    unseen = sort_labels({row.label for row in test} - set(raw))
    if unseen:
        raise DatasetError(f"the test split has labels that the training split lacks: {', '.join(unseen)}.")
    if not test:
        raise DatasetError("the test split is empty.")
    if len(raw) < 2:
        raise DatasetError(f"the training split has {len(raw)} different labels; two or more are needed.")
    names = label_names.names or tuple(raw)
    if len(names) != len(raw) or len(set(names)) != len(names):
        raise DatasetError(
            f"--label-names gives {len(names)} names ({', '.join(names)}) for {len(raw)} labels ({', '.join(raw)})."
        )
    by_raw = dict(zip(raw, names, strict=True))
    ordered = names
    if label_names.positive is not None:
        if label_names.positive not in names:
            raise DatasetError(f"--positive-label {label_names.positive!r} is none of the labels: {', '.join(names)}.")
        if len(names) != 2:
            raise DatasetError(f"--positive-label is for two labels; there are {len(names)}: {', '.join(names)}.")
        ordered = (*(name for name in names if name != label_names.positive), label_names.positive)
    number = {label: ordered.index(by_raw[label]) for label in raw}
    return Dataset(name, ordered, make_split(train, number), make_split(test, number))


def read_rows(path: Path, columns: Columns) -> list[Row]:
    """The texts of one file with their raw labels, read as `score` reads it.

    Raises:
        DatasetError: a column is missing or a record cannot be used; training leaves nothing out silently.
    """
    read = _parquet_rows if _is_parquet(path) else _text_rows
    rows = list(read(path, columns))
    if not rows:
        raise DatasetError(f"{path} has no record.")
    return rows


def read_texts(path: Path, text_column: str | None, count: int) -> list[str]:
    """``count`` texts of a file, evenly spread over it; all of them if it has fewer. No labels are needed."""
    if _is_parquet(path):
        file = _parquet_file(path)
        text = select(_wanted(text_column), file.schema_arrow.names, str(path)).text
        texts = [value or "" for value in file.read(columns=[text]).column(text).to_pylist()]
        if not all(value.strip() for value in texts):
            raise DatasetError(f"{path}: a record has an empty text. Mend or remove it.")
    else:
        reader = Reader(Inputs((str(path),)), _wanted(text_column))
        texts = [item.text for item in reader if isinstance(item, Record)]
    if not texts:
        raise DatasetError(f"{path} has no text.")
    return [texts[int(row)] for row in np.linspace(0, len(texts) - 1, min(count, len(texts)))]


def _is_parquet(path: Path) -> bool:
    extension = path.suffix.lstrip(".").lower()
    if extension not in (*TEXT_FORMATS, "parquet"):
        raise DatasetError(f"{path}: labelled data is read from .{', .'.join(TEXT_FORMATS)} and .parquet files.")
    return extension == "parquet"


def _wanted(text_column: str | None, *keep: str) -> Wanted:
    return Wanted(text=text_column, keep=keep, option="--text-column")


def _hub_rows(loaded: "datasets.DatasetDict", name: str, split: str, columns: Columns) -> list[Row]:
    if split not in loaded:
        raise DatasetError(f"the dataset {name!r} has no split {split!r}; it has: {', '.join(loaded)}.")
    table = loaded[split]
    text = columns.text or "text"
    for column in (text, columns.label, *([columns.group] if columns.group else [])):
        if column not in table.column_names:
            raise DatasetError(
                f"the dataset {name!r} has no column {column!r}; it has: {', '.join(table.column_names)}."
            )
    raw, feature = list(table[columns.label]), table.features[columns.label]
    named = hasattr(feature, "int2str")  # a ClassLabel's numbers have names; those of no label are negative
    ids = table[ID] if ID in table.column_names else [None] * len(raw)
    group = _group(columns, table.column_names)
    groups = table[group] if group else [None] * len(raw)
    rows = []
    for number, (value, label, id, given) in enumerate(zip(table[text], raw, ids, groups, strict=True), start=1):
        one = None if named and (label is None or label < 0) else feature.int2str(label) if named else label
        rows.append(_row(f"{name}, split {split}", number, value, one, id, given))
    return rows


def _text_rows(path: Path, columns: Columns) -> Iterator[Row]:
    group = _group(columns, [RATING])
    kept = dict.fromkeys([ID, columns.label, *([group] if group else [])])
    reader = Reader(Inputs((str(path),)), _wanted(columns.text, *kept))
    for item in reader:
        if isinstance(item, Reject):
            raise DatasetError(f"{path}, line {item.position.line}: {item.reason}. Mend or remove this record.")
        assert reader.selection is not None
        for column in (columns.label, columns.group):
            if column in reader.notes.absent:
                raise DatasetError(f"{path} has no column {column!r}.")
        carried = dict(zip(reader.selection.carried, map(_label, item.carried), strict=True))
        label = carried[columns.label]
        if label is None:
            raise DatasetError(f"{path}: record {item.row} has no value in the column {columns.label!r}.")
        yield Row(item.text, label, carried[ID] or str(item.row), (carried[group] if group else None) or "")


def _parquet_rows(path: Path, columns: Columns) -> Iterator[Row]:
    file = _parquet_file(path)
    names = file.schema_arrow.names
    text = select(_wanted(columns.text), names, str(path)).text
    for column in (columns.label, columns.group):
        if column is not None and column not in names:
            raise DatasetError(f"{path} has no column {column!r}; it has: {', '.join(names)}.")
    group, number = _group(columns, names), 0
    wanted = dict.fromkeys([text, columns.label, *([ID] if ID in names else []), *([group] if group else [])])
    for batch in file.iter_batches(columns=list(wanted)):
        for row in batch.to_pylist():
            number += 1
            yield _row(str(path), number, row[text], row[columns.label], row.get(ID), row[group] if group else None)


def _parquet_file(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _row(place: str, number: int, text: object, label: object, id: object, group: object) -> Row:
    """One record of a table.

    Raises:
        DatasetError: it has no text or no label.
    """
    if not isinstance(text, str) or not text.strip() or _is_missing(label):
        raise DatasetError(f"{place}: record {number} has an empty text or no label. Mend or remove it.")
    return Row(text, str(label), str(number) if _is_missing(id) else str(id), "" if _is_missing(group) else str(group))


def _is_missing(value: object) -> bool:
    """None, an empty string, or a float that is no number, by which some tools write that there is none."""
    return value is None or value == "" or value != value


def _group(columns: Columns, names: Sequence[str]) -> str | None:
    return columns.group or (RATING if RATING in names and columns.label != RATING else None)


def _label(value: "Value | None") -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return None if _is_missing(value.value) else str(value.value)


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Raw labels in their order: numbers by value (2 before 10), then names.

    >>> sort_labels({"10", "neg", "2"})
    ['2', '10', 'neg']
    """
    return sorted(labels, key=_numeric_first)


def _numeric_first(label: str) -> tuple[int, float, str]:
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (1, 0.0, label) if math.isnan(number) else (0, number, label)


def make_split(rows: Sequence[Row], number: dict[str, int]) -> Split:
    """Texts with the numbers that their raw labels have."""
    return Split(
        [row.text for row in rows],
        np.array([number[row.label] for row in rows], dtype=np.int64),
        tuple(row.id or str(place) for place, row in enumerate(rows, start=1)),
        tuple(row.group for row in rows) if any(row.group for row in rows) else (),
    )
