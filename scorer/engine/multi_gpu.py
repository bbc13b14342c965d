"""Engine for several GPUs: one process for each, and one engine here that distributes the rows."""

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

# Requests to a process at a time: one is computed and one waits, so that the device never waits for this process.
_CONNECTIONS = 2
# Pieces of a chunk for each device; a faster device takes more of them.
_PIECES = 4


class DeviceEngine:
    """Engine that sorts rows by length, cuts them into batches as for one GPU, and gives each to a free device.

    So the devices need not be equally fast, and results come in the caller's order. On CPU the processes share the
    cores, for tests and for machines with several memory nodes.

    Args:
        spec: engine of each process.
        devices: numbers of GPUs.
        phases: phases that get the seconds of all processes.

    Raises:
        ScorerError: a process could not open its engine.
    """

    def __init__(self, spec: EngineSpec, devices: Sequence[int], phases: Phases) -> None:
        self.chunk_rows = spec.kind.chunk_rows
        self.journal_rows = spec.kind.journal_rows
        self._lengths = None if spec.provider == "cpu" else spec.lengths  # on CPU rows are not padded
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
        """The batch size of the device with the least memory, in padded tokens."""
        return min(worker.batch_tokens for worker in self.workers)

    @property
    def padding(self) -> float | None:
        """The share of padding in all tokens computed; None if nothing is padded."""
        padded = sum(worker.padded_tokens for worker in self.workers)
        return 1 - sum(worker.tokens for worker in self.workers) / padded if padded else None

    def warm_up(self, token: int) -> None:
        with ThreadPoolExecutor(len(self.workers)) as pool:
            list(pool.map(lambda worker: worker.warm_up(token), self.workers))
        for worker in self.workers:  # the trial does not count
            worker.rows = worker.tokens = worker.padded_tokens = 0

    def remarks(self) -> list[str]:
        """Report each device's share of the rows."""
        rows = sum(worker.rows for worker in self.workers)
        shares = [f"device {worker.device} {worker.rows / rows:.0%}" for worker in self.workers] if rows else []
        return [f"Rows computed by each device: {', '.join(shares)}."] if shares else []

    def submit(self, rows: Sequence[np.ndarray]) -> Pending[np.ndarray]:
        return begin_batches(self._pool, self._computed, rows, self._pieces(rows))

    def logits(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return self.submit(rows).result()

    def _pieces(self, rows: Sequence[np.ndarray]) -> list[list[int]]:
        """Cut rows, longest first, into pieces of row numbers; on CUDA of whole batches, which devices fill up."""
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
    """Process that computes on one device. It ends when this process does, however that ends.

    Attributes:
        device: number of the device.
        connections: connections, each for one request at a time.
        rows, tokens, padded_tokens: counts of the rows and tokens computed so far.
        batch_tokens: largest number of padded tokens in a batch, as far as memory allowed.
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
        # CUDA does not survive a fork, and multiprocessing would import the caller's program again.
        with signals.held():  # the process inherits the mask until it ignores the signals
            self._process = subprocess.Popen(
                # -P: modules are imported from the current folder only if it is in this process's own path.
                [sys.executable, "-P", "-m", gpu_worker.__name__, *map(str, theirs)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # libraries print there
                pass_fds=theirs,
                start_new_session=True,  # Ctrl-C reaches this process alone
            )
        for _, other in pairs:
            other.close()
        weakref.finalize(self, _end, self._process, self.connections).atexit = False

    def begin_to_open(self, spec: EngineSpec) -> None:
        """Send the engine with all its weights, which this process does not keep."""
        with suppress(OSError):  # the process is gone, which `wait_until_open` reports
            self.connections[0].send(spec)

    def wait_until_open(self) -> None:
        """Wait until the process has opened the engine; raise the error that it met."""
        self._answer(self.connections[0])

    def warm_up(self, token: int) -> None:
        self._ask(Request(token=token), self.connections[0])

    def logits(self, rows: Sequence[np.ndarray], connection: Connection | None = None) -> np.ndarray:
        """Compute rows in the process and wait for the result: float32 (rows, logits)."""
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
            raise DeviceLost(f"the process that computes on {self._name} {self._ending()}.") from error
        with self._counts:
            self.tokens += reply.tokens
            self.padded_tokens += reply.padded_tokens
            self.batch_tokens = min(self.batch_tokens, reply.batch_tokens or self.batch_tokens)
            self.rows += 0 if reply.logits is None else len(reply.logits)
        for phase, seconds in reply.seconds.items():
            self._phases.add(phase, seconds)
        if reply.error is not None:
            reply.error.add_note(f"The error occurred on {self._name}.")
            raise reply.error
        return reply.logits

    def _ending(self) -> str:
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return "does not answer"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end(process: "subprocess.Popen[bytes]", connections: Sequence[Connection]) -> None:
    """End a process by closing its connections; kill it if it does not end."""
    for connection in connections:
        with suppress(OSError):
            connection.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
