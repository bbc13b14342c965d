"""SIGINT and SIGTERM: the first one stops the work where it is, the second one the process."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from scorer.base.errors import ExitCode

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_deferred = False
_received: int | None = None


class Interrupted(BaseException):
    """Somebody asked the process to stop. No `Exception`, so that nobody takes it for a failure to work around.

    Attributes:
        exit_code: 130 after SIGINT, 143 after SIGTERM.
        word: what happened, for a message.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = ExitCode(128 + number)
        self.word = "Interrupted" if number == signal.SIGINT else "Terminated"


def install() -> None:
    """From now on the first SIGINT or SIGTERM raises `Interrupted` in the main thread; the next one ends the process."""
    global _deferred, _received
    _deferred, _received = False, None
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and background jobs have their reasons
            signal.signal(number, _stop)


def defer() -> None:
    """What is left to do is better finished than stopped: a first signal now changes nothing, a second one still does."""
    global _deferred
    _deferred = True


@contextlib.contextmanager
def held() -> Iterator[None]:
    """For some moments that are better not cut in two: a signal comes when they are over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore both from now on, and what came while this process was started within `held`."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def check() -> None:
    """Raise `Interrupted` again, should it have come where Python drops exceptions, as in a finalizer."""
    if _received is not None and not _deferred:
        raise Interrupted(_received)


def _stop(number: int, frame: FrameType | None) -> None:
    global _received
    _received = number
    # The system's own way for the next one: it works at once even where Python waits for a library to return.
    for each in _STOPPING:
        if signal.getsignal(each) is _stop:
            signal.signal(each, signal.SIG_DFL)
    if not _deferred:
        raise Interrupted(number)
