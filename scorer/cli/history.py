"""The command `score-model history`, of the records of many runs; it parses and delegates."""

import click

from scorer.base.errors import exit_code_of
from scorer.base.messages import print_result
from scorer.base.text import visible
from scorer.cli.help import HELP_OPTION, OTHER, group, option
from scorer.cli.options import DEBUG, files
from scorer.cli.program import Command

HELP = """\
Show many runs of `score` over time, from their records, and mark the unusual ones.

\b
Examples:
  score-model history runs/*.json
  score-model history runs/*.json -o history.html
  score-model history runs/*.json --check  # exit code 3 if tonight is unusual

RECORD is a file that --summary wrote in a run; give each night's record a name of its own. Records in one folder are of one job,
and runs of different shards are different jobs. Rows, rejects, labels, scores, drift, time, cache, cascade and the forecast's
error of each run are compared with up to 28 runs before it. docs/RECORD.md has the rule.

\b
Exit codes:
  0  the history was made
  3  with --check: the newest run of a job is unusual, or failed
  2  a file is no record of a run

All others are those of `score`.
"""


@click.command(cls=Command, help=HELP)
@click.argument("records", nargs=-1, required=True, shell_complete=files, metavar="RECORD...")
@group(
    "Result",
    option(
        "--check",
        is_flag=True,
        help="End with exit code 3 if the newest run of a job is unusual, or failed.",
    ),
)
@group(
    "Output",
    option("-o", "--output", shell_complete=files, metavar="FILE", help="Write a page with charts as well (*.html)."),
    option(
        "--overwrite",
        is_flag=True,
        help="Replace an existing file at --output, even if it is not a page from an earlier history.",
    ),
)
@group(OTHER, DEBUG, HELP_OPTION)
def history(records: tuple[str, ...], check: bool, output: str | None, overwrite: bool, debug: bool) -> int:
    """Show the history as the options ask, and return the exit code."""
    from scorer.cli.page_place import check_page_place
    from scorer.report.history import history_of, lines
    from scorer.storage.output import publish_text

    if output is not None:
        from scorer.report.history_page import KIND, history_page, is_history

        check_page_place(output, records, KIND, is_history, overwrite=overwrite)
    found = history_of(records)
    print_result("\n".join(map(visible, lines(found))))
    if output is not None:
        publish_text(output, history_page(found))
    return exit_code_of(warnings=check and found.needs_a_look)
