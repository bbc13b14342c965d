"""True labels of a file's texts in the order of an imported model: numbers, sets or values, by task."""

import re
from collections.abc import Sequence

import numpy as np

from export.errors import DatasetError
from export.importing.labels import Labels, shown
from export.raw_label import Label
from scorer.base.task import MULTI_LABEL, REGRESSION

_WHOLE = re.compile(r"(\d+)\.0+")


def truth_of(raw: Sequence[Label], labels: Labels) -> tuple[np.ndarray, bool]:
    """Return the true labels of texts, and whether the file has the model's ids.

    Args:
        raw: raw label of each text, by the task of the model.
        labels: labels of the model.

    Returns:
        label numbers int64 (texts,), 0 and 1 int64 (texts, labels) or values float64 (texts, outputs).

    Raises:
        DatasetError: the model lacks a label.
    """
    if labels.task == REGRESSION:
        return np.array(raw, dtype=np.float64).reshape(len(raw), len(labels.names)), False
    if labels.task == MULTI_LABEL:
        return sets_of([tuple(map(str, one)) if isinstance(one, tuple) else (str(one),) for one in raw], labels)
    return numbers_of([str(one) for one in raw], labels)


def numbers_of(raw: Sequence[str], labels: Labels) -> tuple[np.ndarray, bool]:
    """Return the label numbers of a file's raw labels, int64 (texts,), and whether these are the model's ids.

    Args:
        raw: raw label of each text: the model's names, or else its ids as text.
        labels: labels of the model.

    Raises:
        DatasetError: a label is neither.

    >>> numbers_of(["1", "0"], Labels(("good", "bad"), 0, True))
    (array([0, 1]), True)
    """
    number, are_ids = _numbers(set(raw), labels)
    return np.array([number[one] for one in raw], dtype=np.int64), are_ids


def sets_of(raw: Sequence[tuple[str, ...]], labels: Labels) -> tuple[np.ndarray, bool]:
    """Return 1 for each label that a text has, int64 (texts, labels), and whether the raw labels are the model's ids.

    Args:
        raw: raw labels of each text, as for `numbers_of`; a text may have none.
        labels: labels of the model.

    Raises:
        DatasetError: a label is neither a name nor an id.

    >>> sets_of([("a", "b"), ()], Labels(("a", "b"), None, False, "multi_label"))[0].tolist()
    [[1, 1], [0, 0]]
    """
    number, are_ids = _numbers({one for row in raw for one in row}, labels)
    found = np.zeros((len(raw), len(labels.names)), dtype=np.int64)
    for text, row in enumerate(raw):
        found[text, [number[one] for one in row]] = 1
    return found, are_ids


def _numbers(found: set[str], labels: Labels) -> tuple[dict[str, int], bool]:
    """Return the label number of each raw label, and whether these are the model's ids.

    Raises:
        DatasetError: a label is neither a name nor an id.
    """
    spelled = {one: one for one in found}
    if not found & set(labels.names):  # pandas writes ids beside a missing one as 0.0 and 1.0
        spelled = {one: _WHOLE.sub(r"\1", one) for one in found}
    are_ids = bool(found) and not set(spelled.values()) & set(labels.names)
    known = tuple(map(str, labels.ids)) if are_ids else labels.names
    if set(spelled.values()) <= set(known):
        return {one: known.index(name) for one, name in spelled.items()}, are_ids
    unknown = sorted(set(spelled.values()) - set(known))
    raise DatasetError(
        f"the texts have labels that the model lacks: {shown(unknown)}. It has: {', '.join(labels.names)}, or by their ids "
        f"{', '.join(map(str, range(len(labels.by_id))))}. Name the labels as the file does with --label-names, in the order "
        "of the model's ids, or change the file."
    )
