"""The steps of one `score` run, from its options to its exit code."""

import os
import sys
import time
from collections.abc import Callable
from operator import attrgetter

from scorer.base import signals
from scorer.base.errors import ExitCode, InputError, ScorerError, exit_code_of
from scorer.base.messages import print_message
from scorer.base.progress import Progress
from scorer.base.timing import Phases
from scorer.model.bundle import Bundle
from scorer.model.decision import Decision
from scorer.model.explanation import Explanation
from scorer.model.loaded import LoadedModel
from scorer.report.drift import check_comparable
from scorer.report.forecast_history import Forecast, forecast_in
from scorer.report.summary import Counts, Summary
from scorer.report.throughput import Throughput
from scorer.rows.formats import PARQUET, Format, compression_of
from scorer.rows.reader import Reader, rows_known
from scorer.rows.writer import carried_types
from scorer.run.checkpoint import Beside, Work
from scorer.run.console import (
    report_cache,
    report_cascade,
    report_doubt,
    report_drift,
    report_explained,
    report_forecast,
    report_notes,
    report_rejects,
    report_result,
    report_windows,
    show_progress,
    warn_of_unseen,
)
from scorer.run.explain import check_explainable, explained_rows, explanations
from scorer.run.fingerprint import REJECTS, UNCERTAIN_ROWS, fingerprint
from scorer.run.journal import Header
from scorer.run.limits import RejectLimitPassed, TooFewRows
from scorer.run.options import ScoreOptions
from scorer.run.pipeline import UncertainRows, score_rows
from scorer.run.record import RunRecord, ShardRows, failure
from scorer.run.resolve import STDERR, Plan, check_record_places, make_plan
from scorer.storage.atomic import Convert
from scorer.storage.inputs import is_repeatable, size_in
from scorer.storage.output import Destination, Packed, StreamDestination, destination, is_stream, publish_or_remove


class RecordMissing(ScorerError):
    """Failure to write the record of a run whose output is published."""


def run(options: ScoreOptions) -> ExitCode:
    """Check everything possible without the model, then score and publish. The record is written whatever happens.

    Returns:
        `ExitCode.DONE`, or `ExitCode.WARNINGS` if records were rejected, the drift exceeds its limit, or --max-error does
        not hold.

    Raises:
        ScorerError: the run failed, with the exit code of the failure; at most its rejects were published.
        RecordMissing: the output was published, but its record cannot be written.
    """
    check_record_places(options)
    this = Run(options)
    try:
        this.forecast = None if options.forecast is None else forecast_in(options.forecast)
        plan = this.plan = make_plan(options)
        this.check_forecast(plan)
        return this.carry_out(plan, lambda: open_scorer(options, plan.decision))
    except BaseException as error:
        try:
            this.record().write(*failure(error))
        except Exception as also:  # the first error is the one to report
            if not isinstance(error, RecordMissing):
                error.add_note(f"The record of the run is incomplete: {also}")
        raise
    finally:
        this.close()


class Run:
    """One run. Its steps are `open`, `load`, `count`, `resume`, `score`, `explain` and `publish`, in this order.

    The results of each step are kept here, so that the record has them even if the next step fails.

    Args:
        options: options of the command.

    Attributes:
        plan: plan that the options resolve to; None until they are checked.
        summary: summary of all rows that are done.
        before: counts of the rows that an earlier, interrupted run did.
        forecast: forecast to compare the run with; None without --forecast.
        explanations: explanations of the rows that --explain asks for, by row number.
    """

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        self.plan: Plan | None = None
        self.summary = Summary()
        self.before = Counts()
        self.forecast: Forecast | None = None
        self.explanations: dict[int, Explanation] = {}
        self._started, self._clock = time.time(), time.monotonic()
        self._phases = Phases()
        self._throughput = Throughput()
        self._reader: Reader | None = None
        self._output: Destination | None = None
        self._rejects: Destination | None = None
        self._uncertain: Destination | None = None
        self._explained: Destination | None = None
        self._scorer: LoadedModel | None = None
        self._shard_rows: ShardRows | None = None

    def check_forecast(self, plan: Plan) -> None:
        """Drop a forecast of other inputs, with a note: its error would mislead later plans."""
        if self.forecast is not None and not self.forecast.is_of(plan.inputs.files):
            self._say(
                f"Note: --forecast {self.forecast.path} is a forecast of other inputs ({self.forecast.shown_inputs}), and is not "
                "compared with this run. Plan the inputs of this run."
            )
            self.forecast = None

    def carry_out(self, plan: Plan, scorer_of: Callable[[], LoadedModel]) -> ExitCode:
        """Score and publish.

        Args:
            plan: plan of the run.
            scorer_of: function that loads the model, called once no other run can write the output.

        Returns, raises: as for `run`.
        """
        self.plan = plan
        reader, work = self.open(plan)
        with work:
            scorer = self.load(scorer_of)
            rows = self.count(plan, reader)
            self.resume(plan, reader, scorer, work)
            self.score(plan, reader, scorer, work, rows)
            explained = self.explain(plan, reader, scorer)
            self.publish(work, explained)
            record = self.record()
            code = exit_code_of(warnings=record.has_warnings)
            _write(record, code, plan.output)
        if not self.options.quiet:
            self._print_result(plan, reader, scorer, record)
        if plan.wanted.keep_existing:
            warn_of_unseen(reader)
        return code

    def read(self, plan: Plan) -> Reader:
        """Open the input."""
        self._reader = Reader(plan.inputs, plan.wanted, self.options.limit)
        return self._reader

    def open(self, plan: Plan) -> tuple[Reader, Work]:
        """Open the input and the destinations of the output, without reading, locking or changing anything yet."""
        work_dir = self.options.work_dir
        reader = self.read(plan)
        self._output = destination(plan.output, _conversion(plan.output_format), work_dir=work_dir)
        self._rejects = _rejects_destination(plan.rejects, work_dir)
        beside = [Beside(REJECTS, "rejects", self._rejects, attrgetter("rows_rejected"))]
        if plan.uncertain is not None:
            self._uncertain = destination(plan.uncertain.place, work_dir=work_dir)
            beside.append(
                Beside(UNCERTAIN_ROWS, "uncertain rows", self._uncertain, attrgetter("rows_uncertain"), for_people=True)
            )
        if plan.explained is not None:
            self._explained = destination(plan.explained, _conversion(plan.output_format), work_dir=work_dir)
        repeatable = all(map(is_repeatable, plan.inputs.files))
        return reader, Work(self._output, beside, repeatable=repeatable, work_dir=work_dir)

    def load(self, scorer_of: Callable[[], LoadedModel]) -> LoadedModel:
        """Load the model, and print the provider and precision that were chosen."""
        with self._phases.timed("load"):
            scorer = self._scorer = scorer_of()
        self.summary = Summary(Counts.empty(scorer.interpretation.score_edges))
        if self.options.explain:
            check_explainable(scorer)
        check_comparable(scorer.manifest, self.options.max_drift)
        if self.options.provider == "auto":
            reason = f": {scorer.choice.reason}" if scorer.choice.reason else ""
            self._say(f"Using {scorer.choice.precision} on {scorer.choice.provider}{reason}.")
        if scorer.choice.remark:
            self._say(f"Note: {scorer.choice.remark}.")
        if scorer.cache is not None and scorer.cache.file.has_only_others:
            self._say(
                "Note: the cache has entries of another bundle, precision, version or CPU only, so every text is computed."
            )
        return scorer

    def count(self, plan: Plan, reader: Reader) -> int | None:
        """Return the number of rows to score, or None if the files do not state it.

        For a shard, count all records and restrict the reader to its range.

        Raises:
            InputError, UsageError, ScorerError: the input cannot be read.
        """
        with self._phases.timed("count"):
            known = rows_known(plan.inputs)
            if known is not None and self.options.limit is not None:
                known = min(known, self.options.limit)
            if self.options.shard is None:
                return known
            total = reader.count() if known is None else known
            first, last = self.options.shard.rows(total)
            self._shard_rows = ShardRows(total, first, last)
            reader.restrict(first, last)
            return last - first + 1

    def resume(self, plan: Plan, reader: Reader, scorer: LoadedModel, work: Work) -> None:
        """Resume an interrupted run of the same command, or start over."""
        rows = self._shard_rows
        first_and_last = (rows.first, rows.last) if rows is not None else None
        header = Header(fingerprint(self.options, scorer, plan, first_and_last), reader.stamps)
        with self._phases.timed("skip"):
            done = work.begin(
                header,
                reader,
                scorer.journal_rows,
                restart=self.options.restart,
                report=self._say,
                before=rows.first - 1 if rows is not None else 0,
            )
        self.summary = done or self.summary
        self.summary.nearest.most = self.options.explain
        self.before = self.summary.counts.copy()

    def score(self, plan: Plan, reader: Reader, scorer: LoadedModel, work: Work, rows: int | None) -> None:
        """Score the remaining records, and make them durable chunk by chunk.

        Raises:
            RejectLimitPassed: too many records were rejected; the rejects are published.
            TooFewRows: there are too few records.
            InputError: the input changed meanwhile, or has more or fewer rows than it states.
        """
        with Progress("scoring", rows or _size(reader), quiet=self.options.quiet) as progress:
            progress.show(self.before.rows_in if rows else reader.bytes_read, "")
            if reader.selection is not None:  # incompatible types must fail before the first row
                carried_types(plan.output_format.kind, reader, reader.selection.carried)

            def on_chunk(summary: Summary) -> None:
                signals.check()
                reader.check_unchanged()
                if scorer.cache is not None:  # rows that the journal calls done are in the cache
                    scorer.cache.file.wait()
                work.commit(summary)
                counts, before = summary.counts, self.before
                self._throughput.add(summary.seconds, counts.rows_in - before.rows_in, counts.tokens - before.tokens)
                show_progress(progress, counts.rows_in if rows else summary.bytes_read, summary, before)

            uncertain = None
            if plan.uncertain is not None:
                packed = Packed(work.beside[UNCERTAIN_ROWS].place, plan.uncertain.format.compression)
                uncertain = UncertainRows(packed, plan.uncertain.format.kind)
            try:
                score_rows(
                    reader,
                    scorer,
                    Packed(work.output, plan.output_format.compression),
                    Packed(work.beside[REJECTS].place, compression_of(plan.rejects)),
                    uncertain,
                    output_format=plan.output_format.kind,
                    wanted=plan.wanted,
                    limits=plan.limits,
                    done=self.summary,
                    on_chunk=on_chunk,
                )
            except RejectLimitPassed as error:
                work.publish_alone(REJECTS)
                message = [
                    str(error),
                    f"{_unpublished(plan)}; the rejects are in {plan.rejects}.",
                    *reader.notes.all_hints(),
                ]
                raise RejectLimitPassed("\n".join(message)) from error
            except TooFewRows as error:
                raise TooFewRows(f"{error}\n{_unpublished(plan)}.") from error
        reader.check_unchanged(all_files=True)
        read = self.summary.counts.rows_in
        if rows is not None and read != rows:
            raise InputError(f"the input is damaged: it states {rows:,} rows, but {read:,} were read.")

    def explain(self, plan: Plan, reader: Reader, scorer: LoadedModel) -> bytes:
        """Explain the rows that are nearest to another label, and return their file; empty without a row."""
        nearest = self.summary.nearest
        if not nearest.rows:
            return b""
        with self._phases.timed("explain"):
            self.explanations = explanations(nearest, scorer, quiet=self.options.quiet, report=self._say)
            return explained_rows(nearest, self.explanations, scorer, reader, plan.output_format.kind, plan.wanted)

    def publish(self, work: Work, explained: bytes) -> None:
        """Publish the output, and before it the files beside it.

        Args:
            work: work of the run.
            explained: file of explained rows; empty without one.
        """
        with self._phases.timed("publish"):
            if self._explained is not None:
                publish_or_remove(self._explained, explained)
            work.publish(self.summary)
        if self._scorer is not None and self._scorer.cache is not None:  # the record has what the run did to the cache
            self._scorer.cache.file.finish()

    def close(self) -> None:
        """Close the model's cache."""
        if self._scorer is not None:
            self._scorer.close()

    def record(self) -> RunRecord:
        """Return the record of the run as far as it is known now."""
        return RunRecord(
            options=self.options,
            plan=self.plan,
            reader=self._reader,
            scorer=self._scorer,
            output=self._output,
            rejects=self._rejects,
            uncertain=self._uncertain,
            explained=self._explained,
            summary=self.summary,
            explanations=self.explanations,
            before=self.before,
            shard_rows=self._shard_rows,
            forecast=self.forecast,
            seconds_by_phase=self._phases.seconds,
            throughput=self._throughput,
            started=self._started,
            seconds=time.monotonic() - self._clock,
        )

    def _print_result(self, plan: Plan, reader: Reader, scorer: LoadedModel, record: RunRecord) -> None:
        report_result(plan, self.summary, self.before, scorer.labels)
        report_windows(self.summary.counts)
        if scorer.cache is not None:
            report_cache(self.summary.counts, scorer.cache.file.settings.path, scorer.cache.damaged)
        if scorer.cascade is not None:
            report_cascade(self.summary.counts)
        if record.forecast is not None:
            report_forecast(record.forecast, record.seconds_taken)
        if self.options.max_drift is not None:
            report_drift(record.drift or {}, self.options.max_drift)
        report_doubt(record.doubt, self.summary.counts, plan.uncertain.place if plan.uncertain is not None else None)
        if plan.explained is not None:
            report_explained(len(self.explanations), plan.explained)
        report_rejects(plan, self.summary.counts)
        for line in scorer.remarks():
            print_message(line)
        report_notes(reader, plan.remarks(self.options))

    def _say(self, message: str) -> None:
        if not self.options.quiet:
            print_message(message)


def _write(record: RunRecord, code: ExitCode, output: str) -> None:
    try:
        record.write(code)
    except Exception as error:
        raise RecordMissing(f"{output} is published and complete, but the record of the run is not: {error}") from error


def _unpublished(plan: Plan) -> str:
    return "The output stream is incomplete" if is_stream(plan.output) else "Nothing was published"


def warn(message: str) -> None:
    """Print a problem that does not end the run."""
    print_message(f"Warning: {message}", "warning")


def open_scorer(
    options: ScoreOptions, decision: Decision, bundle: Bundle | None = None, report: Callable[[str], None] = warn
) -> LoadedModel:
    """Load the model, as the options ask.

    Args:
        options: options of the command.
        decision: rule that turns probabilities into labels.
        bundle: bundle that is loaded already; None for the one that the options name.
        report: function that reports a problem with the cache.

    Raises:
        BundleError, ProviderError, UsageError: as for `LoadedModel`.
    """
    if options.threads is not None:
        # The tokenizer reads its number of threads from here, once, when it tokenizes its first text.
        os.environ.setdefault("RAYON_NUM_THREADS", str(options.threads))
    return LoadedModel(
        bundle or options.model,
        provider=options.provider,
        precision=options.precision,
        threads=options.threads,
        device_id=options.device_id,
        batch_tokens=options.batch_tokens,
        gpu_mem_limit=options.gpu_mem_limit and options.gpu_mem_limit * 1_000_000,
        arena_strategy=options.arena_strategy,
        decision=decision,
        cascade=not options.no_cascade,
        cache=options.cache_settings,
        report=report,
    )


def _conversion(output_format: Format) -> Convert | None:
    """Return the conversion of the finished output; Parquet, whose footer comes last, is made from all rows at once."""
    if output_format.kind != PARQUET:
        return None
    from scorer.rows.parquet_writer import to_parquet  # pyarrow is slow to import, and other formats do without

    return to_parquet


def _rejects_destination(place: str, work_dir: str | None) -> Destination:
    if place != STDERR:
        return destination(place, work_dir=work_dir)
    if sys.stderr is None:
        raise ScorerError("rejects would go to stderr, but it is closed; name a file with --rejects.")
    return StreamDestination(sys.stderr.buffer, close=False)


def _size(reader: Reader) -> int | None:
    """Return the size of all input files as stored, in bytes, or None if one is unknown."""
    sizes = [size_in(reader.stamps[path]) for path in reader.inputs.files]
    return None if None in sizes else sum(filter(None, sizes))
