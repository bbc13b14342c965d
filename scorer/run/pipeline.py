"""The row pipeline: records in chunks through the model, in order, each scored or rejected exactly once."""

import contextlib
import time
from collections.abc import Callable
from math import isnan
from typing import Protocol

from scorer.model.decision import scores
from scorer.model.scorer import StagedScores
from scorer.model.tokenizer import Tokens, unknown_share
from scorer.report.summary import Summary
from scorer.rows.columns import Formatter, Selection, Wanted, output_columns, without_records
from scorer.rows.record import Reject, ScoredRecord
from scorer.rows.rejects import format_reject
from scorer.rows.writer import TypedInput, carried_types, formatter
from scorer.run import chunks
from scorer.run.chunks import Chunk, Model, scored_ahead
from scorer.run.limits import Limits


class Reading(chunks.Reading, TypedInput, Protocol):
    """The part of `scorer.rows.reader.Reader` that the pipeline uses."""

    selection: Selection | None


class Sink(Protocol):
    """The part of `scorer.storage.output.Destination` that the pipeline uses; a chunk is one call."""

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
    on_chunk: Callable[[Summary], None] = lambda summary: None,
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
        on_chunk: is called whenever the rows of a chunk are written.

    Raises:
        RejectLimitPassed: ``limits.rejects`` is passed (at once) or ``limits.ratio`` is (at the end).
        InputError: every record was rejected, or the input cannot be read as a whole.
    """
    summary = done or Summary()
    counts = summary.counts
    start = time.monotonic()
    formats: tuple[bytes, Formatter] | None = None
    limits.check_so_far(counts)
    with contextlib.closing(scored_ahead(reader, model)) as ahead:
        for chunk in ahead:
            passed = limits.passed(counts.rows_rejected + len(chunk.rejects))
            # Waited for before anything is counted: counts that an interrupt finds go together.
            found = None if passed else chunk.scored.result()
            counts.rows_in += len(chunk.rejects) + len(chunk.records)
            counts.rejected.update(reject.reason for reject in chunk.rejects)
            rejected = chunk.rejects
            rows: list[ScoredRecord] = []
            if found is not None:
                rows, unscored = _scored(chunk, found, model, summary)
                rejected = sorted([*rejected, *unscored], key=lambda reject: reject.row) if unscored else rejected
            if rejected:
                rejects.write(b"".join(map(format_reject, rejected)))
            limits.check_so_far(counts)
            with model.phases.timed("write"):
                if rows:
                    head, format_rows = formats = formats or _format(output_format, reader, model, wanted)
                    # Rows that were written before stand below a head.
                    output.write((head if counts.rows_scored == len(rows) else b"") + format_rows(rows))
            summary.input_hash = chunk.input_hash
            summary.bytes_read = chunk.bytes_read
            summary.seconds = time.monotonic() - start
            on_chunk(summary)
    limits.check(counts)
    if not counts.rows_scored:
        output.write(_format(output_format, reader, model, wanted)[0])
    return summary


def _scored(
    chunk: Chunk, result: tuple[Tokens, StagedScores], model: Model, summary: Summary
) -> tuple[list[ScoredRecord], list[Reject]]:
    """The output's rows of a chunk, and what could not be scored after all; counts both."""
    tokens, found = result
    counts = summary.counts
    unknown_id = model.tokenizer.unknown_id
    rows: list[ScoredRecord] = []
    unscored: list[Reject] = []
    of_texts = zip(*tokens, *found, scores(found.probabilities).tolist(), strict=True)
    for record, (ids, truncated, empty, label, probabilities, early, score) in zip(
        chunk.records, of_texts, strict=True
    ):
        if isnan(score):
            unscored.append(record.reject("empty_text" if empty else "out_of_memory"))
            continue
        rows.append(ScoredRecord(record, len(ids), truncated, label, probabilities, score, bool(early)))
        counts.add_score(score)
        counts.duplicates += record.duplicate
        counts.labels[label] += 1
        counts.tokens += len(ids)
        if early:
            counts.rows_early += 1
            counts.tokens_early += len(ids)
        counts.lengths.add(len(ids))
        counts.unknown.add(unknown_share(ids, unknown_id))
        counts.rows_truncated += truncated
    summary.examples.add(chunk.records, found.labels, found.probabilities, names=model.labels, decision=model.decision)
    counts.rows_scored += len(rows)
    counts.rejected.update(reject.reason for reject in unscored)
    return rows, unscored


def _format(output_format: str, reader: Reading, model: Model, wanted: Wanted) -> tuple[bytes, Formatter]:
    selection = reader.selection or without_records(wanted)
    columns = output_columns(selection, model.labels, wanted, staged=model.has_cascade)
    types = carried_types(output_format, reader, selection.carried)
    return formatter(output_format, columns, types, escape_formulas=wanted.escape_formulas)
