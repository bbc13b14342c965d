"""Sessions of onnxruntime that never fall back to another provider, and checks of providers; nothing else calls it."""

import contextlib
import functools
import os
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

# Since 1.29 the wheels report each session to their maker over the network unless this is set before the import, and
# keep a database for it in the user's home. A batch job should contact nobody; users can allow it with 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from scorer.engine import wheel

try:
    import onnxruntime

    _ = onnxruntime.InferenceSession  # missing if an uninstalled wheel left its folder behind
except Exception as error:  # the import can raise any error of its libraries
    raise wheel.broken(error) from error

from scorer.base.errors import BundleError, DeviceLost, OutOfMemory, ProviderError, ScorerError
from scorer.base.extras import install_advice
from scorer.base.shortage import memory_left, out_of_memory, shortage
from scorer.base.timing import Phases
from scorer.engine import gpu as nvidia
from scorer.engine.gpu import Gpu

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

INDEPENDENT_ROWS = ("rows", "independent")
"""Entry in a graph's metadata: on CPU, a row's logits are those of the row alone, whatever rows of its length are beside it.

The writer of a graph sets it only if no kernel in it adds up a row's values in another order beside other rows. ReduceSum
over tokens does, and rounding hides that from most rows.
"""

INDEPENDENT_WITHOUT_WIDE = ("rows", "independent without the wide part")
"""Entry of a graph to which that applies but for its wide part."""

# A graph with an Identity node, one float in and out, to find out whether a provider really starts.
_IDENTITY = (
    b'\x08\x08:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)

# Measured on CPU (docs/PERFORMANCE.md): the kernels of these fusions are slower than the operators that they replace,
# and onnxruntime would fuse them while loading.
_SLOWER_ON_CPU = ["SkipLayerNormFusion", "BiasGeluFusion"]

# CPUs without VNNI add products of 8-bit numbers in pairs with 16-bit saturation, which gives wrong sums. This option
# selects slower, exact products, on every CPU; so it is set only if the fast ones are found to saturate.
_EXACT_INT8 = ("session.x64quantprecision", "1")

# A MatMulInteger of uint8 (8, 64) and int8 (64, 64), to find out whether its sums saturate.
_PRODUCT = (
    b'\x08\x08:\\\n\x18\n\x01x\n\x01w\x12\x01y"\rMatMulInteger\x12\x01gZ\x13\n\x01x\x12\x0e\n\x0c\x08\x02\x12\x08\n'
    b"\x02\x08\x08\n\x02\x08@Z\x13\n\x01w\x12\x0e\n\x0c\x08\x03\x12\x08\n\x02\x08@\n\x02\x08@b\x13\n\x01y\x12\x0e\n"
    b"\x0c\x08\x06\x12\x08\n\x02\x08\x08\n\x02\x08@B\x04\n\x00\x10\r"
)

# Wording of errors of onnxruntime's CUDA provider, whose exception classes do not distinguish them.
_NO_MEMORY = re.compile(
    r"Failed to allocate memory|bad_alloc|out of memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED|DEVICE_ALLOCATION_FAILED"
    r"|is smaller than requested bytes"  # beyond gpu_mem_limit
)
_DEVICE_FAULT = re.compile(r"\b(CUDA|CUBLAS|CUBLASLT|CUDNN|CUDNN_FE|CUFFT) (failure|error)\b|cudaError|CUDA_ERROR")

_LEAST_BYTES = 32 << 20
_NONE: Mapping[str, bytes] = MappingProxyType({})

# Errors reach the caller as exceptions, which onnxruntime's own lines on stderr would only repeat.
onnxruntime.set_default_logger_severity(4)


def onnxruntime_version() -> str:
    return str(onnxruntime.__version__)


def provider_problem(provider: str, gpu: Gpu = Gpu()) -> str | None:
    """Explain why a provider cannot be used here; None if it can.

    A listed provider need not work: onnxruntime-gpu lists CUDA on a machine without a driver. So a session is started.

    Raises:
        OutOfMemory: the limits of this process leave too little for any session.
    """
    left = memory_left()
    if left is not None and left < _LEAST_BYTES:  # onnxruntime may crash when it runs out of memory
        raise out_of_memory(f"a session takes at least {_LEAST_BYTES / 1e6:.0f} MB, and {left / 1e6:.0f} MB are left")
    if PROVIDERS[provider] not in onnxruntime.get_available_providers():
        return (
            f"this onnxruntime {onnxruntime_version()} was built without {provider}; install the wheel onnxruntime-gpu"
        )
    if provider == "cuda" and (problem := nvidia.driver_problem(gpu.device_id)):
        return problem
    missing = list(nvidia.preload_libraries()) if provider == "cuda" else []
    try:
        _open(_IDENTITY, provider, gpu)
    except Exception as error:  # ours, or any error of onnxruntime if CUDA fails before the session exists
        problem = str(error) if isinstance(error, ProviderError) else _not_starting(provider, gpu, _first_line(error))
        missing += [] if nvidia.has_cudnn() else ["cuDNN"]
        return f"{problem}; missing: {', '.join(missing)} ({install_advice('cuda')})" if missing else problem
    return None


def _not_starting(provider: str, gpu: Gpu, why: str = "") -> str:
    problem = f"{PROVIDERS[provider]} does not start on this machine (device {gpu.device_id})"
    return f"{problem}: {why}" if why else problem


def provider_remark(provider: str) -> str | None:
    """Return a warning about a provider that works, but not as well as it could; None if all is well."""
    if provider == "cuda" and not nvidia.has_cudnn():
        return f"cuDNN cannot be loaded, so attention runs on slower kernels ({install_advice('cuda')})"
    return None


def open_session(
    graph: bytes,
    provider: str,
    gpu: Gpu = Gpu(),
    options: onnxruntime.SessionOptions | None = None,
    external: Mapping[str, bytes] = _NONE,
) -> onnxruntime.InferenceSession:
    """Open a session on exactly this provider, from a graph's bytes.

    On CPU it computes with one thread: scorer.engine.row_engine runs one row a thread, which needs no padding and
    scales better.

    Args:
        graph: bytes of an ONNX model.
        provider: ``cpu`` or ``cuda``.
        gpu: GPU to use, and how much of its memory.
        options: changed `session_options`, for instance to profile or to save the optimized graph.
        external: bytes of the files with the graph's external tensors, by file name.

    Raises:
        ProviderError: the provider does not start here.
        BundleError: onnxruntime refuses the graph.
        OutOfMemory, DeviceLost: the device has too little memory for the model, or fails.
    """
    if provider == "cuda":
        nvidia.preload_libraries()
    try:
        return _open(graph, provider, gpu, _with_external(options or session_options(provider), external))
    except ProviderError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class
        if provider != "cpu" and isinstance(
            fault := device_fault(error, f"{provider} device {gpu.device_id}"), ScorerError
        ):
            raise fault from error
        if provider == "cpu" and (short := shortage(error)) is not None:
            raise short from error
        raise BundleError(f"onnxruntime {onnxruntime_version()} refuses the graph: {_first_line(error)}") from error


class Session:
    """Session that raises our own errors.

    Args:
        graph, provider, gpu, external: see `open_session`.

    Attributes:
        place: device that it computes on, as onnxruntime's name and number.
        independent_rows: whether the graph has the entry `INDEPENDENT_ROWS`.
    """

    def __init__(self, graph: bytes, provider: str, gpu: Gpu = Gpu(), external: Mapping[str, bytes] = _NONE) -> None:
        self._session = open_session(graph, provider, gpu, external=external)
        self._device = None if provider == "cpu" else f"{provider} device {gpu.device_id}"
        on_cpu = self._session.get_providers()[0] == PROVIDERS["cpu"]
        key, value = INDEPENDENT_ROWS
        self.independent_rows = self._session.get_modelmeta().custom_metadata_map.get(key) == value
        self.place = ("cpu", 0) if on_cpu else (provider, gpu.device_id)

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the graph as onnxruntime's own session does.

        Raises:
            OutOfMemory: this row, on a GPU this batch, does not fit in memory.
            BundleError: on CPU, the graph cannot be computed.
            DeviceLost: the device or its driver failed, and this process cannot use it any more.
        """
        with self.named_errors():
            return list(self._session.run(output_names, input_feed))

    def run_bound(self, binding: onnxruntime.IOBinding) -> None:
        """Run the graph on inputs and outputs that were bound before; the outputs are written when it returns."""
        with self.named_errors():
            self._session.run_with_iobinding(binding)

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Turn errors of onnxruntime into our own, see `run`."""
        try:
            yield
        except Exception as error:
            raise (device_fault(error, self._device) if self._device else _cpu_fault(error)) from error

    def io_binding(self) -> onnxruntime.IOBinding:
        return self._session.io_binding()


class Lane:
    """Buffers of a session for one thread, reused for every batch: inputs on the device, the output in main memory.

    Args:
        session: session of a classifier; several lanes may share it.
        tokens: largest number of padded tokens in a batch.
        width: logits of a row.
        phases: phases that get the seconds of copying and computing.
    """

    def __init__(self, session: Session, tokens: int, width: int, phases: Phases) -> None:
        self._session = session
        self._width = width
        self._phases = phases
        with session.named_errors():
            self._binding = session.io_binding()
            self._inputs = {
                name: onnxruntime.OrtValue.ortvalue_from_shape_and_type([tokens], np.int64, *session.place)
                for name in ("input_ids", "attention_mask")
            }
        self._ids = np.zeros(tokens, dtype=np.int64)
        self._logits = np.empty(tokens * width, dtype=np.float32)

    def run(self, output_names: list[str] | None, input_feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Compute one output, the logits, as `Session.run` does."""
        (output,) = output_names or ["logits"]
        rows = len(input_feed["input_ids"])
        with self._phases.timed("copy"), self._session.named_errors():
            for name, values in input_feed.items():
                self._ids[: values.size] = values.ravel()
                self._inputs[name].update_inplace(self._ids)
                address = self._inputs[name].data_ptr()
                self._binding.bind_input(name, *self._session.place, np.int64, values.shape, address)
            shape, address = (rows, self._width), self._logits.ctypes.data
            self._binding.bind_output(
                output, "cpu", 0, np.float32, shape, address
            )  # copying it back is a part of the run
        with self._phases.timed("compute"):
            self._session.run_bound(self._binding)
        return [self._logits[: rows * self._width].reshape(shape).copy()]


def _cpu_fault(error: Exception) -> ScorerError:
    if _NO_MEMORY.search(str(error)):  # as onnxruntime words it
        return out_of_memory("a single row cannot be computed")
    return shortage(error) or BundleError(f"onnxruntime cannot compute the graph: {_first_line(error)}")


def device_fault(error: Exception, device: str) -> Exception:
    """Turn an error of onnxruntime about a GPU into our own; return any other error as it is.

    >>> device_fault(RuntimeError("CUDA failure 2: out of memory ; GPU=0"), "cuda device 0")
    OutOfMemory('cuda device 0 is out of memory: the model or a single row does not fit.')
    """
    message = str(error)
    if _NO_MEMORY.search(message):
        return OutOfMemory(f"{device} is out of memory: the model or a single row does not fit.")
    if _DEVICE_FAULT.search(message):
        return DeviceLost(f"{device} failed, and this process cannot use it any more: {_first_line(error)}")
    return error


def _first_line(error: Exception, most: int = 500) -> str:
    """Shorten an error to one line, without onnxruntime's stack and long strings from a graph."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:most]


def session_options(provider: str) -> onnxruntime.SessionOptions:
    """Return the options of a session on this provider, except for its optimizers."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Otherwise bytes that look like onnxruntime's own format would be loaded as such, past our checks.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if provider == "cpu":
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        if int8_saturates():
            options.add_session_config_entry(*_EXACT_INT8)
    return options


@functools.cache
def int8_saturates() -> bool:
    """Return whether this CPU's fast products of 8-bit numbers give wrong sums."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_PRODUCT, options, providers=[PROVIDERS["cpu"]], enable_fallback=0)
    x, w = np.full((8, 64), 255, dtype=np.uint8), np.full((64, 64), 127, dtype=np.int8)
    return bool((session.run(None, {"x": x, "w": w})[0] != 64 * 255 * 127).any())


def _with_external(options: onnxruntime.SessionOptions, files: Mapping[str, bytes]) -> onnxruntime.SessionOptions:
    if files:
        options.add_external_initializers_from_files_in_memory(
            list(files), list(files.values()), [len(data) for data in files.values()]
        )
    return options


def _open(
    graph: bytes, provider: str, gpu: Gpu, options: onnxruntime.SessionOptions | None = None
) -> onnxruntime.InferenceSession:
    options = options or session_options(provider)
    name = PROVIDERS[provider]
    if provider == "cpu":
        session = onnxruntime.InferenceSession(
            graph, options, providers=[name], disabled_optimizers=_SLOWER_ON_CPU, enable_fallback=0
        )
    else:
        providers: list[Any] = [(name, gpu.provider_options())]
        session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    if session.get_providers()[0] != name:
        raise ProviderError(_not_starting(provider, gpu))
    return session
