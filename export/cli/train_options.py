"""The options of `score-model train`, in groups, of which `cascade` takes some; their defaults are those of the settings dataclasses."""

from pathlib import Path

import click

from export.classifier.settings import CascadeSettings, HeadSettings, WideSettings
from export.cli.options import FILE, LABELLED_COLUMNS, QUIET, READ_AS_SCORE, THREADS
from export.data_source import DataSource
from export.training.settings import DEFAULT_MAX_TOKENS, EncoderSettings, FitSettings, Settings, TuneSettings
from scorer.cli.options import DEBUG, READING, files, together
from scorer.model.manifest import MAX_LENGTH, TRUNCATIONS

OUTPUT = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The bundle to write; its parent folders are made when there is something to write.",
)

BUNDLE = together(
    OUTPUT,
    click.option(
        "--overwrite",
        is_flag=True,
        help="Replace a bundle that is there, and another encoder in --save-encoder; refused where anything else would be lost.",
    ),
    click.option("--name", metavar="NAME", help="Of the bundle; default: the folder's name."),
)

ENCODER = together(
    click.option(
        "--encoder",
        default=EncoderSettings.name,
        show_default=True,
        metavar="NAME",
        help="A hub name or a local folder: DistilBERT, BERT, MiniLM, RoBERTa.",
    ),
    click.option("--encoder-revision", metavar="REV", help="The hub's branch, tag or commit of the encoder."),
    click.option(
        "--encoder-name",
        metavar="NAME",
        help="What manifest and model card call it; default: as given, of a folder the last part.",
    ),
)

DATASET = together(
    click.option(
        "--dataset",
        default=DataSource.dataset,
        show_default=True,
        metavar="NAME",
        help="A hub name with the splits train and test.",
    ),
    click.option("--dataset-revision", metavar="REV", help="The hub's branch, tag or commit of the dataset."),
)

FILES = together(
    click.option(
        "--train-file",
        shell_complete=files,
        metavar="FILE",
        help=f"Labelled texts instead of --dataset. {READ_AS_SCORE}",
    ),
    click.option(
        "--test-file",
        shell_complete=files,
        metavar="FILE",
        help="The same; labels never trained or chosen by, scored once, for the card.",
    ),
    READING,
    LABELLED_COLUMNS,
    click.option(
        "--positive-label",
        metavar="NAME",
        help="Of two labels, the one whose probability is the score; default: the last.",
    ),
)

DATA = together(
    DATASET,
    click.option(
        "--dataset-name", metavar="NAME", help="What manifest and model card call the data; default: as given."
    ),
    FILES,
)

TOKENS = together(
    click.option(
        "--max-length",
        type=click.IntRange(3, MAX_LENGTH),
        default=Settings.max_length,
        show_default=True,
        metavar="N",
        help="Tokens of a text that the encoder reads, special tokens included.",
    ),
    click.option(
        "--max-tokens",
        type=click.IntRange(3, MAX_LENGTH),
        metavar="N",
        help=f"Tokens kept of a text, of which the encoder reads --max-length, the wide part all; default: {DEFAULT_MAX_TOKENS}, or --max-length with --no-wide.",
    ),
    click.option(
        "--truncation",
        type=click.Choice(TRUNCATIONS),
        default=Settings.truncation,
        show_default=True,
        help="Which tokens the encoder reads of a text that has more than --max-length: the first, the last of those that are kept, or some of both.",
    ),
    click.option("--clean-html", is_flag=True, help="Let the tokenizer replace <br> tags by a space."),
)

CASCADE_NAMES = {"loss": "cascade_loss", "most": "cascade_most"}
"""Options of `CASCADE` by the field of `CascadeSettings`, as `fill` takes them."""

CASCADE = together(
    click.option(
        "--cascade-loss",
        type=click.FloatRange(0, 100),
        default=CascadeSettings.loss,
        show_default=True,
        metavar="X",
        help="Points of accuracy on held-out texts that the cascade may cost.",
    ),
    click.option(
        "--cascade-most",
        type=click.FloatRange(0, 1, min_open=True),
        default=CascadeSettings.most,
        show_default=True,
        metavar="R",
        help="Share of the held-out texts that the wide part decides at most: narrower limits for texts of other kinds.",
    ),
)

MODEL = together(
    click.option(
        "--pooling",
        default=FitSettings.pooling,
        show_default=True,
        metavar="NAME",
        help="What the head reads: cls or mean of the last layer, mean4 of the fourth, or several, as in cls+mean4+mean5; attention5 learns which tokens count (their hidden states are kept in --cache-dir: gigabytes).",
    ),
    click.option(
        "--wide/--no-wide",
        default=FitSettings.wide is not None,
        show_default=True,
        help="Weights of word pieces and of pairs of them beside the encoder.",
    ),
    click.option(
        "--wide-pairs",
        type=click.IntRange(1, 1 << 24),
        default=WideSettings.pairs,
        show_default=True,
        metavar="N",
        help="Weights that the pairs share, two bytes each.",
    ),
    click.option(
        "--cascade/--no-cascade",
        default=FitSettings.cascade is not None,
        show_default=True,
        help=f"Choose limits beyond which the wide part alone decides, so that most texts need no encoder; needs --wide and {CascadeSettings.least_texts:,} held-out texts.",
    ),
    CASCADE,
)

TUNING = together(
    click.option(
        "--unfreeze",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Train the encoder's last N blocks along with the head: hours on a CPU, gone on with after an interruption, and gigabytes in --cache-dir unless all are trained.",
    ),
    click.option(
        "--tune-epochs",
        type=click.IntRange(1),
        default=TuneSettings.epochs,
        show_default=True,
        metavar="N",
        help="Passes over the training texts with --unfreeze or --pooling attention.",
    ),
    click.option(
        "--tune-learning-rate",
        type=click.FloatRange(0, min_open=True),
        default=TuneSettings.learning_rate,
        show_default=True,
        metavar="X",
        help="Of the last block with --unfreeze, at its highest.",
    ),
)

HEAD = together(
    click.option(
        "--solver",
        type=click.Choice(["newton", "adam"]),
        default=HeadSettings.solver,
        show_default=True,
        help="How the head on a frozen encoder is trained: to the optimum, its L2 penalty chosen on validation, or by epochs of Adam.",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(1),
        default=HeadSettings.epochs,
        show_default=True,
        metavar="N",
        help="Adam's passes over the features; validation chooses the one that is kept.",
    ),
    click.option(
        "--learning-rate",
        type=click.FloatRange(0, min_open=True),
        default=HeadSettings.learning_rate,
        show_default=True,
        metavar="X",
        help="Adam's.",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        metavar="N",
        help=f"Texts a step, of --solver adam's (default: {HeadSettings.batch_size}), or with --unfreeze or --pooling attention (default: {TuneSettings.batch_size}).",
    ),
)

PROBES = click.option(
    "--probes",
    shell_complete=files,
    metavar="FILE",
    help="Short texts of your own, read like --train-file, with columns text, label (the model's names) and kind; the model card says what the model makes of them.",
)

NOTES = click.option("--notes", type=FILE, metavar="FILE", help="Markdown to put into the model card.")

RUN = together(
    click.option(
        "--validation-share",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=FitSettings.validation_share,
        show_default=True,
        metavar="R",
        help="Of the training split, held out in runs of neighbours for what is chosen and calibrated.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=FitSettings.seed,
        show_default=True,
        metavar="N",
        help="Of the validation split, of what training begins with, and of its order.",
    ),
    click.option(
        "--baseline/--no-baseline",
        default=Settings.baseline,
        show_default=True,
        help="Train TF-IDF + logistic regression, too, to compare with.",
    ),
    PROBES,
    click.option(
        "--save-encoder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="With --unfreeze, write the trained encoder there too, for `score-model parity`.",
    ),
    click.option(
        "--precisions",
        default=",".join(Settings.precisions),
        show_default=True,
        metavar="A,B",
        help="Graphs to put into the bundle.",
    ),
    NOTES,
    click.option(
        "--cache-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Where features are kept; default: ~/.cache/review-scorer/features.",
    ),
    THREADS,
    QUIET,
    DEBUG,
)

ALL = together(BUNDLE, ENCODER, DATA, TOKENS, MODEL, TUNING, HEAD, RUN)
