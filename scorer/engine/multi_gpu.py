"""Several GPUs at once: a process each, and one engine here that gives them what they compute."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue

import numpy as np

from scorer.base import signals
from scorer.base.errors import DeviceLost
from scorer.base.timing import Phases
from scorer.engine import gpu_worker
from scorer.engine.batch_engine import begin_batches
from scorer.engine.batches import token_budget
from scorer.engine.device_messages import Reply, Request
from scorer.engine.pending import Pending
from scorer.engine.spec import EngineSpec

# Pieces that wait in a process behind the one that it computes, so that its device never waits for this process.
_CONNECTIONS = 2
# Pieces of a chunk for each device: the quicker one takes more of them.
_PIECES = 4


class DeviceEngine:
    """Rows sorted by length, cut into batches as one GPU would have them, and each given to a device that is free.

    So the devices need not be equally fast, and the order of the rows is that of the caller, whoever computed them. On
    CPU, for tests and for machines whose memory is in parts, the processes share the cores.

    Args:
        spec: of the engine in each process.
        devices: numbers of GPUs.
        phases: where the seconds of all of them go.

    Raises:
        ScorerError: what opening the engine raises in one of them.
    """

    def __init__(self, spec: EngineSpec, devices: Sequence[int], phases: Phases) -> None:
        self.chunk_rows = spec.kind.chunk_rows
        self.journal_rows = spec.kind.journal_rows
        self._lengths = None if spec.provider == "cpu" else spec.lengths  # of rows that are padded
        self.workers = [DeviceWorker(spec, device, phases) for device in devices]
        cores = max(1, spec.cores // len(devices))
        for worker in self.workers:
            worker.begin_to_open(replace(spec, gpu=replace(spec.gpu, device_id=worker.device), cores=cores))
        for worker in self.workers:
            worker.wait_until_open()
        self._free: SimpleQueue[tuple[DeviceWorker, Connection]] = SimpleQueue()
        for number in range(_CONNECTIONS):
            for worker in self.workers:
                self._free.put((worker, worker.connections[number]))
        self._pool = ThreadPoolExecutor(_CONNECTIONS * len(devices), thread_name_prefix="device")

    @property
    def batch_tokens(self) -> int:
        """Of the device with the shortest memory."""
        return min(worker.batch_tokens for worker in self.workers)

    @property
    def padding(self) -> float | None:
        """The share of all tokens computed that was padding; None where nothing is padded."""
        padded = sum(worker.padded_tokens for worker in self.workers)
        return 1 - sum(worker.tokens for worker in self.workers) / padded if padded else None

    def warm_up(self, token: int) -> None:
        with ThreadPoolExecutor(len(self.workers)) as pool:
            list(pool.map(lambda worker: worker.warm_up(token), self.workers))
        for worker in self.workers:  # what was computed so far was to try it
            worker.rows = worker.tokens = worker.padded_tokens = 0

    def remarks(self) -> list[str]:
        """Which device computed how much."""
        rows = sum(worker.rows for worker in self.workers)
        shares = [f"device {worker.device} {worker.rows / rows:.0%}" for worker in self.workers] if rows else []
        return [f"Of the rows computed {', '.join(shares)}."] if shares else []

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        return begin_batches(self._pool, self._computed, rows, self._pieces(rows))

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return self.submit(rows).result()

    def _pieces(self, rows: Sequence[np.ndarray]) -> list[list[int]]:
        """Row numbers, longest rows first; on CUDA whole batches, since a device fills the batches of a piece up."""
        wanted = _PIECES * len(self.workers)
        lengths = self._lengths
        if lengths is None:
            costs = [len(row) for row in rows]
            return token_budget(costs, max(1, sum(costs) // wanted))
        batches = token_budget([lengths.cost(lengths.padded(len(row))) for row in rows], self.batch_tokens)
        together = max(1, len(batches) // wanted)
        return [list(chain(*batches[at : at + together])) for at in range(0, len(batches), together)]

    def _computed(self, rows: Sequence[np.ndarray], cancelled: threading.Event) -> np.ndarray:
        if cancelled.is_set():
            raise CancelledError
        worker, connection = self._free.get()
        try:
            return worker.logits(rows, connection)
        finally:
            self._free.put((worker, connection))


class DeviceWorker:
    """A process that computes on one device. It ends when this process does, however that ends.

    Attributes:
        device: its number.
        connections: each for one request at a time.
        rows, tokens, padded_tokens: computed so far.
        batch_tokens: padded tokens of a batch, as far as its memory allowed.
    """

    def __init__(self, spec: EngineSpec, device: int, phases: Phases) -> None:
        self.device = device
        self.rows = self.tokens = self.padded_tokens = 0
        self.batch_tokens = spec.batch_tokens
        self._phases = phases
        self._counts = threading.Lock()
        self._name = f"device {device}" + (" (the cpu)" if spec.provider == "cpu" else "")
        pairs = [Pipe() for _ in range(_CONNECTIONS)]
        self.connections = [own for own, _ in pairs]
        theirs = [other.fileno() for _, other in pairs]
        # Not forked, which CUDA does not survive; nor by multiprocessing, which would import the caller's program again.
        with signals.held():  # the process inherits that, until it ignores them
            self._process = subprocess.Popen(
                # -P: the current folder is looked through only where it is in this process's own path.
                [sys.executable, "-P", "-m", gpu_worker.__name__, *map(str, theirs)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # libraries print there
                pass_fds=theirs,
                start_new_session=True,  # Ctrl-C is for this process alone
            )
        for _, other in pairs:
            other.close()
        weakref.finalize(self, _end, self._process, self.connections).atexit = False

    def begin_to_open(self, spec: EngineSpec) -> None:
        """Send the engine, with all of its weights, once every process is starting; they are not kept here."""
        with suppress(OSError):  # it is gone, as the answer will tell
            self.connections[0].send(spec)

    def wait_until_open(self) -> None:
        """Raise what went wrong in the other process, if anything did."""
        self._answer(self.connections[0])

    def warm_up(self, token: int) -> None:
        self._ask(Request(token=token), self.connections[0])

    def logits(self, rows: Sequence[np.ndarray], connection: Connection | None = None) -> np.ndarray:
        """float32 (rows, logits); waits for them."""
        found = self._ask(Request(rows=[row.astype(np.int32) for row in rows]), connection or self.connections[0])
        assert found is not None
        return found

    def _ask(self, request: Request, connection: Connection) -> np.ndarray | None:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send_bytes(pickle.dumps(request, protocol=pickle.HIGHEST_PROTOCOL))
        return self._answer(connection)

    def _answer(self, connection: Connection) -> np.ndarray | None:
        try:
            reply: Reply = connection.recv()
        except (EOFError, OSError) as error:
            raise DeviceLost(f"the process that computes on {self._name} {self._how_it_ended()}.") from error
        with self._counts:
            self.tokens += reply.tokens
            self.padded_tokens += reply.padded_tokens
            self.batch_tokens = min(self.batch_tokens, reply.batch_tokens or self.batch_tokens)
            self.rows += 0 if reply.logits is None else len(reply.logits)
        for phase, seconds in reply.seconds.items():
            self._phases.add(phase, seconds)
        if reply.error is not None:
            reply.error.add_note(f"This was {self._name}.")
            raise reply.error
        return reply.logits

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "does not answer"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end(process: "subprocess.Popen[bytes]", connections: Sequence[Connection]) -> None:
    """Let a process go: without a connection it ends by itself."""
    for connection in connections:
        with suppress(OSError):
            connection.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
