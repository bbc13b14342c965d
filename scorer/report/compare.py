"""Two outputs of `score` side by side: last night's and tonight's, int8 and fp32, an old bundle's and a new one's."""

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
"""Of differences of scores; the bin in the middle is for what moved by a thousandth or less."""

_MISSING_SHOWN = 5


class Moved(NamedTuple):
    """A row that is in both outputs."""

    before: Scored
    after: Scored

    @property
    def difference(self) -> float:
        """Of the scores, the second less the first."""
        return self.after.score - self.before.score

    @property
    def text(self) -> str | None:
        return self.after.text or self.before.text


@dataclass
class Stages:
    """Stages that decided the rows of which both outputs name it.

    Attributes:
        both: rows by their two stages.
        flips: rows by their two labels, where these differ and the stages do too.
    """

    both: Counter[tuple[str, str]] = field(default_factory=Counter)
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, moved: Moved) -> None:
        """Count a row, if both outputs name its stage."""
        before, after = moved.before, moved.after
        if before.stage is None or after.stage is None:
            return
        self.both[before.stage, after.stage] += 1
        if before.stage != after.stage and before.label != after.label:
            self.flips[before.label, after.label] += 1

    @property
    def rows(self) -> int:
        """Rows of which both outputs name the stage; 0 where one has no such column."""
        return self.both.total()

    @property
    def early(self) -> tuple[int, int]:
        """Rows that the wide part alone decided, in the first output and in the second."""
        before, after = (sum(rows for pair, rows in self.both.items() if pair[at] == STAGES[True]) for at in (0, 1))
        return before, after

    @property
    def changed(self) -> int:
        """Rows that another stage decided in the second output."""
        return sum(rows for (before, after), rows in self.both.items() if before != after)


@dataclass
class Missing:
    """Rows that are in one output only: how many, and the keys of the first few."""

    rows: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.rows += 1
        if len(self.first) < _MISSING_SHOWN:
            self.first.append(key)


@dataclass
class Comparison:
    """What two outputs have in common, and what not.

    Attributes:
        by: what their rows are joined by, ``id`` or ``row``.
        only_before, only_after: in one of them.
        flips: rows by their two labels, where these differ.
        differences: of the scores of each row in both, the second less the first.
        together: scores of the rows in both by bin of the first output (rows) and of the second (columns).
        moved: rows whose scores moved, or whose labels flipped, the farthest first.
        stages: the stages that decided, where both outputs name them.
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
        """In both."""
        return len(self.differences)

    @property
    def flipped(self) -> int:
        return self.flips.total()

    @property
    def scores(self) -> tuple[Histogram, Histogram]:
        """Of the rows in both, of the first output and of the second."""
        before, after = Histogram.empty(SCORE_EDGES), Histogram.empty(SCORE_EDGES)
        for (row, column), rows in self.together.items():
            before.counts[row] += rows
            after.counts[column] += rows
        return before, after

    @cached_property
    def distances(self) -> "Distances":
        """How far scores moved, over the rows in both."""
        moves = np.array(self.differences)
        sizes = np.abs(moves)
        half, most, nearly_all = np.quantile(sizes, (0.5, 0.95, 0.99))
        return Distances(
            float(moves.mean()), float(sizes.mean()), float(half), float(most), float(nearly_all), float(sizes.max())
        )

    def moves(self) -> Histogram:
        """The differences by `MOVE_EDGES`."""
        return Histogram(MOVE_EDGES, np.histogram(np.array(self.differences), MOVE_EDGES)[0].tolist())


class Distances(NamedTuple):
    """Differences of scores: their mean, and of their sizes the mean, three quantiles and the biggest."""

    mean: float
    size: float
    median: float
    percentile_95: float
    percentile_99: float
    biggest: float


def compare(before: str, after: str, *, by: str = "auto", text: str | None = None, most: int = 10) -> Comparison:
    """Join two outputs and count what differs.

    Joined by ``row`` both files are read side by side; joined by ``id`` the first one's ids, labels and scores are in
    memory while the second one is read.

    Args:
        before, after: the outputs: CSV, TSV, JSONL or Parquet, compressed or not.
        by: ``id``, ``row``, or ``auto``: by id where both have one.
        text: a kept column to show with the rows that moved most; None for one that is called like a text column.
        most: so many of these.

    Raises:
        UsageError: a file is not there, or no output of `score`.
        InputError: one of its rows is none, or cannot be told from another; or no row is in both.
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
            # Of rows that moved equally far the first one stays.
            ranked = (abs(moved.difference), -next(order), moved)
            heapq.heappush(farthest, ranked)
            if len(farthest) > most:
                heapq.heappop(farthest)
    if not found.rows:
        raise InputError(
            f"no {by} of {before} is in {after}: there is nothing to compare. Are both the outputs of the same rows?"
        )
    found.moved = [moved for _, _, moved in sorted(farthest, reverse=True)]
    return found


def lines(found: Comparison, before: str, after: str) -> Iterator[str]:
    """A comparison in words.

    Args:
        found: the comparison.
        before, after: the names of what was compared.
    """
    yield f"{found.rows:,} rows in both, by {found.by}"
    for path, missing in ((before, found.only_before), (after, found.only_after)):
        if missing.rows:
            more = ", ..." if missing.rows > len(missing.first) else ""
            yield f"{missing.rows:,} in {path} only: {found.by} {', '.join(missing.first)}{more}"
    yield f"labels: {_flips(found.flips, found.rows)}"
    far, stages = found.distances, found.stages
    yield (
        f"scores: moved by {far.size:.4f} on average (mean {far.mean:+.4f}); half of the rows by {far.median:.4f} or less, "
        f"95% by {far.percentile_95:.4f}, 99% by {far.percentile_99:.4f}, the farthest by {far.biggest:.4f}"
    )
    if stages.rows:
        early = " and ".join(f"{rows:,} ({rows / stages.rows:.2%})" for rows in stages.early)
        yield f"stages: the wide part alone decided {early} of {stages.rows:,} rows"
    if stages.changed:
        yield f"another stage decided {stages.changed:,} rows, with labels: {_flips(stages.flips, stages.changed)}"
    if found.moved:
        yield "moved most:"
    for one in found.moved:
        text = f"  {one.text[:60]}" if one.text else ""
        yield (
            f"  {found.by} {one.after.key}: {one.before.label} {one.before.score:.3f}, {one.after.label} "
            f"{one.after.score:.3f} ({one.difference:+.3f}){text}"
        )


def _flips(flips: Counter[tuple[str, str]], rows: int) -> str:
    """Labels that flipped, in words.

    >>> _flips(Counter({("no", "yes"): 2, ("yes", "no"): 1}), 100)
    '3 flipped (3.00%): 2 no to yes, 1 yes to no'
    """
    each = ", ".join(f"{number:,} {old} to {new}" for (old, new), number in flips.most_common())
    return f"{flips.total():,} flipped ({flips.total() / rows:.2%})" + (f": {each}" if each else "")
