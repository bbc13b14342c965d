"""The command `score-ray`: a folder of part files to a folder of part files, on a Ray cluster."""

from functools import partial
from typing import Any, NoReturn

import click

from scorer.base.errors import UsageError
from scorer.base.messages import say
from scorer.base.version import __version__
from scorer.cli.config import load, note
from scorer.cli.options import (
    COLUMNS,
    DIALECT,
    ESCAPE_FORMULAS,
    GPU_MEMORY,
    LIMITS,
    MESSAGES,
    MODEL_AND_INPUT,
    PROVIDER,
    Number,
    OneRun,
    files,
)
from scorer.cli.program import Command, run_as_program
from scorer.cli.score import command as score
from scorer.run.options import ScoreOptions
from scorer.storage.address import refuse_credentials


@click.command(cls=Command, context_settings={"auto_envvar_prefix": "SCORE"})
@click.argument("inputs", nargs=-1, shell_complete=files, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    cls=OneRun,
    required=True,
    metavar="FOLDER",
    help="Where the parts go, each below its own name; a file _SUCCESS says that all are there.",
)
@click.option(
    "--output-format", cls=OneRun, default="parquet", show_default=True, metavar="FORMAT", help="Of the parts."
)
@click.option(
    "--workers", cls=OneRun, type=click.IntRange(1), default=1, show_default=True, metavar="N", help="How many score."
)
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="CPU cores of each worker; default: an equal share of all."
)
@click.option(
    "--gpus-per-worker",
    cls=OneRun,
    type=Number(0),
    default=0.0,
    show_default=True,
    metavar="N",
    help="GPUs of each worker; it then computes on cuda.",
)
@click.option(
    "--address",
    cls=OneRun,
    metavar="ADDRESS",
    help="A Ray cluster that runs; default: the one of RAY_ADDRESS, else a new one on this machine.",
)
@click.option(
    "--config",
    is_eager=True,
    expose_value=False,
    callback=partial(load, shared_with=score),
    shell_complete=files,
    metavar="FILE",
    help="Options from this TOML file, as for `score`; those that only `score` has are left aside.",
)
@MODEL_AND_INPUT
@COLUMNS
@ESCAPE_FORMULAS
@DIALECT
@LIMITS
@PROVIDER
@GPU_MEMORY
@MESSAGES
@click.version_option(__version__, "--version", prog_name="score-ray", allow_from_autoenv=False)
@click.help_option("-h", "--help", allow_from_autoenv=False)
def command(workers: int, gpus_per_worker: float, address: str | None, **options: Any) -> int:
    """Score the INPUT files on a Ray cluster, each to a file of its own in the output folder.

    \b
    Examples:
      score-ray lake/day=2026-11-23 -o scores --workers 2
      score-ray 's3://reviews/*.parquet' -o s3://scores/today --workers 8 --gpus-per-worker 1 --address auto

    Each part holds the rows of one file in their order, with the file's name in the column `source` and the number
    within the file in `row`. Rejected records go to _rejects/ in the folder. The same command again does what is
    missing: what was interrupted, what failed, and what has changed since.

    Exit codes are those of `score`. _SUCCESS is there only where the code is 0 or 3.
    """
    if gpus_per_worker and options["provider"] == "auto":
        options["provider"] = "cuda"  # which never falls back
    options["output"] = options["output"].rstrip("/")
    if not options["output"]:
        raise UsageError("--output needs the name of a folder, and not the root's.")
    wanted = ScoreOptions(**options)
    refuse_credentials([*wanted.inputs, *wanted.places])
    from_file = note(click.get_current_context())
    if from_file and not wanted.quiet:
        say(from_file)
    from scorer.cluster.ray_backend import Cluster
    from scorer.cluster.score_parts import run

    return run(wanted, Cluster(workers, wanted.threads, gpus_per_worker, address))


def main() -> NoReturn:
    """The entry point of the command `score-ray`."""
    run_as_program(command, name="score-ray", interrupted="finished parts are kept.")
