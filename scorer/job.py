"""One `score` command from its checked arguments to its exit code."""

import os
import sys
from collections.abc import Callable

from scorer import signals
from scorer.arguments import Arguments
from scorer.decision import Decision, decide
from scorer.destination import (
    STDOUT,
    Destination,
    Packed,
    StreamDestination,
    check_place,
    destination,
    is_stream,
)
from scorer.errors import ScorerError, UsageError
from scorer.fingerprint import fingerprint
from scorer.journal import Header
from scorer.messages import say
from scorer.model import Scorer
from scorer.pipeline import Limits, RejectLimitPassed, score_rows
from scorer.progress import Progress, duration
from scorer.publish import Convert
from scorer.rows.columns import Wanted
from scorer.rows.csvfile import Dialect
from scorer.rows.encodings import check_encoding
from scorer.rows.formats import DELIMITERS, PARQUET, STDIN, Format, compression_of, format_of
from scorer.rows.read import Inputs, Reader
from scorer.rows.source import expand, is_repeatable
from scorer.summary import Summary, reasons
from scorer.work import Work

STDERR = "<stderr>"


def run(arguments: Arguments) -> int:
    """Check what can be checked without the model, then score and publish.

    Returns:
        0, or 3 if records were rejected.

    Raises:
        ScorerError: with the exit code of what went wrong; nothing was published but rejects.
    """
    _check_texts(arguments)
    inputs, output_format = _inputs(arguments), _output_format(arguments)
    rejects_place = _rejects_place(arguments)
    check_place(arguments.output, list(inputs.files), "--output")
    if rejects_place != STDERR:
        check_place(rejects_place, list(inputs.files), "--rejects")
        if os.path.realpath(rejects_place) == os.path.realpath(arguments.output):
            raise UsageError("--rejects and --output are the same file; name another for one of them.")
    if arguments.escape_formulas and output_format.kind not in DELIMITERS:
        raise UsageError("--escape-formulas is for CSV and TSV output: nothing else is taken for formulas.")
    decision = decide(arguments.threshold, arguments.uncertain)
    wanted = Wanted(
        arguments.text,
        arguments.keep,
        arguments.details,
        source=arguments.source,
        escape_formulas=arguments.escape_formulas,
    )
    limits = Limits(0 if arguments.strict else arguments.max_rejects, arguments.max_reject_ratio)
    reader = Reader(inputs, wanted, arguments.limit)
    output = destination(arguments.output, _conversion(output_format))
    rejects = _rejects_destination(rejects_place)
    tell: Callable[[str], None] = (lambda message: None) if arguments.quiet else say
    with Work(output, rejects, repeatable=all(map(is_repeatable, inputs.files))) as work:
        scorer = _scorer(arguments, decision)
        if arguments.provider == "auto":
            tell(f"Taking {scorer.choice.precision} on {scorer.choice.provider}: {scorer.choice.reason}.")
        if scorer.choice.remark:
            tell(f"Note: {scorer.choice.remark}.")
        header = Header(fingerprint(arguments, scorer, rejects_place), reader.stamps)
        done = work.begin(header, reader, scorer.journal_rows, restart=arguments.restart, tell=tell)
        with Progress("scoring", _size(inputs), quiet=arguments.quiet) as progress:
            before = done.copy()
            progress.show(reader.bytes_read, "")

            def on_window(summary: Summary) -> None:
                signals.check()
                reader.check_unchanged()
                work.commit(summary)
                progress.show(reader.bytes_read, _rates(summary, before))

            try:
                summary = score_rows(
                    reader,
                    scorer,
                    Packed(output, output_format.compression),
                    Packed(rejects, compression_of(rejects_place)),
                    output_format=output_format.kind,
                    wanted=wanted,
                    limits=limits,
                    done=done,
                    on_window=on_window,
                )
            except RejectLimitPassed as error:
                work.publish_rejects()
                what = "The output stream is not complete" if is_stream(arguments.output) else "Nothing was published"
                message = [str(error), f"{what}; the rejects are in {rejects_place}.", *_hints(reader)]
                raise RejectLimitPassed("\n".join(message)) from error
        reader.check_unchanged(all_files=True)
        work.publish(summary)
    if not arguments.quiet:
        _report(summary, before, arguments.output, rejects_place)
        for line in scorer.remarks():
            say(line)
        _notes(reader)
    return 3 if summary.rows_rejected else 0


def _check_texts(arguments: Arguments) -> None:
    """Names and characters are compared with decoded text; bytes that are none can never be found in it."""
    for option in ("text", "delimiter", "quote_char", "escape_char", "keep"):
        given = getattr(arguments, option)
        for text in given if isinstance(given, tuple) else [given or ""]:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise UsageError(f"--{option.replace('_', '-')} is no text in this terminal's encoding.") from error


def _scorer(arguments: Arguments, decision: Decision) -> Scorer:
    if arguments.threads is not None:
        # The tokenizer's threads are set when the first text is tokenized, and only so.
        os.environ.setdefault("RAYON_NUM_THREADS", str(arguments.threads))
    return Scorer(
        arguments.model,
        provider=arguments.provider,
        precision=arguments.precision,
        threads=arguments.threads,
        device_id=arguments.device_id,
        batch_tokens=arguments.batch_tokens,
        gpu_mem_limit=arguments.gpu_mem_limit and arguments.gpu_mem_limit * 1_000_000,
        arena_strategy=arguments.arena_strategy,
        decision=decision,
    )


def _inputs(arguments: Arguments) -> Inputs:
    if not arguments.inputs:
        raise UsageError("name an input, for instance: score reviews.jsonl -o out.csv")
    files = expand(arguments.inputs)
    for path in files:
        format_of(path, arguments.input_format, "--input-format")
    dialect = Dialect(
        delimiter="\t" if arguments.delimiter == r"\t" else arguments.delimiter,  # a shell does not make it a tab
        quote_char=arguments.quote_char,
        escape_char=arguments.escape_char,
        header=not arguments.no_header,
        encoding=check_encoding(arguments.encoding),
    )
    return Inputs(tuple(files), arguments.input_format, dialect, arguments.max_record_bytes)


def _output_format(arguments: Arguments) -> Format:
    if arguments.output == STDOUT and arguments.output_format is None:
        return Format("csv")
    return format_of(arguments.output, arguments.output_format, "--output-format")


def _conversion(output_format: Format) -> Convert | None:
    """Parquet has its directory at the end, so it is made when all rows are there."""
    if output_format.kind != PARQUET:
        return None
    from scorer.rows.parquetout import to_parquet  # pyarrow takes a moment that others need not wait

    return to_parquet


def _rejects_place(arguments: Arguments) -> str:
    if arguments.rejects is not None:
        return arguments.rejects
    return STDERR if is_stream(arguments.output) else f"{arguments.output}.rejects.jsonl"


def _rejects_destination(place: str) -> Destination:
    if place != STDERR:
        return destination(place)
    if sys.stderr is None:
        raise ScorerError("stderr is closed, where rejects would go; name a file with --rejects.")
    return StreamDestination(sys.stderr.buffer, close=False)


def _size(inputs: Inputs) -> int | None:
    return None if STDIN in inputs.files else sum(map(os.path.getsize, inputs.files))


def _rates(summary: Summary, before: Summary) -> str:
    """How far the work is, and how fast this run of it goes."""
    seconds = max(summary.seconds, 1e-9)
    rows, tokens = summary.rows_in - before.rows_in, summary.tokens - before.tokens
    return f"{summary.rows_in:,} rows, {rows / seconds:,.0f} rows/s, {tokens / seconds:,.0f} tokens/s"


def _notes(reader: Reader) -> None:
    for name in reader.absent:
        say(f"Note: the first record has no column {name!r} (--keep); it is empty wherever a record lacks it.")
    if reader.dropped:
        names = ", ".join(map(repr, sorted(reader.dropped)))
        say(f"Note: later records have {names}, which the first lacks, so the output does too; name them with --keep.")
    for line in _hints(reader):
        say(f"Note: {line}")


def _hints(reader: Reader) -> list[str]:
    return [f"{reason}: {hint}" for reason, hint in reader.hints.items() if hint]


def _report(summary: Summary, before: Summary, output: str, rejects_place: str) -> None:
    place = "stdout" if output == STDOUT else output
    seconds = duration(summary.seconds)
    rows = summary.rows_in - before.rows_in
    how = f"to {place}, the last {rows:,} in {seconds}" if before.rows_in else f"in {seconds} to {place}"
    labels = ", ".join(f"{count:,} {label}" for label, count in sorted(summary.labels.items()))
    say(f"{summary.rows_scored:,} of {summary.rows_in:,} rows scored {how}" + (f": {labels}." if labels else "."))
    if summary.rows_truncated:
        say(f"{summary.rows_truncated:,} texts were longer than the model takes; their ends did not count.")
    if summary.rows_rejected:
        say(f"{summary.rows_rejected:,} rejected ({reasons(summary)}): see {rejects_place}.")
