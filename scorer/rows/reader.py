"""All inputs as one stream of records and rejects, numbered from 1, in order."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

from scorer.base.errors import InputError, UsageError
from scorer.base.text import meant
from scorer.rows.columns import (
    ALL,
    Selection,
    Wanted,
    check_unambiguous,
    other_reading,
    select,
    shown_names,
    take,
)
from scorer.rows.dialect import Dialect
from scorer.rows.duplicates import Duplicates
from scorer.rows.formats import INPUT_FORMATS, Format, format_of
from scorer.rows.input_file import Source
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
    """What is read, and how.

    Attributes:
        files: paths, or ``-`` for stdin.
        format: --input-format, or None to go by each file's extension.
        dialect: of CSV files; its encoding holds for JSONL too.
        max_record_bytes: a longer record is rejected.
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
        """Return one of the files, and how to read it; the rest as of `Source`."""
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
    """Iterates over all records of the inputs, or the first ``limit``, each a `Record` or a `Reject`.

    Attributes:
        selection: the columns, decided on the first header or valid record; None before.
        notes: what people are told about the input, as far as it was read.
        schemas: Arrow schemas of the Parquet files that were begun, by path.
        contents: of each file that was begun, in order, its name and what it holds as far as it was read.
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
        """Begin with the first record again."""
        self.selection: Selection | None = None
        self.notes = InputNotes(self._wanted)
        self.contents: list[tuple[str, Content]] = []
        self.schemas: dict[str, pyarrow.Schema] = {}
        self._path = self.inputs.files[0]
        self._hash = self._hash_at_record = hashlib.sha256()
        self._duplicates = Duplicates()
        self._records: Iterator[Record | Reject] = self._read()

    def __iter__(self) -> Iterator[Record | Reject]:
        """The records that are not read yet."""
        return self._records

    def count(self) -> int:
        """Read all inputs once and count their records, rejects included, up to the limit; then begin anew."""
        count = sum(1 for _ in islice(self._parsed(), self._limit))
        self.rewind()
        return count

    def restrict(self, first: int, last: int) -> None:
        """Give the records of these rows only, from now on; what is before them is read, but not given.

        Where the last row is before the first there are none, and the columns are those of the whole input all the same.
        """
        self._first_row, self._limit, self._restricted = first, last, True
        self.rewind()

    def peek(self) -> None:
        """Read the first record, which is still to come: what is wrong with file or columns is known from now on."""
        first = list(islice(self._records, 1))
        self._records = chain(first, self._records)

    def skip(self, rows: int) -> bool:
        """Read ``rows`` records and drop them; False if there are fewer."""
        return sum(1 for _ in islice(self._records, rows)) == rows

    @property
    def input_hash(self) -> str:
        """The sha256 of the raw input up to the last record that was read, hexadecimal; of UTF-16 its UTF-8 form, of
        compressed files what they hold, of Parquet whole files."""
        return self._hash_at_record.hexdigest()

    @property
    def bytes_read(self) -> int:
        """How far the reading got, over all files as they are stored."""
        return sum(content.count for _, content in self.contents)

    def check_unchanged(self, *, all_files: bool = False) -> None:
        """See whether the file that is being read, or every file, is as it was in the beginning.

        Raises:
            InputError: it is not.
        """
        for path in self.inputs.files if all_files else [self._path]:
            if stamp(path) != self.stamps[path]:
                raise InputError(
                    f"{path} changed while it was read. Nothing was published; run it again when the file is complete."
                )

    def _read(self) -> Iterator[Record | Reject]:
        all_parsed = self._parsed()
        for row, parsed in enumerate(islice(all_parsed, self._limit), start=1):
            if self.selection is None and parsed.problem is None:
                self._select(tuple(parsed.fields), parsed.position.source)
            if self.notes.unseen:
                self.notes.add_names(parsed.fields)
            if row < self._first_row:
                continue
            selection = self.selection or _NOTHING
            self.notes.add_record(parsed, selection)
            taken = take(selection, parsed)
            self._hash_at_record = self._hash.copy()
            if isinstance(taken, str):
                rejected = reject(row, parsed.position, taken, parsed.raw, parsed.length)
                self.notes.add_reject(rejected)
                yield rejected
            else:
                text, carried = taken
                duplicate = self._duplicates.add(text)
                yield Record(row, text, carried, parsed.position, parsed.raw, parsed.length, duplicate)
        if self._restricted:
            self._find_columns(all_parsed)

    def _find_columns(self, rest: Iterator[Parsed]) -> None:
        """Where none of the rows so far said which columns there are, a later one does: all shards have the same."""
        for parsed in rest if self.selection is None else ():
            if self.selection is None and parsed.problem is None:
                self._select(tuple(parsed.fields), parsed.position.source)
            if self.selection is not None:
                return

    def _parsed(self) -> Iterator[Parsed]:
        for path in self.inputs.files:
            self._path = path
            self._hash.update(path.encode(errors="surrogateescape"))  # where one file ends and the next begins
            source = self._source(path)
            with INPUT_FORMATS[source.kind].opened(source) as file:
                yield from file.unnamed()
                if file.schema is not None:
                    self.schemas[path] = file.schema
                if file.columns is not None:
                    self._take_columns(file.columns, path)
                yield from file.records(self.selection or _NOTHING)

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

    def _take_columns(self, columns: tuple[str, ...], path: str) -> None:
        """A later file may lack a column, record by record; a needed one that stands there twice is an error."""
        self.notes.add_names(columns)
        if self.selection is None:
            if self._wanted.keep_existing:
                check_kept(self._wanted.keep, self.inputs, columns, path)
            self._select(columns, path)
        else:
            check_unambiguous(self.selection, columns, path)
            self.notes.add_later_file(path, columns, self.selection)

    def _select(self, columns: tuple[str, ...], path: str) -> None:
        self.selection = select(self._wanted, columns, path)
        self.notes.add_selection(self.selection, columns)


def columns_of(inputs: Inputs, path: str) -> tuple[str, ...] | None:
    """Read the columns that a file states.

    Returns:
        their names; None where each record has its own, or the file cannot be read again.

    Raises:
        InputError, ScorerError: it cannot be read.
    """
    if not is_repeatable(path):
        return None
    columns = INPUT_FORMATS[inputs.format_of(path).kind].columns
    if columns is not None:
        return columns(path)
    source = inputs.source(path, text_option=None, is_first=False, content=Content(), consumed=hashlib.sha256())
    with INPUT_FORMATS[source.kind].opened(source) as file:
        for _ in file.unnamed():
            pass
        return file.columns


def check_kept(keep: Sequence[str], inputs: Inputs, columns: Sequence[str], path: str) -> None:
    """Refuse a column of --keep that no file has, where that can be told from what the files state.

    Args:
        keep: names of columns, or `ALL`.
        inputs: all files; later ones may have a column that earlier ones lack.
        columns: of the file that was opened.
        path: its name.

    Raises:
        UsageError: a column is in none of the files.
        InputError, ScorerError: a later file cannot be read.
    """
    missing = [name for name in keep if name not in (ALL, *columns)]
    for other in inputs.files if missing else ():
        theirs = columns if other == path else columns_of(inputs, other)
        if theirs is None:  # its records will tell
            return
        missing = [name for name in missing if name not in theirs]
    for name in missing:
        raise UsageError(
            f"{path} has no column {name!r} (--keep); {meant(name, columns, 'leave it out, or name another.')} "
            f"It has: {shown_names(columns)}.{other_reading(columns)}"
        )


def rows_known(inputs: Inputs) -> int | None:
    """Add up the records that the files state; None unless all do.

    Raises:
        InputError, ScorerError: one cannot be read.
    """
    stated = [
        (rows, path)
        for path in inputs.files
        if (rows := INPUT_FORMATS[inputs.format_of(path).kind].rows) is not None and is_repeatable(path)
    ]
    return sum(rows(path) for rows, path in stated) if len(stated) == len(inputs.files) else None
