"""Destinations of output: files that appear complete or not at all, and streams."""

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
    """Destination of bytes; a stream supports only some of these operations.

    Attributes:
        length: bytes written to a file so far; 0 for a stream.
        published: number of bytes published, and their sha256 in hexadecimal; None before.
    """

    length: int
    published: tuple[int, str] | None

    @property
    def digest(self) -> str:
        """The sha256 of the bytes written so far, in hexadecimal; empty for a stream."""
        ...

    def reserve(self) -> None:
        """Lock it against other runs, if possible."""
        ...

    def begin(self) -> None:
        """Prepare for `write` from the beginning."""
        ...

    def resume(self, length: int, digest: str) -> bool:
        """Prepare for `write` behind the bytes of an earlier run; return False if they are missing."""
        ...

    def undo_publish(self, length: int, digest: str) -> None:
        """Undo the `publish` of an earlier run, if possible."""
        ...

    def write(self, data: bytes) -> None: ...

    def sync(self) -> None:
        """Make the bytes written durable, if possible."""
        ...

    def publish(self) -> None:
        """Publish the bytes written."""
        ...

    def publish_nothing(self) -> None:
        """Discard the bytes written, and remove an earlier run's output, if possible."""
        ...

    def publish_copy(self) -> None:
        """Publish the bytes written so far, so that writing can continue."""
        ...

    def discard(self) -> None:
        """Discard the bytes that are not published, if possible, and release the destination."""
        ...

    def close(self) -> None:
        """Release the destination as it is."""
        ...


class StreamDestination:
    """Stream such as stdout, a FIFO or /dev/null: bytes are sent at once, so there is no rename and nothing to publish.

    Args:
        stream: stream to write to.
        close: True to close the stream in the end.
        name: name for messages; None for standard streams, whose reader may stop reading early without an error.
        convert: as for `FileDestination`; the bytes written then wait for `publish` in an unnamed temporary file.
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

    def undo_publish(self, length: int, digest: str) -> None:
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
            # An unbuffered stream (a FIFO here, stdout under PYTHONUNBUFFERED) may take only some of the bytes.
            while rest:
                rest = rest[self._write_some(rest) :]
            self._stream.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self._name is None:
                raise ReaderGone("the reader of stdout has closed it") from error
            raise ScorerError(f"{self._name or 'the output stream'} cannot be written: {error.strerror}.") from error

    def _write_some(self, data: memoryview) -> int:
        try:
            written = self._stream.write(data)
        except BlockingIOError as error:  # a buffered stream on a non-blocking pipe
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
    """Compressing writer to a destination; each piece is compressed on its own, so that a file can be cut between two.

    Attributes:
        place: destination of the compressed bytes.
        compression: ``gz``, ``zst`` or None.
    """

    place: Destination
    compression: str | None

    def write(self, data: bytes) -> None:
        self.place.write(compress(data, self.compression))


def destination(path: str, convert: Convert | None = None, *, work_dir: str | None = None) -> Destination:
    """Make the destination for a name: stdout for ``-``, a stream if it is not a regular file, an object or a file.

    Args:
        path: name of the output.
        convert: as for `FileDestination`.
        work_dir: folder for work in progress on an object; see `scorer.storage.upload.work_folder`.
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
        stream.flush()  # keeps earlier output before this one
    name = None if found.number in (1, 2) else path
    return StreamDestination(found.open(), close=True, name=name, convert=convert)


def place_of(path: str, work_dir: str | None = None) -> Place:
    """Return the target that files of a path or an address are published to.

    Args:
        path, work_dir: as for `destination`.
    """
    if not is_address(path):
        return LocalPlace(path)
    from scorer.storage.upload import ObjectPlace, work_folder  # slow to import

    return ObjectPlace(path, work_folder(work_dir))


def publish_text(path: str, text: str, work_dir: str | None = None) -> None:
    """Publish a text as UTF-8; see `publish_bytes`."""
    publish_bytes(path, text.encode(), work_dir)


def publish_bytes(path: str, data: bytes, work_dir: str | None = None) -> None:
    """Publish bytes as a file or an object, in one step, or write them to a stream.

    Raises:
        ScorerError: they cannot be written.
    """
    publish_whole(destination(path, work_dir=work_dir), data)


def publish_whole(out: Destination, data: bytes) -> None:
    """Publish bytes in one step, or write them to a stream; as `publish_bytes`, to a destination."""
    try:
        out.reserve()
        out.begin()
        out.write(data)
        out.publish()
    except ScorerError:
        out.discard()
        raise


def publish_or_remove(out: Destination, data: bytes) -> None:
    """Publish bytes in one step, or without any remove what an earlier run published."""
    if data:
        publish_whole(out, data)
    else:
        out.reserve()
        out.publish_nothing()


def is_stream(path: str) -> bool:
    """Return whether an output cannot be replaced as a whole: stdout, an open descriptor, /dev/null, a FIFO."""
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
    """Return a key that all names of one output share: the path without links, the address or the descriptor's path."""
    if is_address(path):
        return path
    found = descriptor_of(path)
    if found is None:
        return os.path.realpath(path)
    # Without this process's number, by which a resumed run would not be recognized.
    return found.path if found.number is None else f"/dev/fd/{found.number}"


def lies_in(place: str, folder: str) -> bool:
    """Return whether an output is a folder or lies within it, with all links resolved."""
    return f"{same_place(place).rstrip('/')}/".startswith(f"{same_place(folder).rstrip('/')}/")


def check_place(path: str, inputs: list[str], option: str) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Args:
        path: name of the output.
        inputs: names of the inputs.
        option: option that gives the output, for messages.

    Raises:
        UsageError: it is a folder, a mount point, or an input through any link, or its own folder is missing.
        ScorerError: its folder is not writable.
    """
    # The shell may have redirected stdin and stdout from or to a file.
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
    except OSError as error:  # a name that is too long, or a folder that may not be read
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
        raise UsageError(f"the folder {place.parent} of {option} {path} does not exist; create it first.")
    if is_work(place):
        raise UsageError(f"{option} {path} is a name reserved for work in progress; choose another.")
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
