"""Silence of the libraries that export and quantize graphs."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

from scorer.base.messages import silenced


@contextlib.contextmanager
def quiet_tools() -> Iterator[None]:
    """Discard warnings and log lines of libraries, which are of no use to users; errors are raised as ever."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), silenced():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
