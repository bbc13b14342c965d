"""The tree of errors, and the exit code of a command that fails with each of them.

    ScorerError                  1
        OutOfMemory              1
        OutOfThreads             1
        DeviceLost               1
        Busy                     1
        ReaderGone             141
        UsageError               2
        InputError               4
        BundleError              5
        ProviderError            5

Every message states what happened, to which file or row, and what to do. A command prints it after ``Error: ``.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of all commands, for schedulers."""

    DONE = 0
    ENVIRONMENT = 1
    USAGE = 2
    WARNINGS = 3
    """Done with warnings: records were rejected, the data drifted, labels flipped, an output is not its run's, or a planned run
    would take too long or publish nothing."""
    NOT_PUBLISHED = 4
    REFUSED = 5
    """A bundle or a provider was refused."""
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143

    @property
    def published(self) -> bool:
        return self in (ExitCode.DONE, ExitCode.WARNINGS)


def exit_code_of(error: BaseException | None = None, *, warnings: bool = False) -> ExitCode:
    """Decide the exit code of a command; no other function does.

    Args:
        error: error that ended the command; None after success.
        warnings: True if the result has warnings, see `ExitCode.WARNINGS`.

    >>> exit_code_of(), exit_code_of(warnings=True), exit_code_of(UsageError("--x")), exit_code_of(OSError())
    (<ExitCode.DONE: 0>, <ExitCode.WARNINGS: 3>, <ExitCode.USAGE: 2>, <ExitCode.ENVIRONMENT: 1>)
    """
    if error is None:
        return ExitCode.WARNINGS if warnings else ExitCode.DONE
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    code = getattr(error, "exit_code", None)
    return code if isinstance(code, ExitCode) else ExitCode.ENVIRONMENT


class ScorerError(Exception):
    """Failure of the environment, such as a full disk or an unreadable file; base class of all our errors."""

    exit_code = ExitCode.ENVIRONMENT


class OutOfMemory(ScorerError):
    """Lack of memory on the device or in this process; fewer rows at a time may fit."""


class OutOfThreads(ScorerError):
    """Lack of threads: the system does not let this process start all that it needs."""


class DeviceLost(ScorerError):
    """Failure of a device, from which only a new process can recover."""


class Busy(ScorerError):
    """Conflict with another run that is writing the same output."""


class ReaderGone(ScorerError):
    """Closed pipe: its reader has all that it wants (``score ... | head``).

    This is no failure to report. The exit code is that of SIGPIPE.
    """

    exit_code = ExitCode.READER_GONE


class UsageError(ScorerError):
    """Invalid command: options or arguments that no run can carry out."""

    exit_code = ExitCode.USAGE


class InputError(ScorerError):
    """Input that cannot be scored as a whole, so that nothing was published."""

    exit_code = ExitCode.NOT_PUBLISHED


class BundleError(ScorerError):
    """Bundle that is missing, damaged, or scores differently here than where it was made."""

    exit_code = ExitCode.REFUSED


class ProviderError(ScorerError):
    """Execution provider that was requested and cannot be used on this machine."""

    exit_code = ExitCode.REFUSED
