"""How much of an input may be rejected before nothing is published."""

from dataclasses import dataclass

from scorer.base.errors import InputError
from scorer.report.summary import Counts, reasons


class RejectLimitPassed(InputError):
    """More records were rejected than allowed; the rejects are published, the output is not."""


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

    def passed(self, rejected: int) -> bool:
        """Whether so many records are more than may be rejected.

        >>> Limits(rejects=2).passed(2), Limits(rejects=2).passed(3), Limits().passed(3)
        (False, True, False)
        """
        return self.rejects is not None and rejected > self.rejects

    def check_so_far(self, counts: Counts) -> None:
        """Raise `RejectLimitPassed` if more records were rejected than may be, whatever comes after them."""
        if self.passed(counts.rows_rejected):
            raise RejectLimitPassed(
                f"{counts.rows_rejected} of the first {counts.rows_in} records were rejected ({reasons(counts)}): "
                + (
                    f"more than --max-rejects {self.rejects} allows."
                    if self.rejects
                    else "none is allowed (--strict or --max-rejects 0)."
                )
            )

    def check(self, counts: Counts) -> None:
        """Raise `RejectLimitPassed` if more of all records were rejected than may be."""
        self.check_so_far(counts)
        if counts.rows_in and not counts.rows_scored and not self.all:
            raise RejectLimitPassed(f"every one of the {counts.rows_in} records was rejected ({reasons(counts)}).")
        if self.ratio is not None and counts.rows_in and counts.rows_rejected / counts.rows_in > self.ratio:
            raise RejectLimitPassed(
                f"{counts.rows_rejected} of {counts.rows_in} records were rejected ({reasons(counts)}): "
                f"more than --max-reject-ratio {self.ratio} allows."
            )
