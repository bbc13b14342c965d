"""Outputs in object stores: written in a work folder, and uploaded when they are complete."""

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
_MOST_PARTS = 9_000  # a store takes 10,000


class ObjectPlace:
    """An object of a store. It is replaced as a whole, and an upload that ends on the way leaves nothing to be seen.

    Args:
        address: of the object.
        folder: where work on it is kept.

    Attributes:
        name: for messages.
        work: the file, named after the address, beside which work is in progress.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self.work = work_file(address, folder)
        self.name = f"{address} (its work file {self.work})"

    def put(self, descriptor: int, path: Path) -> None:
        """Upload a complete file and take it away here. The store shows it once it has all of it: the commit point."""
        size = os.fstat(descriptor).st_size
        with _uploading(self._address, max(_PART, size // _MOST_PARTS + 1)) as write:
            for at in range(0, size, _PART):
                write(os.pread(descriptor, _PART, at))
        found = information(self._address) or {}
        if found.get("size") != size:
            raise ScorerError(
                f"{self._address} was uploaded with {size:,} bytes, and the store says it has {found.get('size')}: somebody "
                "else writes it, too, or the store is at fault. Run the same command again."
            )
        path.unlink()

    def remove(self) -> None:
        """Take away what is there, if anything is."""
        store = filesystem(self._address)
        with store_errors(self._address, "written"), contextlib.suppress(FileNotFoundError):
            store.invalidate_cache()
            if store.isfile(self._address):
                store.rm_file(self._address)

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO | None]:
        """What is there, or None."""
        if information(self._address) is None:
            yield None
            return
        with opened_object(self._address) as stream:
            yield stream


def work_file(address: str, folder: Path) -> Path:
    """The place in a work folder that stands for an address; no two addresses have the same.

    >>> work_file("s3://bucket/day/out.csv", Path("/work")).name
    '25d98058a4ed-out.csv'
    """
    name = address.rstrip("/").rpartition("/")[2]
    return folder / f"{sha256(address.encode(errors='surrogateescape')).hexdigest()[:12]}-{name[-_LONGEST_NAME:]}"


def work_folder(given: str | None) -> Path:
    """The folder for work in progress, made where it is not there.

    Args:
        given: --work-dir; None for the user's own, of the XDG base directories: $XDG_STATE_HOME or ~/.local/state.

    Raises:
        ScorerError: it cannot be made.
    """
    if given is not None and (not given or is_address(given)):
        raise UsageError(
            f"--work-dir is a folder of this machine, not {given!r}; what is in it has to be locked and cut."
        )
    folder = Path(given or "review-scorer")
    try:
        if given is None:
            folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise ScorerError(
            f"the work folder {folder} cannot be made: {getattr(error, 'strerror', None) or error}. It keeps what is "
            "done until it is uploaded; name another with --work-dir."
        ) from error
    return folder


def check_object(address: str, inputs: Sequence[str], option: str) -> None:
    """Refuse an address that cannot take output, before any work is done.

    Raises:
        UsageError: it is no object of a store that can be written, it is a folder, or an input.
        ScorerError: the store does not take it; an upload is begun, and given up.
    """
    scheme, name = scheme_of(address), address.split("://", 1)[1]
    check_writable(address, option)
    if name.endswith("/") or (scheme != "memory" and "/" not in name):
        raise UsageError(f"{option} {address} is no object; give one, for instance {address.rstrip('/')}/out.csv.")
    if address in inputs:
        raise UsageError(f"{option} {address} is an input too; write to another.")
    if (information(address, "written") or {}).get("type") == "directory":
        raise UsageError(f"{option} {address} is a folder; give an object in it, for instance {address}/out.csv.")
    with _uploading(address, _PART, keep=False) as write:
        write(b"\n")


@contextlib.contextmanager
def _uploading(address: str, block: int, *, keep: bool = True) -> Iterator[Callable[[bytes], object]]:
    """Gives what writes to an object; it appears at the end, unless it is not to be kept or something went wrong.

    Raises:
        ScorerError: the store does not take it.
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
    """Should the store not take even that: what is not complete is not seen, and is no reason to stop."""
    with contextlib.suppress(Exception):
        transaction.complete(commit=False)
