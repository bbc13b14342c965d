"""The file score.toml: options for every run in a folder, below the environment and the command line."""

import json
import os
import re
from collections.abc import Iterator

import click
from click.core import ParameterSource

from scorer.base.errors import UsageError
from scorer.base.text import did_you_mean, visible
from scorer.cli.options import OneRun
from scorer.cli.removed import REMOVED
from scorer.run.options import spelled

CONFIG = "score.toml"
USED = f"{__name__}.used"  # key of the file's name in the context
_NOT_IN_TOML = re.compile(r"[\x7f-\x9f]")  # JSON does not escape these, but TOML refuses them or a terminal obeys them


def load(
    context: click.Context, parameter: click.Parameter, given: str | None, *, shared_with: click.Command | None = None
) -> None:
    """Make the options of the file the defaults of the command; the callback of `--config`.

    Args:
        context, parameter, given: arguments that click passes.
        shared_with: another command that reads the same file; options that only it has are ignored.

    Raises:
        UsageError: the file that was named is missing, or the file is invalid.
    """
    # Completions must not print errors. A file that nobody named may be missing.
    if context.resilient_parsing or (given is None and not os.path.lexists(CONFIG)):
        return
    path = CONFIG if given is None else given
    context.meta[USED] = path
    ignored = set() if shared_with is None else names(shared_with) - names(context.command)
    options = {name: value for name, value in read(path).items() if name not in ignored}
    context.default_map = defaults(context, path, options)


def read(path: str) -> dict[str, object]:
    """Read a TOML file.

    Raises:
        UsageError: the file is missing, unreadable, or not TOML.
    """
    import tomllib  # most runs have no file, and `score --help` must be quick

    try:
        with open(path, "rb") as file:
            return tomllib.loads(file.read().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(
            f"the configuration file {path} is missing; check --config and SCORE_CONFIG, or leave them out."
        ) from error
    except OSError as error:
        raise UsageError(f"the configuration file {path} cannot be read: {error.strerror}; check --config.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8, as TOML must be: {error}. Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists thousands deep
        raise UsageError(
            f'{path} is not TOML: {error}. Write options as lines like details = true, keep = ["stars"], text = "body".'
        ) from error


def defaults(context: click.Context, path: str, options: dict[str, object]) -> dict[str, object]:
    """Return the options of a file as click's `default_map`, each checked, even if something else overrides it.

    Raises:
        UsageError: an option is unknown, not allowed in a file, or has an invalid value.
    """
    known = {long_name(option): option for option in options_of(context.command)}
    for name, value in options.items():
        option = known.get(name)
        if option is None:
            raise UsageError(f"{path}: {_unknown(name, value, context.command, list(known))}")
        takes, example, types = _takes(option)
        many = option.multiple
        values = value if many and isinstance(value, list) else [value]
        if isinstance(value, list) != many or not all(
            type(one) in types for one in values
        ):  # bool is a subclass of int
            takes, example = (f"a list, each {takes}", f"[{example}]") if many else (takes, example)
            raise UsageError(f"{path}: {name} takes {takes}, as in {name} = {example}, not {_shown(value)}.")
        if any("\0" in one for one in values if isinstance(one, str)):  # as on a command line
            raise UsageError(f"{path}: {name} cannot contain the character \\u0000; remove it.")
        try:
            option.type_cast_value(context, value)
        except (click.BadParameter, OverflowError) as error:
            raise UsageError(f"{path}: {name}: {error}") from error
    return {str(known[name].name): value for name, value in options.items()}


def note(context: click.Context) -> str | None:
    """Return a message with the options that the file decides; None if it decides none."""
    called = {option.name: long_name(option) for option in options_of(context.command)}
    set_here = [
        called[name]
        for name in context.default_map or {}
        if context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    ]
    return f"Options from {context.meta[USED]}: {', '.join(set_here)}." if set_here else None


def long_name(option: click.Option) -> str:
    """Return the name of an option in the file.

    >>> long_name(click.Option(["-r", "--max-rejects"]))
    'max-rejects'
    """
    return next(name for name in option.opts if name.startswith("--")).removeprefix("--")


def options_of(command: click.Command) -> Iterator[click.Option]:
    """Yield the options that a file may set."""
    for option in command.params:
        # Options that click does not pass to the command are about the command line itself, such as --config.
        if isinstance(option, click.Option) and option.expose_value and not isinstance(option, OneRun):
            yield option


def names(command: click.Command) -> set[str]:
    """Return the names of the options that a file may set."""
    return {long_name(option) for option in options_of(command)}


def _takes(option: click.Option) -> tuple[str, str, tuple[type, ...]]:
    """Return what one value of an option is: in words, as an example, and as types."""
    if option.is_flag:
        return "true or false", "true", (bool,)
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number", "10", (int,)
    if isinstance(option.type, click.types.FloatParamType):
        return "a number", "0.5", (int, float)
    return "text in quotes", '"..."', (str,)


def _unknown(name: str, value: object, command: click.Command, known: list[str]) -> str:
    if f"--{name}" in [each for option in command.params for each in option.opts]:
        return f"{name!r} is for the command line only; remove it from the file."
    if name in REMOVED:
        return f"{name!r} was removed from `score`; {REMOVED[name]}."
    if isinstance(value, dict):
        return f"{name!r} is a table; write options as lines at the top of the file, such as details = true."
    return f"there is no option {name!r}; {did_you_mean(name, known, 'see `score --help`.')}"


def toml(value: object) -> str:
    """Write a value as TOML, which is JSON for these types, except for a few characters.

    >>> print(toml(("*", 'a"b', "\\x7f")), toml(True))
    ["*", "a\\"b", "\\u007f"] true
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _NOT_IN_TOML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _shown(value: object) -> str:
    return str(value) if hasattr(value, "isoformat") else toml(value)  # JSON has no dates


def show(context: click.Context) -> Iterator[str]:
    """Yield each option with its value and origin, as the lines of a TOML file with the same values."""
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
        line = f"{name} = {toml(spelled(value))}"
        if isinstance(option, OneRun):
            yield f"# {line}  # {origin}; not allowed in a file"
        elif not _is_text(line):
            yield f"# {line}  # {origin}; cannot be written to a file, since it is not text"
        else:
            yield f"{line}  # {origin}"


def _is_text(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:  # the command line has bytes that are not UTF-8
        return False
    return True
