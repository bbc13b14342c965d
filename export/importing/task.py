"""Task of a checkpoint: the one that its settings state, or the one that a person chooses; no heavy import.

The rules of transformers were read in `TextClassificationPipeline.postprocess` of its release 5. ``problem_type`` regression
applies no function. multi_label_classification, or a single output of any other type, applies a sigmoid. Everything else
applies a softmax. A model with one output that transformers itself trained has the ``problem_type`` regression.
"""

from collections.abc import Mapping
from types import MappingProxyType

from scorer.base.errors import UsageError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task

FUNCTIONS: Mapping[Task, str] = MappingProxyType({SINGLE_LABEL: "softmax", MULTI_LABEL: "sigmoid", REGRESSION: "none"})
"""Function that turns the outputs into probabilities or values by task, as the pipeline of transformers names it."""

_PROBLEMS: Mapping[object, Task] = MappingProxyType(
    {
        "single_label_classification": SINGLE_LABEL,
        "multi_label_classification": MULTI_LABEL,
        "regression": REGRESSION,
    }
)


def task_of(problem: object, output_count: int, given: Task | None, name: str) -> Task:
    """Return the task of a checkpoint.

    Args:
        problem: ``problem_type`` of its settings, or None.
        output_count: number of its outputs.
        given: task that a person chose; None for that of the settings.
        name: name of the checkpoint, for messages.

    Raises:
        UsageError: a single output is not stated to be a value or a label, or is to choose between labels.

    >>> task_of(None, 2, None, "x"), task_of("regression", 1, None, "x"), task_of(None, 2, "multi_label", "x")
    ('single_label', 'regression', 'multi_label')
    """
    task = given or _PROBLEMS.get(problem, SINGLE_LABEL)
    if task != SINGLE_LABEL or output_count > 1:
        return task
    if given is not None:
        raise UsageError(
            f"--task {given} chooses one of two or more labels, and {name} has one output. Give --task multi_label or --task "
            "regression."
        )
    raise UsageError(
        f"{name} has one output, and its settings do not state its meaning (problem_type). If it is a value: score-model "
        f"import {name} --task regression. If a sigmoid turns it into the probability of one label: score-model import {name} "
        "--task multi_label --label-names NAME."
    )


def piped_function(problem: object, output_count: int) -> str:
    """Return the function that the pipeline of transformers applies to the outputs, unless one is given.

    >>> piped_function(None, 1), piped_function(None, 2), piped_function("regression", 2)
    ('sigmoid', 'softmax', 'none')
    """
    if problem == "regression":
        return FUNCTIONS[REGRESSION]
    is_sigmoid = problem == "multi_label_classification" or output_count == 1
    return FUNCTIONS[MULTI_LABEL if is_sigmoid else SINGLE_LABEL]


def contradiction(problem: object, output_count: int, task: Task) -> str | None:
    """Return a remark for the log and the card if a person chose another task than the settings state, or None.

    Args:
        problem, output_count: as for `task_of`.
        task: task of the bundle.
    """
    theirs, ours = piped_function(problem, output_count), FUNCTIONS[task]
    if ours == theirs and _PROBLEMS.get(problem, task) == task:
        return None
    stated = f"the problem_type {problem}" if problem is not None else "no problem_type"
    found = f"--task {task} was given, while the checkpoint's settings have {stated}"
    if ours == theirs:
        return found
    return (
        f'{found}; the pipeline of transformers applies {_words(ours)} only if it gets function_to_apply="{ours}", as for the '
        f"certificate, and {_words(theirs)} otherwise"
    )


def _words(function: str) -> str:
    return "no function" if function == FUNCTIONS[REGRESSION] else f"a {function}"
