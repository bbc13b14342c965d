"""Equal token rows are computed once: a bounded memory of the latest logits, in front of an engine."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scorer.engine import Engine, Pending

# Some 350 bytes each: a key of 16 bytes, a few logits, and what Python adds.
_REMEMBERED = 32_768


class Reuse:
    """Gives the engine only rows that it did not compute lately. A row's logits depend on nothing but its tokens.

    Args:
        engine: what computes.
        remembered: the most rows to remember; the longest unused is forgotten.
    """

    def __init__(self, engine: Engine, remembered: int = _REMEMBERED) -> None:
        self._engine = engine
        self._remembered = remembered
        self._known: OrderedDict[bytes, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def submit(self, rows: Sequence[np.ndarray]) -> "PendingReuse":
        """As `scorer.engine.Engine.submit`; rows that are still being computed for another call are waited for."""
        slots: list[_Slot] = []
        new: dict[bytes, np.ndarray] = {}
        with self._lock:
            for row in rows:
                key = blake2b(row.tobytes(), digest_size=16).digest()
                if key in self._known:
                    self._known.move_to_end(key)
                else:
                    self._known[key] = _Slot(len(new))
                    new[key] = row
                slots.append(self._known[key])
            computing = self._engine.submit(list(new.values()))
            for key in new:
                self._known[key].computing = computing
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return PendingReuse(self, computing, list(new), slots)

    def forget(self, keys: Sequence[bytes]) -> None:
        """Rows that came to nothing have to be computed when they are asked for again."""
        with self._lock:
            for key in keys:
                self._known.pop(key, None)


class PendingReuse:
    """Rows on their way; see `scorer.engine.Pending`."""

    def __init__(self, reuse: Reuse, computing: Pending, keys: list[bytes], slots: "list[_Slot]") -> None:
        self._reuse = reuse
        self._computing = computing
        self._keys = keys
        self._slots = slots

    def result(self) -> np.ndarray:
        try:
            return np.stack([slot.logits() for slot in self._slots])
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        self._computing.cancel()
        self._reuse.forget(self._keys)


class _Slot:
    """One row's logits: the ``index``-th of what is being computed, and once that is done, a copy of them alone."""

    __slots__ = ("_index", "_logits", "computing")

    def __init__(self, index: int) -> None:
        self._index = index
        self._logits: np.ndarray | None = None
        self.computing: Pending | None = None

    def logits(self) -> np.ndarray:
        """(logits,)"""
        computing = self.computing
        if self._logits is None and computing is not None:
            self._logits = computing.result()[self._index].copy()
            self.computing = None
        assert self._logits is not None
        return self._logits
