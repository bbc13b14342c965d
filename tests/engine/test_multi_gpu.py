"""--devices: one process for each device, with the CPU as every device."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from devicespecs import BatchesOnCpu, Failing
from factories import MAX_LENGTH, ROOT, reviews

from scorer.base.errors import DeviceLost, OutOfMemory, UsageError
from scorer.base.timing import Phases
from scorer.engine import runtime
from scorer.engine.batches import Lengths
from scorer.engine.gpu import Gpu
from scorer.engine.multi_gpu import DeviceEngine, DeviceWorker
from scorer.engine.row_engine import RowEngine
from scorer.model.loaded import LoadedModel

TEXTS = reviews(300, 2, 5).texts


@pytest.fixture
def source(tmp_path):
    texts = [text if row % 9 else "" for row, text in enumerate(TEXTS)]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture(scope="module")
def rows(bundle):
    return LoadedModel(bundle, provider="cpu").tokenizer.encode(TEXTS).ids


def batches_on_cpu(bundle, **changed):
    spec = BatchesOnCpu(
        bundle.graph("fp16"), bundle.external("fp16"), "cuda", Gpu(), 1, 200, Lengths(MAX_LENGTH), 1
    )  # fmt: skip
    return replace(spec, **changed)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("devices", ["0,1", "4,0,2"])
def test_several_processes_write_the_bytes_of_one(score, source, tmp_path, small_chunks, devices):
    assert score(source, "-o", tmp_path / "one.csv", "--details").code == 3
    found = score(source, "-o", tmp_path / "several.csv", "--details", "--devices", devices)
    assert found.code == 3, found.err
    assert (tmp_path / "several.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    names = ("several.csv.rejects.jsonl", "one.csv.rejects.jsonl")
    assert len({(tmp_path / name).read_bytes() for name in names}) == 1
    assert "Rows computed by each device: device " in found.err


def test_the_class_takes_devices(bundle):
    one, two = LoadedModel(bundle, provider="cpu"), LoadedModel(bundle, provider="cpu", devices=[0, 1])
    assert (one.submit_texts(TEXTS).result().logits == two.submit_texts(TEXTS).result().logits).all()
    assert two.golden_difference == one.golden_difference
    assert isinstance(two.engine, DeviceEngine)
    assert two.phases.seconds["compute"] > 0
    assert LoadedModel(bundle, provider="cpu", devices=[1]).engine.__class__ is RowEngine  # one needs no process


def test_batches_of_several_devices_are_those_of_one(bundle, rows):
    session = runtime.Session(bundle.graph("fp16"), "cpu", external=bundle.external("fp16"))
    expected = RowEngine(session, 1).logits(rows)
    one = batches_on_cpu(bundle).open(Phases())
    one.warm_up(7)
    alone = one.logits(rows)
    phases = Phases()
    engine = DeviceEngine(batches_on_cpu(bundle), [0, 1], phases)
    engine.warm_up(7)
    found = engine.logits(rows)
    assert (found == alone).all()
    np.testing.assert_allclose(found, expected, atol=2e-2)
    assert engine.padding == one.padding
    assert sum(worker.rows for worker in engine.workers) == len(rows)
    assert all(worker.rows for worker in engine.workers)
    assert phases.seconds["compute"] > 0
    assert engine.logits([]).shape[0] == 0


def test_batches_of_a_device_that_runs_out_of_memory_are_cut_smaller(bundle, rows):
    engine = DeviceEngine(batches_on_cpu(bundle, most_rows=4), [0, 1], Phases())
    expected = batches_on_cpu(bundle).open(Phases()).logits(rows)
    np.testing.assert_allclose(engine.logits(rows), expected, atol=2e-2)
    assert engine.batch_tokens < 200
    nothing = DeviceEngine(batches_on_cpu(bundle, most_rows=0), [0, 1], Phases())
    assert np.isnan(nothing.logits(rows[:3])).all()


def test_an_error_in_a_process_is_raised_with_the_name_of_its_device(bundle):
    spec = Failing(**{name: getattr(batches_on_cpu(bundle), name) for name in Failing.__dataclass_fields__})
    with pytest.raises(OutOfMemory, match="no memory for the model") as raised:
        DeviceEngine(spec, [3, 5], Phases())
    assert raised.value.__notes__ == ["The error occurred on device 3."]


def test_a_killed_process_ends_the_run_which_can_be_resumed(score, source, tmp_path, small_chunks, monkeypatch):
    assert score(source, "-o", tmp_path / "whole.csv").code == 3
    submit, calls = DeviceEngine.submit, []

    def killing(engine, rows):
        calls.append(rows)
        if len(calls) == 8:
            engine.workers[1]._process.kill()
            engine.workers[1]._process.wait()
        return submit(engine, rows)

    command = (source, "-o", tmp_path / "out.csv", "--devices", "0,1")
    with monkeypatch.context() as patched:
        patched.setattr(DeviceEngine, "submit", killing)
        failed = score(*command)
    assert failed.code == 1
    assert "Error: the process that computes on device 1 (the cpu) was killed by SIGKILL.\n" in failed.err
    assert "rows are done and kept. The same command resumes at row" in failed.err
    assert not (tmp_path / "out.csv").exists()
    again = score(*command)
    assert "Resuming at row" in again.err
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_processes_end_with_the_one_that_started_them(bundle, tmp_path, number):
    """Signal the whole group, as Ctrl-C does."""
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')
    os.mkfifo(tmp_path / "fifo")
    run = subprocess.Popen(
        [sys.executable, "-m", "scorer", "fifo", "--input-format", "jsonl", "--devices", "0,1", "-o", "out.csv"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCORE_MODEL": str(bundle.path), "SCORE_PROVIDER": "cpu"},
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Tests that run in the background ignore SIGINT, which the process would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        with open(tmp_path / "fifo", "wb"):  # both processes exist by the time that it reads
            end = time.monotonic() + 60
            while len(workers := children(run.pid)) < 2 and time.monotonic() < end:
                time.sleep(0.05)
            os.killpg(run.pid, number)
            code = run.wait(20)
    finally:
        run.kill()
        run.communicate()
    assert code == (128 + number if number != signal.SIGKILL else -number)
    assert len(workers) == 2
    while (left := [pid for pid in workers if Path(f"/proc/{pid}").exists()]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_ignores_signals_from_its_very_start(bundle, rows, number):
    spec = batches_on_cpu(bundle)
    worker = DeviceWorker(spec, 0, Phases())
    for seconds in (0.01, 0.1, 1):  # while it starts, imports, waits
        os.kill(worker._process.pid, number)
        time.sleep(seconds)
    worker.begin_to_open(spec)
    worker.wait_until_open()
    os.kill(worker._process.pid, number)
    assert (worker.logits(rows[:3]) == spec.open(Phases()).logits(rows[:3])).all()


_FAILS_ON_TWO = """
import sys
sys.path.insert(0, sys.argv[1])  # like a program whose modules are elsewhere
from devicespecs import Failing
from scorer.base.errors import OutOfMemory
from scorer.base.timing import Phases
from scorer.engine.batches import Lengths
from scorer.engine.gpu import Gpu
from scorer.engine.multi_gpu import DeviceEngine

try:
    DeviceEngine(Failing(b"", {}, "cpu", Gpu(), 2, 1, Lengths(8), 1), [0, 1], Phases())
except OutOfMemory as error:
    print(error)
"""


@pytest.mark.parametrize("current", ["is not searched", "is searched"])
def test_a_process_finds_the_modules_of_the_one_that_started_it_and_no_others(tmp_path, current):
    modules, program = ROOT / "tests" / "engine", tmp_path / "program.py"
    (tmp_path / "current").mkdir()
    if current == "is searched":
        shutil.copy(modules / "devicespecs.py", tmp_path / "current")
        command = ["-c", _FAILS_ON_TWO, ""]
    else:
        (tmp_path / "current" / "devicespecs.py").write_text("raise SystemExit('of the current folder')")
        program.write_text(_FAILS_ON_TWO)
        command = [program, modules]
    found = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path / "current",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (found.stdout, found.stderr) == ("the device has no memory for the model.\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices", "0,0"], "--devices takes the numbers of different GPUs, as in 0,1 for the first two, not '0,0'"),
        (["--devices", "gpu"], "not 'gpu'"),
        (["--devices", "-1,0"], "not '-1,0'"),
        (["--devices", "0,1", "--device-id", "1"], "--devices and --device-id both choose the GPU"),
    ],
)
def test_invalid_lists_of_devices_are_refused(score, source, arguments, message):
    found = score(source, *arguments)
    assert found.code == 2
    assert message in found.err


@pytest.mark.parametrize("devices", ["0,1", [0, 0], [-1], ["a"], [True], 3])
def test_the_class_refuses_invalid_lists_of_devices(bundle, devices):
    with pytest.raises(UsageError, match="devices takes a list of the numbers of different GPUs"):
        LoadedModel(bundle, provider="cpu", devices=devices)


def test_the_check_looks_at_each_device(score):
    found = score("--check", "--devices", "0,1")
    assert "provider cuda, device 0: " in found.out
    assert "provider cuda, device 1: " in found.out


def test_a_dead_process_is_named(bundle, rows):
    engine = DeviceEngine(batches_on_cpu(bundle), [0, 1], Phases())
    engine.workers[1]._process.kill()
    with pytest.raises(DeviceLost, match=r"the process that computes on device 1 was killed by SIGKILL\."):
        engine.logits(rows)
