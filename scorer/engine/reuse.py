"""Equal token rows are computed once: a bounded memory of the latest logits, in front of an engine."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scorer.engine.pending import Pending
from scorer.engine.protocols import Engine

# Some 350 bytes each: a key of 16 bytes, a few logits, and what Python adds.
_REMEMBERED = 8_192


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

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        """As `scorer.engine.protocols.Engine.submit`, for at least one row.

        Rows that are still being computed for another call are waited for.
        """
        slots: list[_Slot] = []
        new: dict[bytes, _Slot] = {}
        new_rows: list[np.ndarray] = []
        with self._lock:
            for row in rows:
                key = blake2b(row.tobytes(), digest_size=16).digest()
                slot = self._known.get(key) or new.get(key)
                if slot is None:
                    slot = new[key] = _Slot(len(new_rows))
                    new_rows.append(row)
                elif key in self._known:
                    self._known.move_to_end(key)
                slots.append(slot)
            computing = self._engine.submit(new_rows)
            for slot in new.values():
                slot.computing = computing
            self._known.update(new)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)

        def collect() -> np.ndarray:
            computing.result()
            logits = np.stack([self._logits(row, slot) for row, slot in zip(rows, slots, strict=True)])
            if np.isnan(logits).any():  # there may be memory for such a row another time
                self._forget(new)
            return logits

        def cancel() -> None:
            computing.cancel()
            self._forget(new)

        return Pending(collect, cancel)

    def _logits(self, row: np.ndarray, slot: "_Slot") -> np.ndarray:
        try:
            return slot.logits()
        except Exception:  # another call's rows failed or were given up, which says nothing about this one
            return np.asarray(self._engine.logits([row])[0])

    def _forget(self, slots: "dict[bytes, _Slot]") -> None:
        """Compute these rows anew when they are asked for again: they failed, or were given up."""
        with self._lock:
            for key, slot in slots.items():
                if self._known.get(key) is slot:
                    del self._known[key]


class _Slot:
    """One row's logits: the ``index``-th of what is being computed, and once that is done, a copy of them alone."""

    __slots__ = ("_index", "_logits", "computing")

    def __init__(self, index: int) -> None:
        self._index = index
        self._logits: np.ndarray | None = None
        self.computing: Pending[np.ndarray] | None = None

    def logits(self) -> np.ndarray:
        """(logits,); raises what computing them raised."""
        computing = self.computing
        if self._logits is None and computing is not None:
            self._logits = computing.result()[self._index].copy()
            self.computing = None  # let go of the other rows that were submitted with it
        assert self._logits is not None
        return self._logits
