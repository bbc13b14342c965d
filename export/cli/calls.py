"""`score-model train` and `import` as functions, for notebooks and programs.

A call has the options of its command as keywords, under the names of the command line. So it has the command's defaults,
checks and messages, and each new option at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeAlias

import click

from export.cli.import_model import import_model as import_command
from export.cli.import_model import run_import
from export.cli.train import run_train
from export.cli.train import train as train_command
from scorer.base.errors import UsageError
from scorer.base.text import did_you_mean
from scorer.model.bundle import Bundle

Value: TypeAlias = "str | int | float | bool | PathLike[str] | None"
Option: TypeAlias = "Value | Sequence[Value]"
"""Value of an option: None for its default, True or False for a flag, several for a repeatable option or a list of names."""

_NOT_IN_PYTHON = ("help", "debug", "output")


@dataclass(frozen=True)
class Made:
    """A bundle that was written.

    Attributes:
        folder: folder of the bundle, for `scorer.Scorer` and ``score --model``.
        figures: figures of its manifest; ``figures["test"]`` has those of the test texts.
    """

    folder: Path
    figures: Mapping[str, Any]


def train(output: "str | PathLike[str]", *, report: Callable[[str], None] = print, **options: Option) -> Made:
    """Train a classifier on labelled texts, and write its bundle, as `score-model train` does.

    Args:
        output: folder to write the bundle to.
        report: callback for each line of the training log.
        options: options of the command, by name without the dashes: ``train_file="a.csv"`` is ``--train-file a.csv``, and
            ``wide=False`` is ``--no-wide``. The environment sets others, as for the command.

    Raises:
        TypeError: the command has no option of a name.
        scorer.base.errors.ScorerError: the command would end with an error, whose message this is.
    """
    return _made(train_command, run_train, _arguments(train_command, output, options), report)


def import_checkpoint(
    checkpoint: "str | PathLike[str] | None",
    output: "str | PathLike[str]",
    *,
    report: Callable[[str], None] = print,
    **options: Option,
) -> Made:
    """Make a bundle of a fine-tuned classifier, as `score-model import` does.

    Args:
        checkpoint: classifier on the hub or in a local folder; None with ``state_dict`` and ``encoder``.
        output, report, options: as for `train`.

    Raises:
        TypeError: the command has no option of a name.
        scorer.base.errors.ScorerError: the command would end with an error, whose message this is.
    """
    given = _arguments(import_command, output, options)
    names = [] if checkpoint is None else ["--", fspath(checkpoint)]
    return _made(import_command, run_import, [*given, *names], report)


def _made(
    command: click.Command,
    run: Callable[[Mapping[str, Any], Callable[[str], None]], Bundle],
    arguments: Sequence[str],
    report: Callable[[str], None],
) -> Made:
    """Parse the arguments as the command does, and run it."""
    prefix = f"SCORE_MODEL_{command.name}".upper()
    try:
        context = command.make_context(command.name, [*arguments], auto_envvar_prefix=prefix)
    except click.ClickException as error:
        raise UsageError(error.format_message()) from error
    with context:
        bundle = run(context.params, report)
    return Made(bundle.path, bundle.manifest.metrics)


def _arguments(command: click.Command, output: "str | PathLike[str]", options: Mapping[str, Option]) -> list[str]:
    """Return the command line of a call."""
    by_name = {one.name: one for one in command.params if isinstance(one, click.Option)}
    known = {name: one for name, one in by_name.items() if name is not None and name not in _NOT_IN_PYTHON}
    arguments = [f"--output={fspath(output)}"]
    for name, value in options.items():
        if name not in known:
            listed = f"`score-model {command.name} --help` lists the options."
            raise TypeError(f"there is no option {name!r}: {did_you_mean(name, list(known), listed)}")
        if value is not None:
            arguments += _spelled(known[name], value)
    return arguments


def _spelled(option: click.Option, value: Option) -> Iterator[str]:
    """Yield an option as the command line has it.

    >>> list(_spelled(click.Option(["--wide/--no-wide"]), False)), list(_spelled(click.Option(["-q", "--quiet"], is_flag=True), True))
    (['--no-wide'], ['--quiet'])
    >>> list(_spelled(click.Option(["--train-file"], multiple=True), ["a.csv", "b.csv"]))
    ['--train-file=a.csv', '--train-file=b.csv']
    >>> list(_spelled(click.Option(["--label-names"]), ("bad", "good")))
    ['--label-names=bad,good']
    """
    name = next(one for one in option.opts if one.startswith("--"))
    if option.is_flag:
        if not isinstance(value, bool):
            raise TypeError(f"{option.name} takes True or False, not {value!r}")
        if value:
            yield name
        else:
            yield from option.secondary_opts[:1]
    elif isinstance(value, str | PathLike) or not isinstance(value, Sequence):
        yield f"{name}={_text(value)}"
    elif option.multiple:
        yield from (f"{name}={_text(one)}" for one in value)
    else:
        yield f"{name}={','.join(map(_text, value))}"


def _text(value: Value) -> str:
    return fspath(value) if isinstance(value, PathLike) else str(value)
