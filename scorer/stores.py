"""Addresses in object stores and on the web (``s3://bucket/key``): which there are, and what is behind them, by fsspec.

Credentials come from where each store's own tools take them (environment, profile files, the machine's role) and from
nowhere else: an address that carries one is refused, since addresses stand in messages, records and journals.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from scorer.errors import ScorerError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

INSTALL = "pip install 'review-scorer[remote]'"
WEB = ("http", "https")
# fsspec's own store in this process's memory is for tests and notebooks.
WRITABLE = ("s3", "gs", "memory")
SCHEMES = (*WRITABLE, *WEB)

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(
    r"(?i)(^|[-_.])(sig|signature|token|secret|pw|pwd|pass|passwd|password|passphrase|key|apikey|credentials?|auth)$|accesskeyid"
)
_QUERY = re.compile(r"\?[^\s'\")>]+")
_SETUP = re.compile("(?i)credential|endpoint|profile|signature")
# By store, what says that an object is another one now.
_TAGS = ("ETag", "etag", "generation", "Last-Modified", "created")

_CREDENTIALS = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, ~/.aws or the machine's role; AWS_ENDPOINT_URL for another server than Amazon's",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login` or the machine's role",
}


def is_address(path: str) -> bool:
    """Whether a name is an address, and no path.

    >>> is_address("s3://bucket/in.csv"), is_address("in.csv"), is_address("-")
    (True, False, False)
    """
    return _ADDRESS.match(path) is not None


def scheme_of(address: str) -> str:
    """What stands before ``://``.

    Raises:
        UsageError: it is none that can be read.
    """
    found = _ADDRESS.match(address)
    scheme = found[1] if found is not None else ""
    if scheme not in SCHEMES:
        advice = {"file": "give the path alone", "s3a": "write s3://", "s3n": "write s3://", "gcs": "write gs://"}.get(
            scheme.lower(),
            f"write {scheme.lower()}://" if scheme.lower() in SCHEMES else "copy it to where it can be read",
        )
        raise UsageError(
            f"{address}: {scheme}:// is not supported, {', '.join(one for one in SCHEMES if one != 'memory')} are; {advice}."
        )
    if address == f"{scheme}://":
        raise UsageError(f"{address} is the beginning of an address; what it names comes behind it.")
    return scheme


def check_writable(address: str, option: str) -> None:
    """Raise `UsageError` if nothing can be written to such an address."""
    scheme = scheme_of(address)
    if scheme not in WRITABLE:
        raise UsageError(f"{option} {address}: nothing can be written to {scheme}://; write to a file, s3:// or gs://.")


def refuse_credentials(names: Iterable[str | None]) -> None:
    """Raise `UsageError` if one of some paths and addresses carries a credential; the message does not repeat it.

    >>> refuse_credentials(["s3://bucket/in.csv", None, "https://host/in.csv?part=2"])
    """
    for name in names:
        if name is None or not is_address(name):
            continue
        scheme, rest = name.split("://", 1)
        _, at, host = rest.split("/", 1)[0].rpartition("@")
        parts = urlsplit(name) if scheme.lower() in WEB else None
        secrets = (
            [key for key, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET.search(key)] if parts else []
        )
        if at or secrets:
            path = parts.path if parts else f"/{rest.partition('/')[2]}"
            raise UsageError(
                f"the address {scheme}://{host}{path} carries a credential "
                f"({', '.join(secrets) if secrets else 'before the @'}), which would stand in logs and records. Leave it "
                "out: credentials come from the environment or a profile file (for http the file ~/.netrc). What only a "
                "signed address reaches: curl ADDRESS | score - --input-format jsonl (or its own format)"
            )


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
        package = error.name or error
        raise UsageError(f"{scheme_of(address)}:// needs a package that is not here ({package}): {INSTALL}") from error
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


def files_of(address: str) -> list[str]:
    """The objects that an address, a glob or a folder of a store means; sorted, empty where there is none.

    Of a folder all are taken but what is hidden or begins with ``_``, as of a local one.

    Raises:
        ScorerError: the store cannot be asked.
    """
    found = information(address)
    if scheme_of(address) in WEB:  # which has neither folders nor globs: a ? begins the query
        return [address] if found is not None else []
    if found is not None:
        return [address] if found["type"] != "directory" else _in_folder(address)
    store, files = filesystem(address), []
    with store_errors(address, "read"):
        matches = store.glob(address, detail=True)
    recursive = "**" in address  # which finds a folder's files by itself
    for name, match in sorted(matches.items()):
        if match["type"] != "directory":
            files.append(_address(address, name))
        elif not recursive:
            files += _in_folder(_address(address, name))
    return files


def _in_folder(address: str) -> list[str]:
    store = filesystem(address)
    with store_errors(address, "read"):
        names = store.find(address)
        inside = len(store._strip_protocol(address).rstrip("/")) + 1
    # A name that ends with / stands for a folder: some tools put such an object there.
    return sorted(
        _address(address, name)
        for name in names
        if not name.endswith("/") and not any(part.startswith((".", "_")) for part in name[inside:].split("/"))
    )


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
