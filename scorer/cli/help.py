"""Help in titled groups: options that carry the title of their group, and how a command prints them."""

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
Decorator = Callable[[_Decorated], _Decorated]

OTHER = "Other"
"""Title of the group that the help prints last, wherever its options are declared."""

_WIDEST = 26  # columns of an option's names; longer ones get a line of their own
_GAP = 2


class Option(click.Option):
    """An option with the title of its group, which prints a default in words without parentheses."""

    group: str | None = None

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default
        return extra


def option(*declarations: str, **settings: Any) -> Decorator[Any]:
    """Return the decorator of an `Option`; the arguments are those of `click.option`."""
    return click.option(*declarations, **{"cls": Option, **settings})


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """Return several options as one decorator, in this order in the help."""

    def decorate(function: Any) -> Any:
        for one in reversed(options):
            function = one(function)
        return function

    return decorate


def group(title: str, *options: Decorator[Any]) -> Decorator[Any]:
    """Return several options as one decorator, which gives them the title of their group."""

    def decorate(function: Any) -> Any:
        before = len(getattr(function, "__click_params__", ()))
        function = together(*options)(function)
        for one in function.__click_params__[before:]:  # click collects here what becomes the command's parameters
            one.group = title
        return function

    return decorate


HELP_OPTION = click.help_option("-h", "--help", cls=Option, allow_from_autoenv=False, help="Print this help and exit.")


def version(name: str, number: str) -> Decorator[Any]:
    """Return the option --version of a program."""
    return click.version_option(
        number,
        "--version",
        prog_name=name,
        cls=Option,
        allow_from_autoenv=False,
        help="Print the version and exit.",
    )


def write_options(command: click.Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options of a command under the titles of their groups, all in the same two columns."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            groups.setdefault(getattr(parameter, "group", None) or OTHER, []).append(record)
    groups[OTHER] = groups.pop(OTHER, [])
    fitting = [len(names) for rows in groups.values() for names, _ in rows if len(names) <= _WIDEST]
    width = max(fitting, default=_WIDEST)
    for title, rows in groups.items():
        with formatter.section(title):
            for names, words in rows:
                formatter.write("".join(_lines(names, words, width, formatter)))


def _lines(names: str, words: str, width: int, formatter: click.HelpFormatter) -> Iterator[str]:
    """Yield the lines of one option; unlike click's, they do not break the name of an option at its hyphens."""
    indent = " " * formatter.current_indent
    gap = " " * _GAP
    found = textwrap.wrap(words, formatter.width - len(indent) - width - _GAP, break_on_hyphens=False)
    if len(names) > width:
        yield f"{indent}{names}\n"
        names = ""
    for line in found:
        yield f"{indent}{names:<{width}}{gap}{line}\n"
        names = ""


def short_usage(command: click.Command, context: click.Context) -> str:
    """Return the usage of a command, the first three examples of its help, and where to read on."""
    examples = (command.help or "").partition("Examples:\n")[2].partition("\n\n")[0].splitlines()[:3]
    return "\n".join([context.get_usage(), "", *examples, "", f"Try '{context.command_path} --help' for all options."])
