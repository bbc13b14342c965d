"""Checkpoints of a run: its files until they are published, with everything durable kept for a resumed run."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Protocol, Self

from scorer.base.errors import InputError, ScorerError, UsageError
from scorer.base.signals import Interrupted, defer, held
from scorer.report.summary import Counts, Summary
from scorer.rows.record import Record, Reject
from scorer.run.fingerprint import differences
from scorer.run.journal import Entry, Header, Journal, Part
from scorer.storage.atomic import FileDestination, LocalPlace
from scorer.storage.output import Destination, destination

# A run writes the last bytes of its files one after the other.
_SECONDS_APART = 5.0
# Rows from the cache that are one step: half a second of work.
_CACHED = 8192


def steps(computed: int, cached: int, every: int) -> int:
    """Return about how many entries the journal of a run gets.

    Args:
        computed: records whose rows do not come from the cache.
        cached: records whose rows come from it.
        every: least number of computed records between two entries.

    >>> steps(1000, 0, 256), steps(1000, 99_000, 256)
    (4, 17)
    """
    return ceil(computed / every) + ceil(cached / _CACHED)


class Input(Protocol):
    """The part of `scorer.rows.reader.Reader` that a resumed run needs."""

    @property
    def input_hash(self) -> str: ...

    def skip(self, rows: int, keep: Callable[[Record | Reject], None] | None = None) -> bool: ...

    def rewind(self) -> None: ...

    def peek(self) -> None: ...


@dataclass(frozen=True)
class Beside:
    """File beside the output, which is published before it and is missing if it has no rows.

    Attributes:
        name: name of its place in the fingerprint.
        what: its rows in messages, as a plural.
        place: destination of its bytes.
        rows: function that returns the number of its rows.
        for_people: whether people may work on the file, so that a changed one is not replaced.
    """

    name: str
    what: str
    place: Destination
    rows: Callable[[Counts], int]
    for_people: bool = False


class Work:
    """Output, the files beside it, and the journal with which the same command resumes.

    A context manager. Entering it locks the files and reads what an earlier run left. It raises `ScorerError` if
    another run is writing the files, or if a folder is not writable. Leaving it without `publish` keeps everything
    durable and discards the rest.

    Args:
        output: destination of scored rows.
        beside: files beside the output, in the order in which they are published.
        repeatable: whether the input can be read again; nothing is kept if not, as with stdin.
        work_dir: folder for unpublished objects of a store, as for `scorer.storage.output.destination`.
    """

    def __init__(
        self, output: Destination, beside: Sequence[Beside], *, repeatable: bool, work_dir: str | None = None
    ) -> None:
        self._work_dir = work_dir
        self.output = output
        self.beside = {one.name: one for one in beside}
        self._repeatable = repeatable
        self._every = 1
        self._before = 0
        self._command = "the same command"
        self._reserved = False
        self._begun = False  # this run has resumed an earlier one, or started over
        self._synced = False  # the directory entries of the files are durable
        self._published = False
        self._journal: Journal | None = None

    def begin(
        self,
        header: Header,
        reader: Input,
        every: int,
        *,
        restart: bool,
        report: Callable[[str], None],
        before: int = 0,
    ) -> Summary | None:
        """Resume the interrupted run with the same header, or start over.

        Args:
            header: identity of this run.
            reader: reader of the input; left behind the last record that is done.
            every: records between two commits.
            restart: whether to start over in any case.
            report: function that prints what was decided.
            before: rows of the input before the first one of this run, if it is a shard.

        Returns:
            Summary of the records that are done; None if the run starts over.

        Raises:
            InputError: the input's files look unchanged, but no longer begin with the records that are done.
            UsageError: the input lacks a column that is needed, or a file for people has changed since the output was written.
            ScorerError: a file cannot be written.
        """
        self._every, self._before = every, before
        entry, reason = self._interrupted(), None
        if restart:
            self._command = "the same command without --restart"
        elif entry is not None:
            reason = self._resume(entry, header, reader)
            if reason is None:
                self._begun = True
                report(f"Resuming at row {before + entry.summary.counts.rows_in + 1:,}: the rows before it are done.")
                return entry.summary.copy()
            reader.rewind()
        elif self._journal is not None and self._journal.foreign:
            reason = "it was started by another version of this program"
        reader.peek()  # a command that cannot work must not discard the earlier run
        if reason is not None:
            report(f"Not resuming the interrupted run: {reason}. Starting over.")
        self._refuse_changed()
        self._start(header)
        return None

    def commit(self, summary: Summary, *, complete: bool = False) -> None:
        """Make the output, the files beside it and then a journal entry durable, once every `every` records.

        Records whose rows come from the cache are soon done again, so many of them are one step.
        """
        if self._journal is None or not self._repeatable:
            return
        last = self._journal.last
        if not complete and not self._is_due(summary.counts, last.summary.counts if last is not None else Counts()):
            return
        self.output.sync()
        for name, one in self.beside.items():
            if last is None or one.place.length != last.beside[name].length:
                one.place.sync()
        if not self._synced:
            files = [place for place in self._places if isinstance(place, FileDestination)]
            for place in {file.place.work.parent: file for file in files}.values():
                place.sync_name()
            self._synced = True
        beside = {name: _part(one.place) for name, one in self.beside.items()}
        self._journal.append(Entry(summary.copy(), _part(self.output), beside, complete))

    def _is_due(self, now: Counts, last: Counts) -> bool:
        """Return whether the records since the last entry of the journal are worth another one."""
        if (self._before + now.rows_in) % self._every:
            return False
        records, cached = now.rows_in - last.rows_in, now.rows_from_cache - last.rows_from_cache
        return not cached or records - cached >= self._every or records >= _CACHED

    def publish(self, summary: Summary) -> None:
        """Publish the files beside the output, then the output, which is the commit point.

        The journal goes when the context is left.
        """
        defer()
        self.commit(summary, complete=True)
        for one in self.beside.values():
            if one.rows(summary.counts):
                one.place.publish()
            else:
                one.place.publish_nothing()
        self.output.publish()
        self._published = True

    def publish_alone(self, name: str) -> None:
        """Publish what a file beside the output has so far, and nothing else; the run can be resumed."""
        defer()
        self.beside[name].place.publish_copy()

    @property
    def _places(self) -> list[Destination]:
        return [self.output, *(one.place for one in self.beside.values())]

    def _interrupted(self) -> Entry | None:
        """Return the last entry of an unfinished earlier run; one killed after its commit point is finished."""
        last = self._journal.last if self._journal is not None else None
        if last is None or not last.summary.counts.rows_scored:  # nothing is worth resuming
            return None
        done = last.complete and isinstance(self.output, FileDestination) and self.output.is_new()
        return None if done else last

    def _resume(self, entry: Entry, header: Header, reader: Input) -> str | None:
        """Reopen an earlier run's files and skip its records in the input, or return why that is impossible."""
        assert self._journal is not None
        assert self._journal.header is not None
        changed = differences(self._journal.header.fingerprint, header.fingerprint)
        if changed:
            return "; ".join(changed)
        if not self._repeatable:
            return "the input is now a stream"
        if not self.output.resume(*entry.output):
            return "its output is missing or has changed"
        for name, one in self.beside.items():
            part = entry.beside[name]
            if entry.complete:
                one.place.undo_publish(*part)
            if not one.place.resume(*part):
                return f"its {one.what} are missing or have changed"
        if not reader.skip(entry.summary.counts.rows_in, entry.summary.nearest.keep):
            return "it had done more rows than the input has now"
        if reader.input_hash == entry.summary.input_hash:
            return None
        if header.inputs == self._journal.header.inputs:
            raise InputError(
                f"the input has changed: its first {entry.summary.counts.rows_in:,} rows are done and now differ, although "
                "the files' sizes and times are the same. Nothing was published; use --restart to score all rows again."
            )
        return "the input has changed"

    def _refuse_changed(self) -> None:
        """Raise `UsageError` if a file for people was changed after the run that wrote it and the output."""
        written = _modified(self.output)
        for one in self.beside.values():
            changed = _modified(one.place) if one.for_people else None
            if written is not None and changed is not None and changed > written + _SECONDS_APART:
                raise UsageError(
                    f"the {one.what} of an earlier run in {_name(one.place)} have been changed since, perhaps by a person who "
                    "labelled them. Move that file away, or name another one."
                )

    def _start(self, header: Header) -> None:
        """Discard the earlier run and begin with empty files."""
        self._begun = True
        if self._journal is not None:
            self._discard_elsewhere(self._journal, header)
            self._journal.begin(header)
        for place in self._places:
            place.begin()

    def _discard_elsewhere(self, journal: Journal, header: Header) -> None:
        """Discard files of an earlier run that were beside the output under other names, unless they are another run's."""
        if journal.header is None or journal.last is None:
            return
        now = [header.fingerprint.get(name) for name in self.beside]
        for name, part in journal.last.beside.items():
            place = journal.header.fingerprint.get(name)
            if place is None or place in now:
                continue
            with contextlib.suppress(ScorerError):  # the file is another run's, or cannot be opened
                left = destination(place, work_dir=self._work_dir)
                left.reserve()
                left.discard() if left.resume(*part) else left.close()

    def __enter__(self) -> Self:
        try:
            with held():
                if isinstance(self.output, FileDestination):
                    self._journal = Journal(self.output.place)
                for place in self._places:
                    place.reserve()
                self._reserved = True
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept = None if self._published else self._kept()
        self._let_go(keep=kept is not None or not self._begun)
        advice = self._advice(kept, error) if error is not None else None
        if error is not None and advice is not None:
            error.add_note(advice)

    def _let_go(self, *, keep: bool) -> None:
        for place in self._places:
            with contextlib.suppress(OSError):
                place.close() if keep else place.discard()
        if self._journal is not None:
            with contextlib.suppress(OSError):
                self._journal.close(keep=keep)

    def _kept(self) -> Entry | None:
        """Return the entry that the next run will find; read from the file, as an interrupt may follow a write."""
        if self._journal is None or not self._reserved:  # the journal was not read, so nothing is known
            return None
        with contextlib.suppress(ScorerError):
            self._journal.read()
        return self._interrupted()

    def _advice(self, kept: Entry | None, error: BaseException) -> str | None:
        """Return how to resume, as a message; None if the error has nothing to do with the rows."""
        if kept is not None and self._begun:
            rows = f"{kept.summary.counts.rows_in:,} rows are done and kept"
            resumes = f"{self._command} resumes at row {self._before + kept.summary.counts.rows_in + 1:,}."
            # Only the next run can check that the input, perhaps fixed by then, still begins with these rows.
            return (
                f"{rows}; if the input still begins with them, {resumes}"
                if isinstance(error, InputError)
                else f"{rows}. {resumes.capitalize()}"
            )
        if not isinstance(error, Interrupted):
            return None
        if kept is not None:
            return "Nothing was published; the work of the earlier run is unchanged."
        if not isinstance(self.output, FileDestination):
            return "The output stream is incomplete, and a stream cannot be resumed."
        if not self._repeatable:
            return "Nothing was published. Input from a stream cannot be read again, so this run cannot be resumed."
        return "Nothing was published, and no row is done yet."


def _modified(place: Destination) -> float | None:
    """Return the time of the last change of a published file, in seconds since 1970; None without a local one."""
    if not isinstance(place, FileDestination) or not isinstance(place.place, LocalPlace):
        return None
    with contextlib.suppress(OSError):
        return place.place.work.stat().st_mtime
    return None


def _name(place: Destination) -> str:
    assert isinstance(place, FileDestination), "it has a time of its last change"
    return place.place.name


def _part(place: Destination) -> Part:
    return Part(place.length, place.digest)
