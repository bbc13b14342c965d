"""Notes on the input for people: what may be a mistake in it, or in how it is read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scorer.rows.columns import ALL, ID, Selection, Wanted, other_reading, shown_names
from scorer.rows.encodings import hint
from scorer.rows.record import Parsed, Reason, Reject

_MOST_DROPPED = 20


@dataclass
class InputNotes:
    """Notes on the records that were read so far.

    Attributes:
        wanted: what was asked for.
        absent: passed-through columns that the first header or valid record lacks.
        unseen: columns of --keep that neither a header nor a valid record had so far; typing errors, perhaps.
        columns: of the first header or valid record.
        dropped: keys of later records that ``--keep '*'`` would have passed through, or an id, had they been in the
            first record: an output's columns are fixed by its first row. Some 20 of them at most.
        hints: by reason, what to try with the first record that was rejected for it.
    """

    wanted: Wanted
    absent: tuple[str, ...] = ()
    unseen: set[str] = field(init=False)
    columns: tuple[str, ...] = ()
    dropped: set[str] = field(default_factory=set)
    hints: dict[Reason, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.unseen = {name for name in self.wanted.keep if name != ALL}

    def add_names(self, columns: Iterable[str]) -> None:
        """Note columns that a file states, or a record has."""
        self.unseen.difference_update(columns)

    def add_selection(self, selection: Selection, columns: Sequence[str]) -> None:
        """Note which passed-through columns are missing where the selection was made."""
        self.columns = tuple(columns)
        there = set(columns)
        self.absent = tuple(name for name in selection.carried if name not in there)

    def add_later_file(self, path: str, columns: Sequence[str], selection: Selection) -> None:
        """Note a file that lacks the text column, which costs all its records."""
        if selection.text not in columns and "missing_text" not in self.hints:
            self.hints["missing_text"] = (
                f"{path} has no column {selection.text!r}, which the first file has; it has: "
                f"{shown_names(columns)}.{other_reading(columns)}"
            )

    def add_record(self, parsed: Parsed, selection: Selection) -> None:
        """Note the fields of a record that the output has no column for."""
        if len(self.dropped) >= _MOST_DROPPED:
            return
        dropped = parsed.fields.keys() - {selection.text, *selection.carried}
        self.dropped |= set(sorted(dropped if ALL in self.wanted.keep else dropped & {ID})[:_MOST_DROPPED])

    def add_reject(self, reject: Reject) -> None:
        """Note what to try with a rejected record, if it is the first for its reason."""
        if reject.reason not in self.hints:
            self.hints[reject.reason] = hint(reject.reason, reject.raw)
