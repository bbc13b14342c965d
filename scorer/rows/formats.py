"""Formats of files, taken from the name or the command line, never from the content."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import urlsplit

from scorer.base.errors import UsageError
from scorer.rows import csv_reader, jsonl
from scorer.rows.header import Header
from scorer.rows.input_file import InputFile, Source
from scorer.rows.signatures import refusal_by_name
from scorer.storage.inputs import STDIN

TEXT_FORMATS = ("csv", "tsv", "jsonl", "ndjson")
PARQUET = "parquet"
FORMATS = (*TEXT_FORMATS, PARQUET)
COMPRESSIONS = ("gz", "zst")
INPUT_OPTION = "--input-format"


@dataclass(frozen=True)
class InputFormat:
    """Functions that read files of a format.

    Attributes:
        opened: function that opens a file.
        rows: function that returns the number of records that a file states; None if only reading it can count them.
        header: function that returns the columns that a file states and reads no more of it; None to open the file.
        groups: function that returns the numbers of records in parts of a file that can be read alone, in order; None if a
            file has to be read from its beginning.
    """

    opened: Callable[[Source], AbstractContextManager[InputFile]]
    rows: Callable[[str], int] | None = None
    header: Callable[[str], Header] | None = None
    groups: Callable[[str], list[int]] | None = None


def _opened_parquet(source: Source) -> AbstractContextManager[InputFile]:
    from scorer.rows import parquet_reader  # text files need not wait for this slow import

    return parquet_reader.opened(source)


def _parquet_rows(path: str) -> int:
    from scorer.rows import parquet_reader

    return parquet_reader.rows_of(path)


def _parquet_header(path: str) -> Header:
    from scorer.rows import parquet_reader

    return parquet_reader.header_of_file(path)


def _parquet_groups(path: str) -> list[int]:
    from scorer.rows import parquet_reader

    return parquet_reader.groups_of(path)


INPUT_FORMATS = {
    "csv": InputFormat(csv_reader.opened),
    "tsv": InputFormat(csv_reader.opened),
    "jsonl": InputFormat(jsonl.opened),
    PARQUET: InputFormat(_opened_parquet, _parquet_rows, _parquet_header, _parquet_groups),
}


@dataclass(frozen=True)
class Format:
    """Format and compression of a file.

    Attributes:
        kind: ``csv``, ``tsv``, ``jsonl`` or ``parquet``.
        compression: ``gz`` or ``zst``, or None. Parquet compresses its own pages.
    """

    kind: str
    compression: str | None = None


def format_of(path: str, given: str | None, option: str) -> Format:
    """Return a file's format: the given one, otherwise that of the extensions of its name.

    A given format need not include the compression, which the file's name still shows.

    Raises:
        UsageError: neither names a format.

    >>> format_of("a/Reviews.CSV", None, "--input-format"), format_of("a.txt.gz", "ndjson", "--input-format")
    (Format(kind='csv', compression=None), Format(kind='jsonl', compression='gz'))
    >>> format_of("-", "jsonl.zst", "--input-format")
    Format(kind='jsonl', compression='zst')
    """
    kind, compression = _split(given.lower() if given is not None else _extensions(path))
    if kind not in FORMATS or (given is not None and given.startswith(".")):
        if given is not None:
            problem = f"{option} {given!r} is not a format"
        elif path == STDIN:
            problem = "stdin has no name to infer its format from"
        elif option == INPUT_OPTION and (refusal := refusal_by_name(path)) is not None:
            raise UsageError(refusal)
        else:
            problem = f"cannot infer the format of {path} from its name"
        raise UsageError(f"{problem}; set {option} to one of {', '.join(FORMATS)}, with .gz or .zst if compressed.")
    if kind == PARQUET:
        if compression is not None:
            raise UsageError(
                f"{path}: Parquet is compressed internally, and is not read or written as .{compression}; use .{PARQUET}."
            )
        return Format(PARQUET)
    return Format("jsonl" if kind == "ndjson" else kind, compression or compression_of(path))


def compression_of(path: str) -> str | None:
    """Return the compression that a file's name shows, or None.

    >>> compression_of("out.csv.rejects.jsonl.gz"), compression_of("out.csv")
    ('gz', None)
    """
    last = _name(path).suffix.lstrip(".").lower()
    return last if last in COMPRESSIONS else None


def _extensions(path: str) -> str:
    """Return the extensions that name a format, such as ``csv.gz`` of ``a.b.csv.gz``, or an empty string."""
    name = _name(path)
    last = name.suffix.lstrip(".").lower()
    return f"{PurePath(name.stem).suffix.lstrip('.').lower()}.{last}" if last in COMPRESSIONS else last


def _name(path: str) -> PurePath:
    """Return the name that shows the format, without the query of a web address."""
    return PurePath(urlsplit(path).path if path.startswith(("http://", "https://")) else path)


def _split(name: str) -> tuple[str, str | None]:
    kind, _, compression = name.rpartition(".")
    return (kind, compression) if compression in COMPRESSIONS else (name, None)
