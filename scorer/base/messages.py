"""Messages on stderr, and results for people on stdout if no data goes there."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

import click

from scorer.base.text import visible

Level = Literal["info", "warning", "error"]


class _Form:
    """Form of messages, shared by the whole process as stderr is."""

    as_json = False


def use_json(wanted: bool) -> None:
    """Choose between JSON lines and text for all later messages."""
    _Form.as_json = wanted


def is_json() -> bool:
    return _Form.as_json


def print_message(message: str, level: Level = "info", fields: Mapping[str, object] = MappingProxyType({})) -> None:
    """Print a message on stderr; a closed stderr or a full disk must not fail the work itself.

    Args:
        message: one line or several.
        level: severity, for readers of JSON.
        fields: facts of the message as names and values, for readers of JSON.
    """
    text = visible(message)
    with contextlib.suppress(OSError):
        click.echo(_json_line(text.strip(), level, fields) if is_json() else text, err=True)


def print_result(text: str) -> None:
    """Print results for people on stdout.

    Characters that its encoding lacks are escaped: an error here would come after hours of work.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def _json_line(text: str, level: Level, fields: Mapping[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "level": level, "message": text, **fields})


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discard what libraries print on stderr meanwhile; the errors that they raise state the same."""
    try:
        stderr = os.dup(2)
    except OSError:  # stderr is closed
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
