"""The shape that every input format has: opened, a file tells its columns, then gives its records."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from scorer.rows.columns import Selection
from scorer.rows.dialect import Dialect
from scorer.rows.encodings import check_beginning
from scorer.rows.lines import Line, lines
from scorer.rows.record import Parsed
from scorer.storage.digest import Content, Digest, DigestingReader
from scorer.storage.inputs import opened

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Source:
    """An input file to open, and how to read it.

    Attributes:
        path: path or address, ``-`` for stdin.
        kind: format, a key of `scorer.rows.formats.INPUT_FORMATS`.
        compression: ``gz`` or ``zst``, or None.
        dialect: of a CSV file; its encoding holds for every text format.
        max_record_bytes: limit of a record.
        text_option: option that names the text column, for messages; None where its name is fixed.
        is_first: whether no file was read before. A text column without text ends the run in the first file only.
        content: digest of the file as it is stored.
        consumed: digest of what records were made of, over all inputs.
    """

    path: str
    kind: str
    compression: str | None
    dialect: Dialect
    max_record_bytes: int
    text_option: str | None
    is_first: bool
    content: Content
    consumed: Digest


class InputFile(ABC):
    """An open input file.

    Attributes:
        columns: names, in order; None where each record has its own, or before `unnamed` ends.
        schema: Arrow types of the columns, of Parquet.
    """

    columns: tuple[str, ...] | None = None
    schema: "pyarrow.Schema | None" = None

    def unnamed(self) -> Iterator[Parsed]:
        """Yield the rejects that come before the columns are known; to be read before `columns`."""
        return iter(())

    @abstractmethod
    def records(self, selection: Selection) -> Iterator[Parsed]:
        """Yield the records, in order.

        Args:
            selection: needed columns; a record may hold others too.

        Raises:
            InputError: the file is damaged.
            UsageError: the text column of the first file cannot hold text.
            ScorerError: it cannot be read.
        """


@contextmanager
def opened_lines(source: Source, *, carriage_returns: bool = False) -> Iterator[tuple[Iterator[Line], str]]:
    """Open a text file; gives its physical lines and the encoding that they have.

    Args:
        source: the file.
        carriage_returns: as of `lines`.

    Raises:
        InputError: it begins like a file of another encoding, or as of `opened`.
        ScorerError: it cannot be opened or read.
    """
    given = source.dialect.encoding
    with opened(source.path, source.compression, given, source.content) as (stream, encoding):
        consumed = DigestingReader(stream, source.consumed)
        physical_lines = lines(consumed, source.max_record_bytes, carriage_returns=carriage_returns)
        first = next(physical_lines, None)
        if first is not None:
            check_beginning(source.path, first, encoding, given)
            physical_lines = chain([first], physical_lines)
        yield physical_lines, encoding
