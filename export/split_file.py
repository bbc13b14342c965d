"""The file that records which texts of a single file are tested with, so that every later training tests with the same."""

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.data import Row, labels_in, task_of
from scorer.base.messages import print_message
from scorer.base.task import REGRESSION
from scorer.base.text import text_digest
from scorer.storage.atomic import cannot_be_written, publish_folder

NAME = "split.csv"
"""Name of the file."""

TRAIN, TEST = "train", "test"
"""Values of its column ``part``."""

_HEADER = ["row", "id", "part", "text_hash"]


@dataclass(frozen=True)
class Recorded:
    """A recorded choice of test texts.

    Attributes:
        path: file that records it.
        is_test: whether each row is tested with, bool (rows,).
        is_new: whether the choice was made now.
    """

    path: Path
    is_test: np.ndarray
    is_new: bool


def recorded(rows: Sequence[Row], folder: Path, what: str, choose: Callable[[], np.ndarray]) -> Recorded:
    """Return the recorded choice of test texts; without any, make it and record it.

    The folder's name follows from the texts and not from their order, their labels, or the name of their file. So
    corrected labels and another encoder are tested with the same texts.

    Args:
        rows: all texts.
        folder: folder of all records.
        what: everything but the texts that the choice depends on.
        choose: function that makes the choice, bool (rows,).

    Raises:
        ScorerError: the record cannot be read or written.
    """
    hashes = [text_digest(row.text, 8).hex() for row in rows]
    key = text_digest("\n".join([what, *sorted(map(_with_origin, hashes, rows))]), 8).hex()
    for place in _places(folder / key):
        path = place / NAME
        if not path.exists():
            is_test = choose()
            _write(place, rows, hashes, is_test)
            return Recorded(path, is_test, True)
        parts = _read(path)
        problem = _problem(parts, rows, hashes)
        if problem is None:
            return Recorded(path, np.array([parts[one] == TEST for one in hashes], dtype=bool), False)
        print_message(
            f"{path} does not fit these texts: {problem}. It is ignored; remove its folder if nothing needs it.",
            "warning",
        )
    raise AssertionError("the places never end")


def _with_origin(digest: str, row: Row) -> str:
    return f"{digest} {row.origin}"


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    for number in itertools.count(2):
        yield folder.with_name(f"{folder.name}-{number}")


def _read(path: Path) -> dict[str, str]:
    """Return the part of each text, by its hash; a text that is in both has none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise cannot_be_written(path, error) from error
    except (UnicodeDecodeError, csv.Error):
        return {}
    parts: dict[str, str] = {}
    for line in lines:
        digest, part = (str(line.get(name, "")) for name in ("text_hash", "part"))
        parts[digest] = part if parts.get(digest, part) == part else ""
    return parts


def _problem(parts: dict[str, str], rows: Sequence[Row], hashes: Sequence[str]) -> str | None:
    """Return why a record cannot be used, in words; None if it can."""
    if parts.keys() != set(hashes):
        return "it lists other texts"
    if not set(parts.values()) <= {TRAIN, TEST}:
        return f"a text has no part, which is {TRAIN} or {TEST}, or is in both"
    if set(parts.values()) != {TRAIN, TEST}:
        return "all of its texts are in one part"
    if task_of(rows) == REGRESSION:
        return None
    train, test = (
        labels_in([row for row, one in zip(rows, hashes, strict=True) if parts[one] == part]) for part in (TRAIN, TEST)
    )
    return f"no text to train on has the label {min(test - train)} now" if test - train else None


def _write(folder: Path, rows: Sequence[Row], hashes: Sequence[str], is_test: np.ndarray) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for number, (row, digest, tested) in enumerate(zip(rows, hashes, is_test, strict=True), start=1):
        writer.writerow([number, row.id, TEST if tested else TRAIN, digest])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(folder.parent, error) from error
    publish_folder(
        folder, {NAME: text.getvalue().encode("utf-8", "backslashreplace")}
    )  # an id may have half a surrogate pair
