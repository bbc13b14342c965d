"""Labels of a checkpoint: their names, the positive one of two, and logits in the bundle's order; no heavy import.

The outputs of a regression are labels here, too: they have names and an order.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.errors import ExportError
from scorer.base.errors import UsageError
from scorer.base.task import REGRESSION, SINGLE_LABEL, Task

_GENERIC = re.compile(r"label[_ -]?\d+", re.IGNORECASE)
_MOST_NAMED = 5

VALUE = "score"
"""Name of a regression's single output."""


@dataclass(frozen=True)
class Labels:
    """Labels of a model.

    Attributes:
        by_id: names in the order of the model's own ids.
        positive: id of the one of two labels whose probability is the score; None for more labels, or another task.
        chosen: whether the positive label was named, rather than taken because it is the last.
        task: meaning of the model's outputs.
    """

    by_id: tuple[str, ...]
    positive: int | None
    chosen: bool
    task: Task = SINGLE_LABEL

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
    id2label: Mapping[int, str],
    given: Sequence[str] | None,
    *,
    keep: bool,
    positive: str | None,
    name: str,
    task: Task = SINGLE_LABEL,
) -> Labels:
    """Return the labels of a model.

    Args:
        id2label: names by id, 0 and up.
        given: names that replace them, in the order of the ids; or None.
        keep: whether names such as LABEL_0 are meant.
        positive: name of the positive label of two; None for the last.
        name: name of the checkpoint, for messages.
        task: meaning of the model's outputs. The single output of a regression is `VALUE` if no name is given.

    Raises:
        ExportError: the names are made up, not all different, or cannot be printed.
        UsageError: the options do not fit the labels.
    """
    own = [id2label[one] for one in sorted(id2label)]
    what = "outputs" if task == REGRESSION else "labels"
    if given is not None and len(given) != len(own):
        raise UsageError(
            f"--label-names gives {len(given)} names ({', '.join(given)}) for {len(own)} {what} ({shown(own)})."
        )
    if given is None and task == REGRESSION and len(own) == 1:
        given = (VALUE,)
    names = tuple(given or own)
    advice = f"name its {len(own)} {what} in the order of their ids with --label-names"
    if given is None and not keep and any(_GENERIC.fullmatch(one) for one in names):
        raise ExportError(
            f"{name} has no names for its {what}, only {shown(own)}: {advice}, or keep these with --keep-label-names."
        )
    if not all(one and one.isprintable() for one in names) or len(set(names)) != len(names):
        raise ExportError(
            f"{name} has {what} that are empty, repeated or cannot be printed: {shown(names)}; {advice}, all different."
        )
    if positive is not None and task != SINGLE_LABEL:
        raise UsageError(f"--positive-label is for one label of two a text; the task of {name} is {task}.")
    if positive is not None and len(names) != 2:
        raise UsageError(f"--positive-label is for two labels; there are {len(names)}: {shown(names)}.")
    if positive is not None and positive not in names:
        raise UsageError(f"--positive-label {positive!r} is not one of the labels: {', '.join(names)}.")
    if len(names) != 2 or task != SINGLE_LABEL:
        return Labels(names, None, chosen=False, task=task)
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
