"""Notes on the input, for people: possible mistakes in it, or in the options for reading it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scorer.rows.columns import ALL, ID, Advise, Selection, Wanted, shown_names
from scorer.rows.header import Header
from scorer.rows.record import Parsed, Reason

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
        hints: advice on the first record rejected for each reason.
        renamed: first file with columns that are passed through and have other names than it states, and their names and
            numbers.
    """

    wanted: Wanted
    absent: tuple[str, ...] = ()
    unseen: set[str] = field(init=False)
    columns: tuple[str, ...] = ()
    dropped: set[str] = field(default_factory=set)
    hints: dict[Reason, str] = field(default_factory=dict)
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
        """Note the fields of a record that have no column in the output."""
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
