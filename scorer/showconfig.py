"""`score --show-config`: what holds for a run and why, as a file that can be kept as score.toml."""

from collections.abc import Iterator

import click
from click.core import ParameterSource

from scorer.config import CONFIG, USED, OneRun, long_name, toml
from scorer.messages import visible


def show(context: click.Context) -> Iterator[str]:
    """Every option with its value and where that is from, as lines of TOML that make a file with the same values."""
    for option in context.command.params:
        if not isinstance(option, click.Option) or not option.expose_value:
            continue
        name, value = long_name(option), context.params[str(option.name)]
        source = context.get_parameter_source(str(option.name))
        if value is None or (value == () and source is ParameterSource.DEFAULT):
            yield f"# {name} is not set"
            continue
        origin = visible(
            {
                ParameterSource.COMMANDLINE: "command line",
                ParameterSource.ENVIRONMENT: f"environment {context.auto_envvar_prefix}_{str(option.name).upper()}",
                ParameterSource.DEFAULT_MAP: context.meta.get(USED, CONFIG),
            }.get(source or ParameterSource.DEFAULT, "default")
        ).replace("\n", " ")
        line = f"{name} = {toml(value)}"
        if isinstance(option, OneRun):
            yield f"# {line}  # {origin}; has no place in a file"
        elif not _is_text(line):
            yield f"# {line}  # {origin}; no file can hold it, for it is no text"
        else:
            yield f"{line}  # {origin}"


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:  # bytes of the command line that are not UTF-8
        return False
    return True
