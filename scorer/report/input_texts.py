"""Texts of rows that a comparison shows, read from the inputs that were scored."""

from collections.abc import Collection

from scorer.base.errors import UsageError
from scorer.base.text import first_few, shown_source
from scorer.report.examples import beginning
from scorer.rows.columns import ID, Wanted
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Record, plain


def texts_of(inputs: Inputs, by: str, keys: Collection[str], text: str | None) -> dict[str, str]:
    """Return the beginnings of the texts of some rows, by key.

    Args:
        inputs: inputs of the rows, in the order in which they were scored.
        by: ``id`` or ``row``, the key of a row.
        keys: keys of the rows.
        text: name of the text column; None for one of the usual names.

    Raises:
        UsageError: the inputs lack a column, or have none of the rows.
        InputError: an input cannot be read.
    """
    found: dict[str, str] = {}
    reader = Reader(inputs, Wanted(text=text, needed={ID: None} if by == ID else {}))
    for record in reader:
        if len(found) == len(set(keys)):
            break
        if isinstance(record, Record):
            assert reader.selection is not None, "a record has columns"
            key = plain(record.carried[reader.selection.carried.index(ID)]) if by == ID else str(record.row)
            if key in keys:
                found.setdefault(str(key), beginning(record.text))
    if keys and not found:
        names = first_few(inputs.files, 3, shown_source)
        raise UsageError(
            f"no {by} of the rows to show is in {names}. Name the inputs that the outputs were scored from."
        )
    return found
