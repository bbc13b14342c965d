"""The row pipeline: chunks of records pass through the model in order, each record scored or rejected exactly once."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Protocol

import numpy as np

from scorer.model.confidence import confidences, most_probable
from scorer.model.decision import UNCERTAIN
from scorer.model.interpretation import Interpretation, SingleLabel
from scorer.report.summary import Summary
from scorer.rows.columns import ID, Formatter, Results, Selection, Wanted, output_columns, without_records
from scorer.rows.record import Record, ScoredRecord
from scorer.rows.rejects import format_reject
from scorer.rows.uncertain import uncertain_columns
from scorer.rows.writer import TypedInput, carried_types, formatter
from scorer.run import chunks
from scorer.run.chunks import Model, scored_ahead
from scorer.run.limits import Limits
from scorer.run.scored_chunk import ScoredChunk, scored_chunk


class Reading(chunks.Reading, TypedInput, Protocol):
    """The part of `scorer.rows.reader.Reader` that the pipeline uses."""

    @property
    def selection(self) -> Selection | None: ...

    @property
    def empty_files(self) -> Sequence[str]: ...


class Sink(Protocol):
    """The part of `scorer.storage.output.Destination` that the pipeline uses; a chunk is one call."""

    def write(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class UncertainRows:
    """Sink for uncertain rows.

    Attributes:
        sink: sink of their bytes.
        kind: format of them: ``csv``, ``tsv`` or ``jsonl``.
    """

    sink: Sink
    kind: str


def score_rows(
    reader: Reading,
    model: Model,
    output: Sink,
    rejects: Sink,
    uncertain: UncertainRows | None = None,
    *,
    output_format: str,
    wanted: Wanted,
    limits: Limits = Limits(),
    done: Summary | None = None,
    on_chunk: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Score the records of a reader and write them in order, without publishing anything.

    Args:
        reader: reader of the records that remain.
        model: model that scores them.
        output: sink for scored rows.
        rejects: sink for rejected records.
        uncertain: sink for uncertain rows as well, which the output has too; None without --uncertain-rows.
        output_format: format of the output: ``csv``, ``tsv``, ``jsonl``, or ``parquet``, written as an Arrow stream.
        wanted: columns of the output.
        limits: limits on rejects and records.
        done: summary of an interrupted run over the records before these; its rows are in the output already.
        on_chunk: function called after the rows of each chunk are written.

    Returns:
        Summary of all rows, those of ``done`` included.

    Raises:
        RejectLimitPassed: ``limits.rejects`` is exceeded (raised at once), or ``limits.ratio`` (raised at the end).
        TooFewRows: there are fewer records than ``limits.least_rows``.
        InputError: every record was rejected, or the input cannot be read to its end.
    """
    summary = done or Summary()
    counts = summary.counts
    start = time.monotonic()
    table = _Table(output, lambda: _format(output_format, reader, model, wanted))
    doubtful = None
    if uncertain is not None:
        kind = uncertain.kind
        doubtful = _Table(uncertain.sink, lambda: _format_uncertain(kind, reader, wanted))
    limits.check_so_far(counts)
    with contextlib.closing(scored_ahead(reader, model)) as ahead:
        for chunk in ahead:
            passed = limits.passed(counts.rows_rejected + len(chunk.rejects))
            # Wait before counting anything, so that an interrupt finds consistent counts.
            found = None if passed else chunk.scored.result()
            counts.rows_in += len(chunk.rejects) + len(chunk.records)
            counts.rejected.update(reject.reason for reject in chunk.rejects)
            rejected = chunk.rejects
            rows: list[ScoredRecord] = []
            if found is not None:
                scored = scored_chunk(chunk.records, found, model, details=wanted.details)
                carried = reader.selection.carried if reader.selection is not None else ()
                _count(scored, chunk.records, carried, model.interpretation, summary)
                rows = scored.rows
                if scored.unscored:
                    rejected = sorted([*rejected, *scored.unscored], key=attrgetter("row"))
            if rejected:
                summary.examples.add_rejects(rejected)
                rejects.write(b"".join(map(format_reject, rejected)))
            limits.check_so_far(counts)
            with model.phases.timed("write"):
                if doubtful is not None:
                    doubtful.write(_uncertain(rows, model), counts.rows_uncertain)
                table.write(rows, counts.rows_scored)
            summary.input_hash = chunk.input_hash
            summary.bytes_read = chunk.bytes_read
            summary.seconds = time.monotonic() - start
            on_chunk(summary)
    limits.check(counts, reader.empty_files)
    if not counts.rows_scored:
        output.write(table.formats[0])
    return summary


@dataclass
class _Table:
    """Rows below a header.

    Attributes:
        sink: sink of their bytes.
        made: function that returns the header and the function that formats rows, called once there are rows.
    """

    sink: Sink
    made: Callable[[], tuple[bytes, Formatter]]

    @cached_property
    def formats(self) -> tuple[bytes, Formatter]:
        return self.made()

    def write(self, rows: Sequence[ScoredRecord], total: int) -> None:
        """Write the next rows, if there are any; ``total`` counts them and those that earlier chunks and runs wrote."""
        if rows:
            head, format_rows = self.formats
            self.sink.write((head if total == len(rows) else b"") + format_rows(rows))


def _count(
    found: ScoredChunk,
    records: Sequence[Record],
    carried: Sequence[str],
    interpretation: Interpretation,
    summary: Summary,
) -> None:
    """Count the records of a chunk, and draw examples of them.

    Args:
        found: results of the records.
        records: records, with and without a score.
        carried: names of the columns that they carry.
        interpretation: meaning of the model's logits.
        summary: summary to add to.
    """
    id_at = carried.index(ID) if ID in carried else None
    summary.examples.add(records, found.labels, found.values, interpretation, id_at)
    summary.by_column.add(carried, found.rows)
    if summary.nearest.most:
        summary.nearest.add(records, interpretation.doubt(found.values), found.outcomes)
    counts, rows, scored = summary.counts, found.rows, found.scored
    counts.rejected.update(reject.reason for reject in found.unscored)
    counts.rows_scored += len(rows)
    counts.duplicates += sum(row.record.duplicate for row in rows)
    counts.add_labels(row.label for row in rows)
    counts.add_scores(found.scores[scored])
    counts.add_outcomes(found.outcomes.of(scored))
    if isinstance(interpretation, SingleLabel):
        certain = np.ones(len(rows), dtype=bool)
        if interpretation.decision.has_doubt:
            certain = np.array([row.label != UNCERTAIN for row in rows], dtype=bool)
            counts.rows_uncertain += int((~certain).sum())
        counts.add_confidences(confidences(found.values[scored])[certain])


def _format(output_format: str, reader: Reading, model: Model, wanted: Wanted) -> tuple[bytes, Formatter]:
    selection = reader.selection or without_records(wanted)
    columns = output_columns(selection, results_of(model), wanted)
    types = carried_types(output_format, reader, selection.carried)
    return formatter(output_format, columns, types, escape_formulas=wanted.escape_formulas)


def _format_uncertain(kind: str, reader: Reading, wanted: Wanted) -> tuple[bytes, Formatter]:
    columns = uncertain_columns(reader.selection or without_records(wanted), wanted)
    return formatter(kind, columns, escape_formulas=wanted.escape_formulas)


def _uncertain(rows: Sequence[ScoredRecord], model: Model) -> list[ScoredRecord]:
    """Return the uncertain rows, each with its most probable label instead."""
    names = model.interpretation.labels
    return [
        replace(row, label=names[int(most_probable(np.array([row.values]))[0])])
        for row in rows
        if row.label == UNCERTAIN
    ]


def results_of(model: Model) -> Results:
    """Return the results of a model, from which the output's columns follow."""
    found = model.interpretation
    ordered = isinstance(found, SingleLabel) and found.ordered
    windowed = model.windows is not None
    return Results(found.task, found.labels, staged=model.has_cascade, windowed=windowed, ordered=ordered)
