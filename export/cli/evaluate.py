"""The command `score-model evaluate`, which compares bundles on labelled texts; it parses and delegates."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.cli.options import (
    DOMAIN_COLUMN,
    LABEL_SEPARATOR,
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
from export.data_source import Columns
from export.evaluation.outputs import EVALUATION, is_errors, is_evaluation, is_picture, picture_names
from scorer.base.errors import UsageError
from scorer.base.messages import print_result
from scorer.base.task import REGRESSION
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, Whole, files
from scorer.cli.program import Command
from scorer.model.bundle import refuse_bundle, refuse_file_in_bundle
from scorer.rows.input_options import InputOptions
from scorer.storage.address import refuse_credentials
from scorer.storage.output import STDOUT, check_place
from scorer.storage.places import Recognize, check_apart, check_folder, check_replaceable

if TYPE_CHECKING:
    from export.data import Row, Split
    from scorer.model.loaded import LoadedModel

HELP = """\
Evaluate each BUNDLE on labelled texts.

\b
Examples:
  score-model evaluate models/stars --data other.csv --label-column stars
  score-model evaluate models/old models/new --data test.parquet -o figures
  score-model evaluate models/imdb --data hotels.csv --data books.csv
  score-model evaluate models/imdb --data test.csv --errors errors.jsonl

The texts are scored by the engine that `score` uses. Figures are printed for all texts, and by length and group: accuracy for
one label a text, F1 for any number of labels, R2 and errors for numbers. For a bundle with a cascade, the figures with the
cascade are printed beside those without it.

Texts of several domains (several --data files, or --domain-column) also have a table by domain. Its last row has means over
the domains, each of which counts the same.
"""


@click.command(cls=Command, help=HELP)
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@group(
    "Data",
    option(
        "--data",
        required=True,
        multiple=True,
        shell_complete=files,
        metavar="FILE",
        help=f"Labelled texts{READ_AS_SCORE}; repeatable.",
    ),
)
@READING_FILES
@group("Columns and labels", LABELLED_COLUMNS, DOMAIN_COLUMN, LABEL_SEPARATOR)
@group(
    "Baseline",
    option(
        "--baseline/--no-baseline",
        default=True,
        show_default=True,
        help="Compare with a linear model on TF-IDF, trained on --train-file, or else five-fold on the texts themselves.",
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
    from scorer.model.loaded import LoadedModel

    # Load every bundle first, so that an error in one comes before any is scored, and because labels are read by their task.
    provider, precision, threads = options["provider"], options["precision"], options["threads"]
    scorers = [
        LoadedModel(bundle, provider=provider, precision=precision, threads=threads, cascade=False)
        for bundle in bundles
    ]
    _check_task(bundles, scorers)
    splits, train_split = _read(scorers, options, reading)
    if train_split is not None:
        _warn_of_overlap(train_split, splits[0], options, reading)
    from export.evaluation import report

    evaluated = report.evaluate(list(map(str, bundles)), scorers, splits, quiet=options["quiet"])
    compared = report.baselines(evaluated[0], train_split) if options["baseline"] else []
    print_result("\n\n".join(report.lines(evaluated, compared)))
    if output is not None:
        print_result(f"\nwrote {', '.join(report.write_figures(output, evaluated, compared))} to {output}")
    if errors is not None:
        count = report.write_errors(errors, evaluated, options["most_errors"])
        print_result(f"\nwrote {count:,} errors to {errors}, with their texts")


def _check_task(bundles: Sequence[Path], scorers: "Sequence[LoadedModel]") -> None:
    """Raise `UsageError` unless all bundles have the same task."""
    tasks = [scorer.manifest.task for scorer in scorers]
    for bundle, task in zip(bundles, tasks, strict=True):
        if task != tasks[0]:
            raise UsageError(
                f"bundles with the same task can be compared: {bundles[0]} is for {tasks[0]}, {bundle} for {task}. Evaluate "
                "them one by one."
            )


def _read(
    scorers: "Sequence[LoadedModel]", options: Mapping[str, Any], reading: InputOptions
) -> "tuple[list[Split], Split | None]":
    """Read the texts of --data for each bundle, and those of --train-file for the first, or None."""
    from export.data_files import read_rows
    from export.evaluation.evaluate import number_labels

    task, names = scorers[0].manifest.task, split_names(options["label_names"])
    if names is not None and task == REGRESSION:
        raise UsageError("--label-names names labels, and this bundle gives numbers. Omit it.")
    outputs = len(scorers[0].labels) if task == REGRESSION else 1
    columns = replace(columns_of(options, task), outputs=outputs)
    rows = _texts(options["data"], columns, reading)
    train_rows = read_rows(options["train_file"], columns, reading) if options["train_file"] else None
    by_ids = [(scorer.manifest.source or {}).get("labels", ()) for scorer in scorers]
    splits = [number_labels(rows, one.labels, names, by_id) for one, by_id in zip(scorers, by_ids, strict=True)]
    train = number_labels(train_rows, scorers[0].labels, names, by_ids[0]) if train_rows else None
    return splits, train


def _warn_of_overlap(train: "Split", data: "Split", options: Mapping[str, Any], reading: InputOptions) -> None:
    """Warn if the baseline is trained on texts that it is evaluated on."""
    from export.evaluation.overlap import Given, overlap_of

    files = (Given("--train-file", (options["train_file"],), reading), Given("--data", options["data"], reading))
    overlap_of(train, data, files).warn_of_baseline()


def _texts(files: Sequence[str], columns: Columns, reading: InputOptions) -> "list[Row]":
    """Read the labelled texts to evaluate.

    Raises:
        UsageError: no text has another domain than that of its file, so that the column's name is probably wrong.
    """
    from export.data_files import domain_of_file, read_files

    rows, of_files = read_files(files, columns, reading), sorted(map(domain_of_file, files))
    if columns.domain is not None and {row.domain for row in rows} <= set(of_files):
        raise UsageError(
            f"--domain-column {columns.domain}: no text has another domain than that of its file ({', '.join(of_files)}). "
            "Name another column, or omit the option."
        )
    return rows


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
