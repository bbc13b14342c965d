"""`score --check`: what this machine can do, and whether the bundle gives here what it gave where it was made."""

import platform
from pathlib import Path

from scorer import __version__, runtime
from scorer.bundle import TOKENIZER, load_bundle
from scorer.cores import usable_cores
from scorer.model import Scorer, check_golden_rows
from scorer.tokens import Tokenizer

# What onnxruntime's matrix kernels choose by.
_CPU_FEATURES = (
    "avx2",
    "avx512f",
    "avx512bw",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
)


def report(model: str | None, device_id: int, threads: int | None) -> list[str]:
    """The lines of the report.

    Raises:
        BundleError: the bundle cannot be loaded, or a precision that runs here fails its golden rows.
    """
    lines = [
        f"review-scorer {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"onnxruntime {runtime.onnxruntime_version()} ({', '.join(runtime.installed_wheels()) or 'no wheel recorded'})",
    ]
    if len(runtime.installed_wheels()) > 1:
        lines.append(
            "  both wheels are installed and overwrite each other: uninstall both, then install the one you want"
        )
    lines.append(f"cpu features: {' '.join(cpu_features()) or 'unknown'}; usable cores: {usable_cores()}")
    problems = {provider: runtime.provider_problem(provider, device_id) for provider in runtime.PROVIDERS}
    lines += [
        f"provider {name}: {f'not usable: {problem}' if problem else 'usable'}" for name, problem in problems.items()
    ]
    bundle = load_bundle(model)
    manifest = bundle.manifest
    lines += [
        f"bundle {manifest.name}: {bundle.path}",
        f"  id {bundle.id}",
        f"  labels {', '.join(manifest.labels)}; encoder {manifest.encoder.get('name', 'unknown')}, pooling {manifest.pooling}, "
        f"max length {manifest.max_length}; precisions {', '.join(sorted(manifest.precisions))}",
    ]
    tokenizer = Tokenizer(bundle.files[TOKENIZER], manifest.max_length)
    for precision in sorted(manifest.precisions):
        for provider in runtime.PROVIDERS:
            if problems[provider] is None and (provider, precision) != ("cuda", "int8"):
                scorer = Scorer(bundle, provider=provider, precision=precision, device_id=device_id, threads=threads)
                difference = check_golden_rows(bundle, scorer.choice, tokenizer, scorer.engine)
                lines.append(
                    f"  golden rows, {precision} on {provider}: {len(manifest.golden)} checked, "
                    f"biggest difference of a logit {difference:.2g} (tolerance {manifest.precisions[precision].tolerance:.2g})"
                )
    return lines


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Those instruction sets of this CPU that decide which kernels run; empty where the system does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return []
    flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split(":", 1)[1].split()}
    return [feature for feature in _CPU_FEATURES if feature in flags]
