"""All inputs as one stream of records and rejects, numbered from 1, in order."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from scorer.defaults import MAX_RECORD_BYTES
from scorer.errors import InputError
from scorer.rows import csvfile, jsonl
from scorer.rows.columns import ALL, ID, Selection, Wanted, check_unambiguous, select, take
from scorer.rows.csvfile import Dialect
from scorer.rows.encodings import check_beginning
from scorer.rows.hints import hint
from scorer.rows.lines import lines
from scorer.rows.record import Header, Parsed, Reason, Record, Reject
from scorer.rows.source import DELIMITERS, Hashed, format_of, opened, stamp

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


class Reader:
    """Iterates over all records of the inputs, or the first ``limit``, each a `Record` or a `Reject`.

    Attributes:
        selection: the columns, decided on the first header or valid record; None before.
        absent: --keep columns that the first header or valid record lacks; a typing error, perhaps.
        dropped: keys of later records that ``--keep '*'`` would have passed through, or an id, had they been in the
            first record: an output's columns are fixed by its first row. Some 20 of them at most.
        hints: by reason, what to try with the first record that was rejected for it.
        bytes_read: how far the reading got, over all files, for the progress.
        stamps: size and modification time of each file when the run began.
    """

    def __init__(self, inputs: Inputs, wanted: Wanted, limit: int | None = None) -> None:
        self._inputs = inputs
        self._wanted = wanted
        self._limit = limit
        self.stamps = {path: stamp(path) for path in inputs.files}
        self.rewind()

    def rewind(self) -> None:
        """Begin with the first record again."""
        self.selection: Selection | None = None
        self.absent: tuple[str, ...] = ()
        self.dropped: set[str] = set()
        self.hints: dict[Reason, str] = {}
        self.bytes_read = 0
        self._path = self._inputs.files[0]
        self._hash = self._hash_at_record = hashlib.sha256()
        self._records: Iterator[Record | Reject] = self._read()

    def __iter__(self) -> Iterator[Record | Reject]:
        """The records that are not read yet."""
        return self._records

    def peek(self) -> None:
        """Read the first record, which is still to come: what is wrong with file or columns is known from now on."""
        first = list(islice(self._records, 1))
        self._records = chain(first, self._records)

    def skip(self, rows: int) -> bool:
        """Read ``rows`` records and drop them; False if there are fewer."""
        return sum(1 for _ in islice(self._records, rows)) == rows

    @property
    def input_hash(self) -> str:
        """The sha256 of the raw input up to the last record that was read, hexadecimal; of UTF-16 its UTF-8 form."""
        return self._hash_at_record.hexdigest()

    def check_unchanged(self, *, all_files: bool = False) -> None:
        """See whether the file that is being read, or every file, is as it was in the beginning.

        Raises:
            InputError: it is not.
        """
        for path in self._inputs.files if all_files else [self._path]:
            if stamp(path) != self.stamps[path]:
                raise InputError(
                    f"{path} changed while it was scored. Nothing was published; run it again when the file is complete."
                )

    def _read(self) -> Iterator[Record | Reject]:
        for row, parsed in enumerate(islice(self._parsed(), self._limit), start=1):
            self.bytes_read += parsed.length
            if self.selection is None and parsed.problem is None:
                self._select(tuple(parsed.fields), parsed.position.source)
            self._note_dropped(parsed)
            # Before the first valid record nothing can be selected, and nothing needs to be.
            taken = take(self.selection or Selection("", ()), parsed)
            self._hash_at_record = self._hash.copy()
            if isinstance(taken, str):
                if taken not in self.hints:
                    self.hints[taken] = hint(taken, parsed.raw)
                yield Reject(row, parsed.position, taken, parsed.raw, parsed.length)
            else:
                yield Record(row, *taken, parsed.position, parsed.raw, parsed.length)

    def _parsed(self) -> Iterator[Parsed]:
        for path in self._inputs.files:
            self._path = path
            self._hash.update(path.encode(errors="surrogateescape"))  # where one file ends and the next begins
            for item in _parse_file(path, self._inputs, self._hash):
                if isinstance(item, Parsed):
                    yield item
                elif self.selection is None:
                    self._select(item.columns, path)
                else:
                    # A later file may lack a column, record by record; a needed one that stands there twice is an error.
                    check_unambiguous(self.selection, item.columns, path)

    def _select(self, columns: Sequence[str], source: str) -> None:
        self.selection = select(self._wanted, columns, source)
        there = set(columns)
        self.absent = tuple(name for name in self.selection.carried if name not in there)

    def _note_dropped(self, parsed: Parsed) -> None:
        if self.selection is None or len(self.dropped) >= _MOST_DROPPED:
            return
        dropped = parsed.fields.keys() - {self.selection.text, *self.selection.carried}
        self.dropped |= set(sorted(dropped if ALL in self._wanted.keep else dropped & {ID})[:_MOST_DROPPED])


def _parse_file(path: str, inputs: Inputs, running: "hashlib._Hash") -> Iterator[Header | Parsed]:
    kind = format_of(path, inputs.format, "--input-format")
    with opened(path, inputs.dialect.encoding) as (stream, encoding):
        physical = lines(Hashed(stream, running), inputs.max_record_bytes, carriage_returns=kind != "jsonl")
        first = next(physical, None)
        if first is not None:
            check_beginning(path, first, encoding, inputs.dialect.encoding)
            physical = chain([first], physical)
        if kind == "jsonl":
            yield from jsonl.parse(path, physical, encoding)
        else:
            delimiter = inputs.dialect.delimiter or DELIMITERS[kind]
            dialect = replace(inputs.dialect, delimiter=delimiter, encoding=encoding)
            yield from csvfile.parse(path, physical, dialect, inputs.max_record_bytes)
