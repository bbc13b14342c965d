"""Explained rows of a run: `score --explain`, after its last row is scored."""

from collections.abc import Callable
from typing import Any

from scorer.base import signals
from scorer.base.errors import UsageError
from scorer.base.progress import Progress
from scorer.base.task import REGRESSION
from scorer.base.text import counted, duration
from scorer.model.explanation import Explanation, forecast_seconds, weighed
from scorer.model.loaded import LoadedModel
from scorer.report.nearest import Nearest
from scorer.rows.columns import Wanted, output_columns
from scorer.rows.explained import explained_columns
from scorer.rows.record import ScoredRecord
from scorer.rows.writer import carried_types, formatter
from scorer.run.pipeline import Reading, results_of
from scorer.run.scored_chunk import scored_chunk


def check_explainable(model: LoadedModel) -> None:
    """Raise `UsageError` if a model gives numbers, which have no other label to be near to."""
    if model.interpretation.task == REGRESSION:
        raise UsageError("--explain needs a model that gives labels; this one gives numbers. Omit it.")


def explanations(
    nearest: Nearest, model: LoadedModel, *, quiet: bool, report: Callable[[str], None]
) -> dict[int, Explanation]:
    """Explain rows; return the explanations by row number, in the order of the rows.

    Args:
        nearest: rows to explain, with their records.
        model: model that scored them.
        quiet: whether to show no progress.
        report: function that prints what it costs to read their sentences, before they are read.
    """
    if not nearest.rows:
        return {}
    numbers = [row.row for row in nearest.rows]
    given = [nearest.records[number].text for number in numbers]
    texts = [one.shortened() for one in weighed(model, given, nearest.outcomes)]
    count = sum(len(one.sentences) for one in texts)
    if count:
        seconds = duration(forecast_seconds(model, texts), tenths=True)
        them = "it" if len(texts) == 1 else "them"
        report(
            f"Explaining {counted(len(texts), 'row')}: the encoder reads {them} again without each of {count:,} sentences, "
            f"in about {seconds}."
        )
    found = {}
    with Progress("explaining", len(texts), quiet=quiet) as progress:
        for done, (number, one) in enumerate(zip(numbers, texts, strict=True), start=1):
            signals.check()
            found[number] = one.with_sentences(model)
            progress.show(done, f"{done:,} rows")
    return found


def explained_rows(
    nearest: Nearest, found: dict[int, Explanation], model: LoadedModel, reader: Reading, kind: str, wanted: Wanted
) -> bytes:
    """Return the file of explained rows, the nearest first; Parquet as an Arrow stream.

    Args:
        nearest: rows, at least one, with their records.
        found: their explanations by row number.
        model: model that scored them.
        reader: reader of the records.
        kind: format of the file, that of the output.
        wanted: columns of the output.
    """

    def explanation(row: ScoredRecord) -> dict[str, Any]:
        return found[row.record.row].as_json()

    assert reader.selection is not None, "there is a row"
    columns = explained_columns(output_columns(reader.selection, results_of(model), wanted), explanation)
    types = carried_types(kind, reader, reader.selection.carried)
    records = [nearest.records[row.row] for row in nearest.rows]
    rows = scored_chunk(records, nearest.outcomes, model, details=wanted.details).rows
    head, format_rows = formatter(kind, columns, types, escape_formulas=wanted.escape_formulas)
    return head + format_rows(rows)
