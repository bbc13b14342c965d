"""Objects in stores and on the web (``s3://bucket/key``), found and read with fsspec.

`scorer.storage.address` has the addresses, and the rule for credentials.
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
# Fields of different stores that change with an object's content.
_TAGS = ("ETag", "etag", "generation", "Last-Modified", "created")

_CREDENTIALS = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, ~/.aws or the machine's role; set AWS_ENDPOINT_URL for a server other than Amazon's",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login` or the machine's role",
}


def filesystem(address: str, done: str = "read") -> "AbstractFileSystem":
    """Return fsspec's file system for an address.

    Args:
        address: address of the object.
        done: participle for messages: ``read`` or ``written``.

    Raises:
        UsageError: the kind of store is unknown, or its package is not installed.
        ScorerError: the store cannot be set up, for instance because a profile is missing.
    """
    scheme = scheme_of(address)
    options: dict[str, Any] = {"client_kwargs": {"trust_env": True}} if scheme in WEB else {}  # ~/.netrc, proxies
    with store_errors(address, done):
        import fsspec  # slow to import, and needed for stores only

        return fsspec.filesystem(scheme, **options)


@contextlib.contextmanager
def store_errors(address: str, done: str) -> Iterator[None]:
    """Turn any error of a store into a `ScorerError` with advice, or a `UsageError` if a package is missing.

    Args:
        address: address for the message.
        done: participle for the message: ``read`` or ``written``.
    """
    try:
        yield
    except ScorerError:
        raise
    except ImportError as error:  # some packages are imported late
        # fsspec's error has no name ("Install s3fs to access S3"), but its cause has.
        package = error.name or getattr(error.__cause__, "name", None) or error
        raise UsageError(
            f"{scheme_of(address)}:// needs a package that is missing ({package}): {install_advice('remote')}"
        ) from error
    except Exception as error:  # those of botocore, aiohttp and google.auth share no base class
        raise ScorerError(f"{address} cannot be {done}: {_reason(error)}{_advice(address, error)}") from error


def information(address: str, done: str = "read") -> dict[str, Any] | None:
    """Return a store's own, uncached data on an object or a folder; None if neither exists.

    Raises:
        ScorerError: the store cannot be reached, or refuses the request.
    """
    store = filesystem(address, done)
    store.invalidate_cache()
    with store_errors(address, done):
        try:
            return dict(store.info(address))
        except FileNotFoundError as error:
            # fsspec raises this also for a web server that cannot be reached or refuses to answer.
            cause = error.__cause__
            refused = getattr(cause, "status", 404) not in (404, 410)
            unreachable = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
            if cause is not None and (refused or unreachable):
                raise cause from error
            return None


def stamp_of(address: str) -> list[Any] | None:
    """Return an object's size and a tag that changes with its content, such as its ETag; None if it is missing."""
    found = information(address)
    if found is None or found.get("type") == "directory":
        return None
    return [found.get("size"), next((str(found[tag]) for tag in _TAGS if found.get(tag)), None)]


def files_of(address: str) -> tuple[list[str], list[str]]:
    """List the objects of an address, a glob or a folder, and the names left out of folders; both sorted.

    A folder stands for all its objects except hidden ones, as a local folder does.

    Raises:
        ScorerError: the store cannot be reached, or refuses the request.
    """
    found = information(address)
    if scheme_of(address) in WEB:  # the web has neither folders nor globs: a ? begins the query
        return [address] if found is not None else [], []
    if found is not None:
        return ([address], []) if found["type"] != "directory" else _in_folder(address)
    store = filesystem(address)
    files: list[str] = []
    left_out: list[str] = []
    with store_errors(address, "read"):
        matches = store.glob(address, detail=True)
    recursive = "**" in address  # ** already matches a folder's files
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
        if name.endswith("/"):  # an object that some tools create to stand for a folder
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
    """Word an error without queries of addresses: after a redirect it may name a signed address."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _QUERY.sub("?...", str(text)).strip().rstrip(".") + "."


def _advice(address: str, error: Exception) -> str:
    credentials = _CREDENTIALS.get(scheme_of(address))
    setup = isinstance(error, PermissionError) or _SETUP.search(f"{type(error).__name__} {error}")
    return f" Credentials come from {credentials}." if setup and credentials else ""


# Bytes of a request: some tenths of a second on any network, while earlier rows are scored.
_BLOCK = 8 << 20


_BUFFER = 1 << 17


@contextmanager
def opened_object(address: str) -> Iterator[BinaryIO]:
    """Open an object as it is stored; the stream is seekable if the server allows that.

    Raises:
        ScorerError: it cannot be opened, or a later read fails.
    """
    store = filesystem(address)
    with store_errors(address, "read"):
        try:
            file = store.open(address, "rb", block_size=_BLOCK)
        except FileNotFoundError as error:
            raise ScorerError(f"{address} cannot be read: it no longer exists.") from error
    with io.BufferedReader(_Object(file, address), _BUFFER) as stream:
        yield cast(BinaryIO, stream)


class _Object(io.RawIOBase):
    """Open file of fsspec that raises our errors."""

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
