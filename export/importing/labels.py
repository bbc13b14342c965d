"""Labels of a checkpoint: their names, the positive one of two, and logits in the bundle's order; no heavy import."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.errors import DatasetError, ExportError, UnsupportedEncoder
from scorer.base.errors import UsageError

_GENERIC = re.compile(r"label[_ -]?\d+", re.IGNORECASE)
_WHOLE = re.compile(r"(\d+)\.0+")
_MOST_NAMED = 5


@dataclass(frozen=True)
class Labels:
    """Labels of a model.

    Attributes:
        by_id: names in the order of the model's own ids.
        positive: id of the one of two labels whose probability is the score; None for more labels.
        chosen: whether the positive label was named, rather than taken because it is the last.
    """

    by_id: tuple[str, ...]
    positive: int | None
    chosen: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the bundle: two labels are (negative, positive).

        >>> Labels(("pos", "neg"), 0, True).names
        ('neg', 'pos')
        """
        return tuple(self.by_id[one] for one in self.ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """The model's ids in the order of the bundle."""
        every = tuple(range(len(self.by_id)))
        return every if self.positive is None else (1 - self.positive, self.positive)

    def folded(self, rows: np.ndarray) -> np.ndarray:
        """Turn logits of each label, or the rows of weights or biases that give them, into those of the bundle.

        Args:
            rows: float32 (labels, ...), in the order of the ids.

        Returns:
            the rows themselves, or for two labels one row: that of the positive label minus the other.

        >>> Labels(("a", "b"), 0, True).folded(np.array([3.0, 1.0])).tolist()
        [2.0]
        """
        if self.positive is None:
            return rows
        return rows[self.positive : self.positive + 1] - rows[1 - self.positive : 2 - self.positive]


def labels_of(
    id2label: Mapping[int, str], given: Sequence[str] | None, *, keep: bool, positive: str | None, name: str
) -> Labels:
    """Return the labels of a model.

    Args:
        id2label: names by id, 0 and up.
        given: names that replace them, in the order of the ids; or None.
        keep: whether names such as LABEL_0 are meant.
        positive: name of the positive label of two; None for the last.
        name: name of the checkpoint, for messages.

    Raises:
        ExportError: the names are made up, not all different, or cannot be printed.
        UsageError: the options do not fit the labels.
    """
    own = [id2label[one] for one in sorted(id2label)]
    if given is not None and len(given) != len(own):
        raise UsageError(
            f"--label-names gives {len(given)} names ({', '.join(given)}) for {len(own)} labels ({shown(own)})."
        )
    names = tuple(given or own)
    advice = f"name its {len(own)} labels in the order of their ids with --label-names"
    if given is None and not keep and any(_GENERIC.fullmatch(one) for one in names):
        raise ExportError(
            f"{name} has no names for its labels, only {shown(own)}: {advice}, or keep these with --keep-label-names."
        )
    if not all(one and one.isprintable() for one in names) or len(set(names)) != len(names):
        raise ExportError(
            f"{name} has labels that are empty, repeated or cannot be printed: {shown(names)}; {advice}, all different."
        )
    if positive is not None and len(names) != 2:
        raise UsageError(f"--positive-label is for two labels; there are {len(names)}: {shown(names)}.")
    if positive is not None and positive not in names:
        raise UsageError(f"--positive-label {positive!r} is not one of the labels: {', '.join(names)}.")
    if len(names) != 2:
        return Labels(names, None, chosen=False)
    return Labels(names, 1 if positive is None else names.index(positive), chosen=positive is not None)


def shown(names: Sequence[str]) -> str:
    """Return the first few names in words.

    >>> shown([f"LABEL_{number}" for number in range(7)])
    'LABEL_0, LABEL_1, LABEL_2, LABEL_3, LABEL_4 and 2 more'
    """
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(map(str, names[:_MOST_NAMED]))}{more}"


def id2label_of(config: Mapping[str, Any], name: str) -> dict[int, str]:
    """Return the names by id that the settings of a checkpoint state, or those that transformers would make up.

    Args:
        config: settings of the checkpoint.
        name: name of the checkpoint, for messages.

    Raises:
        ExportError: the ids are not 0 and up.

    >>> id2label_of({"id2label": {"1": "good", "0": "bad"}}, "x"), id2label_of({}, "x")
    ({1: 'good', 0: 'bad'}, {0: 'LABEL_0', 1: 'LABEL_1'})
    """
    found = config.get("id2label")
    if isinstance(found, dict):
        if {str(one) for one in found} != {str(one) for one in range(len(found))}:
            raise ExportError(
                f"{name} numbers its labels {shown([*found])} (id2label), not from 0 up. Number them so in its config.json."
            )
        return {int(one): str(label) for one, label in found.items()}
    count = config.get("num_labels", 2)
    return {one: f"LABEL_{one}" for one in range(count if isinstance(count, int) else 2)}


def refuse_problem(problem: object, label_count: int, name: str) -> None:
    """Refuse a checkpoint that does not choose one label of several.

    Args:
        problem: ``problem_type`` of its settings, or None.
        label_count: number of its outputs.
        name: name of the checkpoint, for messages.

    Raises:
        UnsupportedEncoder: it gives several labels to one text, or a number.
    """
    works = "Give a checkpoint that was trained to choose one of two or more labels (single_label_classification)"
    if problem == "multi_label_classification":
        raise UnsupportedEncoder(
            f"{name} gives each text any number of labels (problem_type multi_label_classification), which a bundle cannot "
            f"hold yet. {works}."
        )
    if problem == "regression" or label_count == 1:
        why = "problem_type regression" if problem == "regression" else "it has one output"
        raise UnsupportedEncoder(
            f"{name} gives a number rather than a label ({why}), which a bundle cannot hold yet. {works}, or, for a single "
            "output that a sigmoid turns into a probability, its weights with --state-dict and two --label-names."
        )


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
    if not set(raw) & set(labels.names):
        raw = [_WHOLE.sub(r"\1", one) for one in raw]  # pandas writes ids beside a missing one as 0.0 and 1.0
    found, are_ids = set(raw), not set(raw) & set(labels.names)
    known = tuple(map(str, labels.ids)) if are_ids else labels.names
    if found <= set(known):
        return np.array([known.index(one) for one in raw], dtype=np.int64), are_ids
    unknown = sorted(found - set(known))
    raise DatasetError(
        f"the texts have labels that the model lacks: {shown(unknown)}. It has: {', '.join(labels.names)}, or by their ids "
        f"{', '.join(map(str, range(len(labels.by_id))))}. Name the labels as the file does with --label-names, in the order "
        "of the model's ids, or change the file."
    )
