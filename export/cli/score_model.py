"""The command `score-model`: trains, checks and evaluates bundles; parses and delegates."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from scorer.base.errors import UsageError

# Nothing heavy is imported up here: `score-model --help` has to be quick.
from scorer.base.version import __version__
from scorer.cli.compare import compare
from scorer.cli.program import note_debug, run_as_program
from scorer.model.manifest import MAX_LENGTH, TRUNCATIONS

if TYPE_CHECKING:
    from export.data import Dataset, Split

TRAIN_EXAMPLES = """\b
Examples:
  score-model train -o models/imdb
  score-model train --train-file train.csv --test-file test.csv --label-column stars -o models/stars
  score-model train --encoder ./MiniLM --pooling mean --dataset stanfordnlp/imdb -o models/small
"""

EVALUATE_EXAMPLES = """\b
Examples:
  score-model evaluate models/stars --data other.csv --label-column stars
  score-model evaluate models/old models/new --data test.parquet -o figures --errors errors.jsonl
"""

DEFAULT_MAX_TOKENS = 1024

_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_debug = click.option("--debug", is_flag=True, callback=note_debug, help="Show a traceback with an error.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
_label_names = click.option("--label-names", metavar="A,B,...", help="Names for the raw labels, in their sorted order.")
_text_column = click.option(
    "--text-column", metavar="COLUMN", help="Default: the one called text, review, content, body or comment."
)
_label_column = click.option(
    "--label-column", default="label", show_default=True, metavar="COLUMN", help="The column of the labels."
)
_group_column = click.option(
    "--group-column", metavar="COLUMN", help="Give figures by its values, too; default: rating where there is one."
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
@click.option(
    "--test-file", type=_file, metavar="FILE", help="Labels never trained or chosen by; scored once, for the card."
)
@_text_column
@_label_column
@_label_names
@_group_column
@click.option(
    "--positive-label", metavar="NAME", help="Of two labels, the one whose probability is the score; default: the last."
)
@click.option(
    "--max-length",
    type=click.IntRange(3, MAX_LENGTH),
    default=400,
    show_default=True,
    metavar="N",
    help="Tokens of a text that the encoder reads, special tokens included.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(3, MAX_LENGTH),
    metavar="N",
    help="Tokens kept of a text, of which the encoder reads --max-length, the wide part all; default: 1024, or --max-length with --no-wide.",
)
@click.option(
    "--truncation",
    type=click.Choice(TRUNCATIONS),
    default="head",
    show_default=True,
    help="Which tokens the encoder reads of a text that has more than --max-length: the first, the last of those that are kept, or some of both.",
)
@click.option("--clean-html", is_flag=True, help="Let the tokenizer replace <br> tags by a space.")
@click.option(
    "--pooling",
    default="cls",
    show_default=True,
    metavar="NAME",
    help="What the head reads: cls or mean of the last layer, mean4 of the fourth, or several, as in cls+mean4+mean5; attention5 learns which tokens count (their hidden states are kept in --cache-dir: gigabytes).",
)
@click.option(
    "--wide/--no-wide",
    default=True,
    show_default=True,
    help="Weights of word pieces and of pairs of them beside the encoder.",
)
@click.option(
    "--wide-pairs",
    type=click.IntRange(1, 1 << 24),
    default=1 << 20,
    show_default=True,
    metavar="N",
    help="Weights that the pairs share, two bytes each.",
)
@click.option(
    "--unfreeze",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Train the encoder's last N blocks along with the head: hours on a CPU, gone on with after an interruption, and gigabytes in --cache-dir unless all are trained.",
)
@click.option(
    "--tune-epochs",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    metavar="N",
    help="Passes over the training texts with --unfreeze or --pooling attention.",
)
@click.option(
    "--tune-learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=1e-4,
    show_default=True,
    metavar="X",
    help="Of the last block with --unfreeze, at its highest.",
)
@click.option(
    "--solver",
    type=click.Choice(["newton", "adam"]),
    default="newton",
    show_default=True,
    help="How the head on a frozen encoder is trained: to the optimum, its L2 penalty chosen on validation, or by epochs of Adam.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Adam's passes over the features; validation chooses the one that is kept.",
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
    metavar="N",
    help="Texts a step, of --solver adam's (default: 64), or with --unfreeze or --pooling attention (default: 32).",
)
@click.option(
    "--validation-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="R",
    help="Of the training split, held out in runs of neighbours for what is chosen and calibrated.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of the validation split, of what training begins with, and of its order.",
)
@click.option(
    "--baseline/--no-baseline",
    default=True,
    show_default=True,
    help="Train TF-IDF + logistic regression, too, to compare with.",
)
@click.option(
    "--probes",
    type=_file,
    metavar="FILE",
    help="Short texts of your own, with columns text, label (the model's names) and kind; the model card says what the model makes of them.",
)
@click.option(
    "--save-encoder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="With --unfreeze, write the trained encoder there too, for `score-model parity`.",
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
    max_tokens: int | None,
    truncation: str,
    clean_html: bool,
    pooling: str,
    wide: bool,
    wide_pairs: int,
    unfreeze: int,
    tune_epochs: int,
    tune_learning_rate: float,
    solver: str,
    epochs: int,
    learning_rate: float,
    batch_size: int | None,
    validation_share: float,
    seed: int,
    baseline: bool,
    probes: Path | None,
    save_encoder: Path | None,
    precisions: str,
    notes: Path | None,
    cache_dir: Path | None,
    threads: int | None,
    quiet: bool,
    debug: bool,
    **data: object,
) -> None:
    """Train a classifier on an encoder and write the bundle that `score` takes.

    The encoder stays frozen unless --unfreeze is given: it runs once over every text, and its vectors are kept on disk,
    so another head takes seconds, and an interrupted run goes on where it stopped. Beside it stand weights of the
    text's word pieces and pairs of them (--no-wide leaves them out).
    """
    from export.encoder.pooling import is_trained

    tuned = unfreeze > 0 or is_trained(pooling)
    adam = solver == "adam" and not tuned
    _only_where(not tuned, "without --unfreeze and --pooling attention", "solver")
    _only_where(adam, "with --solver adam", "epochs", "learning_rate")
    _only_where(adam or tuned, "with --solver adam, --unfreeze or --pooling attention", "batch_size")
    _only_where(tuned, "with --unfreeze or --pooling attention", "tune_epochs")
    _only_where(unfreeze > 0, "with --unfreeze", "tune_learning_rate", "save_encoder")
    _only_where(wide, "with --wide", "wide_pairs")
    _only_where(data["train_file"] is None, "without --train-file", "dataset", "dataset_revision")
    chosen = _precisions(precisions)
    from export.bundle import bundle
    from export.classifier.head import HeadSettings
    from export.classifier.wide import WideSettings
    from export.encoder.load import load_encoder
    from export.training.cache import cache_folder
    from export.training.finetune import HEAD_ALONE, TuneSettings
    from export.training.fit import FitSettings
    from export.training.train import Settings
    from export.training.train import train as run

    bundle.check_free(output, overwrite=overwrite)
    _use_threads(threads)
    dataset = _dataset(**data)  # type: ignore[arg-type]
    settings = Settings(
        output=output,
        name=name or output.resolve().name,
        fit=FitSettings(
            pooling=pooling,
            head=HeadSettings(
                solver=solver, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size or 64, seed=seed
            ),
            tune=TuneSettings(
                unfreeze,
                epochs=tune_epochs,
                learning_rate=tune_learning_rate,
                batch_size=batch_size or 32,
                seed=seed,
                head_learning_rate=TuneSettings.head_learning_rate if unfreeze else HEAD_ALONE,
            )
            if tuned
            else None,
            wide=WideSettings(pairs=wide_pairs) if wide else None,
            validation_share=validation_share,
            seed=seed,
            cache=cache_dir or cache_folder(),
            quiet=quiet,
        ),
        max_length=max_length,
        truncation=truncation,
        precisions=chosen,
        baseline=baseline,
        probes=_probes(probes, dataset) if probes else None,
        notes=notes.read_text(encoding="utf-8") if notes else "",
        save_encoder=save_encoder,
        quiet=quiet,
    )
    kept = max_tokens or (max(DEFAULT_MAX_TOKENS, max_length) if wide or truncation != "head" else max_length)
    loaded = load_encoder(
        encoder,
        max_length=max_length,
        max_tokens=kept,
        revision=encoder_revision,
        called=encoder_name,
        clean_html=clean_html,
    )
    run(dataset, loaded, settings, click.echo)


@command.command(epilog=EVALUATE_EXAMPLES)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("--data", required=True, type=_file, metavar="FILE", help="CSV, TSV, JSONL or Parquet with labels.")
@_text_column
@_label_column
@_label_names
@_group_column
@click.option(
    "--baseline/--no-baseline",
    default=True,
    show_default=True,
    help="Compare with TF-IDF + logistic regression: trained on --train-file, else five-fold on the texts themselves.",
)
@click.option("--train-file", type=_file, metavar="FILE", help="Labelled texts to train that baseline on.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Draw the figures there, and write evaluation.json.",
)
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the costliest errors there, with their texts, as JSON lines.",
)
@click.option(
    "--most-errors", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="So many of a bundle."
)
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
    bundles: tuple[Path, ...],
    data: Path,
    text_column: str | None,
    label_column: str,
    label_names: str | None,
    group_column: str | None,
    baseline: bool,
    train_file: Path | None,
    output: Path | None,
    errors: Path | None,
    most_errors: int,
    provider: str,
    precision: str,
    threads: int | None,
    quiet: bool,
    debug: bool,
) -> None:
    """How good each BUNDLE is on labelled texts, through the engine that `score` uses: figures, by length and group too."""
    from export.data import Columns, read_rows
    from export.evaluation import report
    from export.evaluation.evaluate import number_labels, score_split
    from scorer.model.scorer import Scorer

    _only_where(baseline, "with --baseline", "train_file")
    _only_where(errors is not None, "with --errors", "most_errors")
    columns, names = Columns(text_column, label_column, group_column), _names(label_names)
    rows = read_rows(data, columns)
    train_rows = read_rows(train_file, columns) if train_file else None
    # What is wrong with any of them, or with a place to write to, is said before the first is scored.
    scorers = [Scorer(bundle, provider=provider, precision=precision, threads=threads) for bundle in bundles]
    splits = [number_labels(rows, scorer.labels, names) for scorer in scorers]
    train_split = number_labels(train_rows, scorers[0].labels, names) if train_rows else None
    _make_places(errors, output)
    named = [scorer.manifest.name for scorer in scorers]
    evaluated = []
    for bundle, scorer, split in zip(bundles, scorers, splits, strict=True):
        manifest, choice = scorer.manifest, scorer.choice
        name = manifest.name if named.count(manifest.name) == 1 else str(bundle)
        evaluated.append(
            report.Evaluated(
                f"{name} ({choice.precision}, {choice.provider})",
                scorer.labels,
                manifest.max_length,
                score_split(scorer, split, quiet=quiet),
            )
        )
    compared = None
    if baseline:
        compared = report.baseline_row(splits[0], len(scorers[0].labels), train_split)
    click.echo("\n\n".join(report.lines(evaluated, compared)))
    if output is not None:
        click.echo(f"\nwrote {', '.join(report.write_figures(output, evaluated, compared))} to {output}")
    if errors is not None:
        count = report.write_errors(errors, evaluated, most_errors)
        click.echo(f"\nwrote {count:,} errors to {errors}; it holds the texts")


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
    from export.bundle.parity_check import check_bundle
    from export.data import read_texts
    from export.encoder.load import load_encoder
    from scorer.base.cores import usable_cores
    from scorer.model.bundle import load_bundle

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


command.add_command(compare)


def main() -> NoReturn:
    """The entry point of the command `score-model`."""
    run_as_program(
        command,
        name="score-model",
        interrupted="no bundle was written; what was computed so far is kept, and the same command goes on from it.",
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
    group_column: str | None,
    positive_label: str | None,
) -> "Dataset":
    from export import data

    names = data.LabelNames(_names(label_names), positive_label)
    columns = data.Columns(text_column, label_column, group_column)
    if (train_file is None) != (test_file is None):
        raise UsageError("--train-file and --test-file belong together.")
    if train_file is not None and test_file is not None:
        loaded = data.load_files(train_file, test_file, columns=columns, label_names=names)
    else:
        loaded = data.load_hub(dataset, columns=columns, label_names=names, revision=dataset_revision)
    return replace(loaded, name=dataset_name) if dataset_name else loaded


def _probes(path: Path, dataset: "Dataset") -> "Split":
    """Texts to try the model with: columns text, label (the model's own), and kind."""
    from export.data import Columns, read_rows
    from export.evaluation.evaluate import number_labels

    return number_labels(read_rows(path, Columns(group="kind")), dataset.labels, None)


def _only_where(used: bool, where: str, *parameters: str) -> None:
    """Refuse options that were given and would do nothing.

    Raises:
        UsageError: one of the parameters was given on the command line.
    """
    context = click.get_current_context()
    given = [name for name in parameters if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given and not used:
        option = next(one for one in context.command.params if one.name == given[0]).opts[0]
        raise UsageError(f"{option} does something only {where}.")


def _make_places(file: Path | None, folder: Path | None) -> None:
    """Raise `UsageError` where a file or a folder cannot be written."""
    try:
        if file is not None:
            file.touch()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error


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

    from scorer.base.cores import usable_cores

    torch.set_num_threads(threads or usable_cores())
