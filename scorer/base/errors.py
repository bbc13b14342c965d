"""What can go wrong, by the exit code the command answers with.

Every message says what happened and what to do about it; the command prints it after ``Error: `` and nothing else.
"""


class ScorerError(Exception):
    """The environment failed: not writable, disk full, a read error, a lost device. Exit code 1."""

    exit_code = 1


def known(problem: Exception) -> ScorerError:
    """The same where it is ours; else one that says what it was, notes included."""
    if isinstance(problem, ScorerError):
        return problem
    found = ScorerError(f"unexpected {type(problem).__name__}: {problem}")
    for note in getattr(problem, "__notes__", []):
        found.add_note(note)
    return found


class OutOfMemory(ScorerError):
    """The device has no memory for what it was asked to compute; less of it may fit. Exit code 1 where nothing does."""


class DeviceLost(ScorerError):
    """The device failed in a way that only a new process can mend. Exit code 1."""


class Busy(ScorerError):
    """Another run writes what this one was to write. Exit code 1."""


class ReaderGone(ScorerError):
    """Whoever read our output has enough (``score ... | head``). Nothing to complain about. Exit code 141, as SIGPIPE."""

    exit_code = 141


class UsageError(ScorerError):
    """The command was asked for something it cannot do as written. Exit code 2."""

    exit_code = 2


class InputError(ScorerError):
    """The input cannot be scored as a whole, so nothing was published. Exit code 4."""

    exit_code = 4


class BundleError(ScorerError):
    """The bundle is missing, damaged, or gives other scores here than where it was made. Exit code 5."""

    exit_code = 5


class ProviderError(ScorerError):
    """The execution provider that was asked for cannot be used here. Exit code 5."""

    exit_code = 5
