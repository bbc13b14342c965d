"""Checks of output places before any work is done: apart from each other, and over nothing that is not ours."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from scorer.base.errors import ScorerError, UsageError
from scorer.storage.address import is_address
from scorer.storage.descriptor import descriptor_of
from scorer.storage.output import STDOUT, is_stream, place_of, same_place

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # of a path, which has lost one of the two

Recognize = Callable[[BinaryIO], bool]
"""Tells an earlier output of a kind by its content."""


def check_apart(places: Mapping[str, str]) -> None:
    """Raise `UsageError` if two options name one file.

    Args:
        places: files by option.
    """
    found: dict[str, str] = {}
    opened: dict[str, str] = {}
    for option, given in places.items():
        if given == os.devnull:
            continue
        place = "/dev/stdout" if given == STDOUT else given
        before = found.setdefault(same_place(place), option)
        if before != option:
            raise UsageError(f"{option} and {before} are the same file; name another for one of them.")
        if not is_address(place) and descriptor_of(place) is not None:
            opened[os.path.realpath(place)] = option
    # Several descriptors may be open on one file. One that a rename takes the place of would be written to for nobody.
    for file in opened.keys() & found.keys():
        raise UsageError(
            f"{opened[file]} is open on the file of {found[file]}, which is replaced; name another for one."
        )


def check_replaceable(path: str, option: str, kind: str, recognize: Recognize, *, overwrite: bool | None) -> None:
    """Refuse to replace a file that is no earlier output of the same kind; an empty file has nothing to lose.

    Args:
        path: the output, checked by `check_place`.
        option: its option, for messages.
        kind: its kind, as in "list of errors".
        recognize: tells an earlier one.
        overwrite: replace whatever it is; None if the command has no such option.

    Raises:
        UsageError: it is something else.
        ScorerError: it cannot be read.
    """
    if overwrite or is_stream(path):
        return
    try:
        with place_of(path).opened() as stream:
            if stream is None or not stream.read(1):
                return
        with place_of(path).opened() as stream:
            if stream is None or recognize(stream):
                return
    except OSError as error:
        raise ScorerError(f"{option} {path} exists and cannot be read: {error.strerror}.") from error
    advice = "move it away, or give" if overwrite is None else "give --overwrite to replace it, or"
    raise UsageError(f"{option} {path} exists and is no {kind} of an earlier run; {advice} another name.")


def refuse_address(folder: Path, option: str) -> None:
    """Raise `UsageError` for an address in a store where a folder is due, in which it would be made as folders."""
    if _ADDRESS.match(str(folder)):
        raise UsageError(f"{option} {folder} is an address; give a folder of this machine.")


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder that can neither be written nor be made with its parents.

    Raises:
        UsageError: it, or what it would be made in, is no folder.
        ScorerError: that folder is not writable.
    """
    refuse_address(folder, option)
    there = Path(os.path.realpath(folder))
    try:
        while not there.exists():
            there = there.parent
        is_folder = there.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise ScorerError(f"{option} {folder} cannot be made: {error.strerror}.") from error
    if not is_folder:
        raise UsageError(f"{option} {folder} cannot be made: {there} is a file; name another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ScorerError(f"{option} {folder} cannot be made: the folder {there} is not writable.")
