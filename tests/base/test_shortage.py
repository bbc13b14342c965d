"""One error for all that libraries raise when threads run out, and one for memory; both name the limit."""

import errno
import resource

import pyarrow as pa
import pytest

from scorer.base import shortage as module
from scorer.base.errors import OutOfMemory, OutOfThreads, ScorerError, UsageError
from scorer.base.shortage import known, memory_left, shortage, stopped_for_threads


class PanicException(BaseException):
    """Stand-in for the tokenizers' own, which cannot be imported."""


@pytest.fixture
def limits(monkeypatch):
    """Set the limits that this process sees, RLIMIT_... to a number; all others are unlimited."""

    def show(**values):
        named = {getattr(resource, name): value for name, value in values.items()}
        monkeypatch.setattr(module.resource, "getrlimit", lambda name: (named.get(name, resource.RLIM_INFINITY),) * 2)
        monkeypatch.setattr(module, "cgroup_folders", lambda: [])

    return show


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("can't start new thread"),
        PanicException(
            "The global thread pool has not been initialized.: ThreadPoolBuildError { kind: IOError(Os { code: 11"
        ),
        RuntimeError("pthread_create failed, error code: 11 error msg: Resource temporarily unavailable"),
    ],
    ids=str,
)
def test_a_thread_that_cannot_be_started_is_out_of_threads(limits, problem):
    limits(RLIMIT_NPROC=12)
    found = shortage(problem)
    assert type(found) is OutOfThreads
    assert str(found).startswith(
        "out of threads: this process cannot start another one; RLIMIT_NPROC (ulimit -u) is 12. Raise the limit, or "
    )


def test_a_containers_process_limit_is_named(limits, tmp_path, monkeypatch):
    limits()
    (tmp_path / "here").mkdir()
    (tmp_path / "pids.max").write_text("max\n")
    (tmp_path / "here" / "pids.max").write_text("30\n")
    monkeypatch.setattr(module, "cgroup_folders", lambda: [tmp_path, tmp_path / "none", tmp_path / "here"])
    assert "; pids.max of its cgroup is 30. " in str(shortage(RuntimeError("can't start new thread")))


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        pa.ArrowMemoryError("malloc of size 640 failed"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc"),
        ImportError("libonnxruntime.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=str,
)
def test_what_cannot_be_allocated_is_out_of_memory(limits, problem):
    limits(RLIMIT_AS=200_000_000)
    found = known(problem)
    assert type(found) is OutOfMemory
    assert str(found).startswith(
        "out of memory: this process cannot get more memory; RLIMIT_AS (ulimit -v) is 200 MB. Raise the limit, or "
    )


def test_other_errors_stay_as_they_are():
    usage = UsageError("--x")
    assert known(usage) is usage
    problem = ValueError("no text")
    problem.add_note("in row 3")
    found = known(problem)
    assert (type(found), str(found), found.__notes__) == (ScorerError, "unexpected ValueError: no text", ["in row 3"])
    assert shortage(OSError(errno.ENOSPC, "No space left on device")) is None


def test_memory_left_is_the_least_that_any_limit_leaves(limits, tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tscore\nVmSize:\t  200 kB\nVmData:\t  50 kB\n")
    limits(RLIMIT_AS=300 << 10, RLIMIT_DATA=100 << 10)
    assert memory_left(status) == 50 << 10
    limits(RLIMIT_AS=220 << 10)
    assert memory_left(status) == 20 << 10
    limits(RLIMIT_AS=100 << 10)
    assert memory_left(status) == 0
    limits()
    assert memory_left(status) is None


def test_a_users_interrupt_during_an_import_stays_an_interrupt(tmp_path, monkeypatch):
    (tmp_path / "interrupted_while_imported.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt) as stopped:
        import interrupted_while_imported  # noqa: F401
    assert not stopped_for_threads(stopped.value)
    monkeypatch.setattr(module.threading.Thread, "start", lambda self: exec("raise RuntimeError"))
    assert stopped_for_threads(stopped.value)
    with pytest.raises(KeyboardInterrupt) as elsewhere:
        raise KeyboardInterrupt
    assert not stopped_for_threads(elsewhere.value)
