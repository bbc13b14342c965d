"""Which GPU to take and how, and what is missing for it: the driver, the device, CUDA's libraries."""

import contextlib
import ctypes
import functools
import io
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

BATCH_TOKENS = 32768
"""Padded tokens of a batch on CUDA, where neither the command line nor the bundle says otherwise."""

ARENA_STRATEGY = "same-as-requested"
"""How onnxruntime's memory on a GPU grows; the other way is ``next-power-of-two``."""

_ARENA_STRATEGIES = {"same-as-requested": "kSameAsRequested", "next-power-of-two": "kNextPowerOfTwo"}

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_CUDNN = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE, of cuInit too


@dataclass(frozen=True)
class Gpu:
    """A GPU, and how much of it.

    Attributes:
        device_id: its number among those that the driver shows (CUDA_VISIBLE_DEVICES counts).
        mem_limit: bytes that onnxruntime's arena may take; None for all there is.
        arena_strategy: how it grows, ``same-as-requested`` or ``next-power-of-two``.
    """

    device_id: int = 0
    mem_limit: int | None = None
    arena_strategy: str = ARENA_STRATEGY

    def provider_options(self) -> dict[str, str]:
        """What onnxruntime's CUDA provider is told."""
        options = {
            "device_id": str(self.device_id),
            "arena_extend_strategy": _ARENA_STRATEGIES[self.arena_strategy],
            # With it products of float32 have ten bits; where float32 was asked for, or the head is, they are wanted whole.
            "use_tf32": "0",
        }
        return options | ({"gpu_mem_limit": str(self.mem_limit)} if self.mem_limit is not None else {})


def are_devices(given: Any) -> bool:
    """Whether these are the numbers of different GPUs.

    >>> are_devices([0, 2]), are_devices([0, 0]), are_devices("01"), are_devices([True])
    (True, False, False, False)
    """
    if not isinstance(given, list | tuple | range):
        return False
    return len(set(given)) == len(given) and all(type(one) is int and 0 <= one < 1 << 16 for one in given)


def driver_problem(device_id: int, load: Any = ctypes.CDLL) -> str | None:
    """Why the driver shows no such GPU, or None if it does.

    Args:
        device_id: which GPU.
        load: opens a library by name.
    """
    try:
        driver = load(_DRIVER)
        failure = int(driver.cuInit(0))
        count = ctypes.c_int()
        failure = failure or int(driver.cuDeviceGetCount(ctypes.byref(count)))
    except (OSError, AttributeError):
        return f"there is no NVIDIA driver on this machine ({_DRIVER} cannot be loaded)"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    if failure == _NO_DEVICE or not (failure or count.value):
        return f"the NVIDIA driver shows no GPU{shown}"
    if failure:
        return f"the NVIDIA driver does not start (CUDA error {failure}): see whether nvidia-smi works"
    if device_id >= count.value:
        last = "only 0" if count.value == 1 else f"0 to {count.value - 1}"
        return f"there is no device {device_id}: the NVIDIA driver shows {last}{shown}"
    return None


@functools.cache
def preload_libraries() -> tuple[str, ...]:
    """Load CUDA's libraries from their wheels or the system. Returns those that cannot be, which onnxruntime prints."""
    import onnxruntime  # scorer.engine.runtime has set it up by now

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        onnxruntime.preload_dlls()
    return tuple(re.findall(r"Failed to load (\S+):", said.getvalue()))


def has_cudnn(load: Any = ctypes.CDLL) -> bool:
    """Whether cuDNN can be loaded. onnxruntime starts without it, but then attention takes slow kernels."""
    try:
        load(_CUDNN)
    except OSError:
        return False
    return True
