"""Part files of a folder, each scored to a part of the output folder, so that many machines can share the work.

    out/day=1/part-0.parquet                rows of .../day=1/part-0.jsonl, with its name and their numbers in it;
    out/_rejects/day=1/part-0.jsonl         rejects of the part, if there are any;
    out/_parts/day=1/part-0.json            note that the part is finished, with its fingerprint and counts;
    out/_SUCCESS                            note that all parts are finished.

A part is published as `score` publishes its output: completely or not at all. So any machine may score it, and any
number of them may die while doing so.
"""

import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from scorer.base.errors import ScorerError, UsageError
from scorer.rows.formats import COMPRESSIONS, FORMATS
from scorer.storage.address import is_address
from scorer.storage.inputs import expand, found_files, identity
from scorer.storage.names import beside
from scorer.storage.output import lies_in, place_of, publish_text

SUCCESS, REJECTS, NOTES = "_SUCCESS", "_rejects", "_parts"
_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Part:
    """Part: a file to score.

    Attributes:
        source: name of the file, as in the column ``source``.
        name: name below the output folder, without an extension: ``day=1/part-0``.
    """

    source: str
    name: str

    def file(self, folder: str, extension: str) -> str:
        """Return the name of the part's file below a folder.

        >>> Part("lake/day=1/a.csv", "day=1/a").file("scores", "parquet")
        'scores/day=1/a.parquet'
        """
        return beside(f"{folder}/{self.name}", f".{extension}")


def find_parts(inputs: Sequence[str]) -> list[Part]:
    """Find the files of some inputs, each named by its path below its folder or below a glob's first wildcard.

    Raises:
        UsageError: a file is missing, is a stream or is named twice, or two parts would have the same name.
        ScorerError: a folder or a store cannot be listed.
    """
    return parts_and_left_out(inputs)[0]


def parts_and_left_out(inputs: Sequence[str]) -> tuple[list[Part], list[str]]:
    """Return the parts as `find_parts` does, and the names ignored in folders; see `scorer.storage.inputs.Found`."""
    parts: dict[str, Part] = {}
    names: dict[Hashable, str] = {}
    left_out: list[str] = []
    for given in inputs:
        found = expand([given])
        left_out += found.left_out
        for source in found.files:
            if source == "-" or not (is_address(source) or os.path.isfile(source)):
                raise UsageError(
                    f"{source} is a stream; a part must be a file, which can be read again if a worker dies."
                )
            name = _without_extension(_below(given, source))
            before = names.setdefault(identity(source), name)
            if before != name:  # its rows would be in the output twice
                raise UsageError(f"{source} is named twice, by {given} and by an earlier input; name it once.")
            other = parts.setdefault(name, Part(source, name))
            if other.source != source:
                raise UsageError(
                    f"{other.source} and {source} would both become {name}; score them into different folders."
                )
    return list(parts.values()), left_out


def check_folder(folder: str, parts: Iterable[Part], inputs: Iterable[str], extension: str) -> None:
    """Refuse an output folder with files that are not of these parts, as readers of the folder would read them.

    Raises:
        UsageError: the folder has such files, is inside an input, or contains one.
    """
    for given in inputs:
        if lies_in(folder, given) or lies_in(given, folder):
            raise UsageError(f"--output {folder} and the input {given} overlap; write to another folder.")
    expected = {part.file(folder, extension) for part in parts}
    others = [name for name in found_files(folder) if name not in expected]
    if others:
        more = f" and {len(others) - 1:,} others" if len(others) > 1 else ""
        raise UsageError(
            f"--output {folder} contains files that are not among the {len(expected):,} parts of this run, but that readers "
            f"of the folder would read: {others[0]}{more}. Remove them, or write to another folder."
        )


def mark_incomplete(folder: str, work_dir: str | None = None) -> None:
    """Remove the ``_SUCCESS`` of an earlier run, if there is one, before any part changes."""
    place_of(f"{folder}/{SUCCESS}", work_dir).remove()


def mark_complete(folder: str, text: str = "", work_dir: str | None = None) -> None:
    """Write ``_SUCCESS`` once every part is published."""
    publish_text(f"{folder}/{SUCCESS}", text, work_dir)


def forget_others(folder: str, parts: Iterable[Part], work_dir: str | None = None) -> None:
    """Remove notes and rejects of parts that no longer exist, as they do not belong to the folder's rows."""
    parts = list(parts)
    for kind, extension in ((NOTES, "json"), (REJECTS, "jsonl")):
        expected = {part.file(f"{folder}/{kind}", extension) for part in parts}
        for path in found_files(f"{folder}/{kind}"):
            if path not in expected:
                place_of(path, work_dir).remove()


def make_folders(places: Iterable[str]) -> None:
    """Create the folders of files; stores have none.

    Raises:
        ScorerError: a folder cannot be created.
    """
    for folder in {os.path.dirname(place) for place in places if not is_address(place)}:
        try:
            os.makedirs(folder or ".", exist_ok=True)
        except OSError as error:
            raise ScorerError(f"the folder {folder} cannot be created: {error.strerror}.") from error


def _below(given: str, source: str) -> str:
    """Return the name of a found file below the given folder, file or glob.

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
    """Remove the extensions of compression and format.

    >>> [_without_extension(name) for name in ("day=1.5/a.csv.gz", "a.b.parquet", "part-0001", "a.gz")]
    ['day=1.5/a', 'a.b', 'part-0001', 'a']
    """
    for known in (COMPRESSIONS, FORMATS):
        stem, dot, extension = name.rpartition(".")
        name = stem if dot and extension.lower() in known else name
    return name
