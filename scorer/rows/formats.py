"""Which format a file has, told from its name or as the command line says: never from its content."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import urlsplit

from scorer.base.errors import UsageError
from scorer.rows import csv_reader, jsonl
from scorer.rows.input_file import InputFile, Source
from scorer.storage.inputs import STDIN

TEXT_FORMATS = ("csv", "tsv", "jsonl", "ndjson")
PARQUET = "parquet"
FORMATS = (*TEXT_FORMATS, PARQUET)
COMPRESSIONS = ("gz", "zst")


@dataclass(frozen=True)
class InputFormat:
    """Functions that read files of a format.

    Attributes:
        opened: opens a file.
        rows: gives the count of records that a file states; None if only reading tells.
        columns: gives the columns that a file states, without reading more of it; None to open it as for reading.
    """

    opened: Callable[[Source], AbstractContextManager[InputFile]]
    rows: Callable[[str], int] | None = None
    columns: Callable[[str], tuple[str, ...]] | None = None


def _opened_parquet(source: Source) -> AbstractContextManager[InputFile]:
    from scorer.rows import parquet_reader  # pyarrow takes a moment that text files need not wait

    return parquet_reader.opened(source)


def _parquet_rows(path: str) -> int:
    from scorer.rows import parquet_reader

    return parquet_reader.rows_of(path)


def _parquet_columns(path: str) -> tuple[str, ...]:
    from scorer.rows import parquet_reader

    return parquet_reader.columns_of(path)


INPUT_FORMATS = {
    "csv": InputFormat(csv_reader.opened),
    "tsv": InputFormat(csv_reader.opened),
    "jsonl": InputFormat(jsonl.opened),
    PARQUET: InputFormat(_opened_parquet, _parquet_rows, _parquet_columns),
}


@dataclass(frozen=True)
class Format:
    """How a file is written.

    Attributes:
        kind: ``csv``, ``tsv``, ``jsonl`` or ``parquet``.
        compression: ``gz`` or ``zst``, or None. Parquet compresses its own pages.
    """

    kind: str
    compression: str | None = None


def format_of(path: str, given: str | None, option: str) -> Format:
    """A file's format: as given, else by its name's extensions.

    What is given need not name the compression: the file's name still tells it.

    Raises:
        UsageError: neither tells a format.

    >>> format_of("a/Reviews.CSV", None, "--input-format"), format_of("a.txt.gz", "ndjson", "--input-format")
    (Format(kind='csv', compression=None), Format(kind='jsonl', compression='gz'))
    >>> format_of("-", "jsonl.zst", "--input-format")
    Format(kind='jsonl', compression='zst')
    """
    kind, compression = _split(given.lower() if given is not None else _extensions(path))
    if kind not in FORMATS or (given is not None and given.startswith(".")):
        what = "stdin needs" if path == STDIN else f"the format of {path} cannot be told from its name: give"
        if given is not None:
            what = f"{option} {given!r} is no format: give"
        raise UsageError(f"{what} {option}, one of: {', '.join(FORMATS)}; with .gz or .zst behind it if compressed.")
    if kind == PARQUET:
        if compression is not None:
            raise UsageError(f"{path}: Parquet is compressed inside; it is not read or written as .{compression}.")
        return Format(PARQUET)
    return Format("jsonl" if kind == "ndjson" else kind, compression or compression_of(path))


def compression_of(path: str) -> str | None:
    """What a file's name says of its compression.

    >>> compression_of("out.csv.rejects.jsonl.gz"), compression_of("out.csv")
    ('gz', None)
    """
    last = _name(path).suffix.lstrip(".").lower()
    return last if last in COMPRESSIONS else None


def _extensions(path: str) -> str:
    """``csv.gz`` of ``a.b.csv.gz``; empty where there is none."""
    name = _name(path)
    last = name.suffix.lstrip(".").lower()
    return f"{PurePath(name.stem).suffix.lstrip('.').lower()}.{last}" if last in COMPRESSIONS else last


def _name(path: str) -> PurePath:
    """The name that tells the format; of a web address without its query."""
    return PurePath(urlsplit(path).path if path.startswith(("http://", "https://")) else path)


def _split(name: str) -> tuple[str, str | None]:
    kind, _, compression = name.rpartition(".")
    return (kind, compression) if compression in COMPRESSIONS else (name, None)
