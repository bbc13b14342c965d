"""Comparison of two outputs with any number of labels a row: labels gained and lost, scores that moved."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scorer.base.errors import UsageError
from scorer.model.reference import SCORE_EDGES, bin_of
from scorer.report.comparison import Moved, ProbabilityComparison, four_decimals
from scorer.report.scored_file import Scored
from scorer.rows.label_cell import join_labels


class LabelMoves(NamedTuple):
    """Changes of one label, over the rows in both outputs.

    Attributes:
        label: name.
        gained, lost: number of rows that have the label only in the second output, and only in the first.
        mean: mean of the second probability minus the first; None if only one output has its probability.
        size: mean of the absolute differences, likewise.
    """

    label: str
    gained: int
    lost: int
    mean: float | None
    size: float | None


class SetComparison(ProbabilityComparison):
    """Comparison of outputs with any number of labels a row.

    Args:
        by: key that joins their rows.
        most: largest number of rows that moved most to keep.
        before, after: labels of the first output and of the second, in the order of their probabilities.

    Attributes:
        shared: labels of both outputs, in the order of the first.
        only_labels: labels that only the first output has, and those that only the second has.
        changed: number of rows whose labels differ.
        gained, lost: number of rows that gained or lost each label.

    Raises:
        UsageError: the outputs have no label in common.
    """

    flips_are = "of the rows changed their labels"

    def __init__(self, by: str, most: int, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        super().__init__(by, most)
        self.shared = tuple(label for label in before if label in after)
        if not self.shared:
            raise UsageError(
                f"the outputs have no label in common, so there is nothing to compare: {', '.join(before)} in the first, "
                f"{', '.join(after)} in the second."
            )
        self.only_labels = (
            tuple(label for label in before if label not in after),
            tuple(label for label in after if label not in before),
        )
        self.changed = 0
        self.gained: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._places = [(before.index(label), after.index(label)) for label in self.shared]
        self._sums = np.zeros((2, len(self.shared)))  # of differences, and of their absolute values

    def add(self, before: Scored, after: Scored) -> None:
        self.rows += 1
        moves = np.array([after.values[second] - before.values[first] for first, second in self._places])
        sizes = np.abs(moves)
        self._sums += (moves, sizes)
        farthest = int(sizes.argmax())
        moved = Moved(before, after, float(moves[farthest]), self._places[farthest])
        self.differences.append(moved.difference)
        for first, second in self._places:
            self.together[bin_of(SCORE_EDGES, before.values[first]), bin_of(SCORE_EDGES, after.values[second])] += 1
        old, new = set(before.label), set(after.label)
        self.gained.update(new - old)
        self.lost.update(old - new)
        self.changed += old != new
        self.keep(moved, flipped=old != new)

    @property
    def flipped(self) -> int:
        return self.changed

    @property
    def labels(self) -> list[LabelMoves]:
        """Changes of each label: those of both outputs, then those of one."""
        means, sizes = (self._sums / self.rows).tolist()
        moves = [
            LabelMoves(label, self.gained[label], self.lost[label], mean, size)
            for label, mean, size in zip(self.shared, means, sizes, strict=True)
        ]
        others = [label for only in self.only_labels for label in only]
        return moves + [LabelMoves(label, self.gained[label], self.lost[label], None, None) for label in others]

    def name_of(self, moved: Moved) -> str:
        """Return the label whose probability moved most."""
        return self.shared[self._places.index(moved.at)]

    def lines(self) -> Iterator[str]:
        for words, labels in zip(("first", "second"), self.only_labels, strict=True):
            if labels:
                yield f"labels only in the {words} output: {', '.join(labels)}"
        yield f"labels: {self.changed:,} rows changed ({self.changed / self.rows:.2%})"
        for one in self.labels:
            score = ""
            if one.mean is not None and one.size is not None:
                score = f"; scores moved by {one.size:.4f} on average (signed mean {one.mean:+.4f})"
            yield f"  {one.label}: gained by {one.gained:,} rows, lost by {one.lost:,}{score}"
        yield f"scores, the one that moved most in each row: {self.distances.words(four_decimals)}"
        yield from self.lines_of_rows(self._row)

    def _row(self, moved: Moved) -> str:
        before, after = moved.values
        score = f"{self.name_of(moved)} {before:.3f} to {after:.3f} ({moved.difference:+.3f})"
        return f"{shown_change(moved)}; {score}"


def shown_change(moved: Moved) -> str:
    """Return the labels of a row: those of both outputs if they differ."""
    old, new = (join_labels(one.label) or "no label" for one in (moved.before, moved.after))
    return old if old == new else f"{old} to {new}"
