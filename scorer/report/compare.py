"""Comparisons of two outputs of `score`: of last night and tonight, int8 and fp32, an old bundle and a new one."""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import NamedTuple

import numpy as np

from scorer.base.errors import InputError
from scorer.model.reference import SCORE_EDGES, Histogram, bin_of
from scorer.report.scored_file import ROW, Output, Scored, by_id, by_row
from scorer.rows.columns import ID
from scorer.rows.record import STAGES

MOVE_EDGES = (-1, -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, -0.001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
"""Bin edges for differences of scores; the middle bin is for rows that moved by at most a thousandth."""

_MISSING_SHOWN = 5


class Moved(NamedTuple):
    """Row that is in both outputs."""

    before: Scored
    after: Scored

    @property
    def difference(self) -> float:
        """Second score minus the first."""
        return self.after.score - self.before.score

    @property
    def text(self) -> str | None:
        return self.after.text or self.before.text


@dataclass
class Stages:
    """Stages that decided each row, for rows whose stage both outputs name.

    Attributes:
        both: number of rows by their two stages.
        flips: number of rows by their two labels, for rows where both labels and stages differ.
    """

    both: Counter[tuple[str, str]] = field(default_factory=Counter)
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, moved: Moved) -> None:
        """Count a row if both outputs name its stage."""
        before, after = moved.before, moved.after
        if before.stage is None or after.stage is None:
            return
        self.both[before.stage, after.stage] += 1
        if before.stage != after.stage and before.label != after.label:
            self.flips[before.label, after.label] += 1

    @property
    def rows(self) -> int:
        """Number of rows whose stage both outputs name; 0 if one of them has no such column."""
        return self.both.total()

    @property
    def early(self) -> tuple[int, int]:
        """Number of rows that the wide part alone decided, in the first output and in the second."""
        before, after = (sum(rows for pair, rows in self.both.items() if pair[at] == STAGES[True]) for at in (0, 1))
        return before, after

    @property
    def changed(self) -> int:
        """Number of rows that a different stage decided in the second output."""
        return sum(rows for (before, after), rows in self.both.items() if before != after)


@dataclass
class Missing:
    """Rows that are in one output only: their number, and the keys of the first few."""

    rows: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.rows += 1
        if len(self.first) < _MISSING_SHOWN:
            self.first.append(key)


@dataclass
class Comparison:
    """Result of a comparison of two outputs.

    Attributes:
        by: key that joins their rows, ``id`` or ``row``.
        only_before, only_after: rows that are only in the first output, and only in the second.
        flips: number of rows by their two labels, for rows whose labels differ.
        differences: second score minus the first, for each row in both outputs.
        together: number of rows in both outputs by the bin of their first score and the bin of their second.
        moved: rows whose scores moved or whose labels flipped, the largest moves first.
        stages: stages that decided the rows, where both outputs name them.
    """

    by: str
    only_before: Missing = field(default_factory=Missing)
    only_after: Missing = field(default_factory=Missing)
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: "array[float]" = field(default_factory=lambda: array("d"))
    together: Counter[tuple[int, int]] = field(default_factory=Counter)
    moved: list[Moved] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)

    @property
    def rows(self) -> int:
        """Number of rows in both outputs."""
        return len(self.differences)

    @property
    def flipped(self) -> int:
        return self.flips.total()

    @property
    def scores(self) -> tuple[Histogram, Histogram]:
        """Histograms of the scores of rows in both outputs: the first output's and the second's."""
        before, after = Histogram.empty(SCORE_EDGES), Histogram.empty(SCORE_EDGES)
        for (row, column), rows in self.together.items():
            before.counts[row] += rows
            after.counts[column] += rows
        return before, after

    @cached_property
    def distances(self) -> "Distances":
        """Differences of scores over the rows in both outputs, summarized."""
        moves = np.array(self.differences)
        sizes = np.abs(moves)
        half, most, nearly_all = np.quantile(sizes, (0.5, 0.95, 0.99))
        return Distances(
            float(moves.mean()), float(sizes.mean()), float(half), float(most), float(nearly_all), float(sizes.max())
        )

    def moves(self) -> Histogram:
        """Return a histogram of the differences, by `MOVE_EDGES`."""
        return Histogram(MOVE_EDGES, np.histogram(np.array(self.differences), MOVE_EDGES)[0].tolist())


class Distances(NamedTuple):
    """Differences of scores: the mean, then the mean, three quantiles and the maximum of their absolute values."""

    mean: float
    size: float
    median: float
    percentile_95: float
    percentile_99: float
    biggest: float


def compare(before: str, after: str, *, by: str = "auto", text: str | None = None, most: int = 10) -> Comparison:
    """Join two outputs and count their differences.

    Files joined by ``row`` are read side by side. With ``id``, the ids, labels and scores of the first file are held in
    memory while the second is read.

    Args:
        before, after: names of the outputs: CSV, TSV, JSONL or Parquet, compressed or not.
        by: ``id``, ``row``, or ``auto`` for the id if both outputs have one.
        text: name of a kept column to show with the rows that moved most; None for one named like a text column.
        most: largest number of these rows.

    Raises:
        UsageError: a file is missing, or is not an output of `score`.
        InputError: a row is invalid, its key is ambiguous, or no row is in both outputs.
    """
    outputs = [Output(path, text) for path in (before, after)]
    if by == "auto":
        by = ID if all(output.has_ids for output in outputs) else ROW
    found = Comparison(by)
    first, second = (output.rows(by) for output in outputs)
    farthest: list[tuple[float, int, Moved]] = []
    order = count()
    for one, other in by_id(first, second, (before, after)) if by == ID else by_row(first, second):
        if one is None or other is None:
            missing = found.only_before if one is not None else found.only_after
            missing.add((one or other).key)  # type: ignore[union-attr]
            continue
        moved = Moved(one, other)
        found.differences.append(moved.difference)
        found.stages.add(moved)
        found.together[bin_of(SCORE_EDGES, one.score), bin_of(SCORE_EDGES, other.score)] += 1
        if one.label != other.label:
            found.flips[one.label, other.label] += 1
        if moved.difference or one.label != other.label:
            # Among rows that moved equally far, the first one wins.
            ranked = (abs(moved.difference), -next(order), moved)
            heapq.heappush(farthest, ranked)
            if len(farthest) > most:
                heapq.heappop(farthest)
    if not found.rows:
        raise InputError(
            f"no {by} of {before} is in {after}, so there is nothing to compare. Are both outputs of the same rows?"
        )
    found.moved = [moved for _, _, moved in sorted(farthest, reverse=True)]
    return found


def lines(found: Comparison, before: str, after: str) -> Iterator[str]:
    """Yield the lines that describe a comparison.

    Args:
        found: result of the comparison.
        before, after: names of the two outputs.
    """
    yield f"{found.rows:,} rows in both, joined by {found.by}"
    for path, missing in ((before, found.only_before), (after, found.only_after)):
        if missing.rows:
            more = ", ..." if missing.rows > len(missing.first) else ""
            yield f"{missing.rows:,} only in {path}: {found.by} {', '.join(missing.first)}{more}"
    yield f"labels: {_flips(found.flips, found.rows)}"
    far, stages = found.distances, found.stages
    yield (
        f"scores: moved by {far.size:.4f} on average (signed mean {far.mean:+.4f}); 50% of the rows by at most "
        f"{far.median:.4f}, 95% by {far.percentile_95:.4f}, 99% by {far.percentile_99:.4f}, all by {far.biggest:.4f}"
    )
    if stages.rows:
        early = " and ".join(f"{rows:,} ({rows / stages.rows:.2%})" for rows in stages.early)
        yield f"stages: the wide part alone decided {early} of {stages.rows:,} rows"
    if stages.changed:
        yield f"a different stage decided {stages.changed:,} rows, with labels: {_flips(stages.flips, stages.changed)}"
    if found.moved:
        yield "largest moves:"
    for one in found.moved:
        text = f"  {one.text[:60]}" if one.text else ""
        yield (
            f"  {found.by} {one.after.key}: {one.before.label} {one.before.score:.3f}, {one.after.label} "
            f"{one.after.score:.3f} ({one.difference:+.3f}){text}"
        )


def _flips(flips: Counter[tuple[str, str]], rows: int) -> str:
    """Describe the labels that flipped.

    >>> _flips(Counter({("no", "yes"): 2, ("yes", "no"): 1}), 100)
    '3 flipped (3.00%): 2 no to yes, 1 yes to no'
    """
    each = ", ".join(f"{number:,} {old} to {new}" for (old, new), number in flips.most_common())
    return f"{flips.total():,} flipped ({flips.total() / rows:.2%})" + (f": {each}" if each else "")
