"""The command `score-model compare`, of two outputs of `score`; it parses and delegates."""

import os

import click

from scorer.base.errors import UsageError, exit_code_of
from scorer.base.messages import print_message, print_result
from scorer.base.text import visible
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, NAMED_TEXT, SHARE, Whole, files
from scorer.cli.program import Command

HELP = """\
Compare two outputs of `score`: flipped labels and moved scores, or moved values.

\b
Examples:
  score-model compare last-night.csv tonight.csv
  score-model compare int8.parquet fp32.parquet --by row --max-flips 0.01
  score-model compare old.csv new.csv -o compared.html --inputs reviews.csv

A and B are CSV, TSV, JSONL or Parquet files with the same rows: outputs of last night and of tonight, of int8 and of fp32, or
of an old bundle and of a new one. With more than two labels, each score belongs to the predicted label, so look at the flips first.
The columns show the task. If rows can have several labels, those that were gained and lost are counted by label. Values are
compared in their own unit.

\b
Exit codes:
  0  the outputs were compared
  3  more labels flipped than --max-flips allows

All others are those of `score`.
"""


@click.command(cls=Command, help=HELP)
@click.argument("before", shell_complete=files, metavar="A")
@click.argument("after", shell_complete=files, metavar="B")
@group(
    "Comparison",
    option(
        "--by",
        type=click.Choice(["auto", "id", "row"]),
        default="auto",
        show_default=True,
        help="Column by which rows are matched (auto: id if both have it, otherwise row).",
    ),
    option(
        "--max-flips",
        type=SHARE,
        metavar="R",
        help="End with exit code 3 if the labels of more than this share of the rows differ (not with values).",
    ),
)
@group(
    "Rows that flipped or moved most",
    option(
        "--most",
        type=Whole(0, 1000),
        default=10,
        show_default=True,
        metavar="N",
        help="Number of rows to print of each kind; a page has up to 200 flipped rows.",
    ),
    option(
        "--inputs",
        multiple=True,
        shell_complete=files,
        metavar="FILE",
        help="Input that the outputs were scored from, for the text of each row; repeatable, in the same order.",
    ),
    option(
        "--text",
        show_default=NAMED_TEXT,
        metavar="COLUMN",
        help="Column with the text: of the inputs, or a kept one of the outputs.",
    ),
)
@group(
    "Output",
    option("-o", "--output", shell_complete=files, metavar="FILE", help="Write a page with figures as well (*.html)."),
    option(
        "--overwrite",
        is_flag=True,
        help="Replace an existing file at --output, even if it is not a page from an earlier comparison.",
    ),
)
@group(OTHER, DEBUG, HELP_OPTION)
def compare(
    before: str,
    after: str,
    by: str,
    text: str | None,
    inputs: tuple[str, ...],
    most: int,
    max_flips: float | None,
    output: str | None,
    overwrite: bool,
    debug: bool,
) -> int:
    """Compare as the options ask, and return the exit code."""
    from scorer.cli.page_place import check_page_place
    from scorer.report.compare import compare as run
    from scorer.report.compare import lines
    from scorer.rows.input_options import InputOptions
    from scorer.storage.output import publish_text

    for path in (before, after):
        if not os.path.isfile(path):
            raise UsageError(f"{path} {'is not a regular file' if os.path.exists(path) else 'does not exist'}.")
    if output is not None:
        from scorer.report.compare_page import KIND, comparison_page, is_comparison

        check_page_place(output, [before, after, *inputs], KIND, is_comparison, overwrite=overwrite)
    found = run(
        before,
        after,
        by=by,
        text=text,
        inputs=InputOptions().inputs(inputs) if inputs else None,
        most=most,
        needs_labels=max_flips is not None,
    )
    print_result("\n".join(map(visible, lines(found, before, after))))
    if output is not None:
        publish_text(output, comparison_page(found, before, after))
    share = (found.flipped or 0) / found.rows
    if max_flips is None or share <= max_flips:
        return exit_code_of()
    print_message(f"{share:.2%} {found.flips_are}: more than --max-flips {max_flips:g} allows.", "warning")
    return exit_code_of(warnings=True)
