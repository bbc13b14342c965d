"""Calls of `scorer.Scorer` as type checkers see them: mypy checks this file, and nothing runs it."""

from typing import assert_type

import duckdb
import numpy as np
import polars as pl

from scorer import LabelSets, Scorer, Scores, Values


def results(scorer: Scorer, texts: list[str], some: list[str | None], column: pl.Series, array: np.ndarray) -> None:
    assert_type(scorer.score(texts), Scores | LabelSets | Values)
    assert_type(scorer.score(some, on_error="null"), Scores[str | None] | LabelSets[tuple[str, ...] | None] | Values)
    found = scorer.score(column)
    if isinstance(found, Scores):
        labels, probabilities = found
        annotated(Scores(labels, probabilities))
    elif isinstance(found, LabelSets):
        _ = [label for labels in found.labels for label in labels]
    else:
        assert_type(found, Values)
    assert_type(scorer.score(array), Scores | LabelSets | Values)
    scorer.score(some)  # type: ignore[arg-type]
    scorer.score(texts, on_error="ignore")  # type: ignore[call-overload]


def tables(scorer: Scorer, frame: pl.DataFrame, query: duckdb.DuckDBPyRelation, batches: bool) -> None:
    scorer.score_table(frame, "review", keep=["id"], details=True)
    scorer.score_table(query, keep="*", batches=True)
    scorer.score_table(query, batches=batches)
    scorer.score_table({"text": ["good"]})  # type: ignore[call-overload]
    scorer.score_table(frame, keep=5)  # type: ignore[call-overload]


def annotated(found: Scores) -> list[str]:
    return found.labels
