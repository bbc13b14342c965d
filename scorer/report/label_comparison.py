"""Comparison of two outputs with one label a row: labels that flipped, scores that moved."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from scorer.model.reference import SCORE_EDGES, bin_of
from scorer.report.comparison import Moved, ProbabilityComparison, four_decimals
from scorer.report.scored_file import Scored
from scorer.rows.record import STAGES


@dataclass
class Stages:
    """Stages that decided each row, for rows whose stage both outputs name.

    Attributes:
        both: number of rows by their two stages.
        flips: number of rows by their two labels, for rows where both labels and stages differ.
    """

    both: Counter[tuple[str, str]] = field(default_factory=Counter)
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, before: Scored, after: Scored) -> None:
        """Count a row if both outputs name its stage."""
        if before.stage is None or after.stage is None:
            return
        self.both[before.stage, after.stage] += 1
        if before.stage != after.stage and before.label != after.label:
            self.flips[str(before.label), str(after.label)] += 1

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


class LabelComparison(ProbabilityComparison):
    """Comparison of outputs with one label a row, whose only value is its score.

    Args:
        by: key that joins their rows.
        most: largest number of rows that moved most to keep.

    Attributes:
        flips: number of rows by their two labels, for rows whose labels differ.
        stages: stages that decided the rows, where both outputs name them.
    """

    flips_are = "of the labels flipped"

    def __init__(self, by: str, most: int) -> None:
        super().__init__(by, most)
        self.flips: Counter[tuple[str, str]] = Counter()
        self.stages = Stages()

    def add(self, before: Scored, after: Scored) -> None:
        moved = Moved(before, after, after.score - before.score)
        self.rows += 1
        self.differences.append(moved.difference)
        self.stages.add(before, after)
        self.together[bin_of(SCORE_EDGES, before.score), bin_of(SCORE_EDGES, after.score)] += 1
        if before.label != after.label:
            self.flips[str(before.label), str(after.label)] += 1
        self.keep(moved, flipped=before.label != after.label)

    @property
    def flipped(self) -> int:
        return self.flips.total()

    def lines(self) -> Iterator[str]:
        far, stages = self.distances, self.stages
        yield f"labels: {_flips(self.flips, self.rows)}"
        yield f"scores: {far.words(four_decimals)}"
        if stages.rows:
            early = " and ".join(f"{rows:,} ({rows / stages.rows:.2%})" for rows in stages.early)
            yield f"stages: the wide part alone decided {early} of {stages.rows:,} rows"
        if stages.changed:
            flips = _flips(stages.flips, stages.changed)
            yield f"a different stage decided {stages.changed:,} rows, with labels: {flips}"
        yield from self.lines_of_rows(_row)


def _row(moved: Moved) -> str:
    before, after = moved.before, moved.after
    return f"{before.label} {before.score:.3f}, {after.label} {after.score:.3f} ({moved.difference:+.3f})"


def _flips(flips: Counter[tuple[str, str]], rows: int) -> str:
    """Describe the labels that flipped.

    >>> _flips(Counter({("no", "yes"): 2, ("yes", "no"): 1}), 100)
    '3 flipped (3.00%): 2 no to yes, 1 yes to no'
    """
    each = ", ".join(f"{number:,} {old} to {new}" for (old, new), number in flips.most_common())
    return f"{flips.total():,} flipped ({flips.total() / rows:.2%})" + (f": {each}" if each else "")
