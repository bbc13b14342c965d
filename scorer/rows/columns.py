"""Columns: the text column, those passed through, and the output's, all in one tuple."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from scorer.base.errors import UsageError
from scorer.base.look_alikes import appearance, shell_word
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.base.text import alternatives, did_you_mean, shown_source
from scorer.rows.header import Header
from scorer.rows.record import Cell, Parsed, Reason, ScoredRecord, Value

TEXT_COLUMNS = ("text", "review", "content", "body", "comment")
"""Names of a text column that is found without --text; a file must have exactly one of them."""

ID = "id"
ALL = "*"
STAGE = "stage"
ROW = "row"
REJECT = "reject"
_TELLING = {"label", "labels", "score"}
"""Names of columns that show the task of an output."""

Type = Literal["integer", "optional", "number", "boolean", "text", "labels", "explanation", "carried"]
"""Type of a column's cells: int, int or None, float with 6 decimals, bool, str, a tuple of str, or an explanation in its
JSON form, which text formats write as JSON; ``carried`` is the input's own type."""

SPELLINGS: Mapping[Type, Callable[[Any], str]] = {
    "integer": str,
    "number": "{:z.6f}".format,  # no minus before a number that is rounded to 0
    "boolean": lambda cell: "true" if cell else "false",
}
"""Functions that write cells in text formats, by type; each format writes text and labels in its own way."""


class Column(NamedTuple):
    """A column of the output.

    Attributes:
        name: unique name.
        type: type of its cells.
        value: function that returns its cell of a row.
    """

    name: str
    type: Type
    value: Callable[[ScoredRecord], Cell]


Formatter = Callable[[Sequence[ScoredRecord]], bytes]
"""Function that formats rows; the bytes do not depend on earlier rows."""


@dataclass(frozen=True)
class Wanted:
    """Columns that the command line asks for.

    Attributes:
        text: text column (--text); None to look for one of `TEXT_COLUMNS`.
        keep: columns to pass through (--keep), in order; ``*`` is all columns of the first record, including the text.
        details: whether to write tokens, truncated, the stage, the windows and each label's probability.
        option: option that names the text column, for messages; None if its name is fixed. In Python it ends in ``=``.
        source: whether to write each row's input file.
        reject: whether to write why a row has no score, for tables, which keep such rows.
        escape_formulas: whether to escape passed-through cells that a spreadsheet would take for a formula.
        needed: columns that must exist and are passed through; the option that names each, or None if its name is fixed.
        optional: columns to pass through if they exist.
        keep_existing: whether each column of ``keep`` must exist in the first file or a later one.
    """

    text: str | None = None
    keep: tuple[str, ...] = ()
    details: bool = False
    option: str | None = "--text"
    source: bool = False
    reject: bool = False
    escape_formulas: bool = False
    needed: Mapping[str, str | None] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    keep_existing: bool = True


@dataclass(frozen=True)
class Results:
    """Results of a model for each text, from which the output's columns follow.

    Attributes:
        task: kind of its answers.
        labels: label names in logit order, or names of the outputs of a regression.
        staged: whether the model has a cascade, so that details include the stage.
        windowed: whether the model reads long texts in windows, so that details include the one that decided.
        ordered: whether the labels are numbers, so that details include their mean under the probabilities.
    """

    task: Task
    labels: Sequence[str]
    staged: bool = False
    windowed: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class Selection:
    """Columns to read, chosen from those of the first record.

    Attributes:
        text: column to score.
        carried: columns to pass through, the id first if it exists.
    """

    text: str
    carried: tuple[str, ...]


Advise = Callable[[Sequence[str]], str]
"""Function that returns advice on reading a file otherwise so that it has columns of some names; empty for none."""


def no_advice(names: Sequence[str]) -> str:
    """Return no advice, for files that can be read in one way only."""
    return ""


def select(wanted: Wanted, header: Header, source: str, advise: Advise = no_advice) -> Selection:
    """Choose the text column and the columns to pass through.

    Args:
        wanted: columns asked for.
        header: first file's header, or the keys of its first valid record.
        source: name of that file, for messages.
        advise: function that returns advice on reading the file otherwise.

    Raises:
        UsageError: the text column or a needed one is missing, ambiguous, or in the header twice.

    >>> select(Wanted(keep=("stars",)), Header(("id", "review", "stars")), "a.csv")
    Selection(text='review', carried=('id', 'stars'))
    """
    columns = header.names
    text = wanted.text if wanted.text is not None else _find_text_column(columns, source, wanted.option, advise)
    check_needed({text: wanted.option, **wanted.needed}, columns, source, advise)
    kept = [name for asked in wanted.keep for name in (columns if asked == ALL else [asked])]
    kept += [*wanted.needed, *wanted.optional]
    carried = tuple(dict.fromkeys([ID, *kept] if ID in columns and text != ID else kept))
    selection = Selection(text, carried)
    check_unambiguous(selection, wanted, header, source)
    return selection


def check_needed(
    needed: Mapping[str, str | None], columns: Collection[str], source: str, advise: Advise = no_advice
) -> None:
    """Raise `UsageError` if a needed column is missing.

    Args:
        needed: options that name the columns, or None, by column.
        columns: column names of a file, or keys of a record.
        source: name of the file or place of the record, for messages.
        advise: function that returns advice on reading the file otherwise.
    """
    for name, option in needed.items():
        if name not in columns:
            otherwise = f"name the one to use with {option}." if option else "rename the column that holds it."
            there = tuple(columns)
            raise UsageError(
                f"{source} has no column {name!r}; {did_you_mean(name, there, otherwise, option)} It has: {shown_names(there)}."
                f"{advise([name])}"
            )


def check_unambiguous(selection: Selection, wanted: Wanted, header: Header, source: str) -> None:
    """Raise `UsageError` if a file states a needed column more than once.

    With ``--keep '*'``, columns that are named apart are all passed through, so only the text's must be the only one.
    """
    for needed in (selection.text, *selection.carried):
        names = header.repeated.get(needed, ())
        others = [name for name in names if name != needed]
        option = wanted.option if needed == selection.text else wanted.needed.get(needed, "--keep")
        if names and not (others and ALL in wanted.keep and needed != selection.text):
            another = f", or name a later one, as in {option} {shlex.quote(others[0])}" if others and option else ""
            raise UsageError(
                f"{source} has the column {_shown(needed)} more than once; rename all but the one to use{another}."
            )


def without_records(wanted: Wanted) -> Selection:
    """Return the selection for an input without a single record."""
    return Selection(wanted.text or TEXT_COLUMNS[0], tuple(dict.fromkeys(k for k in wanted.keep if k != ALL)))


def output_columns(selection: Selection, results: Results, wanted: Wanted) -> tuple[Column, ...]:
    """Return the output's columns, in order; a passed-through name that clashes with another one gets ``input_``.

    Names that differ only in case clash as well: DuckDB, Spark and most databases treat them as one.
    Every format derives its header, types, escaping and cells from these columns.

    Args:
        selection: text column and columns to pass through.
        results: results of the model.
        wanted: columns asked for.

    >>> two = Results("single_label", ["negative", "positive"])
    >>> columns = output_columns(Selection("text", ("id", "label")), two, Wanted())
    >>> [(column.name, column.type) for column in columns[1:4]]
    [('id', 'carried'), ('input_label', 'carried'), ('label', 'text')]
    >>> [column.name for column in output_columns(Selection("text", ("Score", "stars", "Stars")), two, Wanted())]
    ['row', 'input_Score', 'stars', 'input_Stars', 'label', 'score']
    >>> [column.name for column in output_columns(Selection("text", ("label",)), Results("regression", ["score"]), Wanted())]
    ['row', 'input_label', 'score']
    """
    before = [Column(ROW, "integer", lambda scored: scored.record.row)]
    if wanted.source:
        before.append(Column("source", "text", lambda scored: shown_source(scored.record.position.source)))
    after = _of_results(results, wanted.details)
    if wanted.reject:
        after.append(Column(REJECT, "text", lambda scored: None))
    taken = {column.name.casefold() for column in (*before, *after)}
    if results.task != SINGLE_LABEL:
        taken |= _TELLING  # otherwise a kept column would make the output look like one of another task
    carried = []
    for at, name in enumerate(selection.carried):
        while name.casefold() in taken:
            name = f"input_{name}"
        taken.add(name.casefold())
        carried.append(Column(name, "carried", _carried(at)))
    return (*before, *carried, *after)


def _carried(at: int) -> Callable[[ScoredRecord], Cell]:
    return lambda scored: scored.record.carried[at]


def _of_results(results: Results, wants_details: bool) -> list[Column]:
    """Return the columns of a model's results, in order."""
    score = Column("score", "number", attrgetter("score"))
    each = [Column(f"score_{label}", "number", _value(at)) for at, label in enumerate(results.labels)]
    details = [
        Column("tokens", "integer", attrgetter("tokens")),
        Column("truncated", "boolean", attrgetter("truncated")),
    ]
    if results.staged:
        details.append(Column(STAGE, "text", attrgetter("stage")))
    if results.windowed:
        details += [
            Column("windows", "integer", attrgetter("windows")),
            Column("decided_by", "optional", lambda scored: scored.decided_by or None),
            Column("decided_start", "optional", _character(0)),
            Column("decided_end", "optional", _character(1)),
        ]
    if results.ordered:
        details.append(Column("expected", "number", _mean(list(map(float, results.labels)))))
    if results.task == SINGLE_LABEL:
        label = Column("label", "text", attrgetter("label"))
        return [label, score, *details, *each] if wants_details else [label, score]
    first = [Column("labels", "labels", attrgetter("label"))] if results.task == MULTI_LABEL else []
    scores = [score] if results.task == REGRESSION and len(each) == 1 else each
    return [*first, *details, *scores] if wants_details else [*first, *scores]


def _value(at: int) -> Callable[[ScoredRecord], Cell]:
    return lambda scored: float(scored.values[at])


def _character(at: int) -> Callable[[ScoredRecord], Cell]:
    """Return the function that finds the begin (0) or the end (1) of a row's deciding window."""
    return lambda scored: None if scored.characters is None else scored.characters[at]


def _mean(numbers: Sequence[float]) -> Callable[[ScoredRecord], Cell]:
    """Return the function that computes the mean of numbers under a row's probabilities."""
    return lambda scored: float(sum(value * number for value, number in zip(scored.values, numbers, strict=True)))


def take(selection: Selection, parsed: Parsed) -> "tuple[str, tuple[Value | None, ...]] | Reason":
    """Return a parsed record's text and passed-through values, or the reason to reject it."""
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
    if not text or text.isspace():
        return "empty_text"
    return text, tuple(map(parsed.fields.get, selection.carried))


def _find_text_column(columns: Sequence[str], source: str, option: str | None, advise: Advise) -> str:
    found = [name for name in TEXT_COLUMNS if name in columns]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{source} has several columns that may hold the text: {shown_names(found)}. Name the one to use with {option}."
        )
    alike = next((name for name in columns if appearance(name).casefold() in TEXT_COLUMNS), None)
    advice = f"Name the text column with {option}" + (f", as in {_given(option, alike)}." if option and alike else ".")
    raise UsageError(
        f"{source} has no column called {alternatives(TEXT_COLUMNS)}. "
        f"It has: {shown_names(columns)}. {advice}{advise(TEXT_COLUMNS)}"
    )


def _given(option: str, name: str) -> str:
    """Return an option with a name, as a shell reads it, or Python, where an option ends in ``=``.

    >>> _given("--text", "Review"), _given("text=", "Review")
    ('--text Review', "text='Review'")
    """
    return f"{option}{name!r}" if option.endswith("=") else f"{option} {shell_word(name)}"


def shown_names(columns: Sequence[str], most: int = 20) -> str:
    more = len(columns) - most
    return (
        ", ".join(map(_shown, columns[:most])) + (f" and {more} more" if more > 0 else "") if columns else "no columns"
    )


def _shown(name: str, most: int = 60) -> str:
    return repr(name) if len(name) <= most else f"{name[:most]!r}..."
