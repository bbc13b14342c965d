"""One of N parts of the input, for schedulers that start the same command N times."""

import re
from dataclasses import dataclass

from scorer.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` ranges of rows, from 1."""

    index: int
    count: int

    def rows(self, total: int) -> tuple[int, int]:
        """Its first and its last row, from 1; the last is before the first where nothing is left for it.

        The ranges follow each other, hold each row once, and differ by one row at most.

        >>> [Shard(index, 3).rows(10) for index in (1, 2, 3)]
        [(1, 3), (4, 6), (7, 10)]
        """
        return (self.index - 1) * total // self.count + 1, self.index * total // self.count


def parse_shard(given: str) -> Shard:
    """``I/N`` as a shard.

    Raises:
        UsageError: it is none.

    >>> parse_shard("2/8")
    Shard(index=2, count=8)
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", given)
    if match is None:
        raise UsageError(f"--shard takes I/N, as in 1/8 for the first of eight, not {given!r}.")
    shard = Shard(int(match[1]), int(match[2]))
    if not 1 <= shard.index <= shard.count:
        raise UsageError(
            f"--shard {given}: I goes from 1 to N. A scheduler that counts from 0 needs one more: "
            "--shard $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT"
        )
    return shard
