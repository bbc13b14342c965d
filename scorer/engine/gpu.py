"""Choice and options of a GPU, and checks of its driver, device and CUDA libraries."""

import contextlib
import ctypes
import functools
import glob
import io
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

BATCH_TOKENS = 32768
"""Default of the padded tokens of a batch on CUDA; the command line and the bundle can override it."""

ARENA_STRATEGY = "same-as-requested"
"""Default growth of onnxruntime's memory on a GPU; the alternative is ``next-power-of-two``."""

_ARENA_STRATEGIES = {"same-as-requested": "kSameAsRequested", "next-power-of-two": "kNextPowerOfTwo"}

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_CUDNN = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"
# Files that exist where the system sees an NVIDIA GPU: device nodes, the driver's own, and the GPU of a Windows host (WSL).
_DEVICES = ("/dev/nvidia*", "/proc/driver/nvidia", "/dev/dxg")
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE, which cuInit also returns


@dataclass(frozen=True)
class Gpu:
    """GPU to compute on, and how much of its memory to use.

    Attributes:
        device_id: number among the GPUs that the driver shows, which CUDA_VISIBLE_DEVICES can restrict.
        mem_limit: largest size of onnxruntime's arena, in bytes; None for no limit.
        arena_strategy: growth of the arena, ``same-as-requested`` or ``next-power-of-two``.
    """

    device_id: int = 0
    mem_limit: int | None = None
    arena_strategy: str = ARENA_STRATEGY

    def provider_options(self) -> dict[str, str]:
        """Return the options of onnxruntime's CUDA provider."""
        options = {
            "device_id": str(self.device_id),
            "arena_extend_strategy": _ARENA_STRATEGIES[self.arena_strategy],
            # TF32 would multiply float32 numbers with ten bits of mantissa: too few for fp32, and for the head.
            "use_tf32": "0",
        }
        return options | ({"gpu_mem_limit": str(self.mem_limit)} if self.mem_limit is not None else {})


def has_device() -> bool:
    """Return whether this machine seems to have an NVIDIA GPU, usable or not."""
    return any(map(glob.glob, _DEVICES))


def driver_problem(device_id: int, load: Any = ctypes.CDLL) -> str | None:
    """Explain why the driver does not show a GPU; None if it does.

    Args:
        device_id: number of the GPU.
        load: function that opens a library by name.
    """
    try:
        driver = load(_DRIVER)
        failure = int(driver.cuInit(0))
        count = ctypes.c_int()
        failure = failure or int(driver.cuDeviceGetCount(ctypes.byref(count)))
    except (OSError, AttributeError):
        return f"this machine has no NVIDIA driver ({_DRIVER} cannot be loaded)"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    if failure == _NO_DEVICE or not (failure or count.value):
        return f"the NVIDIA driver shows no GPU{shown}"
    if failure:
        return f"the NVIDIA driver does not start (CUDA error {failure}): check whether nvidia-smi works"
    if device_id >= count.value:
        last = "only 0" if count.value == 1 else f"0 to {count.value - 1}"
        return f"device {device_id} does not exist: the NVIDIA driver shows {last}{shown}"
    return None


@functools.cache
def preload_libraries() -> tuple[str, ...]:
    """Load CUDA's libraries from their wheels or the system; return those that fail, which onnxruntime prints."""
    import onnxruntime  # scorer.engine.runtime has set it up by now

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        onnxruntime.preload_dlls()
    return tuple(re.findall(r"Failed to load (\S+):", printed.getvalue()))


def has_cudnn(load: Any = ctypes.CDLL) -> bool:
    """Return whether cuDNN can be loaded; without it onnxruntime starts, but attention runs on slower kernels."""
    try:
        load(_CUDNN)
    except OSError:
        return False
    return True
