"""The command `score-model check-labels`, which writes the labels to look at into a file to correct; it parses and delegates."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.cli.options import (
    LABEL_COLUMN,
    QUIET,
    READING_FILES,
    SIMILAR_LABELS,
    TEXT_COLUMN,
    THREADS,
    check_inputs,
    columns_of,
    fill,
    require_libraries,
)
from export.cli.train_options import TASK_OPTION
from export.data_source import DROP_OPTION, LABEL_OPTION, REFUSE, SIMILAR_OPTION, TEXT_OPTION, Columns
from export.training.check_file import Names, check_output, names_of, write_check
from scorer.base.errors import UsageError
from scorer.base.messages import print_message
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from scorer.base.text import counted
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, Whole, files, folders
from scorer.cli.program import Command
from scorer.model.bundle import Bundle, load_bundle, refuse_file_in_bundle
from scorer.rows.input_options import InputOptions
from scorer.storage.address import refuse_credentials
from scorer.storage.output import check_place

if TYPE_CHECKING:
    from export.labelled_records import LabelledRecords
    from export.training.check_labels import Checked

HELP = """\
Write the records of FILES again, those with a doubtful label first, for a person to correct.

\b
Examples:
  score-model check-labels labelled.csv -o to-check.csv
  score-model check-labels labelled.csv --model models/own -o to-check.csv
  score-model train --train-file to-check.csv -o models/corrected

A label is doubtful if models that were trained without the text give another one (confident learning), or if a near duplicate
has another one. Of texts without a label, those that would teach most are listed next. The column `check` has the reason. All
columns and records of the input are kept, so that the corrected file can be trained on.

The vectors of the texts are those of the bundle's encoder. The labels may be any, not only those of the bundle.
"""

_MOST_PAIRS = 5  # of labels, in the report


@click.command("check-labels", cls=Command, help=HELP)
@click.argument("inputs", nargs=-1, required=True, shell_complete=files, metavar="FILES...")
@group(
    "Output",
    option(
        "-o",
        "--output",
        required=True,
        shell_complete=files,
        metavar="FILE",
        help="File to write, .csv, .tsv or .jsonl.",
    ),
    option("--overwrite", is_flag=True, help="Replace an existing file, which may hold corrected labels."),
)
@READING_FILES
@group("Columns and labels", TEXT_COLUMN, LABEL_COLUMN, SIMILAR_LABELS, TASK_OPTION)
@group(
    "Check",
    option(
        "--model",
        shell_complete=folders,
        show_default="the one installed with the package",
        metavar="FOLDER",
        help="Bundle whose encoder gives the vectors of the texts.",
    ),
    option(
        "--most-proposed",
        type=Whole(0),
        default=100,
        show_default=True,
        metavar="N",
        help="Largest number of texts without a label to propose.",
    ),
    THREADS,
)
@group(OTHER, QUIET, DEBUG, HELP_OPTION)
def check_labels(inputs: tuple[str, ...], output: str, model: Path | None, **options: Any) -> None:
    """Check labels as the options ask, and report what was found."""
    if options["task"] in (MULTI_LABEL, REGRESSION):
        raise UsageError(
            f"check-labels checks texts with one label each: --task {SINGLE_LABEL}, not {options['task']}."
        )
    require_libraries()
    reading, columns = fill(InputOptions, options), columns_of(options)
    columns = replace(columns, task=SINGLE_LABEL if options["task"] == SINGLE_LABEL else None)
    refuse_credentials([output])
    (found,) = check_inputs({"FILES": inputs}, reading).values()
    refuse_file_in_bundle(output, "--output")
    check_place(output, list(found), "--output")
    form = check_output(output, overwrite=options["overwrite"])
    bundle = load_bundle(model)
    from export.labelled_records import read_records

    records = read_records(inputs, columns, reading)
    from export.training.check_labels import CheckSettings
    from export.training.check_labels import check_labels as run
    from scorer.base.cores import usable_cores

    settings = fill(
        CheckSettings,
        options,
        {"similar": "similar_labels"},
        is_task_given=columns.task is not None,
        threads=options["threads"] or usable_cores(),
    )
    checked, names = run(records, bundle, settings), names_of(records, columns.label)
    write_check(output, form, records, checked, names)
    _report(records, checked, bundle)
    print_message(
        f"wrote {len(records):,} records to {output}, in the order of suspicion. Correct the labels, and sort the file by row again "
        "if neighbours belong together. Then train with it, with the options of your own, such as --encoder:"
    )
    print_message(f"  {shlex.join(_training(output, records, names, columns, settings.similar))}")


def _report(records: "LabelledRecords", checked: "Checked", bundle: Bundle) -> None:
    """Print what a check found."""
    from export.training.check_labels import DISAGREES, DUPLICATE_DISAGREES, WORTH_LABELLING

    labelled = len(records.labelled)
    suspected, proposed = checked.count(DISAGREES), checked.count(WORTH_LABELLING)
    conflicts, unlabelled = int(checked.sets.max(initial=0)), len(records) - labelled
    print_message(
        f"{suspected:,} of {counted(labelled, 'label')} are doubtful; an estimated {checked.wrong_share:.1%} are wrong, or of "
        "texts between two labels.",
        fields={"labels": labelled, "doubtful": suspected, "estimated_wrong_share": checked.wrong_share},
    )
    for (given, suggested), count in list(checked.pairs.items())[:_MOST_PAIRS]:
        print_message(f"  {given} -> {suggested}: {count:,}")
    if len(checked.pairs) > _MOST_PAIRS:
        print_message(f"  and {len(checked.pairs) - _MOST_PAIRS:,} more pairs of labels")
    if conflicts:
        print_message(
            f"{counted(conflicts, 'set')} of near duplicates or equal texts disagree: {(checked.sets > 0).sum():,} records, "
            f"{checked.count(DUPLICATE_DISAGREES):,} of them not doubtful otherwise.",
            fields={"disagreeing_sets": conflicts},
        )
    if unlabelled:
        print_message(
            f"{proposed:,} of {counted(unlabelled, 'text')} without a label follow, those first that would teach most.",
            fields={"unlabelled": unlabelled, "worth_labelling": proposed},
        )
    if checked.unjudged:
        print_message(
            f"{counted(checked.unjudged, 'label')} cannot be judged, because no other text has the same one.", "warning"
        )
    manifest = bundle.manifest
    if manifest.source is not None or manifest.encoder.get("unfrozen", 0):
        print_message(
            f"The encoder of {manifest.name} was trained on labelled texts. If these are among them, their wrong labels look "
            "righter than they are."
        )


def _training(output: str, records: "LabelledRecords", names: Names, columns: Columns, similar: str) -> Sequence[str]:
    """Return the command that trains with the corrected file."""
    more: list[str] = []
    if not names.is_text_found:
        more += [TEXT_OPTION, names.text]
    if names.label != Columns.label:
        more += [LABEL_OPTION, names.label]
    if similar != REFUSE:
        more += [SIMILAR_OPTION, similar]
    if columns.task is not None:
        more += ["--task", columns.task]
    if len(records.labelled) < len(records):
        more.append(DROP_OPTION)
    return ["score-model", "train", "--train-file", output, *more, "-o", "models/corrected"]
