"""Ceilings of a device: the figures of which all others are a share."""

import statistics
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from scorer.engine import runtime

# Operator of a product, types of its factors, and type of its sums.
_PRODUCTS = {
    "int8": ("MatMulInteger", (np.uint8, np.int8), TensorProto.INT32),
    "fp32": ("MatMul", (np.float32, np.float32), TensorProto.FLOAT),
}


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


def product_rate(kind: str, size: int) -> float:
    """Measure the operations per second of onnxruntime's square product with a constant, on one thread of a CPU.

    A constant is packed once, as weights are.

    Args:
        kind: ``int8`` for uint8 times int8, ``fp32`` for float32.
        size: number of rows and columns.
    """
    random = np.random.default_rng(0)
    operator, types, of_sum = _PRODUCTS[kind]
    a, weights = (random.integers(-100, 100, size=(size, size)).astype(one) for one in types)
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "weights"], ["product"])],
        "product",
        [helper.make_tensor_value_info("a", helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)],
        [helper.make_tensor_value_info("product", of_sum, a.shape)],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = runtime.open_session(model.SerializeToString(), "cpu")
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
