"""Differences of a run from its model's test data, in words that somebody can act on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scorer.model.interpretation import Interpretation, MultiLabel, Regression, SingleLabel
from scorer.model.reference import Histogram, Reference
from scorer.report.drift import MEASURES

Extent = Literal["none", "small", "moderate", "large", "unknown"]
"""Extent of a difference; ``unknown`` if there are too few rows to judge."""

# Conventional limits of the population stability index between small, moderate and large.
_MODERATE, _LARGE = 0.1, 0.25

_RATIOS = (
    (1 / 20, "a twentieth as long as"),
    (1 / 10, "a tenth as long as"),
    (1 / 5, "a fifth as long as"),
    (1 / 4, "a quarter as long as"),
    (1 / 3, "a third as long as"),
    (1 / 2, "half as long as"),
    (2 / 3, "two thirds as long as"),
    (3 / 4, "three quarters as long as"),
    (1.33, "a third longer than"),
    (1.5, "half as long again as"),
    (2, "twice as long as"),
    *((times, f"{word} times as long as") for times, word in zip((3, 4, 5, 6, 8, 10, 15, 20), (
        "three", "four", "five", "six", "eight", "ten", "fifteen", "twenty"), strict=True)),
)  # fmt: skip

_SHORT = 0.22
"""Ratio of median lengths up to which texts count as cut short; rounded, it reads "a fifth as long"."""

_UNREADABLE = 0.2
"""Share of unknown word pieces of a text that is hardly read, and share of such texts that spoils a run."""

_UNSURE = (0.2, 0.8)


@dataclass(frozen=True)
class Difference:
    """Difference of one measure.

    Attributes:
        measure: name of the measure, one of `MEASURES`.
        extent: extent of the difference.
        beyond: whether it exceeds --max-drift.
        words: sentence about it, without its full stop.
        harmful: whether scores of such texts cannot be trusted: they are much shorter, or unreadable.
    """

    measure: str
    extent: Extent
    beyond: bool
    words: str
    harmful: bool = False

    @property
    def is_notable(self) -> bool:
        """True if somebody has to look."""
        return self.beyond or self.extent == "large"


def differences(
    record: Mapping[str, Any], reference: Reference | None, interpretation: Interpretation | None
) -> list[Difference]:
    """Return the difference of each of `MEASURES`; none if there is nothing to compare.

    Args:
        record: record of the run, as `scorer.run.record.RunRecord.content` returns it.
        reference: histograms of the model's test data.
        interpretation: meaning of the model's logits.
    """
    if record["drift"] is None or reference is None or interpretation is None or not reference.texts:
        return []
    ours = {
        "score": _histogram(record["score_histogram"]),
        "tokens": _histogram(record["token_histogram"]),
        "unknown": _histogram(record["unknown_histogram"]),
    }
    found = []
    for name in MEASURES:
        extent, beyond = _extent(record["drift"][name]), name in record["drift"]["beyond"]
        both = _Both(ours[name], getattr(reference, name))
        if not beyond and extent in ("none", "unknown"):
            found.append(
                Difference(
                    name,
                    extent,
                    beyond,
                    _ALIKE[name] if extent == "none" else f"There are too few rows to judge the {_JUDGED[name]}",
                )
            )
        elif name == "tokens":
            found.append(Difference(name, extent, beyond, _lengths(both), harmful=both.ratio <= _SHORT))
        elif name == "unknown":
            found.append(Difference(name, extent, beyond, _unknown(both), harmful=_is_unreadable(both)))
        else:
            found.append(Difference(name, extent, beyond, _scores(both, interpretation)))
    return found


_ALIKE = {
    "score": "Scores are spread as in the test data",
    "tokens": "Texts are as long as those the model was tested on",
    "unknown": "There are no more unknown word pieces than in the test data",
}
_JUDGED = {"score": "scores", "tokens": "lengths", "unknown": "unknown word pieces"}


@dataclass(frozen=True)
class _Both:
    """Histograms with the same bins, both with values: those of a run and of the model's test data."""

    ours: Histogram
    theirs: Histogram

    @property
    def ratio(self) -> float:
        """Median of the run divided by that of the test data."""
        return median(self.ours) / max(median(self.theirs), 1e-9)

    def shares(self, low: float, high: float = math.inf) -> tuple[float, float]:
        """Return the shares of values in the bins that begin at one edge at least, and before another."""
        return share_between(self.ours, low, high), share_between(self.theirs, low, high)

    def farthest_edge(self) -> float:
        """Return the edge that parts the two best: the shares of values below it differ most."""
        ours, theirs = (np.cumsum(one.counts)[:-1] / one.total for one in (self.ours, self.theirs))
        most = np.flatnonzero(np.abs(ours - theirs) >= np.abs(ours - theirs).max() - 1e-9)
        at = most[0] if ours[most[0]] > theirs[most[0]] else most[-1]  # the strongest of the true sentences
        return float(self.ours.edges[1 + int(at)])

    def part(self, below: str, above: str, spell: Callable[[float], str]) -> str:
        """Return a sentence about the share of values on the side of `farthest_edge` that the run has more of.

        Args:
            below, above: what the texts below the edge do, and those above it; ``{}`` is the edge.
            spell: function that writes the edge.
        """
        edge = self.farthest_edge()
        ours, theirs = self.shares(edge)
        words, shares = (above, (ours, theirs)) if ours > theirs else (below, (1 - ours, 1 - theirs))
        return f"{of_texts(shares[0])} {words.format(spell(edge))}, against {percent(shares[1])} in the test data"


def median(histogram: Histogram) -> float:
    """Estimate the median of values, as if they were spread evenly within each bin.

    >>> median(Histogram((0, 16, 32), [1, 1])), median(Histogram((0, 16, 32), [0, 4])), median(Histogram((0, 1), [0]))
    (16.0, 24.0, 0.0)
    """
    left = histogram.total / 2
    for low, high, count in zip(histogram.edges, histogram.edges[1:], histogram.counts, strict=False):
        if count and count >= left:
            return low + (high - low) * left / count
        left -= count
    return 0.0


def share_between(histogram: Histogram, low: float, high: float = math.inf) -> float:
    """Return the share of values in the bins that begin at ``low`` or later and before ``high``.

    >>> share_between(Histogram((0, 1, 2, 3), [1, 2, 1]), 1), share_between(Histogram((0, 1, 2, 3), [1, 2, 1]), 1, 2)
    (0.75, 0.5)
    """
    inside = [count for edge, count in zip(histogram.edges, histogram.counts, strict=False) if low <= edge < high]
    return sum(inside) / histogram.total


def percent(share: float) -> str:
    """Write a share in whole percent, for a sentence.

    >>> percent(0.5), percent(0.001), percent(0), percent(0.999), percent(1)
    ('50%', 'less than 1%', 'none', 'more than 99%', 'all')
    """
    if share <= 0 or share >= 1:
        return "none" if share <= 0 else "all"
    return "less than 1%" if share < 0.005 else "more than 99%" if share > 0.995 else f"{share:.0%}"


def of_texts(share: float) -> str:
    """Begin a sentence about a share of the texts.

    >>> of_texts(0.5), of_texts(1)
    ('50% of the texts', 'All texts')
    """
    found = percent(share).capitalize()
    return f"{found} texts" if share >= 1 else f"{found} of the texts"


def ratio_in_words(ratio: float) -> str:
    """Compare lengths in words.

    >>> ratio_in_words(0.19), ratio_in_words(2.1), ratio_in_words(0.01), ratio_in_words(100)
    ('about a fifth as long as', 'about twice as long as', 'less than a twentieth as long as', 'more than twenty times as long as')
    """
    (least, shortest), (most, longest) = _RATIOS[0], _RATIOS[-1]
    if ratio < 0.8 * least:
        return f"less than {shortest}"
    if ratio > 1.25 * most:
        return f"more than {longest}"
    return f"about {min(_RATIOS, key=lambda one: abs(math.log(one[0] / ratio)))[1]}"


def _extent(drift: Mapping[str, Any]) -> Extent:
    psi, by_chance = drift["psi"], drift["by_chance"]
    if by_chance is None:
        return "unknown"
    if psi <= by_chance:
        return "none" if by_chance < _LARGE else "unknown"
    if psi < _MODERATE:
        return "small"
    return "moderate" if psi < _LARGE else "large"


def _lengths(both: _Both) -> str:
    if 0.8 < both.ratio < 1.25:
        return both.part("have fewer than {} tokens", "have at least {} tokens", lambda edge: f"{edge:,.0f}")
    return f"Texts are {ratio_in_words(both.ratio)} those the model was tested on"


def _unknown(both: _Both) -> str:
    edge = both.farthest_edge()
    if edge < 0.002:
        return both.part(
            "have only word pieces that the model knows", "have word pieces that the model does not know", str
        )
    if edge >= 0.5:
        return both.part("are mostly readable", "consist mostly of word pieces that the model does not know", str)
    return both.part(
        "have fewer than {} unknown word pieces", "have at least {} unknown word pieces", lambda one: f"{100 * one:g}%"
    )


def _is_unreadable(both: _Both) -> bool:
    ours, theirs = both.shares(_UNREADABLE)
    return ours - theirs >= _UNREADABLE


def _scores(both: _Both, interpretation: Interpretation) -> str:
    labels = interpretation.labels
    if isinstance(interpretation, Regression):
        return both.part("have a value below {}", "have a value of at least {}", lambda edge: f"{edge:g}")
    if isinstance(interpretation, MultiLabel) or len(labels) > 2:
        return both.part(
            "have no label with a probability of {} or more",
            "have a label with a probability of at least {}",
            lambda edge: f"{edge:g}",
        )
    upper, unsure = both.shares(0.5), both.shares(*_UNSURE)
    if abs(upper[0] - upper[1]) >= abs(unsure[0] - unsure[1]):
        label, shares = (labels[1], upper) if upper[0] > upper[1] else (labels[0], (1 - upper[0], 1 - upper[1]))
        halves = isinstance(interpretation, SingleLabel) and interpretation.decision.edges == (0.5,)
        texts_are = f"are {label}" if halves else f"are rather {label} than not"
        return f"{of_texts(shares[0])} {texts_are}, against {percent(shares[1])} in the test data"
    if unsure[0] > unsure[1]:
        return (
            f"The model is unsure of {percent(unsure[0])} of the texts, against {percent(unsure[1])} in its test data"
        )
    return (
        f"The model is sure of {percent(1 - unsure[0])} of the texts, against {percent(1 - unsure[1])} in its test data"
    )


def _histogram(fields: Mapping[str, Any]) -> Histogram:
    return Histogram(tuple(fields["edges"]), list(fields["counts"]))
