"""The command `score-ray`: it scores a folder of part files to a folder of part files, on a Ray cluster."""

import os
from functools import partial
from typing import Any, NoReturn

import click

from scorer.base.errors import UsageError
from scorer.base.messages import print_message
from scorer.base.version import __version__
from scorer.cli.config import load, note
from scorer.cli.help import HELP_OPTION, OTHER, group, option, version
from scorer.cli.options import (
    CACHE,
    COLUMNS,
    COMPUTING,
    DIALECT,
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
    Whole,
    config_option,
    files,
    with_cache_off,
)
from scorer.cli.program import Command, run_as_program
from scorer.cli.score import command as score
from scorer.run.options import ScoreOptions
from scorer.storage.address import is_address, refuse_credentials

HELP = """\
Score the INPUT files on a Ray cluster, each to a part of its own in a folder.

\b
Examples:
  score-ray lake/day=2026-11-23 -o scores --workers 2
  score-ray 's3://in/*.parquet' -o s3://out/today --workers 8 --address auto
  score-ray lake -o scores --workers 2 --gpus-per-worker 1

INPUT is as for `score`, but never stdin.

Each part holds the rows of one file in their order. The column `source` names that file, and `row` is the number of the
record in it. Rejects go to _rejects/ in the output folder. The same command again scores only what is missing: parts that
were interrupted, failed, or have changed since.

Limits on rejects and drift apply to all parts together. If one is exceeded, finished parts stay, without _SUCCESS.

Exit codes are those of `score`. The file _SUCCESS exists only after exit code 0 or 3.

Each option can be set in the environment (SCORE_MODEL, SCORE_WORKERS, ...) as well, and those of `score` in score.toml. The
command line overrides the environment, which overrides the file.
"""


@click.command(cls=Command, help=HELP, context_settings={"auto_envvar_prefix": "SCORE"})
@click.argument("inputs", nargs=-1, shell_complete=files, metavar="INPUT...")
@config_option(
    partial(load, shared_with=score),
    "TOML file with options, as for `score` (options that only `score` has are ignored).",
)
@group(INPUT, TEXT, INPUT_FORMAT, DIALECT)
@group(
    OUTPUT,
    option(
        "-o",
        "--output",
        cls=OneRun,
        required=True,
        metavar="FOLDER",
        help="Folder for the parts, each below its own name, and for _SUCCESS, which marks them as complete.",
    ),
    option(
        "--output-format",
        cls=OneRun,
        default="parquet",
        show_default=True,
        metavar="FORMAT",
        help="Format of the parts, named as for --input-format.",
    ),
    COLUMNS,
    WORK_DIR,
)
@group(MODEL_AND_LABELS, LABELS)
@group(REJECTS, LIMITS)
@group(
    "Cluster",
    option(
        "--workers",
        cls=OneRun,
        type=Whole(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Number of workers, which score parts at the same time.",
    ),
    option(
        "--threads",
        type=Whole(1),
        show_default="an equal share of all",
        metavar="N",
        help="Number of CPU cores of each worker.",
    ),
    option(
        "--gpus-per-worker",
        cls=OneRun,
        type=Number(0),
        default=0.0,
        show_default=True,
        metavar="N",
        help="Number of GPUs of each worker, which then computes on cuda.",
    ),
    option(
        "--address",
        cls=OneRun,
        show_default="RAY_ADDRESS, or else a new cluster on this machine",
        metavar="ADDRESS",
        help="Address of a running Ray cluster.",
    ),
)
@group(SPEED, COMPUTING, CACHE)
@group(GPU, GPU_MEMORY)
@group(MESSAGES, LOGGING)
@group(
    OTHER,
    version("score-ray", __version__),
    HELP_OPTION,
)
def command(workers: int, gpus_per_worker: float, address: str | None, **options: Any) -> int:
    """Score as the options ask, and return the exit code."""
    if gpus_per_worker and options["provider"] == "auto":
        options["provider"] = "cuda"  # unlike auto, it never falls back to cpu
    options["output"] = options["output"].rstrip("/")
    if not options["output"]:
        raise UsageError("--output must name a folder other than the root.")
    options = with_cache_off(options)
    if options["cache"] is not None and not is_address(options["cache"]):  # a worker has a current folder of its own
        options["cache"] = os.path.abspath(options["cache"])
    wanted = ScoreOptions(**options)
    refuse_credentials([*wanted.inputs, *wanted.places])
    from_file = note(click.get_current_context())
    if from_file and not wanted.quiet:
        print_message(from_file)
    from scorer.cluster.ray_backend import Cluster
    from scorer.cluster.score_parts import run

    return run(wanted, Cluster(workers, wanted.threads, gpus_per_worker, address))


def main() -> NoReturn:
    """Run `score-ray`, as its entry point."""
    run_as_program(command, name="score-ray", interrupted="finished parts are kept.")
