"""Ceilings of a device: the figures of which all others are a share."""

import statistics
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from scorer.engine import runtime


def copy_rate(device: str, size: int) -> float:
    """Measure the bytes per second that a copy within the device's memory reads and writes.

    Args:
        device: ``cuda`` or ``cpu``.
        size: number of bytes to copy, many times the size of the caches.
    """
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _seconds(device, lambda: target.copy_(source))


def matmul_rate(device: str, size: int) -> float:
    """Measure the operations per second of a square float16 product of random numbers.

    On a CPU it is one of float32, on as many threads as PyTorch is set to.

    Args:
        device: ``cuda`` or ``cpu``.
        size: number of rows and columns.
    """
    kind = torch.float16 if device == "cuda" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    return 2 * size**3 / _seconds(device, lambda: a @ b)


def int8_matmul_rate(size: int) -> float:
    """Measure the operations per second of onnxruntime's square product of uint8 and int8, on one thread of a CPU.

    The second factor is a constant, as weights are, so onnxruntime packs it once.

    Args:
        size: number of rows and columns.
    """
    random = np.random.default_rng(0)
    weights = random.integers(-128, 128, size=(size, size), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "weights"], ["product"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [size, size])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.open_session(model.SerializeToString(), "cpu")
    a = random.integers(0, 256, size=(size, size), dtype=np.uint8)
    return 2 * size**3 / _seconds("cpu", lambda: session.run(None, {"a": a}))


def _seconds(device: str, work: object, rounds: int = 11) -> float:
    """Return the median seconds of some rounds, on a CPU the least ones, after three that do not count.

    Other work on a CPU only adds to the seconds of a round.
    """
    found = []
    for number in range(rounds + 3):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()  # type: ignore[operator]
        if device == "cuda":
            torch.cuda.synchronize()
        if number >= 3:
            found.append(time.perf_counter() - start)
    return statistics.median(found) if device == "cuda" else min(found)
