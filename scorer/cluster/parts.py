"""A folder of part files to a folder of part files: each part by itself, so that many machines can share them.

    out/day=1/part-0.parquet                the rows of .../day=1/part-0.jsonl, numbered within it, with its name
    out/_rejects/day=1/part-0.jsonl         its rejects, where there are any
    out/_parts/day=1/part-0.json            that it is finished: what it was made of, and what was counted
    out/_SUCCESS                            that all are

A part is published as `score` publishes its output: it is there as a whole, or not at all. So it does not matter which
machine scores it, nor how often one dies over it.
"""

import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from scorer.base.errors import ScorerError, UsageError
from scorer.rows.formats import COMPRESSIONS, FORMATS
from scorer.storage.address import is_address
from scorer.storage.inputs import expand, found_files, identity
from scorer.storage.output import lies_in, place_of, publish_text

SUCCESS, REJECTS, NOTES = "_SUCCESS", "_rejects", "_parts"
_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Part:
    """A file to score.

    Attributes:
        source: its name, which is the column ``source``.
        name: the same below the output folder, without extension: ``day=1/part-0``.
    """

    source: str
    name: str


def find_parts(inputs: Sequence[str]) -> list[Part]:
    """The files of some inputs, each with the name that it has below its folder, or below a glob's first wildcard.

    Raises:
        UsageError: one is missing, is a stream, is named twice, or two would have the same name.
        ScorerError: a folder or a store cannot be looked into.
    """
    return parts_and_left_out(inputs)[0]


def parts_and_left_out(inputs: Sequence[str]) -> tuple[list[Part], list[str]]:
    """The same, and what is left out of folders, see `scorer.storage.inputs.Found`."""
    parts: dict[str, Part] = {}
    names: dict[Hashable, str] = {}
    left_out: list[str] = []
    for given in inputs:
        found = expand([given])
        left_out += found.left_out
        for source in found.files:
            if source == "-" or not (is_address(source) or os.path.isfile(source)):
                raise UsageError(f"{source} is a stream; parts are files, which can be read again where a worker dies.")
            name = _without_extension(_below(given, source))
            before = names.setdefault(identity(source), name)
            if before != name:  # it would be there twice
                raise UsageError(f"{source} is named twice, by {given} and by an input before; name it once.")
            other = parts.setdefault(name, Part(source, name))
            if other.source != source:
                raise UsageError(
                    f"{other.source} and {source} would both become {name}; score them into different folders."
                )
    return list(parts.values()), left_out


def check_folder(folder: str, parts: Iterable[Part], inputs: Iterable[str], extension: str) -> None:
    """Refuse an output folder that holds what is not of these parts: whoever reads it would read that, too.

    Raises:
        UsageError: it does, or lies in an input, or an input lies in it.
    """
    for given in inputs:
        if lies_in(folder, given) or lies_in(given, folder):
            raise UsageError(f"--output {folder} and the input {given} lie in each other; write elsewhere.")
    expected = {f"{folder}/{part.name}.{extension}" for part in parts}
    others = [name for name in found_files(folder) if name not in expected]
    if others:
        more = f" and {len(others) - 1:,} others" if len(others) > 1 else ""
        raise UsageError(
            f"--output {folder} holds {others[0]}{more}, which is none of the {len(expected):,} parts of this run, and "
            "whoever reads the folder would read it too. Take it away, or write to another folder."
        )


def mark_incomplete(folder: str, work_dir: str | None = None) -> None:
    """Take ``_SUCCESS`` away, which an earlier run may have left: parts are going to change."""
    place_of(f"{folder}/{SUCCESS}", work_dir).remove()


def mark_complete(folder: str, text: str = "", work_dir: str | None = None) -> None:
    """Write ``_SUCCESS``: every part is there."""
    publish_text(f"{folder}/{SUCCESS}", text, work_dir)


def forget_others(folder: str, parts: Iterable[Part], work_dir: str | None = None) -> None:
    """Take away what earlier runs noted and rejected of parts that are no more: it is not of this folder's rows."""
    names = {part.name for part in parts}
    for kind, extension in ((NOTES, ".json"), (REJECTS, ".jsonl")):
        for path in found_files(f"{folder}/{kind}"):
            if path.removeprefix(f"{folder}/{kind}/").removesuffix(extension) not in names:
                place_of(path, work_dir).remove()


def make_folders(places: Iterable[str]) -> None:
    """Make the folders of files; stores have none.

    Raises:
        ScorerError: one cannot be made.
    """
    for folder in {os.path.dirname(place) for place in places if not is_address(place)}:
        try:
            os.makedirs(folder or ".", exist_ok=True)
        except OSError as error:
            raise ScorerError(f"the folder {folder} cannot be made: {error.strerror}.") from error


def _below(given: str, source: str) -> str:
    """A found file's name below what was given: a folder, a file or a glob.

    >>> _below("lake/", "lake/day=1/a.csv"), _below("lake/*/a?.csv", "lake/day=1/a1.csv"), _below("x/a.csv", "x/a.csv")
    ('day=1/a.csv', 'day=1/a1.csv', 'a.csv')
    """
    root = given.rstrip("/")
    if source == given:
        root = given.rpartition("/")[0]
    elif not source.startswith(f"{root}/"):
        parts = given.split("/")
        fixed = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
        root = "/".join(parts[:fixed])
    return source.removeprefix(root).lstrip("/")


def _without_extension(name: str) -> str:
    """
    >>> [_without_extension(name) for name in ("day=1.5/a.csv.gz", "a.b.parquet", "part-0001", "a.gz")]
    ['day=1.5/a', 'a.b', 'part-0001', 'a']
    """
    for known in (COMPRESSIONS, FORMATS):
        stem, dot, extension = name.rpartition(".")
        name = stem if dot and extension.lower() in known else name
    return name
