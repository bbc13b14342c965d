"""Progress and figures of benchmarks."""

import statistics
import sys


def spread(values: list[float]) -> dict[str, float]:
    """Return the median and the range of the figures of some rounds."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def print_message(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
