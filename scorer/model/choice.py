"""Provider and precision of a bundle on this machine."""

from dataclasses import dataclass

from scorer.base.errors import ProviderError, UsageError
from scorer.engine import runtime
from scorer.engine.gpu import Gpu
from scorer.model.manifest import Manifest

_INT8_ON_CPU = "int8 arithmetic runs on cpu only"


@dataclass(frozen=True)
class Choice:
    """Which provider and precision were taken, and why, in words for stderr.

    Attributes:
        provider, precision: what is taken.
        reason: why.
        remark: what is not as it should be with it, or None.
    """

    provider: str
    precision: str
    reason: str
    remark: str | None = None


def choose(manifest: Manifest, provider: str, precision: str, gpu: Gpu = Gpu()) -> Choice:
    """Decide provider and precision.

    Args:
        manifest: of the bundle.
        provider: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto`` or one of the bundle's own.
        gpu: the device, where the provider is not the CPU.

    Raises:
        ProviderError: the provider cannot be used here, or the bundle has no precision for it.
        UsageError: the bundle has no such precision.
    """
    if precision != "auto" and precision not in manifest.precisions:
        raise UsageError(
            f"the bundle {manifest.name} has no precision {precision!r}; it has: {', '.join(sorted(manifest.precisions))}."
        )
    if (provider, precision) == ("cuda", "int8"):
        # onnxruntime would take the quantized products back to the CPU, one copy each way a layer.
        other = manifest.providers.get("cuda")
        advice = f"--precision {other} (or none) with cuda" if other else "a bundle with fp16"
        raise ProviderError(f"{_INT8_ON_CPU}; use {advice}, or --provider cpu.")
    reason = "as asked"
    if provider == "auto":
        provider, reason = _auto_provider(manifest, precision, gpu)
    elif provider == "cuda" and (problem := runtime.provider_problem("cuda", gpu)):
        raise ProviderError(
            f"--provider cuda cannot be used here: {problem}.\nUse --provider cpu, or auto to take what there is."
        )
    if precision == "auto":
        if provider not in manifest.providers:
            raise ProviderError(
                f"the bundle {manifest.name} has no precision for {provider}; it has: {', '.join(sorted(manifest.precisions))}. "
                f"Train or export one, or use --provider {next(iter(sorted(manifest.providers)), 'cpu')}."
            )
        precision = manifest.providers[provider]
    return Choice(provider, precision, reason, runtime.provider_remark(provider))


def _auto_provider(manifest: Manifest, precision: str, gpu: Gpu) -> tuple[str, str]:
    """CUDA if the bundle has a graph for it and it starts here, else CPU; with the reason."""
    if precision == "int8":
        return "cpu", _INT8_ON_CPU
    if precision == "auto" and "cuda" not in manifest.providers:
        return "cpu", f"the bundle {manifest.name} has no graph for cuda"
    problem = runtime.provider_problem("cuda", gpu)
    return ("cpu", f"cuda is not usable: {problem}") if problem else ("cuda", "a usable GPU is there")
