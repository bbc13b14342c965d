"""What `Scorer.score` takes for a list of texts, and what it refuses with what to give instead."""

import collections

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from scorer.model.scorer import Scorer
from scorer.model.texts import texts_of

TEXTS = ["good film", "bad", "a dull plot"]


class PolarsLike:
    """As a frame of polars: iterated, it gives columns."""

    def __iter__(self):
        return iter([["a"], ["b"]])

    @property
    def columns(self):
        raise AssertionError("asked for the names, a lazy frame may run its query")


class PolarsLikeSeries:
    """As a series of polars: Arrow can read it, as it can a table."""

    def __arrow_c_stream__(self, requested_schema=None):
        raise AssertionError

    def __iter__(self):
        return iter(TEXTS)


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
        PolarsLikeSeries(),
    ],
    ids=lambda column: f"{type(column).__module__}.{type(column).__name__}",
)
def test_a_column_of_texts_is_their_list(column):
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
        (PolarsLike(), "test_texts.PolarsLike"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_table_is_refused_with_what_to_pass_instead(bundle, table, kind):
    with pytest.raises(TypeError) as refused:
        Scorer(bundle, provider="cpu").score(table)
    assert str(refused.value) == (
        f"score() takes a list of texts, not {kind}, which has columns or dimensions of its own; "
        'pass the column that holds the texts, as in score(df["text"]).'
    )


@pytest.mark.parametrize("given", [None, 3, {"good", "bad"}, {"good": 1}.keys()])
def test_what_has_no_order_or_is_no_sequence_is_refused(given):
    with pytest.raises(TypeError, match="score\\(\\) takes a list of texts, not "):
        texts_of(given)


@pytest.mark.parametrize("given", ["a single text", b"a single text"])
def test_a_single_text_is_refused(given):
    with pytest.raises(TypeError, match="put a single one into a list"):
        texts_of(given)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["good", None], "position 1 (counted from 0) is no text but None (NoneType); "),
        (
            pd.Series(["good", float("nan"), "x"], dtype=object),
            "position 1 (counted from 0) is no text but nan (float); ",
        ),
        (
            pd.Series(["good", None], dtype="string"),
            "position 1 (counted from 0) is no text but <NA> (pandas.NAType); ",
        ),
        (pa.array([None, "good"]), "position 0 (counted from 0) is no text but None (NoneType); "),
        (np.array([b"good"]), "position 0 (counted from 0) is no text but np.bytes_(b'good') (numpy.bytes_); "),
        ([{"text": "good"}], "position 0 (counted from 0) is no text but {'text': 'good'} (dict); "),
        ([["good"] * 90], "is no text but ['good', 'good', 'good', 'good', 'good',... (list); "),
        ([1, "good", *[2] * 7], "is no text but 1 (int) (and 7 more: 2, 3, 4, 5, ...); "),
    ],
)
def test_a_value_that_is_no_text_is_refused_with_its_position(values, said):
    with pytest.raises(TypeError) as refused:
        texts_of(values)
    assert said in str(refused.value)
    assert str(refused.value).endswith("score rejects such rows as not_text, empty_text or missing_text.")


@pytest.mark.parametrize("blank", ["", " \t\n", "\u2003"])
def test_a_blank_text_is_refused_as_the_command_rejects_it(bundle, blank):
    with pytest.raises(ValueError, match="rejects such rows as empty_text") as refused:
        Scorer(bundle, provider="cpu").score(["good", blank, "bad", blank])
    assert str(refused.value).startswith("position 1 (counted from 0) is blank (and 1 more: 3); ")


def test_a_text_without_a_token_is_refused_as_the_command_rejects_it(bundle):
    with pytest.raises(ValueError, match="of which the tokenizer leaves nothing; leave them out") as refused:
        Scorer(bundle, provider="cpu").score(["good", "bad", "\u200b"])
    assert str(refused.value).startswith("position 2 (counted from 0) is '\\u200b' (str), of which ")


def test_a_text_that_no_utf8_holds_is_refused_with_its_position():
    with pytest.raises(ValueError, match=r"position 1 .* is no valid text: .* holds half of a surrogate pair"):
        texts_of(["good", "\ud800"])
