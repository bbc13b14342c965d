"""Equal token rows are computed once: a bounded memory of the latest logits, in front of the stages."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from scorer.engine.cascade import Staged, Stages
from scorer.engine.pending import Pending

# Some 350 bytes each: a key of 16 bytes, a few logits, and what Python adds.
_REMEMBERED = 8_192


class Reuse:
    """Gives the stages only rows that they did not compute lately. A row's logits depend on nothing but its tokens.

    Args:
        stages: what computes.
        remembered: the most rows to remember; the longest unused is forgotten.
    """

    def __init__(self, stages: Stages, remembered: int = _REMEMBERED) -> None:
        self._stages = stages
        self._remembered = remembered
        self._known: OrderedDict[bytes, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[Staged]:
        """As `scorer.engine.cascade.Stages.submit`, for at least one row.

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
            computing = self._stages.submit(new_rows)
            for slot in new.values():
                slot.computing = computing
            self._known.update(new)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)

        def collect() -> Staged:
            computing.result()
            found = [self._staged(row, slot) for row, slot in zip(rows, slots, strict=True)]
            logits = np.stack([one.logits for one in found])
            if np.isnan(logits).any():  # there may be memory for such a row another time
                self._forget(new)
            return Staged(logits, np.array([one.early for one in found]))

        def cancel() -> None:
            computing.cancel()
            self._forget(new)

        return Pending(collect, cancel)

    def _staged(self, row: np.ndarray, slot: "_Slot") -> Staged:
        try:
            return slot.staged()
        except Exception:  # another call's rows failed or were given up, which says nothing about this one
            return _one(self._stages.submit([row]).result(), 0)

    def _forget(self, slots: "dict[bytes, _Slot]") -> None:
        """Compute these rows anew when they are asked for again: they failed, or were given up."""
        with self._lock:
            for key, slot in slots.items():
                if self._known.get(key) is slot:
                    del self._known[key]


class _Slot:
    """One row's result: the ``index``-th of what is being computed, and once that is done, a copy of it alone."""

    __slots__ = ("_index", "_staged", "computing")

    def __init__(self, index: int) -> None:
        self._index = index
        self._staged: Staged | None = None
        self.computing: Pending[Staged] | None = None

    def staged(self) -> Staged:
        """Logits (logits,) and whether it is early; raises what computing them raised."""
        computing = self.computing
        if self._staged is None and computing is not None:
            self._staged = _one(computing.result(), self._index)
            self.computing = None  # let go of the other rows that were submitted with it
        assert self._staged is not None
        return self._staged


def _one(staged: Staged, row: int) -> Staged:
    return Staged(staged.logits[row].copy(), staged.early[row])
