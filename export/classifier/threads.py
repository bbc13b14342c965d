"""Threads of the linear algebra behind the fits of linear models."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

# Measured up to this number, one thread was as quick as two, and up to twenty times as quick on a busy machine.
_MOST_TEXTS = 20_000


@contextmanager
def threads_for(texts: int) -> Iterator[None]:
    """Compute a fit of so many texts with one thread of BLAS and PyTorch; more texts keep all threads.

    A fit has thousands of short products. Several threads wait for each other after each one.
    """
    if texts > _MOST_TEXTS:
        yield
        return
    with _controller().limit(limits=1):
        yield


@cache
def _controller() -> ThreadpoolController:
    """Return the libraries that have threads; to find them takes as long as a small fit."""
    return ThreadpoolController()
