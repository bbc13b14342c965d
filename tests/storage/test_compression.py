"""Archives are read to their last byte or refused, and written as gzip and zstd read them."""

import gzip
import json

import pytest
import zstandard
from factories import start

from scorer.base.errors import InputError
from scorer.rows.columns import Wanted
from scorer.rows.reader import Inputs, Reader
from scorer.storage.compression import compress


def test_gzip_and_zstd_read_our_archives_which_are_the_same_bytes_each_time(score, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\nbad\n")
    score(tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    plain = (tmp_path / "out.csv").read_bytes()
    for name in ("out.csv.gz", "out.csv.zst"):
        score(tmp_path / "in.csv", "-o", tmp_path / name)
        data = (tmp_path / name).read_bytes()
        score(tmp_path / "in.csv", "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes() == data
        found = (
            gzip.decompress(data) if name.endswith("gz") else zstandard.ZstdDecompressor().stream_reader(data).read()
        )
        assert found == plain


def test_rejects_are_compressed_if_their_name_asks_for_it(score, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\n \n")
    assert score(tmp_path / "in.csv", "-o", tmp_path / "o.csv", "--rejects", tmp_path / "r.jsonl.gz").code == 3
    assert json.loads(gzip.decompress((tmp_path / "r.jsonl.gz").read_bytes()))["reason"] == "empty_text"


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_consecutive_members_are_one_file_and_offsets_refer_to_its_content(score, tmp_path, compression):
    parts = [b'{"text": "good"}\n{"te', b'xt": ""}\n', b"", b'{"text": "bad"}\n']
    path = tmp_path / f"in.jsonl.{compression}"
    path.write_bytes(b"".join(compress(part, compression) for part in parts))
    assert score(path, "-o", tmp_path / "out.csv").code == 3
    found = json.loads((tmp_path / "out.csv.rejects.jsonl").read_text())
    assert (found["row"], found["line"], found["offset"]) == (2, 2, 17)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_an_archive_that_is_cut_anywhere_is_never_a_short_success(tmp_path, compression):

    data = compress(b'{"text": "good"}\n' * 3, compression) + compress(b'{"text": "bad"}\n' * 3, compression)
    path = tmp_path / f"in.jsonl.{compression}"
    whole = len(compress(b'{"text": "good"}\n' * 3, compression))
    for length in range(len(data)):
        path.write_bytes(data[:length])
        reader = Reader(Inputs((str(path),)), Wanted())
        if length == whole:
            assert len(list(reader)) == 3  # a whole archive
            continue
        with pytest.raises(InputError, match="is truncated"):
            list(reader)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("in.jsonl.gz", gzip.compress(b'{"text":"good"}\n', mtime=0)[:-4], "is truncated or damaged, has extra bytes after its end, or is not a gzip file (Truncated compressed stream)"),
        ("in.jsonl.zst", b"", "is truncated: even an empty Zstandard file has more than 0 bytes."),
        ("in.jsonl.gz", b'{"text":"good"}\n', "is not a gzip file. If it is JSON Lines, rename it to "),
        ("in.csv.gz", gzip.compress(b"text\ngood\n", mtime=0) + b"behind it", "is truncated or damaged, has extra bytes after its end, or is not a gzip file"),
        ("in.jsonl.gz", gzip.compress(b" " * 150_000_000, 6, mtime=0), "expands to more than 500 times its size"),
        ("in.csv.zst", zstandard.compress(b"text\n" + b"x" * 150_000_000), "expands to more than 500 times its size"),
    ],
    ids=["cut", "empty", "plain", "garbage", "gzip bomb", "zstd bomb"],
)  # fmt: skip
def test_files_that_are_cut_archives_no_archives_or_bombs_end_with_4_and_no_output(
    score, tmp_path, name, data, message
):
    (tmp_path / name).write_bytes(data)
    result = score(tmp_path / name, "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert f"Error: {tmp_path / name} {message}" in result.err
    assert not (tmp_path / "out.csv").exists()


def test_a_window_that_would_fill_memory_is_refused(score, tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "in.jsonl.zst").write_bytes(data.compress(b'{"text": "good"}\n') + data.flush())
    result = score(tmp_path / "in.jsonl.zst", "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert "requires too much memory" in result.err


def test_a_compressed_stream_is_read_if_its_format_is_given(bundle):
    run = start(bundle, "-", "--input-format", "jsonl.gz", "--output-format", "jsonl.zst")
    out, err = run.communicate(gzip.compress(b'{"text": "good"}\n'))
    assert run.returncode == 0, err
    assert json.loads(zstandard.ZstdDecompressor().stream_reader(out).read())["row"] == 1
