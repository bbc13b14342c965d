"""The command `score-model evaluate`, which compares bundles on labelled texts; it parses and delegates."""

import os
from pathlib import Path
from typing import Any

import click

from export.cli.options import (
    LABELLED_COLUMNS,
    QUIET,
    READ_AS_SCORE,
    READING_FILES,
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
from scorer.base.messages import print_result
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, Whole, files
from scorer.cli.program import Command
from scorer.model.bundle import refuse_bundle, refuse_file_in_bundle
from scorer.rows.input_options import InputOptions
from scorer.storage.address import refuse_credentials
from scorer.storage.output import STDOUT, check_place
from scorer.storage.places import Recognize, check_apart, check_folder, check_replaceable

HELP = """\
Evaluate each BUNDLE on labelled texts.

\b
Examples:
  score-model evaluate models/stars --data other.csv --label-column stars
  score-model evaluate models/old models/new --data test.parquet -o figures
  score-model evaluate models/imdb --data test.csv --errors errors.jsonl

The texts are scored by the engine that `score` uses. Figures are printed for all texts, and by length and group. For a
bundle with a cascade, the figures with the cascade are printed beside those without it.
"""


@click.command(cls=Command, help=HELP)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@group(
    "Data",
    option("--data", required=True, shell_complete=files, metavar="FILE", help=f"Labelled texts{READ_AS_SCORE}."),
)
@READING_FILES
@group("Columns and labels", LABELLED_COLUMNS)
@group(
    "Baseline",
    option(
        "--baseline/--no-baseline",
        default=True,
        show_default=True,
        help="Compare with TF-IDF and logistic regression, trained on --train-file, or else five-fold on the texts themselves.",
    ),
    option(
        "--train-file",
        shell_complete=files,
        metavar="FILE",
        help="Labelled texts to train the baseline on, read like --data.",
    ),
)
@group(
    "Output",
    option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Folder for figures and evaluation.json, which is made if it is missing.",
    ),
    option(
        "--errors",
        shell_complete=files,
        metavar="FILE",
        help="File for the costliest errors, with their texts, as JSON lines.",
    ),
    option(
        "--most-errors",
        type=Whole(1),
        default=100,
        show_default=True,
        metavar="N",
        help="Number of errors to write for each bundle.",
    ),
    option(
        "--overwrite",
        is_flag=True,
        help="Replace existing files, even if this command did not write them.",
    ),
)
@group(
    "Speed",
    option(
        "--provider",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Execution provider, as in `score`.",
    ),
    option(
        "--precision", default="auto", show_default=True, metavar="NAME", help="Precision to compute in, as in `score`."
    ),
    THREADS,
)
@group(OTHER, QUIET, DEBUG, HELP_OPTION)
def evaluate(bundles: tuple[Path, ...], output: Path | None, errors: str | None, **options: Any) -> None:
    """Evaluate as the options ask, and print the figures."""
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
    # Load every bundle first, so that an error in one comes before any is scored.
    provider, precision, threads = options["provider"], options["precision"], options["threads"]
    scorers = [
        Scorer(bundle, provider=provider, precision=precision, threads=threads, cascade=False) for bundle in bundles
    ]
    by_ids = [(scorer.manifest.source or {}).get("labels", ()) for scorer in scorers]
    splits = [number_labels(rows, one.labels, names, by_id) for one, by_id in zip(scorers, by_ids, strict=True)]
    train_split = number_labels(train_rows, scorers[0].labels, names, by_ids[0]) if train_rows else None
    from export.evaluation import report

    evaluated = report.evaluate(list(map(str, bundles)), scorers, splits, quiet=options["quiet"])
    compared = None
    if options["baseline"]:
        compared = report.baseline_row(splits[0], len(scorers[0].labels), train_split)
    print_result("\n\n".join(report.lines(evaluated, compared)))
    if output is not None:
        print_result(f"\nwrote {', '.join(report.write_figures(output, evaluated, compared))} to {output}")
    if errors is not None:
        count = report.write_errors(errors, evaluated, options["most_errors"])
        print_result(f"\nwrote {count:,} errors to {errors}, with their texts")


def _check_outputs(
    errors: str | None, output: Path | None, inputs: list[str], bundles: int, *, overwrite: bool
) -> None:
    """Refuse an output that would replace anything but an earlier output of its kind.

    Args:
        errors, output: values of --errors and --output.
        inputs: input files.
        bundles: number of bundles, on which the names of figures depend.
        overwrite: whether to replace other files as well, though never an input or a file of a bundle.

    Raises:
        UsageError, ScorerError: an output is refused; nothing was written.
    """
    if errors == STDOUT:
        raise UsageError("--errors needs a file, since the figures go to stdout.")
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
    for given, path, kind, recognize in files:
        check_place(path, inputs, given)
        check_replaceable(path, given, kind, recognize, overwrite=overwrite)
    check_apart(
        {f"{os.path.basename(path)} of --output": path for path in kinds} | ({"--errors": errors} if errors else {})
    )
