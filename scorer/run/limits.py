"""Limits on rejects and on the number of records; beyond them, no output is published."""

from collections.abc import Sequence
from dataclasses import dataclass

from scorer.base.errors import InputError
from scorer.base.text import counted, first_few, shown_source
from scorer.report.summary import Counts, reasons

_MOST_NAMED = 5


class RejectLimitPassed(InputError):
    """Too many rejects: these are published, the output is not."""


class TooFewRows(InputError):
    """Too few records: nothing is published."""


@dataclass(frozen=True)
class Limits:
    """Limits on rejects, None for no limit, and on records.

    Attributes:
        rejects: largest number of rejects, checked after each chunk.
        ratio: largest share of rejects in all records, checked at the end.
        all: whether every record may be rejected, as in a shard.
        least_rows: smallest number of records, rejects included, checked at the end.
    """

    rejects: int | None = None
    ratio: float | None = None
    all: bool = False
    least_rows: int = 0

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

    def check(self, counts: Counts, empty_files: Sequence[str] = ()) -> None:
        """Check the records of the whole input.

        Args:
            counts: counts of all records.
            empty_files: input files without a record, for messages.

        Raises:
            RejectLimitPassed: the rejects exceed a limit.
            TooFewRows: there are fewer records than `least_rows`.
        """
        self.check_so_far(counts)
        if counts.rows_in and not counts.rows_scored and not self.all:
            which = "the only record" if counts.rows_in == 1 else f"every one of the {counts.rows_in:,} records"
            raise RejectLimitPassed(f"{which} was rejected ({reasons(counts)}).")
        if self.ratio is not None and counts.rows_in and counts.rows_rejected / counts.rows_in > self.ratio:
            raise RejectLimitPassed(
                f"{counts.rows_rejected} of {counts.rows_in} records were rejected ({reasons(counts)}): "
                f"more than --max-reject-ratio {self.ratio} allows."
            )
        self.check_rows(counts.rows_in, empty_files)

    def check_rows(self, rows: int, empty_files: Sequence[str] = ()) -> None:
        """Raise `TooFewRows` if there are fewer records than `least_rows`.

        Args:
            rows: number of records, rejects included.
            empty_files: input files without a record, for the message.
        """
        if rows >= self.least_rows:
            return
        message = f"the input has {counted(rows, 'record')}, fewer than --min-rows {self.least_rows:,} requires."
        if empty_files:
            message += f" Files without a record: {first_few(empty_files, _MOST_NAMED, shown_source)}."
        raise TooFewRows(message)
