"""Files of kinds that are not read, such as workbooks and archives: how they are recognized, and what converts them.

A file is refused by the extension of its name, or by its first bytes if the name is that of a text file. Neither ever
chooses a reader. The bytes are those that no text file begins with, so web pages and XML are recognized by name alone.
"""

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from scorer.base.errors import InputError
from scorer.base.look_alikes import shell_word
from scorer.storage.address import is_address

SAMPLE = 512
"""Bytes of a file's beginning that the signatures need."""

_TEXTS = {"csv": "CSV", "tsv": "TSV", "jsonl": "JSON Lines", "ndjson": "JSON Lines"}
_MAGIC = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd"}
_EXCEL = 'In Excel, save it with File > Save As > "CSV UTF-8 (Comma delimited)".'
_OFFICE = "use `soffice --headless --convert-to 'csv:Text - txt - csv (StarCalc):44,34,76' {file}` (LibreOffice)."
_SPREADSHEET = f"Save the sheet as CSV in UTF-8, or {_OFFICE}"
_DOCUMENT = "Put the texts into a table with a row for each, and save that as CSV in UTF-8."


@dataclass(frozen=True)
class Kind:
    """Kind of file that is not read.

    Attributes:
        what: noun phrase for messages.
        advice: advice with the fields {file}, {target} and {format}: the file and a name for the result, as words for a
            shell, and the format of the result.
        extensions: extensions of its names, in lower case.
        begins: pattern that its first bytes match; None if only the name shows the kind.
    """

    what: str
    advice: str
    extensions: tuple[str, ...] = ()
    begins: re.Pattern[bytes] | None = None


def _bytes(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def _unpack(program: str, *, several: bool = False) -> str:
    folder = " If it holds several files, unpack it into a folder, and name the folder." if several else ""
    return (
        f"Unpack it: `{program} {{file}} > {{target}}`. Or read it without a file: "
        f"`{program} {{file}} | score - --input-format {{format}} -o out.csv`.{folder}"
    )


def _python(code: str, target: str) -> str:
    return f'Convert it: `python -c "{code}" {{file}} {target}`.'


def _pandas(function: str) -> str:
    code = f"import sys, pandas; pandas.{function}(sys.argv[1]).to_csv(sys.argv[2], index=False)"
    return _python(code, "{target}")


def _arrow(module: str) -> str:
    code = (
        f"import sys, pyarrow.{module} as given, pyarrow.parquet as made; "
        "made.write_table(given.read_table(sys.argv[1]), sys.argv[2])"
    )
    return _python(code, "{stem}.parquet")


# The first that fits counts, so archives of a known content come before archives.
KINDS = (
    Kind(
        "an Excel workbook", f"{_EXCEL} Without Excel, {_OFFICE}", ("xlsx", "xlsm", "xlsb", "xltx"),
        _bytes(rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/)"),
    ),
    Kind("an old Excel workbook", f"{_EXCEL} Without Excel, {_OFFICE}", ("xls",), _bytes(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    Kind(
        "an OpenDocument spreadsheet", _SPREADSHEET, ("ods", "fods"),
        _bytes(rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument"),
    ),
    Kind("a Numbers document", "In Numbers, save it with File > Export To > CSV.", ("numbers",)),
    Kind("a tar archive", _unpack("tar -xzOf", several=True), ("tar.gz", "tgz")),
    Kind("a tar archive", _unpack("tar -xjOf", several=True), ("tar.bz2", "tbz", "tbz2")),
    Kind("a tar archive", _unpack("tar -xJOf", several=True), ("tar.xz", "txz")),
    Kind("a tar archive", _unpack("tar --zstd -xOf", several=True), ("tar.zst", "tzst")),
    Kind("a tar archive", _unpack("tar -xOf", several=True), ("tar",), _bytes(rb"(?=[^\0]{0,100}\0).{257}ustar")),
    Kind("a ZIP archive", _unpack("unzip -p", several=True), ("zip",), _bytes(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)")),
    Kind("a 7-Zip archive", _unpack("7z x -so", several=True), ("7z",), _bytes(rb"7z\xbc\xaf\x27\x1c")),
    Kind("a RAR archive", _unpack("unrar p -inul", several=True), ("rar",), _bytes(rb"Rar!\x1a\x07")),
    Kind(
        "a bzip2 file", _unpack("bzip2 -dc"), ("bz2", "bz"),
        _bytes(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"),
    ),
    Kind("an xz file", _unpack("xz -dc"), ("xz", "lzma"), _bytes(rb"\xfd7zXZ\0")),
    Kind("an LZ4 file", _unpack("lz4 -dc"), ("lz4",), _bytes(rb"\x04\x22\x4d\x18")),
    Kind("a Snappy file", _unpack("snzip -dc"), ("snappy", "sz"), _bytes(rb"\xff\x06\0\0sNaPpY")),
    Kind("a Brotli file", _unpack("brotli -dc"), ("br",)),
    Kind("a compress file", _unpack("gzip -dc"), ("z",), _bytes(rb"\x1f\x9d")),
    Kind(
        "a gzip file", "Rename it to {renamed}.gz, or use --input-format {format}.gz.", (), _bytes(rb"\x1f\x8b")
    ),
    Kind(
        "a Zstandard file", "Rename it to {renamed}.zst, or use --input-format {format}.zst.", (),
        _bytes(rb"\x28\xb5\x2f\xfd"),
    ),
    Kind(
        "a Parquet file", "Rename it to {stem}.parquet, or use --input-format parquet.", (),
        _bytes(rb"PAR[1E][\0-\x08\x0e-\x1f]"),
    ),
    Kind(
        "a JSON document",
        "If it is one list of objects, use `jq -c '.[]' {file} > {stem}.jsonl`. "
        "If each line is an object, use --input-format jsonl.",
        ("json",),
    ),
    Kind("a Feather or Arrow file", _arrow("feather"), ("feather", "arrow"), _bytes(rb"ARROW1\0\0|FEA1[\0-\x08]")),
    Kind("an ORC file", _arrow("orc"), ("orc",), _bytes(rb"ORC(?=.{0,32}[\0-\x08\x0e-\x1f])")),
    Kind(
        "an Avro file",
        "Convert it: `avro-tools tojson {file} > {stem}.jsonl`.",
        ("avro",),
        _bytes(rb"Obj\x01"),
    ),
    Kind(
        "an SQLite database",
        "Export a table, here one called reviews: `sqlite3 -csv -header {file} 'SELECT * FROM reviews' > {target}`.",
        ("sqlite", "sqlite3", "db"),
        _bytes(rb"SQLite format 3\0"),
    ),
    Kind("an SPSS file", _pandas("read_spss"), ("sav", "zsav"), _bytes(rb"\$FL[23]@\(#\)")),
    Kind("a Stata file", _pandas("read_stata"), ("dta",), _bytes(rb"<stata_dta><header><release>")),
    Kind("a SAS file", _pandas("read_sas"), ("sas7bdat", "xpt")),
    Kind(
        "an R file",
        "Convert it: `Rscript -e 'write.csv(readRDS(commandArgs(TRUE)[1]), commandArgs(TRUE)[2], row.names=FALSE)' "
        "{file} {target}`.",
        ("rds",),
    ),
    Kind("a Python pickle", "It can run code. Let its author write a CSV or Parquet file.", ("pkl", "pickle")),
    Kind("a PDF document", _DOCUMENT, ("pdf",), _bytes(rb"%PDF-[12]\.[0-9]")),
    Kind("a text document", _DOCUMENT, ("docx", "doc", "odt", "rtf", "pages")),
    Kind("a web page", _DOCUMENT, ("html", "htm", "mhtml")),
    Kind("an XML document", "Convert it to CSV or JSON Lines with the program that wrote it.", ("xml",)),
    Kind(
        "a text file of an unknown format",
        "If it has columns, use --input-format csv or tsv. If each line is a text, use "
        "--input-format tsv --no-header --quote-char '' --text column_1.",
        ("txt",),
    ),
)  # fmt: skip


def refusal_by_name(path: str) -> str | None:
    """Return a message on a file of a kind that is not read, judging by its extension; None for any other name.

    >>> print(refusal_by_name("reviews.csv.bz2"))
    reviews.csv.bz2 is a bzip2 file, which is not read. Unpack it: `bzip2 -dc reviews.csv.bz2 > reviews.csv`. \
Or read it without a file: `bzip2 -dc reviews.csv.bz2 | score - --input-format csv -o out.csv`.
    """
    name = PurePosixPath(path).name.lower()
    for kind in KINDS:
        for extension in kind.extensions:
            if name.endswith(f".{extension}"):
                stem = path[: -len(extension) - 1]
                return (
                    f"{path} is {kind.what}, which is not read. {_advised(kind, path, stem, _format_in(stem) or 'csv')}"
                )
    return None


def refuse_by_content(path: str, beginning: bytes, kind: str, compression: str | None) -> None:
    """Raise `InputError` if a text file begins like a file of another kind.

    Args:
        path: name of the file, for messages.
        beginning: first bytes, at least `SAMPLE` if there are so many; of a compressed file those of its content.
        kind: format that the file is read as.
        compression: ``gz`` or ``zst``, or None.
    """
    found = kind_of(beginning)
    if found is None:
        return
    if compression is None:
        stem = path[: -len(kind) - 1] if path.lower().endswith(f".{kind}") else path
        raise InputError(f"{path} is {found.what}, not {_TEXTS[kind]}. {_advised(found, path, stem, kind)}")
    program = {"gz": "gzip -d", "zst": "zstd -d"}[compression]
    inner = path.removesuffix(f".{compression}")
    raise InputError(
        f"the content of {path} is {found.what}, not {_TEXTS[kind]}. Decompress it with `{program}`. "
        f"Then: {_advised(found, inner, inner.removesuffix(f'.{kind}'), kind)}"
    )


def refuse_archive(path: str, beginning: bytes, kind: str, compression: str) -> None:
    """Raise `InputError` if a file that cannot be decompressed begins like a file of another kind, or is text.

    Args:
        path, kind: as for `refuse_by_content`.
        beginning: first bytes of the file as stored.
        compression: ``gz`` or ``zst``.
    """
    found = kind_of(beginning)
    called = {"gz": "gzip", "zst": "Zstandard"}[compression]
    inner = path.removesuffix(f".{compression}")
    if found is not None and called not in found.what:
        advice = _advised(found, path, inner.removesuffix(f".{kind}"), kind)
        raise InputError(f"{path} is {found.what}, not a {called} file. {advice}")
    magic = _MAGIC[compression]
    is_cut = magic.startswith(beginning[: len(magic)])
    if found is None and not is_cut and b"\0" not in beginning:
        raise InputError(f"{path} is not a {called} file. If it is {_TEXTS[kind]}, rename it to {inner}.")


def kind_of(beginning: bytes) -> Kind | None:
    """Return the kind of file that begins with some bytes; None if it may be text.

    >>> kind_of(b"PK\\x03\\x04" + bytes(26) + b"reviews.csv").what, kind_of(b"PK,text")
    ('a ZIP archive', None)
    """
    return next((kind for kind in KINDS if kind.begins is not None and kind.begins.match(beginning)), None)


def _advised(kind: Kind, path: str, stem: str, format: str) -> str:
    """Return the advice on a file.

    Args:
        kind: kind of the file.
        path: name of the file.
        stem: name without the extension of its kind or format.
        format: format of the text that it holds.
    """
    file, stem = (os.path.basename(name) if is_address(name) else name for name in (path, stem))
    if path == "-":
        file, stem = f"reviews.{kind.extensions[0]}" if kind.extensions else "reviews", "reviews"
    plain = stem if _format_in(stem) else f"{stem}.{format}"
    target = plain if plain != file else f"{stem}.unpacked.{format}"
    return kind.advice.format(
        file=shell_word(file),
        target=shell_word(target),
        renamed=shell_word(plain),
        stem=shell_word(stem.removesuffix(f".{_format_in(stem)}")),
        format=_format_in(stem) or format,
    )


def _format_in(stem: str) -> str | None:
    """Return the text format that a name shows, or None."""
    extension = PurePosixPath(stem).suffix.lstrip(".").lower()
    return extension if extension in _TEXTS else None
