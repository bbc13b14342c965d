"""The steps of `score --plan`: read the input, sample it, measure this machine, and forecast the run."""

import contextlib
import json
import os
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from scorer.base.cores import usable_cores
from scorer.base.errors import ExitCode, exit_code_of
from scorer.base.progress import Progress
from scorer.base.timing import Stopwatch
from scorer.forecast.counted import CountedInput, counted
from scorer.forecast.estimate import Costs, rows_of, seconds_of, with_unread_cache
from scorer.forecast.footers import drawn_input, groups_in
from scorer.forecast.read_texts import ReadTexts, read_texts
from scorer.forecast.report import Planned, content, report_plan
from scorer.forecast.sample import Sample
from scorer.forecast.speed import Speed, cache_seconds, durable_seconds, row_seconds, speed_of
from scorer.model.loaded import LoadedModel
from scorer.report.forecast_history import ENOUGH, Night, history_in, median_error
from scorer.rows.reader import Reader
from scorer.run.checkpoint import steps
from scorer.run.limits import RejectLimitPassed, TooFewRows
from scorer.run.options import ScoreOptions
from scorer.run.record import failure
from scorer.run.resolve import Plan, check_record_places, make_plan
from scorer.run.score import Run, open_scorer
from scorer.storage.inputs import size_in
from scorer.storage.output import publish_text


def forecast(options: ScoreOptions) -> ExitCode:
    """Forecast a run and print it; only its summary is written, whatever happens.

    Returns:
        `ExitCode.DONE`, or `ExitCode.WARNINGS` if the forecast exceeds --max-seconds, or the run would publish nothing.

    Raises:
        ScorerError: the forecast failed as the run would.
    """
    check_record_places(options)
    this = Forecasting(options)
    try:
        planned = this.planned()
    except BaseException as error:
        try:
            this.write(*failure(error), None)
        except Exception as also:  # the first error is the one to report
            error.add_note(f"The summary of the plan is incomplete: {also}")
        raise
    finally:
        this.run.close()
    code = exit_code_of(warnings=planned.is_late or planned.refusal is not None)
    if not options.quiet:
        report_plan(planned)
    this.write(code, None, planned)
    return code


class Forecasting:
    """Forecast of one run.

    Args:
        options: options of the run.

    Attributes:
        run: the run, of which only the first steps are carried out.
        history: earlier runs that had a forecast.
    """

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        self.run = Run(options)
        self.history: tuple[Night, ...] = ()

    def planned(self) -> Planned:
        """Count, sample and measure; return the forecast.

        Raises:
            ScorerError: the run would fail as well, or the input cannot be read.
        """
        options = self.options
        if options.forecast is not None:
            self.history = history_in(options.forecast)
        plan = self.run.plan = make_plan(options)
        reader = self.run.read(plan)
        watch = Stopwatch()
        with watch:
            scorer = self.run.load(lambda: open_scorer(_read_only(options), plan.decision, report=_ignore))
            rows = self.run.count(plan, reader)
        found = self._input(plan, reader, scorer, rows)
        computed, repeated = (read_texts(sample.texts, scorer) for sample in (found.computed, found.repeated))
        threads = options.threads or usable_cores()
        speed = speed_of(scorer, computed, threads)
        counts = rows_of(found, computed, repeated, windowed=scorer.windows is not None)
        problem = scorer.cache.file.problem if scorer.cache is not None else None
        if problem is not None:
            counts = with_unread_cache(counts, found.texts)
        costs = self._costs(plan, reader, scorer, Measured(watch.busy, found, (computed, repeated), speed))
        missed = median_error(self.history) if len(self.history) >= ENOUGH else None
        seconds = seconds_of(costs, counts.tokens_to_compute, speed, missed)
        return Planned(
            options,
            counts,
            seconds,
            _refusal(
                plan, reader, found, _without_token(found.computed, computed) + _without_token(found.repeated, repeated)
            ),
            problem,
            is_whole=found.is_whole,
            sampled=len(computed.ids) + len(repeated.ids),
            computed=speed.texts,
            history=self.history,
        )

    def _input(self, plan: Plan, reader: Reader, scorer: LoadedModel, rows: int | None) -> CountedInput:
        """Count all records; if the files state their number and no cache has to be asked, draw some of them."""
        if self.options.cache is None and rows is not None:
            shard = self.run.record().shard_rows
            first, last = (1, rows) if shard is None else (shard.first, shard.last)
            groups = groups_in(plan.inputs, first, last)
            if groups is not None:
                return drawn_input(groups, reader, scorer)
        sizes = [size_in(reader.stamps[path]) for path in plan.inputs.files]
        size = None if None in sizes else sum(filter(None, sizes))
        with Progress("planning", rows or size, quiet=self.options.quiet) as progress:
            found = counted(
                reader,
                scorer,
                cached_later=_is_added_to(self.options),
                on_chunk=lambda counts: progress.show(
                    counts.rows_in if rows else reader.bytes_read, f"{counts.rows_in:,} rows"
                ),
            )
        reader.check_unchanged(all_files=True)
        return found

    def _costs(self, plan: Plan, reader: Reader, scorer: LoadedModel, measured: "Measured") -> Costs:
        found = measured.found
        python = found.read_seconds + found.cache_seconds
        python += row_seconds(plan, reader, scorer, found.records) * found.texts.value
        if _is_added_to(self.options):
            adding, using = cache_seconds(limited=self.options.cache_max_rows is not None)
            python += adding * found.computed.rows + using * found.counts.rows_from_cache
        # Repeated texts are tokenized again, unless they are in the cache by then.
        again = 0 if _is_added_to(self.options) else found.repeated.rows
        tokenized = [
            rows / max(1, len(read.ids)) for rows, read in zip((found.computed.rows, again), measured.read, strict=True)
        ]
        cores = usable_cores()
        threads = self.options.threads or cores
        busy = threads if scorer.choice.provider == "cpu" else measured.speed.cores
        return Costs(
            before=measured.load,
            python=python,
            waiting=self._syncs(found, scorer) * durable_seconds(plan.output),
            tokenizing=sum(times * read.cores for times, read in zip(tokenized, measured.read, strict=True)),
            tokenizing_clock=sum(times * read.clock for times, read in zip(tokenized, measured.read, strict=True)),
            computing=0.0,
            share=min(1.0, busy / cores),
            cores=cores,
        )

    def _syncs(self, found: CountedInput, scorer: LoadedModel) -> int:
        """Return the number of times that the run waits for the disk."""
        rows, cached = found.counts.rows_in, found.counts.rows_from_cache
        syncs = steps(rows - cached, cached, scorer.journal_rows) * (2 + bool(found.counts.rows_rejected))
        if _is_added_to(self.options):  # a transaction for each chunk with new texts
            syncs += min(found.computed.rows, ceil(rows / scorer.chunk_rows))
        return syncs

    def write(self, code: ExitCode, error: str | None, planned: Planned | None) -> None:
        """Write the summary, if one is asked for."""
        place = self.options.summary
        if place is not None:
            found = content(self.run.record().content(code, error), planned, self.options, self.history)
            publish_text(place, json.dumps(found, indent=2, allow_nan=False) + "\n", self.options.work_dir)


@dataclass(frozen=True)
class Measured:
    """Input and speeds of a forecast.

    Attributes:
        load: seconds of loading the model, and of counting records for a shard.
        found: input that was counted.
        read: texts of its samples as the model reads them: those to compute, and repeated ones.
        speed: speed of computing.
    """

    load: float
    found: CountedInput
    read: tuple[ReadTexts, ReadTexts]
    speed: Speed


def _without_token(sample: Sample, read: ReadTexts) -> int:
    """Return the number of sampled texts that certainly have no token: the rest of a text that was cut may have some."""
    whole = [len(text) < sample.longest for text in sample.texts]
    return int((read.empty & np.array(whole, dtype=bool)).sum())


def _refusal(plan: Plan, reader: Reader, found: CountedInput, without_token: int) -> str | None:
    """Return the reason that the run would publish nothing; None if none is known.

    Args:
        plan: plan of the run.
        reader: reader of the input.
        found: input that was counted.
        without_token: sampled texts without a token, which the run certainly rejects.
    """
    counts = found.counts.copy()
    counts.rows_scored -= without_token
    if without_token:
        counts.rejected["empty_text"] += without_token
    try:
        if found.is_whole:
            plan.limits.check(counts, reader.empty_files)
        else:
            plan.limits.check_rows(counts.rows_in)
    except (RejectLimitPassed, TooFewRows) as error:
        return "\n".join([str(error), *reader.notes.all_hints()])
    return None


def _read_only(options: ScoreOptions) -> ScoreOptions:
    """Return options that leave the cache as it is; a cache that the run would create has nothing to look up."""
    if options.cache is None:
        return options
    exists = False
    with contextlib.suppress(OSError):
        exists = os.path.getsize(options.cache) > 0
    return replace(options, cache=options.cache if exists else None, cache_max_rows=None, cache_read_only=exists)


def _ignore(message: str) -> None:
    """Ignore a message on the cache, which is meant for a run: the forecast has a note of its own."""


def _is_added_to(options: ScoreOptions) -> bool:
    return options.cache is not None and not options.cache_read_only
