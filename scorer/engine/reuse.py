"""Cache of the latest results in front of stages or of an engine, so that equal token rows are computed once."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import numpy as np

from scorer.engine.cascade import Staged
from scorer.engine.pending import Pending

# Some 350 bytes each: a key of 16 bytes, a few logits, and Python's overhead.
REMEMBERED = 8_192


class Stages(Protocol):
    """The part of `scorer.engine.stages.Stages` that this module uses."""

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[Staged]: ...


class Reuse:
    """Cache that gives the stages only rows that they did not compute lately; logits depend only on a row's tokens.

    Args:
        stages: stages that compute the rows.
        remembered: largest number of rows to remember; the least recently used one is forgotten.
    """

    def __init__(self, stages: Stages, remembered: int = REMEMBERED) -> None:
        self._stages = stages
        self._remembered = remembered
        self._known: OrderedDict[bytes, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[Staged]:
        """Start to compute at least one row, as `scorer.engine.stages.Stages.submit`.

        The result waits for rows that are still being computed for another call.
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
            computing = self._stages.submit(new_rows) if new_rows else None
            for slot in new.values():
                slot.computing = computing
            self._known.update(new)
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)

        def collect() -> Staged:
            if computing is not None:
                computing.result()
            found = [self._staged(row, slot) for row, slot in zip(rows, slots, strict=True)]
            staged = Staged(*(np.stack(values) for values in zip(*found, strict=True)))
            if np.isnan(staged.logits).any():  # such a row may fit in memory another time
                self._forget(new)
            return staged

        def cancel() -> None:
            if computing is not None:
                computing.cancel()
            self._forget(new)

        return Pending(collect, cancel)

    def _staged(self, row: np.ndarray, slot: "_Slot") -> Staged:
        try:
            return slot.staged()
        except Exception:  # another call's rows failed or were cancelled, and this row may still succeed
            return _one(self._stages.submit([row]).result(), 0)

    def _forget(self, slots: "dict[bytes, _Slot]") -> None:
        """Forget rows that failed or were cancelled, so that the next call computes them again."""
        with self._lock:
            for key, slot in slots.items():
                if self._known.get(key) is slot:
                    del self._known[key]


class _Slot:
    """Result of one row: the ``index``-th of a pending result, and once that is computed, a copy of its own."""

    __slots__ = ("_index", "_staged", "computing")

    def __init__(self, index: int) -> None:
        self._index = index
        self._staged: Staged | None = None
        self.computing: Pending[Staged] | None = None

    def staged(self) -> Staged:
        """Wait for the row's logits, (logits,), and what decided it; raise the error of the computation."""
        computing = self.computing
        if self._staged is None and computing is not None:
            self._staged = _one(computing.result(), self._index)
            self.computing = None  # frees the other rows that were submitted with it
        assert self._staged is not None
        return self._staged


def _one(staged: Staged, row: int) -> Staged:
    return Staged(*(values[row].copy() for values in staged))
