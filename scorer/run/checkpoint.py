"""A run's files from its first byte to its publication: what is durable is kept, whatever happens."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from scorer.base.errors import InputError, ScorerError
from scorer.base.signals import Interrupted, defer, held
from scorer.report.summary import Summary
from scorer.run.fingerprint import REJECTS, differences
from scorer.run.journal import Entry, Header, Journal, Part
from scorer.storage.atomic import FileDestination
from scorer.storage.output import Destination, destination


class Input(Protocol):
    """The part of `scorer.rows.reader.Reader` that is needed to go on after an interruption."""

    @property
    def input_hash(self) -> str: ...

    def skip(self, rows: int) -> bool: ...

    def rewind(self) -> None: ...

    def peek(self) -> None: ...


class Work:
    """Output, rejects, and the journal that lets the same command go on with them.

    A context: entering it locks the files and finds what an earlier run left, or raises `ScorerError` where another run
    writes to them or a folder cannot be written. Leaving it without `publish` keeps what is durable, if there is
    anything, and throws the rest away.

    Args:
        output: where scored rows go.
        rejects: where rejects go; the same.
        repeatable: whether the input can be read again; with stdin nothing is kept.
        work_dir: where work on objects of a store is kept, as for `scorer.storage.output.destination`.
    """

    def __init__(
        self, output: Destination, rejects: Destination, *, repeatable: bool, work_dir: str | None = None
    ) -> None:
        self._work_dir = work_dir
        self.output = output
        self.rejects = rejects
        self._repeatable = repeatable
        self._every = 1
        self._before = 0
        self._command = "the same command"
        self._reserved = False
        self._begun = False  # this run went on with what was there, or started over
        self._synced = False  # the names of the files are durable
        self._published = False
        self._journal: Journal | None = None

    def begin(
        self,
        header: Header,
        reader: Input,
        every: int,
        *,
        restart: bool,
        tell: Callable[[str], None],
        before: int = 0,
    ) -> Summary:
        """Go on where the run of the same header was interrupted, or start over.

        Args:
            header: which run this is.
            reader: of the input; read as far as the returned summary says.
            every: records of a durable window.
            restart: start over in any case.
            tell: how people are told what was decided.
            before: rows of the input before the first one of this run; of a shard.

        Raises:
            InputError: the input's files look untouched, but what was done is not what they begin with.
            UsageError: the input has not the columns that are needed.
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
                tell(f"Resuming at row {before + entry.summary.counts.rows_in + 1:,}: the rows before it are done.")
                return entry.summary.copy()
            reader.rewind()
        elif self._journal is not None and self._journal.foreign:
            reason = "another version of this program left it"
        reader.peek()  # a command that cannot work must not cost what is there
        if reason is not None:
            tell(f"Not resuming the interrupted run: {reason}. Starting over.")
        self._start(header)
        return Summary()

    def commit(self, summary: Summary, *, complete: bool = False) -> None:
        """Make durable what was written, if a window is full: the output, then the rejects, then that it is so."""
        if (
            self._journal is None
            or not self._repeatable
            or ((self._before + summary.counts.rows_in) % self._every and not complete)
        ):
            return
        last = self._journal.last
        self.output.sync()
        if last is None or self.rejects.length != last.rejects.length:
            self.rejects.sync()
        if not self._synced:
            files = [place for place in (self.output, self.rejects) if isinstance(place, FileDestination)]
            for place in {file.place.work.parent: file for file in files}.values():
                place.sync_name()
            self._synced = True
        self._journal.append(Entry(summary.copy(), _part(self.output), _part(self.rejects), complete))

    def publish(self, summary: Summary) -> None:
        """Make everything final: the rejects, the output, which is the commit point, and no journal any more."""
        defer()
        self.commit(summary, complete=True)
        if summary.counts.rows_rejected:
            self.rejects.publish()
        else:
            self.rejects.publish_nothing()
        self.output.publish()
        self._published = True

    def publish_rejects(self) -> None:
        """The rejects so far, and nothing else; the run can be gone on with when its limits or its input are mended."""
        defer()
        self.rejects.publish_copy()

    def _interrupted(self) -> Entry | None:
        """How far an earlier run had come, if it was not done. One that was killed after the commit point was."""
        last = self._journal.last if self._journal is not None else None
        if last is None or not last.summary.counts.rows_scored:  # there is nothing to lose
            return None
        done = last.complete and isinstance(self.output, FileDestination) and self.output.is_new()
        return None if done else last

    def _resume(self, entry: Entry, header: Header, reader: Input) -> str | None:
        """Take up an earlier run's files and read the input again as far as it came; or why that cannot be."""
        assert self._journal is not None
        assert self._journal.header is not None
        changed = differences(self._journal.header.fingerprint, header.fingerprint)
        if changed:
            return "; ".join(changed)
        if not self._repeatable:
            return "the input is a stream now"
        if not self.output.resume(*entry.output):
            return "its output is gone or has changed"
        if entry.complete:
            self.rejects.take_back(*entry.rejects)
        if not self.rejects.resume(*entry.rejects):
            return "its rejects are gone or have changed"
        if not reader.skip(entry.summary.counts.rows_in):
            return "it did more rows than there are now"
        if reader.input_hash == entry.summary.input_hash:
            return None
        if header.inputs == self._journal.header.inputs:
            raise InputError(
                f"the input is not what it was: its first {entry.summary.counts.rows_in:,} rows are done, and they have changed "
                "although the files' sizes and times have not. Nothing was published; use --restart to score it anew."
            )
        return "the input has changed"

    def _start(self, header: Header) -> None:
        """Give up whatever is there, and begin with nothing."""
        self._begun = True
        if self._journal is not None:
            self._discard_rejects_elsewhere(self._journal, header)
            self._journal.begin(header)
        self.output.begin()
        self.rejects.begin()

    def _discard_rejects_elsewhere(self, journal: Journal, header: Header) -> None:
        """The rejects of an earlier run with another --rejects are needed no more, if they are still that run's."""
        if journal.header is None or journal.last is None:
            return
        place = journal.header.fingerprint.get(REJECTS)
        if place is None or place == header.fingerprint.get(REJECTS):
            return
        with contextlib.suppress(ScorerError):  # it is nobody's, or another run's
            left = destination(place, work_dir=self._work_dir)
            left.reserve()
            left.discard() if left.resume(*journal.last.rejects) else left.close()

    def __enter__(self) -> Self:
        try:
            with held():
                if isinstance(self.output, FileDestination):
                    self._journal = Journal(self.output.place)
                self.output.reserve()
                self.rejects.reserve()
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
        for place in (self.output, self.rejects):
            with contextlib.suppress(OSError):
                place.close() if keep else place.discard()
        if self._journal is not None:
            with contextlib.suppress(OSError):
                self._journal.close(keep=keep)

    def _kept(self) -> Entry | None:
        """What the next run will find; the file knows, also where an interrupt came right after it was written."""
        if self._journal is None or not self._reserved:  # nothing was looked at, so nothing can be said
            return None
        with contextlib.suppress(ScorerError):
            self._journal.read()
        return self._interrupted()

    def _advice(self, kept: Entry | None, error: BaseException) -> str | None:
        """How to go on; None where that has nothing to do with the rows."""
        if kept is not None and self._begun:
            rows = f"{kept.summary.counts.rows_in:,} rows are done and kept"
            resumes = f"{self._command} resumes at row {self._before + kept.summary.counts.rows_in + 1:,}."
            # Whether the input still begins with them, or will when it is mended, the next run finds out.
            return (
                f"{rows}; if the input still begins with them, {resumes}"
                if isinstance(error, InputError)
                else f"{rows}: {resumes}"
            )
        if not isinstance(error, Interrupted):
            return None
        if kept is not None:
            return "Nothing was published; what an earlier run left is as it was."
        if not isinstance(self.output, FileDestination):
            return "The output stream is not complete, and a stream cannot be resumed."
        if not self._repeatable:
            return "Nothing was published. Input from a stream cannot be read again, so this run cannot be resumed."
        return "Nothing was published, and no row is done yet."


def _part(place: Destination) -> Part:
    return Part(place.length, place.digest)
