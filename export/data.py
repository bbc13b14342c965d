"""Labelled texts for training and evaluation, from the hub or from files."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from export.data_source import GROUP_OPTION, LABEL_OPTION, TEXT_OPTION, Columns, DataSource, LabelNames
from export.errors import DatasetError
from export.raw_label import Label, is_list, label_of, single, text_of
from scorer.base.messages import print_message
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.rows.columns import ID, Wanted, select, take
from scorer.rows.input_options import InputOptions
from scorer.rows.reader import Reader
from scorer.rows.record import JsonValue, Parsed, Position, Reject, Value, plain
from scorer.storage.inputs import STDIN

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Split:
    """Texts with their labels.

    Attributes:
        texts: texts, none of them empty.
        labels: by task: label numbers, int64 (texts,), indices of the dataset's label names; 1 for each label that a text
            has and 0 for others, int64 (texts, labels); or numbers, float64 (texts, outputs).
        ids: id of each text; the number of its record, from 1, if it has no other.
        groups: value of each text that figures are grouped by, see `Columns`; empty without such a column.
        domains: name of each text's domain; empty if all texts are of one.
    """

    texts: list[str]
    labels: np.ndarray
    ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Dataset:
    """A train and a test split that share their label names.

    Attributes:
        name: name for the model card.
        labels: label names in the order of their numbers; for two labels, of which a text has one, (negative, positive).
            For numbers, the name of the output.
        task: kind of the labels.
        ordered: whether the labels are numbers in an order, of which a text has one.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split
    task: Task = SINGLE_LABEL
    ordered: bool = False


OUTPUTS = ("score",)
"""Names of the outputs of a model that is trained to give a number."""


RATING = "rating"

READING = InputOptions()
"""Default options for reading files."""

_TEXTS_PER_BATCH = 1000
_MOST_NAMED = 5


class Row(NamedTuple):
    """A text with its raw label (or labels, or number), its id, the value that figures are grouped by, and its domain."""

    text: str
    label: Label
    id: str = ""
    group: str = ""
    domain: str = ""


def load(source: DataSource) -> Dataset:
    """Load a source's dataset or files.

    Raises:
        DatasetError, InputError, ScorerError: as for `load_hub` and `read_rows`.
    """
    columns, label_names = source.columns, source.label_names
    if source.train_files:
        dataset = load_files(
            source.train_files,
            source.test_files,
            columns=columns,
            label_names=label_names,
            reading=source.reading,
            exclude_ids=source.exclude_ids,
        )
    else:
        dataset = load_hub(source.dataset, columns=columns, label_names=label_names, revision=source.revision)
    if source.ordered:
        dataset = replace(dataset, ordered=_checked_order(dataset))
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
            f"the dataset {name!r} cannot be loaded: {error}\n"
            "Give local files instead: --train-file train.parquet --test-file test.parquet."
        ) from error
    train = _hub_rows(loaded, name, "train", columns)
    task = task_of(train)
    return make_dataset(name, train, _hub_rows(loaded, name, "test", replace(columns, task=task)), label_names)


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
    rows = _without(read_files(train, columns, reading), exclude_ids)
    others = read_files(test, replace(columns, task=task_of(rows)), reading)
    name = f"{', '.join(map(_base, train))} (tested on {', '.join(map(_base, test))})"
    return make_dataset(name, rows, others, label_names)


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


def task_of(rows: Sequence[Row]) -> Task:
    """Return the kind of rows' labels, which is the same for all rows of a file.

    >>> task_of([Row("good", "a")]), task_of([Row("good", ())]), task_of([Row("good", 4.5)])
    ('single_label', 'multi_label', 'regression')
    """
    kinds = {_kind(row.label) for row in rows}
    return MULTI_LABEL if MULTI_LABEL in kinds else REGRESSION if REGRESSION in kinds else SINGLE_LABEL


def _kind(label: Label) -> Task:
    if isinstance(label, tuple):
        return REGRESSION if any(isinstance(one, float) for one in label) else MULTI_LABEL
    return REGRESSION if isinstance(label, float) else SINGLE_LABEL


def _base(name: str) -> str:
    return "stdin" if name == STDIN else os.path.basename(name.rstrip("/"))


def make_dataset(name: str, train: Sequence[Row], test: Sequence[Row], label_names: LabelNames) -> Dataset:
    """Build a dataset from raw rows: name and number its labels.

    Raises:
        DatasetError: the training split has fewer than two labels (one, if a text may have any number of them), or every
            text has a label; the test split is empty or has another label; or the names do not match the labels.
    """
    task = task_of(train)
    if not test:
        raise DatasetError("the test split is empty; give labelled texts to test with.")
    if task == REGRESSION:
        return Dataset(name, OUTPUTS, make_split(train, {}, 1), make_split(test, {}, 1), task)
    raw = sort_labels(labels_in(train))
    unseen = sort_labels(labels_in(test) - set(raw))
    if not all(name and name.isprintable() for name in label_names.names or raw):
        raise DatasetError(
            "a label is empty or cannot be printed; name the labels with --label-names: "
            + ", ".join(map(repr, label_names.names or raw))
        )
    if unseen:
        raise DatasetError(
            f"the test split has labels that the training split lacks: {', '.join(unseen)}. Add such texts to the training split, or remove them from the test split."
        )
    _check_count(train, raw, task)
    names = label_names.names or tuple(raw)
    if len(names) != len(raw) or len(set(names)) != len(names):
        raise DatasetError(
            f"--label-names gives {len(names)} names ({', '.join(names)}) for {len(raw)} labels ({', '.join(raw)})."
        )
    by_raw = dict(zip(raw, names, strict=True))
    ordered = names if task == MULTI_LABEL else _positive_last(names, label_names.positive)
    number = {label: ordered.index(by_raw[label]) for label in raw}
    splits = [make_split(rows, number, len(ordered)) for rows in (train, test)]
    return Dataset(name, ordered, splits[0], splits[1], task)


def labels_in(rows: Sequence[Row]) -> set[str]:
    """Return the different raw labels of rows."""
    found: set[str] = set()
    for row in rows:
        if isinstance(row.label, tuple):
            found.update(map(str, row.label))
        else:
            found.add(str(row.label))
    return found


def _check_count(train: Sequence[Row], raw: Sequence[str], task: Task) -> None:
    """Raise `DatasetError` if the labels of the training texts do not differ."""
    if task == SINGLE_LABEL:
        if len(raw) < 2:
            raise DatasetError(f"at least two labels are needed; the training split has {len(raw)}.")
        return
    if not raw:
        raise DatasetError("no training text has a label; give texts with labels.")
    everywhere = [label for label in raw if all(isinstance(row.label, tuple) and label in row.label for row in train)]
    if everywhere:
        raise DatasetError(
            f"every training text has the label {', '.join(everywhere)}, so there is nothing to learn for it. Add texts without "
            "it, or remove it from the files."
        )


def _positive_last(names: tuple[str, ...], positive: str | None) -> tuple[str, ...]:
    """Return names of labels with the positive one of two last.

    Raises:
        DatasetError: it is not one of the labels, or there are more than two.
    """
    if positive is None:
        return names
    if positive not in names:
        raise DatasetError(f"--positive-label {positive!r} is not one of the labels: {', '.join(names)}.")
    if len(names) != 2:
        raise DatasetError(f"--positive-label is for two labels; there are {len(names)}: {', '.join(names)}.")
    return (*(name for name in names if name != positive), positive)


def target_of(dataset: Dataset) -> str:
    """Describe the labels of a dataset for the training log."""
    if dataset.task != REGRESSION:
        several = " (any number of them a text)" if dataset.task == MULTI_LABEL else ""
        return f"labels {', '.join(dataset.labels)}{several}"
    values = dataset.train.labels
    return f"numbers from {values.min():g} to {values.max():g}, {values.mean():g} on average"


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
        if columns.task is None:
            columns = _with_task(columns, carried[columns.label])
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
    optional = [ID] + [name for name in (_group_column(columns), columns.domain) if name is not None]
    return Wanted(text=columns.text, option=None if fixed else TEXT_OPTION, needed=needed, optional=tuple(optional))


def _with_task(columns: Columns, first: "Value | None") -> Columns:
    """Return the columns with the task that the label of a file's first record shows."""
    return replace(columns, task=columns.task_of(first_is_list=is_list(first)))


def _group_column(columns: Columns) -> str | None:
    return columns.group or (None if columns.label == RATING or columns.domain is not None else RATING)


def _hub_rows(loaded: "datasets.DatasetDict", name: str, split: str, columns: Columns) -> list[Row]:
    if split not in loaded:
        raise DatasetError(f"the dataset {name!r} has no split {split!r}; it has: {', '.join(loaded)}.")
    table, place = loaded[split], f"{name}, split {split}"
    selection = select(_wanted(columns), table.column_names, f"the dataset {name!r}")
    there = [column for column in dict.fromkeys((selection.text, *selection.carried)) if column in table.column_names]
    rows = []
    for number, fields in enumerate(_arrow_rows(table, there), start=1):
        where = f"{place}, row {number}"
        taken = take(selection, Parsed(Position(place, number, None), b"", 0, fields))
        if isinstance(taken, str):
            raise DatasetError(f"{where}: {taken}. Fix or remove this record.")
        text, values = taken
        carried: dict[str, Value | None] = dict(zip(selection.carried, values, strict=True))
        if columns.task is None:
            columns = _with_task(columns, carried[columns.label])
        carried[columns.label] = _named(carried[columns.label], table.features[columns.label])
        rows.append(_row(where, number, text, carried, columns))
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
        columns: names of the columns, and the task of their labels.

    Raises:
        DatasetError: the label is missing, or is not of the task's kind.
    """
    label = label_of(carried[columns.label], place, columns)
    column = _group_column(columns)
    group = None if column is None else text_of(carried[column], place, column)
    domain = None if columns.domain is None else text_of(carried[columns.domain], place, columns.domain)
    return Row(text, label, single(carried[ID]) or str(number), group or "", domain or "")


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


def make_split(rows: Sequence[Row], number: Mapping[str, int], label_count: int) -> Split:
    """Build a split of rows, their raw labels replaced by numbers.

    Args:
        rows: texts with raw labels, all of one kind.
        number: number of each raw label; numbers of a regression stay as they are.
        label_count: number of labels, of which the rows may lack some.
    """
    return Split(
        [row.text for row in rows],
        _targets([row.label for row in rows], number, label_count),
        tuple(row.id or str(place) for place, row in enumerate(rows, start=1)),
        tuple(row.group for row in rows) if any(row.group for row in rows) else (),
        tuple(row.domain for row in rows) if len({row.domain for row in rows}) > 1 else (),
    )


def _targets(labels: Sequence[Label], number: Mapping[str, int], label_count: int) -> np.ndarray:
    """Return the labels of texts as `Split` holds them.

    >>> _targets([("a", "b"), ()], {"b": 0, "a": 1}, 3).tolist(), _targets([1.5], {}, 1).tolist()
    ([[1, 1, 0], [0, 0, 0]], [[1.5]])
    >>> _targets([(1.5, 2.0)], {}, 2).tolist()
    [[1.5, 2.0]]
    """
    if any(_kind(label) == REGRESSION for label in labels):
        return np.array(labels, dtype=np.float64).reshape(len(labels), label_count)
    if not any(isinstance(label, tuple) for label in labels):
        return np.array([number[str(label)] for label in labels], dtype=np.int64)
    found = np.zeros((len(labels), label_count), dtype=np.int64)
    for text, some in enumerate(labels):
        found[text, [number[str(label)] for label in some]] = 1  # type: ignore[union-attr]
    return found
