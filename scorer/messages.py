"""What people are told, on stderr; stdout carries data only."""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType
from typing import Literal

import click

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONGEST_LINE = 2000

Level = Literal["info", "warning", "error"]


class _Form:
    """How messages are written; of the whole process, as stderr is."""

    as_json = False


def write_json(wanted: bool) -> None:
    """From now on messages are JSON lines, or text."""
    _Form.as_json = wanted


def is_json() -> bool:
    return _Form.as_json


def say(message: str, level: Level = "info", fields: Mapping[str, object] = MappingProxyType({})) -> None:
    """Print a message on stderr. Where nobody listens (closed, disk full), the work itself must not fail for it.

    Args:
        message: some words, or lines of them.
        level: how much it matters, for who reads JSON.
        fields: the same as numbers and names, for who reads JSON.
    """
    text = visible(message)
    with contextlib.suppress(OSError):
        click.echo(_json_line(text.strip(), level, fields) if is_json() else text, err=True)


def _json_line(text: str, level: Level, fields: Mapping[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "level": level, "message": text, **fields})


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
