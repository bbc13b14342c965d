"""Texts for `Scorer.score`: the lists and columns that it accepts, and refusals that name what to pass instead."""

import collections

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from scorer import Scorer
from scorer.model.texts import texts_of

TEXTS = ["good film", "bad", "a dull plot"]


@pytest.mark.parametrize(
    "column",
    [
        tuple(TEXTS),
        (text for text in TEXTS),
        collections.deque(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS, index=[7, 7, 3]),
        pd.Series(TEXTS, dtype="category"),
        pd.Series(TEXTS, dtype="string"),
        pd.Index(TEXTS),
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
        pa.table({"text": TEXTS})["text"],
        datasets.Dataset.from_dict({"text": TEXTS})["text"],
        pl.Series(TEXTS),
        pl.Series(TEXTS, dtype=pl.Categorical),
        pl.Series(TEXTS, dtype=pl.Enum(TEXTS)),
        pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.large_string())),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS, pa.large_string()).dictionary_encode(),
        pc.run_end_encode(pa.array(TEXTS)),
        np.array(TEXTS, dtype=np.dtypes.StringDType()),
    ],
    ids=lambda column: f"{type(column).__module__}.{type(column).__name__}",
)
def test_a_column_of_texts_becomes_a_list(column):
    found = texts_of(column)
    assert found == TEXTS
    assert {type(text) for text in found} == {str}


FRAME = pd.DataFrame({"text": TEXTS, "id": [1, 2, 3]})


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (FRAME, "pandas.DataFrame"),
        (FRAME[["text"]], "pandas.DataFrame"),
        (pa.table({"text": TEXTS}), "pyarrow.Table"),
        (pa.record_batch({"text": TEXTS}), "pyarrow.RecordBatch"),
        (datasets.Dataset.from_dict({"text": TEXTS}), "datasets.Dataset"),
        ({"text": TEXTS}, "dict"),
        (np.array([TEXTS]), "numpy.ndarray"),
        (np.array("one text"), "numpy.ndarray"),
        (pl.DataFrame({"text": TEXTS}), "polars.DataFrame"),
        (pl.LazyFrame({"text": TEXTS}), "polars.LazyFrame"),
        (duckdb.sql("SELECT 'good' AS text"), "duckdb.DuckDBPyRelation"),
        (pa.table({"text": TEXTS}).to_reader(), "pyarrow.RecordBatchReader"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_table_is_refused_with_what_to_pass_instead(bundle, table, kind):
    with pytest.raises(TypeError) as refused:
        Scorer(bundle, provider="cpu").score(table)
    assert str(refused.value) == (
        f"score() takes a list of texts, not {kind}, which has columns or dimensions of its own; "
        'pass the column that holds the texts, as in score(df["text"]), or pass the table to score_table().'
    )


@pytest.mark.parametrize("given", [None, 3, {"good", "bad"}, {"good": 1}.keys()])
def test_a_set_or_a_value_that_is_not_a_sequence_is_refused(given):
    with pytest.raises(TypeError, match="score\\(\\) takes a list of texts, not "):
        texts_of(given)


@pytest.mark.parametrize("given", ["a single text", b"a single text"])
def test_a_single_text_is_refused(given):
    with pytest.raises(TypeError, match="put a single text into a list"):
        texts_of(given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["good", None], "position 1 (counted from 0) is None (NoneType), not text; "),
        (
            pd.Series(["good", float("nan"), "x"], dtype=object),
            "position 1 (counted from 0) is nan (float), not text; ",
        ),
        (
            pd.Series(["good", None], dtype="string"),
            "position 1 (counted from 0) is <NA> (pandas.NAType), not text; ",
        ),
        (pa.array([None, "good"]), "position 0 (counted from 0) is None (NoneType), not text; "),
        (np.array([b"good"]), "position 0 (counted from 0) is np.bytes_(b'good') (numpy.bytes_), not text; "),
        ([{"text": "good"}], "position 0 (counted from 0) is {'text': 'good'} (dict), not text; "),
        ([["good"] * 90], "is ['good', 'good', 'good', 'good', 'good',... (list), not text; "),
        ([1, "good", *[2] * 7], "is 1 (int), not text (and 7 more: 2, 3, 4, 5, ...); "),
    ],
)
def test_a_value_that_is_not_text_is_refused_with_its_position(values, message):
    with pytest.raises(TypeError) as refused:
        texts_of(values)
    assert message in str(refused.value)
    assert str(refused.value).endswith(
        '; pass each text as a str; leave such texts out, or pass on_error="null" for results without a score.'
    )


@pytest.mark.parametrize("blank", ["", " \t\n", "\u2003"])
def test_a_blank_text_is_refused_as_the_command_rejects_it(bundle, blank):
    with pytest.raises(ValueError, match="leave such texts out, or pass on_error") as refused:
        Scorer(bundle, provider="cpu").score(["good", blank, "bad", blank])
    assert str(refused.value).startswith("position 1 (counted from 0) is blank (and 1 more: 3); ")


def test_a_text_without_a_token_is_refused_as_the_command_rejects_it(bundle):
    with pytest.raises(ValueError, match="which has no tokens; leave such texts out") as refused:
        Scorer(bundle, provider="cpu").score(["good", "bad", "\u200b"])
    assert str(refused.value).startswith("position 2 (counted from 0) is '\\u200b' (str), which ")


def test_a_text_that_utf8_cannot_encode_is_refused_with_its_position():
    with pytest.raises(ValueError, match=r"position 1 .* is not valid text: .* contains a lone surrogate"):
        texts_of(["good", "\ud800"])
