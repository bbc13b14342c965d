"""Limits on rejects; beyond them, no output is published."""

from dataclasses import dataclass

from scorer.base.errors import InputError
from scorer.report.summary import Counts, reasons


class RejectLimitPassed(InputError):
    """Too many rejects: these are published, the output is not."""


@dataclass(frozen=True)
class Limits:
    """Limits on rejects; None for no limit.

    Attributes:
        rejects: largest number of rejects, checked after each chunk.
        ratio: largest share of rejects in all records, checked at the end.
        all: whether every record may be rejected, as in a shard.
    """

    rejects: int | None = None
    ratio: float | None = None
    all: bool = False

    def passed(self, rejected: int) -> bool:
        """Return whether a number of rejects exceeds `rejects`.

        >>> Limits(rejects=2).passed(2), Limits(rejects=2).passed(3), Limits().passed(3)
        (False, True, False)
        """
        return self.rejects is not None and rejected > self.rejects

    def check_so_far(self, counts: Counts) -> None:
        """Raise `RejectLimitPassed` if the rejects so far exceed `rejects`, so that no later record can help."""
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
        """Raise `RejectLimitPassed` if the rejects of the whole input exceed a limit."""
        self.check_so_far(counts)
        if counts.rows_in and not counts.rows_scored and not self.all:
            which = "the only record" if counts.rows_in == 1 else f"every one of the {counts.rows_in:,} records"
            raise RejectLimitPassed(f"{which} was rejected ({reasons(counts)}).")
        if self.ratio is not None and counts.rows_in and counts.rows_rejected / counts.rows_in > self.ratio:
            raise RejectLimitPassed(
                f"{counts.rows_rejected} of {counts.rows_in} records were rejected ({reasons(counts)}): "
                f"more than --max-reject-ratio {self.ratio} allows."
            )
