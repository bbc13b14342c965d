"""The command `score-model confidence`, which adds held-out texts to a bundle; it parses and delegates."""

from pathlib import Path
from typing import Any

import click

from export.bundle.place import check_free, check_outside
from export.cli import train_options
from export.cli.options import (
    LABELLED_COLUMNS,
    QUIET,
    READ_AS_SCORE,
    READING_FILES,
    THREADS,
    check_inputs,
    chosen_precisions,
    columns_of,
    fill,
    require_libraries,
    split_names,
)
from export.cli.sources import named
from scorer.base.errors import UsageError
from scorer.base.messages import print_result
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, files
from scorer.cli.program import Command
from scorer.rows.input_options import InputOptions
from scorer.storage.output import lies_in

HELP = """\
Add to BUNDLE how often it is right on labelled texts, by confidence, and write a new bundle.

\b
Examples:
  score-model confidence models/old -o models/new --data held-out.csv
  score-model confidence models/default -o models/gpu --data test.csv \\
    --provider cuda --precisions fp16

`score --max-error` and the expected accuracy of a run need these figures. `train` writes them, and so does `import` if it has
labelled texts, so only older bundles lack them. The texts must be unknown to the model: neither trained on, nor used to choose
it. All else in the bundle stays, and so does every score.
"""


@click.command(cls=Command, help=HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@group(
    "Data",
    option("--data", required=True, shell_complete=files, metavar="FILE", help=f"Labelled texts{READ_AS_SCORE}."),
)
@READING_FILES
@group("Columns and labels", LABELLED_COLUMNS)
@group("New bundle", train_options.OUTPUT, train_options.OVERWRITE)
@group(
    "Speed",
    option(
        "--provider",
        type=click.Choice(["cpu", "cuda"]),
        default="cpu",
        show_default=True,
        help="Execution provider to score the texts with.",
    ),
    option(
        "--precisions",
        show_default="all of the bundle",
        metavar="A,B",
        help="Precisions to score the texts in; the figures of others stay as they are.",
    ),
    THREADS,
)
@group(OTHER, QUIET, DEBUG, HELP_OPTION)
def confidence(bundle: Path, output: Path, **options: Any) -> None:
    """Add held-out texts as the options ask."""
    require_libraries(pytorch=False)
    reading = fill(InputOptions, options)
    inputs = check_inputs({"--data": options["data"]}, reading)
    if lies_in(str(output), str(bundle)):
        raise UsageError(
            f"--output {output} is the bundle {bundle}, which never changes, or lies in it; write elsewhere."
        )
    check_free(output, overwrite=options["overwrite"])
    check_outside(output, [*named(inputs), ("BUNDLE", str(bundle))])
    precisions = None if options["precisions"] is None else chosen_precisions(options["precisions"])
    from export.bundle.add_confidence import ConfidenceSettings, add_confidence, check_promises
    from export.data_files import read_rows
    from export.evaluation.evaluate import number_labels
    from scorer.model.bundle import load_bundle

    loaded = load_bundle(bundle)
    check_promises(loaded.manifest, bundle, precisions)
    rows = read_rows(options["data"], columns_of(options), reading)
    by_id = (loaded.manifest.source or {}).get("labels", ())
    split = number_labels(rows, loaded.manifest.labels, split_names(options["label_names"]), by_id)
    settings = ConfidenceSettings(
        output, options["provider"], precisions, threads=options["threads"], quiet=options["quiet"]
    )
    written = add_confidence(loaded, split, settings, print_result)
    print_result(f"wrote {written.path}, id {written.id[:12]}")
