"""Outputs of `score`, read again and joined row by row."""

from collections.abc import Iterator
from typing import NamedTuple

from scorer.base.errors import InputError, UsageError
from scorer.base.text import did_you_mean
from scorer.report.examples import beginning
from scorer.rows.columns import ID, STAGE, TEXT_COLUMNS, Wanted, shown_names
from scorer.rows.reader import Inputs, Reader
from scorer.rows.record import STAGES, Reject, plain

ROW = "row"
_BY_ROW = " Join by row: --by row."


class Scored(NamedTuple):
    """Row of an output.

    Attributes:
        key: key that joins it with the other output: its id or its row number.
        label, score: label and score, as in the output.
        text: beginning of its text, if the output has it.
        stage: one of `STAGES`, if the output names it.
    """

    key: str
    label: str
    score: float
    text: str | None
    stage: str | None = None


class Output:
    """Output of `score`, read with the reader for inputs; the label is its text column."""

    def __init__(self, path: str, text: str | None) -> None:
        self._path = path
        self._text = text
        kept = TEXT_COLUMNS if text is None else (text,)
        needed = {ROW: None, "score": None}
        self._reader = Reader(
            Inputs((path,)), Wanted(text="label", option=None, needed=needed, optional=(*kept, STAGE))
        )
        try:
            self._reader.peek()
        except UsageError as error:
            raise UsageError(
                f"{path} is not an output of score: it must be a *.csv, *.tsv, *.jsonl or *.parquet file, perhaps compressed, "
                f"with the columns row, label and score, each once. {error}"
            ) from error
        self._columns = self._reader.selection.carried if self._reader.selection is not None else ()
        if text in self._reader.notes.absent:
            columns = self._reader.notes.columns
            advice = did_you_mean(str(text), columns, "name one of them with --text.")
            raise UsageError(f"{path} has no column {text!r}; {advice} It has: {shown_names(columns)}.")
        self.has_ids = ID in self._columns
        # A kept column named like the stage comes before the label and the score; `score`'s own comes after.
        names = self._reader.notes.columns
        self._is_staged = STAGE in names and names.index(STAGE) > names.index("score")

    def rows(self, by: str) -> Iterator[Scored]:
        """Yield the rows in order.

        Args:
            by: ``id`` or ``row``, the key that joins them.

        Raises:
            UsageError: the rows have no such key.
            InputError: a row is not one of an output of `score`.
        """
        if by == ID and not self.has_ids and self._columns:
            raise UsageError(f"{self._path} has no ids.{_BY_ROW}")
        for record in self._reader:
            place = f"{self._path}, line {record.position.line}"
            if isinstance(record, Reject):
                raise InputError(f"{place} is not a row of an output of score: {record.reason}.")
            values = dict(zip(self._columns, map(plain, record.carried), strict=True))
            key = values[by]
            if not key:
                raise InputError(f"{place} has no {by}.{_BY_ROW if by == ID else ''}")
            shown = (values.get(name) for name in (TEXT_COLUMNS if self._text is None else (self._text,)))
            kept = next(filter(None, shown), None)
            stage = values.get(STAGE) if self._is_staged else None
            named = stage if stage in STAGES else None
            yield Scored(key, record.text, _score(values["score"], place), kept and beginning(kept), named)


def by_row(first: Iterator[Scored], second: Iterator[Scored]) -> Iterator[tuple[Scored | None, Scored | None]]:
    """Join two outputs by row number. Both are in row order, so no row is held in memory."""
    ahead, behind = _numbered(first), _numbered(second)
    one, other = next(ahead, None), next(behind, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[1], None
            one = next(ahead, None)
        elif one is None or other[0] < one[0]:
            yield None, other[1]
            other = next(behind, None)
        else:
            yield one[1], other[1]
            one, other = next(ahead, None), next(behind, None)


def _numbered(rows: Iterator[Scored]) -> Iterator[tuple[int, Scored]]:
    last = 0
    for scored in rows:
        number = int(scored.key) if scored.key.isdecimal() and len(scored.key) < 20 else 0
        if number <= last:
            raise InputError(
                f"row {scored.key} comes after row {last}, but the rows of an output are ascending numbers."
            )
        last = number
        yield number, scored


def by_id(
    first: Iterator[Scored], second: Iterator[Scored], names: tuple[str, str]
) -> Iterator[tuple[Scored | None, Scored | None]]:
    """Join two outputs by id: the rows of the second in order, then those that only the first has.

    Args:
        first, second: rows of the outputs.
        names: names of the outputs.
    """
    waiting: dict[str, Scored] = {}
    for scored in first:
        if waiting.setdefault(scored.key, scored) is not scored:
            raise _ambiguous(scored.key, names[0])
    seen: set[str] = set()
    for scored in second:
        if scored.key in seen:
            raise _ambiguous(scored.key, names[1])
        seen.add(scored.key)
        yield waiting.pop(scored.key, None), scored
    for scored in waiting.values():
        yield scored, None


def _ambiguous(key: str, name: str) -> InputError:
    return InputError(f"{name} has the id {key!r} more than once.{_BY_ROW}")


def _score(value: str | None, place: str) -> float:
    try:
        score = float(value or "")
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise InputError(f"{place} has the score {value!r}, which is not a number between 0 and 1.")
    return score
