"""Progress of a long job on stderr: a bar on a terminal, an occasional line in a log."""

import sys
import time
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from tqdm import tqdm

from scorer.base.messages import is_json, print_message
from scorer.base.text import duration


class Progress:
    """Display of the share done, a note and the time left.

    Args:
        what: name of the job, such as "scoring".
        total: whole amount of work, in the unit of `show`; None if unknown.
        quiet: True to show nothing at all.
        every: seconds between two lines in a log.
    """

    def __init__(self, what: str, total: int | None, *, quiet: bool, every: float = 30.0) -> None:
        self._what = what
        self._total = total
        self._every = every
        self._start = self._last = time.monotonic()
        self._first: int | None = None
        self._bar: tqdm | None = None
        self._quiet = quiet
        if not quiet and not is_json() and sys.stderr is not None and sys.stderr.isatty():
            ending = "{percentage:3.0f}% |{bar}| {remaining} left{postfix}" if total else "{elapsed}{postfix}"
            self._bar = tqdm(total=total, desc=what, bar_format="{desc} " + ending, leave=False, file=sys.stderr)

    def show(self, done: int, note: str, fields: Mapping[str, object] = MappingProxyType({})) -> None:
        """Show how much is done.

        The amount of the first call counts as done before, and not towards this run's speed.

        Args:
            done: amount done so far.
            note: words to show beside it.
            fields: facts of the note as names and values, for readers of JSON.
        """
        now = time.monotonic()
        if self._first is None:
            self._first, self._start = done, now
            if self._bar is not None:
                self._bar.initial = done
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
        elif not self._quiet and now - self._last >= self._every:
            self._last = now
            share, left = self._share(done, now - self._start)
            known = "" if left is None else f"{share:.0%}, {duration(left)} left, "
            print_message(
                f"{self._what}: {known}{note}",
                fields={"event": "progress", **fields, "share": share, "seconds_left": left and round(left)},
            )

    def _share(self, done: int, seconds: float) -> tuple[float | None, float | None]:
        """Compute the share done and the seconds left; None if unknown."""
        if not self._total or self._first is None or done <= self._first:
            return None, None
        left = seconds * (self._total - done) / (done - self._first)
        return round(done / self._total, 4), left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
