"""The one place that renames files: output appears complete, or not at all."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scorer.errors import ScorerError
from scorer.lock import hold, let_go


def sibling(place: Path, kind: str) -> Path:
    """The name of work in progress beside its place: the same folder, so that it can be moved there.

    >>> sibling(Path("/data/out.csv"), "partial")
    PosixPath('/data/.out.csv.score-partial')
    """
    return place.with_name(f".{place.name}.score-{kind}")


class FileDestination:
    """A regular file, written beside its place under another name and moved there when it is complete.

    The file in progress is locked, has mode 0600, and outlives the process unless it is published or discarded.

    Args:
        path: the place; a symlink's target is what gets replaced.

    Attributes:
        place: where it will be.
        length: bytes written so far.
    """

    def __init__(self, path: Path) -> None:
        self.place = Path(os.path.realpath(path))
        self.length = 0
        self._partial = sibling(self.place, "partial")
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Begin with nothing, whatever an earlier run left.

        Raises:
            ScorerError: the folder or the file cannot be written, or another run writes it.
        """
        self._begin(0)

    def is_begun(self) -> bool:
        """Whether an earlier run left this file in progress."""
        return self._partial.is_file()

    def resume(self, length: int) -> bool:
        """Go on after the first ``length`` bytes that an earlier run wrote; False where they are not there."""
        try:
            if length and not (self.is_begun() and self._partial.stat().st_size >= length):
                return False
        except OSError as error:
            raise cannot_be_written(self.place, error) from error
        self._begin(length)
        return True

    def take_back(self, length: int) -> None:
        """Undo `publish` for a run that was killed right after it, if that is what is there."""
        try:
            if not self._partial.exists() and self.place.is_file() and self.place.stat().st_size == length:
                os.replace(self.place, self._partial)
        except OSError as error:
            raise cannot_be_written(self.place, error) from error

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                written = os.write(self._held(), rest)
                self.length += written
                rest = rest[written:]
        except OSError as error:
            raise cannot_be_written(self.place, error) from error

    def sync(self) -> None:
        """Make durable what was written. After an error nobody can say what is, so it must not be tried again."""
        try:
            os.fsync(self._held())
        except OSError as error:
            raise cannot_be_written(self.place, error) from error

    def publish(self) -> None:
        """Make the file durable, then visible: fsync, rename, fsync of the folder."""
        try:
            os.fchmod(self._held(), _mode(self.place))
            os.fsync(self._held())
            os.replace(self._partial, self.place)
            sync_folder(self.place.parent)
        except OSError as error:
            raise cannot_be_written(self.place, error) from error
        self.close()

    def discard(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                self._partial.unlink()
            self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            let_go(descriptor)

    def _begin(self, length: int) -> None:
        if self._descriptor is None:
            self._descriptor = hold(self._partial, self.place)
        try:
            os.ftruncate(self._descriptor, length)
            os.fchmod(self._descriptor, 0o600)
            os.lseek(self._descriptor, length, os.SEEK_SET)
        except OSError as error:
            raise cannot_be_written(self.place, error) from error
        self.length = length

    def _held(self) -> int:
        assert self._descriptor is not None, "a file is begun first, and published or discarded once"
        return self._descriptor


def remove(place: Path) -> None:
    """Take a stale file away for good, so that it is not mistaken for this run's."""
    try:
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
            sync_folder(place.parent)
    except OSError as error:
        raise cannot_be_written(place, error) from error


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
        raise cannot_be_written(place, error) from error


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
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such operation
            raise
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


def cannot_be_written(path: Path, error: OSError) -> ScorerError:
    return ScorerError(f"{path} cannot be written: {error.strerror or error}.")
