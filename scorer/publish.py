"""The one place that renames files: output appears complete, or not at all."""

import contextlib
import os
import select
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from scorer.errors import ReaderGone, ScorerError, UsageError

STDOUT = "-"


class Destination(Protocol):
    """Where bytes go. Nothing is final before `publish`; leaving the ``with`` block without it discards a file."""

    def write(self, data: bytes) -> None: ...

    def publish(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class FileDestination:
    """A regular file, written beside its place under another name and moved there when it is complete.

    Args:
        path: the place; a symlink's target is what gets replaced.

    Raises:
        ScorerError: the folder or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", suffix=".partial", dir=self._path.parent)
        except OSError as error:
            raise _failed(self._path, error) from error
        self._file: BinaryIO = os.fdopen(descriptor, "wb")
        self._partial: Path | None = Path(name)

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _failed(self._path, error) from error

    def publish(self) -> None:
        """Make the file durable, then visible: write, fsync, rename, fsync of the folder."""
        assert self._partial is not None, "a file is published once"
        try:
            self._file.flush()
            os.fchmod(self._file.fileno(), _mode(self._path))
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._partial, self._path)
            self._partial = None
            sync_folder(self._path.parent)
        except OSError as error:
            raise _failed(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if self._partial is not None:
            with contextlib.suppress(FileNotFoundError):
                self._partial.unlink()


class StreamDestination:
    """stdout, a FIFO, /dev/null: what is written is gone at once, so there is nothing to publish and no rename."""

    def __init__(self, stream: BinaryIO, *, close: bool) -> None:
        self._stream = stream
        self._close = close

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            # An unbuffered stream (a FIFO here, stdout under PYTHONUNBUFFERED) may take a part only, and says so.
            while rest:
                rest = rest[self._write_some(rest) :]
            self._stream.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error
        except OSError as error:
            raise ScorerError(f"the output stream cannot be written: {error.strerror}.") from error

    def _write_some(self, data: memoryview) -> int:
        try:
            written = self._stream.write(data)
        except BlockingIOError as error:  # a buffered stream on a pipe that somebody made non-blocking
            written = error.characters_written
        if not written:
            select.select([], [self._stream], [])
        return written or 0

    def publish(self) -> None:
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._close:
            self._stream.close()


def destination(path: str) -> Destination:
    """Where output of this name goes: stdout for ``-``, a stream for what is no regular file, else a file."""
    if path == STDOUT:
        if sys.stdout is None:
            raise ScorerError("stdout is closed; name an output file with --output.")
        return StreamDestination(sys.stdout.buffer, close=False)
    if is_stream(path):
        try:
            return StreamDestination(open(path, "wb", buffering=0), close=True)
        except OSError as error:
            raise _failed(Path(path), error) from error
    return FileDestination(Path(path))


def is_stream(path: str) -> bool:
    """Whether output of this name cannot be replaced as a whole: stdout, /dev/null, a FIFO."""
    if path == STDOUT:
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _failed(Path(path), error) from error


def check_place(path: str, inputs: list[str], option: str) -> None:
    """Refuse a place that cannot take output, before any work is done.

    Raises:
        UsageError: its folder is missing, it is a folder, or it is one of the inputs (through whatever link).
        ScorerError: its folder is not writable.
    """
    if path == STDOUT:
        return
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise UsageError(
            f"{option} {path} is a folder; give a file in it, for instance {os.path.join(path, 'out.csv')}."
        )
    if not place.parent.is_dir():
        raise UsageError(f"the folder {place.parent} of {option} {path} is not there; create it first.")
    if place.exists() and any(
        os.path.exists(name) and os.path.samefile(place, name) for name in inputs if name != STDOUT
    ):
        raise UsageError(f"{option} {path} is an input too; write to another file.")
    if not is_stream(path) and not os.access(place.parent, os.W_OK | os.X_OK):
        raise ScorerError(f"the folder {place.parent} of {option} {path} is not writable.")


def remove(path: str) -> None:
    """Take a stale file away, so that it is not mistaken for this run's."""
    if not is_stream(path):
        target = Path(os.path.realpath(path))
        try:
            with contextlib.suppress(FileNotFoundError):
                target.unlink()
                sync_folder(target.parent)
        except OSError as error:
            raise _failed(Path(path), error) from error


def publish_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files beside its place and move it there when it is complete and durable.

    A folder that is there is moved aside first and removed afterwards; should the move fail, it is put back.

    Raises:
        ScorerError: something cannot be written.
    """
    place = Path(os.path.realpath(folder))
    try:
        partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent))
        try:
            for name, data in files.items():
                with open(partial / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(partial)
            partial.chmod(0o777 & ~_umask())
            _exchange(partial, place)
            sync_folder(place.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise _failed(place, error) from error


def _exchange(partial: Path, place: Path) -> None:
    """Move a folder to its place; one that is there ends up, to be removed, where the new one was."""
    if not place.exists():
        os.rename(partial, place)
        return
    aside = partial.with_suffix(".old")
    os.rename(place, aside)
    try:
        os.rename(partial, place)
    except BaseException:  # an interrupt, too, must not leave the place empty
        os.rename(aside, place)
        raise
    os.rename(aside, partial)


def sync_folder(folder: Path) -> None:
    """Make a rename durable: it is the folder's content that changed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, or what a new file of this user gets."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _failed(path: Path, error: OSError) -> ScorerError:
    return ScorerError(f"{path} cannot be written: {error.strerror or error}.")
