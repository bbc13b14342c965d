"""Addresses in object stores and on the web (``s3://bucket/key``): which there are, and what is behind them, by fsspec.

Credentials come from where each store's own tools take them (environment, profile files, the machine's role) and from
nowhere else: an address that carries one is refused, since addresses stand in messages, records and journals.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from scorer.base.errors import ScorerError, UsageError
from scorer.base.extras import install_advice
from scorer.storage.address import WEB, scheme_of
from scorer.storage.hidden import hidden_part

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


_QUERY = re.compile(r"\?[^\s'\")>]+")
_SETUP = re.compile("(?i)credential|endpoint|profile|signature")
# By store, what says that an object is another one now.
_TAGS = ("ETag", "etag", "generation", "Last-Modified", "created")

_CREDENTIALS = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, ~/.aws or the machine's role; AWS_ENDPOINT_URL for another server than Amazon's",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login` or the machine's role",
}


def filesystem(address: str, done: str = "read") -> "AbstractFileSystem":
    """The store of an address, as fsspec has it.

    Args:
        address: the address.
        done: what is going to be done with it, for messages: ``read`` or ``written``.

    Raises:
        UsageError: it is of no kind that is known, or its package is not installed.
        ScorerError: it cannot be made ready, as where a profile is missing.
    """
    scheme = scheme_of(address)
    options: dict[str, Any] = {"client_kwargs": {"trust_env": True}} if scheme in WEB else {}  # ~/.netrc, proxies
    with store_errors(address, done):
        import fsspec  # only who reads from a store has to wait for it

        return fsspec.filesystem(scheme, **options)


@contextlib.contextmanager
def store_errors(address: str, done: str) -> Iterator[None]:
    """Whatever goes wrong with a store meanwhile is a `ScorerError` that says what to look at; `UsageError` where it is a
    package that is missing.

    Args:
        address: what it is about.
        done: ``read`` or ``written``.
    """
    try:
        yield
    except ScorerError:
        raise
    except ImportError as error:  # some are looked for late
        # fsspec gives no name ("Install s3fs to access S3"): its cause has it.
        package = error.name or getattr(error.__cause__, "name", None) or error
        raise UsageError(
            f"{scheme_of(address)}:// needs a package that is missing ({package}): {install_advice('remote')}"
        ) from error
    except Exception as error:  # botocore's, aiohttp's and google.auth's have no common kind
        raise ScorerError(f"{address} cannot be {done}: {_reason(error)}{_advice(address, error)}") from error


def information(address: str, done: str = "read") -> dict[str, Any] | None:
    """What a store says of an object or a folder, from the store itself; None where there is neither.

    Raises:
        ScorerError: it cannot be asked.
    """
    store = filesystem(address, done)
    store.invalidate_cache()
    with store_errors(address, done):
        try:
            return dict(store.info(address))
        except FileNotFoundError as error:
            # fsspec says so of a web server, too, that cannot be reached or will not answer.
            cause = error.__cause__
            refused = getattr(cause, "status", 404) not in (404, 410)
            unreachable = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
            if cause is not None and (refused or unreachable):
                raise cause from error
            return None


def stamp_of(address: str) -> list[Any] | None:
    """An object's size and what changes when its content does (its ETag, say); None where there is no such object."""
    found = information(address)
    if found is None or found.get("type") == "directory":
        return None
    return [found.get("size"), next((str(found[tag]) for tag in _TAGS if found.get(tag)), None)]


def files_of(address: str) -> tuple[list[str], list[str]]:
    """The objects that an address, a glob or a folder of a store means, and what is left out of folders; both sorted.

    Of a folder all are taken but what is hidden, as of a local one.

    Raises:
        ScorerError: the store cannot be asked.
    """
    found = information(address)
    if scheme_of(address) in WEB:  # which has neither folders nor globs: a ? begins the query
        return [address] if found is not None else [], []
    if found is not None:
        return ([address], []) if found["type"] != "directory" else _in_folder(address)
    store = filesystem(address)
    files: list[str] = []
    left_out: list[str] = []
    with store_errors(address, "read"):
        matches = store.glob(address, detail=True)
    recursive = "**" in address  # which finds a folder's files by itself
    for name, match in sorted(matches.items()):
        if match["type"] != "directory":
            files.append(_address(address, name))
        elif not recursive:
            of_folder = _in_folder(_address(address, name))
            files += of_folder[0]
            left_out += of_folder[1]
    return files, left_out


def _in_folder(address: str) -> tuple[list[str], list[str]]:
    store = filesystem(address)
    with store_errors(address, "read"):
        names = store.find(address)
        inside = len(store._strip_protocol(address).rstrip("/")) + 1
    files, left_out = [], set()
    for name in names:
        if name.endswith("/"):  # it stands for a folder: some tools put such an object there
            continue
        hidden = hidden_part(name[inside:])
        if hidden is None:
            files.append(_address(address, name))
        else:
            left_out.add(_address(address, name[:inside] + hidden))
    return sorted(files), sorted(left_out)


def _address(beside: str, name: str) -> str:
    return f"{scheme_of(beside)}://{name.lstrip('/')}"


def _reason(error: Exception) -> str:
    """An error in words. Where a server sent us on, they may name a signed address: no query is repeated."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _QUERY.sub("?...", str(text)).strip().rstrip(".") + "."


def _advice(address: str, error: Exception) -> str:
    credentials = _CREDENTIALS.get(scheme_of(address))
    setup = isinstance(error, PermissionError) or _SETUP.search(f"{type(error).__name__} {error}")
    return f" Credentials come from {credentials}." if setup and credentials else ""


# Bytes asked for at a time: some tenths of a second of any network, while what was read before is scored.
_BLOCK = 8 << 20


_BUFFER = 1 << 17


@contextmanager
def opened_object(address: str) -> Iterator[BinaryIO]:
    """Open an object as it is stored; it can be read again from another place where its server allows that.

    Raises:
        ScorerError: it cannot be opened, or meanwhile it cannot be read.
    """
    store = filesystem(address)
    with store_errors(address, "read"):
        try:
            file = store.open(address, "rb", block_size=_BLOCK)
        except FileNotFoundError as error:
            raise ScorerError(f"{address} cannot be read: it is not there any more.") from error
    with io.BufferedReader(_Object(file, address), _BUFFER) as stream:
        yield cast(BinaryIO, stream)


class _Object(io.RawIOBase):
    """An open file of fsspec, whose errors are ours."""

    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        self._address = address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with store_errors(self._address, "read"):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        with store_errors(self._address, "read"):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
