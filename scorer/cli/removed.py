"""Options of `score` in earlier versions, refused with the advice that replaces them."""

import os

import click

from scorer.base.errors import UsageError

_PREFIX = "SCORE"  # of the variables of `score` and `score-ray`

REMOVED = {"devices": "start `score` once for each GPU, with CUDA_VISIBLE_DEVICES and --shard I/N"}
"""Long names of the options, with the advice."""


def refuse_removed(context: click.Context, option: str) -> None:
    """Raise `UsageError` if an option of the command line was one of an earlier version."""
    name = option.removeprefix("--")
    if context.auto_envvar_prefix == _PREFIX and name in REMOVED:
        raise UsageError(f"{option} was removed from `score`; {REMOVED[name]}.")


def refuse_removed_variables(context: click.Context) -> None:
    """Raise `UsageError` if the environment sets an option of an earlier version, which click would ignore."""
    for name, advice in REMOVED.items():
        variable = f"{_PREFIX}_{name.replace('-', '_').upper()}"
        if context.auto_envvar_prefix == _PREFIX and os.environ.get(variable):
            raise UsageError(f"the environment sets {variable}, which was removed from `score`; {advice}.")
