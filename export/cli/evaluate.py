"""`score-model evaluate`: bundles side by side on labelled texts; parses and delegates."""

import os
from pathlib import Path
from typing import Any

import click

from export.cli.options import (
    LABELLED_COLUMNS,
    QUIET,
    READ_AS_SCORE,
    THREADS,
    Condition,
    check_inputs,
    columns_of,
    fill,
    refuse_unused,
    require_libraries,
    split_names,
)
from export.evaluation.outputs import EVALUATION, is_errors, is_evaluation, is_picture, picture_names
from scorer.base.errors import UsageError
from scorer.base.messages import show
from scorer.cli.options import DEBUG, READING, files
from scorer.cli.program import Command
from scorer.model.bundle import refuse_bundle, refuse_file_in_bundle
from scorer.rows.input_options import InputOptions
from scorer.storage.address import refuse_credentials
from scorer.storage.output import STDOUT, check_place
from scorer.storage.places import Recognize, check_apart, check_folder, check_replaceable

EXAMPLES = """\b
Examples:
  score-model evaluate models/stars --data other.csv --label-column stars
  score-model evaluate models/old models/new --data test.parquet -o figures --errors errors.jsonl
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("--data", required=True, shell_complete=files, metavar="FILE", help=f"Labelled texts. {READ_AS_SCORE}")
@READING
@LABELLED_COLUMNS
@click.option(
    "--baseline/--no-baseline",
    default=True,
    show_default=True,
    help="Compare with TF-IDF + logistic regression: trained on --train-file, else five-fold on the texts themselves.",
)
@click.option(
    "--train-file",
    shell_complete=files,
    metavar="FILE",
    help="Labelled texts to train that baseline on, read like --data.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Draw the figures there, and write evaluation.json; the folder is made.",
)
@click.option(
    "--errors",
    shell_complete=files,
    metavar="FILE",
    help="Write the costliest errors there, with their texts, as JSON lines.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace files at these places that are no earlier output of this command."
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
@THREADS
@QUIET
@DEBUG
def evaluate(bundles: tuple[Path, ...], output: Path | None, errors: str | None, **options: Any) -> None:
    """Evaluate each BUNDLE on labelled texts, through the engine that `score` uses: figures, by length and group too.

    Figures of a bundle with a cascade are those with it; those without it stand beside them.
    """
    refuse_unused(
        (
            Condition(options["baseline"], "with --baseline", ("train_file",)),
            Condition(errors is not None, "with --errors", ("most_errors",)),
        )
    )
    require_libraries(pytorch=False)
    reading = fill(InputOptions, options)
    refuse_credentials([errors])
    inputs = check_inputs({"--data": options["data"], "--train-file": options["train_file"]}, reading)
    read = [path for found in inputs.values() for path in found]
    _check_outputs(errors, output, read, len(bundles), overwrite=options["overwrite"])
    from export.data import read_rows
    from export.evaluation.evaluate import number_labels
    from scorer.model.scorer import Scorer

    columns, names = columns_of(options), split_names(options["label_names"])
    rows = read_rows(options["data"], columns, reading)
    train_rows = read_rows(options["train_file"], columns, reading) if options["train_file"] else None
    # Load every bundle first, so that an error in one comes before the first is scored.
    provider, precision, threads = options["provider"], options["precision"], options["threads"]
    scorers = [
        Scorer(bundle, provider=provider, precision=precision, threads=threads, cascade=False) for bundle in bundles
    ]
    splits = [number_labels(rows, scorer.labels, names) for scorer in scorers]
    train_split = number_labels(train_rows, scorers[0].labels, names) if train_rows else None
    from export.evaluation import report

    evaluated = report.evaluate(list(map(str, bundles)), scorers, splits, quiet=options["quiet"])
    compared = None
    if options["baseline"]:
        compared = report.baseline_row(splits[0], len(scorers[0].labels), train_split)
    show("\n\n".join(report.lines(evaluated, compared)))
    if output is not None:
        show(f"\nwrote {', '.join(report.write_figures(output, evaluated, compared))} to {output}")
    if errors is not None:
        count = report.write_errors(errors, evaluated, options["most_errors"])
        show(f"\nwrote {count:,} errors to {errors}; it holds the texts")


def _check_outputs(
    errors: str | None, output: Path | None, inputs: list[str], bundles: int, *, overwrite: bool
) -> None:
    """Refuse an output that would take the place of anything but an earlier output of its kind.

    Args:
        errors, output: --errors and --output.
        inputs: files that are read.
        bundles: count of them, which decides names.
        overwrite: replace other files, too, but no input and nothing in a bundle.

    Raises:
        UsageError, ScorerError: one is refused; nothing was written.
    """
    if errors == STDOUT:
        raise UsageError("--errors needs a file: on stdout are the figures.")
    kinds: dict[str, tuple[str, Recognize]] = {}
    if output is not None:
        check_folder(output, "--output")
        refuse_bundle(str(output), "--output")
        kinds = {os.path.join(output, name): ("picture", is_picture) for name in picture_names(bundles)}
        kinds[os.path.join(output, EVALUATION)] = ("file of figures", is_evaluation)
    files = [("--output", path, *kind) for path, kind in kinds.items() if os.path.exists(path)]
    if errors is not None:
        refuse_file_in_bundle(errors, "--errors")
        files.append(("--errors", errors, "list of errors", is_errors))
    for option, path, kind, recognize in files:
        check_place(path, inputs, option)
        check_replaceable(path, option, kind, recognize, overwrite=overwrite)
    check_apart(
        {f"{os.path.basename(path)} of --output": path for path in kinds} | ({"--errors": errors} if errors else {})
    )
