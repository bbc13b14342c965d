"""Inputs by name: found, told apart by format, and opened as streams of bytes."""

import glob
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from scorer.errors import InputError, ScorerError, UsageError

STDIN = "-"
FORMATS = ("csv", "tsv", "jsonl", "ndjson")
DELIMITERS = {"csv": ",", "tsv": "\t"}


def expand(inputs: Iterable[str]) -> list[str]:
    """Paths and globs to files that are there, in argument order, a glob's matches sorted.

    A literal path wins over a glob, so a file called ``a[1].csv`` can be named.

    Raises:
        UsageError: one is missing, is a folder, or matches nothing; or stdin stands beside other inputs.
    """
    files: list[str] = []
    for name in inputs:
        if name == STDIN or os.path.exists(name):
            files.append(name)
            continue
        matches = sorted(filter(os.path.exists, glob.glob(name, recursive=True)))
        if not matches:
            raise UsageError(
                f"the input {name} is not there" + (" (no file matches)." if glob.has_magic(name) else ".")
            )
        files += matches
    for name in files:
        if name != STDIN and os.path.isdir(name):
            raise UsageError(
                f"the input {name} is a folder; name its files, for instance {os.path.join(name, '*.csv')!r}."
            )
    if STDIN in files and len(files) > 1:
        raise UsageError("stdin (-) can only be the one input; it cannot stand beside other files.")
    return files


def format_of(path: str, given: str | None, option: str) -> str:
    """A file's format: as given, else by its name's extension.

    >>> format_of("a/Reviews.CSV", None, "--input-format"), format_of("a.txt", "ndjson", "--input-format")
    ('csv', 'jsonl')
    """
    extension = given or Path(path).suffix.lstrip(".").lower()
    if extension in FORMATS:
        return "jsonl" if extension == "ndjson" else extension
    what = "stdin needs" if path == STDIN else f"the format of {path} cannot be told from its name: give"
    raise UsageError(f"{what} {option}, one of: {', '.join(FORMATS)}.")


@contextmanager
def opened(path: str, encoding: str) -> Iterator[tuple[BinaryIO, str]]:
    """Open an input as bytes whose line ends are ASCII; gives the stream and the encoding it now has.

    UTF-16 and UTF-32 come as UTF-8, so offsets and raw bytes of rejects are those of the UTF-8 form.

    Raises:
        ScorerError: it cannot be opened or read.
        InputError: it is UTF-16 or UTF-32 and does not decode.
    """
    try:
        with _stream(path) as stream:
            if "\n".encode(encoding) == b"\n":
                yield stream, encoding
            else:
                recoded = io.BufferedReader(_ToUtf8(stream, path, encoding))  # type: ignore[type-var]
                yield cast(BinaryIO, recoded), "utf-8"
    except OSError as error:
        raise ScorerError(f"{path} cannot be read: {error.strerror or error}.") from error


def is_repeatable(path: str) -> bool:
    """Whether an input gives the same bytes when it is read again; stdin and FIFOs do not."""
    return path != STDIN and os.path.isfile(path)


Stamp = list[int]
"""A file's size in bytes and its modification time in nanoseconds; a list, as JSON gives it back."""


def stamp(path: str) -> Stamp | None:
    """What changes when a file's content does, or None of an input that has no such thing.

    Raises:
        InputError: it is gone.
    """
    if path == STDIN:
        return None
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read any more: {error.strerror}.") from error
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else None


class Hashed:
    """A stream that keeps the sha256 of what was read from it.

    Args:
        stream: what is read.
        running: the hash to go on with.
    """

    def __init__(self, stream: BinaryIO, running: "hashlib._Hash") -> None:
        self._stream = stream
        self._running = running

    def readline(self, limit: int) -> bytes:
        data = self._stream.readline(limit)
        self._running.update(data)
        return data

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._running.update(data)
        return data


@contextmanager
def _stream(path: str) -> Iterator[BinaryIO]:
    if path == STDIN:
        if sys.stdin is None:
            raise ScorerError("stdin is closed; name an input file.")
        yield sys.stdin.buffer
    else:
        with open(path, "rb") as stream:
            yield stream


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
