"""Engines that a worker process of the tests makes; small, since the process imports it."""

from dataclasses import dataclass

import numpy as np

from scorer import runtime
from scorer.batchengine import BatchEngine
from scorer.engines import EngineSpec, batch_engine
from scorer.errors import OutOfMemory
from scorer.phases import Phases


@dataclass(frozen=True)
class BatchesOnCpu(EngineSpec):
    """What a GPU's process does, with the CPU as the device."""

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
    """A device that is not there."""

    def open(self, phases: Phases) -> BatchEngine:
        raise OutOfMemory("the device has no memory for the model.")
