"""Kinds of options that click has not."""

import math
import os
from typing import Any

import click


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
