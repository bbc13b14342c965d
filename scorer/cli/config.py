"""score.toml: options that every run in a folder shares. A flag wins over the environment, that over the file."""

import json
import os
import re
from collections.abc import Iterator

import click
from click.core import ParameterSource

from scorer.base.errors import UsageError
from scorer.base.text import meant, visible
from scorer.cli.options import OneRun
from scorer.run.options import spelled

CONFIG = "score.toml"
USED = f"{__name__}.used"  # where the context keeps the name of the file
_NOT_IN_TOML = re.compile(r"[\x7f-\x9f]")  # of what JSON leaves as it is, what TOML refuses or a terminal obeys


def load(
    context: click.Context, parameter: click.Parameter, given: str | None, *, shared_with: click.Command | None = None
) -> None:
    """Make what the file sets the defaults of the command: the callback of `--config`.

    Args:
        context, parameter, given: click's.
        shared_with: another command that reads the same file; options that only it has are ignored.

    Raises:
        UsageError: the file that was given is missing, or one that is there is not what it should be.
    """
    # The shell, which asks for completions, wants no complaints; and a file that nobody asked for may be missing.
    if context.resilient_parsing or (given is None and not os.path.lexists(CONFIG)):
        return
    path = CONFIG if given is None else given
    context.meta[USED] = path
    ignored = set() if shared_with is None else names(shared_with) - names(context.command)
    options = {name: value for name, value in read(path).items() if name not in ignored}
    context.default_map = defaults(context, path, options)


def read(path: str) -> dict[str, object]:
    """What a TOML file holds.

    Raises:
        UsageError: it is missing, cannot be read, or is not TOML.
    """
    import tomllib  # most runs have no file, and `score --help` has to be quick

    try:
        with open(path, "rb") as file:
            return tomllib.loads(file.read().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(
            f"the configuration file {path} is not there; check --config and SCORE_CONFIG, or leave them out."
        ) from error
    except OSError as error:
        raise UsageError(f"the configuration file {path} cannot be read: {error.strerror}; see --config.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8, which TOML is written in: {error}. Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists thousands deep
        raise UsageError(
            f'{path} is not TOML: {error}. Options are lines like these: details = true, keep = ["stars"], text = "body".'
        ) from error


def defaults(context: click.Context, path: str, options: dict[str, object]) -> dict[str, object]:
    """A file's options as click's `default_map`, each checked, also where something else overrides it.

    Raises:
        UsageError: there is no such option, it has no place in a file, or does not take this value.
    """
    known = {long_name(option): option for option in options_of(context.command)}
    for name, value in options.items():
        option = known.get(name)
        if option is None:
            raise UsageError(f"{path}: {_unknown(name, value, context.command, list(known))}")
        takes, example, types = _takes(option)
        many = option.multiple
        values = value if many and isinstance(value, list) else [value]
        if isinstance(value, list) != many or not all(type(one) in types for one in values):  # True is an int, too
            takes, example = (f"a list, each {takes}", f"[{example}]") if many else (takes, example)
            raise UsageError(f"{path}: {name} takes {takes}, as in {name} = {example}, not {_shown(value)}.")
        if any("\0" in one for one in values if isinstance(one, str)):  # no command line can hold it
            raise UsageError(f"{path}: {name} cannot hold the character \\u0000; take it out.")
        try:
            option.type_cast_value(context, value)
        except (click.BadParameter, OverflowError) as error:
            raise UsageError(f"{path}: {name}: {error}") from error
    return {str(known[name].name): value for name, value in options.items()}


def note(context: click.Context) -> str | None:
    """Which options a file decides, for a message; None where it decides nothing."""
    called = {option.name: long_name(option) for option in options_of(context.command)}
    set_here = [
        called[name]
        for name in context.default_map or {}
        if context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    ]
    return f"Options from {context.meta[USED]}: {', '.join(set_here)}." if set_here else None


def long_name(option: click.Option) -> str:
    """An option as the file calls it.

    >>> long_name(click.Option(["-r", "--max-rejects"]))
    'max-rejects'
    """
    return next(name for name in option.opts if name.startswith("--")).removeprefix("--")


def options_of(command: click.Command) -> Iterator[click.Option]:
    """The options that have a place in a file."""
    for option in command.params:
        # What is not handed on to the command is about the command line itself: --help, --config.
        if isinstance(option, click.Option) and option.expose_value and not isinstance(option, OneRun):
            yield option


def names(command: click.Command) -> set[str]:
    """The options that have a place in a file, as the file calls them."""
    return {long_name(option) for option in options_of(command)}


def _takes(option: click.Option) -> tuple[str, str, tuple[type, ...]]:
    """What one value of an option is, in words, as an example, and as types."""
    if option.is_flag:
        return "true or false", "true", (bool,)
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number", "10", (int,)
    if isinstance(option.type, click.types.FloatParamType):
        return "a number", "0.5", (int, float)
    return "text in quotes", '"..."', (str,)


def _unknown(name: str, value: object, command: click.Command, known: list[str]) -> str:
    if f"--{name}" in [each for option in command.params for each in option.opts]:
        return f"{name!r} is for the command line only; take it out of the file."
    if isinstance(value, dict):
        return f"{name!r} is a table; options are lines at the top of the file, such as details = true."
    return f"there is no option {name!r}; {meant(name, known, 'see `score --help`.')}"


def toml(value: object) -> str:
    """A value as TOML, which for these types is JSON, but for a few characters.

    >>> print(toml(("*", 'a"b', "\\x7f")), toml(True))
    ["*", "a\\"b", "\\u007f"] true
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _NOT_IN_TOML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _shown(value: object) -> str:
    return str(value) if hasattr(value, "isoformat") else toml(value)  # JSON has no dates


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
        line = f"{name} = {toml(spelled(value))}"
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
