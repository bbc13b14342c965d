"""Commands of click as this project runs them: their messages on stderr, and their exit codes."""

import atexit
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import click
from click.core import ParameterSource

from scorer.base.errors import ExitCode, ReaderGone, ScorerError, UsageError, exit_code_of
from scorer.base.messages import is_json, print_message, use_json
from scorer.base.shortage import known, out_of_threads, stopped_for_threads
from scorer.base.signals import Interrupted, defer, install
from scorer.cli.help import short_usage, write_options
from scorer.cli.removed import refuse_removed, refuse_removed_variables


@dataclass
class Debug:
    """The object of the context, which `run_command` makes.

    Attributes:
        wanted: a traceback is printed with an error; until click has read --debug, a guess from the command line.
    """

    wanted: bool = False


class ShortUsage(click.exceptions.NoArgsIsHelpError):
    """A short usage instead of an error, for a command without arguments on a terminal."""

    def __init__(self, context: click.Context) -> None:
        click.UsageError.__init__(self, short_usage(context.command, context), context)


class Command(click.Command):
    """A command with its options in groups, which refuses an option given twice; click would use the last value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = not args and at_terminal()
        if not ctx.resilient_parsing:  # completions are of unfinished command lines
            try:
                _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            except click.NoSuchOption as error:
                refuse_removed(ctx, error.option_name)
                raise
            for option in given:
                if isinstance(option, click.Option) and given.count(option) > 1 and not _repeatable(option):
                    raise UsageError(f"{option.opts[-1]} is given {given.count(option)} times; give it once.")
        try:
            rest = super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if bare:
                raise ShortUsage(ctx) from error
            raise
        if not ctx.resilient_parsing:
            refuse_removed_variables(ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)


class Group(click.Group):
    """A group that lists its commands in the order in which they were added, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(1000)) for name, one in self.commands.items()])
        write_options(self, ctx, formatter)


def at_terminal() -> bool:
    """Return whether stdin is a terminal."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def _repeatable(option: click.Option) -> bool:
    """Return whether an option is a list, or a flag that means the same however often it is given."""
    return option.multiple or option.count or (option.is_flag and not option.secondary_opts)


def note_debug(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    """Note --debug for `run_command`, wherever it was set; the callback of the option."""
    if context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT:
        context.ensure_object(Debug).wanted = given
    return given


def note_log_format(context: click.Context, parameter: click.Parameter, given: str) -> str:
    """Set the format of all further messages, even of those about other options; the callback of the option."""
    if not context.resilient_parsing:
        use_json(given == "json")
    return given


def run_command(command: click.Command, arguments: Sequence[str], *, name: str, interrupted: str) -> int:
    """Run a command and return its exit code.

    Click alone would end with 1 after Ctrl-C, and with a traceback after every error of others.

    Args:
        command: command whose callback returns an exit code, or None for 0.
        arguments: command line without the name of the program.
        name: name of the program.
        interrupted: message after a signal, unless the work adds a better one as a note of `Interrupted`.
    """
    prefix = command.context_settings.get("auto_envvar_prefix")
    # Another option can fail before click reads --log-format and --debug.
    use_json(_asks_for_json(arguments, prefix))
    debug = Debug("--debug" in arguments or os.environ.get(f"{prefix}_DEBUG", "0") not in ("", "0"))
    try:
        return int(command.main(list(arguments), prog_name=name, standalone_mode=False, obj=debug) or 0)
    except SystemExit as end:  # click raises it after it has printed completions for the shell
        return int(end.code or 0)
    except click.ClickException as error:
        print_message(_with_help(error), "error", {"exit_code": error.exit_code})
        return error.exit_code
    except ReaderGone as error:
        # Python flushes at exit, and would complain that nobody reads the rest of the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.exit_code
    except ScorerError as error:
        return _explain(str(error), error, debug.wanted)
    except Interrupted as error:
        if stopped_for_threads(error):
            shortage = out_of_threads()
            return _explain(str(shortage), shortage, debug.wanted)
        message = f"\n{error.word}: {' '.join(_notes(error)) or interrupted}"
        print_message(message, "error", {"exit_code": error.exit_code})
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = exit_code_of(KeyboardInterrupt())
        print_message(f"\nInterrupted: {interrupted}", "error", {"exit_code": code})
        return code
    except Exception as error:
        found = known(error)
        advice = "\nRun again with --debug for a traceback." if type(found) is ScorerError else ""
        return _explain(f"{found}{advice}", found, debug.wanted)


def run_as_program(command: click.Command, *, name: str, interrupted: str) -> NoReturn:
    """Run a command with the arguments of the process, until its end or a signal, and exit."""
    install()
    code = run_command(command, sys.argv[1:], name=name, interrupted=interrupted)
    defer()  # the result is printed; a signal must no longer change the exit code
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError, ValueError):  # closed, or nobody reads it
            stream.flush()
    # The usual end of the interpreter would handle signals by their defaults. It would also wait for all threads, even
    # for one that nobody stops because an interrupt came first.
    os._exit(code)


def _asks_for_json(arguments: Sequence[str], prefix: str | None) -> bool:
    """Guess whether messages are to be JSON, before click reads the options, which may fail."""
    given = " ".join(arguments).replace("--log-format=", "--log-format ")
    asked = os.environ.get(f"{prefix}_LOG_FORMAT") == "json" and "--log-format" not in given
    return asked or "--log-format json" in given


def _with_help(error: click.ClickException) -> str:
    """Return a message of click's with a pointer to the help; a help text as it is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = "" if context is None else f"\nTry '{context.command_path} --help'."
    return f"Error: {error.format_message()}{hint}"


def _explain(message: str, error: Exception, debug: bool) -> ExitCode:
    """Print an error and return its exit code."""
    code = exit_code_of(error)
    fields: dict[str, object] = {"exit_code": code}
    if debug and is_json():
        fields["traceback"] = traceback.format_exc()
    elif debug:
        traceback.print_exc()
    print_message("\n".join([f"Error: {message}", *_notes(error)]), "error", fields)
    return code


def _notes(error: BaseException) -> list[str]:
    """Return the notes that callers have added to an error."""
    return getattr(error, "__notes__", [])
