"""Checks of outputs before any work is done: all are different files, and replace only earlier outputs."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from scorer.base.errors import ScorerError, UsageError
from scorer.storage.address import is_address
from scorer.storage.descriptor import descriptor_of
from scorer.storage.output import STDOUT, is_stream, place_of, same_place

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # as a Path, an address has lost one of its two slashes

Recognize = Callable[[BinaryIO], bool]
"""Function that recognizes an earlier output of a kind by its content."""


def check_apart(places: Mapping[str, str]) -> None:
    """Raise `UsageError` if two options name one file.

    Args:
        places: names of outputs, by option.
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
    # Several descriptors may be open on one file. Bytes written to a file that a rename then replaces would be lost.
    for file in opened.keys() & found.keys():
        raise UsageError(
            f"{opened[file]} is open on the file of {found[file]}, which will be replaced; "
            "name another for one of them."
        )


def check_replaceable(path: str, option: str, kind: str, recognize: Recognize, *, overwrite: bool | None) -> None:
    """Refuse to replace a file that is not an earlier output of the same kind; an empty file may be replaced.

    Args:
        path: name of the output, checked by `check_place`.
        option: option that gives it, for messages.
        kind: kind of output, such as "list of errors".
        recognize: function that recognizes an earlier output.
        overwrite: True to replace any file; None if the command has no such option.

    Raises:
        UsageError: the file is something else.
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
    advice = "move it" if overwrite is None else "give --overwrite to replace it"
    raise UsageError(
        f"{option} {path} exists and is not the {kind} of an earlier run; {advice}, or choose another name."
    )


def refuse_address(folder: Path, option: str) -> None:
    """Raise `UsageError` if a folder is an address in a store, which would be created as local folders."""
    if _ADDRESS.match(str(folder)):
        raise UsageError(f"{option} {folder} is an address; give a folder on this machine.")


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder that can be neither written nor created with its parents.

    Raises:
        UsageError: the folder, or the nearest existing parent, is a file.
        ScorerError: that folder is not writable.
    """
    refuse_address(folder, option)
    there = Path(os.path.realpath(folder))
    try:
        while not there.exists():
            there = there.parent
        is_folder = there.is_dir()
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise ScorerError(f"{option} {folder} cannot be created: {error.strerror}.") from error
    if not is_folder:
        raise UsageError(f"{option} {folder} cannot be created: {there} is a file; name another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ScorerError(f"{option} {folder} cannot be created: the folder {there} is not writable.")
