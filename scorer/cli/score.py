"""The command `score`: parses and checks its arguments, and leaves the work to plain functions."""

from collections.abc import Iterable
from typing import NoReturn

import click
from click.core import ParameterSource

from scorer.base.messages import say

# Nothing heavy is imported up here: `score --help` has to be quick.
from scorer.base.version import __version__
from scorer.cli.config import load, note
from scorer.cli.options import SHARE, MayBeEmpty, Number, OneRun, files, folders
from scorer.cli.program import note_debug, note_log_format, run_as_program
from scorer.engine.gpu import ARENA_STRATEGY, BATCH_TOKENS
from scorer.rows.lines import MAX_RECORD_BYTES
from scorer.run.options import Arguments
from scorer.storage.address import refuse_credentials


@click.command(context_settings={"auto_envvar_prefix": "SCORE"})
@click.argument("inputs", nargs=-1, shell_complete=files, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    default="-",
    shell_complete=files,
    metavar="FILE",
    help="Where the scores go; - or nothing is stdout.",
)
@click.option(
    "--model",
    shell_complete=folders,
    metavar="FOLDER",
    help="A bundle from `score-model train`; default: the one that comes with the package.",
)
@click.option(
    "--input-format",
    metavar="FORMAT",
    help="csv, tsv, jsonl, ndjson or parquet, with .gz or .zst if compressed; default: by extension. Needed for stdin (-).",
)
@click.option("--output-format", metavar="FORMAT", help="The same for the output; on stdout the default is csv.")
@click.option(
    "--text",
    metavar="COLUMN",
    help="The column to score; default: the one called text, review, content, body or comment.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Pass a column through to the output; repeatable, '*' for all of the first record.",
)
@click.option(
    "--threshold",
    type=SHARE,
    metavar="P",
    help="Of two labels, give the positive one from this probability of it on; default: 0.5.",
)
@click.option(
    "--uncertain",
    metavar="LOW,HIGH",
    help="Give the label `uncertain` where the positive label's probability is LOW or more and below HIGH.",
)
@click.option("--details", is_flag=True, help="Add tokens, truncated and a score_<label> for each label.")
@click.option("--source", is_flag=True, help="Add the column source: the file that a row is from.")
@click.option(
    "--escape-formulas",
    is_flag=True,
    help="CSV and TSV for spreadsheets: put ' before passed-through values that begin with = + - @, tab or CR.",
)
@click.option(
    "--delimiter",
    metavar="CHAR",
    help="Of CSV input; default: comma, a tab for tsv.  [one character; \\t is a tab]",
)
@click.option(
    "--quote-char",
    cls=MayBeEmpty,
    default='"',
    show_default=True,
    metavar="CHAR",
    help="Of CSV input; '' where quotes mean nothing.",
)
@click.option("--escape-char", cls=MayBeEmpty, default="", metavar="CHAR", help="Of CSV input; default: none.")
@click.option("--no-header", is_flag=True, help="The CSV input has no header; its columns are column_1, column_2, ...")
@click.option("--encoding", default="utf-8", show_default=True, help="Of the input; never guessed.")
@click.option(
    "--rejects",
    shell_complete=files,
    metavar="FILE",
    help="Where records go that cannot be scored; default: <output>.rejects.jsonl.",
)
@click.option(
    "--max-rejects", type=click.IntRange(0), metavar="N", help="Publish nothing if more records are rejected."
)
@click.option("--max-reject-ratio", type=SHARE, metavar="R", help="The same for a share of all records.")
@click.option("--strict", is_flag=True, help="The same as --max-rejects 0.")
@click.option(
    "--max-drift",
    type=Number(0),
    metavar="X",
    help="End with exit code 3 if scores, lengths or unknown word pieces differ more from the model's test data: their population stability index; 0.1 is a good limit.",
)
@click.option(
    "--max-record-bytes",
    type=click.IntRange(1, (1 << 31) - 1),
    default=MAX_RECORD_BYTES,
    show_default=True,
    metavar="N",
    help="Reject a longer record.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Read the first N records only.")
@click.option(
    "--shard",
    cls=OneRun,
    metavar="I/N",
    help="Score the I-th of N ranges of rows, from 1/N to N/N: for job arrays. All together are the whole.",
)
@click.option(
    "--restart", cls=OneRun, is_flag=True, help="Score all rows, even where an interrupted run left some done."
)
@click.option(
    "--work-dir",
    shell_complete=folders,
    metavar="FOLDER",
    help="Where work is kept whose output goes to a store (s3://, gs://); default: ~/.local/state/review-scorer.",
)
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What computes; cuda never falls back.",
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="fp32, fp16, int8; auto: what the bundle names for the provider.",
)
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="CPU threads; default: every core this process may use."
)
@click.option("--device-id", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Which GPU.")
@click.option(
    "--devices",
    metavar="LIST",
    help="Several GPUs at once, as in 0,1,2: a process for each, the order of rows is kept.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(1, 1 << 24),
    metavar="N",
    help=f"Padded tokens of a batch on cuda; default: what the bundle says, else {BATCH_TOKENS}. Lowered where memory is short.",
)
@click.option(
    "--gpu-mem-limit",
    type=click.IntRange(1, 1 << 24),
    metavar="MB",
    help="The most memory to take on the GPU; default: as much as is needed.",
)
@click.option(
    "--arena-strategy",
    type=click.Choice(["same-as-requested", "next-power-of-two"]),
    default=ARENA_STRATEGY,
    show_default=True,
    help="How the memory taken on the GPU grows.",
)
@click.option(
    "--check", cls=OneRun, is_flag=True, help="Say what this machine and the bundle can do, and score nothing."
)
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
@click.option(
    "--summary",
    shell_complete=files,
    metavar="FILE",
    help="Write what became of the run as JSON, also when it fails: counts, speed, hashes, versions.",
)
@click.option(
    "--metrics", shell_complete=files, metavar="FILE", help="The same for Prometheus' textfile collector; *.prom."
)
@click.option(
    "--report",
    shell_complete=files,
    metavar="FILE",
    help="The same as a page to look at, with charts and examples of rows; *.html.",
)
@click.option(
    "--log-format",
    is_eager=True,
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    callback=note_log_format,
    help="How messages on stderr are written; json is an object a line.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on stderr; errors still.")
@click.option("--debug", is_flag=True, callback=note_debug, help="Show a traceback with an error.")
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
    arguments = Arguments(**options)  # type: ignore[arg-type]
    refuse_credentials([*arguments.inputs, *arguments.places])
    context = click.get_current_context()
    showing = context.get_parameter_source("show_config") is ParameterSource.COMMANDLINE
    from_file = note(context)
    if from_file and not arguments.quiet and not showing:
        say(from_file)
    if arguments.uncertain is not None and (showing or arguments.check):
        # No type of click's, so it has to be checked here for what scores nothing.
        from scorer.model.decision import decide

        decide(arguments.threshold, arguments.uncertain)
    if showing:
        from scorer.cli.config import show

        return _print(show(context))
    if arguments.check:
        from scorer.cli.check import report

        return _print(report(arguments.model, arguments.gpus, arguments.threads))
    from scorer.run.score import run

    return run(arguments)


def _print(lines: Iterable[str]) -> int:
    from scorer.storage.output import STDOUT, destination

    out = destination(STDOUT)
    for line in lines:
        out.write(f"{line}\n".encode(errors="backslashreplace"))  # names of files need not be text
    return 0


def main() -> NoReturn:
    """The entry point of the command `score`."""
    run_as_program(command, name="score", interrupted="nothing was published.")
