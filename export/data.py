"""Labelled texts for training and evaluation, with their labels named and numbered."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from export.data_source import LabelNames
from export.errors import DatasetError
from export.raw_label import Label
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.base.text import first_few


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
        origins: thread or product that each text belongs to, empty for a text without one; empty without such a column.
    """

    texts: list[str]
    labels: np.ndarray
    ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class ChosenTest:
    """Way in which the test texts were chosen from the training files.

    Attributes:
        share: share of all texts.
        split_by: column whose equal values are on one side; None for none.
    """

    share: float
    split_by: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A train and a test split that share their label names.

    Attributes:
        name: name for the model card.
        labels: label names in the order of their numbers; for two labels, of which a text has one, (negative, positive).
            For numbers, the name of the output.
        task: kind of the labels.
        ordered: whether the labels are numbers in an order, of which a text has one.
        test_part: way in which the test texts were chosen from the training files; None if they were given.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split
    task: Task = SINGLE_LABEL
    ordered: bool = False
    test_part: ChosenTest | None = None


OUTPUTS = ("score",)
"""Names of the outputs of a model that is trained to give a number."""


_MOST_NAMED = 5
_MOST_LABELS = 50  # in the training log


class Row(NamedTuple):
    """A text with its raw label (or labels, or number).

    Attributes:
        text: text, not empty.
        label: raw label, labels or number.
        id: id, or the number of its record.
        group: value that figures are grouped by; empty for none.
        domain: name of its domain; empty for none.
        origin: thread or product that it belongs to; empty for none.
    """

    text: str
    label: Label
    id: str = ""
    group: str = ""
    domain: str = ""
    origin: str = ""


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
        return f"labels {first_few(dataset.labels, _MOST_LABELS)}{several}"
    values = dataset.train.labels
    return f"numbers from {values.min():g} to {values.max():g}, {values.mean():g} on average"


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
        raise DatasetError(
            f"the tokenizer finds no token in {len(ids):,} of the texts (only zero-width characters, for example). "
            f"Fix or remove the records with these ids: {first_few(ids, _MOST_NAMED)}."
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
        tuple(row.origin for row in rows) if any(row.origin for row in rows) else (),
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
