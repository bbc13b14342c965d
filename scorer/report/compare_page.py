"""The page that compares two outputs: `score-model compare -o`."""

from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from scorer.base.text import shown_source
from scorer.model.reference import SCORE_EDGES
from scorer.report.compare import MOVE_EDGES, Comparison
from scorer.report.page import is_page, render, share

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
    return render("compare.html", _charts(found), _view(found, before, after))


def _charts(found: Comparison) -> dict[str, Any]:
    before, after = found.scores
    charts: dict[str, Any] = {
        "together": {
            "kind": "grid",
            "edges": list(SCORE_EDGES),
            "cells": [{"x": x, "y": y, "rows": rows} for (x, y), rows in sorted(found.together.items())],
            "xName": "the first",
            "yName": "the second",
        },
        "moves": {
            "kind": "histogram",
            "edges": list(MOVE_EDGES),
            "counts": found.moves().counts,
            "expected": None,
            "unit": "signed",
            "type": "sqrt",
        },
        "scores": {
            "kind": "histogram",
            "edges": list(SCORE_EDGES),
            "counts": after.counts,
            "expected": before.counts,
            "unit": "number",
        },
    }
    if found.flips:
        flips = [{"name": f"{old} → {new}", "rows": rows} for (old, new), rows in found.flips.most_common()]
        charts["flips"] = {"kind": "bars", "bars": flips}
    return charts


def _view(found: Comparison, before: str, after: str) -> dict[str, Any]:
    return {
        "found": found,
        "before": shown_source(before),
        "after": shown_source(after),
        "names": [shown_source(Path(path).name) for path in (before, after)],
        "flipped_share": share(found.flipped, found.rows),
        "early_shares": [share(rows, found.stages.rows) for rows in found.stages.early],
        "distances": found.distances,
        "steps": list(pairwise(MOVE_EDGES)),
    }
