"""A run's files from its first byte to its publication: what is durable is kept, whatever happens."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from scorer.destination import Destination
from scorer.errors import InputError, ScorerError
from scorer.fingerprint import differences
from scorer.journal import Entry, Header, Journal
from scorer.publish import FileDestination, remove
from scorer.signals import Interrupted, defer
from scorer.summary import Summary


class Input(Protocol):
    """The part of `scorer.rows.read.Reader` that is needed to go on after an interruption."""

    @property
    def input_hash(self) -> str: ...

    def skip(self, rows: int) -> bool: ...

    def rewind(self) -> None: ...


class Work:
    """Output, rejects, and the journal that lets the same command go on with them.

    A context: leaving it without `publish` keeps what is durable, if there is anything, and throws the rest away.

    Args:
        output: where scored rows go. A file is locked from now on.
        rejects: where rejects go.
        repeatable: whether the input can be read again; with stdin nothing is kept.

    Raises:
        ScorerError: another run writes the output, or its folder cannot be written.
    """

    def __init__(self, output: Destination, rejects: Destination, *, repeatable: bool) -> None:
        self.output = output
        self.rejects = rejects
        self._repeatable = repeatable
        self._journal = Journal(output.place) if isinstance(output, FileDestination) else None
        self._every = 1
        self._begun = False
        self._published = False

    def begin(
        self, header: Header, reader: Input, every: int, *, restart: bool, tell: Callable[[str], None]
    ) -> Summary:
        """Go on where the run of the same header was interrupted, or start over.

        Args:
            header: which run this is.
            reader: of the input; read as far as the returned summary says.
            every: records of a durable window.
            restart: start over in any case.
            tell: how people are told what was decided.

        Raises:
            InputError: the input's files look untouched, but what was done is not what they begin with.
            ScorerError: a file cannot be written.
        """
        self._every = every
        entry = None if restart else self._interrupted()
        self._begun = True
        if entry is not None:
            reason = self._resume(entry, header, reader)
            if reason is None:
                tell(f"Resuming at row {entry.summary.rows_in + 1:,}: the rows before it are done.")
                return entry.summary.copy()
            tell(reason)
            reader.rewind()
        if self._journal is not None:
            self._journal.begin(header)
        self.output.begin()
        self.rejects.begin()
        return Summary()

    def commit(self, summary: Summary, *, complete: bool = False) -> None:
        """Make durable what was written, if a window is full: the output, then the rejects, then that it is so."""
        if self._journal is None or not self._repeatable:
            return
        last = self._journal.last
        if not complete and summary.rows_in - (last.summary.rows_in if last else 0) < self._every:
            return
        self.output.sync()
        if self.rejects.length != (last.rejects if last else 0):
            self.rejects.sync()
        self._journal.append(Entry(summary.copy(), self.output.length, self.rejects.length, complete))

    def publish(self, summary: Summary) -> None:
        """Make everything final: the rejects, the output, which is the commit point, and no journal any more."""
        defer()
        self.commit(summary, complete=True)
        if summary.rows_rejected:
            self.rejects.publish()
        else:
            self.rejects.discard()
            if isinstance(self.rejects, FileDestination):
                remove(self.rejects.place)
        self.output.publish()
        self._published = True

    def publish_rejects(self) -> None:
        """The rejects only: too many for the output to be published, or to be gone on with."""
        defer()
        if self._journal is not None:
            self._journal.clear()
        self.rejects.publish()

    def _interrupted(self) -> Entry | None:
        """How far an earlier run had come, if it was not done. One that was killed after the commit point was."""
        last = self._journal.last if self._journal is not None else None
        if last is None or (last.complete and isinstance(self.output, FileDestination) and not self.output.is_begun()):
            return None
        return last

    def _resume(self, entry: Entry, header: Header, reader: Input) -> str | None:
        """Take up an earlier run's files and read the input again as far as it came; or why that cannot be."""
        assert self._journal is not None
        assert self._journal.header is not None
        changed = differences(self._journal.header.fingerprint, header.fingerprint)
        if changed:
            return f"Not resuming the interrupted run: {'; '.join(changed)}. Starting over."
        if not self._repeatable:
            return "Not resuming the interrupted run: the input is a stream now. Starting over."
        if not self._take_up(self.output, entry.output):
            return "Not resuming the interrupted run: its output is gone. Starting over."
        if entry.complete and isinstance(self.rejects, FileDestination):
            self.rejects.take_back(entry.rejects)
        if not self._take_up(self.rejects, entry.rejects):
            return "Not resuming the interrupted run: its rejects are gone. Starting over."
        if not reader.skip(entry.summary.rows_in):
            return "Not resuming the interrupted run: it did more rows than there are now. Starting over."
        if reader.input_hash == entry.summary.input_hash:
            return None
        if header.inputs == self._journal.header.inputs:
            raise InputError(
                f"the input is not what it was: its first {entry.summary.rows_in:,} rows are done, and they have changed "
                "although the files' sizes and times have not. Nothing was published; use --restart to score it anew."
            )
        return "Not resuming the interrupted run: the input has changed. Starting over."

    @staticmethod
    def _take_up(place: Destination, length: int) -> bool:
        if isinstance(place, FileDestination):
            return place.resume(length)
        place.begin()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kept = None if self._published else self._kept()
        with contextlib.suppress(OSError):
            for place in (self.output, self.rejects):
                place.close() if kept else place.discard()
            if self._journal is not None:
                self._journal.close(keep=kept is not None)
        # A command that never came to begin says nothing of what another one left.
        if error is not None and ((kept is not None and self._begun) or isinstance(error, Interrupted)):
            error.add_note(self._advice(kept))

    def _kept(self) -> Entry | None:
        """What the next run will find; the file knows, also where an interrupt came right after it was written."""
        if self._journal is not None:
            with contextlib.suppress(ScorerError):
                self._journal.read()
        return self._journal.last if self._journal is not None else None

    def _advice(self, kept: Entry | None) -> str:
        if kept is not None:
            rows = kept.summary.rows_in
            return f"{rows:,} rows are done and kept: the same command resumes at row {rows + 1:,}."
        if self._journal is None:
            return "The output stream is not complete, and a stream cannot be resumed."
        if not self._repeatable:
            return "Nothing was published. Input from a stream cannot be read again, so this run cannot be resumed."
        return "Nothing was published, and no row is done yet."
