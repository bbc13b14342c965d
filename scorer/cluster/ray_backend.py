"""Part files on a Ray cluster: Ray Data gives them to actors, each with one Scorer of its own."""

import contextlib
import json
import logging
import math
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from scorer.base.cores import usable_cores
from scorer.base.errors import ScorerError, UsageError
from scorer.base.extras import install_advice
from scorer.base.messages import hushed
from scorer.cluster.part_scorer import PartResult, PartScorer
from scorer.cluster.parts import Part
from scorer.model.bundle import Bundle
from scorer.run.options import ScoreOptions

_CONNECTING_SECONDS = 10
# How often a part is begun before it is given up: nodes go away, and some parts kill their worker each time.
_TRIES = 4
# The parts' names and what came of them; a local cluster would otherwise take a third of the memory.
_OBJECT_STORE_BYTES = 256 << 20


@dataclass(frozen=True)
class Cluster:
    """Workers, and where they run.

    Attributes:
        workers: actors.
        threads: CPU cores of each; None for an equal share of all there are.
        gpus: GPUs of each; a half lets two share one.
        address: of a cluster that runs; None for the one that RAY_ADDRESS names, or else a new one on this machine.
    """

    workers: int
    threads: int | None = None
    gpus: float = 0
    address: str | None = None


def score_parts(
    parts: Sequence[Part],
    options: ScoreOptions,
    bundle: Bundle,
    cluster: Cluster,
    begin: Callable[[], None],
) -> Generator[PartResult, None, None]:
    """Score parts, the largest first as they were given; each one's result when it is there.

    ``begin`` is called once it is sure that there are workers, before they begin.

    Raises:
        UsageError: Ray is not installed, or the cluster cannot hold the workers.
        ScorerError: there is no such cluster, or it fails as a whole.
    """
    # Nothing about a run leaves the machines it runs on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What its core says on this process's stderr is about its own affairs; what ends a run comes as an exception.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
        from ray.exceptions import RayError
    except ImportError as error:
        raise UsageError(f"Ray Data is not installed ({error.name or error}): {install_advice('ray')}") from error

    _connect(ray, cluster)
    try:
        threads = _threads(ray.cluster_resources(), cluster)
        begin()
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        settings = _Settings(parts, replace(options, threads=threads), bundle, os.getcwd())
        head = ray.remote(num_cpus=0)(_Head).remote(settings)
        indexes = ray.data.from_items([{"part": at} for at in range(len(parts))], override_num_blocks=len(parts))
        results = indexes.map_batches(
            _Worker,
            fn_constructor_args=(head,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(cluster.workers, len(parts)), max_tasks_in_flight_per_actor=1),
            num_cpus=threads,
            num_gpus=cluster.gpus or None,
        )
        for row in results.iter_rows():
            yield PartResult(**json.loads(row["result"]))
    except ScorerError:
        raise
    except RayError as error:
        raise ScorerError(f"the Ray cluster failed: {_first_line(error)}") from error
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()


class _Settings(NamedTuple):
    """What a worker has to know.

    Attributes:
        parts: all there are.
        options, bundle: as for `PartScorer`.
        current: the folder that relative names start from.
    """

    parts: Sequence[Part]
    options: ScoreOptions
    bundle: Bundle
    current: str


class _Head:
    """An actor that outlives the workers: gives each what it has to know, and counts how often a part is begun."""

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings
        self._begun: Counter[int] = Counter()

    def settings(self) -> _Settings:
        return self._settings

    def begin(self, part: int) -> int:
        """How often a part was begun, this time included."""
        self._begun[part] += 1
        return self._begun[part]


class _Worker:
    """An actor with a `Scorer`. Where it dies Ray starts another one, and has it do the part again."""

    def __init__(self, head: Any) -> None:
        import ray

        self._begin = lambda part: ray.get(head.begin.remote(part))
        settings: _Settings = ray.get(head.settings.remote())
        self._parts = settings.parts
        self._scorer: PartScorer | None = None
        self._problem: ScorerError | None = None
        with contextlib.suppress(OSError):  # on another machine it need not be there, for names that are whole
            os.chdir(settings.current)
        try:
            self._scorer = PartScorer(settings.options.output, settings.options, settings.bundle)
        except ScorerError as problem:
            self._problem = problem  # raised here, Ray would take it for a fault of its own and try again

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        return {"result": [json.dumps(vars(self._score(int(part)))) for part in batch["part"]]}

    def _score(self, number: int) -> PartResult:
        part = self._parts[number]
        if self._scorer is None:
            assert self._problem is not None
            return _unscored(part, self._problem)
        if self._begin(number) > _TRIES:
            died = (
                f"its worker died {_TRIES} times: out of memory, or a library aborted over what is in the file. "
                f"`score {part.source}` alone tells which by its exit code: 137 or 134."
            )
            return _unscored(part, ScorerError(died))
        return self._scorer(part)


def _unscored(part: Part, problem: ScorerError) -> PartResult:
    return PartResult(part.source, "", int(problem.exit_code), str(problem), False, {}, 0.0)


def _connect(ray: Any, cluster: Cluster) -> None:
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address}
    if not address:
        cores = max(usable_cores(), cluster.workers * (cluster.threads or 1))
        options = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        _check_reachable(address or "")
        on_sigterm = signal.getsignal(signal.SIGTERM)
        with hushed():
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        if threading.current_thread() is threading.main_thread():  # Ray has put its own there, which ends with 15
            signal.signal(signal.SIGTERM, on_sigterm)
    except Exception as error:  # what Ray raises here has no common kind
        where = f"at {address}" if address else "on this machine"
        raise ScorerError(f"no Ray cluster {where}: {_first_line(error)} See `ray status`, and --address.") from error


def _check_reachable(address: str) -> None:
    """Raise `OSError` if nobody is at ``host:port``: Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECTING_SECONDS).close()


def _threads(resources: dict[str, float], cluster: Cluster) -> int:
    """Cores of each worker; raises `UsageError` where the cluster has not what all workers need."""
    cores, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    threads = cluster.threads or max(1, math.floor(cores / cluster.workers))
    if threads * cluster.workers > cores or cluster.gpus * cluster.workers > gpus:
        raise UsageError(
            f"{cluster.workers} workers with {threads} cores and {cluster.gpus:g} GPUs each do not fit into the cluster, "
            f"which has {cores:g} cores and {gpus:g} GPUs; take fewer --workers, --threads or --gpus-per-worker."
        )
    return threads


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."
