"""Outputs of `score`, read again; their columns show the task."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

from scorer.base.errors import InputError, UsageError
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task
from scorer.base.text import did_you_mean
from scorer.report.examples import beginning
from scorer.rows.columns import ID, STAGE, TEXT_COLUMNS, Wanted, select, shown_names, take
from scorer.rows.header import Header
from scorer.rows.label_cell import join_labels, split_labels
from scorer.rows.reader import Inputs, first_header, records_of
from scorer.rows.record import STAGES, Parsed, Value, plain

ROW = "row"
BY_ROW = " Join by row: --by row."
_LABEL, _LABELS, _SCORE, _EACH = "label", "labels", "score", "score_"
_PROBABILITIES = (0.0, 1.0)
_NUMBERS = (-1e300, 1e300)  # their differences and sums are finite


class Layout(NamedTuple):
    """Columns of an output that hold the results.

    Attributes:
        task: kind of the results.
        answer: column of the label or of the labels; None if the results are numbers.
        values: columns of the probabilities or values.
        names: label or output of each of them.
    """

    task: Task
    answer: str | None
    values: tuple[str, ...]
    names: tuple[str, ...]


class Scored(NamedTuple):
    """Row of an output.

    Attributes:
        key: key that joins it with the other output: its id or its row number.
        label: label, as in the output; a tuple of labels if a row can have several; empty if the results are numbers.
        values: probabilities or values, by `Layout.values`.
        text: beginning of its text, if the output has it.
        stage: one of `STAGES`, if the output names it.
    """

    key: str
    label: str | tuple[str, ...]
    values: tuple[float, ...]
    text: str | None
    stage: str | None = None

    @property
    def score(self) -> float:
        """The first value, which is the only one of an output with one label a row."""
        return self.values[0]


def layout_of(columns: Sequence[str]) -> Layout:
    """Infer the task of an output from its columns; without those of any task, it is one label a row.

    >>> layout_of(["row", "labels", "score_a", "score_b"])
    Layout(task='multi_label', answer='labels', values=('score_a', 'score_b'), names=('a', 'b'))
    >>> layout_of(["row", "stars", "score"]).task, layout_of(["row", "label", "score"]).task
    ('regression', 'single_label')
    """
    each = [name for name in columns if name.startswith(_EACH)]
    if _LABEL not in columns and _LABELS in columns and _SCORE not in columns:
        after = columns[columns.index(_LABELS) :]
        return _layout(MULTI_LABEL, _LABELS, [name for name in each if name in after])
    if _LABEL not in columns and _SCORE in columns:
        return Layout(REGRESSION, None, (_SCORE,), (_SCORE,))
    if _LABEL not in columns and each:
        # Kept columns may have such names as well, but the output's own are the last ones.
        start = max((at for at, name in enumerate(columns) if name not in each), default=-1) + 1
        return _layout(REGRESSION, None, columns[start:] or each)
    return Layout(SINGLE_LABEL, _LABEL, (_SCORE,), (_SCORE,))


def _layout(task: Task, answer: str | None, values: Sequence[str]) -> Layout:
    return Layout(task, answer, tuple(values), tuple(name.removeprefix(_EACH) for name in values))


class Output:
    """Output of `score`, read with the readers for inputs.

    Attributes:
        path: name of the file.
        layout: columns of its results; None if it has neither a header nor a record.
        has_ids: whether its rows have ids.

    Raises:
        UsageError: the file is not an output of `score`, or lacks the column of texts.
        InputError: the file is damaged.
    """

    def __init__(self, path: str, text: str | None) -> None:
        self.path = path
        self._shown = TEXT_COLUMNS if text is None else (text,)
        inputs = Inputs((path,))
        try:
            header = first_header(inputs, path)
            columns = header.names
            self.layout = layout = layout_of(columns) if columns else None
            # Only the label is a text; the selection names another column to have it read.
            first = _LABEL if layout is None else layout.answer or layout.values[0]
            needed = {ROW: None, **dict.fromkeys(layout.values if layout is not None else ())}
            wanted = Wanted(text=first, option=None, needed=needed, optional=(*self._shown, STAGE))
            self._selection = select(wanted, header if columns else Header((ROW, _LABEL)), path)
            records = records_of(inputs, path, self._selection, is_text=first == _LABEL)
            self._records = chain(list(islice(records, 1)), records)
        except UsageError as error:
            raise UsageError(
                f"{path} is not an output of score: it must be a *.csv, *.tsv, *.jsonl or *.parquet file, perhaps compressed, "
                "with the column row, and with label and score, labels and score_<label>, or score, each once. "
                f"{error}"
            ) from error
        if layout is not None and not layout.values:
            raise UsageError(
                f"{path} is not an output of score: it has the column labels, but no score_<label> after it."
            )
        if columns and text is not None and text not in columns:
            advice = did_you_mean(text, columns, "name one of them with --text.", "--text")
            raise UsageError(f"{path} has no column {text!r}; {advice} It has: {shown_names(columns)}.")
        self.has_ids = ID in columns
        # A kept column named like the stage comes before the label and the score; `score`'s own comes after.
        self._is_staged = STAGE in columns and _SCORE in columns and columns.index(STAGE) > columns.index(_SCORE)

    def rows(self, by: str) -> Iterator[Scored]:
        """Yield the rows in order; they can be read once.

        Args:
            by: ``id`` or ``row``, the key that joins them.

        Raises:
            UsageError: the rows have no such key.
            InputError: a row is not one of an output of `score`.
        """
        if by == ID and not self.has_ids and self.layout is not None:
            raise UsageError(f"{self.path} has no ids.{BY_ROW}")
        for parsed in self._records:
            place = f"{self.path}, line {parsed.position.line}"
            fields = parsed.fields
            label = self._label(parsed, place)
            key = plain(fields.get(by))
            if not key:
                raise InputError(f"{place} has no {by}.{BY_ROW if by == ID else ''}")
            kept = next(filter(None, (plain(fields.get(name)) for name in self._shown)), None)
            stage = plain(fields.get(STAGE)) if self._is_staged else None
            named = stage if stage in STAGES else None
            yield Scored(key, label, self._values(fields, place), kept and beginning(kept), named)

    def _label(self, parsed: Parsed, place: str) -> str | tuple[str, ...]:
        layout, reason = self.layout, parsed.problem
        if layout is not None and layout.task != SINGLE_LABEL:
            if reason is None and not parsed.duplicates.isdisjoint((self._selection.text, *self._selection.carried)):
                reason = "duplicate_key"
            if reason is None:
                return _labels(parsed.fields.get(_LABELS), place) if layout.task == MULTI_LABEL else ""
        else:
            taken = take(self._selection, parsed)
            if not isinstance(taken, str):
                return taken[0]
            reason = taken
        raise InputError(f"{place} is not a row of an output of score: {reason}.")

    def _values(self, fields: "Mapping[str, Value]", place: str) -> tuple[float, ...]:
        layout = self.layout
        assert layout is not None, "a record has columns"
        limits = _NUMBERS if layout.task == REGRESSION else _PROBABILITIES
        return tuple([_value(plain(fields.get(name)), limits, place, name) for name in layout.values])


def _labels(value: "Value | None", place: str) -> tuple[str, ...]:
    """Return the labels of a cell: a list, or text that joins them."""
    found = (
        value if value is None or isinstance(value, str) else value.value if value.is_text else json.loads(value.source)
    )
    if isinstance(found, str) and join_labels(split_labels(found)) == found:  # as this program joins them
        found = split_labels(found)
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise InputError(f"{place} has the labels {plain(value)!r}, which are not a list of labels.")
    return tuple(found)


def _value(cell: str | None, limits: tuple[float, float], place: str, name: str) -> float:
    """Return the number in a cell, which must lie within limits."""
    try:
        value = float(cell or "")
    except ValueError:
        value = float("nan")
    lowest, highest = limits
    if not lowest <= value <= highest:  # refuses NaN as well
        raise InputError(f"{place} has the {name} {cell!r}, which is not a number between {lowest:g} and {highest:g}.")
    return value
