"""Labelled texts for training and evaluation, from the hub or from files."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from export.data_source import GROUP_OPTION, LABEL_OPTION, TEXT_OPTION, Columns, DataSource, LabelNames
from export.errors import DatasetError
from scorer.base.messages import print_message
from scorer.rows.columns import ID, Wanted, select, take
from scorer.rows.input_options import InputOptions
from scorer.rows.reader import Reader
from scorer.rows.record import Parsed, Position, Reject, Value, plain
from scorer.storage.inputs import STDIN

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Split:
    """Texts with the numbers of their labels.

    Attributes:
        texts: texts, none of them empty.
        labels: label numbers, int64 (texts,): indices of the dataset's label names.
        ids: id of each text; the number of its record, from 1, if it has no other.
        groups: value of each text that figures are grouped by, see `Columns`; empty without such a column.
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
        name: name for the model card.
        labels: label names in the order of their numbers; for two labels, (negative, positive).
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split


RATING = "rating"

READING = InputOptions()
"""Default options for reading files."""

_TEXTS_PER_BATCH = 1000
_MOST_NAMED = 5


class Row(NamedTuple):
    """A text with its raw label, its id, and the value that figures are grouped by."""

    text: str
    label: str
    id: str = ""
    group: str = ""


def load(source: DataSource) -> Dataset:
    """Load a source's dataset or files.

    Raises:
        DatasetError, InputError, ScorerError: as for `load_hub` and `read_rows`.
    """
    train, test, columns, label_names = source.train_file, source.test_file, source.columns, source.label_names
    if train is not None and test is not None:
        dataset = load_files(train, test, columns=columns, label_names=label_names, reading=source.reading)
    else:
        dataset = load_hub(source.dataset, columns=columns, label_names=label_names, revision=source.revision)
    return replace(dataset, name=source.name) if source.name else dataset


def load_hub(name: str, *, columns: Columns, label_names: LabelNames, revision: str | None = None) -> Dataset:
    """Load the train and test splits of a dataset on the hub.

    Raises:
        DatasetError: the dataset cannot be loaded, or lacks a split or a column.
    """
    import datasets  # takes seconds, and is not needed for files

    try:
        loaded = datasets.load_dataset(name, revision=revision)
    except Exception as error:  # the library's errors share no base class
        raise DatasetError(
            f"the dataset {name!r} cannot be loaded: {error}\n"
            "Give local files instead: --train-file train.parquet --test-file test.parquet."
        ) from error
    train, test = (_hub_rows(loaded, name, split, columns) for split in ("train", "test"))
    return make_dataset(name, train, test, label_names)


def load_files(
    train: str, test: str, *, columns: Columns, label_names: LabelNames, reading: InputOptions = READING
) -> Dataset:
    """Load a training file and a test file; see `read_rows`."""
    return make_dataset(
        f"{_base(train)} (tested on {_base(test)})",
        read_rows(train, columns, reading),
        read_rows(test, columns, reading),
        label_names,
    )


def _base(name: str) -> str:
    return "stdin" if name == STDIN else os.path.basename(name.rstrip("/"))


def make_dataset(name: str, train: Sequence[Row], test: Sequence[Row], label_names: LabelNames) -> Dataset:
    """Build a dataset from raw rows: name and number its labels.

    Raises:
        DatasetError: the training split has fewer than two labels, the test split is empty or has another label, or
            the names do not match the labels.
    """
    raw = sort_labels({row.label for row in train})
    if not all(name and name.isprintable() for name in label_names.names or raw):
        raise DatasetError(
            "a label is empty or cannot be printed; name the labels with --label-names: "
            + ", ".join(map(repr, label_names.names or raw))
        )
    unseen = sort_labels({row.label for row in test} - set(raw))
    if unseen:
        raise DatasetError(
            f"the test split has labels that the training split lacks: {', '.join(unseen)}. Add such texts to the training split, or remove them from the test split."
        )
    if not test:
        raise DatasetError("the test split is empty; give labelled texts to test with.")
    if len(raw) < 2:
        raise DatasetError(f"at least two labels are needed; the training split has {len(raw)}.")
    names = label_names.names or tuple(raw)
    if len(names) != len(raw) or len(set(names)) != len(names):
        raise DatasetError(
            f"--label-names gives {len(names)} names ({', '.join(names)}) for {len(raw)} labels ({', '.join(raw)})."
        )
    by_raw = dict(zip(raw, names, strict=True))
    ordered = names
    if label_names.positive is not None:
        if label_names.positive not in names:
            raise DatasetError(
                f"--positive-label {label_names.positive!r} is not one of the labels: {', '.join(names)}."
            )
        if len(names) != 2:
            raise DatasetError(f"--positive-label is for two labels; there are {len(names)}: {', '.join(names)}.")
        ordered = (*(name for name in names if name != label_names.positive), label_names.positive)
    number = {label: ordered.index(by_raw[label]) for label in raw}
    return Dataset(name, ordered, make_split(train, number), make_split(test, number))


def read_rows(file: str, columns: Columns, reading: InputOptions = READING) -> list[Row]:
    """Read labelled texts with the reader of `score`; see `each_row`."""
    return list(each_row(file, columns, reading))


def each_row(file: str, columns: Columns, reading: InputOptions = READING) -> Iterator[Row]:
    """Yield labelled texts with the reader of `score`.

    Args:
        file: input as `score` takes it: a path, a glob, a folder, an address, or ``-``.
        columns: names of the columns.
        reading: options for reading the file.

    Raises:
        DatasetError: a record cannot be used; training never ignores one silently.
        UsageError: the file or a column is missing.
        InputError, ScorerError: the file is damaged or cannot be read.
    """
    reader = Reader(reading.inputs([file]), _wanted(columns))
    empty = True
    for item in reader:
        if isinstance(item, Reject):
            raise _unusable(item, reader.notes.hints[item.reason])
        assert reader.selection is not None
        carried = dict(zip(reader.selection.carried, item.carried, strict=True))
        yield _row(_place(item.position), item.row, item.text, carried, columns)
        empty = False
    reader.check_unchanged(all_files=True)
    if empty:
        raise DatasetError(f"{file} has no records; give a file of labelled texts.")


def read_texts(file: str, text_column: str | None, count: int, reading: InputOptions = READING) -> list[str]:
    """Read texts without labels; see `each_text`.

    Returns:
        ``count`` texts, spread about evenly over the file; all of them if it has fewer. At most twice as many are held
        in memory.
    """
    texts: list[str] = []
    every = 1
    for seen, text in enumerate(each_text(file, text_column, reading)):
        if seen % every == 0:
            texts.append(text)
            if len(texts) > 2 * count:
                texts, every = texts[::2], 2 * every
    return [texts[int(row)] for row in np.linspace(0, len(texts) - 1, min(count, len(texts)))]


def each_text(file: str, text_column: str | None, reading: InputOptions = READING) -> Iterator[str]:
    """Yield texts without labels, with the reader of `score`; a warning counts the rejects.

    Raises:
        DatasetError: the file has no texts.
        UsageError, InputError, ScorerError: as for `each_row`.
    """
    reader = Reader(reading.inputs([file]), Wanted(text=text_column, option=TEXT_OPTION))
    seen, rejected = 0, 0
    for item in reader:
        if isinstance(item, Reject):
            rejected += 1
            continue
        yield item.text
        seen += 1
    reader.check_unchanged(all_files=True)
    if rejected:
        print_message(
            f"{file}: `score` would reject {rejected:,} of {seen + rejected:,} records; they are ignored here.",
            "warning",
        )
    if not seen:
        raise DatasetError(f"{file} has no texts; give a file of labelled texts.")


def _wanted(columns: Columns) -> Wanted:
    """Return the columns to read; the label column, and the group column if it is named, must exist."""
    fixed = columns.fixed
    needed = {columns.label: None if fixed else LABEL_OPTION}
    if columns.group is not None:
        needed[columns.group] = None if fixed else GROUP_OPTION
    optional = [ID] + [name for name in [_group_column(columns)] if name is not None]
    return Wanted(text=columns.text, option=None if fixed else TEXT_OPTION, needed=needed, optional=tuple(optional))


def _group_column(columns: Columns) -> str | None:
    return columns.group or (None if columns.label == RATING else RATING)


def _hub_rows(loaded: "datasets.DatasetDict", name: str, split: str, columns: Columns) -> list[Row]:
    if split not in loaded:
        raise DatasetError(f"the dataset {name!r} has no split {split!r}; it has: {', '.join(loaded)}.")
    table, place = loaded[split], f"{name}, split {split}"
    selection = select(_wanted(columns), table.column_names, f"the dataset {name!r}")
    there = [column for column in dict.fromkeys((selection.text, *selection.carried)) if column in table.column_names]
    feature = table.features[columns.label]
    rows = []
    for number, fields in enumerate(_arrow_rows(table, there), start=1):
        where = f"{place}, row {number}"
        taken = take(selection, Parsed(Position(place, number, None), b"", 0, fields))
        if isinstance(taken, str):
            raise DatasetError(f"{where}: {taken}. Fix or remove this record.")
        text, values = taken
        carried: dict[str, Value | None] = dict(zip(selection.carried, values, strict=True))
        if hasattr(feature, "int2str"):  # a ClassLabel names its numbers; a negative one stands for no label
            label = plain(carried[columns.label])
            carried[columns.label] = None if label is None or int(label) < 0 else feature.int2str(int(label))
        rows.append(_row(where, number, text, carried, columns))
    return rows


def _arrow_rows(table: "datasets.Dataset", columns: list[str]) -> Iterator[dict[str, Value]]:
    """Yield the rows of a dataset as if from a Parquet file, because the text of a value depends on its type."""
    from scorer.rows.arrow_value import ArrowValue

    for part in table.select_columns(columns).with_format("arrow").iter(_TEXTS_PER_BATCH):
        arrays = {name: part.column(name).combine_chunks() for name in columns}
        for row in range(part.num_rows):
            yield {name: ArrowValue(array, row) for name, array in arrays.items()}


def _unusable(reject: Reject, hint: str) -> DatasetError:
    return DatasetError(
        " ".join([f"{_place(reject.position)}: {reject.reason}. Fix or remove this record.", hint]).strip()
    )


def _place(position: Position) -> str:
    """Name the line of a text file where a record begins, or its row in a Parquet file, which has no offsets."""
    return f"{position.source}, {'row' if position.offset is None else 'line'} {position.line}"


def _row(place: str, number: int, text: str, carried: "Mapping[str, Value | None]", columns: Columns) -> Row:
    """Convert a record's label, id and group to text as `score` does.

    Args:
        place: place of the record, for messages.
        number: number of the record, from 1; the id of a record that has none.
        text: text of the record.
        carried: its other values, by column.
        columns: names of the columns.

    Raises:
        DatasetError: the label is missing, or is not a single value.
    """
    label = carried[columns.label]
    if isinstance(label, str) or label is None:
        spelled = label
    elif not label.is_text and label.source.startswith(("[", "{")):
        raise DatasetError(
            f"{place}: the column {columns.label!r} holds {_shortened(label.source)}; a label is one value, "
            f"not a list, map or record. Name another column with {LABEL_OPTION}, or fix this one."
        )
    else:
        spelled = _text_of(label, place, columns.label)
    if not spelled:
        raise DatasetError(f"{place}: the column {columns.label!r} has no value. Fix or remove this record.")
    column = _group_column(columns)
    group = None if column is None else _text_of(carried[column], place, column)
    return Row(text, spelled, _single(carried[ID]) or str(number), group or "")


def _text_of(value: "Value | None", place: str, column: str) -> str | None:
    """Convert a label or group to text; bytes are decoded, as they are in the text column.

    Raises:
        DatasetError: the bytes are not UTF-8.
    """
    if value is None or isinstance(value, str) or not value.is_text:
        return _single(value)
    try:
        return None if value.value is None else str(value.value)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{place}: the column {column!r} holds bytes that are not UTF-8: {error.reason}.") from error


def _single(value: "Value | None") -> str | None:
    """Convert a value to the text of a CSV cell; None for NaN, which some tools write for a missing value."""
    spelled = plain(value)
    is_nan = spelled == "NaN" and value is not None and not isinstance(value, str) and not value.is_text
    return None if is_nan else spelled


def _shortened(source: str, most: int = 60) -> str:
    return source if len(source) <= most else f"{source[:most]}..."


def refuse_empty(split: Split, empty: Sequence[bool]) -> None:
    """Refuse texts without a token, which `score` rejects as ``empty_text``.

    Args:
        split: texts to check.
        empty: for each text, whether it has no token.

    Raises:
        DatasetError: a text has no token; the message names the ids.
    """
    ids = [split.ids[text] if split.ids else str(text + 1) for text, one in enumerate(empty) if one]
    if ids:
        more = f" and {len(ids) - _MOST_NAMED:,} more" if len(ids) > _MOST_NAMED else ""
        raise DatasetError(
            f"the tokenizer finds no token in {len(ids):,} of the texts (only zero-width characters, for example). "
            f"Fix or remove the records with these ids: {', '.join(ids[:_MOST_NAMED])}{more}."
        )


def sort_labels(labels: Iterable[str]) -> list[str]:
    """Sort raw labels: numbers by value (2 before 10), then names.

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
    """Build a split of rows, their raw labels replaced by numbers."""
    return Split(
        [row.text for row in rows],
        np.array([number[row.label] for row in rows], dtype=np.int64),
        tuple(row.id or str(place) for place, row in enumerate(rows, start=1)),
        tuple(row.group for row in rows) if any(row.group for row in rows) else (),
    )
