"""Check of --output for commands that print their result, and write a page of it as well."""

from collections.abc import Sequence

from scorer.base.errors import UsageError
from scorer.model.bundle import refuse_file_in_bundle
from scorer.storage.output import STDOUT, check_place
from scorer.storage.places import Recognize, check_replaceable


def check_page_place(output: str, inputs: Sequence[str], kind: str, recognize: Recognize, *, overwrite: bool) -> None:
    """Refuse a place for a page before the work begins.

    Args:
        output: name of the page.
        inputs: names of the files that the page is made from.
        kind: kind of page, such as "comparison".
        recognize: function that recognizes an earlier page of the kind.
        overwrite: whether to replace any other file.

    Raises:
        UsageError: the place cannot be written, or its file is something else.
    """
    if output == STDOUT:
        raise UsageError(f"--output needs a file, since the {kind} goes to stdout.")
    check_place(output, list(inputs), "--output")
    refuse_file_in_bundle(output, "--output")
    check_replaceable(output, "--output", kind, recognize, overwrite=overwrite)
