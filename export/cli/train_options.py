"""Options of `score-model train` in titled groups, some of which `cascade` and `import` share.

Their defaults are those of the settings dataclasses.
"""

import math
from pathlib import Path
from typing import Any

import click

from export.classifier.settings import (
    CALIBRATIONS,
    DEFAULT_MAX_TOKENS,
    LOSSES,
    CascadeSettings,
    HeadSettings,
    WideSettings,
)
from export.cli.options import (
    FILE,
    LABEL_SEPARATOR,
    LABELLED_COLUMNS,
    QUIET,
    READ_AS_SCORE,
    READING_FILES,
    SIMILAR_LABELS,
    THREADS,
    WINDOWS,
)
from export.data_source import DROP_OPTION
from export.training.settings import (
    DEVICES,
    FEW_TEXTS,
    NUMBER_FORMATS,
    VALIDATION_SHARE,
    DomainSettings,
    EncoderSettings,
    FitSettings,
    Settings,
    TuneSettings,
)
from scorer.base.task import TASKS
from scorer.cli.help import HELP_OPTION, OTHER, group, option, together
from scorer.cli.options import DEBUG, Number, Whole, files
from scorer.model.manifest import MAX_LENGTH, TRUNCATIONS

OUTPUT = option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to write the bundle to; parent folders are made once there is something to write.",
)

NOTES = option("--notes", type=FILE, metavar="FILE", help="Markdown file to include in the model card.")

OVERWRITE = option(
    "--overwrite", is_flag=True, help="Replace an existing bundle, but refuse if any other file would be lost."
)

NAME = option("--name", show_default="the name of the folder", metavar="NAME", help="Name of the bundle.")

CLEAN_TEXT = option(
    "--clean-text",
    "--clean-html",
    "clean_text",
    is_flag=True,
    help="Make the tokenizer decode HTML entities, drop tags, and read invisible separators and full-width letters.",
)

POSITIVE_LABEL = option(
    "--positive-label",
    show_default="the last",
    metavar="NAME",
    help="Label whose probability is the score (two labels only).",
)

PROBES = option(
    "--probes",
    shell_complete=files,
    metavar="FILE",
    help="Short texts of your own for the model card to report on, read like --train-file, with the columns text, label (as the model names it) and kind.",
)

BUNDLE = group(
    "Bundle",
    OUTPUT,
    option(
        "--overwrite",
        is_flag=True,
        help="Replace an existing bundle, and another encoder in --save-encoder, but refuse if any other file would be lost.",
    ),
    NAME,
    option(
        "--precisions",
        default=",".join(Settings.precisions),
        show_default=True,
        metavar="A,B",
        help="Precisions of the graphs to put into the bundle.",
    ),
    NOTES,
    PROBES,
    option(
        "--baseline/--no-baseline",
        default=Settings.baseline,
        show_default=True,
        help="Train TF-IDF with logistic regression as well, for comparison.",
    ),
)


class _Factor(click.ParamType):  # type: ignore[type-arg]
    """A name with a factor, such as ``hotels=2``.

    >>> _Factor().convert("a=b=0.5", None, None)
    ('a=b', 0.5)
    """

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, equals, factor = value.rpartition("=")
        try:
            number = float(factor)
        except ValueError:
            number = math.nan
        if not (name and equals and 0 < number < math.inf):
            self.fail(f"{value!r} is not a name, =, and a number above 0, such as hotels=2.", param, ctx)
        return name, number


DATASET = together(
    option(
        "--dataset",
        metavar="NAME",
        help="Dataset on the hub with the splits train and test, such as stanfordnlp/imdb, instead of files.",
    ),
    option("--dataset-revision", metavar="REV", help="Branch, tag or commit of the dataset on the hub."),
)

FILES = together(
    option(
        "--train-file",
        multiple=True,
        shell_complete=files,
        metavar="FILE",
        help=f"Labelled texts for training{READ_AS_SCORE}; repeatable.",
    ),
    option(
        "--test-file",
        multiple=True,
        shell_complete=files,
        metavar="FILE",
        help="Labelled texts to score once for the model card, never used for training or choices; repeatable.",
        show_default="a part of --train-file",
    ),
    option(
        "--test-share",
        type=Number(0, 1, min_open=True, max_open=True),
        metavar="R",
        show_default="0.2, or 100 texts if that is more, but then at most a third",
        help="Share of --train-file to test with, if there is no --test-file; equal texts and near duplicates are on one side.",
    ),
    option(
        "--split-by",
        metavar="COLUMN",
        help="Column with the thread, product or author of each text, if there is no --test-file: all texts of one are trained on, or all tested with.",
    ),
    option("--exclude-ids", type=FILE, metavar="FILE", help="Ids of training texts to leave out, one a line."),
    option(
        "--domain-column",
        metavar="COLUMN",
        help="Column with the domain of a text, such as hotels or phones (a file without it is a domain of its own, named as the file, or as its folder if the file is called train or test).",
    ),
)

DOMAINS = together(
    option(
        "--domain-power",
        type=Number(0, 1),
        default=DomainSettings.power,
        show_default=True,
        metavar="R",
        help="Power of its number of texts that a domain counts by in training (1: all texts count alike, 0: all domains do); labels within a domain count likewise.",
    ),
    option(
        "--domain-weight",
        type=_Factor(),
        multiple=True,
        metavar="NAME=X",
        help="Further factor of a domain in training; repeatable.",
    ),
)

COLUMNS = group(
    "Columns and labels",
    LABELLED_COLUMNS,
    POSITIVE_LABEL,
    SIMILAR_LABELS,
    option(DROP_OPTION, is_flag=True, help="Drop records without a label; without this option they are refused."),
)

AUTO = "auto"
"""The choice of --task that judges by the first record."""

TASK_OPTION = option(
    "--task",
    type=click.Choice([AUTO, *TASKS]),
    default=AUTO,
    show_default=True,
    help="Kind of the labels: one a text, any number of them, or numbers (auto takes any number if the first training record has a list, or with --label-separator).",
)

TASK = group(
    "Task",
    TASK_OPTION,
    LABEL_SEPARATOR,
    option(
        "--min-precision",
        type=Number(0, 1, min_open=True),
        metavar="R",
        show_default="the largest F1",
        help="Precision on held-out texts that the threshold of each label must have (several labels only).",
    ),
    option(
        "--loss",
        type=click.Choice(LOSSES),
        default=FitSettings.loss,
        show_default=True,
        help="Loss of --task regression: squared error, or Huber's, which outliers move less.",
    ),
    option(
        "--ordered",
        is_flag=True,
        help="The labels are numbers, such as stars: `score --details` adds their mean, and the card has the mean error.",
    ),
    option(
        "--balance",
        is_flag=True,
        help="Weigh the texts of each label by its inverse frequency, so that rare labels count as much; probabilities stay those of the texts as they are.",
    ),
    option(
        "--calibrate",
        type=click.Choice(CALIBRATIONS),
        default=FitSettings.calibrate,
        show_default=True,
        help="Calibration of one label a text: a temperature, or before it a scale and biases by the text's length, for texts of very different lengths.",
    ),
)

DATA = group(
    "Data",
    FILES,
    DATASET,
    option(
        "--dataset-name",
        show_default="the name of the dataset or of the files",
        metavar="NAME",
        help="Name of the data in the manifest and the model card.",
    ),
    DOMAINS,
    option(
        "--validation-share",
        type=Number(0, 1, min_open=True, max_open=True),
        show_default=f"{VALIDATION_SHARE:g}, or cross-validation if there are fewer than {FEW_TEXTS:,} texts",
        metavar="R",
        help="Share of the training split to hold out, in runs of neighbours, for choices and calibration.",
    ),
)

ENCODER = group(
    "Encoder",
    option(
        "--encoder",
        default=EncoderSettings.name,
        show_default=True,
        metavar="NAME",
        help="Encoder on the hub or in a local folder; docs/OWN-MODEL.md names the families.",
    ),
    option("--encoder-revision", metavar="REV", help="Branch, tag or commit of the encoder on the hub."),
    option(
        "--encoder-name",
        show_default="the hub name, or the last part of the folder",
        metavar="NAME",
        help="Name of the encoder in the manifest and the model card.",
    ),
    option(
        "--max-length",
        type=Whole(3, MAX_LENGTH),
        default=Settings.max_length,
        show_default=True,
        metavar="N",
        help="Number of tokens that the encoder reads of a text, including special tokens.",
    ),
    option(
        "--max-tokens",
        type=Whole(3, MAX_LENGTH),
        show_default=f"{DEFAULT_MAX_TOKENS}, --max-length with --no-wide, or what windows cover",
        metavar="N",
        help="Number of tokens to keep of a text (the encoder reads --max-length of them, the wide part all).",
    ),
    option(
        "--truncation",
        type=click.Choice(TRUNCATIONS),
        default=Settings.truncation,
        show_default=True,
        help="Tokens that the encoder reads of a text longer than --max-length: the first, the last of those kept, some of both, or all in windows.",
    ),
    WINDOWS,
    CLEAN_TEXT,
    option(
        "--emoji",
        is_flag=True,
        help="Give the most frequent emoji pieces of their own in free places of a WordPiece vocabulary; --unfreeze trains them.",
    ),
)

HEAD = group(
    "Head",
    option(
        "--pooling",
        default=FitSettings.pooling,
        show_default=True,
        metavar="NAME",
        help="Vectors that the head reads: auto takes means of the layers before the last, unless held-out texts clearly want others as cheap; or cls or mean of the last layer, mean4 of the fourth, several as in cls+mean4+mean5, or attention5, which learns which tokens matter (and keeps gigabytes of hidden states in --cache-dir).",
    ),
    option(
        "--solver",
        type=click.Choice(["newton", "adam"]),
        default=HeadSettings.solver,
        show_default=True,
        help="Training of the head on a frozen encoder: newton finds the optimum, with an L2 penalty chosen on validation texts, and adam takes epochs of Adam.",
    ),
    option(
        "--epochs",
        type=Whole(1),
        default=HeadSettings.epochs,
        show_default=True,
        metavar="N",
        help="Number of passes of --solver adam, of which the best on validation texts is kept.",
    ),
    option(
        "--learning-rate",
        type=Number(0, min_open=True),
        default=HeadSettings.learning_rate,
        show_default=True,
        metavar="X",
        help="Learning rate of --solver adam.",
    ),
    option(
        "--batch-size",
        type=Whole(1),
        show_default=f"{HeadSettings.batch_size} with --solver adam, or else {TuneSettings.batch_size}",
        metavar="N",
        help="Number of texts per step with --solver adam, --unfreeze or --pooling attention.",
    ),
)

WIDE = group(
    "Wide part",
    option(
        "--wide/--no-wide",
        default=FitSettings.wide is not None,
        show_default=True,
        help="Add weights of word pieces and of pairs of them beside the encoder.",
    ),
    option(
        "--wide-pairs",
        type=Whole(1, 1 << 24),
        default=WideSettings.pairs,
        show_default=True,
        metavar="N",
        help="Number of weights that the pairs share, of two bytes each.",
    ),
)

CASCADE_NAMES = {"loss": "cascade_loss", "domain_loss": "cascade_domain_loss", "most": "cascade_most"}
"""Options of `LIMITS` by field of `CascadeSettings`, as `fill` takes them."""

LIMITS = together(
    option(
        "--cascade-loss",
        type=Number(0, 100),
        default=CascadeSettings.loss,
        show_default=True,
        metavar="X",
        help="Accuracy on held-out texts that the cascade may cost, in percentage points.",
    ),
    option(
        "--cascade-domain-loss",
        type=Number(0, 100),
        default=CascadeSettings.domain_loss,
        show_default=True,
        metavar="X",
        help="Accuracy on held-out texts of each domain that the cascade may cost, in percentage points, if there are several domains (see --domain-column).",
    ),
    option(
        "--cascade-most",
        type=Number(0, 1, min_open=True),
        default=CascadeSettings.most,
        show_default=True,
        metavar="R",
        help="Largest share of the held-out texts that the wide part may decide (use a smaller share if your texts will differ from the training texts).",
    ),
)

CASCADE = group(
    "Cascade",
    option(
        "--cascade/--no-cascade",
        default=FitSettings.cascade is not None,
        show_default=True,
        help=f"Choose limits beyond which the wide part alone decides, so that most texts need no encoder (needs --wide and {CascadeSettings.least_texts:,} held-out texts).",
    ),
    LIMITS,
)

TUNING = group(
    "Fine-tuning",
    option(
        "--unfreeze",
        type=Whole(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Train the last N blocks of the encoder with the head (resumable; takes hours on a CPU, and gigabytes in --cache-dir unless all blocks are trained).",
    ),
    option(
        "--tune-epochs",
        type=Whole(1),
        default=TuneSettings.epochs,
        show_default=True,
        metavar="N",
        help="Number of passes over the training texts with --unfreeze or --pooling attention.",
    ),
    option(
        "--tune-learning-rate",
        type=Number(0, min_open=True),
        default=TuneSettings.learning_rate,
        show_default=True,
        metavar="X",
        help="Highest learning rate of the last block with --unfreeze.",
    ),
    option(
        "--tune-precision",
        type=click.Choice(NUMBER_FORMATS),
        default=TuneSettings.number_format,
        show_default=True,
        help="Format of the products in training; bf16 takes half the time on a CPU with instructions for it.",
    ),
    option(
        "--augment",
        metavar="A,B",
        show_default="none",
        help="Versions of texts to train on as well: crops (10 to 60 words of each long text, beside it) and typos (errors in some texts).",
    ),
    option(
        "--short-epochs",
        type=Whole(0),
        default=TuneSettings.short_epochs,
        show_default=True,
        metavar="N",
        help="Number of first passes that read a stretch of 96 words of a long text instead of all of it.",
    ),
    option(
        "--save-encoder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Write the encoder that --unfreeze trained to this folder as well, for `score-model parity`.",
    ),
)

CACHE = option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="~/.cache/review-scorer/features",
    metavar="FOLDER",
    help="Folder for features, and for the record of the texts to test with, which later runs reuse.",
)

RUN = group(
    "Run",
    option(
        "--seed",
        type=Whole(0),
        default=FitSettings.seed,
        show_default=True,
        metavar="N",
        help="Seed of the validation split, the initial weights and the order of training.",
    ),
    CACHE,
    option(
        "--device",
        type=click.Choice(DEVICES),
        default=FitSettings.device,
        show_default=True,
        help="Device of PyTorch for the encoder's vectors and --unfreeze: a GPU needs a build of PyTorch for it (auto takes one with CUDA if it can), and all else uses the CPU.",
    ),
    THREADS,
)

ALL = together(
    DATA,
    READING_FILES,
    COLUMNS,
    TASK,
    ENCODER,
    HEAD,
    WIDE,
    CASCADE,
    TUNING,
    BUNDLE,
    RUN,
    group(OTHER, QUIET, DEBUG, HELP_OPTION),
)
