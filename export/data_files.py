"""Labelled texts read from files, with the reader of `score`, or from the hub."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.data import ChosenTest, Dataset, Row, make_dataset, sort_labels, task_of
from export.data_source import (
    DROP_OPTION,
    GROUP_OPTION,
    LABEL_OPTION,
    SPLIT_OPTION,
    TEXT_OPTION,
    Columns,
    DataSource,
    LabelNames,
    cache_folder,
)
from export.errors import DatasetError, Unlabelled
from export.label_checks import settle, warn_of_labels
from export.raw_label import is_list, label_of, single, text_of
from export.split_file import recorded
from export.tested_part import choose_test, count_to_test
from scorer.base.messages import print_message
from scorer.base.task import SINGLE_LABEL
from scorer.base.text import counted
from scorer.rows.columns import ID, Wanted, select, take
from scorer.rows.header import Header
from scorer.rows.input_options import InputOptions
from scorer.rows.reader import Reader
from scorer.rows.record import JsonValue, Parsed, Position, Reject, Value, plain
from scorer.storage.inputs import STDIN

if TYPE_CHECKING:
    import datasets


RATING = "rating"


READING = InputOptions()
"""Default options for reading files."""


_TEXTS_PER_BATCH = 1000
_MOST_PLACES = 5  # of records without a label, in a message


def load(source: DataSource) -> Dataset:
    """Load a source's dataset or files.

    Raises:
        DatasetError, InputError, ScorerError: as for `load_hub` and `read_rows`.
    """
    columns, label_names = source.columns, source.label_names
    if source.train_files and not source.test_files:
        dataset = load_file(source)
    elif source.train_files:
        dataset = load_files(
            source.train_files,
            source.test_files,
            columns=columns,
            label_names=label_names,
            reading=source.reading,
            exclude_ids=source.exclude_ids,
        )
    else:
        assert source.dataset is not None, "the commands require files or a dataset"
        dataset = load_hub(source.dataset, columns=columns, label_names=label_names, revision=source.revision)
    if source.ordered:
        dataset = replace(dataset, ordered=_checked_order(dataset))
    warn_of_labels(dataset, is_task_given=columns.task is not None or source.ordered)
    return replace(dataset, name=source.name) if source.name else dataset


def _checked_order(dataset: Dataset) -> bool:
    """Return True.

    Raises:
        DatasetError: a text does not have one label of several, or a label is not a number or the same one as another.
    """
    if dataset.task != SINGLE_LABEL:
        raise DatasetError("--ordered is for texts with one label each; these have several labels or numbers. Omit it.")
    seen: dict[float, str] = {}
    for label in dataset.labels:
        try:
            number = float(label)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DatasetError(
                f"--ordered needs labels that are numbers; {label!r} is not one. Give them numbers with "
                f"--label-names {','.join(map(str, range(1, len(dataset.labels) + 1)))}, in the order "
                f"{', '.join(sort_labels(dataset.labels))}, or omit --ordered."
            )
        if number in seen:
            raise DatasetError(
                f"--ordered needs different numbers; the labels {seen[number]!r} and {label!r} are the same one. Fix them, or "
                "omit --ordered."
            )
        seen[number] = label
    return True


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
            f"the dataset {name!r} cannot be loaded: {error}\nGive local files instead: --train-file train.parquet."
        ) from error
    train = _hub_rows(loaded, name, "train", columns)
    test = _hub_rows(loaded, name, "test", replace(columns, task=task_of(train)))
    return make_dataset(name, *_settled(train, test, columns, label_names), label_names)


def _settled(train: list[Row], test: list[Row], columns: Columns, names: LabelNames) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and to test with, their labels checked together; see `export.label_checks.settle`."""
    both = settle([*train, *test], names.similar, is_task_given=columns.task is not None)
    return both[: len(train)], both[len(train) :]


def load_files(
    train: Sequence[str],
    test: Sequence[str],
    *,
    columns: Columns,
    label_names: LabelNames,
    reading: InputOptions = READING,
    exclude_ids: Path | None = None,
) -> Dataset:
    """Load training files and test files; see `read_rows` and `DataSource`."""
    rows = _without(_read_labelled(train, columns, reading), exclude_ids)
    others = _read_labelled(test, replace(columns, task=task_of(rows)), reading)
    name = f"{', '.join(map(_base, train))} (tested on {', '.join(map(_base, test))})"
    return make_dataset(name, *_settled(rows, others, columns, label_names), label_names)


def _read_labelled(files: Sequence[str], columns: Columns, reading: InputOptions) -> list[Row]:
    """Read files as `read_files` does, with advice on records without a label."""
    try:
        return read_files(files, columns, reading)
    except Unlabelled as error:
        raise DatasetError(f"{error} {DROP_OPTION} drops such records.") from error


def load_file(source: DataSource) -> Dataset:
    """Load training files, of which a part is tested with.

    The part is recorded, so that a later training tests with the same texts; see `export.split_file`.

    Raises:
        DatasetError: no texts can be spared, or as for `load_files`.
        ScorerError: the record cannot be read or written.
    """
    columns, share = source.columns, source.test_share
    rows = _without(_read_labelled(source.train_files, columns, source.reading), source.exclude_ids)
    rows = settle(rows, source.label_names.similar, is_task_given=columns.task is not None)
    folder, what = (source.cache or cache_folder()) / "splits", f"share {share}, split by {columns.split_by}"
    found = recorded(rows, folder, what, lambda: choose_test(rows, share))
    train, test = ([row for row, one in zip(rows, found.is_test, strict=True) if one == side] for side in (False, True))
    origin = "chosen now" if found.is_new else "as in an earlier run"
    print_message(
        f"{len(test):,} of {len(rows):,} texts are kept to test with, {origin}: {found.path}",
        fields={"train_texts": len(train), "test_texts": len(test), "split": str(found.path)},
    )
    _warn_of_share(len(test), count_to_test(len(rows), share))
    name = f"{', '.join(map(_base, source.train_files))} (tested on {len(test):,} of its {len(rows):,} texts)"
    dataset = make_dataset(name, train, test, source.label_names)
    return replace(dataset, test_part=ChosenTest(len(test) / len(rows), columns.split_by))


def _warn_of_share(found: int, wanted: int) -> None:
    """Warn if the texts that belong together are so many that the test part has another size."""
    if not wanted / 2 <= found <= wanted * 2:
        print_message(
            f"Warning: {found:,} texts are tested with, not {wanted:,}, because large sets of texts belong together (near "
            f"duplicates, or {SPLIT_OPTION}).",
            "warning",
        )


def read_files(files: Sequence[str], columns: Columns, reading: InputOptions = READING) -> list[Row]:
    """Read the labelled texts of several files, one after the other; see `each_row`.

    A text without a value in the domain column has the domain of its file.
    """
    rows: list[Row] = []
    for file in files:
        domain = domain_of_file(file)
        rows += [row if row.domain else row._replace(domain=domain) for row in each_row(file, columns, reading)]
        columns = replace(columns, task=task_of(rows))
    return rows


def _without(rows: list[Row], exclude_ids: Path | None) -> list[Row]:
    """Return the rows whose ids are not in a file; a warning counts the ids that no row has.

    Raises:
        DatasetError: the file cannot be read as UTF-8.
    """
    if exclude_ids is None:
        return rows
    try:
        excluded = {line.strip() for line in exclude_ids.read_text(encoding="utf-8").splitlines() if line.strip()}
    except UnicodeDecodeError as error:
        raise DatasetError(f"--exclude-ids {exclude_ids} is not UTF-8: {error}. Save it as UTF-8.") from error
    missing = excluded - {row.id for row in rows}
    if missing:
        print_message(
            f"--exclude-ids: {len(missing):,} of {len(excluded):,} ids are not among the training texts, such as {min(missing)}.",
            "warning",
        )
    return [row for row in rows if row.id not in excluded]


def domain_of_file(name: str) -> str:
    """Return the domain of texts that name none: the file's name, or that of its folder for a file called train or test.

    >>> domain_of_file("data/hotels.csv.gz"), domain_of_file("imdb/train.parquet"), domain_of_file("-")
    ('hotels', 'imdb', 'stdin')
    """
    if name == STDIN:
        return "stdin"
    folder, base = os.path.split(name.rstrip("/"))
    stem = base.split(".")[0] or base
    return os.path.basename(folder) or stem if stem in ("train", "test") else stem


def _base(name: str) -> str:
    return "stdin" if name == STDIN else os.path.basename(name.rstrip("/"))


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
    empty, missing = True, _Missing(file, columns)
    for item in reader:
        if isinstance(item, Reject):
            raise unusable(item, reader.notes.hint(item.reason))
        assert reader.selection is not None
        carried = dict(zip(reader.selection.carried, item.carried, strict=True))
        empty = False
        columns = with_task(columns, carried[columns.label])
        try:
            row = _row(record_place(item.position), item.row, item.text, carried, columns)
        except Unlabelled as error:
            missing.add(record_place(item.position), error)
        else:
            yield row
    reader.check_unchanged(all_files=True)
    missing.settle()
    if empty:
        raise DatasetError(f"{file} has no records; give a file of labelled texts.")


class _Missing:
    """Records of an input without a label.

    Args:
        name: name of the input.
        columns: names of the columns.
    """

    def __init__(self, name: str, columns: Columns) -> None:
        self._name, self._columns = name, columns
        self._count, self._places = 0, list[str]()
        self._first: Unlabelled | None = None

    def add(self, place: str, error: Unlabelled) -> None:
        """Note a record, and the error that its label is."""
        self._count += 1
        self._first = self._first or error
        if len(self._places) < _MOST_PLACES:
            self._places.append(place.removeprefix(f"{self._name}, "))

    def settle(self) -> None:
        """Report the records if they are dropped.

        Raises:
            Unlabelled: there are some, and they are not dropped.
        """
        if self._first is None:
            return
        more = f" and {self._count - len(self._places):,} more" if self._count > len(self._places) else ""
        places = f"({'; '.join(self._places)}{more})"
        if self._columns.drop_unlabelled:
            print_message(
                f"{self._name}: {counted(self._count, 'record')} without a label dropped {places}.", "warning"
            )
        elif self._count == 1:
            raise self._first
        else:
            raise Unlabelled(
                f"{self._name}: {self._count:,} records have no label in the column {self._columns.label!r} {places}. Fix or "
                "remove these records."
            )


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
        ignored = f"{file}: `score` would reject {rejected:,} of {seen + rejected:,} records; they are ignored here."
        print_message("\n".join([ignored, *reader.notes.all_hints()]), "warning")
    if not seen:
        raise DatasetError(f"{file} has no texts; give a file of labelled texts.")


def _wanted(columns: Columns) -> Wanted:
    """Return the columns to read; the label column, and the group column if it is named, must exist."""
    fixed = columns.fixed
    needed = {columns.label: None if fixed else LABEL_OPTION}
    if columns.group is not None:
        needed[columns.group] = None if fixed else GROUP_OPTION
    if columns.split_by is not None:
        needed[columns.split_by] = SPLIT_OPTION
    optional = [ID] + [name for name in (_group_column(columns), columns.domain) if name is not None]
    return Wanted(text=columns.text, option=None if fixed else TEXT_OPTION, needed=needed, optional=tuple(optional))


def with_task(columns: Columns, first: "Value | None") -> Columns:
    """Return the columns with the task that the label of a file's first record with one shows."""
    if columns.task is not None or not (columns.is_task_known or (plain(first) or "").strip()):
        return columns
    return replace(columns, task=columns.task_of(first_is_list=is_list(first)))


def _group_column(columns: Columns) -> str | None:
    return columns.group or (None if columns.label == RATING or columns.domain is not None else RATING)


def _hub_rows(loaded: "datasets.DatasetDict", name: str, split: str, columns: Columns) -> list[Row]:
    if split not in loaded:
        raise DatasetError(f"the dataset {name!r} has no split {split!r}; it has: {', '.join(loaded)}.")
    table, place = loaded[split], f"{name}, split {split}"
    selection = select(_wanted(columns), Header(tuple(table.column_names)), f"the dataset {name!r}")
    there = [column for column in dict.fromkeys((selection.text, *selection.carried)) if column in table.column_names]
    rows, missing = [], _Missing(place, columns)
    for number, fields in enumerate(_arrow_rows(table, there), start=1):
        where = f"{place}, row {number}"
        taken = take(selection, Parsed(Position(place, number, None), b"", 0, fields))
        if isinstance(taken, str):
            raise DatasetError(f"{where}: {taken}. Fix or remove this record.")
        text, values = taken
        carried: dict[str, Value | None] = dict(zip(selection.carried, values, strict=True))
        columns = with_task(columns, carried[columns.label])
        carried[columns.label] = _named(carried[columns.label], table.features[columns.label])
        try:
            rows.append(_row(where, number, text, carried, columns))
        except Unlabelled as error:
            missing.add(where, error)
    missing.settle()
    return rows


def _named(label: "Value | None", feature: object) -> "Value | None":
    """Return a label of the hub, or a list of them, by name if it is the number of one; None for a negative number."""
    each: Any = getattr(feature, "feature", None)  # of a list
    if hasattr(feature, "int2str"):
        number = plain(label)
        return None if number is None or int(number) < 0 else str(feature.int2str(int(number)))
    if hasattr(each, "int2str") and label is not None and is_list(label):
        names = [str(each.int2str(number)) for number in json.loads(plain(label) or "[]")]
        return JsonValue(json.dumps(names), names)
    return label


def _arrow_rows(table: "datasets.Dataset", columns: list[str]) -> Iterator[dict[str, Value]]:
    """Yield the rows of a dataset as if from a Parquet file, because the text of a value depends on its type."""
    from scorer.rows.arrow_value import ArrowValue

    for part in table.select_columns(columns).with_format("arrow").iter(_TEXTS_PER_BATCH):
        arrays = {name: part.column(name).combine_chunks() for name in columns}
        for row in range(part.num_rows):
            yield {name: ArrowValue(array, row) for name, array in arrays.items()}


def unusable(reject: Reject, hint: str) -> DatasetError:
    return DatasetError(
        " ".join([f"{record_place(reject.position)}: {reject.reason}. Fix or remove this record.", hint]).strip()
    )


def record_place(position: Position) -> str:
    """Name the line of a text file where a record begins, or its row in a Parquet file, which has no offsets."""
    return f"{position.source}, {'row' if position.offset is None else 'line'} {position.line}"


def _row(place: str, number: int, text: str, carried: "Mapping[str, Value | None]", columns: Columns) -> Row:
    """Convert a record's label, id, group, domain and origin to text as `score` does.

    Args:
        place: place of the record, for messages.
        number: number of the record, from 1; the id of a record that has none.
        text: text of the record.
        carried: its other values, by column.
        columns: names of the columns, and the task of their labels.

    Raises:
        DatasetError: the label is missing, or is not of the task's kind.
    """
    label = label_of(carried[columns.label], place, columns)
    group, domain, origin = (
        "" if column is None else text_of(carried[column], place, column) or ""
        for column in (_group_column(columns), columns.domain, columns.split_by)
    )
    return Row(text, label, single(carried[ID]) or str(number), group, domain, origin)
