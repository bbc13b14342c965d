"""The scorer on different machines: their cores, GPUs and libraries, and what it needs of them."""

import os
import subprocess
import sys

import pytest
from factories import ROOT

from scorer.base.cores import usable_cores
from scorer.base.extras import install_advice
from scorer.base.progress import Progress
from scorer.engine import gpu, runtime
from scorer.engine.cpu_features import cpu_features

# All packages of the extras, and the package that uses them.
EXTRAS = (
    "torch",
    "transformers",
    "datasets",
    "onnx",
    "onnxscript",
    "safetensors",
    "sklearn",
    "scipy",
    "matplotlib",
    "pandas",
    "export",
)

WITHOUT_EXTRAS = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Absent())
import scorer
assert scorer.Scorer.__name__ == "Scorer"
from scorer.cli.score import main
main()
"""


def test_scoring_works_with_the_base_dependencies_alone(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good film"}\n')
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--model", bundle.path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out.csv").read_text().startswith("row,label,score\n1,")


def test_onnxruntime_sends_no_reports(bundle, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good film"}\n')
    (tmp_path / "home").mkdir()
    switches = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")  # either of the first two would stop its reports
    environment = {name: value for name, value in os.environ.items() if name not in switches}
    arguments = ["in.jsonl", "-o", "out.csv", "--model", bundle.path, "--provider", "cpu"]
    subprocess.run(
        [sys.executable, "-m", "scorer", *arguments],
        cwd=tmp_path, env={**environment, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert list((tmp_path / "home").iterdir()) == []  # it would keep its reports there


@pytest.mark.parametrize(
    "arguments", [["-m", "scorer", "--help"], ["-m", "export", "train", "--help"], ["-c", "import scorer"]]
)
def test_help_and_import_load_nothing_heavy(arguments):
    heavy = ("torch", "transformers", "onnxruntime", "tokenizers", "numpy")
    code = "import sys, runpy\nsys.argv = sys.argv[1:]\n"
    if arguments[0] == "-m":
        code += f"try:\n    runpy.run_module({arguments[1]!r}, run_name='__main__')\nexcept SystemExit as end:\n    assert not end.code\n"
    else:
        code += arguments[1] + "\n"
    code += f"loaded = [name for name in {heavy!r} if name in sys.modules]\nassert not loaded, loaded\n"
    run = subprocess.run([sys.executable, "-c", code, "x", *arguments[2:]], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({}, "0::/\n", 8),
        ({"cpu.max": "max 100000"}, "0::/\n", 8),
        ({"cpu.max": "250000 100000"}, "0::/\n", 3),
        ({"cpu.max": "50000 100000"}, "0::/\n", 1),
        ({"a/b/cpu.max": "200000 100000"}, "0::/a/b/c\n", 2),
        ({"a/cpu.max": "100000 100000", "a/b/cpu.max": "200000 100000"}, "0::/a/b\n", 1),
        (
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            "4:memory:/x\n3:cpu,cpuacct:/a\n",
            4,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/a\n", 8),
    ],
)
def test_threads_follow_affinity_and_the_cgroups_quota(tmp_path, monkeypatch, files, membership, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "membership").write_text(membership)
    assert usable_cores(tmp_path, tmp_path / "membership") == cores


def test_cpu_features_are_those_that_choose_kernels(tmp_path):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx2 avx512_vnni sse\nflags\t\t: fpu avx2\n")
    assert cpu_features(tmp_path / "cpuinfo") == ["avx2", "avx512_vnni"]
    assert cpu_features(tmp_path / "none") == []


def test_a_provider_that_onnxruntime_was_built_without_is_named(monkeypatch):
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "was built without cuda; install the wheel onnxruntime-gpu" in str(runtime.provider_problem("cuda"))
    assert runtime.provider_problem("cpu") is None


class Driver:
    """Library of a driver that shows a number of GPUs."""

    def __init__(self, gpus, failure=0):
        self.gpus, self.failure = gpus, failure

    def __call__(self, name):
        return self

    def cuInit(self, flags):  # noqa: N802
        return self.failure

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self.gpus
        return 0


def no_library(name):
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.parametrize(
    ("load", "device", "visible", "problem"),
    [
        (no_library, 0, None, "this machine has no NVIDIA driver (libcuda.so.1 cannot be loaded)"),
        (lambda name: object(), 0, None, "this machine has no NVIDIA driver (libcuda.so.1 cannot be loaded)"),
        (Driver(0, 100), 0, "", "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES is '')"),
        (Driver(0), 0, None, "the NVIDIA driver shows no GPU"),
        (Driver(0, 804), 0, None, "the NVIDIA driver does not start (CUDA error 804): check whether nvidia-smi works"),
        (Driver(1), 1, "3", "device 1 does not exist: the NVIDIA driver shows only 0 (CUDA_VISIBLE_DEVICES is '3')"),
        (Driver(4), 7, None, "device 7 does not exist: the NVIDIA driver shows 0 to 3"),
        (Driver(4), 3, None, None),
    ],
)
def test_a_gpu_that_the_driver_does_not_show_is_named(monkeypatch, load, device, visible, problem):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.driver_problem(device, load) == problem


def test_cuda_libraries_that_are_missing_are_named_and_stdout_stays_clean(monkeypatch, capfd):
    def preload():
        print("Failed to load libcublasLt.so.13: libcublasLt.so.13: cannot open shared object file")

    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(gpu, "driver_problem", lambda device_id: None)
    monkeypatch.setattr(gpu, "has_cudnn", lambda: False)
    monkeypatch.setattr(runtime.onnxruntime, "preload_dlls", preload)
    monkeypatch.setattr(gpu, "preload_libraries", gpu.preload_libraries.__wrapped__)  # as in a new process

    class Fallen:
        def get_providers(self):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(runtime.onnxruntime, "InferenceSession", lambda *a, **k: Fallen())
    assert runtime.provider_problem("cuda") == (
        "CUDAExecutionProvider does not start on this machine (device 0); missing: libcublasLt.so.13, cuDNN "
        f"({install_advice('cuda')})"
    )
    assert capfd.readouterr().out == ""


def test_an_error_of_cuda_at_its_start_is_passed_on(monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError(
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version\nat cuda.cc:1"
        )

    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(gpu, "driver_problem", lambda device_id: None)
    monkeypatch.setattr(gpu, "has_cudnn", lambda: True)
    monkeypatch.setattr(gpu, "preload_libraries", lambda: [])
    monkeypatch.setattr(runtime.onnxruntime, "InferenceSession", fails)
    assert runtime.provider_problem("cuda", gpu.Gpu(1)) == (
        "CUDAExecutionProvider does not start on this machine (device 1): "
        "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"
    )


def test_a_missing_cudnn_is_reported_although_cuda_works(monkeypatch):
    monkeypatch.setattr(gpu, "has_cudnn", lambda: False)
    assert runtime.provider_remark("cuda") == (
        f"cuDNN cannot be loaded, so attention runs on slower kernels ({install_advice('cuda')})"
    )
    assert runtime.provider_remark("cpu") is None
    monkeypatch.setattr(gpu, "has_cudnn", lambda: True)
    assert runtime.provider_remark("cuda") is None


def test_the_cuda_provider_gets_the_gpu_and_its_memory_limit():
    assert gpu.Gpu(2, 8_000_000_000, "next-power-of-two").provider_options() == {
        "device_id": "2",
        "gpu_mem_limit": "8000000000",
        "arena_extend_strategy": "kNextPowerOfTwo",
        "use_tf32": "0",
    }
    assert "gpu_mem_limit" not in gpu.Gpu().provider_options()


def test_progress_in_a_log_is_an_occasional_line(capsys, monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("scorer.base.progress.time.monotonic", lambda: float(next(clock)))
    with Progress("scoring", 100, quiet=False, every=30) as progress:
        for done in (0, 25, 50, 75):
            progress.show(done, f"{done} rows")
    assert capsys.readouterr().err == "scoring: 25%, 1 min 0 s left, 25 rows\nscoring: 75%, 20 s left, 75 rows\n"
    with Progress("scoring", 100, quiet=True, every=0) as progress:
        progress.show(50, "50 rows")
    assert capsys.readouterr().err == ""
