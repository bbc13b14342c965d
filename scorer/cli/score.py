"""The command `score`: parses and checks its arguments, and leaves the work to plain functions."""

from collections.abc import Iterable
from typing import NoReturn

import click
from click.core import ParameterSource

from scorer.base.messages import say

# Nothing heavy is imported up here: `score --help` has to be quick.
from scorer.base.version import __version__
from scorer.cli.config import load, note, show
from scorer.cli.options import (
    COLUMNS,
    DIALECT,
    ESCAPE_FORMULAS,
    GPU_MEMORY,
    LIMITS,
    MESSAGES,
    MODEL_AND_INPUT,
    PROVIDER,
    DevicesType,
    OneRun,
    ShardType,
    files,
    option,
)
from scorer.cli.program import Command, run_as_program
from scorer.run.options import ScoreOptions
from scorer.storage.address import refuse_credentials


@click.command(cls=Command, context_settings={"auto_envvar_prefix": "SCORE"})
@click.argument("inputs", nargs=-1, shell_complete=files, metavar="INPUT...")
@option("-o", "--output", shell_complete=files, metavar="FILE", help="Where the scores go; - or nothing is stdout.")
@MODEL_AND_INPUT
@option("--output-format", metavar="FORMAT", help="The same for the output; on stdout the default is csv.")
@COLUMNS
@option("--source", is_flag=True, help="Add the column source: the file that a row is from.")
@ESCAPE_FORMULAS
@DIALECT
@option(
    "--rejects",
    shell_complete=files,
    metavar="FILE",
    help="Where records go that cannot be scored; default: <output>.rejects.jsonl.",
)
@LIMITS
@option("--limit", type=click.IntRange(1), metavar="N", help="Read the first N records only.")
@option(
    "--shard",
    cls=OneRun,
    type=ShardType(),
    metavar="I/N",
    help="Score the I-th of N ranges of rows, from 1/N to N/N: for job arrays. All together are the whole.",
)
@option("--restart", cls=OneRun, is_flag=True, help="Score all rows, even where an interrupted run left some done.")
@PROVIDER
@option("--threads", type=click.IntRange(1), metavar="N", help="CPU threads; default: every core this process may use.")
@option("--device-id", type=click.IntRange(0), show_default=True, metavar="N", help="Which GPU.")
@option(
    "--devices",
    type=DevicesType(),
    metavar="LIST",
    help="Several GPUs at once, as in 0,1,2: a process for each, the order of rows is kept.",
)
@GPU_MEMORY
@option("--check", cls=OneRun, is_flag=True, help="Say what this machine and the bundle can do, and score nothing.")
@click.option(
    "--config",
    is_eager=True,
    expose_value=False,
    callback=load,
    shell_complete=files,
    metavar="FILE",
    help="Options, by their long names, from this TOML file; default: score.toml where it is in the current folder.",
)
@click.option(
    "--show-config",
    is_flag=True,
    expose_value=False,
    allow_from_autoenv=False,
    help="Print every option, its value and where that is from, as a file for --config, and score nothing.",
)
@option(
    "--summary",
    shell_complete=files,
    metavar="FILE",
    help="Write what became of the run as JSON, also when it fails: counts, speed, hashes, versions.",
)
@option("--metrics", shell_complete=files, metavar="FILE", help="The same for Prometheus' textfile collector; *.prom.")
@option(
    "--report",
    shell_complete=files,
    metavar="FILE",
    help="The same as a page to look at, with charts and examples of rows; *.html.",
)
@MESSAGES
@click.version_option(__version__, "--version", prog_name="score", allow_from_autoenv=False)
@click.help_option("-h", "--help", allow_from_autoenv=False)
def command(**options: object) -> int:
    """Score every text of the INPUT files with a classifier: a label and a probability a row.

    \b
    Examples:
      score reviews.jsonl -o out.csv
      score reviews.csv -o out.jsonl --keep '*' --details
      score 'part-*.csv' -o out.csv --model models/imdb --text body
      score reviews.parquet -o out.parquet --keep stars --summary run.json
      cat reviews.jsonl | score - --input-format jsonl > out.csv
      score reviews.csv -o out.csv --report run.html --max-drift 0.1
      score --check

    INPUT is a CSV, TSV, JSONL or Parquet file, also as .gz or .zst, a quoted glob, a folder, or - for stdin; files,
    globs and folders may be in a store (s3://bucket/key, gs://, http:// files), and so may FILE (s3://, gs://). Records
    that cannot be scored are never lost: they go to the rejects file, with the reason. The output file appears complete
    or not at all; after an interruption the same command goes on where it stopped.

    Exit codes: 0 all scored, 1 environment, 2 usage, 3 published, but look: rejects or drift, 4 nothing published, 5 bundle or
    provider refused, 130 or 143 interrupted, 141 stdout closed. Each option can be set in the environment (SCORE_MODEL,
    SCORE_PROVIDER, ...) and in score.toml too; the command line wins over the environment, that over the file.
    """
    wanted = ScoreOptions(**options)  # type: ignore[arg-type]
    refuse_credentials([*wanted.inputs, *wanted.places])
    context = click.get_current_context()
    showing = context.get_parameter_source("show_config") is ParameterSource.COMMANDLINE
    from_file = note(context)
    if from_file and not wanted.quiet and not showing:
        say(from_file)
    if wanted.uncertain is not None and (showing or wanted.check):
        _ = wanted.decision  # which refuses a band that does not fit, also where nothing is scored
    if showing:
        return _print(show(context))
    if wanted.check:
        from scorer.cli.check import report

        return _print(report(wanted.model, wanted.gpus, wanted.threads))
    from scorer.run.score import run

    return run(wanted)


def _print(lines: Iterable[str]) -> int:
    from scorer.storage.output import STDOUT, destination

    out = destination(STDOUT)
    for line in lines:
        out.write(f"{line}\n".encode(errors="backslashreplace"))  # names of files need not be text
    return 0


def main() -> NoReturn:
    """The entry point of the command `score`."""
    run_as_program(command, name="score", interrupted="nothing was published.")
