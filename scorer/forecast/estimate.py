"""Estimates of a forecast, from what was counted, sampled and measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import sqrt
from typing import Any

import numpy as np

from scorer.forecast.counted import CountedInput
from scorer.forecast.read_texts import ReadTexts
from scorer.forecast.sample import Sample
from scorer.forecast.speed import Speed
from scorer.report.figure import NORMAL, NOTHING, Figure, share, total

_MODEL_ERROR = 0.15
"""Share of the time by which a forecast may miss beyond the errors of its samples: no two runs take the same time."""

# Starting, loading the model and closing files take a tenth of a second more or less from one run to the next, however
# short the run is; a share of a short run's time does not hold that.
_SLACK = 0.2


@dataclass(frozen=True)
class Rows:
    """Forecast of the counts that a run's record will have, under the same names; None for an unknown one.

    Attributes:
        rows_in, duplicates: as in the record.
        rows_rejected, rows_rejected_by_reason: rejects that reading decides. A text without a token is rejected as well,
            but counted apart.
        rows_without_token: rows that will be rejected because their text has no token.
        rows_from_cache: rows whose outcome is in the cache now.
        rows_to_compute: rows whose text is neither in the cache nor equal to one before it.
        tokens_to_compute: tokens that the encoder computes.
        rows_truncated, tokens, windows, rows_decided_early, tokens_decided_early: as in the record.
    """

    rows_in: Figure
    rows_rejected: Figure | None
    rows_rejected_by_reason: Mapping[str, Figure] | None
    rows_without_token: Figure
    duplicates: Figure | None
    rows_from_cache: Figure | None
    rows_to_compute: Figure
    tokens_to_compute: Figure
    rows_truncated: Figure
    tokens: Figure
    windows: Figure | None
    rows_decided_early: Figure
    tokens_decided_early: Figure

    def as_json(self) -> dict[str, Any]:
        """Return every figure in JSON form, by name."""
        return {one.name: _as_json(getattr(self, one.name)) for one in fields(self)}


def rows_of(found: CountedInput, computed: ReadTexts, repeated: ReadTexts, *, windowed: bool) -> Rows:
    """Estimate the counts of a run.

    Args:
        found: input that was counted.
        computed, repeated: its samples, as the model reads them.
        windowed: whether the model reads texts in windows.
    """
    counts = found.counts
    both = ((found.computed, computed), (found.repeated, repeated))

    def rows(name: str, known: int = 0) -> Figure:
        parts = (_share(found, sample, getattr(read, name)) for sample, read in both)
        return sum(parts, Figure.known(known))

    def summed(values: str, only: str | None = None, known: int = 0) -> Figure:
        parts = (_total(found, sample, _values(read, values, only)) for sample, read in both)
        return sum(parts, Figure.known(known))

    reasons = {reason: Figure.known(count) for reason, count in counts.rejected.items()}
    return Rows(
        rows_in=Figure.known(counts.rows_in),
        rows_rejected=Figure.known(counts.rows_rejected) if found.is_whole else None,
        rows_rejected_by_reason=reasons if found.is_whole else None,
        rows_without_token=rows("empty"),
        duplicates=_duplicates(counts.duplicates, both) if found.is_whole else None,
        rows_from_cache=Figure.known(counts.rows_from_cache),
        rows_to_compute=Figure.known(found.computed.rows) if found.is_whole else found.texts,
        tokens_to_compute=_total(found, found.computed, computed.work),
        rows_truncated=rows("truncated", counts.rows_truncated),
        tokens=summed("tokens", known=counts.tokens),
        windows=summed("windows", known=counts.windows) if windowed else None,
        rows_decided_early=rows("early", counts.rows_early),
        tokens_decided_early=summed("tokens", "early", counts.tokens_early),
    )


def with_unread_cache(rows: Rows, texts: Figure) -> Rows:
    """Return counts without what only the cache could show: the run may find every text there, or none.

    Args:
        rows: counts, with the texts that the cache did not return as those to compute.
        texts: records with a text.
    """
    work = rows.tokens_to_compute
    return replace(
        rows,
        rows_from_cache=None,
        rows_to_compute=Figure(rows.rows_to_compute.value, 0, texts.high, exact=not texts.high),
        tokens_to_compute=Figure(work.value, 0, max(work.high, rows.tokens.high), exact=not texts.high),
    )


def _duplicates(rows: int, both: Sequence[tuple[Sample, ReadTexts]]) -> Figure:
    """Return the rows that repeat an earlier one and have a token; a run rejects the others, and counts them no further.

    Args:
        rows: rows that repeat an earlier one.
        both: samples, and their texts as the model reads them.
    """
    without = NOTHING
    for sample, read in both:
        drawn = np.array(sample.duplicates, dtype=bool)
        if sample.rows_duplicate and not drawn.any():
            without += Figure(0, 0, sample.rows_duplicate, exact=False)
        else:
            without += share(int((drawn & read.empty).sum()), int(drawn.sum()), sample.rows_duplicate)
    return Figure(rows - without.value, max(0, rows - without.high), rows - without.low, without.exact)


def _values(read: ReadTexts, name: str, only: str | None) -> np.ndarray:
    """Return the values of the texts that have a score, 0 for the others."""
    counts = ~read.empty if only is None else getattr(read, only)
    return np.asarray(getattr(read, name) * counts)


def _share(found: CountedInput, sample: Sample, flags: np.ndarray) -> Figure:
    if found.is_whole:
        return share(int(flags.sum()), len(flags), sample.rows)
    drawn = len(flags) + len(found.groups_of_rejects) if len(flags) else 0
    return share(int(flags.sum()), drawn, found.counts.rows_in)


def _total(found: CountedInput, sample: Sample, values: np.ndarray) -> Figure:
    if found.is_whole:
        return total(values, sample.sizes, sample.size, sample.rows)
    if not len(values):
        return NOTHING
    # Records without a text are a part of the sample, whose value is 0.
    rejects, rows = found.groups_of_rejects, found.counts.rows_in
    padded = np.concatenate([values, np.zeros(len(rejects))])
    groups = [*found.groups, *rejects] if found.are_groups_drawn else None
    return total(padded, np.ones(len(padded)), rows, rows, groups)


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a run.

    Attributes:
        before: loading the model, and counting records for a shard.
        python: work of which one thread does a piece at a time: reading, looking up, labels, formatting, the cache's
            entries.
        waiting: making rows durable, while other threads compute.
        tokenizing, tokenizing_clock: seconds of tokenizing and of the wide part, on all cores together and on the clock.
        computing: seconds on the clock, if the computation had the machine to itself.
        share: share of the cores that computing keeps busy.
        cores: usable cores.
    """

    before: float
    python: float
    waiting: float
    tokenizing: float
    tokenizing_clock: float
    computing: float
    share: float
    cores: int

    @property
    def wall(self) -> float:
        """Seconds on the clock. The parts overlap, until they wait for each other or for a core.

        >>> Costs(1, python=2, waiting=0, tokenizing=4, tokenizing_clock=3, computing=30, share=1.0, cores=2).wall
        34.0
        >>> Costs(1, python=9, waiting=1, tokenizing=0, tokenizing_clock=0, computing=2, share=1.0, cores=2).wall
        11
        """
        shared = self.computing * self.share + (self.python + self.tokenizing) / self.cores
        return self.before + max(self.python + self.waiting, self.tokenizing_clock, self.computing, shared)


def seconds_of(costs: Costs, work: Figure, speed: Speed, missed: float | None) -> Figure:
    """Estimate the seconds of a run.

    Args:
        costs: seconds of its parts, but for computing.
        work: tokens to compute.
        speed: speed of computing.
        missed: median error of earlier forecasts, by which the range is widened; None if unknown.
    """
    expected = work.value
    if expected:
        down = sqrt(((expected - work.low) / expected) ** 2 + (NORMAL * speed.error) ** 2)
        up = sqrt(((work.high - expected) / expected) ** 2 + (NORMAL * speed.error) ** 2)
    else:
        down = up = 0.0
    value, low, high = (
        replace(costs, computing=expected * speed.seconds * max(0.0, factor)).wall for factor in (1, 1 - down, 1 + up)
    )
    found = Figure(value, low, high, exact=False).widened(_MODEL_ERROR, _SLACK)
    return found if missed is None else found.widened(missed)


def _as_json(value: Figure | Mapping[str, Figure] | None) -> Any:
    if isinstance(value, Mapping):
        return {name: figure.as_json() for name, figure in value.items()}
    return value if value is None else value.as_json()
