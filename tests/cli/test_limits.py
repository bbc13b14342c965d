"""Exit code 1 and the name of the limit after too few threads or too little memory; no other code, and no signal."""

import os
import resource
import shutil
import subprocess
import sys
import textwrap

import pytest
from factories import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits that Linux has")

# The files of the interpreter may be readable for root only. The right to start processes without a limit is dropped.
AS_ANOTHER = (
    "setpriv", "--clear-groups", "--inh-caps=-all,+dac_override,+dac_read_search",
    "--ambient-caps=-all,+dac_override,+dac_read_search",
)  # fmt: skip

SCORER = """
import sys
from scorer.base.errors import ScorerError
try:
    from scorer import Scorer
    print(Scorer(sys.argv[1], provider="cpu").score(["good film"]).labels)
except ScorerError as error:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def limited(bundle, tmp_path):
    """Run a command with the bundle of the tests, as another user with a limit of threads, or with a limit of bytes."""
    (tmp_path / "in.jsonl").write_text('{"text": "good film"}\n')
    commands = {
        "score": ["-m", "scorer", "in.jsonl", "--model", bundle.path, "--provider", "cpu"],
        "check": ["-m", "scorer", "--check", "--model", bundle.path],
        "python": ["-c", textwrap.dedent(SCORER), bundle.path],
    }

    def run(name, threads=None, memory=None):
        number = 100_000 + os.getpid()  # a user without other processes
        prefix = (
            [*AS_ANOTHER, f"--reuid={number}", f"--regid={number}", "prlimit", f"--nproc={threads}"] if threads else []
        )

        def limit():
            # Libraries start more threads and reserve more memory with more cores.
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
            if memory:
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

        return subprocess.run(
            [*prefix, sys.executable, *commands[name]],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=limit, capture_output=True, text=True, check=False, errors="replace",
        )  # fmt: skip

    return run


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("prlimit"), reason="needs another user"
)
@pytest.mark.parametrize("name", ["score", "check", "python"])
def test_too_few_threads_end_with_1_and_the_limit(limited, name):
    # From the threads of numpy's library, which raises SIGINT without them, to the last thread of all.
    ended = {}
    for threads in range(1 if name != "python" else 2, 40):
        done = limited(name, threads=threads)
        ended[threads] = done.returncode
        if done.returncode == 0:
            break
        assert done.returncode == 1, f"{threads} threads: {done.stderr}"
        assert done.stderr.splitlines()[-1].startswith("Error: out of threads: this process cannot start another one")
        assert f"; RLIMIT_NPROC (ulimit -u) is {threads}" in done.stderr
    assert len(ended) > 3
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["score", "check", "python"])
@pytest.mark.parametrize("megabytes", [160, 200, 220, 240, 260, 280])
def test_too_little_memory_ends_with_1_and_the_limit(limited, name, megabytes):
    done = limited(name, memory=megabytes << 20)
    if done.returncode != 0:
        assert done.returncode == 1, done.stderr
        assert "Error: out of memory: " in done.stderr
        assert f"RLIMIT_AS (ulimit -v) is {(megabytes << 20) / 1e6:.0f} MB" in done.stderr
    assert done.returncode == 1 or megabytes > 200


def test_memory_that_suffices_is_enough(limited):
    for _ in range(3):  # too little memory may show only now and then
        assert limited("score", memory=1 << 30).returncode == 0
