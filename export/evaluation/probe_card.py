"""The model card's section on probes: short texts written to find a model's limits."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from export.data import sort_labels
from export.evaluation.evaluate import Scored, by_group, costliest
from export.evaluation.value_judge import MAE
from scorer.base.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Task

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]
"""A paragraph, or a table's head and rows."""

_COLUMNS: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        SINGLE_LABEL: ("predicted", "probability"),
        MULTI_LABEL: ("labels", "predicted"),
        REGRESSION: ("value", "predicted"),
    }
)
_MOST_VALUES = 10
_SAMPLE = "They are not a representative sample, but they show where its limits are."


def probe_parts(probes: Scored) -> Iterator[Part]:
    """Yield the section.

    Args:
        probes: scored probes, grouped by what they test.
    """
    yield "## Probes"
    count = len(probes.split)
    probed = f"The model was probed with {count} short texts written for the purpose;"
    if probes.interpretation.task == REGRESSION:
        error = MAE.spelled(float(np.abs(probes.values - probes.split.labels).mean()))
        yield f"{probed} its values are {error} off on average. {_SAMPLE}"
        each = [(one.name, f"{one.metrics.texts}", MAE.cells(vars(one.metrics))[0]) for one in by_group(probes)]
        yield ("kind", "texts", "mean absolute error"), each
        yield from _errors(probes, costliest(probes, _MOST_VALUES), "Probes with the largest errors:")
        return
    right = probes.costs < 0
    yield f"{probed} it labels {right.sum()} of them as intended. {_SAMPLE}"
    yield ("kind", "texts", "right"), list(_by_kind(probes, right))
    yield from _errors(probes, np.flatnonzero(~right).tolist(), "Probes that it labels wrongly:")


def _by_kind(probes: Scored, right: np.ndarray) -> Iterator[tuple[str, str, str]]:
    groups = np.array(probes.split.groups)
    for kind in sort_labels(set(probes.split.groups)):
        here = groups == kind
        yield kind, str(here.sum()), str(right[here].sum())


def _errors(probes: Scored, rows: Sequence[int], title: str) -> Iterator[Part]:
    """Yield a table of some of the probes, with their predictions."""
    if not rows:
        return
    split, columns = probes.split, _COLUMNS[probes.interpretation.task]
    yield title
    yield (
        ("kind", "text", *columns),
        [
            (
                split.groups[row] if split.groups else "",
                split.texts[row],
                *(_cell(name, found[name]) for name in columns),
            )
            for row, found in ((row, probes.judge.error(probes.values[row], split.labels[row])) for row in rows)
        ],
    )


def _cell(name: str, found: Any) -> str:
    if name == "probability":
        return f"{found:.0%}"
    if isinstance(found, list):
        return ", ".join(map(str, found)) or "none"
    return f"{found:.4g}" if isinstance(found, float) else str(found)
