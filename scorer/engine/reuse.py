"""Equal token rows are computed once: a bounded memory of the latest logits, in front of an engine."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scorer.engine.protocols import Engine, Pending, given_up_on_error

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

    def submit(self, rows: Sequence[np.ndarray]) -> "PendingReuse":
        """As `scorer.engine.protocols.Engine.submit`; rows that are still being computed for another call are waited for."""
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
        return PendingReuse(self, computing, new, list(zip(rows, slots, strict=True)))

    def forget(self, slots: "dict[bytes, _Slot]") -> None:
        """Rows that came to nothing have to be computed when they are asked for again."""
        with self._lock:
            for key, slot in slots.items():
                if self._known.get(key) is slot:
                    del self._known[key]

    def compute(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """The rows' logits, whatever is remembered."""
        return self._engine.logits(rows)


class PendingReuse:
    """Rows on their way; see `scorer.engine.protocols.Pending`."""

    def __init__(
        self,
        reuse: Reuse,
        computing: Pending,
        own: "dict[bytes, _Slot]",
        rows: "list[tuple[np.ndarray, _Slot]]",
    ) -> None:
        self._reuse = reuse
        self._computing = computing
        self._own = own
        self._rows = rows

    def result(self) -> np.ndarray:
        with given_up_on_error(self):
            self._computing.result()
            logits = np.stack([self._logits(row, slot) for row, slot in self._rows])
        if np.isnan(logits).any():  # there may be memory for such a row another time
            self._reuse.forget(self._own)
        return logits

    def cancel(self) -> None:
        self._computing.cancel()
        self._reuse.forget(self._own)

    def _logits(self, row: np.ndarray, slot: "_Slot") -> np.ndarray:
        try:
            return slot.logits()
        except Exception:  # another call's rows failed or were given up, which says nothing about this one
            return np.asarray(self._reuse.compute([row])[0])


class _Slot:
    """One row's logits: the ``index``-th of what is being computed, and once that is done, a copy of them alone."""

    __slots__ = ("_index", "_logits", "computing")

    def __init__(self, index: int) -> None:
        self._index = index
        self._logits: np.ndarray | None = None
        self.computing: Pending | None = None

    def logits(self) -> np.ndarray:
        """(logits,); raises what computing them raised."""
        computing = self.computing
        if self._logits is None and computing is not None:
            self._logits = computing.result()[self._index].copy()
            self.computing = None  # let go of the window's other rows
        assert self._logits is not None
        return self._logits
