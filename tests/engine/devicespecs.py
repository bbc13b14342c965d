"""Specifications of engines for worker processes of the tests; a small module, since each process imports it."""

from dataclasses import dataclass

import numpy as np

from scorer.base.errors import OutOfMemory
from scorer.base.timing import Phases
from scorer.engine import runtime
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.spec import EngineSpec, batch_engine


@dataclass(frozen=True)
class BatchesOnCpu(EngineSpec):
    """Engine of a GPU's process, with the CPU as the device."""

    most_rows: int = 1 << 30

    @property
    def kind(self) -> type[BatchEngine]:
        return BatchEngine

    def open(self, phases: Phases) -> BatchEngine:
        def open_session() -> runtime.Session:
            return runtime.Session(self.graph, "cpu", external=self.external)

        engine = batch_engine(open_session, self.batch_tokens, self.lengths, self.width, phases)
        computed = engine._computed

        def short(lane, rows: list[np.ndarray], length: int) -> np.ndarray | None:
            return None if len(rows) > self.most_rows else computed(lane, rows, length)

        engine._computed = short  # type: ignore[method-assign]
        return engine


@dataclass(frozen=True)
class Failing(EngineSpec):
    """Engine that cannot be opened."""

    def open(self, phases: Phases) -> BatchEngine:
        raise OutOfMemory("the device has no memory for the model.")
