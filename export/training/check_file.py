"""The file of a check of labels: the input's records in the order of suspicion, with what the check found."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scorer.base.errors import ScorerError, UsageError
from scorer.rows.columns import TEXT_COLUMNS, Column
from scorer.rows.formats import PARQUET, Format, format_of
from scorer.rows.record import Cell, ScoredRecord
from scorer.rows.writer import formatter
from scorer.storage.compression import compress
from scorer.storage.output import STDOUT, is_stream, place_of, publish_bytes

if TYPE_CHECKING:  # the command checks the output before it loads PyTorch
    from export.labelled_records import LabelledRecords
    from export.training.check_labels import Checked

BEFORE = ("check", "suggested", "score")
"""Columns before those of the input: the reason to look at a record, the label that a model would give, and its probability."""

AFTER = ("set", "row")
"""Columns after those of the input: the number of a set of near duplicates that disagree, and that of the record."""


@dataclass(frozen=True)
class Names:
    """Names that the input's columns have in the file.

    Attributes:
        by_column: name of each column that is written, by its name in the input, in order.
        text, label: names of the columns of texts and labels.
    """

    by_column: Mapping[str, str]
    text: str
    label: str

    @property
    def is_text_found(self) -> bool:
        """Return whether `score-model train` finds the text column without its name."""
        return [name for name in self.by_column.values() if name in TEXT_COLUMNS] == [self.text]


def names_of(records: "LabelledRecords", label: str) -> Names:
    """Return the names of the input's columns, none of them that of a column of the check.

    If the input is the file of an earlier check, its columns of that check are replaced.

    Args:
        records: records of the input.
        label: name of the label column in the input.
    """
    own, given = {*BEFORE, *AFTER}, records.selection.carried
    kept = [name for name in given if name not in own] if own <= set(given) else list(given)
    taken, by_column = own | set(kept), {}
    for name in kept:
        new = name
        while new.casefold() in own or (new != name and new in taken):
            new = f"input_{new}"
        by_column[name] = new
    return Names(by_column, by_column[records.selection.text], by_column[label])


def check_output(path: str, *, overwrite: bool) -> Format:
    """Return the format of the file.

    Args:
        path: name of the file, checked by `scorer.storage.output.check_place`.
        overwrite: whether to replace an existing file.

    Raises:
        UsageError: the name shows no format of a spreadsheet's, or the file exists and must not be replaced.
        ScorerError: it cannot be read.
    """
    if path == STDOUT:
        raise UsageError("--output needs a file, to be corrected: to-check.csv, for example.")
    found = format_of(path, None, "--output")
    if found.kind == PARQUET:
        raise UsageError(
            f"--output {path}: no spreadsheet opens Parquet. Name a file that ends in .csv, .tsv or .jsonl."
        )
    if overwrite or is_stream(path):
        return found
    try:
        with place_of(path).opened() as stream:
            is_there = stream is not None and stream.read(1)
    except OSError as error:
        raise ScorerError(f"--output {path} exists and cannot be read: {error.strerror}.") from error
    if is_there:
        raise UsageError(
            f"--output {path} exists, and may hold labels that were corrected. Give --overwrite to replace it, or choose another "
            "name."
        )
    return found


def write_check(path: str, form: Format, records: "LabelledRecords", checked: "Checked", names: Names) -> None:
    """Publish the file, in one step.

    Raises:
        ScorerError: it cannot be written.
    """
    place = {name: at for at, name in enumerate(records.selection.carried)}
    suggested = [label or None for label in checked.suggested]
    scores = [None if math.isnan(score) else round(score, 4) for score in checked.scores.tolist()]
    columns = (
        Column("check", "text", _found(checked.reasons)),
        Column("suggested", "text", _found(suggested)),
        Column("score", "optional", _found(scores)),
        *(Column(new, "carried", _carried(place[name])) for name, new in names.by_column.items()),
        Column("set", "optional", _found([number or None for number in checked.sets.tolist()])),
        Column("row", "integer", lambda scored: scored.record.row),
    )
    head, rows = formatter(form.kind, columns)
    ordered = [ScoredRecord(records.records[number], 0, False, "", (), 0.0) for number in checked.order]
    publish_bytes(path, compress(head + rows(ordered), form.compression))


def _found(values: Sequence[Cell]) -> Callable[[ScoredRecord], Cell]:
    return lambda scored: values[scored.record.row - 1]  # every record is read, so its number is its place


def _carried(at: int) -> Callable[[ScoredRecord], Cell]:
    return lambda scored: scored.record.carried[at]
