"""All inputs as one stream of records and rejects, numbered from 1, in order."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from scorer.base.errors import InputError
from scorer.rows import csv_reader, jsonl
from scorer.rows.columns import ALL, ID, Selection, Wanted, check_unambiguous, other_reading, select, shown_names, take
from scorer.rows.csv_reader import Dialect
from scorer.rows.duplicates import Duplicates
from scorer.rows.encodings import check_beginning, hint
from scorer.rows.formats import DELIMITERS, PARQUET, Format, format_of
from scorer.rows.lines import MAX_RECORD_BYTES, lines
from scorer.rows.record import Header, Parsed, Reason, Record, Reject, reject
from scorer.storage.digest import Content, DigestingReader
from scorer.storage.inputs import is_repeatable, opened, stamp

if TYPE_CHECKING:
    import pyarrow

_MOST_DROPPED = 20


@dataclass(frozen=True)
class Inputs:
    """What is read, and how.

    Attributes:
        files: paths, or ``-`` for stdin.
        format: --input-format, or None to go by each file's extension.
        dialect: of CSV files; its encoding holds for JSONL too.
        max_record_bytes: a longer record is rejected.
    """

    files: tuple[str, ...]
    format: str | None = None
    dialect: Dialect = field(default_factory=Dialect)
    max_record_bytes: int = MAX_RECORD_BYTES

    def format_of(self, path: str) -> Format:
        return format_of(path, self.format, "--input-format")


class Reader:
    """Iterates over all records of the inputs, or the first ``limit``, each a `Record` or a `Reject`.

    Attributes:
        selection: the columns, decided on the first header or valid record; None before.
        absent: --keep columns that the first header or valid record lacks; a typing error, perhaps.
        dropped: keys of later records that ``--keep '*'`` would have passed through, or an id, had they been in the
            first record: an output's columns are fixed by its first row. Some 20 of them at most.
        hints: by reason, what to try with the first record that was rejected for it.
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
        self.absent: tuple[str, ...] = ()
        self.dropped: set[str] = set()
        self.hints: dict[Reason, str] = {}
        self.contents: list[tuple[str, Content]] = []
        self._schemas: dict[str, pyarrow.Schema] = {}
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
        compressed files what they hold, of Parquet whole row groups."""
        return self._hash_at_record.hexdigest()

    @property
    def bytes_read(self) -> int:
        """How far the reading got, over all files as they are stored."""
        return sum(content.count for _, content in self.contents)

    def carried_fields(self, names: Sequence[str]) -> "list[pyarrow.Field]":
        """The types of passed-through columns for a Parquet output, once the first record was read.

        Raises:
            UsageError: two files have one with types that do not go together.
            InputError, ScorerError: a later file cannot be read.
        """
        from scorer.rows.parquet_schema import carried_fields, schema_of  # pyarrow takes a moment that others need not

        for path in self.inputs.files:
            if path not in self._schemas and self.inputs.format_of(path).kind == PARQUET:
                self._schemas[path] = schema_of(path)
        fields = carried_fields(self.inputs.files, self._schemas, names)
        return [fields[name] for name in names]

    def check_unchanged(self, *, all_files: bool = False) -> None:
        """See whether the file that is being read, or every file, is as it was in the beginning.

        Raises:
            InputError: it is not.
        """
        for path in self.inputs.files if all_files else [self._path]:
            if stamp(path) != self.stamps[path]:
                raise InputError(
                    f"{path} changed while it was scored. Nothing was published; run it again when the file is complete."
                )

    def _read(self) -> Iterator[Record | Reject]:
        all_parsed = self._parsed()
        for row, parsed in enumerate(islice(all_parsed, self._limit), start=1):
            if self.selection is None and parsed.problem is None:
                self._select(tuple(parsed.fields), parsed.position.source)
            if row < self._first_row:
                continue
            self._note_dropped(parsed)
            # Before the first valid record nothing can be selected, and nothing needs to be.
            taken = take(self.selection or Selection("", ()), parsed)
            self._hash_at_record = self._hash.copy()
            if isinstance(taken, str):
                rejected = reject(row, parsed.position, taken, parsed.raw, parsed.length)
                if taken not in self.hints:
                    self.hints[taken] = hint(taken, rejected.raw)
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
            for item in self._parse_file(path):
                if isinstance(item, Parsed):
                    yield item
                else:
                    self._take_header(item, path)

    def _take_header(self, header: Header, path: str) -> None:
        if header.schema is not None:
            self._schemas[path] = header.schema
        if self.selection is None:
            self._select(header.columns, path)
        else:
            self._check_later(header, path, self.selection)

    def _check_later(self, header: Header, path: str, selection: Selection) -> None:
        """A later file may lack a column, record by record; a needed one that stands there twice is an error."""
        check_unambiguous(selection, header.columns, path)
        if selection.text not in header.columns and "missing_text" not in self.hints:
            self.hints["missing_text"] = (
                f"{path} has no column {selection.text!r}, which the first file has; it has: "
                f"{shown_names(header.columns)}.{other_reading(header.columns)}"
            )

    def _select(self, columns: Sequence[str], source: str) -> None:
        self.selection = select(self._wanted, columns, source)
        there = set(columns)
        self.absent = tuple(name for name in self.selection.carried if name not in there)

    def _note_dropped(self, parsed: Parsed) -> None:
        if self.selection is None or len(self.dropped) >= _MOST_DROPPED:
            return
        dropped = parsed.fields.keys() - {self.selection.text, *self.selection.carried}
        self.dropped |= set(sorted(dropped if ALL in self._wanted.keep else dropped & {ID})[:_MOST_DROPPED])

    def _parse_file(self, path: str) -> Iterator[Header | Parsed]:
        content = Content()
        self.contents.append((path, content))
        kind = self.inputs.format_of(path)
        return self._parse_parquet(path, content) if kind.kind == PARQUET else self._parse_text(path, kind, content)

    def _parse_parquet(self, path: str, content: Content) -> Iterator[Header | Parsed]:
        from scorer.rows import parquet_reader  # pyarrow takes a moment that text files need not wait

        def selection() -> Selection:
            assert self.selection is not None  # the header is given first
            return self.selection

        limit, is_first = self.inputs.max_record_bytes, len(self.contents) == 1
        yield from parquet_reader.parse(path, content, self._hash, selection, limit, is_first=is_first)

    def _parse_text(self, path: str, kind: Format, content: Content) -> Iterator[Header | Parsed]:
        dialect = self.inputs.dialect
        with opened(path, kind.compression, dialect.encoding, content) as (stream, encoding):
            physical = lines(
                DigestingReader(stream, self._hash), self.inputs.max_record_bytes, carriage_returns=kind.kind != "jsonl"
            )
            first = next(physical, None)
            if first is not None:
                check_beginning(path, first, encoding, dialect.encoding)
                physical = chain([first], physical)
            if kind.kind == "jsonl":
                yield from jsonl.parse(path, physical, encoding)
            else:
                delimiter = dialect.delimiter or DELIMITERS[kind.kind]
                dialect = replace(dialect, delimiter=delimiter, encoding=encoding)
                yield from csv_reader.parse(path, physical, dialect, self.inputs.max_record_bytes)


def rows_known(inputs: Inputs) -> int | None:
    """How many records there are, where the files themselves say so: if all are Parquet.

    Raises:
        InputError, ScorerError: one cannot be read.
    """
    if any(inputs.format_of(path).kind != PARQUET or not is_repeatable(path) for path in inputs.files):
        return None
    from scorer.rows.parquet_schema import rows_of

    return sum(map(rows_of, inputs.files))
