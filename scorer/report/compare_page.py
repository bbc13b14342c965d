"""The page that compares two outputs: `score-model compare -o`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from scorer.base.text import counted, share, shown_number, shown_source
from scorer.model.reference import SCORE_EDGES, Histogram
from scorer.report.comparison import Comparison, Distances, ProbabilityComparison, Spelling, four_decimals
from scorer.report.label_comparison import LabelComparison
from scorer.report.page import bars_of, is_page, render
from scorer.report.set_comparison import SetComparison
from scorer.report.value_comparison import ValueComparison
from scorer.report.verdict import Verdict
from scorer.rows.label_cell import join_labels

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
        "has_texts": any(map(found.text_of, found.shown)),
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
    return charts, {
        "results": "compare_labels.html",
        "verdict": _flipped(found, "{rows} flipped", "No label flipped", _turns(found)),
        "flips": bars_of({f"{old} → {new}": rows for (old, new), rows in found.flips.items()}, found.flipped),
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
    return charts, {
        "results": "compare_sets.html",
        "verdict": _flipped(found, "The labels of {rows} changed", "The labels of no row changed"),
        "joined": lambda row: join_labels(row.label) or "(no label)",
        "flipped_share": share(found.changed, found.rows),
        "moves_words": _words(found.distances, four_decimals),
    }


def _of_values(found: ValueComparison) -> _Parts:
    charts = {}
    for number, output in enumerate(found.outputs, start=1):
        charts[f"together-{number}"] = _grid(output.together, output.edges, of="rows", what="value")
        charts[f"moves-{number}"] = _moves(output.moves())
        charts[f"scores-{number}"] = _sides(output.scores, "value")
    return charts, {
        "results": "compare_values.html",
        "verdict": _moved(found),
        "moves_words": [_words(output.distances, shown_number) for output in found.outputs],
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


def _flipped(found: ProbabilityComparison, some: str, none: str, turns: str = "") -> Verdict:
    """Return the verdict on outputs with labels.

    Args:
        found: result of the comparison.
        some, none: beginnings of the sentence if labels differ, with ``{rows}`` for the number of rows, and if none does.
        turns: end of the sentence if labels differ.
    """
    distances = found.distances
    moved = f"scores moved by {four_decimals(distances.size, '')} on average" if distances.biggest else "no score moved"
    if not found.flipped:
        return _also_missing(found, Verdict("good", "Same labels", f"{none}; {moved}."))
    what = "labels" if isinstance(found, LabelComparison) else "rows"
    rows = f"{found.flipped:,} of {found.rows:,} {what} ({share(found.flipped, found.rows)})"
    return _also_missing(found, Verdict("look", "Labels differ", f"{some.format(rows=rows)}{turns}; {moved}."))


def _turns(found: LabelComparison) -> str:
    """Describe the most frequent change of label."""
    if not found.flips:
        return ""
    (old, new), rows = found.flips.most_common(1)[0]
    if found.flipped == 1:
        return f", from {old} to {new}"
    if rows == found.flipped:
        how_many = "both" if rows == 2 else "all of them"
    else:
        how_many = "most of them" if rows > found.flipped / 2 else f"{rows:,} of them"
    return f", {how_many} from {old} to {new}"


def _moved(found: ValueComparison) -> Verdict:
    """Return the verdict on outputs with values."""
    if not any(output.distances.biggest for output in found.outputs):
        return _also_missing(found, Verdict("good", "Same values", "No value moved."))
    first = found.outputs[0]
    of = f" of {first.name}" if len(found.outputs) > 1 else ""
    size, biggest = (shown_number(one) for one in (first.distances.size, first.distances.biggest))
    return _also_missing(
        found, Verdict("look", "Values differ", f"Values{of} moved by {size} on average, and by at most {biggest}.")
    )


def _also_missing(found: Comparison, verdict: Verdict) -> Verdict:
    """Add the rows that only one of the outputs has."""
    missing = found.only_before.rows + found.only_after.rows
    if not missing:
        return verdict
    title = "Rows differ" if verdict.level == "good" else verdict.title
    only = f"{counted(missing, 'row')} {'is' if missing == 1 else 'are'} in one output only"
    return Verdict("look", title, f"{verdict.sentence.removesuffix('.')}; {only}.")


def _words(distances: Distances, spell: Spelling) -> str:
    return (
        f"Mean {spell(distances.mean, '+')}. 50% of the rows moved by at most {spell(distances.median, '')}, "
        f"95% by {spell(distances.percentile_95, '')}, 99% by {spell(distances.percentile_99, '')}."
    )
