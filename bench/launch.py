"""A command run in a process of its own, with the seconds and the memory that it took."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

# A process inherits the peak memory of the one that started it, so a small one starts the command.
_LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:]).returncode
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


class Launched(NamedTuple):
    """Cost of a command.

    Attributes:
        seconds: seconds from start to exit, start-up included.
        cpu_seconds: seconds of all cores together.
        peak_mb: peak resident memory in MB.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def launch_score(arguments: Sequence[object], allowed: Sequence[int] = (0,)) -> Launched:
    """Run `score` on CPU, with quiet messages.

    Args:
        arguments: arguments of the command.
        allowed: exit codes that are no failure.
    """
    command = [sys.executable, "-m", "scorer", *map(str, arguments), "--provider", "cpu", "-q"]
    done = subprocess.run([sys.executable, "-c", _LAUNCHER, *command], capture_output=True, text=True, check=True)
    code, seconds, cpu, peak = json.loads(done.stdout)
    if code not in allowed:
        raise SystemExit(f"score ended with exit code {code}: {done.stderr}")
    scale = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return Launched(seconds, cpu, peak / scale)
