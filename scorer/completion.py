"""What the shell completes: `_SCORE_COMPLETE=bash_source score` prints how, for bash; zsh and fish have theirs.

Choices and names of options click knows by itself. Names are left to the shell, which knows about quoting and ~; a type
of click's would check them as well, and say something else than this program does about a file that is missing.
"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The shell's own completion of files."""
    return _by_the_shell("file", incomplete)


def folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The shell's own completion of folders."""
    return _by_the_shell("dir", incomplete)


def _by_the_shell(kind: str, incomplete: str) -> list["CompletionItem"]:
    from click.shell_completion import CompletionItem  # only where something is completed

    return [CompletionItem(incomplete, type=kind)]
