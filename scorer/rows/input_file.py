"""The interface of every input format: an open file has columns, then yields its records."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, cast

from scorer.base.errors import InputError
from scorer.rows.columns import Selection
from scorer.rows.dialect import Dialect
from scorer.rows.encodings import UndecodedHeader, advice, check_beginning, undecoded_lines, without_escapes
from scorer.rows.header import Header
from scorer.rows.lines import Line, lines
from scorer.rows.record import Parsed
from scorer.rows.signatures import SAMPLE, refuse_archive, refuse_by_content
from scorer.storage.digest import Content, Digest, DigestingReader
from scorer.storage.inputs import is_repeatable, opened, opened_file

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Source:
    """An input file to open, and how to read it.

    Attributes:
        path: path or address; ``-`` for stdin.
        kind: format, a key of `scorer.rows.formats.INPUT_FORMATS`.
        compression: ``gz`` or ``zst``, or None.
        dialect: dialect of a CSV file; its encoding is that of every text format.
        max_record_bytes: largest size of a record, in bytes.
        text_option: option that names the text column, for messages; None if its name is fixed.
        is_first: whether this is the first file. Only there does a text column that holds no text end the run.
        content: digest of the file as stored.
        consumed: digest of the bytes that became records, over all inputs.
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
        header: columns of the file; None if each record has its own, if the file is empty, or before `unnamed` ends.
        schema: Arrow types of the columns; None unless the file is Parquet.
        keyed: whether each record has its own columns.
    """

    keyed = False
    header: Header | None = None
    schema: "pyarrow.Schema | None" = None

    def unnamed(self) -> Iterator[Parsed]:
        """Yield the rejects that come before the columns are known; read them before `header`."""
        return iter(())

    def advice(self, names: Sequence[str]) -> str:
        """Return advice on reading the file otherwise if it lacks columns, or an empty string.

        Args:
            names: names of which the file should have one.
        """
        return ""

    def hint(self, parsed: Parsed) -> str:
        """Return advice on a record that could not be parsed, or an empty string."""
        return ""

    @abstractmethod
    def records(self, selection: Selection) -> Iterator[Parsed]:
        """Yield the records, in order.

        Args:
            selection: needed columns; a record may have others as well.

        Raises:
            InputError: the file is damaged.
            UsageError: the text column of the first file cannot hold text.
            ScorerError: the file cannot be read.
        """

    def drawn(self, selection: Selection, rows: Sequence[int]) -> Iterator[Parsed]:
        """Yield some records of a file whose format has `scorer.rows.formats.InputFormat.groups`, without its digests.

        The positions of records are unknown. Raises what `records` does.

        Args:
            selection: needed columns.
            rows: numbers of the records in the file, from 0, in order.
        """
        raise NotImplementedError


@contextmanager
def opened_lines(source: Source, *, carriage_returns: bool = False) -> Iterator[tuple[Iterator[Line], str]]:
    """Open a text file; yield its physical lines and their encoding.

    Args:
        source: file to open.
        carriage_returns: whether lines end at ``\\r`` as well, see `lines`.

    Raises:
        InputError: the file begins like one in another encoding, or like one that is no text; or `opened` raises it.
        ScorerError: the file cannot be opened or read.
    """
    given = source.dialect.encoding
    with opened(source.path, source.compression, given, source.content) as (stream, encoding):
        refuse_by_content(source.path, _beginning(source, stream), source.kind, source.compression)
        consumed = DigestingReader(stream, source.consumed)
        physical_lines = lines(consumed, source.max_record_bytes, carriage_returns=carriage_returns)
        first = next(physical_lines, None)
        if first is not None:
            check_beginning(source.path, first, encoding, given)
            physical_lines = without_escapes(source.path, chain([first], physical_lines), given)
        try:
            yield physical_lines, encoding
        except UndecodedHeader as error:  # the lines after a header, which is short, show the encoding better
            ahead = stream.peek().rpartition(b"\n")[0]  # type: ignore[attr-defined]
            found = advice(undecoded_lines(error.raw + ahead), given)
            raise UndecodedHeader(error.source, error.raw, found) from error


def _beginning(source: Source, stream: BinaryIO) -> bytes:
    """Return the first bytes of a text file, without reading past them.

    Raises:
        InputError: it cannot be decompressed or recoded.
    """
    try:
        return cast(io.BufferedReader, stream).peek(SAMPLE)[:SAMPLE]
    except InputError:
        if is_repeatable(source.path):
            with opened_file(source.path) as file:
                stored = file.read(SAMPLE)
            if source.compression is None:
                refuse_by_content(source.path, stored, source.kind, None)
            else:
                refuse_archive(source.path, stored, source.kind, source.compression)
        raise
