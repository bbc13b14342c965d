"""Seconds of the stages of a training, so that a person sees what took the time.

A stage is timed where it happens, by `stage`, as a ``with`` block or a decorator. It needs no argument on the way there.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from scorer.base.text import duration

_LEAST = 0.05  # seconds of a stage that is named; shorter ones count as others

TOKENS = "tokens"
FEATURES = "features"
HEAD = "head"
BLOCKS = "blocks"
WIDE_PART = "wide part"
CALIBRATION = "stack and calibration"
CASCADE = "cascade"
CROSS_VALIDATION = "learning curve"
GRAPHS = "graphs"
PARITY = "parity"
INT8 = "int8"
FP16 = "fp16"
GOLDEN = "golden rows"
TEST = "test texts"
BASELINE = "baseline"
CARD = "card"


@dataclass
class Stages:
    """Seconds by stage; a stage inside of another one counts by itself, so that they add up.

    Attributes:
        seconds: seconds of each stage, in the order in which they begin.
        start: begin of the training.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=lambda: time.monotonic())
    _inner: list[float] = field(default_factory=lambda: [0.0])

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time that passes meanwhile to a stage, except for that of stages inside of it."""
        self.seconds.setdefault(name, 0.0)
        begin = time.monotonic()
        self._inner.append(0.0)
        try:
            yield
        finally:
            passed = time.monotonic() - begin
            self.seconds[name] += passed - self._inner.pop()
            self._inner[-1] += passed

    def described(self) -> str:
        """Return the seconds of all stages in words, the longest first.

        >>> stages = Stages({"head": 2.04, "features": 61.0, "tokens": 0.01}, time.monotonic() - 64)
        >>> stages.described()
        '1 min 4 s: features 1 min 1 s, head 2.0 s, others 1.0 s'
        """
        whole = time.monotonic() - self.start
        named = {name: one for name, one in self.seconds.items() if one >= _LEAST}
        named = dict(sorted(named.items(), key=lambda item: -item[1]))
        if whole - sum(named.values()) >= _LEAST:
            named["others"] = whole - sum(named.values())
        parts = ", ".join(f"{name} {duration(one, tenths=True)}" for name, one in named.items())
        return f"{duration(whole, tenths=True)}: {parts}"


_current: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextmanager
def collected() -> Iterator[Stages]:
    """Collect the seconds of the stages that happen in this thread meanwhile."""
    stages = Stages()
    token = _current.set(stages)
    try:
        yield stages
    finally:
        _current.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a stage, as a ``with`` block or as the decorator of a function; do nothing else outside of `collected`."""
    stages = _current.get()
    if stages is None:
        yield
        return
    with stages.timed(name):
        yield
