"""What an engine is made of, so that it can be made here or in another process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scorer.base.timing import Phases
from scorer.engine import runtime
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import Lengths
from scorer.engine.gpu import Gpu
from scorer.engine.protocols import Engine
from scorer.engine.row_engine import RowEngine

# Batches under way on a GPU: one that is computed, one that is copied there or back.
_LANES = 2


@dataclass(frozen=True)
class EngineSpec:
    """An engine that is not made yet.

    Attributes:
        graph: an ONNX model.
        external: the files that its external tensors lie in, by name.
        provider: ``cpu`` or ``cuda``.
        gpu: which one, and how much of it.
        cores: rows computed at a time on CPU.
        batch_tokens: padded tokens of a batch on CUDA.
        lengths: of rows.
        width: logits of a row.
    """

    graph: bytes
    external: Mapping[str, bytes]
    provider: str
    gpu: Gpu
    cores: int
    batch_tokens: int
    lengths: Lengths
    width: int

    @property
    def size(self) -> int:
        """Bytes of the graph and its weights."""
        return len(self.graph) + sum(map(len, self.external.values()))

    @property
    def kind(self) -> type[RowEngine] | type[BatchEngine]:
        return RowEngine if self.provider == "cpu" else BatchEngine

    def open(self, phases: Phases) -> Engine:
        """Make it; raises what `scorer.engine.runtime.open_session` does.

        Args:
            phases: where its seconds go.
        """
        if self.provider == "cpu":
            return RowEngine(runtime.Session(self.graph, "cpu", external=self.external), self.cores, phases=phases)
        return batch_engine(
            lambda: runtime.Session(self.graph, self.provider, self.gpu, self.external),
            self.batch_tokens,
            self.lengths,
            self.width,
            phases,
        )


def batch_engine(
    open_session: Callable[[], runtime.Session],
    batch_tokens: int,
    lengths: Lengths,
    width: int,
    phases: Phases,
    lanes: int = _LANES,
) -> BatchEngine:
    """An engine with its lanes.

    Args:
        open_session: opens the session that all lanes share.
        batch_tokens, lengths: as for `BatchEngine`.
        width: logits of a row.
        phases: where the seconds go that the lanes copy and compute.
        lanes: batches under way at a time.
    """

    def open_lanes() -> list[runtime.Lane]:
        session = open_session()
        return [runtime.Lane(session, lengths.most_ids(batch_tokens), width, phases) for _ in range(lanes)]

    return BatchEngine(open_lanes, batch_tokens, lengths)
