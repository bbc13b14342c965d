"""Where output goes: to a file that appears complete or not at all, or into a stream."""

import os
import select
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from scorer.base.errors import ReaderGone, ScorerError, UsageError
from scorer.storage.address import is_address
from scorer.storage.atomic import WORK, Convert, FileDestination, LocalPlace, Place, cannot_be_written, is_work, sibling
from scorer.storage.compression import compress
from scorer.storage.descriptor import descriptor_of
from scorer.storage.digest import Content
from scorer.storage.mounts import refuse_mount_point

STDOUT = "-"
_STDIN = "/dev/stdin"


class Destination(Protocol):
    """Where bytes go.

    Attributes:
        length: bytes of a file written so far; 0 of a stream.
        published: how many bytes were made final, and their sha256, hexadecimal; None before.
    """

    length: int
    published: tuple[int, str] | None

    @property
    def digest(self) -> str:
        """The sha256 of those bytes, hexadecimal; empty of a stream."""
        ...

    def reserve(self) -> None:
        """Keep other runs away from it, where that is possible."""
        ...

    def begin(self) -> None:
        """Make ready for `write`."""
        ...

    def resume(self, length: int, digest: str) -> bool:
        """Make ready for `write` behind what an earlier run wrote; False where that is not there."""
        ...

    def take_back(self, length: int, digest: str) -> None:
        """Undo the `publish` of an earlier run, where that is possible."""
        ...

    def write(self, data: bytes) -> None: ...

    def sync(self) -> None:
        """Make durable what was written, where that is possible."""
        ...

    def publish(self) -> None:
        """Make it final."""
        ...

    def publish_nothing(self) -> None:
        """Make final that there is nothing."""
        ...

    def publish_copy(self) -> None:
        """Make final what is there so far, and stay ready to go on."""
        ...

    def discard(self) -> None:
        """Throw away what is not final, where that is possible, and let go of it."""
        ...

    def close(self) -> None:
        """Let go of it as it is."""
        ...


class StreamDestination:
    """stdout, a FIFO, /dev/null: what is written is gone at once, so there is nothing to publish and no rename.

    Args:
        stream: where to write.
        close: whether to close it in the end.
        name: for messages; None for standard streams, whose reader may leave without being missed.
        convert: as of `FileDestination`; what is written then waits, in a file that nobody else sees, for `publish`.
    """

    def __init__(
        self, stream: BinaryIO, *, close: bool, name: str | None = None, convert: Convert | None = None
    ) -> None:
        self._stream = stream
        self._close = close
        self._name = name
        self._convert = convert
        self._waiting: IO[bytes] | None = None
        self._sent = Content()
        self.published: tuple[int, str] | None = None
        self.length = 0
        self.digest = ""

    def reserve(self) -> None:
        pass

    def begin(self) -> None:
        pass

    def resume(self, length: int, digest: str) -> bool:
        return True

    def take_back(self, length: int, digest: str) -> None:
        pass

    def write(self, data: bytes) -> None:
        if self._convert is None:
            self._send(data)
            return
        try:
            self._waiting = self._waiting or tempfile.TemporaryFile()  # noqa: SIM115 -- closed by close()
            self._waiting.write(data)
            self._waiting.flush()
        except OSError as error:
            raise cannot_be_written(Path(tempfile.gettempdir()), error) from error

    def _send(self, data: bytes) -> None:
        self._sent.update(data)
        rest = memoryview(data)
        try:
            # An unbuffered stream (a FIFO here, stdout under PYTHONUNBUFFERED) may take a part only, and says so.
            while rest:
                rest = rest[self._write_some(rest) :]
            self._stream.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self._name is None:
                raise ReaderGone("whoever read stdout went away") from error
            raise ScorerError(f"{self._name or 'the output stream'} cannot be written: {error.strerror}.") from error

    def _write_some(self, data: memoryview) -> int:
        try:
            written = self._stream.write(data)
        except BlockingIOError as error:  # a buffered stream on a pipe that somebody made non-blocking
            written = error.characters_written
        if not written:
            select.select([], [self._stream], [])
        return written or 0

    def sync(self) -> None:
        pass

    def publish(self) -> None:
        if self._convert is not None and self._waiting is not None:
            self._waiting.seek(0)
            self._convert(self._waiting, self._send)
        self._stream.flush()
        self.published = (self._sent.count, self._sent.digest)

    def publish_nothing(self) -> None:
        self.discard()

    def publish_copy(self) -> None:
        self.publish()

    def discard(self) -> None:
        self.close()

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
        if self._close:
            self._stream.close()


@dataclass(frozen=True)
class Packed:
    """Compresses what is written to a destination, each piece on its own, so that it can be cut between them.

    Attributes:
        place: the destination.
        compression: ``gz``, ``zst`` or None.
    """

    place: Destination
    compression: str | None

    def write(self, data: bytes) -> None:
        self.place.write(compress(data, self.compression))


def destination(path: str, convert: Convert | None = None, *, work_dir: str | None = None) -> Destination:
    """Where output of this name goes: stdout for ``-``, a stream for what is no regular file, an object, else a file.

    Args:
        path: the name.
        convert: as of `FileDestination`.
        work_dir: where work on an object is kept; see `scorer.storage.upload.work_folder`.
    """
    if path == STDOUT:
        if sys.stdout is None:
            raise ScorerError("stdout is closed; name an output file with --output.")
        return StreamDestination(sys.stdout.buffer, close=False, convert=convert)
    if is_stream(path):
        try:
            return _opened_stream(path, convert)
        except OSError as error:
            raise cannot_be_written(Path(path), error) from error
    return FileDestination(place_of(path, work_dir), convert)


def _opened_stream(path: str, convert: Convert | None) -> Destination:
    found = descriptor_of(path)
    if found is None:
        return StreamDestination(open(path, "wb", buffering=0), close=True, name=path, convert=convert)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()  # what was printed before stands before it
    name = None if found.number in (1, 2) else path
    return StreamDestination(found.open(), close=True, name=name, convert=convert)


def place_of(path: str, work_dir: str | None = None) -> Place:
    """A path or an address as where files become final.

    Args:
        path, work_dir: as for `destination`.
    """
    if not is_address(path):
        return LocalPlace(path)
    from scorer.storage.upload import ObjectPlace, work_folder  # what talks to stores takes a moment

    return ObjectPlace(path, work_folder(work_dir))


def publish_text(path: str, text: str, work_dir: str | None = None) -> None:
    """Make a text the content of a place, as UTF-8; see `publish_bytes`."""
    publish_bytes(path, text.encode(), work_dir)


def publish_bytes(path: str, data: bytes, work_dir: str | None = None) -> None:
    """Make bytes the content of a place, all of them at once where that is possible.

    Raises:
        ScorerError: they cannot be written.
    """
    out = destination(path, work_dir=work_dir)
    try:
        out.reserve()
        out.begin()
        out.write(data)
        out.publish()
    except ScorerError:
        out.discard()
        raise


def is_stream(path: str) -> bool:
    """Whether output of this name cannot be replaced as a whole: stdout, an open descriptor, /dev/null, a FIFO."""
    if path == STDOUT:
        return True
    if is_address(path):
        return False
    if descriptor_of(path) is not None:
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise cannot_be_written(Path(path), error) from error


def same_place(path: str) -> str:
    """What all names of one place have in common: the path without links, the address, or the descriptor's path."""
    if is_address(path):
        return path
    found = descriptor_of(path)
    if found is None:
        return os.path.realpath(path)
    # Of this process without its number, by which a run could not be told to be the same one as before.
    return found.path if found.number is None else f"/dev/fd/{found.number}"


def lies_in(place: str, folder: str) -> bool:
    """Whether a place is a folder, or within it, through whatever links."""
    return f"{same_place(place).rstrip('/')}/".startswith(f"{same_place(folder).rstrip('/')}/")


def check_place(path: str, inputs: list[str], option: str) -> None:
    """Refuse a place that cannot take output, before any work is done.

    Raises:
        UsageError: its folder is missing, it is a folder, or it is one of the inputs (through whatever link).
        ScorerError: its folder is not writable.
    """
    # What the shell has redirected is a file as well: the streams' own names are those of their descriptors.
    files = [_STDIN if name == STDOUT else name for name in inputs if not is_address(name)]
    files = [name for name in files if os.path.exists(name)]
    if path == STDOUT:
        _check_no_input(path, "/dev/stdout", files, option)
        return
    if is_address(path):
        from scorer.storage.upload import check_object

        check_object(path, inputs, option)
        return
    found = descriptor_of(path)
    if found is not None:
        found.check(f"{option} {path}")
    try:
        _check_place(path, Path(os.path.realpath(path) if found is None else path), files, option)
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise cannot_be_written(Path(path), error) from error


def _check_no_input(path: str, place: str | Path, inputs: list[str], option: str) -> None:
    for name in inputs:
        if os.path.isfile(place) and os.path.samefile(place, name):
            raise UsageError(f"{option} {path} is an input too; write to another file.")


def _check_place(path: str, place: Path, inputs: list[str], option: str) -> None:
    if place.is_dir():
        raise UsageError(
            f"{option} {path} is a folder; give a file in it, for instance {os.path.join(path, 'out.csv')}."
        )
    if not place.parent.is_dir():
        raise UsageError(f"the folder {place.parent} of {option} {path} is not there; create it first.")
    if is_work(place):
        raise UsageError(f"{option} {path} is a name for work in progress; take another.")
    _check_no_input(path, place, inputs, option)
    for name in inputs:
        if Path(os.path.realpath(name)) in [sibling(place, kind) for kind in WORK]:
            raise UsageError(f"the input {name} is work in progress on {option} {path}; copy it first.")
    if is_stream(path):
        return
    stdout = f", or to stdout: {option} - > {path}" if option == "--output" else ""
    refuse_mount_point(path, option, f"or write to another file{stdout}")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise ScorerError(f"the folder {place.parent} of {option} {path} is not writable.")
    if not os.access(place.parent, os.R_OK):
        raise ScorerError(
            f"the folder {place.parent} of {option} {path} is not readable, so no rename can be made durable."
        )
