"""SIGINT and SIGTERM: the first signal stops the work, the second one ends the process."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from scorer.base.errors import ExitCode

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_deferred = False
_received: int | None = None


class Interrupted(BaseException):
    """Request to stop this process. It is no `Exception`, so that no handler takes it for a failure to work around.

    Attributes:
        exit_code: 130 after SIGINT, 143 after SIGTERM.
        word: name of the event, for messages.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = ExitCode(128 + number)
        self.word = "Interrupted" if number == signal.SIGINT else "Terminated"


def install() -> None:
    """Let the first SIGINT or SIGTERM raise `Interrupted` in the main thread, and the next one end the process."""
    global _deferred, _received
    _deferred, _received = False, None
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and background jobs ignore it on purpose
            signal.signal(number, _stop)


def defer() -> None:
    """Finish the remaining work despite a first signal; a second one still ends the process."""
    global _deferred
    _deferred = True


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold signals back meanwhile, for a few steps that must not be separated."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check() -> None:
    """Raise `Interrupted` again if Python dropped it, as it does in a finalizer."""
    if _received is not None and not _deferred:
        raise Interrupted(_received)


def _stop(number: int, frame: FrameType | None) -> None:
    global _received
    _received = number
    # The system's own handler works at once, even while Python waits for a library to return.
    for each in _STOPPING:
        if signal.getsignal(each) is _stop:
            signal.signal(each, signal.SIG_DFL)
    if not _deferred:
        raise Interrupted(number)
