"""Tasks: the kinds of answers that models give to a text."""

from typing import Literal, get_args

Task = Literal["single_label", "multi_label", "regression"]
"""One label of several, any number of labels, or numbers."""

SINGLE_LABEL: Task = "single_label"
MULTI_LABEL: Task = "multi_label"
REGRESSION: Task = "regression"

TASKS: tuple[Task, ...] = get_args(Task)
