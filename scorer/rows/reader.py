"""All inputs as one stream of records and rejects, numbered from 1, in order."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

from scorer.base.errors import InputError, UsageError
from scorer.base.text import did_you_mean
from scorer.rows.columns import (
    ALL,
    Advise,
    Selection,
    Wanted,
    check_needed,
    check_unambiguous,
    no_advice,
    select,
    shown_names,
    take,
)
from scorer.rows.dialect import Dialect
from scorer.rows.duplicates import Duplicates
from scorer.rows.formats import INPUT_FORMATS, Format, format_of
from scorer.rows.header import Header
from scorer.rows.input_file import InputFile, Source
from scorer.rows.lines import MAX_RECORD_BYTES
from scorer.rows.notes import InputNotes
from scorer.rows.record import Parsed, Record, Reject, reject
from scorer.storage.digest import Content, Digest
from scorer.storage.inputs import is_repeatable, stamp

if TYPE_CHECKING:
    import pyarrow

_NOTHING = Selection("", ())
"""Selection before the first valid record: nothing can be selected, and nothing needs to be."""


@dataclass(frozen=True)
class Inputs:
    """Input files, with the settings to read them.

    Attributes:
        files: paths, or ``-`` for stdin.
        format: format of every file (--input-format); None to go by each file's extension.
        dialect: dialect of CSV files; its encoding is that of JSONL files as well.
        max_record_bytes: largest size of a record, in bytes; a larger one is rejected.
        left_out: names in input folders that are not read, see `scorer.storage.inputs.Found`.
    """

    files: tuple[str, ...]
    format: str | None = None
    dialect: Dialect = field(default_factory=Dialect)
    max_record_bytes: int = MAX_RECORD_BYTES
    left_out: tuple[str, ...] = ()

    def format_of(self, path: str) -> Format:
        return format_of(path, self.format, "--input-format")

    def source(
        self, path: str, *, text_option: str | None, is_first: bool, content: Content, consumed: Digest
    ) -> Source:
        """Return one of the files with the settings to read it; the arguments are those of `Source`."""
        found = self.format_of(path)
        return Source(
            path,
            found.kind,
            found.compression,
            self.dialect,
            self.max_record_bytes,
            text_option,
            is_first,
            content,
            consumed,
        )


class Reader:
    """An iterator over all records of the inputs, or the first ``limit``, each a `Record` or a `Reject`.

    Attributes:
        selection: columns to read, chosen from the first header or valid record; None before it.
        notes: notes on the input read so far, for people.
        schemas: Arrow schemas of the Parquet files read so far, by path.
        contents: name and digest of each file read so far, in order; the last may still be in progress.
        stamps: size and modification time of each file when the run began.
    """

    def __init__(self, inputs: Inputs, wanted: Wanted, limit: int | None = None) -> None:
        self.inputs = inputs
        self._wanted = wanted
        self._limit = limit
        self._first_row = 1
        self._restricted = False
        self.stamps = {path: stamp(path) for path in inputs.files}
        self.rewind()

    def rewind(self) -> None:
        """Begin again with the first record."""
        self.selection: Selection | None = None
        self.notes = InputNotes(self._wanted, self.inputs.dialect.encoding)
        self.contents: list[tuple[str, Content]] = []
        self.schemas: dict[str, pyarrow.Schema] = {}
        self._path = self.inputs.files[0]
        self._file: InputFile | None = None
        self._hash = self._hash_at_record = hashlib.sha256()
        self._duplicates = Duplicates()
        self._with_records: set[str] = set()
        self._records: Iterator[Record | Reject] = self._read()

    def __iter__(self) -> Iterator[Record | Reject]:
        """Return the iterator over the records not yet read."""
        return self._records

    def count(self) -> int:
        """Read all inputs once and count their records, rejects included, up to the limit; then rewind."""
        count = sum(1 for _ in islice(self._parsed(), self._limit))
        self.rewind()
        return count

    def restrict(self, first: int, last: int) -> None:
        """Restrict the reader to a range of records, numbered from 1; earlier ones are read, but not yielded.

        If the last is before the first, there are no records; the columns are still those of the whole input.
        """
        self._first_row, self._limit, self._restricted = first, last, True
        self.rewind()

    def peek(self) -> None:
        """Read the first record without consuming it, so that problems of the file or its columns appear now."""
        first = list(islice(self._records, 1))
        self._records = chain(first, self._records)

    def skip(self, rows: int, keep: Callable[[Record | Reject], None] | None = None) -> bool:
        """Read ``rows`` records and drop them; return False if there are fewer.

        Args:
            rows: number of records.
            keep: function that gets each of them; None for no function.
        """
        count = 0
        for item in islice(self._records, rows):
            count += 1
            if keep is not None:
                keep(item)
        return count == rows

    def drawn(self, path: str, rows: Sequence[int]) -> Iterator[Record | Reject]:
        """Yield some records of one file, whose format has `scorer.rows.formats.InputFormat.groups`.

        Their numbers, positions and duplicates are unknown. The records that `__iter__` yields are not affected.

        Args:
            path: one of the files.
            rows: numbers of the records in the file, from 0, in order.

        Raises:
            InputError, UsageError, ScorerError: the file cannot be read.
        """
        source = self.inputs.source(
            path,
            text_option=self._wanted.option,
            is_first=path == self.inputs.files[0],
            content=Content(),
            consumed=hashlib.sha256(),
        )
        with INPUT_FORMATS[source.kind].opened(source) as file:
            if file.schema is not None:
                self.schemas[path] = file.schema
            self._take_columns(file.header or Header(()), path, file.advice)
            selection = self.selection or _NOTHING
            for parsed in file.drawn(selection, rows):
                taken = take(selection, parsed)
                if isinstance(taken, str):
                    yield reject(1, parsed.position, taken, parsed.raw, parsed.length)
                else:
                    yield Record(1, *taken, parsed.position, parsed.raw, parsed.length)

    @property
    def input_hash(self) -> str:
        """The SHA-256 of the raw input up to the last record read, hexadecimal.

        UTF-16 is hashed in its UTF-8 form, a compressed file decompressed, and a Parquet file as a whole.
        """
        return self._hash_at_record.hexdigest()

    @property
    def bytes_read(self) -> int:
        """Bytes read so far, over all files as stored."""
        return sum(content.count for _, content in self.contents)

    @property
    def empty_files(self) -> list[str]:
        """Files that were read to their end and had no record."""
        return [path for path, content in self.contents if content.ended and path not in self._with_records]

    def check_unchanged(self, *, all_files: bool = False) -> None:
        """Check that the current file, or every file, has not changed since the run began.

        Raises:
            InputError: a file has changed.
        """
        for path in self.inputs.files if all_files else [self._path]:
            if stamp(path) != self.stamps[path]:
                raise InputError(
                    f"{path} changed while it was read. Nothing was published; "
                    "run the command again once the file is complete."
                )

    def _read(self) -> Iterator[Record | Reject]:
        all_parsed = self._parsed()
        for row, parsed in enumerate(islice(all_parsed, self._limit), start=1):
            if self.selection is None and parsed.problem is None:
                self._select(Header(tuple(parsed.fields)), parsed.position.source)
            if self.notes.unseen:
                self.notes.add_names(parsed.fields)
            self._check_keys(parsed)
            self._with_records.add(parsed.position.source)
            if row < self._first_row:
                continue
            selection = self.selection or _NOTHING
            self.notes.add_record(parsed, selection)
            taken = take(selection, parsed)
            self._hash_at_record = self._hash.copy()
            if isinstance(taken, str):
                rejected = reject(row, parsed.position, taken, parsed.raw, parsed.length)
                if taken == "invalid_encoding":
                    self.notes.add_undecoded(rejected)
                elif self.notes.lacks_hint(taken):
                    self.notes.hints[taken] = self._hint(parsed._replace(problem=taken))
                yield rejected
            else:
                text, carried = taken
                duplicate = self._duplicates.add(text)
                yield Record(row, text, carried, parsed.position, parsed.raw, parsed.length, duplicate)
        if self._restricted:
            self._find_columns(all_parsed)

    def _find_columns(self, rest: Iterator[Parsed]) -> None:
        """Choose the columns from a later record if no record so far was valid: all shards have the same columns."""
        for parsed in rest if self.selection is None else ():
            if self.selection is None and parsed.problem is None:
                self._select(Header(tuple(parsed.fields)), parsed.position.source)
            if self.selection is not None:
                return

    def _parsed(self) -> Iterator[Parsed]:
        for path in self.inputs.files:
            self._path = path
            self._hash.update(path.encode(errors="surrogateescape"))  # where one file ends and the next begins
            source = self._source(path)
            with INPUT_FORMATS[source.kind].opened(source) as self._file:
                yield from self._file.unnamed()
                if self._file.schema is not None:
                    self.schemas[path] = self._file.schema
                if self._file.header is not None:
                    self._take_columns(self._file.header, path, self._file.advice)
                yield from self._file.records(self.selection or _NOTHING)

    def _source(self, path: str) -> Source:
        content = Content()
        self.contents.append((path, content))
        return self.inputs.source(
            path,
            text_option=self._wanted.option,
            is_first=len(self.contents) == 1,
            content=content,
            consumed=self._hash,
        )

    def _take_columns(self, header: Header, path: str, advise: Advise) -> None:
        """Take a file's columns. A later file may lack the text, but not a needed one, nor have one twice."""
        self.notes.add_names(header.names)
        if self.selection is None:
            self._select(header, path, advise)
            if self._wanted.keep_existing:
                check_kept(self._wanted.keep, self.inputs, header, path, advise)
        else:
            check_needed(self._wanted.needed, header.names, path, advise)
            check_unambiguous(self.selection, self._wanted, header, path)
            self.notes.add_later_file(path, header, self.selection, advise)
        self.notes.add_renamed(path, header)

    def _select(self, header: Header, path: str, advise: Advise = no_advice) -> None:
        self.selection = select(self._wanted, header, path, advise)
        self.notes.add_selection(self.selection, header.names)

    def _check_keys(self, parsed: Parsed) -> None:
        """Check that a record has the needed columns, if each record has its own."""
        if self._wanted.needed and parsed.problem is None and self._file is not None and self._file.keyed:
            place = f"{parsed.position.source}, line {parsed.position.line}"
            check_needed(self._wanted.needed, parsed.fields, place)

    def _hint(self, parsed: Parsed) -> str:
        return self._file.hint(parsed) if self._file is not None else ""


def header_of_file(inputs: Inputs, path: str) -> Header | None:
    """Read the columns that a file states.

    Returns:
        columns; None if each record has its own, or if the file cannot be read again.

    Raises:
        InputError, ScorerError: the file cannot be read.
    """
    if not is_repeatable(path):
        return None
    header = INPUT_FORMATS[inputs.format_of(path).kind].header
    if header is not None:
        return header(path)
    source = inputs.source(path, text_option=None, is_first=False, content=Content(), consumed=hashlib.sha256())
    with INPUT_FORMATS[source.kind].opened(source) as file:
        for _ in file.unnamed():
            pass
        return file.header or (None if file.keyed else Header(()))


def first_header(inputs: Inputs, path: str) -> Header:
    """Read the columns that a file states, or the keys of its first valid record; no columns if it has none.

    Raises:
        InputError, ScorerError: the file cannot be read.
    """
    stated = header_of_file(inputs, path)
    if stated is not None:
        return stated
    valid = (parsed for parsed in records_of(inputs, path, _NOTHING, is_text=False) if parsed.problem is None)
    return Header(tuple(next((parsed.fields for parsed in valid), ())))


def records_of(
    inputs: Inputs, path: str, selection: Selection, *, is_text: bool, consumed: Digest | None = None
) -> Iterator[Parsed]:
    """Yield the records of a single file as parsed, whatever they hold.

    Args:
        inputs: settings to read it.
        path: name of the file.
        selection: columns to read.
        is_text: whether the selection's text column must hold text.
        consumed: digest of the bytes that became records, as for `Source`; None for no digest.

    Raises:
        UsageError: the text column cannot hold text.
        InputError, ScorerError: the file cannot be read.
    """
    consumed = hashlib.sha256() if consumed is None else consumed
    source = inputs.source(path, text_option=None, is_first=is_text, content=Content(), consumed=consumed)
    with INPUT_FORMATS[source.kind].opened(source) as file:
        yield from file.unnamed()
        yield from file.records(selection)


def check_kept(keep: Sequence[str], inputs: Inputs, header: Header, path: str, advise: Advise = no_advice) -> None:
    """Refuse a column of --keep that no file has, as far as the files state their columns.

    Args:
        keep: names of columns, or `ALL`.
        inputs: all files; later ones may have a column that earlier ones lack.
        header: columns of the opened file.
        path: name of that file.
        advise: function that returns advice on reading that file otherwise.

    Raises:
        UsageError: a column is in none of the files.
        InputError, ScorerError: a later file cannot be read.
    """
    missing = [name for name in keep if name not in (ALL, *header.names)]
    for other in inputs.files if missing else ():
        theirs = header if other == path else header_of_file(inputs, other)
        if theirs is None:  # only its records will show
            return
        missing = [name for name in missing if name not in theirs.names]
    for name in missing:
        advice = "give --keep once for each column." if "," in name else "leave it out, or name another."
        raise UsageError(
            f"{path} has no column {name!r} (--keep); {did_you_mean(name, header.names, advice, '--keep')} "
            f"It has: {shown_names(header.names)}.{advise([name])}"
        )


def rows_known(inputs: Inputs) -> int | None:
    """Return the number of records that the files state, in total; None unless every file states it.

    Raises:
        InputError, ScorerError: a file cannot be read.
    """
    stated = [
        (rows, path)
        for path in inputs.files
        if (rows := INPUT_FORMATS[inputs.format_of(path).kind].rows) is not None and is_repeatable(path)
    ]
    return sum(rows(path) for rows, path in stated) if len(stated) == len(inputs.files) else None
