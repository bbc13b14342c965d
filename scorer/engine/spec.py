"""Specification of an engine, and how it is opened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scorer.base.timing import Phases
from scorer.engine import runtime
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.batches import Lengths
from scorer.engine.gpu import Gpu
from scorer.engine.protocols import Engine
from scorer.engine.row_engine import RowEngine
from scorer.engine.thread_sessions import ThreadSessions

# Batches at a time on a GPU: one is computed while another is copied there or back.
_LANES = 2


@dataclass(frozen=True)
class EngineSpec:
    """Specification of an engine that is not open yet.

    Attributes:
        graph: bytes of an ONNX model.
        external: bytes of the files with its external tensors, by file name.
        provider: ``cpu`` or ``cuda``.
        gpu: GPU to use, and how much of its memory.
        cores: number of rows to compute at a time on CPU.
        batch_tokens: largest number of padded tokens in a batch on CUDA.
        lengths: lengths that rows may have.
        width: logits of a row.
        own_sessions: whether the graph's bytes may be kept, so that threads on CPU can open sessions of their own.
    """

    graph: bytes
    external: Mapping[str, bytes]
    provider: str
    gpu: Gpu
    cores: int
    batch_tokens: int
    lengths: Lengths
    width: int
    own_sessions: bool = False

    @property
    def size(self) -> int:
        """Size of the graph and its weights, in bytes."""
        return len(self.graph) + sum(map(len, self.external.values()))

    def open(self, phases: Phases) -> Engine:
        """Open the engine; raise the errors of `scorer.engine.runtime.open_session`.

        Args:
            phases: phases that get its seconds.
        """
        if self.provider == "cpu":
            sessions = ThreadSessions(self._session, self.cores if self.own_sessions else 1, self.size)
            return RowEngine(sessions, self.cores, phases=phases, share=sessions.independent_rows)
        return batch_engine(
            self._session,
            self.batch_tokens,
            self.lengths,
            self.width,
            phases,
        )

    def _session(self) -> runtime.Session:
        return runtime.Session(self.graph, self.provider, self.gpu, self.external)


def batch_engine(
    open_session: Callable[[], runtime.Session],
    batch_tokens: int,
    lengths: Lengths,
    width: int,
    phases: Phases,
    lanes: int = _LANES,
) -> BatchEngine:
    """Make a `BatchEngine` and its lanes.

    Args:
        open_session: function that opens the session that all lanes share.
        batch_tokens, lengths: as for `BatchEngine`.
        width: logits of a row.
        phases: phases that get the lanes' seconds of copying and computing.
        lanes: number of batches at a time.
    """

    def open_lanes() -> list[runtime.Lane]:
        session = open_session()
        return [runtime.Lane(session, lengths.most_ids(batch_tokens), width, phases) for _ in range(lanes)]

    return BatchEngine(open_lanes, batch_tokens, lengths)
