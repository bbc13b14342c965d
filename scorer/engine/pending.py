"""Results that threads compute while the caller does something else."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """Result that is still being computed. It is collected once, however often it is requested.

    Args:
        collect: function that waits for the result, and raises the error of the computation.
        cancel: function that cancels the work that no thread has started; it may be called at any time, repeatedly.

    >>> Pending(lambda: [3, 1, 2]).map(sorted).result()
    [1, 2, 3]
    """

    _value: T

    def __init__(self, collect: Callable[[], T], cancel: Callable[[], None] = lambda: None) -> None:
        self._collect: Callable[[], T] | None = collect
        self._cancel = cancel

    def result(self) -> T:
        """Wait for the result; an error or an interrupt cancels the rest of the work.

        Raises:
            CancelledError: some of the work was cancelled before.
        """
        collect = self._collect
        if collect is not None:
            with cancelled_on_error(self):
                self._value = collect()
            self._collect = None  # frees the work's input
        return self._value

    def cancel(self) -> None:
        """Cancel the work that no thread has started."""
        self._cancel()

    def map(self, function: Callable[[T], U]) -> "Pending[U]":
        """Apply a function to the result, in the thread that requests it."""
        return Pending(lambda: function(self.result()), self.cancel)


@contextlib.contextmanager
def cancelled_on_error(pending: Pending[T]) -> Iterator[None]:
    """Cancel the work after an error or an interrupt: no caller would wait for it any more."""
    try:
        yield
    except BaseException:
        pending.cancel()
        raise
