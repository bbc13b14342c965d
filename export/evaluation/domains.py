"""Figures by domain, and their macro means: every domain counts the same, however many texts it has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from export.evaluation.evaluate import Scored, by_domain
from export.evaluation.headline import INTERVAL
from export.evaluation.judge import Judge

DOMAIN_FIELDS = ("by_domain", "macro_mean")
"""Names of the figures in a manifest and evaluation.json."""

_WITHOUT, _WITHOUT_HEAD = "without_cascade", "without cascade"


def domain_figures(scored: Scored) -> dict[str, Any]:
    """Compute metrics by domain and their macro means, as a manifest and evaluation.json hold them.

    With a cascade, both also have the judge's figure for groups with every text through the encoder.

    Returns:
        figures by the names of `DOMAIN_FIELDS`; nothing if all texts are of one domain.
    """
    groups, judge = by_domain(scored), scored.judge
    if not groups:
        return {}
    each = [{"name": one.name, **asdict(one.metrics)} for one in groups]
    averaged = [judge.grouped.field, *(figure.field for figure in judge.averaged)]
    if scored.stages is not None:
        for one, whole in zip(each, by_domain(scored.without_cascade), strict=True):
            one[_WITHOUT] = judge.grouped.value(asdict(whole.metrics))
        averaged.append(_WITHOUT)
    means = {field: _mean([one[field] for one in each]) for field in averaged}
    return {"by_domain": each, "macro_mean": {"domains": len(each), "texts": len(scored.split), **means}}


def domain_table(
    judge: Judge, by_bundle: Mapping[str, Mapping[str, Any]]
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return head and rows of the table by domain, with macro means in its last row.

    Args:
        judge: judge of the predictions.
        by_bundle: figures of `domain_figures` by bundle, for the same texts; several bundles stand side by side.
    """
    first = next(iter(by_bundle.values()))
    mean = {"name": f"macro mean of {first['macro_mean']['domains']} domains", **first["macro_mean"]}
    names = [(one["name"], f"{one['texts']:,}") for one in (*first["by_domain"], mean)]
    head, columns = ["domain", "texts"], [*zip(*names, strict=True)]
    for title, cell in _cells(judge).items():
        for bundle, found in by_bundle.items():
            if title == _WITHOUT_HEAD and _WITHOUT not in found["macro_mean"]:
                continue
            head.append(title if len(by_bundle) == 1 else f"{title}, {bundle}")
            columns.append(tuple(cell(one) for one in (*found["by_domain"], found["macro_mean"])))
    return head, list(zip(*columns, strict=True))


def _cells(judge: Judge) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    """Return the function that formats each column of a table, by its head; means have no interval."""
    figure = judge.grouped
    return {
        figure.name: lambda metrics: figure.spelled(figure.value(metrics)),
        INTERVAL: lambda metrics: figure.cells(metrics)[1] if figure.interval in metrics else "",
        **{one.name: one.cell for one in judge.averaged},
        _WITHOUT_HEAD: lambda metrics: figure.spelled(metrics[_WITHOUT]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of a figure over the domains for which it is defined, or None.

    >>> _mean([0.5, None, 1.0]), _mean([None])
    (0.75, None)
    """
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
