"""Values as people read them: what controls a terminal, misspelt names, bytes of file names, durations."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import NoReturn

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


_LONGEST_LINE = 2000


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
    same = [name for name in few if name.casefold() == given.casefold()]
    close = same or get_close_matches(given, few, 1, 0.75)
    return f"did you mean {close[0]!r}?" if close else otherwise


def shown_source(path: str) -> str:
    """A file's name as text: it may hold bytes that are no UTF-8.

    >>> shown_source("a\\udcff.csv")
    'a\\\\xff.csv'
    """
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(7.4), duration(754), duration(9000)
    ('7 s', '12 min 34 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def refuse_constant(constant: str) -> NoReturn:
    """NaN and Infinity, which Python's parser takes unless it is told otherwise."""
    raise ValueError(f"{constant} is not JSON")
