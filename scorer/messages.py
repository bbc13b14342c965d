"""What people are told, on stderr; stdout carries data only."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice

import click

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONGEST_LINE = 2000


def say(message: str) -> None:
    """Print a line on stderr. Where nobody listens (closed, disk full), the work itself must not fail for it."""
    with contextlib.suppress(OSError):
        click.echo(visible(message), err=True)


def visible(message: str) -> str:
    """The same with lines of readable length, and what would control a terminal spelled out: names come from files.

    >>> visible("no column '\\x1b[2J'")
    "no column '\\\\x1b[2J'"
    """
    lines = (line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..." for line in message.split("\n"))
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], "\n".join(lines))


def meant(given: str, names: Iterable[str], otherwise: str) -> str:
    """A question for the name that a misspelt one is close to, or else what to do ``otherwise``.

    >>> meant("max_rejects", ["max-rejects", "text"], "see --help."), meant("body", ["text"], "see --help.")
    ("did you mean 'max-rejects'?", 'see --help.')
    """
    from difflib import get_close_matches  # only where something is wrong

    # Above the usual 0.6, which half of the folder reaches by its extension.
    few = [name for name in islice(names, 10_000) if len(name) < 300]  # files can have more, and longer ones
    close = get_close_matches(given, few, 1, 0.75)
    return f"did you mean {close[0]!r}?" if close else otherwise


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Meanwhile what libraries print on stderr by themselves goes nowhere: the error that they raise says it, too."""
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
