"""Findings of a verification: the result of each check, and the differences below it."""

from dataclasses import dataclass
from typing import Literal

from scorer.verify.row_file import Difference

MOST_SHOWN = 5
"""Largest number of differences that a finding lists."""

State = Literal["ok", "different", "not checked"]


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        state: ``different`` if the output is not what the run must have published.
        what: subject of the check.
        text: result in words.
        details: lines below it.
    """

    state: State
    what: str
    text: str
    details: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the finding as lines for people."""
        return [f"{self.state:<12}{self.what}: {self.text}", *(f"{'':<12}{line}" for line in self.details)]


class Differences:
    """Differences of one check: their number, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Difference] = []

    def add(self, one: Difference) -> None:
        """Count a difference."""
        self.count += 1
        if len(self._first) < MOST_SHOWN:
            self._first.append(one)

    def lines(self) -> list[str]:
        """Return the first differences as lines for people."""
        lines = [
            line
            for one in self._first
            for line in (f"{one.where}", f"  expected: {one.expected}", f"  found:    {one.found}")
        ]
        more = self.count - len(self._first)
        return [*lines, f"and {more:,} more"] if more else lines
