"""Inputs by name: found, and opened as streams of bytes."""

import glob
import io
import os
import select
import stat
import sys
import tempfile
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from scorer.base.errors import InputError, ScorerError, UsageError
from scorer.base.text import meant
from scorer.storage import object_store
from scorer.storage.address import is_address
from scorer.storage.compression import decompressed
from scorer.storage.digest import Content, DigestingReader
from scorer.storage.hidden import is_hidden

STDIN = "-"

_PIECE = 1 << 17


class Found(NamedTuple):
    """Files of some inputs.

    Attributes:
        files: paths and addresses, in the order of the arguments; of a folder or a glob sorted.
        left_out: files and folders in input folders that are no data, see `scorer.storage.hidden`; a folder, with ``/``
            behind its name, stands for all in it.
    """

    files: list[str]
    left_out: list[str]

    def add(self, other: "Found") -> None:
        """Append what another input has; a shell or a glob may name a hundred thousand files."""
        self.files.extend(other.files)
        self.left_out.extend(other.left_out)


def expand(inputs: Iterable[str]) -> Found:
    """Find the files of paths, globs and folders.

    A literal path wins over a glob, so a file called ``a[1].csv`` can be named. Of a folder all files are taken, those
    of its folders too, but what is hidden.

    Raises:
        UsageError: one is missing or matches nothing; two are the same file; or stdin stands beside other inputs.
    """
    found = Found([], [])
    for name in inputs:
        found.add(_found(name))
    if STDIN in found.files and len(found.files) > 1:
        raise UsageError("stdin (-) can only be the one input; it cannot stand beside other files.")
    seen: dict[Hashable, str] = {}
    for name in filter(is_repeatable, found.files):
        same = identity(name)
        if same in seen:
            what = f"{name} is named twice" if seen[same] == name else f"{seen[same]} and {name} are the same file"
            raise UsageError(f"{what}, so its rows would be scored twice; name it once, or take the link away.")
        seen[same] = name
    return found


def identity(path: str) -> Hashable:
    """Return what all names of one file have in common, symbolic and hard links included; of an address itself."""
    if is_address(path):
        return path
    status = os.stat(path)
    # Numbers of files with one name are left alone: not every network file system has unique ones.
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else os.path.realpath(path)


def found_files(folder: str) -> list[str]:
    """What `expand` would take of a folder; nothing where it is not there.

    Raises:
        ScorerError: it cannot be looked into.
    """
    if is_address(folder):
        return object_store.files_of(folder)[0]
    return _walked(folder).files if os.path.isdir(folder) else []


def _found(name: str) -> Found:
    if is_address(name):
        of_store = Found(*object_store.files_of(name))
        if not of_store.files:
            raise UsageError(f"the input {name} is not there, or a folder without files; check the address.")
        return of_store
    if name == STDIN or os.path.exists(name):
        return _part_files(name) if name != STDIN and os.path.isdir(name) else Found([name], [])
    matches = sorted(filter(os.path.exists, glob.glob(name, recursive=True)))
    if not matches:
        raise UsageError(f"the input {name} is not there{_advice(name)}")
    found = Found([], [])
    for match in matches:
        if not os.path.isdir(match):
            found.files.append(match)
        elif "**" not in name:  # which finds a folder's files by itself
            found.add(_part_files(match))
    return found


def _part_files(folder: str) -> Found:
    found = _walked(folder)
    for name in found.files:
        if not os.path.isfile(name):  # a pipe would be waited for, and a link that leads nowhere is a file that is lost
            raise UsageError(
                f"{name}, in the input folder {folder}, is no regular file; take it out, or name the files."
            )
    if not found.files and found.left_out:
        raise UsageError(
            f"the input {folder} is a folder of nothing but names that begin with . or _, which are no data, such as "
            f"{found.left_out[0]}; name the files to score."
        )
    if not found.files:
        raise UsageError(f"the input {folder} is a folder without any file; name one that holds the files to score.")
    return found


def _walked(folder: str) -> Found:
    found = Found([], [])
    try:
        for path, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
            # A link to a folder that this one is in leads round in circles, and to nothing new.
            inside = Path(os.path.realpath(path))
            found.left_out.extend(os.path.join(path, name) for name in names if is_hidden(name))
            found.left_out.extend(os.path.join(path, name, "") for name in folders if is_hidden(name))
            folders[:] = [
                name
                for name in folders
                if not is_hidden(name) and not inside.is_relative_to(os.path.realpath(os.path.join(path, name)))
            ]
            found.files.extend(os.path.join(path, name) for name in names if not is_hidden(name))
    except OSError as error:
        raise ScorerError(f"the folder {error.filename} cannot be read: {error.strerror}.") from error
    return Found(sorted(found.files), sorted(found.left_out))


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def opened(path: str, compression: str | None, encoding: str, content: Content) -> Iterator[tuple[BinaryIO, str]]:
    """Open an input as bytes whose line ends are ASCII; gives the stream and the encoding it now has.

    UTF-16 and UTF-32 come as UTF-8, so offsets and raw bytes of rejects are those of the UTF-8 form; and those of
    compressed files are of what they hold.

    Raises:
        ScorerError: it cannot be opened or read.
        InputError: it is UTF-16 or UTF-32 and does not decode, or does not decompress.
    """
    with opened_file(path) as file:
        stream = cast(BinaryIO, io.BufferedReader(DigestingReader(file, content), _PIECE))
        if compression is not None:
            stream = decompressed(stream, compression, path, content)
        if "\n".encode(encoding) == b"\n":
            yield stream, encoding
        else:
            recoded = io.BufferedReader(_ToUtf8(stream, path, encoding))  # type: ignore[type-var]
            yield cast(BinaryIO, recoded), "utf-8"


@contextmanager
def opened_file(path: str) -> Iterator[BinaryIO]:
    """Open an input as it is stored.

    Raises:
        ScorerError: it cannot be opened, or meanwhile it cannot be read.
    """
    try:
        if path == STDIN:
            if sys.stdin is None:
                raise ScorerError("stdin is closed; name an input file.")
            yield _stdin()
        elif is_address(path):
            from scorer.storage.object_store import opened_object  # what talks to stores takes a moment

            with opened_object(path) as stream:
                yield stream
        else:
            with open(path, "rb") as file:
                yield file
    except OSError as error:
        raise ScorerError(f"{path} cannot be read: {error.strerror or error}.") from error


@contextmanager
def opened_seekable(path: str) -> Iterator[BinaryIO]:
    """The same for who has to go back and forth in it; of a stream, and of an object that would be fetched twice, a
    copy is made, that nobody else sees.

    Raises:
        ScorerError: as `opened_file`.
    """
    with opened_file(path) as file:
        if file.seekable() and not is_address(path):
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            while data := file.read(_PIECE):
                try:
                    copy.write(data)
                    copy.flush()
                except OSError as error:
                    raise ScorerError(
                        f"{tempfile.gettempdir()} (TMPDIR) cannot be written: {error.strerror}."
                    ) from error
            copy.seek(0)
            yield copy


def is_repeatable(path: str) -> bool:
    """Whether an input gives the same bytes when it is read again; stdin and FIFOs do not."""
    return is_address(path) or (path != STDIN and os.path.isfile(path))


Stamp = list[Any]
"""A file's size in bytes and its modification time in nanoseconds, or an object's tag; a list, as JSON gives it back."""


def stamp(path: str) -> Stamp | None:
    """What changes when a file's content does, or None of an input that has no such thing.

    Raises:
        InputError: it is gone.
    """
    if path == STDIN:
        return None
    if is_address(path):
        found = object_store.stamp_of(path)
        if found is None:
            raise InputError(f"{path} cannot be read any more: it is not there.")
        return found
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read any more: {error.strerror}.") from error
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else None


def stored_size(path: str) -> int | None:
    """Bytes of a file as it is stored; None of a stream, and where a server does not say."""
    return size_in(stamp(path))


def size_in(found: Stamp | None) -> int | None:
    """The bytes that a stamp tells."""
    return None if found is None else found[0]


def _stdin() -> BinaryIO:
    """Return stdin as a stream that ends only where its writer closed it."""
    stream = sys.stdin.buffer
    raw = getattr(stream, "raw", None)
    if raw is None or raw.seekable():  # a file never makes its reader wait
        return stream
    return cast(BinaryIO, io.BufferedReader(_Blocking(raw), _PIECE))


class _Blocking(io.RawIOBase):
    """A raw stream that waits for bytes, also on a descriptor that somebody made non-blocking.

    The flag belongs to the pipe's end and not to a process: node, asyncio, ssh or an earlier command of the same shell
    may have left it on. A buffered reader of Python then takes a pause of the writer for the end.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int:
        while (count := self._raw.readinto(buffer)) is None:
            select.select([self._raw], [], [])
        return count


class _ToUtf8(io.RawIOBase):
    """Reads a stream whose line ends are no single byte (UTF-16, UTF-32) as UTF-8."""

    def __init__(self, stream: BinaryIO, path: str, encoding: str) -> None:
        # Half of a surrogate pair becomes bytes that are no UTF-8, which costs its record and no other.
        self._text = io.TextIOWrapper(stream, encoding=encoding, errors="surrogatepass", newline="")
        self._path = path
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if not self._waiting:
            try:
                self._waiting = self._text.read(1 << 16).encode(errors="surrogatepass")
            except UnicodeError as error:
                raise InputError(
                    f"{self._path} is not {self._text.encoding}, or not the whole file: {error}. Check --encoding."
                ) from error
        count = min(len(buffer), len(self._waiting))
        buffer[:count], self._waiting = self._waiting[:count], self._waiting[count:]
        return count


def _advice(name: str) -> str:
    """What to do about an input that is missing."""
    if glob.has_magic(name):
        return " (no file matches); see with ls what does."
    folder, base = os.path.split(name)
    try:
        with os.scandir(folder or ".") as entries:
            files = (entry.name for entry in entries if entry.is_file())
            return f"; {meant(base, files, 'check its name and its folder.')}"
    except OSError:
        return ", nor can its folder be looked into; check the name."
