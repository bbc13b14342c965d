"""Parquet of other writers: types that pyarrow reads as something else, cannot read, or aborts on."""

import base64
import datetime
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest
from factories import start

MICROS = pa.timestamp("us")
FAR = datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999)  # Spark's "never ends"
OLD = datetime.datetime(1, 1, 1)
NEAR = datetime.datetime(2026, 11, 28, 12, 0, 0, 1)


def with_int96(path, times, kind=MICROS):
    """Write a file as Spark and Impala do with their legacy settings."""
    table = pa.table({"text": ["good"] * len(times), "at": pa.array(times, kind)})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("times", [[NEAR, None, FAR, OLD], [NEAR]])
def test_int96_times_are_the_instants_that_the_file_holds(score, tmp_path, times):
    source = with_int96(tmp_path / "in.parquet", times)
    for output in ("out.parquet", "out.jsonl", "out.csv"):
        assert score(source, "-o", tmp_path / output, "--keep", "at").code == 0
    written = pq.read_table(tmp_path / "out.parquet")
    assert (written.schema.field("at").type, written["at"].to_pylist()) == (MICROS, times)
    spelled = [time and time.isoformat(timespec="microseconds") for time in times]
    assert [line["at"] for line in lines(tmp_path / "out.jsonl")] == spelled
    cells = [row.split(",")[1] for row in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert cells == [text or "" for text in spelled]


def test_int96_times_are_right_as_ids_and_in_lists_records_and_maps(score, tmp_path):
    record = pa.struct({"at": MICROS, "on": pa.timestamp("ms")})
    table = pa.table(
        {
            "id": pa.array([FAR], MICROS),
            "text": ["good"],
            "list": pa.array([[OLD, None, FAR]], pa.list_(MICROS)),
            "record": pa.array([{"at": FAR, "on": datetime.datetime(9999, 1, 1)}], record),
            "map": pa.array([[("a", OLD)]], pa.map_(pa.string(), MICROS)),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet", use_deprecated_int96_timestamps=True, store_schema=False)
    assert score(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--keep", "*").code == 0
    found = pq.read_table(tmp_path / "out.parquet").select(table.column_names).to_pylist()
    assert found == [{**table.to_pylist()[0], "record": {"at": FAR, "on": datetime.datetime(9999, 1, 1)}}]


def test_int96_times_keep_their_nanoseconds_where_a_file_has_them(score, tmp_path):
    times = [1_700_000_000_123_456_789, None, -1]
    source = with_int96(tmp_path / "in.parquet", times, pa.timestamp("ns"))
    assert score(source, "-o", tmp_path / "out.jsonl", "--keep", "at").code == 0
    assert [line["at"] for line in lines(tmp_path / "out.jsonl")] == [
        "2023-11-14T22:13:20.123456789", None, "1969-12-31T23:59:59.999999999",
    ]  # fmt: skip


def test_files_with_and_without_nanoseconds_go_into_one_output(score, tmp_path):
    nanos, micros = 1_700_000_000_123_456_789, 1_700_000_000_123_456_000
    one = with_int96(tmp_path / "a.parquet", [nanos], pa.timestamp("ns"))
    other = with_int96(tmp_path / "b.parquet", [micros], pa.timestamp("ns"))
    assert score(one, other, "-o", tmp_path / "out.parquet", "--keep", "at").code == 0
    written = pq.read_table(tmp_path / "out.parquet")["at"]
    assert (written.type, written.cast(pa.int64()).to_pylist()) == (pa.timestamp("ns"), [nanos, micros])
    far = with_int96(tmp_path / "c.parquet", [FAR])
    result = score(one, far, "-o", tmp_path / "far.parquet", "--keep", "at")
    assert (result.code, "is out of range for timestamp[ns]" in result.err) == (4, True), result.err
    assert score(one, far, "-o", tmp_path / "far.jsonl", "--keep", "at").code == 0


def test_int96_times_that_fit_no_unit_are_refused_where_they_are_needed(score, tmp_path):
    # Each time is 12 bytes, the nanoseconds of the day and the Julian day; the second one gets another day.
    source = with_int96(tmp_path / "in.parquet", [1, 2], pa.timestamp("ns"))
    day = (2_440_588).to_bytes(4, "little")
    data = source.read_bytes()
    at = data.index((2).to_bytes(8, "little") + day)
    source.write_bytes(data[: at + 8] + (5_373_484).to_bytes(4, "little") + data[at + 12 :])  # 9999-12-31
    result = score(source, "-o", tmp_path / "out.csv", "--keep", "at")
    assert result.code == 4
    assert (
        "the column 'at' has INT96 times that neither microseconds nor nanoseconds (64 bits) can all hold exactly"
        in result.err
    )
    assert not (tmp_path / "out.csv").exists()
    assert score(source, "-o", tmp_path / "out.csv").code == 0


def test_enums_are_text(score, tmp_path):
    """Enums are read as text; pyarrow writes none, so the footer's type is changed from (UTF8, STRING) to (ENUM, ENUM)."""
    table = pa.table(
        {
            "review": ["good", "bad"],
            "mood": ["happy", "très"],
            "record": [{"moods": ["a", None], "raw": b"\xff"}] * 2,
            "map": pa.array([[("k", "v")]] * 2, pa.map_(pa.string(), pa.string())),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, store_schema=False)
    string, enum = bytes.fromhex("25004c1c0000"), bytes.fromhex("25084c4c0000")
    assert out.getvalue().count(string) == 5
    (tmp_path / "in.parquet").write_bytes(out.getvalue().replace(string, enum))
    assert pq.read_schema(tmp_path / "in.parquet").field("mood").type == pa.binary()
    for output in ("out.jsonl", "out.parquet"):
        assert score(tmp_path / "in.parquet", "-o", tmp_path / output, "--keep", "*").code == 0
    row = lines(tmp_path / "out.jsonl")[1]
    assert (row["review"], row["mood"], row["map"]) == ("bad", "très", {"k": "v"})
    assert row["record"] == {"moods": ["a", None], "raw": "/w=="}
    assert pq.read_table(tmp_path / "out.parquet").select(table.column_names).to_pylist() == table.to_pylist()


def test_float16_has_the_shortest_spelling_of_its_width(score, tmp_path):
    values = [0.1, 65504, 6e-8, 1, -0.0, float("nan"), float("-inf"), None]
    half = pa.array([None if value is None else np.float16(value) for value in values], pa.float16())
    pq.write_table(pa.table({"text": ["good"] * len(values), "half": half}), tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv", "--keep", "half")
    spelled = [row.split(",")[1] for row in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert spelled == ["0.1", "65500.0", "0.00000006", "1.0", "-0.0", "NaN", "-Infinity", ""]
    finite = half.to_numpy(zero_copy_only=False)[:5]
    assert [np.float16(text) for text in spelled[:5]] == finite.tolist()


@pytest.mark.parametrize("kind", [pa.binary_view(), pa.string_view(), pa.large_binary()], ids=str)
def test_text_in_views_and_bytes_is_text(score, tmp_path, kind):
    texts = pa.array([b"good", b"\xff", None, b"x" * 200, " é".encode()], pa.binary())
    table = pa.table(
        {
            "text": texts.cast(pa.binary_view()).cast(kind)
            if kind != pa.string_view()
            else texts.cast(pa.string_view(), safe=False)
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv", "--max-record-bytes", "100")
    assert result.code == 3, result.err
    reasons = {reject["row"]: reject["reason"] for reject in lines(tmp_path / "out.csv.rejects.jsonl")}
    assert reasons == {2: "invalid_encoding", 3: "empty_text", 4: "too_long"}


class Keys(encryption.KmsClient):
    """A key service that hides nothing."""

    def __init__(self, configuration):
        super().__init__()

    def wrap_key(self, key, master):
        return base64.b64encode(key)

    def unwrap_key(self, key, master):
        return base64.b64decode(key)


def encrypted(path, *, plain_footer, columns):
    table = pa.table({"id": [1, 2], "text": ["good", "bad"], "secret": ["a", "b"]})
    configuration = encryption.EncryptionConfiguration(
        "footer", column_keys={"column": columns}, plaintext_footer=plain_footer
    )
    properties = encryption.CryptoFactory(Keys).file_encryption_properties(
        encryption.KmsConnectionConfig(), configuration
    )
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    return path


def test_an_encrypted_column_that_is_not_needed_is_no_obstacle(bundle, tmp_path):
    source = encrypted(tmp_path / "in.parquet", plain_footer=True, columns=["secret"])
    process = start(bundle, source, "-o", tmp_path / "out.csv", "--summary", tmp_path / "run.json")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()  # by a signal, once
    assert [row.split(",")[1] for row in (tmp_path / "out.csv").read_text().splitlines()] == ["id", "1", "2"]


@pytest.mark.parametrize(
    ("plain_footer", "columns", "options"),
    [(True, ["text"], []), (True, ["secret"], ["--keep", "secret"]), (False, ["secret"], [])],
)
def test_an_encrypted_column_that_is_needed_is_refused_with_a_message(bundle, tmp_path, plain_footer, columns, options):
    source = encrypted(tmp_path / "in.parquet", plain_footer=plain_footer, columns=columns)
    process = start(bundle, source, "-o", tmp_path / "out.csv", *options)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 4, said.decode()
    assert f"{source} is encrypted, entirely or in a column that is needed" in said.decode()
    assert not (tmp_path / "out.csv").exists()


def test_column_names_that_are_not_utf_8_are_refused_with_a_message(score, tmp_path):
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["good"], "naïve": ["x"]}), out, store_schema=False)
    (tmp_path / "in.parquet").write_bytes(out.getvalue().replace("naïve".encode(), b"na\xefvez"))
    result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "in.parquet has a column name that is not UTF-8" in result.err


def test_a_type_that_pyarrow_cannot_read_is_not_called_damaged(score, tmp_path):
    """128-bit integers, as polars writes them: the Arrow schema in the file names their type."""
    table = pa.table({"text": ["good"], "big": pa.array([1], pa.int64())})
    pq.write_table(table, tmp_path / "in.parquet")
    encoded = pq.read_metadata(tmp_path / "in.parquet").metadata[b"ARROW:schema"]
    said = bytearray(base64.b64decode(encoded))
    width = said.index((64).to_bytes(4, "little"), said.index(b"big"))
    said[width : width + 4] = (128).to_bytes(4, "little")
    data = (tmp_path / "in.parquet").read_bytes()
    (tmp_path / "in.parquet").write_bytes(data.replace(encoded, base64.b64encode(said)))
    result = score(tmp_path / "in.parquet", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "contains data that cannot be read: Integers with more than 64 bits not implemented" in result.err
    assert "damaged" not in result.err
