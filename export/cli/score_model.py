"""The command `score-model`: a group of commands, each in a module of its own."""

from typing import NoReturn

import click

# No module of a command imports anything heavy at its top, so that `score-model --help` stays quick.
from export.cli.cascade import cascade
from export.cli.evaluate import evaluate
from export.cli.parity import parity
from export.cli.train import train
from scorer.base.version import __version__
from scorer.cli.compare import compare
from scorer.cli.program import run_as_program


@click.group(context_settings={"auto_envvar_prefix": "SCORE_MODEL", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="score-model", allow_from_autoenv=False)
def command() -> None:
    """Train a classifier on a frozen encoder, export it to ONNX, and check and evaluate what `score` will run."""


for subcommand in (train, cascade, evaluate, parity, compare):
    command.add_command(subcommand)


def main() -> NoReturn:
    """Run `score-model`: its entry point."""
    run_as_program(
        command,
        name="score-model",
        interrupted="nothing was written; `train` keeps what it computed, and the same command resumes from it.",
    )
