"""Input files, found by name and opened as streams of bytes."""

import codecs
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
from scorer.base.text import did_you_mean
from scorer.storage import object_store
from scorer.storage.address import is_address
from scorer.storage.compression import decompressed
from scorer.storage.digest import Content, DigestingReader
from scorer.storage.hidden import is_hidden

STDIN = "-"

_PIECE = 1 << 17
_STATEFUL = ("iso2022", "hz")
"""Beginnings of the names of encodings whose shifts last beyond a line, as in ISO-2022-KR, or may do so."""


class Found(NamedTuple):
    """Files of some inputs.

    Attributes:
        files: paths and addresses, in the order of the arguments; those of a folder or a glob are sorted.
        left_out: hidden files and folders in input folders, see `scorer.storage.hidden`; a folder, with ``/`` behind
            its name, stands for all its files.
    """

    files: list[str]
    left_out: list[str]

    def add(self, other: "Found") -> None:
        """Append another input's files in place: there may be a hundred thousand."""
        self.files.extend(other.files)
        self.left_out.extend(other.left_out)


def expand(inputs: Iterable[str]) -> Found:
    """Find the files of paths, globs and folders.

    A literal path wins over a glob, so a file called ``a[1].csv`` can be named. A folder stands for all its files,
    including those of its subfolders, except hidden ones.

    Raises:
        UsageError: an input is missing or matches no file, two are the same file, or stdin is given with other inputs.
    """
    found = Found([], [])
    for name in inputs:
        found.add(_found(name))
    if STDIN in found.files and len(found.files) > 1:
        raise UsageError("stdin (-) must be the only input; it cannot be combined with files.")
    seen: dict[Hashable, str] = {}
    for name in filter(is_repeatable, found.files):
        same = identity(name)
        if same in seen:
            what = f"{name} is named twice" if seen[same] == name else f"{seen[same]} and {name} are the same file"
            raise UsageError(f"{what}, so its rows would be scored twice; name it once, or remove the link.")
        seen[same] = name
    return found


def identity(path: str) -> Hashable:
    """Return a key that all names of one file share, symbolic and hard links included; an address is its own key."""
    if is_address(path):
        return path
    status = os.stat(path)
    # Files with a single name are not compared by number: some network file systems have no unique numbers.
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else os.path.realpath(path)


def found_files(folder: str) -> list[str]:
    """List the files that `expand` would find in a folder; none if it is missing.

    Raises:
        ScorerError: the folder cannot be read.
    """
    if is_address(folder):
        return object_store.files_of(folder)[0]
    return _walked(folder).files if os.path.isdir(folder) else []


def _found(name: str) -> Found:
    if is_address(name):
        of_store = Found(*object_store.files_of(name))
        if not of_store.files:
            raise UsageError(f"the input {name} does not exist, or is a folder without files; check the address.")
        return of_store
    if name == STDIN or os.path.exists(name):
        return _part_files(name) if name != STDIN and os.path.isdir(name) else Found([name], [])
    matches = sorted(filter(os.path.exists, glob.glob(name, recursive=True)))
    if not matches:
        raise UsageError(f"the input {name} does not exist{_advice(name)}")
    found = Found([], [])
    for match in matches:
        if not os.path.isdir(match):
            found.files.append(match)
        elif "**" not in name:  # ** already matches the folder's files
            found.add(_part_files(match))
    return found


def _part_files(folder: str) -> Found:
    found = _walked(folder)
    for name in found.files:
        if not os.path.isfile(name):  # reading a pipe would block, and a broken link means a missing file
            raise UsageError(
                f"{name}, in the input folder {folder}, is not a regular file; remove it, or name the files to score."
            )
    if not found.files and found.left_out:
        raise UsageError(
            f"the input {folder} is a folder with nothing but names that begin with . or _, such as "
            f"{found.left_out[0]}, which are ignored; name the files to score."
        )
    if not found.files:
        raise UsageError(f"the input {folder} is a folder without files; name one that holds the files to score.")
    return found


def _walked(folder: str) -> Found:
    found = Found([], [])
    try:
        for path, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
            # A link to a folder that contains this one would be followed for ever, and to no new file.
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
    """Open an input as bytes whose line ends are ASCII; yield the stream and its encoding.

    An encoding that `is_recoded` is read as UTF-8, so offsets and raw bytes of rejects refer to the UTF-8 form. For a
    compressed file they refer to its content.

    Raises:
        ScorerError: the input cannot be opened or read.
        InputError: it cannot be decompressed, or decoded as UTF-16 or UTF-32.
    """
    with opened_file(path) as file:
        stream = cast(BinaryIO, io.BufferedReader(DigestingReader(file, content), _PIECE))
        if compression is not None:
            stream = decompressed(stream, compression, path, content)
        if is_recoded(encoding):
            recoded = io.BufferedReader(_ToUtf8(stream, path, encoding))  # type: ignore[type-var]
            yield cast(BinaryIO, recoded), "utf-8"
        else:
            yield stream, encoding


def is_recoded(encoding: str) -> bool:
    """Return whether files in an encoding are read as UTF-8, because a line cannot be decoded from its bytes alone.

    Their line ends are not ASCII (UTF-16, UTF-32, EBCDIC), or a line can begin in a state that earlier bytes set.

    >>> [is_recoded(encoding) for encoding in ("cp1252", "shift_jis", "utf-16", "cp037", "iso2022_kr", "hz")]
    [False, False, True, True, True, True]
    """
    return encoding.startswith(_STATEFUL) or "\n".encode(encoding) != b"\n"


@contextmanager
def opened_file(path: str) -> Iterator[BinaryIO]:
    """Open an input as it is stored.

    Raises:
        ScorerError: it cannot be opened, or a later read fails.
    """
    try:
        if path == STDIN:
            if sys.stdin is None:
                raise ScorerError("stdin is closed; name an input file.")
            yield _stdin()
        elif is_address(path):
            from scorer.storage.object_store import opened_object  # slow to import

            with opened_object(path) as stream:
                yield stream
        else:
            with open(path, "rb") as file:
                yield file
    except OSError as error:
        raise ScorerError(f"{path} cannot be read: {error.strerror or error}.") from error


@contextmanager
def opened_seekable(path: str) -> Iterator[BinaryIO]:
    """Open an input for random access; a stream or an object is first copied to an unnamed temporary file.

    Raises:
        ScorerError: it cannot be opened or copied, or a later read fails.
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
    """Return whether an input gives the same bytes when it is read again; stdin and FIFOs do not."""
    return is_address(path) or (path != STDIN and os.path.isfile(path))


Stamp = list[Any]
"""Size of a file in bytes and its modification time in nanoseconds, or an object's tag; a list, as JSON returns it."""


def stamp(path: str) -> Stamp | None:
    """Return a value that changes with a file's content; None for an input without one, such as stdin.

    Raises:
        InputError: the file no longer exists.
    """
    if path == STDIN:
        return None
    if is_address(path):
        found = object_store.stamp_of(path)
        if found is None:
            raise InputError(f"{path} cannot be read any more: it no longer exists.")
        return found
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read any more: {error.strerror}.") from error
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else None


def stored_size(path: str) -> int | None:
    """Return the size of a file as stored, in bytes; None for a stream, or if the server does not report it."""
    return size_in(stamp(path))


def size_in(found: Stamp | None) -> int | None:
    """Return the size in a stamp, in bytes."""
    return None if found is None else found[0]


def _stdin() -> BinaryIO:
    """Return stdin as a stream that ends only when its writer closes it."""
    stream = sys.stdin.buffer
    raw = getattr(stream, "raw", None)
    if raw is None or raw.seekable():  # a file never blocks
        return stream
    return cast(BinaryIO, io.BufferedReader(_Blocking(raw), _PIECE))


class _Blocking(io.RawIOBase):
    """Raw stream that waits for bytes even if its descriptor is non-blocking.

    The flag belongs to the pipe's end and not to a process: node, asyncio, ssh or an earlier command of the same shell
    may have set it. Python's buffered reader would then take a pause of the writer for the end.
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
    """UTF-8 form of a stream in an encoding that `is_recoded`.

    Undecodable bytes become bytes that are not valid UTF-8, so that only their own record is rejected. In UTF-16 and
    UTF-32 that holds for lone surrogates; after any other error, nothing shows where the next character begins.
    """

    def __init__(self, stream: BinaryIO, path: str, encoding: str) -> None:
        errors = "surrogatepass" if encoding.startswith("utf") else _KEEP_BYTES
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._stream = stream
        self._path = path
        self._encoding = encoding
        self._by_line = encoding == "hz"  # each line begins in ASCII, whatever the one before lacks
        self._taken = 0
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        ended = False
        while not self._waiting and not ended:  # a piece may end within a character
            piece = self._piece()
            ended = not piece
            self._taken += len(piece)
            self._waiting = self._decoded(piece, ended).encode(errors="surrogatepass")
        count = min(len(buffer), len(self._waiting))
        buffer[:count], self._waiting = self._waiting[:count], self._waiting[count:]
        return count

    def _piece(self) -> bytes:
        if self._by_line:
            return self._stream.readline(_PIECE)
        return self._stream.read1(_PIECE)  # type: ignore[attr-defined]

    def _decoded(self, piece: bytes, ended: bool) -> str:
        ended = ended or (self._by_line and piece.endswith(b"\n"))
        try:
            text = self._decoder.decode(piece, ended)
        except UnicodeError as error:
            what = str(error)  # a missing byte order mark
            if isinstance(error, UnicodeDecodeError):
                what = f"{error.reason} at byte {self._taken - len(error.object) + error.start:,}"
            raise InputError(
                f"{self._path} is not {self._encoding}, or is incomplete: {what}. Check --encoding."
            ) from error
        if ended:
            self._decoder.reset()
        return text


def _keep_bytes(error: UnicodeError) -> tuple[str, int]:
    """Replace one undecodable byte by a lone surrogate, as ``surrogateescape`` does, but whatever the byte; line ends stay."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start]
    return chr(0xDC00 + byte) + ("\n" if byte == 0x0A else ""), error.start + 1


_KEEP_BYTES = "scorer.keep_bytes"
codecs.register_error(_KEEP_BYTES, _keep_bytes)


def _advice(name: str) -> str:
    """Word the advice on a missing input."""
    if glob.has_magic(name):
        return " (no file matches); check the pattern with ls."
    folder, base = os.path.split(name)
    try:
        with os.scandir(folder or ".") as entries:
            files = (entry.name for entry in entries if entry.is_file())
            return f"; {did_you_mean(base, files, 'check its name and its folder.')}"
    except OSError:
        return ", and its folder cannot be read; check the name."
