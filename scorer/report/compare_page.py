"""The page that compares two outputs: `score-model compare -o`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from scorer.base.text import share, shown_number, shown_source
from scorer.model.reference import SCORE_EDGES, Histogram
from scorer.report.comparison import Comparison, Distances, Spelling, four_decimals
from scorer.report.label_comparison import LabelComparison
from scorer.report.page import is_page, render
from scorer.report.set_comparison import SetComparison, shown_change
from scorer.report.value_comparison import ValueComparison

KIND = "comparison"


def is_comparison(stream: BinaryIO) -> bool:
    """Return whether `comparison_page` made a page."""
    return is_page(stream, "compare.html")


def comparison_page(found: Comparison, before: str, after: str) -> str:
    """Return the page as HTML.

    Args:
        found: result of the comparison.
        before, after: names of the two outputs.
    """
    view: dict[str, Any] = {
        "found": found,
        "before": shown_source(before),
        "after": shown_source(after),
        "names": [shown_source(Path(path).name) for path in (before, after)],
    }
    if isinstance(found, ValueComparison):
        charts, more = _of_values(found)
    elif isinstance(found, SetComparison):
        charts, more = _of_sets(found)
    else:
        assert isinstance(found, LabelComparison), "there are three tasks"
        charts, more = _of_labels(found)
    return render("compare.html", charts, view | more)


_Parts = tuple[dict[str, Any], dict[str, Any]]
"""Charts by name, and values for the templates."""


def _of_labels(found: LabelComparison) -> _Parts:
    charts = {
        "together": _grid(found.together, SCORE_EDGES),
        "moves": _moves(found.moves()),
        "scores": _sides(found.scores, "number"),
    }
    if found.flips:
        charts["flips"] = _bars({f"{old} → {new}": rows for (old, new), rows in found.flips.most_common()})
    return charts, {
        "results": "compare_labels.html",
        "flipped_share": share(found.flipped, found.rows),
        "moves_words": _words(found.distances, four_decimals),
        "early_shares": [share(rows, found.stages.rows) for rows in found.stages.early],
    }


def _of_sets(found: SetComparison) -> _Parts:
    charts = {
        "together": _grid(found.together, SCORE_EDGES, of="scores"),
        "moves": _moves(found.moves()),
        "scores": _sides(found.scores, "number", of="scores"),
    }
    for name, rows in (("gained", found.gained), ("lost", found.lost)):
        if rows:
            charts[name] = _bars(dict(rows.most_common()))
    return charts, {
        "results": "compare_sets.html",
        "flipped_share": share(found.changed, found.rows),
        "moves_words": _words(found.distances, four_decimals),
        "change": shown_change,
    }


def _of_values(found: ValueComparison) -> _Parts:
    charts = {}
    for number, output in enumerate(found.outputs, start=1):
        charts[f"together-{number}"] = _grid(output.together, output.edges, of="rows", what="value")
        charts[f"moves-{number}"] = _moves(output.moves())
        charts[f"scores-{number}"] = _sides(output.scores, "value")
    return charts, {
        "results": "compare_values.html",
        "moves_words": [_words(output.distances, shown_number) for output in found.outputs],
        "moved_at_all": any(output.distances.biggest for output in found.outputs),
    }


def _grid(
    together: Mapping[tuple[int, int], int], edges: tuple[float, ...], *, of: str = "rows", what: str = "score"
) -> dict[str, Any]:
    return {
        "kind": "grid",
        "edges": list(edges),
        "cells": [{"x": x, "y": y, "rows": rows} for (x, y), rows in sorted(together.items())],
        "xName": "the first",
        "yName": "the second",
        "of": of,
        "what": what,
    }


def _moves(moves: Histogram) -> dict[str, Any]:
    return {
        "kind": "histogram",
        "edges": list(moves.edges),
        "counts": moves.counts,
        "expected": None,
        "unit": "signed",
        "type": "sqrt",
    }


def _sides(scores: tuple[Histogram, Histogram], unit: str, *, of: str = "rows") -> dict[str, Any]:
    before, after = scores
    return {
        "kind": "histogram",
        "edges": list(after.edges),
        "counts": after.counts,
        "expected": before.counts,
        "unit": unit,
        "of": of,
    }


def _bars(rows: Mapping[str, int]) -> dict[str, Any]:
    return {"kind": "bars", "bars": [{"name": name, "rows": count} for name, count in rows.items()]}


def _words(distances: Distances, spell: Spelling) -> str:
    return (
        f"Mean {spell(distances.mean, '+')}. 50% of the rows moved by at most {spell(distances.median, '')}, "
        f"95% by {spell(distances.percentile_95, '')}, 99% by {spell(distances.percentile_99, '')}."
    )
