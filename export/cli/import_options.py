"""Options of `score-model import` in titled groups.

Their defaults are those of the settings dataclasses.
"""

import click

from export.classifier.settings import DEFAULT_MAX_TOKENS
from export.cli.options import (
    FILE,
    LABEL_SEPARATOR,
    QUIET,
    READ_AS_SCORE,
    READING_FILES,
    TEXT_COLUMN,
    THREADS,
    WINDOWS,
)
from export.cli.train_options import CLEAN_TEXT, NAME, NOTES, OUTPUT, OVERWRITE, POSITIVE_LABEL
from export.importing.settings import LONGEST, CheckpointSettings, TextSettings
from scorer.base.task import TASKS
from scorer.cli.help import HELP_OPTION, OTHER, group, option, together
from scorer.cli.options import DEBUG, Whole, files
from scorer.model.manifest import MAX_LENGTH, TRUNCATIONS

_AUTO = "auto"

CHECKPOINT = group(
    "Model",
    option("--revision", metavar="REV", help="Branch, tag or commit of a model on the hub."),
    option(
        "--state-dict",
        type=FILE,
        metavar="FILE",
        help="Weights of a plain PyTorch module (an encoder and a linear layer on its first token) to import instead of CHECKPOINT.",
    ),
    option(
        "--encoder",
        metavar="NAME",
        help="Encoder on the hub or in a local folder that the module of --state-dict loaded, for its architecture and tokenizer.",
    ),
    option(
        "--max-length",
        type=Whole(3, MAX_LENGTH),
        show_default=f"{LONGEST}, or fewer if the model has fewer positions",
        metavar="N",
        help="Number of tokens that the model reads of a text, including special tokens.",
    ),
    option(
        "--truncation",
        type=click.Choice(TRUNCATIONS),
        default=CheckpointSettings.truncation,
        show_default=True,
        help="Tokens that the model reads of a text longer than --max-length: the first, the last of those kept, some of both, or all in windows.",
    ),
    WINDOWS,
    option(
        "--max-tokens",
        type=Whole(3, MAX_LENGTH),
        show_default=str(DEFAULT_MAX_TOKENS),
        metavar="N",
        help="Number of tokens to keep of a text with --truncation tail or head+tail.",
    ),
    CLEAN_TEXT,
)

LABELS = group(
    "Labels",
    option(
        "--task",
        type=click.Choice([_AUTO, *TASKS]),
        default=_AUTO,
        callback=lambda context, parameter, value: None if value == _AUTO else value,
        show_default="as the model's settings state",
        help="Meaning of the outputs: one label a text, any number of labels, or numbers (a model with one output may not state it).",
    ),
    option(
        "--label-names",
        metavar="A,B,...",
        help="Names for the labels (or the outputs of a regression) in the order of the model's ids, 0 and up, unlike those of `train`.",
    ),
    option(
        "--keep-label-names",
        is_flag=True,
        help="Keep names such as LABEL_0, which are refused otherwise.",
    ),
    POSITIVE_LABEL,
)

TEXTS = group(
    "Texts",
    option(
        "--texts",
        shell_complete=files,
        metavar="FILE",
        help=f"Texts like those to be scored, half of which calibrate int8 and half of which judge{READ_AS_SCORE}.",
    ),
    TEXT_COLUMN,
    option(
        "--label-column",
        metavar="COLUMN",
        help="Column with labels (the model's names or ids, lists of them, or values), for figures and calibrated probabilities.",
    ),
    LABEL_SEPARATOR,
    option(
        "--most-texts",
        type=Whole(4),
        default=TextSettings.most,
        show_default=True,
        metavar="N",
        help="Number of texts to choose at random from the whole file.",
    ),
    option(
        "--seed",
        type=Whole(0),
        default=TextSettings.seed,
        show_default=True,
        metavar="N",
        help="Seed of the choice of texts, and of the halves.",
    ),
)

BUNDLE = group(
    "Bundle",
    OUTPUT,
    OVERWRITE,
    NAME,
    option(
        "--precisions",
        show_default="all that can be made",
        metavar="A,B",
        help="Precisions of the graphs to put into the bundle (int8 needs --texts).",
    ),
    NOTES,
)

ALL = together(
    CHECKPOINT,
    LABELS,
    TEXTS,
    READING_FILES,
    BUNDLE,
    group("Run", THREADS),
    group(OTHER, QUIET, DEBUG, HELP_OPTION),
)
