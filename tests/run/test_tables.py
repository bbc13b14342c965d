"""`Scorer.score_table`: a row for each row of a table, whoever made it, with the bits of the command's Parquet output."""

import datetime
import decimal
import json
import subprocess
import sys
import threading
import weakref

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from factories import CHUNK, ROOT, for_each_row, lengthened, reviews
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer import Scorer
from scorer.base.errors import UsageError
from scorer.rows import parquet_reader

BUNDLES = [
    "bundle", "bundle_of_three", "staged_bundle", "windows_bundle", "staged_windows_bundle", "multi_label_bundle",
    "regression_bundle", "ordered_bundle",
]  # fmt: skip
TEXTS = [
    *lengthened(reviews(60, 2, 8), 60, 3).texts,
    None,
    "",
    " \t",
    "\u200b",
    "good",
    "good",
    "so " * 100,
    "Ünïcode 😀",
]
REASONS = [*[None] * 60, *["empty_text"] * 4, *[None] * 4]
TABLE = pa.table(
    {
        "id": [f"n{number}" for number in range(len(TEXTS))],
        "stars": pa.array([number % 5 or None for number in range(len(TEXTS))], pa.int8()),
        "review": TEXTS,
        "label": pa.array([["old", "new", None][number % 3] for number in range(len(TEXTS))]).dictionary_encode(),
    }
)


@pytest.fixture(scope="module")
def scorer(bundle):
    return Scorer(bundle, provider="cpu")


@pytest.fixture
def computed(monkeypatch):
    """Rows that an engine computes."""
    rows = []
    for_each_row(monkeypatch, rows.append)
    return rows


def scored_part(found):
    """Return the rows that have a score, as a file has them."""
    return found.filter(found["reject"].is_null()).drop_columns(["reject"])


def reader_of(batches, schema=None):
    return pa.RecordBatchReader.from_batches(schema or batches[0].schema, iter(batches))


def batch_of(texts, **more):
    return pa.record_batch({"review": pa.array(texts, pa.string()), **more})


# The same as the command


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("name", BUNDLES)
def test_scored_rows_are_those_of_the_commands_parquet_output(request, score, tmp_path, small_chunks, name, details):
    bundle = request.getfixturevalue(name)
    pq.write_table(TABLE, tmp_path / "in.parquet", row_group_size=25)
    options = ["--details"] if details else []
    arguments = [
        tmp_path / "in.parquet",
        "-o",
        tmp_path / "out.parquet",
        "--model",
        bundle.path,
        "--keep",
        "*",
        *options,
    ]
    assert score(*arguments).code == 3
    expected = pq.read_table(tmp_path / "out.parquet")
    found = Scorer(bundle.path, provider="cpu").score_table(TABLE, keep="*", details=details)
    assert found.schema.names == [*expected.schema.names, "reject"]
    assert scored_part(found).schema == expected.schema
    assert scored_part(found).equals(expected)
    assert found["row"].to_pylist() == [*range(1, len(TEXTS) + 1)]
    assert found["reject"].to_pylist() == REASONS
    rejects = [json.loads(line) for line in (tmp_path / "out.parquet.rejects.jsonl").read_text().splitlines()]
    assert {one["row"]: one["reason"] for one in rejects} == {
        row: reason for row, reason in enumerate(REASONS, 1) if reason is not None
    }


def test_columns_and_types_are_those_of_the_command_with_the_same_options(score, tmp_path, bundle, scorer):
    pq.write_table(TABLE, tmp_path / "in.parquet")
    for keep, options in (("stars", ["stars"]), (["label", "id"], ["label", "id"]), (["stars", "*"], ["stars", "*"])):
        kept = [part for name in options for part in ("--keep", name)]
        assert score(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", *kept).code == 3
        found = scorer.score_table(TABLE, "review", keep=keep)
        assert scored_part(found).equals(pq.read_table(tmp_path / "out.parquet"))


def test_scores_of_a_cache_are_the_same_bits_and_nothing_is_computed_again(bundle, tmp_path, scorer, computed):
    expected = scorer.score_table(TABLE, keep="*", details=True)
    for times in (1, 2):
        with Scorer(bundle, provider="cpu", cache=tmp_path / "cache.sqlite") as cached:
            computed.clear()
            assert cached.score_table(TABLE, keep="*", details=True).equals(expected)
        assert (len(computed) > 0) == (times == 1)


def test_scores_are_those_of_score_rounded_as_in_files(scorer):
    texts = [text for text, reason in zip(TEXTS, REASONS, strict=True) if reason is None]
    found = scored_part(scorer.score_table(TABLE))
    labels, probabilities = scorer.score(texts)
    assert found["label"].to_pylist() == labels
    assert found["score"].to_pylist() == [round(value, 6) for value in probabilities[:, 1].tolist()]


def test_a_text_that_does_not_fit_in_memory_or_is_too_long_has_its_reason(bundle, monkeypatch):
    scorer = Scorer(bundle, provider="cpu")
    unlucky = scorer.model.tokenizer.encode(["superb"]).ids[0][1]
    for_each_row(monkeypatch, lambda row: np.nan if unlucky in row else 1)
    monkeypatch.setattr("scorer.run.tables.MAX_RECORD_BYTES", 100)
    found = scorer.score_table(pa.table({"text": ["good", "superb", "good " * 30, "bad"]}), details=True)
    assert found["reject"].to_pylist() == [None, "out_of_memory", "too_long", None]
    for name in found.schema.names[1:-1]:
        assert [value is None for value in found[name].to_pylist()] == [False, True, True, False], name


def test_text_that_is_not_utf8_is_rejected_and_kept_as_it_is(scorer):
    data = pa.array([b"good", b"caf\xe9", b"bad"])
    broken = pa.Array.from_buffers(pa.string(), 3, data.buffers())
    assert scorer.score_table(pa.table({"text": data}))["reject"].to_pylist() == [None, "invalid_encoding", None]
    found = scorer.score_table(pa.table({"text": ["good", "good", "good"], "note": broken}), keep="note")
    assert found["reject"].to_pylist() == [None, "invalid_encoding", None]
    lists = pa.table({"text": ["good"] * 3, "notes": pa.ListArray.from_arrays([0, 1, 2, 3], broken)})
    assert scorer.score_table(lists, keep="notes")["reject"].to_pylist() == [None, "invalid_encoding", None]
    assert [value.as_buffer().to_pybytes() for value in found["note"]] == data.to_pylist()


# Tables of every library


def queried():
    """Return a connection to a database that holds the table."""
    connection = duckdb.connect()
    connection.register("given", TABLE)
    connection.execute("CREATE TABLE reviews AS SELECT * FROM given")
    return connection


TABLES = {
    "pyarrow.Table": lambda: TABLE,
    "pyarrow.RecordBatch": lambda: TABLE.combine_chunks().to_batches()[0],
    "pyarrow.RecordBatchReader": lambda: TABLE.to_reader(max_chunksize=7),
    "pandas, objects": lambda: TABLE.to_pandas().astype({"review": object}),
    "pandas, strings": lambda: TABLE.to_pandas().astype({"review": "string"}),
    "pandas, Arrow": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas, an index": lambda: TABLE.to_pandas().set_index("stars"),
    "polars": lambda: pl.from_arrow(TABLE),
    "polars, in pieces": lambda: pl.concat([pl.from_arrow(TABLE[:9]), pl.from_arrow(TABLE[9:])], rechunk=False),
    "duckdb": lambda: queried().sql("FROM reviews"),
    "duckdb, a result": lambda: queried().sql("FROM reviews").to_arrow_reader(2048),
    "duckdb, a query": lambda: queried().sql("FROM reviews").filter("id <> ''"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_any_library_has_the_same_scores(scorer, name):
    found = scorer.score_table(TABLES[name](), "review", keep="label", details=True)
    expected = scorer.score_table(TABLE, "review", keep="label", details=True)
    assert found.num_rows == len(TEXTS)
    carried = ["id", "input_label"]  # each library has types of its own
    assert found.drop_columns(carried).equals(expected.drop_columns(carried))
    assert found.select(carried).to_pylist() == expected.select(carried).to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
        pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.uint32(), pa.large_string()),
    ],
    ids=str,
)  # fmt: skip
def test_a_text_column_of_any_type_has_the_same_scores(scorer, kind):
    dictionary = pa.types.is_dictionary(kind)
    texts = TABLE["review"].combine_chunks()
    texts = texts.dictionary_encode().cast(kind) if dictionary else texts.cast(kind)
    found = scorer.score_table(pa.table({"review": texts}), keep="review")
    assert found["review"].type == kind
    assert found.select(["row", "label", "score", "reject"]).equals(
        scorer.score_table(TABLE).select(["row", "label", "score", "reject"])
    )


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["good", "bad", "superb film"])])
def test_categories_of_polars_are_texts_and_are_kept(scorer, kind):
    texts = ["good", None, "bad", "superb film", "good"]
    found = scorer.score_table(pl.DataFrame({"text": pl.Series(texts, dtype=kind)}), keep="*")
    assert found["text"].to_pylist() == texts
    plain = scorer.score_table(pl.DataFrame({"text": texts}))
    assert found.select(["label", "score", "reject"]).equals(plain.select(["label", "score", "reject"]))


def test_a_column_of_nulls_has_a_reason_for_each(scorer):
    found = scorer.score_table(pd.DataFrame({"text": [None, None]}))
    assert found["reject"].to_pylist() == ["empty_text"] * 2
    assert found["score"].null_count == 2


def test_equal_texts_of_a_dictionary_are_computed_once(bundle, computed):
    scorer = Scorer(bundle, provider="cpu")
    computed.clear()
    texts = pa.array(["good film", "bad film", "a dull plot"] * 2_000).dictionary_encode()
    assert scorer.score_table(pa.table({"text": texts})).num_rows == 6_000
    assert len(computed) == 3


# Columns to keep

KEPT = {
    "integers": pa.array([1, None, 3], pa.uint8()),
    "numbers": pa.array([0.1, None, float("inf")], pa.float32()),
    "money": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("-0.01")], pa.decimal128(5, 2)),
    "days": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)]),
    "times": pa.array([datetime.datetime(2024, 2, 29, 1, 2, 3, 4), None, None], pa.timestamp("us", "UTC")),
    "durations": pa.array([1, None, 2], pa.duration("ns")),
    "flags": pa.array([True, None, False]),
    "bytes": pa.array([b"\xff\x00", None, b""]),
    "views": pa.array(["a view of more than twelve bytes", None, ""], pa.string_view()),
    "lists": pa.array([["a", None], None, []]),
    "structs": pa.array([{"a": 1, "b": [{"c": "x"}]}, None, {"a": None, "b": None}]),
    "maps": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    "categories": pa.array(["x", None, "y"]).dictionary_encode(),
    "nothing": pa.nulls(3),
}


def test_kept_columns_of_every_type_pass_unchanged_for_scored_and_rejected_rows(scorer):
    table = pa.table({"text": ["good", None, "bad"], **KEPT})
    found = scorer.score_table(table, keep=list(KEPT))
    assert found.select(list(KEPT)).equals(table.select(list(KEPT)))
    assert found["reject"].to_pylist() == [None, "empty_text", None]


def test_kept_columns_are_not_copied(scorer):
    table = pa.table({"text": ["good"] * 1_000, "payload": ["x" * 1_000] * 1_000})
    found = scorer.score_table(table, keep="payload")
    given = table["payload"].chunk(0).buffers()[2].address
    assert {chunk.buffers()[2].address for chunk in found["payload"].chunks} == {given}


def test_rows_are_not_looked_at_in_kept_columns_that_cannot_hold_text(scorer, monkeypatch):
    looked_at, value = [], parquet_reader.ArrowValue
    monkeypatch.setattr(parquet_reader, "ArrowValue", lambda *given: looked_at.append(given) or value(*given))
    table = pa.table({"text": ["good", "bad"], "note": ["a", "b"], **{f"n{at}": [1, 2] for at in range(50)}})
    found = scorer.score_table(table, keep="*")
    assert found.select(table.schema.names).equals(table)
    assert len(looked_at) == 2 * len(["text", "note"])


def test_a_field_that_cannot_be_null_and_its_metadata_are_kept(scorer):
    field = pa.field("key", pa.int32(), nullable=False, metadata={"unit": "stars"})
    table = pa.table([["good"], [1]], pa.schema([pa.field("text", pa.string()), field]))
    assert scorer.score_table(table, keep="key").schema.field("key").equals(field, check_metadata=True)


def test_names_that_clash_get_input_as_in_files(scorer):
    table = pa.table({"text": ["good"], "Reject": [1], "score": [2], "row": [3], "input_score": [4]})
    found = scorer.score_table(table, keep="*")
    assert found.schema.names == ["row", "text", "input_Reject", "input_score", "input_row", "input_input_score", "label", "score", "reject"]  # fmt: skip
    assert found.select(["input_Reject", "input_score", "input_row", "input_input_score"]).to_pylist() == [
        {"input_Reject": 1, "input_score": 2, "input_row": 3, "input_input_score": 4}
    ]


def test_the_index_of_pandas_is_a_column_that_can_be_kept(scorer):
    frame = pd.DataFrame({"text": ["good", "bad"]}, index=pd.Index([7, 5], name="key"))
    assert scorer.score_table(frame, keep="key").to_pandas()["key"].tolist() == [7, 5]


def test_a_number_as_a_name_of_pandas_is_named_by_its_digits(scorer):
    assert scorer.score_table(pd.DataFrame({0: ["good"], 1: [5]}), "0", keep="1").to_pandas()["1"].tolist() == [5]


@pytest.mark.parametrize(
    "convert",
    [
        lambda table: pl.from_arrow(table).lazy().collect_batches(),
        lambda table: pyarrow.dataset.dataset(table).scanner(batch_size=20).to_reader(),
        lambda table: pa.table(table.to_pydict()),
        lambda table: pa.Table.from_pylist(table.to_pylist()),
    ],
    ids=["lazy frame", "dataset", "dictionary", "list of rows"],
)
def test_other_data_is_scored_when_it_is_converted_as_the_docs_state(scorer, convert):
    assert scorer.score_table(convert(TABLE)).to_pylist() == scorer.score_table(TABLE).to_pylist()


@pytest.mark.parametrize("texts", [[], [float("nan")] * 2], ids=["no rows", "no text"])
def test_a_column_of_pandas_without_text_is_refused_until_it_has_the_type_of_the_docs(scorer, texts):
    frame = pd.DataFrame({"text": texts})
    with pytest.raises(TypeError, match="the column 'text' is double, not text"):
        scorer.score_table(frame)
    converted = scorer.score_table(frame.astype({"text": "string"}))
    assert converted["reject"].to_pylist() == ["empty_text"] * len(texts)


# Refusals


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"text": "body"}, "the table has no column 'body'; name the one to use with text=. It has: 'id', 'stars', 'review', 'label'."),
        ({"text": "Review"}, "the table has no column 'Review'; did you mean 'review'? It has: 'id', 'stars', 'review', 'label'."),
        ({"keep": "star"}, "the table has no column 'star'; did you mean 'stars'? It has: 'id', 'stars', 'review', 'label'."),
        ({"keep": ["id", "date"]}, "the table has no column 'date'; name the one to use with keep=. It has: 'id', 'stars', 'review', 'label'."),
    ],
)  # fmt: skip
def test_a_missing_column_is_refused_with_those_that_exist(scorer, more, message):
    with pytest.raises(UsageError) as refused:
        scorer.score_table(TABLE, **more, batches=True)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Review", "stars"], "Name the text column with text=, as in text='Review'."),
        (["a", "b"], "the table has no column called text, review, content, body or comment. It has: 'a', 'b'. Name the text column with text=."),
        (["text", "review"], "the table has several columns that may hold the text: 'text', 'review'. Name the one to use with text=."),
        (["text", "text"], "the table has the column 'text' more than once; rename all but the one to use."),
    ],
)  # fmt: skip
def test_a_text_column_that_is_not_clear_is_refused(scorer, names, message):
    with pytest.raises(UsageError) as refused:
        scorer.score_table(pa.Table.from_arrays([pa.array(["good"])] * 2, names))
    assert str(refused.value).endswith(message)


def test_a_text_column_of_another_type_is_refused_with_its_type(scorer):
    with pytest.raises(TypeError) as refused:
        scorer.score_table(TABLE, "stars")
    assert str(refused.value) == (
        "the table: the column 'stars' is int8, not text. Name another with text=; the text columns are 'id', 'review', 'label'."
    )
    with pytest.raises(TypeError, match="is int64, not text\\. It has no text column"):
        scorer.score_table(pl.DataFrame({"text": [1]}))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"text": ["good"]}, "dict"),
        ([{"text": "good"}], "list"),
        ("reviews.parquet", "str"),
        (None, "NoneType"),
        (pl.LazyFrame({"text": ["good"]}), "polars.LazyFrame"),
        (pa.array(["good"]), "pyarrow.StringArray"),
    ],
)
def test_what_is_no_table_is_refused_with_what_is_one(scorer, given, kind):
    with pytest.raises(TypeError) as refused:
        scorer.score_table(given)
    assert str(refused.value) == (
        "score_table() takes a table that has the method __arrow_c_stream__, such as a DataFrame of pandas or polars, a "
        f"pyarrow.Table or a relation of DuckDB, not {kind}. Convert it first, as with collect() of a lazy frame, to_reader() of "
        "a scanner, or pyarrow.table() of a dict."
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"text": 0}, "text= takes the name of a column as a str, not int."),
        ({"keep": None}, "keep= takes the name of a column or a list of names, not NoneType."),
        ({"keep": True}, "keep= takes the name of a column or a list of names, not bool."),
        ({"keep": ["stars", 0]}, "keep= takes names of columns as str, not int."),
    ],
)
def test_a_name_that_is_no_text_is_refused_with_its_argument(scorer, more, message):
    with pytest.raises(TypeError) as refused:
        scorer.score_table(TABLE, **more)
    assert str(refused.value) == message


@pytest.mark.parametrize("given", [pl.Series(["good"]), pd.Series(["good"]), pa.chunked_array([["good"]])])
def test_a_column_is_refused_with_the_method_that_takes_it(scorer, given):
    with pytest.raises(
        TypeError, match=r"^score_table\(\) takes a table, not a column \(.*\); pass columns to score\(\)\.$"
    ):
        scorer.score_table(given)


# Batches


@pytest.mark.parametrize("batches", [True, False])
def test_a_table_without_rows_has_every_column(scorer, batches):
    found = scorer.score_table(TABLE[:0], keep="*", details=True, batches=batches)
    assert found.schema.equals(scorer.score_table(TABLE, keep="*", details=True).schema)
    assert (found.read_all() if batches else found).num_rows == 0


def test_batches_without_rows_change_nothing(scorer):
    empty, first, second = batch_of([]), batch_of(["good", None]), batch_of(["bad"])
    found = scorer.score_table(reader_of([empty, first, empty, empty, second, empty]))
    assert found["row"].to_pylist() == [1, 2, 3]
    assert found.equals(scorer.score_table(pa.table({"review": ["good", None, "bad"]})))


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 3 * CHUNK), min_size=1, max_size=12), rows=st.integers(1, 2 * CHUNK))
def test_scores_do_not_depend_on_how_a_table_is_cut(bundle, sizes, rows):
    scorer = Scorer(bundle, provider="cpu", threads=1)
    scorer.model.chunk_rows = rows
    total, pool = sum(sizes), [*reviews(40, 2, 4).texts, None, " "]
    whole = pa.record_batch(
        {
            "review": pa.array([pool[number * 7 % len(pool)] for number in range(total)], pa.string()),
            "kind": pa.array([f"k{number % 5}" for number in range(total)], pa.string()).dictionary_encode(),
        }
    )
    starts = np.cumsum([0, *sizes])
    batches = [whole.slice(start, size) for start, size in zip(starts.tolist(), sizes, strict=False)]
    found = scorer.score_table(reader_of(batches), keep="*")
    assert found["row"].to_pylist() == [*range(1, total + 1)]
    assert found.equals(scorer.score_table(pa.table(whole), keep="*"))
    assert found["kind"].to_pylist() == whole["kind"].to_pylist()


def test_a_reader_of_batches_reads_the_table_bit_by_bit(bundle, small_chunks):
    drawn = []

    def batches():
        for number in range(200):
            drawn.append(number)
            yield batch_of([f"good {number} {row}" for row in range(CHUNK)])

    scorer = Scorer(bundle, provider="cpu")
    found = scorer.score_table(reader_of(batches(), batch_of([]).schema), batches=True)
    assert isinstance(found, pa.RecordBatchReader)
    assert not drawn
    for count, batch in enumerate(found, 1):
        assert batch.num_rows == CHUNK
        assert len(drawn) <= count + 5
    assert count == 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_length_of_a_stream(bundle):
    program = """
import re, sys
from pathlib import Path
import duckdb
from scorer import Scorer
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
scorer = Scorer(sys.argv[1], provider="cpu")
rows = int(sys.argv[2])
query = "SELECT repeat('x', 10000) || range::VARCHAR AS payload, 'good film ' || (range % 9) AS review"
stream = duckdb.sql(f"{query} FROM range({rows})").to_arrow_reader(2048)
found = sum(batch.num_rows for batch in scorer.score_table(stream, keep="payload", batches=True))
assert found == rows
print(peak())
"""
    peaks = []
    for rows in (8_192, 65_536):  # 80 MB and 650 MB
        done = subprocess.run(
            [sys.executable, "-c", program, bundle.path, str(rows)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 100


def test_the_error_of_a_table_reaches_the_caller_and_ends_the_threads(scorer, small_chunks):
    def batches():
        yield batch_of(["good"] * 100)
        raise LookupError("the server went away")

    for how in (False, True):
        with pytest.raises(LookupError, match="the server went away"):
            list(scorer.score_table(reader_of(batches(), batch_of([]).schema), batches=how))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tokenize")]


def test_a_reader_that_is_dropped_frees_the_table_and_its_threads(scorer, small_chunks):
    def batches():
        kept = Held()
        held.append(weakref.ref(kept))
        while True:
            yield batch_of(["good film", "bad film"] * CHUNK)

    class Held:
        pass

    held = []
    found = scorer.score_table(reader_of(batches(), batch_of([]).schema), batches=True)
    assert found.read_next_batch().num_rows
    del found
    assert [one() for one in held] == [None]
    for thread in threading.enumerate():
        if thread.name.startswith("tokenize"):
            thread.join(10)
            assert not thread.is_alive()


# Where results go


def test_batches_go_to_a_database_while_they_are_scored(scorer, tmp_path):
    with duckdb.connect(tmp_path / "reviews.duckdb") as connection:
        connection.register("given", TABLE)
        connection.execute("CREATE TABLE reviews AS SELECT * FROM given")
        connection.register("found", scorer.score_table(connection.cursor().sql("FROM reviews"), batches=True))
        connection.execute("CREATE TABLE scores AS SELECT * FROM found")
        rows = connection.sql("SELECT row, label, reject FROM scores ORDER BY row").fetchall()
    expected = scorer.score_table(TABLE)
    assert rows == [*zip(*(expected[name].to_pylist() for name in ("row", "label", "reject")), strict=True)]


def test_a_database_keeps_nothing_of_a_table_that_fails_on_the_way(scorer, small_chunks):
    def batches():
        yield batch_of(["good"] * 100)
        raise LookupError("the server went away")

    with duckdb.connect() as connection:
        connection.register("found", scorer.score_table(reader_of(batches(), batch_of([]).schema), batches=True))
        with pytest.raises(duckdb.Error, match="the server went away"):
            connection.execute("CREATE TABLE scores AS SELECT * FROM found")
        assert connection.sql("SELECT * FROM duckdb_tables()").fetchall() == []


def test_results_are_tables_of_pandas_and_polars(scorer):
    expected = scorer.score_table(TABLE, keep="stars")
    assert pl.from_arrow(expected)["score"].to_list() == expected["score"].to_pylist()
    assert pl.DataFrame(scorer.score_table(TABLE, keep="stars", batches=True)).height == len(TEXTS)
    assert expected.to_pandas()["reject"].tolist()[60] == "empty_text"
