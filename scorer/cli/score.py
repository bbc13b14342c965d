"""The command `score`: it parses and checks its arguments, and leaves the work to plain functions."""

from collections.abc import Iterable
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from scorer.base.errors import UsageError
from scorer.base.messages import print_message

# Heavy imports wait until they are needed, so that `score --help` is quick.
from scorer.base.version import __version__
from scorer.cli.config import load, note, show
from scorer.cli.help import HELP_OPTION, OTHER, group, option, version
from scorer.cli.options import (
    ALL_CORES,
    CACHE,
    COLUMNS,
    COMPUTING,
    DIALECT,
    FORECAST,
    GPU,
    GPU_MEMORY,
    INPUT,
    INPUT_FORMAT,
    LABELS,
    LIMITS,
    LOGGING,
    MESSAGES,
    MODEL_AND_LABELS,
    OUTPUT,
    REJECTS,
    SPEED,
    TEXT,
    WORK_DIR,
    Number,
    OneRun,
    Parsed,
    Whole,
    config_option,
    files,
    score_option,
    with_cache_off,
)
from scorer.cli.program import Command, ShortUsage, at_terminal, run_as_program
from scorer.run.options import MOST_EXPLAINED, ScoreOptions, Shard
from scorer.storage.address import refuse_credentials

HELP = """\
Score every text of the INPUT files: write its label and its probability.

\b
Examples:
  score reviews.jsonl -o out.csv                     # the installed model
  score 'part-*.csv' -o out.csv --model models/imdb  # your own model
  score reviews.csv -o out.csv --text body           # texts in column body
  score in.csv -o out.jsonl --keep '*' --details     # with every column
  score in.parquet -o out.parquet --keep stars       # with one more column
  score in.csv -o out.csv --summary run.json         # counts and speed
  score in.csv -o out.csv --report run.html          # a page with charts
  score in.csv -o out.csv --max-drift 0.1            # exit code 3 on drift
  cat in.jsonl | score - --input-format jsonl        # stdin to stdout
  score --check                                      # test this machine

INPUT is a CSV, TSV, JSONL or Parquet file (.gz and .zst as well), a quoted glob, a folder, or - for stdin. Files, globs and
folders may be in a store (s3://bucket/key, gs://), and single files at http://. Each FILE to write may be at s3:// or gs://.

Records that cannot be scored go to the rejects file, with the reason; none is lost. The output file appears complete or not
at all. After an interruption, the same command resumes where it stopped.

\b
Exit codes:
  0    every record was scored
  1    the machine failed: disk full, no permission, out of memory
  2    an option is invalid, or an input file is missing
  3    published with warnings: rejected records, drift, --max-error;
       with --plan: expected to exceed --max-seconds, or too many rejects
  4    nothing was published: too many rejects, too few records, or an
       unreadable input
  5    the bundle or the provider was refused
  130  interrupted (143: terminated)
  141  the reader of stdout closed it

Options can be set in the environment (SCORE_MODEL, SCORE_PROVIDER, ...) and, except for --shard, --restart, --plan,
--max-seconds and --check, in score.toml. The command line overrides the environment, which overrides the file.
"""


@click.command(cls=Command, help=HELP, context_settings={"auto_envvar_prefix": "SCORE"})
@click.argument("inputs", nargs=-1, shell_complete=files, metavar="INPUT...")
@config_option(load, "TOML file with options, by their long names.")
@group(
    INPUT,
    TEXT,
    INPUT_FORMAT,
    DIALECT,
    score_option("--limit", type=Whole(1), metavar="N", help="Score only the first N records."),
    score_option(
        "--shard",
        cls=OneRun,
        type=Parsed(Shard),
        metavar="I/N",
        help="Score only the I-th of N ranges of records, for job arrays (1/N to N/N together score all).",
    ),
)
@group(
    OUTPUT,
    score_option(
        "-o",
        "--output",
        shell_complete=files,
        show_default="stdout",
        metavar="FILE",
        help="File for the scores, or - for stdout.",
    ),
    score_option(
        "--output-format",
        show_default="from the file name; csv on stdout",
        metavar="FORMAT",
        help="Format of the output, named as for --input-format.",
    ),
    COLUMNS,
    score_option("--source", is_flag=True, help="Add the column source, with the input file of each row."),
    score_option(
        "--explain",
        type=Whole(0, MOST_EXPLAINED),
        show_default=True,
        metavar="N",
        help="Explain the N rows nearest to another label in <output>.explained.<format>: what moved each score, by words and sentences.",
    ),
    score_option(
        "--restart", cls=OneRun, is_flag=True, help="Score every record again, instead of resuming an interrupted run."
    ),
    WORK_DIR,
)
@group(MODEL_AND_LABELS, LABELS)
@group(
    REJECTS,
    score_option(
        "--rejects",
        shell_complete=files,
        show_default="<output>.rejects.jsonl; stderr if the output is stdout",
        metavar="FILE",
        help="File for records that cannot be scored.",
    ),
    score_option(
        "--uncertain-rows",
        shell_complete=files,
        metavar="FILE",
        help="File for the texts whose label is `uncertain` (--max-error, --uncertain), for people to label (.csv, .tsv or .jsonl).",
    ),
    LIMITS,
)
@group(
    SPEED,
    COMPUTING,
    CACHE,
    score_option("--threads", type=Whole(1), show_default=ALL_CORES, metavar="N", help="Number of CPU threads."),
)
@group(
    GPU,
    score_option("--device-id", type=Whole(0), show_default=True, metavar="N", help="Index of the GPU to use."),
    GPU_MEMORY,
)
@group(
    MESSAGES,
    score_option(
        "--summary",
        shell_complete=files,
        metavar="FILE",
        help="Write a summary as JSON, even of a failed run: counts, speed, hashes, versions.",
    ),
    score_option(
        "--metrics",
        shell_complete=files,
        metavar="FILE",
        help="Write the summary for the textfile collector of Prometheus (*.prom).",
    ),
    score_option(
        "--report",
        shell_complete=files,
        metavar="FILE",
        help="Write the summary as a page with charts and example rows (*.html).",
    ),
    LOGGING,
)
@group(
    FORECAST,
    score_option(
        "--plan",
        cls=OneRun,
        is_flag=True,
        help="Forecast rows, tokens and time of the same command without this option, and publish nothing but --summary.",
    ),
    score_option(
        "--max-seconds",
        cls=OneRun,
        type=Number(0, min_open=True),
        metavar="S",
        help="With --plan, end with exit code 3 if the expected time exceeds S seconds; the upper end of its range does not count.",
    ),
    score_option(
        "--price-per-hour",
        type=Number(0),
        metavar="P",
        help="Price of this machine for an hour, in any currency; --plan then forecasts the cost.",
    ),
    score_option(
        "--forecast",
        shell_complete=files,
        metavar="FILE",
        help="Summary of --plan to compare this run with; with --plan, the summary of the last run that had one.",
    ),
)
@group(
    OTHER,
    score_option(
        "--check",
        cls=OneRun,
        is_flag=True,
        help="Report what this machine and the bundle can do, and score nothing.",
    ),
    option(
        "--show-config",
        is_flag=True,
        expose_value=False,
        allow_from_autoenv=False,
        help="Print every option with its value and origin, as a file for --config, and score nothing.",
    ),
    version("score", __version__),
    HELP_OPTION,
)
def command(**options: Any) -> int:
    """Score as the options ask, and return the exit code."""
    wanted = ScoreOptions(**with_cache_off(options))
    refuse_credentials([*wanted.inputs, *wanted.places])
    context = click.get_current_context()
    showing = context.get_parameter_source("show_config") is ParameterSource.COMMANDLINE
    if at_terminal() and not wanted.check and _is_bare(context):
        raise ShortUsage(context)
    from_file = note(context)
    if from_file and not wanted.quiet and not showing:
        print_message(from_file)
    if wanted.plan and wanted.check:
        raise UsageError("--plan forecasts a run, and --check tests this machine; give one, and then the other.")
    if showing or wanted.check:  # what a run would refuse is refused, even if nothing is scored
        _ = wanted.cache_settings
        if (wanted.uncertain, wanted.max_error) != (None, None):
            _ = wanted.decision
    if showing:
        return _print(show(context))
    if wanted.check:
        from scorer.cli.check import report

        return _print(report(wanted.model, wanted.device_id, wanted.threads, wanted.cache_settings))
    if wanted.plan:
        from scorer.forecast.forecast import forecast

        return forecast(wanted)
    from scorer.run.score import run

    return run(wanted)


def _is_bare(context: click.Context) -> bool:
    """Return whether the command line has no arguments."""
    sources = [context.get_parameter_source(str(one.name)) for one in context.command.params]
    return ParameterSource.COMMANDLINE not in sources


def _print(lines: Iterable[str]) -> int:
    from scorer.storage.output import STDOUT, destination

    out = destination(STDOUT)
    for line in lines:
        out.write(f"{line}\n".encode(errors="backslashreplace"))  # a file name can have bytes that are no text
    return 0


def main() -> NoReturn:
    """Run `score`, as its entry point."""
    run_as_program(command, name="score", interrupted="nothing was published.")
