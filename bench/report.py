"""How benchmarks say what they do and what they found."""

import statistics
import sys


def spread(values: list[float]) -> dict[str, float]:
    """What rounds gave: their median, and how far apart they lie."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
