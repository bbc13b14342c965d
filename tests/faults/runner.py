"""Program that runs `score` with an injected engine, in processes that can be killed, fill the disk or fail in a call.

It reads requests from stdin, a JSON object a line, forks a process for each, and answers with a JSON object. So the
libraries are loaded once, and thousands of runs take minutes. ``--once ARGUMENTS`` is a single run, in the main thread alone
if ONE_THREAD is in the environment.
"""

import errno
import io
import json
import mmap
import os
import resource
import select
import signal
import struct
import sys
import tempfile
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import scorer.rows.parquet_reader
import scorer.rows.parquet_writer
import scorer.run.chunks
import scorer.run.score
import scorer.storage.cache_database
import scorer.storage.cache_file
from scorer.base.signals import install
from scorer.base.timing import Phases
from scorer.cli.program import run_command
from scorer.cli.score import command, main
from scorer.engine.reuse import Reuse
from scorer.engine.row_engine import RowEngine
from scorer.engine.stages import Stages
from scorer.model.choice import Choice
from scorer.model.decision import Decision
from scorer.model.interpretation import SingleLabel
from scorer.model.loaded import LoadedModel
from scorer.model.score_cache import ScoreCache
from scorer.model.tokenizer import Tokens
from scorer.storage.cache_file import CacheFile

# Calls that can fail on request: those that read, write, sync, publish and delete.
CALLS = ("read", "write", "fsync", "replace", "open", "ftruncate", "fchmod", "unlink")


class Injected(LoadedModel):
    """Model that needs no bundle and takes a given time; its scores depend on the text alone."""

    load_seconds = 0.0
    row_seconds = 0.0
    window = 8

    def __init__(self, *arguments, **options):
        settings = options["cache"]
        if settings is not None:
            settings.check()
        time.sleep(self.load_seconds)
        self.bundle_id = self.bundle_path = "injected"
        self.manifest = SimpleNamespace(
            name="injected",
            temperature=1.0,
            task="single_label",
            confidence=None,
            wide=None,
            calibration_by_length=None,
            reference=None,
            reference_of=lambda cascade: None,
        )
        self.labels = ("negative", "positive")
        self.interpretation = SingleLabel(self.labels, decision=options.get("decision", Decision()))
        self.phases = Phases()
        self.choice = Choice("cpu", "fp32", "as requested")
        self.tokenizer, self.unknown_id, self.special_places, self.wide_weights = self, -1, (0, 0), None
        self.engine = RowEngine(self, 2)
        self.cascade, self.has_cascade, self.windows = None, False, None
        self._reuse = Reuse(Stages(self.engine))
        self.chunk_rows = self.journal_rows = self.window
        if settings is not None:
            self.cache = ScoreCache(settings, self._context(), self.interpretation.logit_count, options["report"])

    def encode(self, texts):
        return Tokens(
            [np.frombuffer(text.encode(), np.uint8).astype(np.int64) for text in texts],
            [False] * len(texts),
            [False] * len(texts),
        )

    def run(self, names, feed):
        time.sleep(self.row_seconds)
        return [np.array([[int(feed["input_ids"].sum()) % 97 / 12 - 4]], dtype=np.float32)]


class Immediate(Executor):
    """Executor that does its work in the thread that submits it, so that calls can be counted."""

    def __init__(self, *arguments, **options):
        pass

    def submit(self, function, *arguments):
        done = Future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


class Calls:
    """Counter of the calls on files of a folder; it makes the Nth call fail, or kills the process before or after it.

    Args:
        under: the folder.
        call: one of `CALLS`, or ``any``.
        nth: number of the call, from 1.
        forever: True if all later calls fail as well.
        error: number of the error.
        kill: ``before`` or ``after``, for SIGKILL instead of an error.
        pause: file to create, instead of an error, before the call waits until it is gone.
        counter: shared memory, where the count can be read after the process died.
    """

    def __init__(self, under, call, nth, forever=False, error=errno.EIO, kill=None, pause=None, counter=None):
        self.under, self.call, self.nth, self.forever = under, call, nth, forever
        self.error, self.kill, self.pause, self.counter = error, kill, pause, counter
        self.count = 0

    def install(self):
        self.real = {call: getattr(os, call) for call in CALLS}
        for call in CALLS:
            if call != "read":
                setattr(os, call, lambda *a, call=call, **k: self.around(call, a[0], lambda: self.real[call](*a, **k)))
        scorer.storage.inputs.open = scorer.run.journal.open = self.open

    def around(self, call, target, function):
        if self.call not in (call, "any") or not self.is_ours(target):
            return function()
        self.count += 1
        self.counter[:8] = struct.pack("q", self.count)
        due = self.count == self.nth or (self.forever and self.count > self.nth)
        if due and self.kill == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if due and self.pause is not None:
            Path(self.pause).touch()
            while os.path.exists(self.pause):
                time.sleep(0.001)
            return function()
        if due and self.kill is None:
            raise OSError(self.error, os.strerror(self.error))
        try:
            return function()
        finally:
            if due:
                os.kill(os.getpid(), signal.SIGKILL)

    def is_ours(self, target):
        path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
        return str(path).startswith(self.under)

    def open(self, target, mode, **options):
        """Open a file for reading; each read of its bytes counts as a call."""
        calls = self

        class Raw(io.FileIO):
            def readinto(self, buffer):
                return calls.around("read", target, lambda: super(Raw, self).readinto(buffer))

        return io.BufferedReader(Raw(target, "r", **options))


def set_cache(busy_seconds=None, write_seconds=0):
    """Set how long a cache waits for another process, None for the program's time, and how long it takes to write."""
    if busy_seconds is not None:
        scorer.storage.cache_database._BUSY_SECONDS = float(busy_seconds)
    if write_seconds:
        write = CacheFile._write
        CacheFile._write = lambda *arguments: (time.sleep(write_seconds), write(*arguments))


def child(request, counter):
    """Run a request in the forked process; never return."""
    try:
        for name, seconds in request.get("engine", {}).items():
            setattr(Injected, name, seconds)
        set_cache(**request.get("cache", {}))
        os.dup2(os.open(request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        if "limit" in request:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
        if "fault" in request:
            Calls(**request["fault"], counter=counter).install()
        install()
        os._exit(run_command(command, request["arguments"], name="score", interrupted="nothing was published."))
    finally:
        os._exit(70)


def serve():
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        counter = mmap.mmap(-1, 8)
        start = time.monotonic()
        with tempfile.NamedTemporaryFile() as err:
            request["err"] = err.name
            pid = os.fork() or child(request, counter)
            if "kill_after" in request:
                alive = os.pidfd_open(pid)
                if not select.select([alive], [], [], request["kill_after"])[0]:
                    os.kill(pid, signal.SIGKILL)
                os.close(alive)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            seconds = time.monotonic() - start
            said = err.read().decode()
        calls = struct.unpack("q", counter[:8])[0]
        print(json.dumps({"code": code, "err": said, "seconds": seconds, "calls": calls}), flush=True)


if __name__ == "__main__":
    scorer.run.score.LoadedModel = Injected
    if sys.argv[1:2] == ["--once"]:
        Injected.row_seconds = float(os.environ.get("ROW_SECONDS", "0"))
        set_cache(os.environ.get("BUSY_SECONDS"))
        if "ONE_THREAD" in os.environ:
            scorer.run.chunks.ThreadPoolExecutor = scorer.storage.cache_file.ThreadPoolExecutor = Immediate
        del sys.argv[1]
        main()
    serve()
