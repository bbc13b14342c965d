"""A result that threads compute while the caller does something else."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """A result on its way. It is collected once, however often it is asked for.

    Args:
        collect: waits for the result, and raises what computing it raised.
        cancel: gives up the work that no thread has begun; may be called at any time, and more than once.

    >>> Pending(lambda: [3, 1, 2]).map(sorted).result()
    [1, 2, 3]
    """

    _value: T

    def __init__(self, collect: Callable[[], T], cancel: Callable[[], None] = lambda: None) -> None:
        self._collect: Callable[[], T] | None = collect
        self._cancel = cancel

    def result(self) -> T:
        """Wait for the result; an error or an interrupt gives up the rest of the work.

        Raises:
            CancelledError: some of the work was given up before.
        """
        collect = self._collect
        if collect is not None:
            with given_up_on_error(self):
                self._value = collect()
            self._collect = None  # it holds the work's input
        return self._value

    def cancel(self) -> None:
        """Give up the work that no thread has begun."""
        self._cancel()

    def map(self, function: Callable[[T], U]) -> "Pending[U]":
        """Apply a function to the result, in the thread that asks for it."""
        return Pending(lambda: function(self.result()), self.cancel)


@contextlib.contextmanager
def given_up_on_error(pending: Pending[T]) -> Iterator[None]:
    """Cancel the work after an error or an interrupt: nobody would ever wait for it."""
    try:
        yield
    except BaseException:
        pending.cancel()
        raise
