"""The records of a run's inputs, joined with what the run published; those of a sample are passed on to the pipeline."""

from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from scorer.rows.columns import Selection
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import Parsed, Record, Reject, plain
from scorer.rows.rejects import format_reject
from scorer.verify.label_counts import LabelCounts
from scorer.verify.row_file import Difference, Report, Row, RowFile, row_of, shown

if TYPE_CHECKING:
    import pyarrow

REASONS_OF_THE_MODEL = ("empty_text", "out_of_memory")
"""Reasons for which the model rejects a record that the reader accepts."""

_MOST_DOUBTFUL = 1000


class Published(NamedTuple):
    """Row and reject that a run published for a record.

    Attributes:
        row: its row in the output.
        reject: its line in the rejects file.
    """

    row: Row | None
    reject: Row | None


@dataclass
class Tally:
    """Records of the inputs, counted while they are joined with the run's files.

    Attributes:
        rows: all records.
        rejected: rejects by reason, as the reader and the rejects file have them.
        unexplained: records without a row in the output, if there is no rejects file to look them up in.
        duplicates: records with a row whose text equals an earlier one.
    """

    rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0
    duplicates: int = 0


class SampledReader:
    """Reader that joins all records with a run's files, and yields those of a sample that the model has to score.

    Those that the model must have rejected are yielded as well, up to a number: they are few, unless rows were removed.

    Args:
        reader: reader of the inputs, restricted as in the run.
        sample: numbers of the rows to yield.
        output: output of the run.
        rejects: rejects file of the run; None if it is missing.
        report: function that is given each difference.
        labels: counts to add the labels of the output to.
        on_row: function that is given the number of records read so far, after each of them.

    Attributes:
        report: as given.
        tally: counts of the records read so far.
        published: row and reject of each record that was yielded, by its number.
    """

    def __init__(
        self,
        reader: Reader,
        sample: Container[int],
        output: RowFile,
        rejects: RowFile | None,
        report: Report,
        labels: LabelCounts,
        on_row: Callable[[int], None],
    ) -> None:
        self._reader = reader
        self._sample = sample
        self._output = output
        self._rejects = rejects
        self.report = report
        self._labels = labels
        self._on_row = on_row
        self._doubtful = 0
        self.tally = Tally()
        self.published: dict[int, Published] = {}

    @property
    def has_rejects(self) -> bool:
        """True if the rejects file is at hand."""
        return self._rejects is not None

    @property
    def selection(self) -> Selection | None:
        return self._reader.selection

    @property
    def empty_files(self) -> list[str]:
        return self._reader.empty_files

    @property
    def inputs(self) -> Inputs:
        return self._reader.inputs

    @property
    def schemas(self) -> "dict[str, pyarrow.Schema]":
        return self._reader.schemas

    @property
    def input_hash(self) -> str:
        return self._reader.input_hash

    @property
    def bytes_read(self) -> int:
        return self._reader.bytes_read

    def __iter__(self) -> Iterator[Record | Reject]:
        for item in self._reader:
            self.tally.rows += 1
            row = self._output.take(item.row)
            if row is not None:
                self._labels.add(row.fields)
            reject = self._rejects.take(item.row) if self._rejects is not None else None
            if isinstance(item, Reject):
                self._check_reject(item, row, reject)
            else:
                self._check_record(item, row, reject)
                if item.row in self._sample or self._is_doubtful(row):
                    self.published[item.row] = Published(row and row_of(row), reject and row_of(reject))
                    yield _weighed(item)
            self._on_row(self.tally.rows)
        for file in filter(None, (self._output, self._rejects)):
            file.finish()

    def _is_doubtful(self, row: Parsed | None) -> bool:
        """Return whether a record has no row, as only the model can confirm, and count it; False beyond a number of them."""
        if row is not None or self._doubtful >= _MOST_DOUBTFUL:
            return False
        self._doubtful += 1
        return True

    def _check_reject(self, item: Reject, row: Parsed | None, reject: Parsed | None) -> None:
        self.tally.rejected[item.reason] += 1
        if row is not None:
            self._differs(item.row, f"rejected ({item.reason})", shown(bytes(row.raw)))
        expected = format_reject(item)
        found = b"" if reject is None else bytes(reject.raw)
        if self._rejects is not None and found != expected:
            self._differs(item.row, shown(expected), shown(found) or f"no line in {self._rejects.path}")

    def _check_record(self, item: Record, row: Parsed | None, reject: Parsed | None) -> None:
        if row is not None:
            self.tally.duplicates += item.duplicate
            if reject is not None:
                self._differs(item.row, "a row or a reject", f"both: {shown(bytes(row.raw))}")
        elif self._rejects is None:
            self.tally.unexplained += 1
        elif reject is None:
            self._differs(item.row, "a row or a reject", "neither in its place")
        else:
            reason = plain(reject.fields.get("reason")) or ""
            self.tally.rejected[reason] += 1
            if reason not in REASONS_OF_THE_MODEL:
                self._differs(item.row, "a row", f"rejected: {shown(bytes(reject.raw))}")

    def _differs(self, row: int, expected: str, found: str) -> None:
        self.report(Difference(f"row {row}", expected, found))


def _weighed(record: Record) -> Record:
    """Return a record whose length counts all that it keeps in memory, by which the pipeline cuts its chunks."""
    if isinstance(record.raw, bytes):
        return record
    from scorer.rows.parquet_reader import BATCH_ROWS  # pyarrow is slow to import

    return replace(record, length=record.length * BATCH_ROWS)
