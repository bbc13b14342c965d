"""Progress, machine and figures of benchmarks, and the report in the last line of their output."""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from scorer.base.cores import usable_cores

_LIBRARIES = (
    "torch", "transformers", "onnxruntime", "onnxruntime-gpu", "openvino", "nncf", "ctranslate2", "onnx", "onnxscript",
    "tokenizers", "numpy",
)  # fmt: skip

# A name such as "AMD EPYC" stands for several generations. These fields of /proc/cpuinfo distinguish them.
_NUMBERS = {
    "cpu family": "family",
    "model": "model",
    "stepping": "stepping",
    "CPU implementer": "implementer",
    "CPU part": "part",
}

IDENTITY = ("cpu", *_NUMBERS.values(), "flags", "cores", "gpu")
"""Keys of a machine that must be equal in two runs to compare their rates."""

ORIGIN = ("script", "settings", "machine")
"""Keys of a report that are no figures."""

# Arguments that only choose a folder or a file for what a script writes.
_PLACES = {"output", "picture", "folder", "cache", "cache_dir"}


def spread(values: list[float]) -> dict[str, float]:
    """Return the median and the range of the figures of some rounds."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def print_message(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def print_report(arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Print the machine and, as the last line of a script's output, its report as one JSON object."""
    found = machine()
    print(f"\nMeasured on {cpu_name(found)}; usable cores: {found['cores']}.\n")
    print(json.dumps({**origin(arguments), **figures}))


def origin(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the first keys of a report: the script that runs, its settings and its machine."""
    return {"script": Path(sys.argv[0]).name, "settings": settings(arguments), "machine": machine()}


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that shape the figures, with the names of files and folders alone.

    >>> settings(argparse.Namespace(texts=Path("/home/me/test.parquet"), rounds=3, output=Path("gpu.json")))
    {'texts': 'test.parquet', 'rounds': 3}
    """
    return {name: _without_folders(value) for name, value in vars(arguments).items() if name not in _PLACES}


def _without_folders(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_folders(one) for one in value]
    is_path = isinstance(value, Path) or (isinstance(value, str) and os.sep in value)
    return Path(value).name if is_path else value


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return the CPU, those of its features that kernels use, the usable cores, and the versions of libraries.

    Family, model and stepping are those of the vendor, as far as the system names them.
    """
    info = cpuinfo.read_text() if cpuinfo.exists() else ""
    fields = _fields(info)
    flags = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"} & set(info.split())
    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        **{key: fields[name] for name, key in _NUMBERS.items() if name in fields},
        "flags": sorted(flags),
        "cores": usable_cores(),
        "versions": versions,
    }


def _fields(cpuinfo: str) -> dict[str, str]:
    """Return the fields of the first processor.

    >>> _fields("cpu family : 25\\nmodel : 17\\n\\ncpu family : 26\\n")
    {'cpu family': '25', 'model': '17'}
    """
    lines = cpuinfo.partition("\n\n")[0].splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def cpu_name(found: dict[str, Any]) -> str:
    """Name the CPU of a machine.

    >>> cpu_name({"cpu": "AMD EPYC", "family": "25", "model": "17"})
    'AMD EPYC (family 25, model 17)'
    """
    numbers = ", ".join(f"{key} {found[key]}" for key in _NUMBERS.values() if key in found)
    return f"{found['cpu']} ({numbers})" if numbers else found["cpu"]
