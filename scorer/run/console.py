"""Messages on a run: its progress and, at the end, its results."""

from collections.abc import Mapping, Sequence

from scorer.base.messages import print_message
from scorer.base.progress import Progress
from scorer.base.text import did_you_mean, duration, shown_source
from scorer.report.drift import MEASURES, Drift, passed
from scorer.report.summary import Counts, Summary, by_label, reasons
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


def report_result(plan: Plan, summary: Summary, before: Counts) -> None:
    """Print how many rows were scored, truncated and rejected.

    Args:
        plan: plan of the run.
        summary: summary of all rows.
        before: counts of the rows that an earlier, interrupted run did.
    """
    counts = summary.counts
    place = "stdout" if plan.output == STDOUT else plan.output
    seconds = duration(summary.seconds)
    rows = counts.rows_in - before.rows_in
    how = f"scored, the last {rows:,} in {seconds}" if before.rows_in else f"scored in {seconds}"
    labels = by_label(counts)
    found = {"event": "result", "rows_in": counts.rows_in, "rows_scored": counts.rows_scored}
    print_message(
        f"{counts.rows_scored:,} of {counts.rows_in:,} rows {how}, written to {place}"
        + (f": {labels}." if labels else "."),
        fields={**found, "rows_rejected": counts.rows_rejected},
    )
    if counts.rows_truncated:
        print_message(
            "1 text was longer than the model reads; its rest was ignored."
            if counts.rows_truncated == 1
            else f"{counts.rows_truncated:,} texts were longer than the model reads; the rest of each was ignored."
        )
    if counts.rows_rejected:
        where = "listed above" if plan.rejects == STDERR else f"see {plan.rejects}"
        print_message(f"{counts.rows_rejected:,} rejected ({reasons(counts)}): {where}.", "warning")


def report_cascade(counts: Counts) -> None:
    """Report the rows that the wide part of a cascade decided alone, if there are any."""
    if not counts.rows_early:
        return
    share = counts.tokens_early / counts.tokens
    print_message(f"The wide part alone decided {counts.rows_early:,} rows, with {share:.1%} of the tokens.")


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
    warn_of_ignored(reader.inputs.left_out)
    for line in (*hints(reader), *remarks):
        _note(line)


def warn_of_unseen(reader: Reader) -> None:
    """Warn of columns of --keep that no record had: the output is complete, but hardly as intended."""
    for name in sorted(reader.notes.unseen) if reader.notes.columns else ():
        advice = did_you_mean(name, reader.notes.columns, f"the first has: {shown_names(reader.notes.columns)}.")
        print_message(f"Warning: no record has a column {name!r} (--keep), so the column is empty; {advice}", "warning")


def warn_of_ignored(left_out: Sequence[str]) -> None:
    """Print the names in input folders that were ignored, if any."""
    if left_out:
        more = f" and {len(left_out) - _MOST_NAMED:,} more" if len(left_out) > _MOST_NAMED else ""
        _note(
            f"{len(left_out):,} names in input folders were ignored because they begin with . or _: "
            f"{', '.join(map(shown_source, left_out[:_MOST_NAMED]))}{more}."
        )


def hints(reader: Reader) -> list[str]:
    """Return hints on how to fix rejected records, by reason."""
    return [f"{reason}: {hint}" for reason, hint in reader.notes.hints.items() if hint]


def _note(message: str) -> None:
    print_message(f"Note: {message}", "warning")
