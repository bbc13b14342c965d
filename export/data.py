"""Labelled texts for training and evaluation, from the hub or from files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet

from export.errors import DatasetError
from scorer.rows.columns import Wanted, select
from scorer.rows.read import Inputs, Reader
from scorer.rows.record import JsonValue, Record, Reject, Value
from scorer.rows.source import FORMATS


@dataclass(frozen=True)
class Split:
    """Texts with the numbers of their labels.

    Attributes:
        texts: none empty.
        labels: int64 (texts,), numbers into the dataset's label names.
    """

    texts: list[str]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Split":
        """The given rows, in that order."""
        return Split([self.texts[row] for row in rows], self.labels[rows])


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


@dataclass(frozen=True)
class LabelNames:
    """How raw labels become names.

    Attributes:
        names: names for the raw labels in sorted order, or None to keep the raw ones.
        positive: for two labels the one whose probability is the score, or None for the last in sorted order.
    """

    names: tuple[str, ...] | None = None
    positive: str | None = None


Rows = list[tuple[str, str]]
"""Texts with their raw labels."""


def load_hub(
    name: str, *, text_column: str, label_column: str, label_names: LabelNames, revision: str | None = None
) -> Dataset:
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
    train, test = (_hub_rows(loaded, name, split, text_column, label_column) for split in ("train", "test"))
    return make_dataset(name, train, test, label_names)


def load_files(
    train: Path, test: Path, *, text_column: str | None, label_column: str, label_names: LabelNames
) -> Dataset:
    """Load CSV, TSV, JSONL or Parquet files; see `read_rows`."""
    return make_dataset(
        f"{train.name} (tested on {test.name})",
        read_rows(train, text_column, label_column),
        read_rows(test, text_column, label_column),
        label_names,
    )


def make_dataset(name: str, train: Rows, test: Rows, label_names: LabelNames) -> Dataset:
    """Name and number the labels.

    Raises:
        DatasetError: fewer than two labels, labels in the test split only, or names that do not fit.
    """
    raw = sort_labels({label for _, label in train})
    unseen = sort_labels({label for _, label in test} - set(raw))
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
        if len(names) == 2:
            ordered = (*(name for name in names if name != label_names.positive), label_names.positive)
    number = {label: ordered.index(by_raw[label]) for label in raw}
    return Dataset(name, ordered, _split(train, number), _split(test, number))


def read_rows(path: Path, text_column: str | None, label_column: str) -> Rows:
    """Texts and raw labels of one file, read as `score` reads it.

    Raises:
        DatasetError: a column is missing or a record cannot be used; training leaves nothing out silently.
    """
    read = _parquet_rows if _is_parquet(path) else _text_rows
    rows = list(read(path, text_column, label_column))
    if not rows:
        raise DatasetError(f"{path} has no record.")
    return rows


def read_texts(path: Path, text_column: str | None, count: int) -> list[str]:
    """``count`` texts of a file, evenly spread over it; all of them if it has fewer. No labels are needed."""
    if _is_parquet(path):
        texts = [text for text, _ in _parquet_rows(path, text_column, None)]
    else:
        reader = Reader(Inputs((str(path),)), _wanted(text_column))
        texts = [item.text for item in reader if isinstance(item, Record)]
    if not texts:
        raise DatasetError(f"{path} has no text.")
    return [texts[int(row)] for row in np.linspace(0, len(texts) - 1, min(count, len(texts)))]


def _is_parquet(path: Path) -> bool:
    extension = path.suffix.lstrip(".").lower()
    if extension not in (*FORMATS, "parquet"):
        raise DatasetError(f"{path}: labelled data is read from .{', .'.join(FORMATS)} and .parquet files.")
    return extension == "parquet"


def _wanted(text_column: str | None, *keep: str) -> Wanted:
    return Wanted(text=text_column, keep=keep, option="--text-column")


def _hub_rows(loaded: "datasets.DatasetDict", name: str, split: str, text_column: str, label_column: str) -> Rows:
    if split not in loaded:
        raise DatasetError(f"the dataset {name!r} has no split {split!r}; it has: {', '.join(loaded)}.")
    table = loaded[split]
    for column in (text_column, label_column):
        if column not in table.column_names:
            raise DatasetError(
                f"the dataset {name!r} has no column {column!r}; it has: {', '.join(table.column_names)}."
            )
    raw, feature = list(table[label_column]), table.features[label_column]
    if hasattr(feature, "int2str"):  # a ClassLabel: numbers that have names
        return list(zip(table[text_column], map(feature.int2str, raw), strict=True))
    return list(zip(table[text_column], map(str, raw), strict=True))


def _text_rows(path: Path, text_column: str | None, label_column: str) -> Iterator[tuple[str, str]]:
    reader = Reader(Inputs((str(path),)), _wanted(text_column, label_column))
    for item in reader:
        if isinstance(item, Reject):
            raise DatasetError(f"{path}, line {item.position.line}: {item.reason}. Mend or remove this record.")
        assert reader.selection is not None
        if reader.absent:
            raise DatasetError(f"{path} has no column {label_column!r}.")
        label = _label(item.carried[reader.selection.carried.index(label_column)])
        if label is None:
            raise DatasetError(f"{path}: record {item.row} has no value in the column {label_column!r}.")
        yield item.text, label


def _parquet_rows(path: Path, text_column: str | None, label_column: str | None) -> Iterator[tuple[str, str]]:
    """Texts and raw labels; without a label column the labels are empty."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    columns = file.schema_arrow.names
    text = select(_wanted(text_column), columns, str(path)).text
    if label_column is not None and label_column not in columns:
        raise DatasetError(f"{path} has no column {label_column!r}; it has: {', '.join(columns)}.")
    for batch in file.iter_batches(columns=[text] if label_column is None else [text, label_column]):
        labels = [""] * len(batch) if label_column is None else batch.column(label_column).to_pylist()
        for value, label in zip(batch.column(text).to_pylist(), labels, strict=True):
            if not isinstance(value, str) or not value.strip() or label is None:
                raise DatasetError(f"{path}: a record has an empty text or no label. Mend or remove it.")
            yield value, str(label)


def _label(value: Value | None) -> str | None:
    if isinstance(value, JsonValue):
        return None if value.value is None else str(value.value)
    return value or None


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Raw labels in their order: numbers by value (2 before 10), then names.

    >>> sort_labels({"10", "neg", "2"})
    ['2', '10', 'neg']
    """
    return sorted(labels, key=_numeric_first)


def _numeric_first(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def _split(rows: Rows, number: dict[str, int]) -> Split:
    return Split([text for text, _ in rows], np.array([number[label] for _, label in rows], dtype=np.int64))
