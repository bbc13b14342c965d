"""Atomic publication of files, and the only renames: output appears complete or not at all."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from scorer.base.errors import ScorerError
from scorer.base.messages import print_message
from scorer.storage.digest import Content
from scorer.storage.lock import hold, release
from scorer.storage.names import derived_name

WORK = ("partial", "journal", "copy")
"""Kinds of work in progress."""

_PIECE = 1 << 20
_PARTIAL = ".partial"
_RANDOM_CHARACTERS = 8  # of a name that tempfile makes
_NO_MODES = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_without_modes: set[Path] = set()

Convert = Callable[[IO[bytes], Callable[[bytes], None]], None]
"""Function that reads one file and writes another."""


def sibling(place: Path, kind: str) -> Path:
    """Return the path of work in progress on an output file: in the same folder, so that a rename can publish it.

    >>> sibling(Path("/data/out.csv"), "partial")
    PosixPath('/data/.out.csv.score-partial')
    """
    return place.with_name(derived_name(place.name, prefix=".", suffix=f".score-{kind}"))


def is_work(path: Path) -> bool:
    """Return whether a name is one that `sibling` gives."""
    return path.name.startswith(".") and path.name.endswith(tuple(f".score-{kind}" for kind in WORK))


class Place(Protocol):
    """Target of a complete file: a path or an object.

    Attributes:
        name: name for messages.
        work: path beside which work in progress is kept.
    """

    name: str
    work: Path

    def put(self, descriptor: int, path: Path) -> None:
        """Make a complete file durable, then visible.

        Args:
            descriptor: descriptor of the file.
            path: path of the file, which names nothing afterwards.
        """
        ...

    def remove(self) -> None:
        """Remove the published file, if it exists."""
        ...

    def opened(self) -> AbstractContextManager[BinaryIO | None]:
        """Open the published file; None if it is missing."""
        ...


class LocalPlace:
    """Regular file, whose work in progress is in the same folder, so that a rename can publish it.

    Args:
        path: path of the file; of a symbolic link, the target is replaced.
    """

    def __init__(self, path: str | Path) -> None:
        self.work = Path(os.path.realpath(path))
        self.name = str(self.work)

    def put(self, descriptor: int, path: Path) -> None:
        """Sync the file, rename it, and sync its folder."""
        _set_mode(descriptor, _mode(self.work), self.work.parent)
        os.fsync(descriptor)
        os.replace(path, self.work)
        sync_folder(self.work.parent)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.work.unlink()
            sync_folder(self.work.parent)

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO | None]:
        if not self.work.is_file():
            yield None
            return
        with open(self.work, "rb") as file:
            yield file


class FileDestination:
    """Output file that appears when it is complete: a file in progress that is then moved or uploaded.

    The file in progress is locked, has mode 0600, and outlives the process unless it is published or discarded.

    Args:
        place: target of the complete file.
        convert: function that makes the published bytes, for formats that cannot grow; None if they are those written.
            Its arguments are the file in progress and a function that takes bytes.

    Attributes:
        place: target of the complete file.
        length: bytes written so far, including those of a run that was resumed.
        published: number of bytes published, and their sha256 in hexadecimal; None before.
    """

    def __init__(self, place: Place, convert: Convert | None = None) -> None:
        self.published: tuple[int, str] | None = None
        self._convert = convert
        self.place = place
        self.length = 0
        self._partial = sibling(place.work, "partial")
        self._hash = hashlib.sha256()
        self._descriptor: int | None = None
        self._begun = False

    @property
    def digest(self) -> str:
        """The sha256 of the bytes written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def reserve(self) -> None:
        """Lock the file in progress against other runs, without changing its content.

        Raises:
            ScorerError: the folder or the file cannot be written.
            Busy: another run is writing it.
        """
        self._descriptor = hold(self._partial, self.place.name)

    def is_new(self) -> bool:
        """Return whether the reserved file is empty."""
        with self._writing():
            return os.fstat(self._held()).st_size == 0

    def begin(self) -> None:
        """Begin with an empty file, whatever an earlier run left."""
        self._cut(0, hashlib.sha256())

    def resume(self, length: int, digest: str) -> bool:
        """Resume behind the first ``length`` bytes of an earlier run; return False if the file lacks them."""
        found = self._hash_of(self._held(), length)
        if found is None or found.hexdigest() != digest:
            return False
        self._cut(length, found)
        return True

    def undo_publish(self, length: int, digest: str) -> None:
        """Undo the `publish` of a run that was killed right after it, by copying the published file back.

        Nothing is copied unless the published file has this length and this sha256.
        """
        if not self.is_new():
            return
        with self._writing(), self.place.opened() as published:
            if published is None:
                return
            self.begin()
            while self.length <= length and (piece := published.read(_PIECE)):
                self.write(piece)
        if (self.length, self.digest) != (length, digest):
            self._cut(0, hashlib.sha256())

    def write(self, data: bytes) -> None:
        with self._writing():
            write_all(self._held(), data)
        self.length += len(data)
        self._hash.update(data)

    def sync(self) -> None:
        """Make the bytes written durable. Never retry after an error: which of them are durable is then unknown."""
        with self._writing():
            os.fsync(self._held())

    def sync_name(self) -> None:
        """Make the name of the file in progress durable."""
        with self._writing():
            sync_folder(self.place.work.parent)

    def publish(self) -> None:
        """Make the file final."""
        if self._convert is not None:
            with self._writing():
                self.published = self._publish_converted(self._convert)
            self.discard()
            return
        with self._writing():
            self.place.put(self._held(), self._partial)
        self.published = (self.length, self.digest)
        self.close()

    def _publish_converted(self, convert: Convert) -> tuple[int, str]:
        """Publish the converted file; the file in progress is kept until then, so that the next run can resume."""
        published = Content()
        with self._beside() as (copy, path), open(os.dup(self._held()), "rb") as written:
            written.seek(0)

            def write(data: bytes) -> None:
                write_all(copy, data)
                published.update(data)

            convert(written, write)
            self.place.put(copy, path)
        return published.count, published.digest

    def publish_nothing(self) -> None:
        """Discard the file in progress, and remove an earlier run's output, which could be mistaken for this run's."""
        self.discard()
        with self._writing():
            self.place.remove()

    def publish_copy(self) -> None:
        """Publish a copy, so that writing can continue."""
        with self._writing(), self._beside() as (copy, path):
            for at in range(0, self.length, _PIECE):
                write_all(copy, os.pread(self._held(), _PIECE, at))
            self.place.put(copy, path)
        self.published = (self.length, self.digest)

    def discard(self) -> None:
        """Delete the file in progress."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._partial.unlink()
            self.close()

    def close(self) -> None:
        """Release the file in progress as it is; delete one that was reserved and never used."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                if not self._begun and not os.fstat(descriptor).st_size:
                    self._partial.unlink()
            release(descriptor)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[tuple[int, Path]]:
        """Create another file beside the one in progress, to be published instead; remove it after an error."""
        path = sibling(self.place.work, "copy")
        copy = hold(path, self.place.name)
        try:
            os.ftruncate(copy, 0)
            yield copy, path
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        finally:
            release(copy)

    def _cut(self, length: int, running: "hashlib._Hash") -> None:
        with self._writing():
            os.ftruncate(self._held(), length)
            # A failed publication may have set its final mode.
            _set_mode(self._held(), 0o600, self.place.work.parent)
            os.lseek(self._held(), length, os.SEEK_SET)
        self.length, self._hash, self._begun = length, running, True

    def _hash_of(self, descriptor: int, length: int) -> "hashlib._Hash | None":
        """Compute the sha256 of a file's first ``length`` bytes; None if it is shorter."""
        running = hashlib.sha256()
        with self._writing():
            for at in range(0, length, _PIECE):
                piece = os.pread(descriptor, min(_PIECE, length - at), at)
                if len(piece) < min(_PIECE, length - at):
                    return None
                running.update(piece)
        return running

    def _held(self) -> int:
        assert self._descriptor is not None, "a file is reserved first, and published or discarded once"
        return self._descriptor

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_be_written(self.place.name, error) from error


def publish_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files under another name, and rename it when it is complete and durable.

    An existing folder is moved aside first and removed afterwards; if the rename fails, it is moved back.

    Raises:
        ScorerError: a file or the folder cannot be written.
    """
    place = Path(os.path.realpath(folder))
    try:
        partial = Path(tempfile.mkdtemp(prefix=_random_prefix(place), suffix=_PARTIAL, dir=place.parent))
        try:
            for name, data in files.items():
                with open(partial / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(partial)
            _set_mode(partial, 0o777 & ~_umask(), place.parent)
            _exchange(partial, place)
            sync_folder(place.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise cannot_be_written(place, error) from error


def _exchange(partial: Path, place: Path) -> None:
    """Move a folder to its place; an existing one ends up at ``partial``, to be removed."""
    if not place.exists():
        os.rename(partial, place)
        return
    aside = partial.with_suffix(".old")
    os.rename(place, aside)
    try:
        os.rename(partial, place)
    except BaseException:  # even an interrupt must not leave the place empty
        os.rename(aside, place)
        raise
    os.rename(aside, partial)


def publish_copy_of(descriptor: int, path: Path) -> None:
    """Copy an open file, with its mode, under another name; a file of that name is replaced.

    No other descriptor of the file is opened or closed, which would release the process's locks on it.

    Raises:
        OSError: the file cannot be read, or the copy cannot be written.
    """
    copy, partial = tempfile.mkstemp(prefix=_random_prefix(path), suffix=_PARTIAL, dir=path.parent)
    try:
        found = os.fstat(descriptor)
        for at in range(0, found.st_size, _PIECE):
            write_all(copy, os.pread(descriptor, _PIECE, at))
        _set_mode(copy, stat.S_IMODE(found.st_mode), path.parent)
        os.fsync(copy)
        os.replace(partial, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    finally:
        os.close(copy)


def _random_prefix(path: Path) -> str:
    """Return what precedes the random part of a temporary name beside a path."""
    return derived_name(path.name, prefix=".", suffix=".", spare=_RANDOM_CHARACTERS + len(_PARTIAL))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes; the system may take only some of them at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)


def _set_mode(file: int | Path, mode: int, folder: Path) -> None:
    """Set the mode of a file or a folder; warn once a folder if its file system (CIFS, FUSE) has no modes."""
    try:
        os.fchmod(file, mode) if isinstance(file, int) else file.chmod(mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise
        if folder not in _without_modes:
            _without_modes.add(folder)
            print_message(
                f"Warning: {folder} is on a file system that does not support file modes. Its own rules decide who can "
                "read and write the files there, unfinished ones included.",
                "warning",
            )


def _mode(path: Path) -> int:
    """Return the mode of the file to replace, or the mode of a new file of this user."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def cannot_be_written(path: str | Path, error: OSError) -> ScorerError:
    return ScorerError(f"{path} cannot be written: {error.strerror or error}.")
