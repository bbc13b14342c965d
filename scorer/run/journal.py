"""What of a run is durable, written down beside its output, so that the same command can go on after a crash.

The file begins with a line that says which run it belongs to; each further line is an `Entry`. A line is the CRC-32 of
a JSON object, a space, and the object. A line that does not check was being written when the machine went down: it and
what follows it do not count. The file is locked as long as the run lives, and is gone when the run is published.
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
from scorer.report.summary import Summary
from scorer.storage.atomic import Place, sibling, write_all
from scorer.storage.lock import hold, let_go

_FORM = 4
# In a line whose examples are others than those of the line before. Within a string the quotes would be escaped.
_EXAMPLES = b'"examples": '
# Its first line, or what a power failure may leave of it.
_OURS = re.compile(rb'[0-9a-f]{8} \{"journal":|\0')


@dataclass(frozen=True)
class Header:
    """Which run a journal belongs to.

    Attributes:
        fingerprint: what the output depends on, by the name that messages give it.
        inputs: size and modification time of each input file, by name.
    """

    fingerprint: Mapping[str, Any]
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """What was durable at the end of a window.

    Attributes:
        summary: counts of the records that are done.
        output: the part of the output in progress that belongs to them.
        rejects: the same of the rejects.
        complete: whether these are all records, so that publishing may have begun.
    """

    summary: Summary
    output: "Part"
    rejects: "Part"
    complete: bool


class Part(NamedTuple):
    """The beginning of a file: its length, and its sha256, hexadecimal."""

    length: int
    digest: str


class Journal:
    """The journal of an output file; making one takes the lock that keeps other runs away from that output.

    Args:
        place: where the output will be.

    Attributes:
        header: of the run that left this journal, or None.
        last: its last entry, or None where nothing became durable.
        foreign: whether another version of this program left it, in a form of its own.

    Raises:
        ScorerError: another run writes this output, or the journal cannot be opened or read.
    """

    def __init__(self, place: Place) -> None:
        self._path = sibling(place.work, "journal")
        self._descriptor = hold(self._path, place.name)
        self.header: Header | None = None
        self.last: Entry | None = None
        self.foreign = False
        self._length = 0  # of the lines that are known
        self._examples = Examples().as_json()  # as far as these say
        try:
            self.read()
            self._cut(self._length)
        except BaseException:
            let_go(self._descriptor)
            raise

    def read(self) -> None:
        """Take what the lines say that were not read or written before, as far as they check."""
        header, last, examples, length = None, None, None, self._length
        with self._errors("read"), open(self._descriptor, "rb", closefd=False) as file:
            file.seek(length)
            for line in file:
                if not length and not _OURS.match(line):
                    raise ScorerError(f"{self._path} is needed for a journal, but it is none; move it away.")
                if not _checks(line):
                    break
                if length:
                    last = line
                    examples = line if _EXAMPLES in line else examples
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
            content = _parse(last)
            summary = Summary.from_json(content["summary"], Examples.from_json(self._examples))
            self.last = Entry(summary, Part(*content["output"]), Part(*content["rejects"]), content["complete"])

    def begin(self, header: Header) -> None:
        """Forget the earlier run and write down which one this is."""
        self.header, self.last, self.foreign = header, None, False
        self._examples = Examples().as_json()
        self._cut(0)
        self._append({"journal": _FORM, "fingerprint": header.fingerprint, "inputs": header.inputs})

    def append(self, entry: Entry) -> None:
        """Write an entry down for good; what it speaks of has to be durable before."""
        parts = {"output": entry.output, "rejects": entry.rejects}
        examples = entry.summary.examples.as_json()
        # They are some kilobytes, and of a long run they hardly ever change.
        changed = {} if examples == self._examples else {"examples": examples}
        self._append({"summary": entry.summary.as_json(), **parts, "complete": entry.complete, **changed})
        self.last, self._examples = entry, examples

    def close(self, *, keep: bool) -> None:
        """Let other runs have the output. Only a journal that is kept, and says something, can be gone on with."""
        if not keep or not self._length:
            self._path.unlink(missing_ok=True)
        let_go(self._descriptor)

    def _append(self, content: dict[str, Any]) -> None:
        line = _format(content)
        try:
            with self._errors("written"):
                write_all(self._descriptor, line)
                os.fsync(self._descriptor)
        except ScorerError:
            # What could not be made durable does not count, whoever reads it.
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
    # The standard library's form holds file names that are no UTF-8.
    line = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(line), line)


def _checks(line: bytes) -> bool:
    """Whether a line is whole.

    >>> _checks(_format({"rows": 7})), _checks(_format({"rows": 7})[:-2]), _checks(b"")
    (True, False, False)
    """
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    return line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(content)


def _parse(line: bytes) -> dict[str, Any]:
    return dict(json.loads(line[9:]))
