"""Ceilings of a device: the two figures of which all others are a share."""

import statistics
import time

import torch


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
    """Measure the operations per second of a square float16 product of random numbers (float32 on a CPU).

    Args:
        device: ``cuda`` or ``cpu``.
        size: number of rows and columns.
    """
    kind = torch.float16 if device == "cuda" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    return 2 * size**3 / _seconds(device, lambda: a @ b)


def _seconds(device: str, work: object, rounds: int = 11) -> float:
    """Return the median seconds of some rounds, after three that do not count."""
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
    return statistics.median(found)
