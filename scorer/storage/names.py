"""Names made from the names of other files, kept within the length that file systems accept."""

import os
from hashlib import sha256

from scorer.storage.address import is_address

LONGEST_NAME = 255
"""Largest length of a file's name, in bytes, on Linux and macOS (NAME_MAX)."""

_HASH_DIGITS = 12


def derived_name(name: str, *, prefix: str = "", suffix: str = "", spare: int = 0) -> str:
    """Put a prefix and a suffix around a name; cut the name, and add a hash of it, if the result would be too long.

    The result depends on the arguments alone, so a resumed run finds the files of the run before.

    Args:
        name: name of a file, without its folder.
        prefix, suffix: ASCII characters to add.
        spare: bytes that the caller adds as well, such as those of a random name.

    >>> derived_name("out.csv", prefix=".", suffix=".score-partial")
    '.out.csv.score-partial'
    >>> derived_name("é" * 127, suffix=".rejects.jsonl")[100:], len(os.fsencode(derived_name("é" * 127, suffix=".jsonl")))
    ('éééééééééééééé~2e3eba0a19e6.rejects.jsonl', 255)
    """
    whole = f"{prefix}{name}{suffix}"
    if len(os.fsencode(whole)) + spare <= LONGEST_NAME:
        return whole
    suffix = f"~{sha256(os.fsencode(name)).hexdigest()[:_HASH_DIGITS]}{suffix}"
    while len(os.fsencode(f"{prefix}{name}{suffix}")) + spare > LONGEST_NAME:
        name = name[:-1]  # a whole character: half of one would not be UTF-8
    return f"{prefix}{name}{suffix}"


def beside(path: str, suffix: str) -> str:
    """Add a suffix to a path, as `derived_name` does to its last part; stores accept longer names, so an address is never cut.

    >>> beside("/data/out.csv", ".rejects.jsonl")
    '/data/out.csv.rejects.jsonl'
    """
    if is_address(path):
        return f"{path}{suffix}"
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{derived_name(name, suffix=suffix)}"
