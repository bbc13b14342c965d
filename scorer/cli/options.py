"""Kinds of options that click has not."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

import math
import os
from typing import Any


class MayBeEmpty(click.Option):
    """An option for which empty means something, in the environment too, where click takes it for not set."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        name = f"{ctx.auto_envvar_prefix}_{str(self.name).upper()}"
        return "" if os.environ.get(name) == "" else super().resolve_envvar_value(ctx)


class Number(click.FloatRange):
    """A number in a range; nan, which is neither below nor above one, is none, nor is an infinite one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            most = "" if self.max is None else f"<={self.max:g}"
            self.fail(f"{number} is not in the range {self.min:g}<=x{most}.", param, ctx)
        return number


SHARE = Number(0, 1)


class OneRun(click.Option):
    """An option that says what a single run is for; a file that every run reads has no say in it."""


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The shell's own completion of files."""
    return _by_the_shell("file", incomplete)


def folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list["CompletionItem"]:
    """The shell's own completion of folders."""
    return _by_the_shell("dir", incomplete)


def _by_the_shell(kind: str, incomplete: str) -> list["CompletionItem"]:
    from click.shell_completion import CompletionItem  # only where something is completed

    return [CompletionItem(incomplete, type=kind)]
