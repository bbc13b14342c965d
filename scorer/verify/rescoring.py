"""Sampled rows of a finished run, scored again and compared with what it published."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NoReturn

from scorer.model.interpretation import Interpretation, Regression
from scorer.model.loaded import LoadedModel
from scorer.report.summary import Counts, Summary
from scorer.rows.columns import Column, Wanted, output_columns, without_records
from scorer.rows.formats import PARQUET, Format
from scorer.run.limits import Limits
from scorer.run.pipeline import results_of, score_rows
from scorer.verify.row_file import Difference, Report, RowFile, row_of, shown
from scorer.verify.sampled_reader import Published, SampledReader

TOLERANCE = 1e-3
"""Largest difference of two probabilities of the same text on CUDA."""


class Comparison:
    """Rows scored again, compared with those that were published.

    Args:
        units: columns of numbers, each with the unit in which their difference counts; 1 for probabilities.
        exact: whether every byte must agree; otherwise numbers may differ by `TOLERANCE`.
        report: function that is given each difference.

    Attributes:
        rows: number of rows compared.
        different: rows that are not as expected.
        numbers_only: those of them that differ in numbers alone.
        tolerated: other rows that differ in numbers alone.
        gap: largest difference of a number, in its unit.
    """

    def __init__(self, units: Mapping[str, float], *, exact: bool, report: Report) -> None:
        self._units = units
        self._exact = exact
        self._report = report
        self.rows = self.different = self.numbers_only = self.tolerated = 0
        self.gap = 0.0

    def add(self, number: int, expected: Published, found: Published) -> None:
        """Compare what should have been published for a record with what was."""
        self.rows += 1
        if expected == found:
            return
        gap = None
        if expected.row is not None and found.row is not None and expected.reject == found.reject:
            gap = _gap(expected.row.cells, found.row.cells, self._units)
        if gap is not None:
            self.gap = max(self.gap, gap)
            if not self._exact and gap <= TOLERANCE:
                self.tolerated += 1
                return
            self.numbers_only += 1
        self.different += 1
        self._report(Difference(f"row {number}", _shown(expected), _shown(found)))


def rescore(reader: SampledReader, scorer: LoadedModel, wanted: Wanted, output: RowFile, report: Report) -> Comparison:
    """Score the rows of a sample as the run did, and compare them with what it published.

    The whole input and all files of the run are read meanwhile.

    Args:
        reader: reader of the sample.
        scorer: model, without a cache.
        wanted: columns of the output.
        output: output of the run.
        report: function that is given each row that differs; other differences go to the reader's.

    Raises:
        InputError: an input, the output or the rejects file cannot be read to its end.
        UsageError: the inputs lack a column.
    """
    kind = output.form.kind
    with tempfile.TemporaryDirectory() as folder:
        rows, rejects = (os.path.join(folder, name) for name in ("rows", "rejects"))
        with open(rows, "w+b") as to_rows, open(rejects, "wb") as to_rejects:
            score_rows(
                reader,
                scorer,
                _Sink(to_rows),
                _Sink(to_rejects),
                output_format=kind,
                wanted=wanted,
                limits=Limits(all=True),
                done=Summary(Counts.empty(scorer.interpretation.score_edges)),
            )
            if kind == PARQUET:
                _convert(to_rows)
        expected, expected_rejects = RowFile(rows, Format(kind), _refuse), RowFile(rejects, Format("jsonl"), _refuse)
        columns = output_columns(reader.selection or without_records(wanted), results_of(scorer), wanted)
        found = Comparison(
            units_of(columns, scorer.interpretation), exact=scorer.choice.provider == "cpu", report=report
        )
        for number, published in reader.published.items():
            row = expected.take(number)
            reject = expected_rejects.take(number) if reader.has_rejects else None
            found.add(number, Published(row and row_of(row), reject and row_of(reject)), published)
        expected.finish()
        _compare_heads(expected, output, reader.report)
    return found


def units_of(columns: Sequence[Column], interpretation: Interpretation) -> dict[str, float]:
    """Return the columns of numbers, each with the unit in which their difference counts.

    A probability has the unit 1, and so has one logit of a regression. The mean of ordered labels has their spread.
    """
    units = {column.name: 1.0 for column in columns if column.type == "number"}
    if isinstance(interpretation, Regression):
        scales = dict(zip(interpretation.labels, interpretation.scale, strict=True))
        units |= {name: abs(scales.get(name.removeprefix("score_"), interpretation.scale[0])) for name in units}
    elif "expected" in units:
        numbers = [float(label) for label in interpretation.labels]
        units["expected"] = max(numbers) - min(numbers)
    return units


def _gap(expected: Mapping[str, str], found: Mapping[str, str], units: Mapping[str, float]) -> float | None:
    """Return the largest difference of a number, in its unit; None if other cells differ as well.

    >>> _gap({"label": "a", "score": "0.5"}, {"label": "a", "score": "0.75"}, {"score": 1.0})
    0.25
    >>> _gap({"label": "a", "score": "0.5"}, {"label": "b", "score": "0.75"}, {"score": 1.0}) is None
    True
    """
    others = [{name: cell for name, cell in cells.items() if name not in units} for cells in (expected, found)]
    if list(expected) != list(found) or others[0] != others[1]:
        return None
    try:
        return max(abs(float(expected[name]) - float(found[name])) / unit for name, unit in units.items())
    except ValueError:
        return None


def _shown(published: Published) -> str:
    if published.row is None:
        return "no row in its place" if published.reject is None else f"rejected: {shown(published.reject.raw)}"
    return shown(published.row.raw) + (
        "" if published.reject is None else f", and rejected: {shown(published.reject.raw)}"
    )


def _compare_heads(expected: RowFile, output: RowFile, report: Report) -> None:
    """Report a header or a Parquet schema that is not the expected one."""
    if output.form.kind == PARQUET:
        from scorer.rows.parquet_reader import schema_of  # pyarrow is slow to import

        here, there = schema_of(expected.path), schema_of(output.path)
        if not here.equals(there, check_metadata=True):
            report(Difference("the schema", shown(str(here).encode()), shown(str(there).encode())))
        return
    head, found = expected.beginning(), output.beginning()
    if head != found:
        report(Difference("the header", shown(head) or "none", shown(found) or "none"))


class _Sink:
    """Sink of the pipeline that writes to a file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data)


def _convert(stream: BinaryIO) -> None:
    """Replace an Arrow stream by the Parquet file that it becomes."""
    from scorer.rows.parquet_writer import to_parquet  # pyarrow is slow to import

    stream.seek(0)
    pieces: list[bytes] = []
    to_parquet(stream, pieces.append)
    stream.seek(0)
    stream.truncate()
    stream.write(b"".join(pieces))


def _refuse(difference: Difference) -> NoReturn:
    raise AssertionError(f"the pipeline wrote rows that cannot be read again: {difference}")
