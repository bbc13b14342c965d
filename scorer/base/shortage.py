"""Lack of threads or memory: one error that names the limit, for all the errors that libraries raise."""

import errno
import re
import threading
from pathlib import Path
from types import ModuleType

from scorer.base.cores import cgroup_folders
from scorer.base.errors import OutOfMemory, OutOfThreads, ScorerError

resource: ModuleType | None
try:
    import resource  # loaded early: when it is needed, there may be no memory left to load it
except ImportError:  # Windows
    resource = None

_NO_THREAD = re.compile(r"can't start new thread|ThreadPoolBuildError|pthread_create")
_NO_MEMORY = re.compile(r"bad_alloc|failed to map segment|Cannot allocate memory")
_HELD = {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData"}
_OPTIONS = {"RLIMIT_AS": "ulimit -v", "RLIMIT_DATA": "ulimit -d", "RLIMIT_NPROC": "ulimit -u"}


def known(problem: BaseException) -> ScorerError:
    """Return our own error as it is, any other as a `ScorerError` that names the limit or the error, with its notes."""
    if isinstance(problem, ScorerError):
        return problem
    found = shortage(problem) or ScorerError(f"unexpected {type(problem).__name__}: {problem}")
    for note in getattr(problem, "__notes__", []):
        found.add_note(note)
    return found


def shortage(problem: BaseException) -> ScorerError | None:
    """Return `OutOfThreads` or `OutOfMemory` if that is why a library failed, else None.

    >>> shortage(ValueError("no text")) is None, type(shortage(RuntimeError("can't start new thread"))).__name__
    (True, 'OutOfThreads')
    """
    message = str(problem)
    if _NO_THREAD.search(message):
        return out_of_threads()
    without_memory = isinstance(problem, MemoryError) or getattr(problem, "errno", None) == errno.ENOMEM
    if without_memory or _NO_MEMORY.search(message):
        return out_of_memory("this process cannot get more memory")
    return None


def stopped_for_threads(problem: BaseException) -> bool:
    """Return whether a library raised SIGINT while it was imported, as OpenBLAS does if it cannot start its threads."""
    step, importing = problem.__traceback__, False
    while step is not None:
        importing |= step.tb_frame.f_code.co_name == "<module>"
        step = step.tb_next
    if not importing:
        return False
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return True
    return False


def out_of_threads() -> OutOfThreads:
    limits = [*_limit("RLIMIT_NPROC"), *_cgroup_limit(), *_limit("RLIMIT_AS")]
    return OutOfThreads(
        f"out of threads: this process cannot start another one; {', '.join(limits) or 'it has no limit of its own'}. "
        "Raise the limit, or use fewer threads: --threads 1, with OPENBLAS_NUM_THREADS=1 and RAYON_NUM_THREADS=1 in "
        "the environment."
    )


def out_of_memory(problem: str) -> OutOfMemory:
    """Make the error for a lack of memory in this process, as opposed to a device.

    Args:
        problem: clause that states what failed.
    """
    limits = [limit for name in _HELD for limit in _limit(name)]
    return OutOfMemory(
        f"out of memory: {problem}; {', '.join(limits) or 'this process has no limit of its own'}. "
        "Raise the limit, or compute fewer rows at a time: --threads 1."
    )


def memory_left(status: Path = Path("/proc/self/status")) -> int | None:
    """Return the bytes that this process may still allocate within its limits; None if unlimited or unknown."""
    try:
        held = {name: int(size) << 10 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", status.read_text(), re.M)}
    except OSError:
        return None
    limits = [(limit, held.get(field, 0)) for name, field in _HELD.items() if (limit := _value(name)) is not None]
    return min((max(0, limit - size) for limit, size in limits), default=None)


def _limit(name: str) -> list[str]:
    value = _value(name)
    if value is None:
        return []
    shown = str(value) if name == "RLIMIT_NPROC" else f"{value / 1e6:.0f} MB"
    return [f"{name} ({_OPTIONS[name]}) is {shown}"]


def _value(name: str) -> int | None:
    if resource is None:
        return None
    value: int = resource.getrlimit(getattr(resource, name))[0]
    return None if value == resource.RLIM_INFINITY else value


def _cgroup_limit() -> list[str]:
    for folder in cgroup_folders():
        try:
            most = (folder / "pids.max").read_text().strip()
        except OSError:
            continue
        if most != "max":
            return [f"pids.max of its cgroup is {most}"]
    return []
