"""Labels of an output's rows, counted as a run counts them."""

import json
from collections import Counter
from collections.abc import Mapping

from scorer.base.task import MULTI_LABEL, SINGLE_LABEL, Task
from scorer.model.decision import UNCERTAIN
from scorer.model.interpretation import Interpretation
from scorer.rows.label_cell import split_labels
from scorer.rows.record import Value

OTHER = "(no label of the model)"
"""Name under which everything else counts, so that the memory does not depend on the output."""

_COLUMNS: Mapping[Task, str] = {SINGLE_LABEL: "label", MULTI_LABEL: "labels"}


class LabelCounts:
    """Labels of rows.

    Args:
        interpretation: meaning of the logits of the run's model.

    Attributes:
        labels: rows by label; with several labels, a row counts for each of them.
        without: rows that could have several labels and have none.
    """

    def __init__(self, interpretation: Interpretation) -> None:
        self.labels: Counter[str] = Counter()
        self.without = 0
        self._task = interpretation.task
        self._names = {*interpretation.labels, UNCERTAIN}

    def add(self, fields: Mapping[str, Value]) -> None:
        """Count the labels of a row, given as the values of its columns."""
        column = _COLUMNS.get(self._task)
        if column is None:
            return
        value = fields.get(column)
        found = self._of_cell(value) if value is None or isinstance(value, str) else self._of_json(value.source)
        labels = found if self._task == MULTI_LABEL and isinstance(found, list) else [found]
        self.labels.update(label if isinstance(label, str) and label in self._names else OTHER for label in labels)
        self.without += not labels

    def _of_cell(self, cell: str | None) -> object:
        return cell if cell is None or self._task != MULTI_LABEL else split_labels(cell)

    @staticmethod
    def _of_json(source: str) -> object:
        try:
            return json.loads(source)
        except (ValueError, RecursionError):
            return None
