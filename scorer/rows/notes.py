"""Notes on the input, for people: possible mistakes in it, or in the options for reading it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scorer.base.text import counted
from scorer.rows.columns import ALL, ID, Advise, Selection, Wanted, shown_names
from scorer.rows.encodings import Undecoded, advice, seems_utf8
from scorer.rows.header import Header
from scorer.rows.record import Parsed, Reason, Reject

_MOST_DROPPED = 20


@dataclass
class InputNotes:
    """Notes on the records read so far.

    Attributes:
        wanted: columns asked for.
        absent: passed-through columns that the first header or valid record lacks.
        unseen: columns of --keep that no header or valid record had so far; perhaps typing errors.
        columns: column names of the first header or valid record.
        dropped: keys of later records that are not passed through because the first record lacks them, about 20 at most:
            an id, or any key with ``--keep '*'``. The first row fixes an output's columns.
        hints: advice on the first record rejected for each reason; `hint` has more on undecodable records.
        encoding: encoding that the files are read in.
        undecoded: sample of the records rejected as ``invalid_encoding``.
        beyond_ascii: number of records with other characters than ASCII that could be parsed.
        renamed: first file with columns that are passed through and have other names than it states, and their names and
            numbers.
    """

    wanted: Wanted
    encoding: str = "utf-8"
    absent: tuple[str, ...] = ()
    unseen: set[str] = field(init=False)
    columns: tuple[str, ...] = ()
    dropped: set[str] = field(default_factory=set)
    hints: dict[Reason, str] = field(default_factory=dict)
    undecoded: Undecoded = field(default_factory=Undecoded)
    beyond_ascii: int = 0
    renamed: tuple[str, Mapping[str, int]] | None = None

    def __post_init__(self) -> None:
        self.unseen = {name for name in self.wanted.keep if name != ALL}

    def add_names(self, columns: Iterable[str]) -> None:
        """Note the columns of a file or a record."""
        self.unseen.difference_update(columns)

    def add_selection(self, selection: Selection, columns: Sequence[str]) -> None:
        """Note the passed-through columns that are missing among those of the selection's file or record."""
        self.columns = tuple(columns)
        there = set(columns)
        self.absent = tuple(name for name in selection.carried if name not in there)

    def add_later_file(self, path: str, header: Header, selection: Selection, advise: Advise) -> None:
        """Note a later file without the text column, all of whose records are rejected."""
        if selection.text not in header.names and "missing_text" not in self.hints:
            self.hints["missing_text"] = (
                f"{path} has no column {selection.text!r}, unlike the first file. It has: "
                f"{shown_names(header.names)}.{advise([selection.text])}"
            )

    def add_renamed(self, path: str, header: Header) -> None:
        """Note the first file with columns that --keep '*' passes through under other names."""
        if header.renamed and ALL in self.wanted.keep and self.renamed is None:
            self.renamed = (path, header.renamed)

    def add_record(self, parsed: Parsed, selection: Selection) -> None:
        """Note the fields of a record that have no column in the output, and whether it is ASCII."""
        if parsed.problem is None and isinstance(parsed.raw, bytes) and not parsed.raw.isascii():
            self.beyond_ascii += 1
        if len(self.dropped) >= _MOST_DROPPED:
            return
        if ALL in self.wanted.keep:
            dropped = parsed.fields.keys() - {selection.text, *selection.carried}
            self.dropped |= set(sorted(dropped)[:_MOST_DROPPED])
        elif ID in parsed.fields and selection.text != ID and ID not in selection.carried:
            self.dropped.add(ID)

    def lacks_hint(self, reason: Reason) -> bool:
        """Return whether no record was rejected for a reason so far."""
        return reason not in self.hints

    def add_undecoded(self, reject: Reject) -> None:
        """Add a record rejected as ``invalid_encoding`` to the sample of them, from which `hint` makes its advice."""
        self.undecoded.add(reject.raw)
        self.hints[reject.reason] = ""

    def hint(self, reason: Reason) -> str:
        """Return advice on the records rejected for a reason so far, or an empty string."""
        if reason != "invalid_encoding":
            return self.hints.get(reason, "")
        found = advice(self.undecoded.sample, self.encoding)
        others, bad = self.beyond_ascii, self.undecoded.records
        if not (found and others) or seems_utf8(self.undecoded.sample):
            return found
        name = self.encoding
        if others < bad:
            by_chance = f"{counted(others, 'other record')} with characters beyond ASCII can be read as {name}, perhaps by chance."
            return f"{found} {by_chance} They are garbled if the file has another encoding.".strip()
        return (
            f"{counted(others, 'other record')} with characters beyond ASCII can be read as {name}. If these look right, the "
            f"files are {name}, and only the rejected records have another encoding or are damaged. Otherwise: {found}"
        )

    def all_hints(self) -> list[str]:
        """Return the advice on rejected records, a line for each reason."""
        found = {reason: self.hint(reason) for reason in self.hints}
        return [f"{reason}: {hint}" for reason, hint in found.items() if hint]
