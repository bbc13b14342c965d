"""Columns: the text's, those that are passed through, and all of the output's in one tuple."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from scorer.base.errors import UsageError
from scorer.base.text import meant, shown_source
from scorer.rows.record import Cell, Parsed, Reason, ScoredRecord, Value

TEXT_COLUMNS = ("text", "review", "content", "body", "comment")
"""What a text column may be called without --text; one of them has to be there, and only one."""

ID = "id"
ALL = "*"
STAGE = "stage"

Type = Literal["integer", "probability", "boolean", "text", "carried"]
"""Type of a column's cells: int, float of 6 decimals, bool, str; or the input's own, passed through."""

SPELLINGS: Mapping[Type, Callable[[Any], str]] = {
    "integer": str,
    "probability": "{:.6f}".format,
    "boolean": lambda cell: "true" if cell else "false",
}
"""Functions that write cells in text formats, by type; text is each format's own."""


class Column(NamedTuple):
    """A column of the output.

    Attributes:
        name: its name, unique.
        type: of its cells.
        value: gives its cell of a row.
    """

    name: str
    type: Type
    value: Callable[[ScoredRecord], Cell]


Formatter = Callable[[Sequence[ScoredRecord]], bytes]
"""Formats rows; the bytes do not depend on earlier rows."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line.

    Attributes:
        text: --text, or None to look for one of `TEXT_COLUMNS`.
        keep: --keep, in order; ``*`` stands for all columns of the first record, the text too.
        details: whether tokens, truncated, the stage and each label's probability are written too.
        option: what messages call the option that names the text column; None where its name is fixed.
        source: whether each row says which file it is from.
        escape_formulas: whether what a spreadsheet would take for a formula is made text, in passed-through columns.
        needed: columns that must exist and are passed through; by name, the option that names it, None where it is fixed.
        optional: columns that are passed through where they exist.
        keep_existing: whether a file's header must have each of ``keep``, or a later one's.
    """

    text: str | None = None
    keep: tuple[str, ...] = ()
    details: bool = False
    option: str | None = "--text"
    source: bool = False
    escape_formulas: bool = False
    needed: Mapping[str, str | None] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    keep_existing: bool = True


@dataclass(frozen=True)
class Selection:
    """Wanted columns, decided on the first record's columns.

    Attributes:
        text: the column that is scored.
        carried: the input columns passed through, the id first where there is one.
    """

    text: str
    carried: tuple[str, ...]


def select(wanted: Wanted, columns: Sequence[str], source: str) -> Selection:
    """Decide the text column and the columns passed through.

    Args:
        wanted: what was asked for.
        columns: of the first file's header, or the keys of its first valid record.
        source: that file, for messages.

    Raises:
        UsageError: the text column or a needed one is not there, cannot be told, or stands there twice.

    >>> select(Wanted(keep=("stars",)), ["id", "review", "stars"], "a.csv")
    Selection(text='review', carried=('id', 'stars'))
    """
    text = wanted.text if wanted.text is not None else _find_text_column(columns, source, wanted.option)
    for name, option in ((text, wanted.option), *wanted.needed.items()):
        if name not in columns:
            otherwise = f"name the one to use with {option}." if option else "rename the one that is meant."
            raise UsageError(
                f"{source} has no column {name!r}; {meant(name, columns, otherwise)} It has: {shown_names(columns)}."
                f"{other_reading(columns)}"
            )
    kept = [name for asked in wanted.keep for name in (columns if asked == ALL else [asked])]
    kept += [*wanted.needed, *wanted.optional]
    carried = tuple(dict.fromkeys([ID, *kept] if ID in columns and text != ID else kept))
    selection = Selection(text, carried)
    check_unambiguous(selection, columns, source)
    return selection


def check_unambiguous(selection: Selection, columns: Sequence[str], source: str) -> None:
    """Raise `UsageError` if a needed column stands in a file's header more than once."""
    counts = Counter(columns)
    for needed in (selection.text, *selection.carried):
        if counts[needed] > 1:
            raise UsageError(
                f"{source} has the column {_shown(needed)} more than once; rename one, so that it is clear which is meant."
            )


def without_records(wanted: Wanted) -> Selection:
    """The selection for an input that has no record to look at."""
    return Selection(wanted.text or TEXT_COLUMNS[0], tuple(dict.fromkeys(k for k in wanted.keep if k != ALL)))


def output_columns(
    selection: Selection, labels: Sequence[str], wanted: Wanted, *, staged: bool = False
) -> tuple[Column, ...]:
    """Decide the output's columns, in order; a passed-through name that clashes with another one gets ``input_``.

    Names that differ only in case clash too: DuckDB, Spark and most databases take them for one.
    Heads, types, escaping and cells of every format follow from these.

    Args:
        selection: the text column and the columns passed through.
        labels: label names, in logit order.
        wanted: what was asked for.
        staged: whether the model has a cascade, so that details name the stage of a score.

    >>> columns = output_columns(Selection("text", ("id", "label")), ["negative", "positive"], Wanted())
    >>> [(column.name, column.type) for column in columns[1:4]]
    [('id', 'carried'), ('input_label', 'carried'), ('label', 'text')]
    >>> [column.name for column in output_columns(Selection("text", ("Score", "stars", "Stars")), [], Wanted())]
    ['row', 'input_Score', 'stars', 'input_Stars', 'label', 'score']
    """
    before = [Column("row", "integer", lambda scored: scored.record.row)]
    if wanted.source:
        before.append(Column("source", "text", lambda scored: shown_source(scored.record.position.source)))
    after = [
        Column("label", "text", attrgetter("label")),
        Column("score", "probability", attrgetter("score")),
    ]
    if wanted.details:
        after.append(Column("tokens", "integer", attrgetter("tokens")))
        after.append(Column("truncated", "boolean", attrgetter("truncated")))
        if staged:
            after.append(Column(STAGE, "text", attrgetter("stage")))
        after += [Column(f"score_{label}", "probability", _probability(at)) for at, label in enumerate(labels)]
    taken = {column.name.casefold() for column in (*before, *after)}
    carried = []
    for at, name in enumerate(selection.carried):
        while name.casefold() in taken:
            name = f"input_{name}"
        taken.add(name.casefold())
        carried.append(Column(name, "carried", _carried(at)))
    return (*before, *carried, *after)


def _carried(at: int) -> Callable[[ScoredRecord], Cell]:
    return lambda scored: scored.record.carried[at]


def _probability(at: int) -> Callable[[ScoredRecord], Cell]:
    return lambda scored: float(scored.probabilities[at])


def take(selection: Selection, parsed: Parsed) -> "tuple[str, tuple[Value | None, ...]] | Reason":
    """A parsed record's text and passed-through values, or why it has to be rejected."""
    if parsed.problem is not None:
        return parsed.problem
    if parsed.duplicates and not parsed.duplicates.isdisjoint((selection.text, *selection.carried)):
        return "duplicate_key"
    value = parsed.fields.get(selection.text)
    if value is None:
        return "missing_text"
    text = value
    if not isinstance(text, str):
        if text.value is None:
            return "empty_text"
        if not text.is_text:
            return "not_text"
        text = str(text.value)
    if not text.strip():
        return "empty_text"
    return text, tuple(map(parsed.fields.get, selection.carried))


def _find_text_column(columns: Sequence[str], source: str, option: str | None) -> str:
    found = [name for name in TEXT_COLUMNS if name in columns]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{source} has {shown_names(found)}: name the one to use with {option}.")
    alike = next((name for name in columns if name.strip().casefold() in TEXT_COLUMNS), None)
    advice = f"Name the one to use with {option}" + (f", as in {option} {shlex.quote(alike)}." if alike else ".")
    raise UsageError(
        f"{source} has no column called {', '.join(TEXT_COLUMNS[:-1])} or {TEXT_COLUMNS[-1]}. It has: {shown_names(columns)}. "
        f"{advice}{other_reading(columns)}"
    )


def other_reading(columns: Sequence[str]) -> str:
    """What else may be wrong where the names look like no names."""
    if any("\0" in name for name in columns):
        return " The names hold zero bytes: check --encoding; UTF-16 looks like that."
    if len(columns) == 1 and any(char in columns[0] for char in ",;\t|"):
        return " If that is several columns, give --delimiter."
    if any(len(name) > 40 or name.strip().isdigit() for name in columns):
        return " If that is no header but data, say --no-header."
    return ""


def shown_names(columns: Sequence[str], most: int = 20) -> str:
    more = len(columns) - most
    return (
        ", ".join(map(_shown, columns[:most])) + (f" and {more} more" if more > 0 else "") if columns else "no columns"
    )


def _shown(name: str, most: int = 60) -> str:
    return repr(name) if len(name) <= most else f"{name[:most]!r}..."
