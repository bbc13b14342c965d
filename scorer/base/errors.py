"""What can go wrong, and the exit code of a command by how it ended.

    ScorerError                  1   the environment failed
        OutOfMemory              1
        OutOfThreads             1
        DeviceLost               1
        Busy                     1
        ReaderGone             141
        UsageError               2
        InputError               4
        BundleError              5
        ProviderError            5

Every message says what happened and what to do about it; the command prints it after ``Error: `` and nothing else.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended, as schedulers read it."""

    DONE = 0
    ENVIRONMENT = 1
    USAGE = 2
    LOOK = 3
    """Published, but look: records were rejected, the data drifted, labels flipped."""
    NOT_PUBLISHED = 4
    REFUSED = 5
    """A bundle or a provider was refused."""
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143

    @property
    def published(self) -> bool:
        return self in (ExitCode.DONE, ExitCode.LOOK)


def exit_code_of(error: BaseException | None = None, *, look: bool = False) -> ExitCode:
    """The one place that decides an exit code.

    Args:
        error: what ended the command; None where it did its work.
        look: whether what it did wants a look, see `ExitCode.LOOK`.

    >>> exit_code_of(), exit_code_of(look=True), exit_code_of(UsageError("--x")), exit_code_of(OSError())
    (<ExitCode.DONE: 0>, <ExitCode.LOOK: 3>, <ExitCode.USAGE: 2>, <ExitCode.ENVIRONMENT: 1>)
    """
    if error is None:
        return ExitCode.LOOK if look else ExitCode.DONE
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, ExitCode) else ExitCode.ENVIRONMENT


class ScorerError(Exception):
    """The environment failed: not writable, disk full, a read error, a lost device."""

    exit_code = ExitCode.ENVIRONMENT


class OutOfMemory(ScorerError):
    """The device or this process has no memory for what it was asked to compute; less of it may fit."""


class OutOfThreads(ScorerError):
    """This process may not start the threads that it needs."""


class DeviceLost(ScorerError):
    """The device failed in a way that only a new process can mend."""


class Busy(ScorerError):
    """Another run writes what this one was to write."""


class ReaderGone(ScorerError):
    """Whoever read our output has enough (``score ... | head``). Nothing to complain about: the code is that of SIGPIPE."""

    exit_code = ExitCode.READER_GONE


class UsageError(ScorerError):
    """The command was asked for something it cannot do as written."""

    exit_code = ExitCode.USAGE


class InputError(ScorerError):
    """The input cannot be scored as a whole, so nothing was published."""

    exit_code = ExitCode.NOT_PUBLISHED


class BundleError(ScorerError):
    """The bundle is missing, damaged, or gives other scores here than where it was made."""

    exit_code = ExitCode.REFUSED


class ProviderError(ScorerError):
    """The execution provider that was asked for cannot be used here."""

    exit_code = ExitCode.REFUSED
