"""Blank lines of a CSV file that wait until it is known whether they are records."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from scorer.rows.lines import Line

_END = re.compile(rb"\r\n?|\n")


@dataclass
class _Run:
    """Blank lines that follow one another.

    Attributes:
        number: number of the first line.
        offset: offset of its first byte.
        ends: line ends.
        count: number of lines.
    """

    number: int
    offset: int
    ends: bytearray = field(default_factory=bytearray)
    count: int = 0


class BlankLines:
    """Blank lines, kept as bytes: a file may end in millions of them.

    >>> waiting = BlankLines()
    >>> waiting.add(Line(2, 7, b"\\n", 1, False))
    >>> [(line.number, line.offset) for line in waiting.take()], list(waiting.take())
    ([(2, 7)], [])
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def add(self, line: Line) -> None:
        """Keep a blank line."""
        last = self._runs[-1] if self._runs else None
        if last is None or (line.number, line.offset) != (last.number + last.count, last.offset + len(last.ends)):
            last = _Run(line.number, line.offset)
            self._runs.append(last)
        last.ends += line.data
        last.count += 1

    def __bool__(self) -> bool:
        return bool(self._runs)

    def take(self) -> Iterator[Line]:
        """Return an iterator over the lines in order, and drop them at once."""
        runs, self._runs = self._runs, []
        return chain.from_iterable(map(_lines, runs))


def _lines(run: _Run) -> Iterator[Line]:
    for number, match in enumerate(_END.finditer(run.ends), start=run.number):
        yield Line(number, run.offset + match.start(), match[0], len(match[0]), False)
