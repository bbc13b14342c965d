"""The command `score-model`, a group of commands, each in its own module."""

from typing import NoReturn

import click

# The modules of commands import heavy libraries only when they run, so that `score-model --help` is quick.
from export.cli.cascade import cascade
from export.cli.check_labels import check_labels
from export.cli.confidence import confidence
from export.cli.evaluate import evaluate
from export.cli.import_model import import_model
from export.cli.parity import parity
from export.cli.train import train
from scorer.base.version import __version__
from scorer.cli.compare import compare
from scorer.cli.help import HELP_OPTION, OTHER, group, version
from scorer.cli.history import history
from scorer.cli.program import Group, run_as_program
from scorer.cli.verify import verify

HELP = """\
Train or import a classifier, export it to ONNX, and check the bundle that `score` runs.

\b
Examples:
  score-model train --train-file mine.csv -o models/mine
  score-model check-labels mine.csv -o to-check.csv # doubtful labels first
  score-model import owner/name -o models/name      # fine-tuned elsewhere
  score-model evaluate models/imdb --data test.csv  # accuracy and more
  score-model compare last-night.csv tonight.csv    # flipped labels
  score-model verify out.csv --summary run.json     # scored again
  score-model history runs/*.json -o history.html   # unusual nights

`score-model COMMAND --help` lists the options of a command.
"""


@click.group(cls=Group, help=HELP, context_settings={"auto_envvar_prefix": "SCORE_MODEL"})
@group(OTHER, version("score-model", __version__), HELP_OPTION)
def command() -> None:
    """Do nothing before a subcommand."""


for subcommand in (train, check_labels, import_model, cascade, confidence, evaluate, parity, compare, verify, history):
    command.add_command(subcommand)


def main() -> NoReturn:
    """Run `score-model`, as its entry point."""
    run_as_program(
        command,
        name="score-model",
        interrupted="nothing was written. Only `train` keeps what it computed: the same command resumes from there.",
    )
