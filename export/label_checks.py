"""Labels that cannot be learned or are probably not meant: refused, or warned about, before any work."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np

from export.data import Dataset, Row, sort_labels, task_of
from export.data_source import KEEP, LABEL_OPTION, MERGE, SEPARATOR_OPTION, SIMILAR_OPTION
from export.errors import DatasetError
from scorer.base.look_alikes import appearance
from scorer.base.messages import print_message
from scorer.base.task import REGRESSION, SINGLE_LABEL
from scorer.base.text import counted, first_few

_FEW = 20  # labels that are never too many, whatever their texts
_TEXTS_PER_LABEL = 10
_MOST_NAMED = 5

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_LIST = re.compile(r"""[\[({]\s*(['"].*['"]|[-+.\d][-+.\d,\s]*)?\s*[\])}]""", re.DOTALL)
_STANDS_FOR_NONE = frozenset({"null", "none", "n/a", "na", "#n/a", "missing", "-", "?"})
_SEPARATORS = "|;,/"
_AS_THEY_ARE = f"--task {SINGLE_LABEL} takes them as they are."


def settle(rows: Sequence[Row], similar: str, *, is_task_given: bool) -> list[Row]:
    """Refuse labels that cannot be learned, and return the rows with similar labels merged if that is wanted.

    Args:
        rows: all labelled texts, for training and testing.
        similar: way to treat labels that differ only by case, blanks or the like, of `export.data_source.SIMILAR`.
        is_task_given: whether the user has stated the kind of the labels, so that it is not doubted.

    Raises:
        DatasetError: labels are lists written as text, similar, numbers, or too many for the texts.
    """
    if task_of(rows) == REGRESSION:
        return list(rows)
    counts = Counter(label for row in rows for label in _each(row))
    is_doubted = task_of(rows) == SINGLE_LABEL and not is_task_given
    if is_doubted:
        _refuse_lists(counts)
    spelled = {} if similar == KEEP else _merged(counts, is_wanted=similar == MERGE)
    if is_doubted:
        _refuse_too_many({spelled.get(label, label) for label in counts}, len(rows))
    return [_with_labels(row, spelled) for row in rows] if spelled else list(rows)


def _each(row: Row) -> Iterable[str]:
    return map(str, row.label) if isinstance(row.label, tuple) else (str(row.label),)


def _with_labels(row: Row, spelled: Mapping[str, str]) -> Row:
    if isinstance(row.label, tuple):
        return row._replace(label=tuple(dict.fromkeys(spelled.get(label, label) for label in map(str, row.label))))
    return row._replace(label=spelled.get(str(row.label), str(row.label)))


def _refuse_lists(counts: Mapping[str, int]) -> None:
    """Raise `DatasetError` if labels are lists written as text."""
    lists = [label for label in counts if _LIST.fullmatch(label.strip())]
    if lists:
        raise DatasetError(
            f"{counted(sum(counts[label] for label in lists), 'label')} {'is a list' if len(lists) == 1 else 'are lists'} "
            f"written as text, such as {lists[0]}. If a text has several labels, write lists in JSONL or Parquet, or join the "
            f"labels with a character and name it with {SEPARATOR_OPTION}. {_AS_THEY_ARE}"
        )


def _refuse_too_many(labels: set[str], texts: int) -> None:
    """Raise `DatasetError` if labels are numbers to predict, ids, or too rare to be learned."""
    if len(labels) <= _FEW:
        return
    few, examples = len(labels) > texts / _TEXTS_PER_LABEL, ", ".join(sort_labels(labels)[:3])
    numbers = [float(label) for label in labels if _NUMBER.fullmatch(label.strip())]
    if len(numbers) == len(labels) and (few or not all(number.is_integer() for number in numbers)):
        raise DatasetError(
            f"the labels are {len(labels):,} different numbers from {min(numbers):g} to {max(numbers):g}, and each would be a "
            f"label of its own. Give --task {REGRESSION} to predict numbers, or name another column with {LABEL_OPTION}. "
            f"{_AS_THEY_ARE}"
        )
    if len(labels) > texts / 2:
        raise DatasetError(
            f"there are {len(labels):,} different labels for {texts:,} texts, so they look like ids or texts: {examples}. "
            f"Name another column with {LABEL_OPTION}. {_AS_THEY_ARE}"
        )
    if few:
        raise DatasetError(
            f"there are {len(labels):,} labels for {texts:,} texts ({examples}, ...): fewer than {_TEXTS_PER_LABEL} texts a "
            f"label on average, too few to learn from. Give more texts, or join rare labels. {_AS_THEY_ARE}"
        )


def _merged(counts: Mapping[str, int], *, is_wanted: bool) -> dict[str, str]:
    """Return the spelling that each of several similar labels gets, and print it.

    Raises:
        DatasetError: there are similar labels, and it is not wanted that they are merged.
    """
    by_key: dict[str, list[str]] = {}
    for label in sort_labels(counts):
        by_key.setdefault(_key(label), []).append(label)
    similar = [sorted(labels, key=lambda label: -counts[label]) for labels in by_key.values() if len(labels) > 1]
    if not similar:
        return {}
    shown = "; ".join(_shown(labels, counts) for labels in similar[:_MOST_NAMED])
    more = f"; and {len(similar) - _MOST_NAMED:,} more" if len(similar) > _MOST_NAMED else ""
    if not is_wanted:
        raise DatasetError(
            f"labels differ only by case, blanks or the like: {shown}{more}. Give {SIMILAR_OPTION} {MERGE} to make them one "
            f"label, spelled as most of its texts are, or {SIMILAR_OPTION} {KEEP} if they differ in meaning."
        )
    print_message(f"Similar labels are merged, the first name is kept: {shown}{more}.")
    return {label: labels[0] for labels in similar for label in labels[1:]}


def _key(label: str) -> str:
    """Return what similar labels have in common.

    >>> _key("Positive ") == _key("positive"), _key("1") == _key("1.0"), _key("cafe\\u0301") == _key("caf\\u00e9")
    (True, True, True)
    >>> _key("10") == _key("1"), _key("12345678901234567890") == _key("12345678901234567891")
    (False, False)
    """
    key = appearance(label).casefold()
    return str(Decimal(key).normalize() + 0) if _NUMBER.fullmatch(key) and len(key) <= 24 else key


def _shown(labels: Sequence[str], counts: Mapping[str, int]) -> str:
    """Return labels with their number of texts, their characters spelled out if they look the same."""
    spell = ascii if len(set(map(appearance, labels))) < len(labels) else repr
    return " and ".join(f"{spell(label)} ({counted(counts[label], 'text')})" for label in labels)


def warn_of_labels(dataset: Dataset, *, is_task_given: bool) -> None:
    """Warn about labels that training cannot learn or judge, or that are probably not meant.

    Args:
        dataset: labelled texts.
        is_task_given: whether the user has stated the kind of the labels, or their order, so that it is not doubted.
    """
    if dataset.task == REGRESSION:
        return
    trained, tested = (_counts(part.labels, len(dataset.labels)) for part in (dataset.train, dataset.test))
    once = [label for label, count in zip(dataset.labels, trained, strict=True) if count == 1]
    _warn(once, "has", "have", "a single training text, too few to learn from. Add texts, or join rare labels.")
    untested = [label for label, count in zip(dataset.labels, tested, strict=True) if count == 0]
    _warn(
        untested, "has", "have", "no test text, so the model card has no figures for this. Add such texts to test with."
    )
    around = [label for label in dataset.labels if label != label.strip()]
    _warn(
        around, "has", "have", "blanks around the name, which are kept. Fix the file, or give names with --label-names."
    )
    none = [label for label in dataset.labels if label.strip().lower() in _STANDS_FOR_NONE]
    _warn(
        none,
        "may stand",
        "may stand",
        "for a missing one. If so, empty these cells; --drop-unlabelled then drops them.",
    )
    if dataset.task == SINGLE_LABEL and not is_task_given:
        _warn_of_task(dataset)


def _counts(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the number of texts with each label, int64 (labels,)."""
    return labels.sum(axis=0) if labels.ndim > 1 else np.bincount(labels, minlength=count)


def _warn(labels: Sequence[str], one: str, several: str, what: str) -> None:
    if labels:
        shown = first_few(labels, _MOST_NAMED, repr)
        subject = f"the label {shown} {one}" if len(labels) == 1 else f"the labels {shown} {several}"
        print_message(f"Warning: {subject} {what}", "warning")


def _warn_of_task(dataset: Dataset) -> None:
    """Warn about labels that another task would suit better."""
    labels = dataset.labels
    if len(labels) > len(dataset.train) / _TEXTS_PER_LABEL:
        print_message(
            f"Warning: there are {len(labels):,} labels for {counted(len(dataset.train), 'training text')}, fewer than "
            f"{_TEXTS_PER_LABEL} texts a label on average. Expect little of the model; give more texts.",
            "warning",
        )
    numbers = [float(label) for label in labels if _NUMBER.fullmatch(label.strip())]
    if len(numbers) == len(labels) and not all(number.is_integer() for number in numbers):
        print_message(
            f"Warning: the labels are numbers with fractions, and each is a label of its own. --task {REGRESSION} predicts "
            "numbers.",
            "warning",
        )
    separator = _separator(labels)
    if separator is not None:
        print_message(
            f"Warning: labels such as {next(label for label in labels if separator in label)!r} look like several. If so, "
            f"give {SEPARATOR_OPTION} {separator!r}.",
            "warning",
        )


def _separator(labels: Sequence[str]) -> str | None:
    """Return the character that joins several labels in some of these, or None.

    >>> _separator(["late", "late|damaged", "damaged|wet", "wet"]), _separator(["hotels, motels", "books, films"])
    ('|', None)
    """
    for separator in _SEPARATORS:
        joined = [[part.strip() for part in label.split(separator)] for label in labels if separator in label]
        uses = Counter(part for parts in joined for part in set(parts)) + Counter(
            label for label in labels if separator not in label
        )
        if len(joined) > 1 and all(uses[part] > 1 for parts in joined for part in parts):
            return separator
    return None
