"""Comparisons of two outputs of `score`: of last night and tonight, int8 and fp32, an old bundle and a new one."""

from collections.abc import Iterator

from scorer.base.errors import InputError, UsageError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.report.comparison import Comparison
from scorer.report.input_texts import texts_of
from scorer.report.join import by_id, by_row
from scorer.report.label_comparison import LabelComparison
from scorer.report.scored_file import ROW, Layout, Output
from scorer.report.set_comparison import SetComparison
from scorer.report.value_comparison import ValueComparison
from scorer.rows.columns import ID
from scorer.rows.reader import Inputs

_RESULTS: dict[Task, str] = {
    SINGLE_LABEL: "one label a row (columns label and score)",
    MULTI_LABEL: "any number of labels a row (columns labels and score_<label>)",
    REGRESSION: "values (column score or score_<output>, no labels)",
}


def compare(
    before: str,
    after: str,
    *,
    by: str = "auto",
    text: str | None = None,
    inputs: Inputs | None = None,
    most: int = 10,
    needs_labels: bool = False,
) -> Comparison:
    """Join two outputs and count their differences.

    Files joined by ``row`` are read side by side. With ``id``, the results and ids of the first file are held in memory
    while the second is read. Values are held in memory in any case.

    Args:
        before, after: names of the outputs: CSV, TSV, JSONL or Parquet, compressed or not.
        by: ``id``, ``row``, or ``auto`` for the id if both outputs have one.
        text: name of a kept column, or of the text column of the inputs, to show with rows; None for one of the usual names.
        inputs: inputs that the outputs were scored from; None to show texts that the outputs have.
        most: largest number of rows to show that flipped, and of others that moved most.
        needs_labels: whether outputs without labels are refused (--max-flips).

    Raises:
        UsageError: a file is missing, or is not an output of `score`, or the outputs are of different tasks.
        InputError: a row is invalid, its key is ambiguous, or no row is in both outputs.
    """
    kept = text if inputs is None else None
    one_output, other_output = Output(before, kept), Output(after, kept)
    if by == "auto":
        by = ID if one_output.has_ids and other_output.has_ids else ROW
    found = _comparison(one_output, other_output, by, most)
    if needs_labels and found.flipped is None:
        raise UsageError(f"--max-flips needs outputs with labels, but {before} and {after} have values.")
    first, second = one_output.rows(by), other_output.rows(by)
    for one, other in by_id(first, second, (before, after)) if by == ID else by_row(first, second):
        if one is not None and other is not None:
            found.add(one, other)
        elif one is not None:
            found.only_before.add(one.key)
        elif other is not None:
            found.only_after.add(other.key)
    if not found.rows:
        raise InputError(
            f"no {by} of {before} is in {after}, so there is nothing to compare. Are both outputs of the same rows?"
        )
    if inputs is not None:
        found.texts = texts_of(inputs, by, {moved.after.key for moved in found.shown}, text)
    return found


def _comparison(before: Output, after: Output, by: str, most: int) -> Comparison:
    """Return an empty comparison for the task of two outputs."""
    # A file without a single column has no rows either, and fits any other.
    known: list[Layout] = [output.layout for output in (before, after) if output.layout is not None]
    if len({layout.task for layout in known}) > 1:
        first, second = (_RESULTS[layout.task] for layout in known)
        raise UsageError(f"{before.path} has {first}, but {after.path} has {second}. Compare outputs of the same task.")
    task = known[0].task if known else SINGLE_LABEL
    if task == SINGLE_LABEL:
        return LabelComparison(by, most)
    names = known[0].names, known[-1].names
    return SetComparison(by, most, *names) if task == MULTI_LABEL else ValueComparison(by, most, *names)


def lines(found: Comparison, before: str, after: str) -> Iterator[str]:
    """Yield the lines that describe a comparison.

    Args:
        found: result of the comparison.
        before, after: names of the two outputs.
    """
    yield f"{found.rows:,} rows in both, joined by {found.by}"
    for path, missing in ((before, found.only_before), (after, found.only_after)):
        if missing.rows:
            more = ", ..." if missing.rows > len(missing.first) else ""
            yield f"{missing.rows:,} only in {path}: {found.by} {', '.join(missing.first)}{more}"
    yield from found.lines()
