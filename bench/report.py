"""Progress, machine and figures of benchmarks."""

import contextlib
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path

_LIBRARIES = (
    "torch", "transformers", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf", "ctranslate2", "onnx", "onnxscript",
    "tokenizers", "numpy",
)  # fmt: skip


def spread(values: list[float]) -> dict[str, float]:
    """Return the median and the range of the figures of some rounds."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def print_message(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def machine() -> dict:
    """Return the CPU, those of its features that kernels use, and the versions of the libraries that are installed."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    flags = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"} & set(info.split())
    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {"cpu": names[0] if names else platform.processor(), "flags": sorted(flags), "versions": versions}
