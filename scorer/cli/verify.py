"""The command `score-model verify`, of an output of `score` and its record; it parses and delegates."""

import click

from scorer.base.errors import exit_code_of
from scorer.base.messages import print_result
from scorer.base.text import visible
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import ALL_CORES, DEBUG, Whole, files, folders
from scorer.cli.program import Command
from scorer.verify.sample import ROWS

HELP = """\
Verify an output of `score`: its hashes, and a sample of its rows, scored again.

\b
Examples:
  score-model verify out.csv --summary run.json
  score-model verify out.csv --summary run.json --rows 5000
  score-model verify out.csv --summary run.json --model models/imdb

FILE is an output, and run.json the record that --summary wrote in the same run. Run this where the run was started, since the
record names inputs and bundle as the run did. The hashes of all files are compared with the record, and each row is joined with
its record of the inputs. A random sample of rows is scored again, and every byte of them has to agree (on cuda, scores may
differ by 0.001).

\b
Exit codes:
  0  every check agrees
  3  something differs: hashes, order, rows, labels or scores
  2  the record is of another kind of run, or a file is missing

All others are those of `score`.
"""


@click.command(cls=Command, help=HELP)
@click.argument("output", shell_complete=files, metavar="FILE")
@group(
    "Run",
    option(
        "--summary",
        required=True,
        shell_complete=files,
        metavar="FILE",
        help="Record of the run that wrote the output, in JSON.",
    ),
    option(
        "--model",
        shell_complete=folders,
        show_default="the bundle that the record names",
        metavar="FOLDER",
        help="Bundle of the run, if it was moved.",
    ),
)
@group(
    "Sample",
    option(
        "--rows", type=Whole(1), default=ROWS, show_default=True, metavar="N", help="Number of rows to score again."
    ),
    option(
        "--seed",
        type=Whole(0),
        show_default="a new one each time, which is printed",
        metavar="N",
        help="Seed of the draw, to repeat an earlier one.",
    ),
)
@group("Speed", option("--threads", type=Whole(1), show_default=ALL_CORES, metavar="N", help="Number of CPU threads."))
@group(OTHER, DEBUG, HELP_OPTION)
def verify(
    output: str,
    summary: str,
    model: str | None,
    rows: int,
    seed: int | None,
    threads: int | None,
    debug: bool,
) -> int:
    """Verify as the options ask, and return the exit code."""
    from scorer.verify.verify import Settings
    from scorer.verify.verify import verify as run

    differs = False
    for finding in run(output, summary, Settings(rows, seed, model, threads)):
        differs = differs or finding.state == "different"
        print_result("\n".join(map(visible, finding.lines())))
    return exit_code_of(warnings=differs)
