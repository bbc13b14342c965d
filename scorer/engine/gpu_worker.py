"""Process of one device: computes what `scorer.engine.multi_gpu` sends, and ends when the sender is gone.

``python -m scorer.engine.gpu_worker DESCRIPTOR...``: each descriptor is one end of a connection.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from scorer.base import signals
from scorer.base.shortage import known
from scorer.base.timing import Phases
from scorer.engine import memory_limit
from scorer.engine.batch_engine import BatchEngine
from scorer.engine.device_messages import Reply, Request
from scorer.engine.protocols import Engine


class _Server:
    """Server of one engine for several connections at a time."""

    def __init__(self, engine: Engine, phases: Phases) -> None:
        self._engine = engine
        self._phases = phases
        self._counting = threading.Lock()
        self._reported = (0, 0)

    def serve(self, connection: Connection) -> None:
        """Answer requests until the other end is gone, then end the process with all its connections."""
        try:
            while True:
                connection.send(self._reply(connection.recv()))
        except (EOFError, OSError):
            os._exit(0)

    def _reply(self, request: Request) -> Reply:
        logits, error = None, None
        try:
            if request.token is not None:
                self._engine.warm_up(request.token)
            else:
                logits = self._engine.logits([row.astype(np.int64) for row in request.rows])
        except Exception as problem:
            error = known(problem)
        with self._counting:
            seconds = self._phases.seconds
            self._phases.clear()
            tokens, padded, batch_tokens = 0, 0, None
            if isinstance(self._engine, BatchEngine):
                batch_tokens = self._engine.batch_tokens
                now = (self._engine.tokens, self._engine.padded_tokens)
                # Warming up resets the engine's counts to 0.
                before = self._reported if now >= self._reported else (0, 0)
                tokens, padded, self._reported = now[0] - before[0], now[1] - before[1], now
        return Reply(logits, error, seconds, tokens, padded, batch_tokens)


def main(descriptors: Sequence[int]) -> None:
    """Serve on these descriptors; the first one receives the engine's `scorer.engine.spec.EngineSpec`."""
    signals.ignore()  # the process that started this one handles them
    connections = [Connection(descriptor) for descriptor in descriptors]
    phases = Phases()
    try:
        engine = connections[0].recv().open(phases)
        memory_limit.unlimited()  # the limit is for opening; computing needs no more than in a single process
        connections[0].send(Reply())
    except (EOFError, OSError):  # the other end is gone
        return
    except Exception as problem:
        with contextlib.suppress(OSError):
            connections[0].send(Reply(error=known(problem)))
        return
    server = _Server(engine, phases)
    for connection in connections[1:]:
        threading.Thread(target=server.serve, args=(connection,), daemon=True).start()
    server.serve(connections[0])


if __name__ == "__main__":
    main([int(descriptor) for descriptor in sys.argv[1:]])
