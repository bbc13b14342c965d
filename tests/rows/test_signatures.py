"""Files that are not read, such as workbooks and archives: refused by name and by content, with a command that helps."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import zstandard

from scorer.rows.formats import FORMATS
from scorer.rows.signatures import KINDS, SAMPLE, kind_of

CSV = b"id,text\n1,good film\n2,dull film\n"


def zipped(name="reviews.csv", *more):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in (name, *more):
            archive.writestr(one, CSV)
    return data.getvalue()


def opendocument():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    return data.getvalue()


def tarred(mode="w"):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        member = tarfile.TarInfo("reviews.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return data.getvalue()


def written(write):
    data = io.BytesIO()
    write(pa.table({"text": ["good film"]}), data)
    return data.getvalue()


def database(folder):
    path = folder / "made.sqlite"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE reviews (id, text)")
        connection.executemany("INSERT INTO reviews VALUES (?, ?)", [(1, "good film"), (2, "dull film")])
    connection.close()
    return path.read_bytes()


CONTENTS = {
    "an Excel workbook": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "an OpenDocument spreadsheet": opendocument(),
    "a ZIP archive": zipped(),
    "a tar archive": tarred(),
    "a 7-Zip archive": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30),
    "a RAR archive": b"Rar!\x1a\x07\x01\0" + bytes(30),
    "a bzip2 file": bz2.compress(CSV),
    "an xz file": lzma.compress(CSV),
    "a gzip file": gzip.compress(CSV, mtime=0),
    "a Zstandard file": zstandard.compress(CSV),
    "an LZ4 file": pa.compress(CSV, codec="lz4", asbytes=True) and pa.Codec("lz4").compress(CSV, asbytes=True),
    "a Snappy file": b"\xff\x06\0\0sNaPpY" + bytes(30),
    "a Parquet file": written(pq.write_table),
    "a Feather or Arrow file": written(pyarrow.feather.write_feather),
    "an ORC file": written(pyarrow.orc.write_table),
    "an Avro file": b"Obj\x01\x04\x14avro.codec\x08null",
    "an SPSS file": b"$FL2@(#) SPSS DATA FILE" + bytes(40),
    "a Stata file": b"<stata_dta><header><release>118</release>",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an SQLite database": b"SQLite format 3\0\x10\0" + bytes(80),
    "a compress file": b"\x1f\x9d\x90" + bytes(20),
}


def test_every_kind_with_a_signature_is_among_these():
    assert {kind.what for kind in KINDS if kind.begins is not None} == set(CONTENTS)


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl"])
@pytest.mark.parametrize(("what", "data"), CONTENTS.items(), ids=CONTENTS)
def test_a_text_file_that_is_something_else_is_refused_by_its_content(score, tmp_path, name, what, data):
    source = tmp_path / name
    source.write_bytes(data)
    result = score(source, "-o", tmp_path / "out.csv")
    assert (result.code, [path.name for path in tmp_path.iterdir()]) == (4, [name])
    shown = {"csv": "CSV", "tsv": "TSV", "jsonl": "JSON Lines"}[name[3:]]
    assert result.err.startswith(f"Error: {source} is {what}, not {shown}. ")


@pytest.mark.parametrize("what", ["an Excel workbook", "a tar archive", "a gzip file"])
def test_the_content_of_an_archive_is_checked_too(score, tmp_path, what):
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(CONTENTS[what]))
    result = score(source, "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert result.err.startswith(
        f"Error: the content of {source} is {what}, not CSV. Decompress it with `gzip -d`. Then: "
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("in.csv.gz", zipped(), "is a ZIP archive, not a gzip file. Unpack it: `unzip -p {source} > {folder}/in.csv`."),
        ("in.csv.gz", zstandard.compress(CSV), "is a Zstandard file, not a gzip file. Rename it to {folder}/in.csv.zst,"),
        ("in.csv.zst", gzip.compress(CSV, mtime=0), "is a gzip file, not a Zstandard file. Rename it to {folder}/in.csv.gz,"),
        ("in.csv.gz", CSV, "is not a gzip file. If it is CSV, rename it to {folder}/in.csv."),
        ("in.jsonl.zst", b'{"text": "good"}\n', "is not a Zstandard file. If it is JSON Lines, rename it to {folder}/in.jsonl."),
    ],
)  # fmt: skip
def test_an_archive_of_another_kind_than_its_name_is_refused(score, tmp_path, name, data, message):
    source = tmp_path / name
    source.write_bytes(data)
    result = score(source, "-o", tmp_path / "out.csv")
    assert result.code == 4
    assert result.err.startswith(f"Error: {source} {message.format(source=source, folder=tmp_path)}")


def test_a_workbook_read_as_utf_16_is_called_a_workbook(score, tmp_path):
    (tmp_path / "in.csv").write_bytes(CONTENTS["an Excel workbook"] + b"x" * 7)
    result = score(tmp_path / "in.csv", "--encoding", "utf-16")
    assert (result.code, "is an Excel workbook, not CSV." in result.err) == (4, True)


NAMES = {
    "xlsx": "an Excel workbook", "xls": "an old Excel workbook", "xlsm": "an Excel workbook", "ods": "an OpenDocument spreadsheet",
    "numbers": "a Numbers document", "zip": "a ZIP archive", "csv.zip": "a ZIP archive", "bz2": "a bzip2 file",
    "csv.bz2": "a bzip2 file", "xz": "an xz file", "7z": "a 7-Zip archive", "rar": "a RAR archive", "tar": "a tar archive",
    "tar.gz": "a tar archive", "tgz": "a tar archive", "tar.zst": "a tar archive", "tar.bz2": "a tar archive",
    "lz4": "an LZ4 file", "snappy": "a Snappy file", "br": "a Brotli file", "Z": "a compress file", "json": "a JSON document",
    "txt": "a text file of an unknown format", "sav": "an SPSS file", "dta": "a Stata file", "rds": "an R file",
    "avro": "an Avro file", "orc": "an ORC file", "feather": "a Feather or Arrow file", "arrow": "a Feather or Arrow file",
    "sqlite": "an SQLite database", "db": "an SQLite database", "pdf": "a PDF document", "docx": "a text document",
    "html": "a web page", "XLSX": "an Excel workbook", "pkl": "a Python pickle", "xml": "an XML document",
}  # fmt: skip


@pytest.mark.parametrize(("extension", "what"), NAMES.items(), ids=NAMES)
@pytest.mark.parametrize("how", ["file", "folder", "glob"])
def test_a_file_that_is_not_read_is_refused_by_its_name(score, tmp_path, extension, what, how):
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "a.csv").write_bytes(CSV)
    source = lake / f"my reviews.{extension}"
    source.write_bytes(b"anything")
    given = {"file": source, "folder": lake, "glob": f"{lake}/*"}[how]
    result = score(given, "-o", tmp_path / "out.csv")
    assert (result.code, result.err.startswith(f"Error: {source} is {what}, which is not read. ")) == (2, True), (
        result.err
    )
    assert not re.search(r"[{}]", result.err)


def test_training_refuses_them_too(score_model, bundle, tmp_path):
    (tmp_path / "in.xlsx").write_bytes(CONTENTS["an Excel workbook"])
    shutil.copy(tmp_path / "in.xlsx", tmp_path / "in.csv")
    for name, code in (("in.xlsx", 2), ("in.csv", 4)):
        result = score_model("evaluate", bundle.path, "--data", tmp_path / name)
        assert (result.code, "is an Excel workbook" in result.err) == (code, True)


def test_no_extension_of_a_format_that_is_read_is_among_them():
    extensions = [extension for kind in KINDS for extension in kind.extensions]
    assert len(extensions) == len(set(extensions))
    assert not {*FORMATS, "gz", "zst"} & set(extensions)


@pytest.mark.parametrize(
    "text",
    [
        b"PK,text\n", b"PAR1,text\n", b"ORC,text\n1,good\n", b"BZh,text\n", b"Rar!,text\n", b"7z,text\n", b"%PDF,text\n", b"SQLite format 3,text\n",
        b"ARROW1,text\n", b"Obj,text\n", b"<html>,text\n", b"<?xml version='1.0'?>\n", b"ustar" * 100, b"$FL2,text\n", b"(\xc2\xb5/,text\n",
        "(µ/,text\n".encode("latin-1"), b"\xef\xbb\xbftext\n", b"\xff\xfet\0", b"", b"\n", "ÿ,text\n".encode("latin-1"),
    ],
)  # fmt: skip
def test_text_that_begins_almost_like_one_of_them_is_text(text):
    assert kind_of(text[:SAMPLE]) is None


COMMANDS = {
    "reviews.csv.zip": (zipped(), "unzip"),
    "reviews.zip": (zipped(), "unzip"),
    "the reviews.csv.bz2": (bz2.compress(CSV), "bzip2"),
    "reviews.csv.xz": (lzma.compress(CSV), "xz"),
    "reviews.tar": (tarred(), "tar"),
    "reviews.tar.gz": (tarred("w:gz"), "tar"),
    "reviews.tgz": (tarred("w:gz"), "tar"),
    "reviews.tar.xz": (tarred("w:xz"), "xz"),
    "reviews.tar.bz2": (tarred("w:bz2"), "bzip2"),
}


def run_advice(result, number, folder):
    """Run a command of the advice as bash would, with this interpreter for `python` and a reader for `score`."""
    command = re.findall(r"`([^`]+)`", result.err)[number]
    command = re.sub(r"\| score - .*", "> piped.csv", command).replace("python ", f"{sys.executable} ", 1)
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_of_the_advice_unpack_the_file(score, tmp_path, name, monkeypatch):
    data, program = COMMANDS[name]
    assert shutil.which(program), f"{program} is needed for this test"
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    result = score(name, "-o", "out.csv")
    for number in (0, 1):
        run_advice(result, number, tmp_path)
    assert (tmp_path / "piped.csv").read_bytes() == CSV
    assert (tmp_path / f"{name.split('.')[0]}.csv").read_bytes() == CSV


@pytest.mark.parametrize("name", ["reviews.feather", "reviews.orc"])
def test_the_command_of_the_advice_converts_the_file_to_parquet(score, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = pyarrow.feather.write_feather if name.endswith("feather") else pyarrow.orc.write_table
    write(pa.table({"text": ["good film"]}), name)
    run_advice(score(name, "-o", "out.csv"), 0, tmp_path)
    assert score("reviews.parquet", "-o", "out.csv").code == 0


def test_a_file_whose_name_is_wrong_is_read_as_the_advice_says(score, tmp_path):
    for data, given in (
        (gzip.compress(CSV, mtime=0), "csv.gz"),
        (zstandard.compress(CSV), "csv.zst"),
        (CONTENTS["a Parquet file"], "parquet"),
    ):
        (tmp_path / "in.csv").write_bytes(data)
        assert f"or use --input-format {given}." in score(tmp_path / "in.csv").err
        assert score(tmp_path / "in.csv", "--input-format", given).code == 0
