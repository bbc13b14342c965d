"""The command `score-model`: trains, checks and evaluates bundles; parses and delegates."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

# Nothing heavy is imported up here: `score-model --help` has to be quick.
from scorer import __version__
from scorer.command import run_as_program
from scorer.errors import UsageError

TRAIN_EXAMPLES = """\b
Examples:
  score-model train -o models/imdb
  score-model train --train-file train.csv --test-file test.csv --label-column stars -o models/stars
  score-model train --encoder ./MiniLM --pooling mean --dataset stanfordnlp/imdb -o models/small
"""

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_debug = click.option("--debug", is_flag=True, help="Show a traceback with an error.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
_label_names = click.option("--label-names", metavar="A,B,...", help="Names for the raw labels, in their sorted order.")
_text_column = click.option(
    "--text-column", metavar="COLUMN", help="Default: the one called text, review, content, body or comment."
)
_label_column = click.option(
    "--label-column", default="label", show_default=True, metavar="COLUMN", help="The column of the labels."
)
_threads = click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="Default: every core this process may use."
)


@click.group(context_settings={"auto_envvar_prefix": "SCORE_MODEL", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="score-model", allow_from_autoenv=False)
def command() -> None:
    """Train a classifier on a frozen encoder, export it to ONNX, and check and evaluate what `score` will run."""


@command.command(epilog=TRAIN_EXAMPLES)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="The bundle to write."
)
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there.")
@click.option("--name", metavar="NAME", help="Of the bundle; default: the folder's name.")
@click.option(
    "--encoder",
    default="distilbert-base-uncased",
    show_default=True,
    metavar="NAME",
    help="A hub name or a local folder: DistilBERT, BERT, MiniLM, RoBERTa.",
)
@click.option("--encoder-revision", metavar="REV", help="The hub's branch, tag or commit of the encoder.")
@click.option(
    "--encoder-name",
    metavar="NAME",
    help="What manifest and model card call it; default: as given, of a folder the last part.",
)
@click.option(
    "--dataset",
    default="stanfordnlp/imdb",
    show_default=True,
    metavar="NAME",
    help="A hub name with the splits train and test.",
)
@click.option("--dataset-revision", metavar="REV", help="The hub's branch, tag or commit of the dataset.")
@click.option("--dataset-name", metavar="NAME", help="What manifest and model card call the data; default: as given.")
@click.option("--train-file", type=_file, metavar="FILE", help="CSV, TSV, JSONL or Parquet, instead of --dataset.")
@click.option("--test-file", type=_file, metavar="FILE", help="Only ever reported, never trained or chosen on.")
@_text_column
@_label_column
@_label_names
@click.option(
    "--positive-label", metavar="NAME", help="Of two labels, the one whose probability is the score; default: the last."
)
@click.option(
    "--max-length",
    type=click.IntRange(3),
    default=400,
    show_default=True,
    metavar="N",
    help="Tokens kept of a text, special tokens included.",
)
@click.option("--clean-html", is_flag=True, help="Let the tokenizer replace <br> tags by a space.")
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean"]),
    default="cls",
    show_default=True,
    help="What of the last layer the head reads.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Passes over the features; validation chooses the one that is kept.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=1e-3,
    show_default=True,
    metavar="X",
    help="Adam's.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    metavar="N",
    help="Texts a step of the head's training.",
)
@click.option(
    "--validation-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="R",
    help="Of the training split, held out to choose the epoch.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    metavar="N",
    help="Of the validation split, the head's start and the order of batches.",
)
@click.option(
    "--precisions", default="fp32,fp16,int8", show_default=True, metavar="A,B", help="Graphs to put into the bundle."
)
@click.option("--notes", type=_file, metavar="FILE", help="Markdown to put into the model card.")
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where features are kept; default: ~/.cache/review-scorer/features.",
)
@_threads
@_quiet
@_debug
def train(
    output: Path,
    overwrite: bool,
    name: str | None,
    encoder: str,
    encoder_revision: str | None,
    encoder_name: str | None,
    max_length: int,
    clean_html: bool,
    pooling: str,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    validation_share: float,
    seed: int,
    precisions: str,
    notes: Path | None,
    cache_dir: Path | None,
    threads: int | None,
    quiet: bool,
    debug: bool,
    **data: object,
) -> None:
    """Train a linear head on a frozen encoder and write the bundle that `score` takes.

    The encoder runs once over every text; its vectors are kept on disk, so another head takes seconds, and an
    interrupted run goes on where it stopped.
    """
    chosen = _precisions(precisions)
    from export import bundle
    from export.encoder import load_encoder
    from export.features import cache_folder
    from export.head import HeadSettings
    from export.train import Settings
    from export.train import train as run

    bundle.check_free(output, overwrite=overwrite)
    _use_threads(threads)
    settings = Settings(
        output=output,
        name=name or output.resolve().name,
        pooling=pooling,
        precisions=chosen,
        head=HeadSettings(epochs, learning_rate, batch_size, seed),
        validation_share=validation_share,
        notes=notes.read_text(encoding="utf-8") if notes else "",
        cache=cache_dir or cache_folder(),
        quiet=quiet,
    )
    loaded = load_encoder(
        encoder, max_length=max_length, revision=encoder_revision, called=encoder_name, clean_html=clean_html
    )
    run(_dataset(**data), loaded, settings, click.echo)  # type: ignore[arg-type]


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=_file, metavar="FILE", help="CSV, TSV, JSONL or Parquet with labels.")
@_text_column
@_label_column
@_label_names
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What computes; as in `score`.",
)
@click.option("--precision", default="auto", show_default=True, metavar="NAME", help="As in `score`.")
@_threads
@_quiet
@_debug
def evaluate(
    bundle: Path,
    data: Path,
    text_column: str | None,
    label_column: str,
    label_names: str | None,
    provider: str,
    precision: str,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> None:
    """Accuracy of BUNDLE on labelled texts, through the engine that `score` uses."""
    from export.data import read_rows
    from export.evaluate import evaluate as run
    from export.evaluate import number_labels
    from scorer.model import Scorer

    scorer = Scorer(bundle, provider=provider, precision=precision, threads=threads)
    rows = read_rows(data, text_column, label_column)
    labels = number_labels(rows, scorer.labels, _names(label_names))
    result = run(scorer, [text for text, _ in rows], labels, quiet=quiet)
    hits = int(result.confusion.trace())
    click.echo(
        f"{scorer.manifest.name}, {scorer.choice.precision} on {scorer.choice.provider}: accuracy {result.accuracy:.2%} ({hits:,} of {len(rows):,})"
    )


@command.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=str),
    metavar="FILE",
    help="Texts: CSV, TSV, JSONL or Parquet.",
)
@_text_column
@click.option(
    "--rows",
    type=click.IntRange(2),
    default=200,
    show_default=True,
    metavar="N",
    help="Texts to compare, evenly spread over the file.",
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="The bundle's encoder, a hub name or a local folder; default: the bundle's own name for it, which does for the hub only.",
)
@_threads
@_debug
def parity(
    bundle: Path, data: str, text_column: str | None, rows: int, encoder: str | None, threads: int | None, debug: bool
) -> None:
    """Compare BUNDLE with the PyTorch model it was made from, on real texts.

    fp32 logits may differ by 1e-4; the other precisions have to give the same label for 99% of the texts, chance
    allowed for.
    """
    from export.check_parity import check_bundle
    from export.data import read_texts
    from export.encoder import load_encoder
    from scorer.bundle import load_bundle
    from scorer.cores import usable_cores

    loaded = load_bundle(bundle)
    _use_threads(threads)
    name = encoder or str(loaded.manifest.encoder["name"])
    model = load_encoder(
        name, max_length=loaded.manifest.max_length, revision=None if encoder else loaded.manifest.encoder["revision"]
    )
    texts = read_texts(Path(data), text_column, rows)
    found, agreements = check_bundle(loaded, model, texts, threads or usable_cores())
    if found is not None:
        shapes = ", ".join(map(str, found.shapes[:4]))
        click.echo(
            f"fp32, padded batches ({shapes}, ...): biggest difference of a logit {found.difference:.1e} over {found.rows} rows"
        )
    for one in agreements:
        click.echo(
            f"{one.precision}, a row a run: biggest difference {one.difference:.1e}, mean {one.mean:.1e}, "
            f"same label {one.labels:.2%} of {len(texts)} texts"
        )


def main() -> NoReturn:
    """The entry point of the command `score-model`."""
    run_as_program(
        command,
        name="score-model",
        interrupted="no bundle was written; features so far are kept, and the same command goes on from them.",
    )


def _dataset(
    dataset: str,
    dataset_revision: str | None,
    dataset_name: str | None,
    train_file: Path | None,
    test_file: Path | None,
    text_column: str | None,
    label_column: str,
    label_names: str | None,
    positive_label: str | None,
) -> object:
    from export import data

    names = data.LabelNames(_names(label_names), positive_label)
    if (train_file is None) != (test_file is None):
        raise UsageError("--train-file and --test-file belong together.")
    if train_file is not None and test_file is not None:
        loaded = data.load_files(
            train_file, test_file, text_column=text_column, label_column=label_column, label_names=names
        )
    else:
        loaded = data.load_hub(
            dataset,
            text_column=text_column or "text",
            label_column=label_column,
            label_names=names,
            revision=dataset_revision,
        )
    return replace(loaded, name=dataset_name) if dataset_name else loaded


def _names(given: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in given.split(",")) if given is not None else None


def _precisions(given: str) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in given.split(","))
    unknown = [name for name in chosen if name not in ("fp32", "fp16", "int8")]
    if unknown or len(set(chosen)) != len(chosen):
        raise UsageError(f"--precisions takes one or more of fp32, fp16 and int8, separated by commas, not {given!r}.")
    return chosen


def _use_threads(threads: int | None) -> None:
    import torch

    from scorer.cores import usable_cores

    torch.set_num_threads(threads or usable_cores())
