"""Samples of rows, and the chance that a changed row is in one."""

import random
from math import floor
from sys import float_info

ROWS = 1000
"""Default size of a sample."""


def draw(rows: range, count: int, seed: int) -> frozenset[int]:
    """Draw row numbers without repetition, each set of them with the same chance; all if there are no more.

    Args:
        rows: row numbers to draw from.
        count: number of rows to draw.
        seed: seed of the draw, so that it can be repeated.
    """
    return frozenset(random.Random(seed).sample(rows, min(count, len(rows))))


def chance_to_miss(rows: int, changed: int, drawn: int) -> float:
    """Return the probability that a sample holds none of some changed rows (hypergeometric); 0 only if it cannot.

    Args:
        rows: number of all rows.
        changed: number of changed rows among them.
        drawn: number of rows in the sample.

    >>> chance_to_miss(4, 1, 1), chance_to_miss(10, 3, 8), round(chance_to_miss(10, 2, 5), 4)
    (0.75, 0.0, 0.2222)
    """
    if drawn > rows - changed:
        return 0.0 if changed else 1.0
    # C(rows - changed, drawn) / C(rows, drawn) is symmetrical in changed and drawn, so the shorter product will do.
    fewer, other = sorted((changed, drawn))
    missed = 1.0
    for number in range(fewer):
        missed *= (rows - other - number) / (rows - number)
    return max(missed, float_info.min)


def shown_chance(missed: float) -> str:
    """Write the probability to find a change for people, never rounded up.

    Args:
        missed: probability to miss it.

    >>> shown_chance(0.36603), shown_chance(0.0000432), shown_chance(1e-30), shown_chance(0.0)
    ('63.3%', '99.995%', 'more than 99.999%', '100%')
    """
    if missed in (0.0, 1.0):
        return f"{1 - missed:.0%}"
    if missed < 0.00001:
        return "more than 99.999%"
    digits = 1 if missed > 0.01 else 3
    return f"{floor((1 - missed) * 100 * 10**digits) / 10**digits:.{digits}f}%"
