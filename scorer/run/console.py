"""Messages on a run: its progress and, at the end, its results."""

from collections.abc import Mapping, Sequence

from scorer.base.messages import print_message
from scorer.base.progress import Progress
from scorer.base.text import counted, did_you_mean, duration, first_few, share, shown_source
from scorer.report.doubt import Doubt
from scorer.report.drift import MEASURES, Drift, passed
from scorer.report.forecast_history import Forecast
from scorer.report.summary import Counts, Summary, reasons, shown_results
from scorer.rows.columns import shown_names
from scorer.rows.reader import Reader
from scorer.run.resolve import STDERR, Plan
from scorer.storage.output import STDOUT

_MOST_NAMED = 5


def show_progress(progress: Progress, done: int, summary: Summary, before: Counts) -> None:
    """Show the progress of a run, and its speed since it started or resumed.

    Args:
        progress: progress bar.
        done: rows or bytes done, in the unit of the bar's total.
        summary: summary of all rows so far.
        before: counts of the rows that an earlier, interrupted run did.
    """
    seconds = max(summary.seconds, 1e-9)
    rows_in = summary.counts.rows_in
    rows = (rows_in - before.rows_in) / seconds
    tokens = (summary.counts.tokens - before.tokens) / seconds
    progress.show(
        done,
        f"{rows_in:,} rows, {rows:,.0f} rows/s, {tokens:,.0f} tokens/s",
        {"rows_in": rows_in, "rows_per_second": round(rows, 1), "tokens_per_second": round(tokens)},
    )


def report_result(plan: Plan, summary: Summary, before: Counts, names: Sequence[str]) -> None:
    """Print how many rows were scored and truncated.

    Args:
        plan: plan of the run.
        summary: summary of all rows.
        before: counts of the rows that an earlier, interrupted run did.
        names: label names of the model, or names of the outputs of a regression.
    """
    counts = summary.counts
    place = "stdout" if plan.output == STDOUT else plan.output
    seconds = duration(summary.seconds)
    rows = counts.rows_in - before.rows_in
    how = f"scored, the last {rows:,} in {seconds}" if before.rows_in else f"scored in {seconds}"
    results = shown_results(counts, names)
    found = {"event": "result", "rows_in": counts.rows_in, "rows_scored": counts.rows_scored}
    print_message(
        f"{counts.rows_scored:,} of {counts.rows_in:,} rows {how}, written to {place}"
        + (f": {results}." if results else "."),
        fields={**found, "rows_rejected": counts.rows_rejected},
    )
    if counts.rows_truncated:
        print_message(
            "1 text was longer than the model reads; its rest was ignored."
            if counts.rows_truncated == 1
            else f"{counts.rows_truncated:,} texts were longer than the model reads; the rest of each was ignored."
        )


def report_rejects(plan: Plan, counts: Counts) -> None:
    """Warn of rejects, with their reasons and their file."""
    if counts.rows_rejected:
        where = "listed above" if plan.rejects == STDERR else f"see {plan.rejects}"
        print_message(f"{counts.rows_rejected:,} rejected ({reasons(counts)}): {where}.", "warning")


def report_explained(rows: int, place: str) -> None:
    """Report the number of explained rows, and their file."""
    if rows:
        which = (
            "The row nearest to another label is" if rows == 1 else f"The {rows:,} rows nearest to another label are"
        )
        print_message(f"{which} explained in {place}.")


def report_windows(counts: Counts) -> None:
    """Report the texts that were read in several windows, if there are any."""
    if not counts.rows_in_windows:
        return
    texts = "1 text was" if counts.rows_in_windows == 1 else f"{counts.rows_in_windows:,} texts were"
    print_message(f"{texts} read in several windows; there were {counts.windows:,} in all.")


def report_cascade(counts: Counts) -> None:
    """Report the rows that the wide part of a cascade decided alone, if there are any."""
    if not counts.rows_early:
        return
    share = counts.tokens_early / counts.tokens
    print_message(f"The wide part alone decided {counts.rows_early:,} rows, with {share:.1%} of the tokens.")


def report_cache(counts: Counts, path: str, damaged: int = 0) -> None:
    """Report the share of rows from a cache, and warn of its damaged entries.

    Args:
        counts: counts of all rows.
        path: file of the cache.
        damaged: number of entries that were damaged.
    """
    rows, file = counts.rows_from_cache, shown_source(path)
    if rows:
        print_message(f"{counted(rows, 'row')} ({share(rows, counts.rows_scored)}) came from the cache {file}.")
    elif counts.rows_scored:
        print_message(f"No row came from the cache {file}.")
    if damaged:
        entries = "1 entry of the cache was" if damaged == 1 else f"{damaged:,} entries of the cache were"
        print_message(f"Warning: {entries} damaged, and computed again.", "warning")


def report_forecast(forecast: Forecast, seconds: float | None) -> None:
    """Compare the forecast with the time that a run took; ``seconds`` is None if it resumed another one."""
    expected = f"The forecast was {duration(forecast.seconds.value, tenths=True)}"
    if seconds is None:
        print_message(f"{expected}, for a run that resumes none.")
        return
    error = forecast.as_json(seconds)["error"]
    missed = "" if error is None else f", {abs(error):.0%} too {'long' if error > 0 else 'short'}"
    print_message(f"{expected}{missed}: the run took {duration(seconds, tenths=True)}.")


def report_drift(drift: Mapping[str, Drift], limit: float) -> None:
    """Warn of each measure whose drift exceeds the limit."""
    beyond = [
        f"{MEASURES[name]} {drift[name].psi:.3f} (chance alone: up to {drift[name].by_chance:.3f})"
        for name in passed(drift, limit)
    ]
    if beyond:
        print_message(
            f"Drift from the model's test data exceeds --max-drift {limit:g}: {', '.join(beyond)}.", "warning"
        )


def report_doubt(doubt: Doubt, counts: Counts, place: str | None = None) -> None:
    """Report the uncertain rows of --max-error, whether its promise holds, and the expected accuracy.

    Args:
        doubt: doubt about the labels.
        counts: counts of all rows.
        place: file of the uncertain rows, or None.
    """
    promise, uncertain = doubt.promise, counts.rows_uncertain
    where = ""
    if place is not None and uncertain:
        where = f" {'It is' if uncertain == 1 else 'They are'} in {place}."
    if promise is not None and counts.rows_scored:
        share = f"({uncertain / counts.rows_scored:.1%})"
        rows = (
            f"1 row {share} is uncertain: its" if uncertain == 1 else f"{uncertain:,} rows {share} are uncertain: their"
        )
        print_message(
            f"{rows if uncertain else 'No row is uncertain: no'} confidence is below {promise.confidence:g}, above which the "
            f"model's held-out texts prove an error of at most {100 * promise.limit:g}%.{where}"
        )
        if not promise.holds:
            words = "does not hold for this input" if promise.holds is False else "may not hold for this input"
            print_message(f"--max-error {promise.limit:g} {words}: {promise.reason}.", "warning")
    elif where:
        print_message(f"{'1 row is' if uncertain == 1 else f'{uncertain:,} rows are'} uncertain.{where}")
    if doubt.expected is not None:
        value, low, high = (f"{share:.1%}" for share in (doubt.expected.value, doubt.expected.low, doubt.expected.high))
        print_message(f"Expected accuracy {value} (95%: {low} to {high}).")
    elif doubt.moved is not None:
        print_message(f"Expected accuracy withheld: {doubt.moved}.")


def report_notes(reader: Reader, remarks: Sequence[str]) -> None:
    """Print notes on the input: its oddities, hints for its rejects, and further remarks."""
    for name in reader.notes.absent:
        if name not in reader.notes.unseen:
            _note(f"the first record has no column {name!r} (--keep); it is empty in the rows of records that lack it.")
    if reader.notes.dropped:
        names = ", ".join(map(repr, sorted(reader.notes.dropped)))
        _note(
            f"later records have columns that the first one lacks: {names}. They are missing from the output; name them with --keep to include them."
        )
    if reader.notes.renamed is not None:
        path, columns = reader.notes.renamed
        shown = first_few(columns, _MOST_NAMED, lambda name: f"{name!r} (column {columns[name]})")
        _note(
            f"the header of {shown_source(path)} has the same name more than once, or none for a column, so these columns "
            f"got names: {shown}."
        )
    warn_of_ignored(reader.inputs.left_out)
    for line in (*reader.notes.all_hints(), *remarks):
        _note(line)


def warn_of_unseen(reader: Reader) -> None:
    """Warn of columns of --keep that no record had: the output is complete, but hardly as intended."""
    for name in sorted(reader.notes.unseen) if reader.notes.columns else ():
        others = f"the first has: {shown_names(reader.notes.columns)}."
        advice = did_you_mean(name, reader.notes.columns, others, "--keep")
        print_message(f"Warning: no record has a column {name!r} (--keep), so the column is empty; {advice}", "warning")


def warn_of_ignored(left_out: Sequence[str]) -> None:
    """Print the names in input folders that were ignored, if any."""
    if left_out:
        _note(
            f"{len(left_out):,} names in input folders were ignored because they begin with . or _: "
            f"{first_few(left_out, _MOST_NAMED, shown_source)}."
        )


def _note(message: str) -> None:
    print_message(f"Note: {message}", "warning")
