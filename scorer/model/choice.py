"""Provider and precision of a bundle on this machine."""

from dataclasses import dataclass

from scorer.base.errors import ProviderError, UsageError
from scorer.base.text import alternatives
from scorer.engine import gpu as nvidia
from scorer.engine import runtime
from scorer.engine.gpu import Gpu
from scorer.model.manifest import Manifest

_INT8_ON_CPU = "int8 arithmetic runs on cpu only"


@dataclass(frozen=True)
class Choice:
    """The provider and precision that a run uses.

    Attributes:
        provider: ``cpu`` or ``cuda``.
        precision: one of the bundle's own.
        reason: reason for the choice, in words for stderr; empty if it goes without saying.
        remark: problem with the choice, in words for stderr, or None.
    """

    provider: str
    precision: str
    reason: str
    remark: str | None = None


def choose(manifest: Manifest, provider: str, precision: str, gpu: Gpu = Gpu()) -> Choice:
    """Choose provider and precision.

    Args:
        manifest: manifest of the bundle.
        provider: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto`` or one of the bundle's own.
        gpu: device to use if the provider is not the CPU.

    Raises:
        ProviderError: the provider cannot be used here, or the bundle has no precision for it.
        UsageError: there is no such provider, or the bundle has no such precision.
    """
    providers = ("auto", *runtime.PROVIDERS)
    if provider not in providers:
        raise UsageError(f"there is no provider {provider!r}; use {alternatives(providers)}.")
    if precision != "auto" and precision not in manifest.precisions:
        raise UsageError(
            f"the bundle {manifest.name} has no precision {precision!r}; it has: {', '.join(sorted(manifest.precisions))}."
        )
    if (provider, precision) == ("cuda", "int8"):
        # onnxruntime would compute the quantized products on the CPU, with a copy each way in every layer.
        other = manifest.providers.get("cuda")
        advice = f"--precision {other} (or leave it out) with cuda" if other else "a bundle with fp16"
        raise ProviderError(f"{_INT8_ON_CPU}; use {advice}, or --provider cpu.")
    reason = "as requested"
    if provider == "auto":
        provider, reason = _auto_provider(manifest, precision, gpu)
    elif provider == "cuda" and (problem := runtime.provider_problem("cuda", gpu)):
        raise ProviderError(
            f"--provider cuda cannot be used here: {problem}.\nUse --provider cpu, or auto for whichever is available."
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
    """Return CUDA if the bundle has a graph for it and it starts here, otherwise the CPU; with the reason.

    A machine without a GPU needs no reason: in every run there, it would read like a problem.
    """
    if precision == "int8":
        return "cpu", _INT8_ON_CPU
    if precision == "auto" and "cuda" not in manifest.providers:
        return "cpu", f"the bundle {manifest.name} has no graph for cuda" if nvidia.has_device() else ""
    problem = runtime.provider_problem("cuda", gpu)
    if problem is None:
        return "cuda", "a usable GPU was found"
    return "cpu", f"cuda is not usable: {problem}" if nvidia.has_device() else ""
