"""The row pipeline: records in windows through the model, in order, each scored or rejected exactly once."""

import contextlib
import time
from collections.abc import Callable, Sequence
from math import isnan
from typing import Protocol

from scorer.model.decision import scores
from scorer.model.scorer import Scores
from scorer.model.tokenizer import Tokens, unknown_share
from scorer.report.summary import Summary
from scorer.rows.columns import Formatter, Selection, Wanted, output_columns, without_records
from scorer.rows.record import Reject, ScoredRecord
from scorer.rows.rejects import format_reject
from scorer.rows.writer import TypedInput, carried_types, formatter
from scorer.run import chunks
from scorer.run.chunks import Model, Window, scored_ahead
from scorer.run.limits import Limits, _check_limit, _limit_passed, check_limits


class Reading(chunks.Reading, TypedInput, Protocol):
    """The part of `scorer.rows.reader.Reader` that the pipeline uses."""

    selection: Selection | None


class Sink(Protocol):
    """The part of `scorer.storage.output.Destination` that the pipeline uses; a window is one call."""

    def write(self, data: bytes) -> None: ...


def score_rows(
    reader: Reading,
    model: Model,
    output: Sink,
    rejects: Sink,
    *,
    output_format: str,
    wanted: Wanted,
    limits: Limits = Limits(),
    done: Summary | None = None,
    on_window: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Score the records of a reader and write them in order; nothing is published yet.

    Args:
        reader: of the records that are to be done.
        model: what scores them.
        output: where scored rows go.
        rejects: where rejected records go.
        output_format: of the output: ``csv``, ``tsv``, ``jsonl``, or ``parquet``, which is an Arrow stream here.
        wanted: columns.
        limits: on rejects.
        done: what an interrupted run did before these records; its rows are in the output already.
        on_window: is called whenever the rows of a window are written.

    Raises:
        RejectLimitPassed: ``limits.rejects`` is passed (at once) or ``limits.ratio`` is (at the end).
        InputError: every record was rejected, or the input cannot be read as a whole.
    """
    summary = done or Summary()
    start = time.monotonic()
    formats: tuple[bytes, Formatter] | None = None
    _check_limit(summary, limits)
    with contextlib.closing(scored_ahead(reader, model)) as ahead:
        for window in ahead:
            passed = _limit_passed(summary.rows_rejected + len(window.rejects), limits)
            # Waited for before anything is counted: counts that an interrupt finds go together.
            found = None if passed else window.result()
            summary.rows_in += len(window.rejects) + len(window.records)
            summary.rejected.update(reject.reason for reject in window.rejects)
            rejected = window.rejects
            rows: list[ScoredRecord] = []
            if found is not None:
                rows, unscored = _scored(window, found, model, summary)
                rejected = sorted([*rejected, *unscored], key=lambda reject: reject.row) if unscored else rejected
            if rejected:
                rejects.write(b"".join(map(format_reject, rejected)))
            _check_limit(summary, limits)
            with model.phases.timed("write"):
                if rows:
                    head, format_rows = formats = formats or _format(output_format, reader, model.labels, wanted)
                    # Rows that were written before stand below a head.
                    output.write((head if summary.rows_scored == len(rows) else b"") + format_rows(rows))
            summary.input_hash = window.input_hash
            summary.bytes_read = window.bytes_read
            summary.seconds = time.monotonic() - start
            on_window(summary)
    check_limits(summary, limits)
    if not summary.rows_scored:
        output.write(_format(output_format, reader, model.labels, wanted)[0])
    return summary


def _scored(
    window: Window, result: tuple[Tokens, Scores], model: Model, summary: Summary
) -> tuple[list[ScoredRecord], list[Reject]]:
    """The output's rows of a window, and what the device had no memory for; counts both."""
    tokens, found = result
    unknown_id = model.tokenizer.unknown_id
    rows: list[ScoredRecord] = []
    unscored: list[Reject] = []
    of_texts = zip(*tokens, *found, scores(found.probabilities).tolist(), strict=True)
    for record, (ids, truncated, label, probabilities, score) in zip(window.records, of_texts, strict=True):
        if isnan(score):
            unscored.append(record.reject("out_of_memory"))
            continue
        rows.append(ScoredRecord(record, len(ids), truncated, label, probabilities, score))
        summary.add_score(score)
        summary.duplicates += record.duplicate
        summary.labels[label] += 1
        summary.tokens += len(ids)
        summary.lengths.add(len(ids))
        summary.unknown.add(unknown_share(ids, unknown_id))
        summary.rows_truncated += truncated
    summary.examples.add(window.records, *found, names=model.labels, decision=model.decision)
    summary.rows_scored += len(rows)
    summary.rejected.update(reject.reason for reject in unscored)
    return rows, unscored


def _format(output_format: str, reader: Reading, labels: Sequence[str], wanted: Wanted) -> tuple[bytes, Formatter]:
    selection = reader.selection or without_records(wanted)
    columns = output_columns(selection, labels, wanted)
    types = carried_types(output_format, reader, selection.carried)
    return formatter(output_format, columns, types, escape_formulas=wanted.escape_formulas)
