"""Running a Click command: messages on stderr, and the exit code that belongs to what happened."""

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
from scorer.base.messages import is_json, say, write_json
from scorer.base.shortage import known, out_of_threads, stopped_for_threads
from scorer.base.signals import Interrupted, defer, install


@dataclass
class Debug:
    """Whether a traceback is wanted: what can be seen without click, until click has read all that may say so.

    `run_command` gives one to the context as its object.
    """

    wanted: bool = False


class Command(click.Command):
    """A command that refuses an option given twice, of which click would silently take the last value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # the shell asks for completions of what is not complete
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for option in given:
                if isinstance(option, click.Option) and given.count(option) > 1 and not _repeatable(option):
                    raise UsageError(f"{option.opts[-1]} is given {given.count(option)} times; give it once.")
        return super().parse_args(ctx, args)


def _repeatable(option: click.Option) -> bool:
    """Return True for lists, and for flags that mean the same however often they stand there."""
    return option.multiple or option.count or (option.is_flag and not option.secondary_opts)


def note_debug(context: click.Context, parameter: click.Parameter, given: bool) -> bool:
    """Tell `run_command` what --debug is, wherever it was set: the option's callback."""
    if context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT:
        context.ensure_object(Debug).wanted = given
    return given


def note_log_format(context: click.Context, parameter: click.Parameter, given: str) -> str:
    """How messages are written from now on, those about other options too: the option's callback."""
    if not context.resilient_parsing:
        write_json(given == "json")
    return given


def run_command(command: click.Command, arguments: Sequence[str], *, name: str, interrupted: str) -> int:
    """Run a command and return its exit code.

    Click alone would end with 1 after Ctrl-C and with a traceback after everything that it did not raise itself.

    Args:
        command: whose callback returns an exit code, or None for 0.
        arguments: the command line without the program's name.
        name: the program's.
        interrupted: what to tell after a signal, where the work itself has nothing better to say (a note of
            `Interrupted`).
    """
    prefix = command.context_settings.get("auto_envvar_prefix")
    # Reading the options can fail before the one that says so is read.
    write_json(_asks_for_json(arguments, prefix))
    debug = Debug("--debug" in arguments or os.environ.get(f"{prefix}_DEBUG", "0") not in ("", "0"))
    try:
        return int(command.main(list(arguments), prog_name=name, standalone_mode=False, obj=debug) or 0)
    except SystemExit as end:  # click's, after it has answered the shell that asked for completions
        return int(end.code or 0)
    except click.ClickException as error:
        if is_json():
            say(f"Error: {error.format_message()}", "error", {"exit_code": error.exit_code})
        else:
            error.show()
        return error.exit_code
    except ReaderGone as error:
        # What is still buffered has nowhere to go; Python would complain about it while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.exit_code
    except ScorerError as error:
        return _explain(str(error), error, debug.wanted)
    except Interrupted as error:
        if stopped_for_threads(error):
            shortage = out_of_threads()
            return _explain(str(shortage), shortage, debug.wanted)
        message = f"\n{error.word}: {' '.join(_notes(error)) or interrupted}"
        say(message, "error", {"exit_code": error.exit_code})
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = exit_code_of(KeyboardInterrupt())
        say(f"\nInterrupted: {interrupted}", "error", {"exit_code": code})
        return code
    except Exception as error:
        found = known(error)
        advice = "\nRun again with --debug for a traceback." if type(found) is ScorerError else ""
        return _explain(f"{found}{advice}", found, debug.wanted)


def run_as_program(command: click.Command, *, name: str, interrupted: str) -> NoReturn:
    """The whole program: `run_command` on the process's own arguments, which a signal stops."""
    install()
    code = run_command(command, sys.argv[1:], name=name, interrupted=interrupted)
    defer()  # what was done is said; a signal must not change the exit code any more
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError, ValueError):  # closed, or nobody listens
            stream.flush()
    # Not by way of the interpreter's end: it takes signals like any program that knows none of them, and waits for
    # threads, also for one that an interrupt cut off from whoever would have told it to stop.
    os._exit(code)


def _asks_for_json(arguments: Sequence[str], prefix: str | None) -> bool:
    """Whether messages are to be JSON, as far as that can be seen before click has read the options: it may fail to."""
    given = " ".join(arguments).replace("--log-format=", "--log-format ")
    asked = os.environ.get(f"{prefix}_LOG_FORMAT") == "json" and "--log-format" not in given
    return asked or "--log-format json" in given


def _explain(message: str, error: Exception, debug: bool) -> ExitCode:
    """Print what went wrong; returns the exit code that belongs to it."""
    code = exit_code_of(error)
    fields: dict[str, object] = {"exit_code": code}
    if debug and is_json():
        fields["traceback"] = traceback.format_exc()
    elif debug:
        traceback.print_exc()
    say("\n".join([f"Error: {message}", *_notes(error)]), "error", fields)
    return code


def _notes(error: BaseException) -> list[str]:
    """What those that the error passed on its way had to add."""
    return getattr(error, "__notes__", [])
