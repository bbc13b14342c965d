"""`score-model compare`: two outputs of `score`, compared; parses and delegates."""

import os

import click

from scorer.base.errors import UsageError, exit_code_of
from scorer.base.messages import say, show
from scorer.base.text import visible
from scorer.cli.options import DEBUG, SHARE, files
from scorer.cli.program import Command

EXAMPLES = """\b
Examples:
  score-model compare last-night.csv tonight.csv
  score-model compare int8.parquet fp32.parquet --by row --max-flips 0.01 -o compared.html
"""


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("before", shell_complete=files, metavar="A")
@click.argument("after", shell_complete=files, metavar="B")
@click.option(
    "--by",
    type=click.Choice(["auto", "id", "row"]),
    default="auto",
    show_default=True,
    help="What rows are joined by; auto: id where both have one.",
)
@click.option(
    "--text",
    metavar="COLUMN",
    help="A kept column to show with the rows that moved most; default: one called text, review, content, body or comment.",
)
@click.option(
    "--most",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    metavar="N",
    help="Rows that moved most to show.",
)
@click.option(
    "--max-flips",
    type=SHARE,
    metavar="R",
    help="End with exit code 3 if the labels of a larger share of the rows differ.",
)
@click.option("-o", "--output", shell_complete=files, metavar="FILE", help="Write a page with figures, too; *.html.")
@click.option("--overwrite", is_flag=True, help="Replace a file there that is no page of an earlier comparison.")
@DEBUG
def compare(
    before: str,
    after: str,
    by: str,
    text: str | None,
    most: int,
    max_flips: float | None,
    output: str | None,
    overwrite: bool,
    debug: bool,
) -> int:
    """Compare two outputs of `score`: labels that flipped, scores that moved, rows that moved most.

    A and B are CSV, TSV, JSONL or Parquet: last night's output and tonight's, int8 and fp32, of the old bundle and the
    new one, for the same rows. With more than two labels the score is that of the label given: look at the flips first.
    """
    from scorer.model.bundle import refuse_file_in_bundle
    from scorer.report.compare import compare as run
    from scorer.report.compare import lines
    from scorer.storage.output import STDOUT, check_place, publish_text
    from scorer.storage.places import check_replaceable

    for path in (before, after):
        if not os.path.isfile(path):
            raise UsageError(f"{path} is {'no regular file' if os.path.exists(path) else 'not there'}.")
    if output == STDOUT:
        raise UsageError("the page needs a file: on stdout is what the command says.")
    if output is not None:
        from scorer.report.compare_page import KIND, comparison_page, is_comparison

        check_place(output, [before, after], "--output")
        refuse_file_in_bundle(output, "--output")
        check_replaceable(output, "--output", KIND, is_comparison, overwrite=overwrite)
    found = run(before, after, by=by, text=text, most=most)
    show("\n".join(map(visible, lines(found, before, after))))
    if output is not None:
        publish_text(output, comparison_page(found, before, after))
    share = found.flipped / found.rows
    if max_flips is None or share <= max_flips:
        return exit_code_of()
    say(f"{share:.2%} of the labels flipped: more than --max-flips {max_flips:g} allows.", "warning")
    return exit_code_of(look=True)
