"""How much of an input may be rejected before nothing is published."""

from dataclasses import dataclass

from scorer.base.errors import InputError
from scorer.report.summary import Summary, reasons


@dataclass(frozen=True)
class Limits:
    """How much may be rejected before nothing is published; None for any number.

    Attributes:
        rejects: records, checked as soon as it is passed.
        ratio: share of all records, checked at the end.
        all: whether all records may be rejected, as they may be of a shard.
    """

    rejects: int | None = None
    ratio: float | None = None
    all: bool = False


class RejectLimitPassed(InputError):
    """More records were rejected than allowed; the rejects are published, the output is not."""


def check_limits(summary: Summary, limits: Limits) -> None:
    """Raise `RejectLimitPassed` if more of all records were rejected than may be."""
    _check_limit(summary, limits)
    if summary.rows_in and not summary.rows_scored and not limits.all:
        raise RejectLimitPassed(f"every one of the {summary.rows_in} records was rejected ({reasons(summary)}).")
    if limits.ratio is not None and summary.rows_in and summary.rows_rejected / summary.rows_in > limits.ratio:
        raise RejectLimitPassed(
            f"{summary.rows_rejected} of {summary.rows_in} records were rejected ({reasons(summary)}): "
            f"more than --max-reject-ratio {limits.ratio} allows."
        )


def _limit_passed(rejected: int, limits: Limits) -> bool:
    return limits.rejects is not None and rejected > limits.rejects


def _check_limit(summary: Summary, limits: Limits) -> None:
    if _limit_passed(summary.rows_rejected, limits):
        raise RejectLimitPassed(
            f"{summary.rows_rejected} of the first {summary.rows_in} records were rejected ({reasons(summary)}): "
            + (
                f"more than --max-rejects {limits.rejects} allows."
                if limits.rejects
                else "none is allowed (--strict or --max-rejects 0)."
            )
        )
