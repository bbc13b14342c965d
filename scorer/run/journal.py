"""The journal of a run: a file beside its output that records what is durable, so that the same command can resume.

The first line identifies the run; each further line is an `Entry`. A line is the CRC-32 of a JSON object, a space, and
the object. A line with a wrong checksum was being written when the machine went down: it and everything after it are
ignored. The file is locked while the run lives, and is deleted once the run is published.
"""

import contextlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scorer.base.errors import ScorerError
from scorer.report.examples import Examples
from scorer.report.nearest import Nearest
from scorer.report.summary import Summary
from scorer.storage.atomic import Place, sibling, write_all
from scorer.storage.lock import hold, release

_FORM = 8
# Marks a line whose examples differ from those of the line before. Inside a string, its quotes would be escaped.
_EXAMPLES = b'"examples": '
# Marks a line with rows that are now among the nearest ones; they are in no later line.
_NEAREST = b'"nearest": '
# The first line of a journal, or the bytes that a power failure may leave of it.
_OURS = re.compile(rb'[0-9a-f]{8} \{"journal":|\0')


@dataclass(frozen=True)
class Header:
    """Identity of the run that a journal belongs to.

    Attributes:
        fingerprint: values that the output depends on, by their names in messages.
        inputs: size and modification time of each input file, by name.
    """

    fingerprint: Mapping[str, Any]
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """Durable state of a run after some of its records.

    Attributes:
        summary: counts of the records that are done, and the rows of them that are kept.
        output: beginning of the unpublished output that holds their rows.
        beside: beginnings of the unpublished files beside it, by their names in the fingerprint.
        complete: whether these are all the records, so that publishing may have begun.
    """

    summary: Summary
    output: "Part"
    beside: Mapping[str, "Part"]
    complete: bool


class Part(NamedTuple):
    """Beginning of a file: its length in bytes and its sha256, in hexadecimal."""

    length: int
    digest: str


class Journal:
    """Journal of an output file. Creating one takes the lock that keeps other runs away from that output.

    Args:
        place: place of the output.

    Attributes:
        header: header of the run that left this journal, or None.
        last: its last entry, or None if nothing became durable.
        foreign: whether another version of this program left it, in another format.

    Raises:
        ScorerError: another run is writing this output, or the journal cannot be opened or read.
    """

    def __init__(self, place: Place) -> None:
        self._path = sibling(place.work, "journal")
        self._descriptor = hold(self._path, place.name)
        self.header: Header | None = None
        self.last: Entry | None = None
        self.foreign = False
        self._length = 0  # of the lines read or written so far, in bytes
        self._examples, self._nearest = Examples().as_json(), Nearest()  # as of those lines
        try:
            self.read()
            self._cut(self._length)
        except BaseException:
            release(self._descriptor)
            raise

    def read(self) -> None:
        """Read the lines that are new since the last call, up to the first with a wrong checksum."""
        header, last, examples, length = None, None, None, self._length
        nearest: list[bytes] = []
        with self._errors("read"), open(self._descriptor, "rb", closefd=False) as file:
            file.seek(length)
            for line in file:
                if not length and not _OURS.match(line):
                    raise ScorerError(
                        f"{self._path} is not a journal, but the run needs that name for its own; move it away."
                    )
                if not _checks(line):
                    break
                if length:
                    last = line
                    examples = line if _EXAMPLES in line else examples
                    nearest += [line] if _NEAREST in line else []
                else:
                    header = line
                length += len(line)
        self._length = length
        if header is not None:
            content = _parse(header)
            self.foreign = content["journal"] != _FORM
            if self.foreign:
                return
            self.header = Header(content["fingerprint"], content["inputs"])
        if last is not None:
            if examples is not None:
                self._examples = _parse(examples)["examples"]
            for line in nearest:
                self._nearest = self._nearest.merged(Nearest.from_json(_parse(line)["nearest"]))
            content = _parse(last)
            summary = Summary.from_json(content["summary"], Examples.from_json(self._examples), self._nearest.copy())
            beside = {name: Part(*part) for name, part in content["beside"].items()}
            self.last = Entry(summary, Part(*content["output"]), beside, content["complete"])

    def begin(self, header: Header) -> None:
        """Discard the earlier run's entries and write the header of this one."""
        self.header, self.last, self.foreign = header, None, False
        self._examples, self._nearest = Examples().as_json(), Nearest()
        self._cut(0)
        self._append({"journal": _FORM, "fingerprint": header.fingerprint, "inputs": header.inputs})

    def append(self, entry: Entry) -> None:
        """Append an entry and make it durable; the files that it describes must be durable already."""
        parts = {"output": entry.output, "beside": entry.beside}
        examples = entry.summary.examples.as_json()
        # Examples take some kilobytes, and in a long run they hardly ever change.
        changed: dict[str, Any] = {} if examples == self._examples else {"examples": examples}
        nearer = entry.summary.nearest.since(self._nearest)
        if nearer.rows:
            changed["nearest"] = nearer.as_json()
        self._append({"summary": entry.summary.as_json(), **parts, "complete": entry.complete, **changed})
        self.last, self._examples, self._nearest = entry, examples, entry.summary.nearest

    def close(self, *, keep: bool) -> None:
        """Release the output for other runs. Delete the journal unless it is kept and has a header."""
        if not keep or not self._length:
            self._path.unlink(missing_ok=True)
        release(self._descriptor)

    def _append(self, content: dict[str, Any]) -> None:
        line = _format(content)
        try:
            with self._errors("written"):
                write_all(self._descriptor, line)
                os.fsync(self._descriptor)
        except ScorerError:
            # An entry that could not be made durable must not be found by a later run.
            with contextlib.suppress(ScorerError):
                self._cut(self._length)
            raise
        self._length += len(line)

    def _cut(self, length: int) -> None:
        with self._errors("written"):
            os.ftruncate(self._descriptor, length)
            os.lseek(self._descriptor, length, os.SEEK_SET)
        self._length = length

    @contextlib.contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ScorerError(f"{self._path} cannot be {done}: {error.strerror or error}.") from error


def _format(content: dict[str, Any]) -> bytes:
    # The standard library's escapes can represent file names that are not UTF-8.
    line = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(line), line)


def _checks(line: bytes) -> bool:
    """Return whether a line is complete and its checksum is correct.

    >>> _checks(_format({"rows": 7})), _checks(_format({"rows": 7})[:-2]), _checks(b"")
    (True, False, False)
    """
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    return line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(content)


def _parse(line: bytes) -> dict[str, Any]:
    return dict(json.loads(line[9:]))
