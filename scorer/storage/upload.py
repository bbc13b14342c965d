"""Uploads to object stores: an output is written in a work folder and uploaded when it is complete."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from scorer.base.errors import ScorerError, UsageError
from scorer.storage.address import check_writable, is_address, scheme_of
from scorer.storage.object_store import filesystem, information, opened_object, store_errors

if TYPE_CHECKING:
    from fsspec.transaction import Transaction

_LONGEST_NAME = 120
_PART = 16 << 20
_MOST_PARTS = 9_000  # stores accept 10,000


class ObjectPlace:
    """Object of a store. It is replaced as a whole, and an incomplete upload is never visible.

    Args:
        address: address of the object.
        folder: folder for work in progress.

    Attributes:
        name: name for messages.
        work: path, named after the address, beside which work in progress is kept.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self.work = work_file(address, folder)
        self.name = f"{address} (its work file {self.work})"

    def put(self, descriptor: int, path: Path) -> None:
        """Upload a complete file and delete it here. The store shows it once it has all of it: the commit point."""
        size = os.fstat(descriptor).st_size
        with _uploading(self._address, max(_PART, size // _MOST_PARTS + 1)) as write:
            for at in range(0, size, _PART):
                write(os.pread(descriptor, _PART, at))
        found = information(self._address) or {}
        if found.get("size") != size:
            raise ScorerError(
                f"{self._address} was uploaded with {size:,} bytes, but the store reports {found.get('size')}: another "
                "program is writing it, or the store is at fault. Run the same command again."
            )
        path.unlink()

    def remove(self) -> None:
        """Delete the published object, if it exists."""
        store = filesystem(self._address)
        with store_errors(self._address, "written"), contextlib.suppress(FileNotFoundError):
            store.invalidate_cache()
            if store.isfile(self._address):
                store.rm_file(self._address)

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO | None]:
        """Open the published object; None if it is missing."""
        if information(self._address) is None:
            yield None
            return
        with opened_object(self._address) as stream:
            yield stream


def work_file(address: str, folder: Path) -> Path:
    """Return the path in a work folder that stands for an address; no two addresses share one.

    >>> work_file("s3://bucket/day/out.csv", Path("/work")).name
    '25d98058a4ed-out.csv'
    """
    name = address.rstrip("/").rpartition("/")[2]
    return folder / f"{sha256(address.encode(errors='surrogateescape')).hexdigest()[:12]}-{name[-_LONGEST_NAME:]}"


def work_folder(given: str | None) -> Path:
    """Return the folder for work in progress, created if it is missing.

    Args:
        given: value of --work-dir; None for a folder in $XDG_STATE_HOME or ~/.local/state (XDG base directories).

    Raises:
        UsageError: the value is empty or an address.
        ScorerError: the folder cannot be created.
    """
    if given is not None and (not given or is_address(given)):
        raise UsageError(
            f"--work-dir must be a folder on this machine, not {given!r}: files in it are locked and truncated."
        )
    folder = Path(given or "review-scorer")
    try:
        if given is None:
            folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise ScorerError(
            f"the work folder {folder} cannot be created: {getattr(error, 'strerror', None) or error}. It holds output "
            "until that is uploaded; name another folder with --work-dir."
        ) from error
    return folder


def check_object(address: str, inputs: Sequence[str], option: str) -> None:
    """Refuse an address that cannot be written, before any work is done; an upload is started and aborted.

    Args:
        address: address of the output.
        inputs: names of the inputs.
        option: option that gives the output, for messages.

    Raises:
        UsageError: the address is not an object of a writable store, or it is a folder or an input.
        ScorerError: the store refuses the upload.
    """
    scheme, name = scheme_of(address), address.split("://", 1)[1]
    check_writable(address, option)
    if name.endswith("/") or (scheme != "memory" and "/" not in name):
        raise UsageError(f"{option} {address} is not an object; give one, for instance {address.rstrip('/')}/out.csv.")
    if address in inputs:
        raise UsageError(f"{option} {address} is an input too; write to another object.")
    if (information(address, "written") or {}).get("type") == "directory":
        raise UsageError(f"{option} {address} is a folder; give an object in it, for instance {address}/out.csv.")
    with _uploading(address, _PART, keep=False) as write:
        write(b"\n")


@contextlib.contextmanager
def _uploading(address: str, block: int, *, keep: bool = True) -> Iterator[Callable[[bytes], object]]:
    """Yield a function that writes to an object, which appears at the end, unless an error occurs.

    Args:
        address: address of the object.
        block: bytes of each part of the upload.
        keep: False to abort the upload at the end.

    Raises:
        ScorerError: the store refuses the upload.
    """
    store = filesystem(address, "written")
    with store_errors(address, "written"):
        transaction = store.transaction
        transaction.start()
        try:
            with store.open(address, "wb", block_size=block) as file:
                yield file.write
        except BaseException:
            _give_up(transaction)
            raise
        if keep:
            transaction.complete()
        else:
            _give_up(transaction)
        store.invalidate_cache()


def _give_up(transaction: "Transaction") -> None:
    """Abort an upload. An error here is no reason to stop: an incomplete upload is not visible."""
    with contextlib.suppress(Exception):
        transaction.complete(commit=False)
