"""A forecast for people, and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor, log10
from typing import Any

from scorer.base.messages import print_message
from scorer.base.text import duration, shown_source
from scorer.forecast.estimate import Rows
from scorer.report.figure import Figure
from scorer.report.forecast_history import ENOUGH, Night, median_error
from scorer.report.summary_file import PLAN
from scorer.run.options import ScoreOptions

FORMAT_VERSION = 1

# Keys that the summary of a plan shares with the record of a run.
_SHARED = (
    "exit_code", "error", "started", "ended", "seconds", "names_left_out", "task", "provider", "precision", "cascade", "bundle", "shard",
    "versions", "host", "arguments",
)  # fmt: skip

_HOUR = 3600


@dataclass(frozen=True)
class Planned:
    """Forecast of a run.

    Attributes:
        options: options of the run.
        rows: its counts.
        seconds: its duration, as its record will have it.
        refusal: reason that it would publish nothing; None if none is known.
        problem: reason that the cache could not be asked; None if all was well.
        is_whole: whether all records were read.
        sampled: number of texts that were tokenized.
        computed: number of texts that were computed.
        history: earlier runs that had a forecast.
    """

    options: ScoreOptions
    rows: Rows
    seconds: Figure
    refusal: str | None
    problem: str | None
    is_whole: bool
    sampled: int
    computed: int
    history: Sequence[Night]

    @property
    def is_late(self) -> bool:
        """True if the expected time exceeds --max-seconds; the upper end of its range does not count."""
        return self.options.max_seconds is not None and self.seconds.value > self.options.max_seconds

    @property
    def money(self) -> Figure | None:
        """Cost in the currency of --price-per-hour; None without it."""
        price = self.options.price_per_hour
        return None if price is None else self.seconds.times(price / _HOUR)

    @property
    def would_publish(self) -> bool | None:
        """False if a limit would end the run; None if rejects are unknown."""
        return False if self.refusal is not None else True if self.is_whole else None

    def unknown(self) -> Iterator[str]:
        """Yield sentences on figures that are unknown, and the reason."""
        if not self.is_whole:
            yield (
                "Rejects, duplicates and texts that equal earlier ones are unknown: of Parquet, only the footers and a "
                "sample of rows were read. With --cache, all rows are read."
            )
        if self.problem is not None:
            cache = shown_source(str(self.options.cache))
            yield (
                f"Rows from the cache are unknown: {cache} cannot be read ({self.problem}). The forecast counts its texts as "
                "texts to compute."
            )


def content(
    record: Mapping[str, Any], planned: Planned | None, options: ScoreOptions, history: Sequence[Night]
) -> dict[str, Any]:
    """Return the summary of a plan as docs/FORECAST.md and plan.schema.json describe it.

    Args:
        record: record of the run as far as it came.
        planned: forecast; None if it failed.
        options: options of the run.
        history: earlier runs that had a forecast.
    """
    money = planned.money if planned is not None else None
    return {
        "format_version": FORMAT_VERSION,
        "kind": PLAN,
        **{key: record[key] for key in _SHARED},
        "inputs": [file["path"] for file in record["inputs"]],
        "forecast": None
        if planned is None
        else {
            **planned.rows.as_json(),
            "seconds": planned.seconds.as_json(3),
            "money": money.as_json(9) if money is not None else None,
        },
        "unknown": [] if planned is None else list(planned.unknown()),
        "would_publish": None if planned is None else planned.would_publish,
        "refusal": None if planned is None else planned.refusal,
        "max_seconds": options.max_seconds,
        "max_seconds_passed": None if planned is None or options.max_seconds is None else planned.is_late,
        "texts_sampled": 0 if planned is None else planned.sampled,
        "texts_computed": 0 if planned is None else planned.computed,
        "history": [asdict(night) for night in history],
        "history_median_error": median_error(history),
    }


def report_plan(planned: Planned) -> None:
    """Print a forecast."""
    named = list(_named(planned))
    widest = max(len(name) for name, _, _ in named)
    fields = {"event": "forecast", "forecast": planned.seconds.as_json(3)}
    print_message("Forecast of the run:", fields=fields)
    for name, value, how in named:
        print_message(f"  {name:{widest}}  {value:>12}  {how}")
    for sentence in planned.unknown():
        print_message(f"Note: {sentence}", "warning")
    missed = median_error(planned.history)
    if missed is not None:
        nights = len(planned.history)
        forecasts = "The last forecast" if nights == 1 else f"The last {nights} forecasts"
        verb = "which widens the range" if nights >= ENOUGH else f"which widens the range once there are {ENOUGH}"
        print_message(f"{forecasts} missed by {missed:.0%} (median), {verb}.")
    if planned.refusal is not None:
        print_message(f"The run would publish nothing: {planned.refusal}", "warning")
    if planned.is_late:
        limit = planned.options.max_seconds
        print_message(f"The forecast exceeds --max-seconds {limit:g}.", "warning")


def _named(planned: Planned) -> Iterator[tuple[str, str, str]]:
    """Yield each figure: its name, its value, and whether it is exact."""
    rows = planned.rows
    yield _count("records", rows.rows_in)
    if rows.rows_rejected is not None:
        name, value, how = _count("rejected", rows.rows_rejected)
        by_reason = (rows.rows_rejected_by_reason or {}).items()
        reasons = ", ".join(f"{figure.value:.0f} {reason}" for reason, figure in by_reason)
        yield name, value, f"{how}: {reasons}" if reasons else how
    if rows.rows_without_token.high >= 1:
        yield _count("without a token", rows.rows_without_token)
    if rows.duplicates is not None:
        yield _count("duplicates", rows.duplicates)
    if planned.options.cache is not None and rows.rows_from_cache is not None:
        yield _count("from the cache", rows.rows_from_cache)
    yield _count("texts to compute", rows.rows_to_compute)
    yield _count("too long", rows.rows_truncated)
    if rows.rows_decided_early.high:
        yield _count("decided early", rows.rows_decided_early)
    if rows.windows is not None:
        yield _count("windows", rows.windows)
    yield _count("tokens", rows.tokens)
    yield _count("tokens to compute", rows.tokens_to_compute)
    seconds = planned.seconds
    value, low, high = (duration(one, tenths=True) for one in (seconds.value, seconds.low, seconds.high))
    yield "time", value, f"estimated (95%: {low} to {high})"
    money = planned.money
    if money is not None:
        digits = _digits(money.value)
        value, low, high = (f"{one:,.{digits}f}" for one in (money.value, money.low, money.high))
        yield "cost", value, f"estimated (95%: {low} to {high})"


def _digits(money: float) -> int:
    """Return the digits after the point to write of a cost: two, or more to have three significant ones.

    >>> _digits(1234.5), _digits(0.5), _digits(0.00833), _digits(0)
    (2, 3, 5, 2)
    """
    return max(2, 2 - floor(log10(money))) if money > 0 else 2


def _count(name: str, figure: Figure) -> tuple[str, str, str]:
    how = "exact" if figure.exact else f"estimated (95%: {figure.low:,.0f} to {figure.high:,.0f})"
    return name, f"{figure.value:,.0f}", how
