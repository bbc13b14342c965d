"""Part files on a Ray cluster: Ray Data gives them to actors, each of which has its own `Scorer`."""

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
from scorer.base.messages import silenced
from scorer.base.text import first_line
from scorer.cluster.part_scorer import PartResult, PartScorer
from scorer.cluster.parts import Part
from scorer.model.bundle import Bundle
from scorer.run.options import ScoreOptions

_CONNECTING_SECONDS = 10
# Attempts at a part before it fails: nodes disappear, and some parts kill their worker every time.
_TRIES = 4
# Enough for names and results of parts; a local cluster would otherwise take a third of the memory.
_OBJECT_STORE_BYTES = 256 << 20


@dataclass(frozen=True)
class Cluster:
    """Cluster and its workers.

    Attributes:
        workers: number of actors.
        threads: CPU cores of each; None for an equal share of all cores.
        gpus: GPUs of each; with 0.5, two workers share one.
        address: address of a running cluster; None for that in RAY_ADDRESS or, without one, a new local cluster.
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
    """Score parts in the given order, and yield each result as it arrives.

    Args:
        parts: parts to score, the largest first.
        options: options of `score`.
        bundle: loaded bundle.
        cluster: cluster and its workers.
        begin: function called once the cluster has room for the workers, before they start.

    Raises:
        UsageError: Ray is not installed, or the cluster is too small for the workers.
        ScorerError: the cluster cannot be reached, or fails as a whole.
    """
    # Nothing about a run leaves the machines that it runs on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's core logs its internal affairs to our stderr; whatever ends a run comes as an exception.
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
        raise ScorerError(f"the Ray cluster failed: {_sentence(error)}") from error
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()


class _Settings(NamedTuple):
    """Settings that every worker needs.

    Attributes:
        parts: all parts of the run.
        options, bundle: options and bundle, as for `PartScorer`.
        current: folder that relative names start from.
    """

    parts: Sequence[Part]
    options: ScoreOptions
    bundle: Bundle
    current: str


class _Head:
    """Actor that outlives the workers, gives each its settings, and counts the attempts at each part."""

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings
        self._begun: Counter[int] = Counter()

    def settings(self) -> _Settings:
        return self._settings

    def begin(self, part: int) -> int:
        """Count an attempt at a part, and return the number of attempts so far."""
        self._begun[part] += 1
        return self._begun[part]


class _Worker:
    """Actor with a `Scorer`; if it dies, Ray starts another one, which scores the part again."""

    def __init__(self, head: Any) -> None:
        import ray

        self._begin = lambda part: ray.get(head.begin.remote(part))
        settings: _Settings = ray.get(head.settings.remote())
        self._parts = settings.parts
        self._scorer: PartScorer | None = None
        self._problem: ScorerError | None = None
        with contextlib.suppress(OSError):  # another machine may lack it, and absolute names work without
            os.chdir(settings.current)
        try:
            self._scorer = PartScorer(settings.options.output, settings.options, settings.bundle)
        except ScorerError as problem:
            self._problem = problem  # if it were raised here, Ray would try again, as after a fault of its own

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        return {"result": [json.dumps(vars(self._score(int(part)))) for part in batch["part"]]}

    def _score(self, number: int) -> PartResult:
        part = self._parts[number]
        if self._scorer is None:
            assert self._problem is not None
            return _unscored(part, self._problem)
        if self._begin(number) > _TRIES:
            died = (
                f"its worker died {_TRIES} times: it ran out of memory, or a library aborted on the file's content. "
                f"Run `score {part.source}` alone: exit code 137 means out of memory, 134 an abort."
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
        with silenced():
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        if threading.current_thread() is threading.main_thread():  # Ray's own handler exits with code 15
            signal.signal(signal.SIGTERM, on_sigterm)
    except Exception as error:  # Ray's errors here have no common class
        where = f"at {address}" if address else "on this machine"
        raise ScorerError(f"no Ray cluster {where}: {_sentence(error)} Check `ray status` and --address.") from error


def _check_reachable(address: str) -> None:
    """Raise `OSError` if nothing listens at ``host:port``, as Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECTING_SECONDS).close()


def _threads(resources: dict[str, float], cluster: Cluster) -> int:
    """Return the cores of each worker, or raise `UsageError` if the cluster is too small for all of them."""
    cores, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    threads = cluster.threads or max(1, math.floor(cores / cluster.workers))
    if threads * cluster.workers > cores or cluster.gpus * cluster.workers > gpus:
        raise UsageError(
            f"{cluster.workers} workers with {threads} cores and {cluster.gpus:g} GPUs each do not fit into the cluster, "
            f"which has {cores:g} cores and {gpus:g} GPUs; lower --workers, --threads or --gpus-per-worker."
        )
    return threads


def _sentence(error: Exception) -> str:
    return first_line(error).rstrip(".") + "."
