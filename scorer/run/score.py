"""One `score` command from its checked arguments to its exit code."""

import os
import sys
from collections.abc import Callable

from scorer.base import signals
from scorer.base.errors import InputError, ScorerError
from scorer.base.messages import say
from scorer.base.progress import Progress
from scorer.model.bundle import Bundle
from scorer.model.decision import Decision
from scorer.model.scorer import Scorer
from scorer.report.drift import check_comparable
from scorer.report.summary import Summary
from scorer.rows.formats import PARQUET, Format, compression_of
from scorer.rows.reader import Reader, rows_known
from scorer.rows.writer import carried_types
from scorer.run.checkpoint import Work
from scorer.run.console import hints, show_progress, tell_drift, tell_notes, tell_result
from scorer.run.fingerprint import fingerprint
from scorer.run.journal import Header
from scorer.run.limits import RejectLimitPassed
from scorer.run.options import Arguments
from scorer.run.pipeline import score_rows
from scorer.run.record import RunRecord, failure
from scorer.run.resolve import STDERR, Plan, check_record_places, make_plan
from scorer.storage.atomic import Convert
from scorer.storage.inputs import is_repeatable, size_in
from scorer.storage.output import Destination, Packed, StreamDestination, destination, is_stream


class RecordMissing(ScorerError):
    """The output is there, and what was to be written about it is not. Exit code 1."""


def run(arguments: Arguments) -> int:
    """Check what can be checked without the model, then score and publish; the record is written whatever happens.

    Returns:
        0, or 3 if records were rejected or the drift is beyond its limit.

    Raises:
        ScorerError: with the exit code of what went wrong; nothing was published but rejects.
    """
    record = RunRecord(arguments)
    check_record_places(arguments)
    try:
        plan = record.plan = make_plan(arguments)
        return score_files(record, plan, lambda: open_scorer(arguments, plan.decision))
    except BaseException as error:
        try:
            record.write(*failure(error))
        except Exception as also:  # what went wrong first is what has to be told
            if not isinstance(error, RecordMissing):
                error.add_note(f"The record of the run is missing: {also}")
        raise


def score_files(record: RunRecord, plan: Plan, scorer_of: Callable[[], Scorer]) -> int:
    """Score and publish.

    Args:
        record: of the run; gets what is known of it.
        plan: of the run.
        scorer_of: gives what scores, once it is sure that no other run writes the output.

    Returns, raises: as `run`.
    """
    arguments = record.arguments
    reader = record.reader = Reader(plan.inputs, plan.wanted, arguments.limit)
    work_dir = arguments.work_dir
    output = record.output = destination(plan.output, _conversion(plan.output_format), work_dir=work_dir)
    rejects = record.rejects = _rejects_destination(plan.rejects, work_dir)
    tell: Callable[[str], None] = (lambda message: None) if arguments.quiet else say
    repeatable = all(map(is_repeatable, plan.inputs.files))
    with Work(output, rejects, repeatable=repeatable, work_dir=work_dir) as work:
        with record.phases.timed("load"):
            scorer = record.scorer = scorer_of()
        check_comparable(scorer.manifest, arguments.max_drift)
        if arguments.provider == "auto":
            tell(f"Taking {scorer.choice.precision} on {scorer.choice.provider}: {scorer.choice.reason}.")
        if scorer.choice.remark:
            tell(f"Note: {scorer.choice.remark}.")
        with record.phases.timed("count"):
            rows = _count(plan, record, arguments.limit)
        header = Header(fingerprint(arguments, scorer, plan, record.rows), reader.stamps)
        with record.phases.timed("skip"):
            first = record.rows[0] if record.rows is not None else 1
            done = work.begin(
                header, reader, scorer.journal_rows, restart=arguments.restart, tell=tell, before=first - 1
            )
        before = record.before = done.copy()
        record.summary = done
        with Progress("scoring", rows or _size(reader), quiet=arguments.quiet) as progress:
            progress.show(before.rows_in if rows else reader.bytes_read, "")
            if reader.selection is not None:  # types that do not go together are told at once
                carried_types(plan.output_format.kind, reader, reader.selection.carried)

            def on_window(summary: Summary) -> None:
                signals.check()
                reader.check_unchanged()
                work.commit(summary)
                record.pace.add(summary.seconds, summary.rows_in - before.rows_in, summary.tokens - before.tokens)
                show_progress(progress, summary.rows_in if rows else summary.bytes_read, summary, before)

            try:
                summary = score_rows(
                    reader,
                    scorer,
                    Packed(output, plan.output_format.compression),
                    Packed(rejects, compression_of(plan.rejects)),
                    output_format=plan.output_format.kind,
                    wanted=plan.wanted,
                    limits=plan.limits,
                    done=done,
                    on_window=on_window,
                )
            except RejectLimitPassed as error:
                work.publish_rejects()
                what = "The output stream is not complete" if is_stream(plan.output) else "Nothing was published"
                message = [str(error), f"{what}; the rejects are in {plan.rejects}.", *hints(reader)]
                raise RejectLimitPassed("\n".join(message)) from error
        reader.check_unchanged(all_files=True)
        if rows is not None and summary.rows_in != rows:
            raise InputError(f"{summary.rows_in:,} rows were read where the input said it has {rows:,}: it is damaged.")
        with record.phases.timed("publish"):
            work.publish(summary)
        exit_code = 3 if summary.rows_rejected or record.beyond else 0
        _write_record(record, exit_code, plan.output)
    if not arguments.quiet:
        tell_result(plan, summary, before)
        if arguments.max_drift is not None:
            tell_drift(record.drift or {}, arguments.max_drift)
        for line in scorer.remarks():
            say(line)
        tell_notes(reader, plan.remarks(arguments))
    return exit_code


def _count(plan: Plan, record: RunRecord, limit: int | None) -> int | None:
    """How many rows there are to score, where that is known; of a shard it is found out, and the reader told.

    Raises:
        InputError, UsageError, ScorerError: as reading the input does.
    """
    assert record.reader is not None
    known = rows_known(plan.inputs)
    if known is not None and limit is not None:
        known = min(known, limit)
    if plan.shard is None:
        return known
    record.total = record.reader.count() if known is None else known
    first, last = record.rows = plan.shard.rows(record.total)
    record.reader.restrict(first, last)
    return last - first + 1


def _write_record(record: RunRecord, exit_code: int, output: str) -> None:
    try:
        record.write(exit_code)
    except Exception as error:
        raise RecordMissing(
            f"{output} is published and complete, but not all of the record of the run: {error}"
        ) from error


def open_scorer(arguments: Arguments, decision: Decision, bundle: Bundle | None = None) -> Scorer:
    """What scores.

    Args:
        arguments: say how.
        decision: how labels are chosen.
        bundle: one that is loaded already; None for what the arguments name.

    Raises:
        BundleError, ProviderError, UsageError: as of `Scorer`.
    """
    if arguments.threads is not None:
        # The tokenizer's threads are set when the first text is tokenized, and only so.
        os.environ.setdefault("RAYON_NUM_THREADS", str(arguments.threads))
    return Scorer(
        bundle or arguments.model,
        provider=arguments.provider,
        precision=arguments.precision,
        threads=arguments.threads,
        devices=arguments.gpus,
        batch_tokens=arguments.batch_tokens,
        gpu_mem_limit=arguments.gpu_mem_limit and arguments.gpu_mem_limit * 1_000_000,
        arena_strategy=arguments.arena_strategy,
        decision=decision,
    )


def _conversion(output_format: Format) -> Convert | None:
    """Parquet has its directory at the end, so it is made when all rows are there."""
    if output_format.kind != PARQUET:
        return None
    from scorer.rows.parquet_writer import to_parquet  # pyarrow takes a moment that others need not wait

    return to_parquet


def _rejects_destination(place: str, work_dir: str | None) -> Destination:
    if place != STDERR:
        return destination(place, work_dir=work_dir)
    if sys.stderr is None:
        raise ScorerError("stderr is closed, where rejects would go; name a file with --rejects.")
    return StreamDestination(sys.stderr.buffer, close=False)


def _size(reader: Reader) -> int | None:
    """Bytes of all files as they were stored in the beginning, where that is known."""
    sizes = [size_in(reader.stamps[path]) for path in reader.inputs.files]
    return None if None in sizes else sum(filter(None, sizes))
