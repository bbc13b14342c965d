"""CSV dialects, as the options set them."""

from dataclasses import dataclass
from typing import Literal, get_args

from scorer.base.errors import UsageError

DELIMITERS = {"csv": ",", "tsv": "\t"}
"""Default delimiter of each format that has one."""

Ragged = Literal["reject", "pad"]
"""What becomes of records whose number of values differs from the header's, see `Dialect`."""

_LONGEST = 100


@dataclass(frozen=True)
class Dialect:
    """The dialect of a CSV file; it is never guessed.

    Attributes:
        delimiter: one or more characters; None for the format's own, comma or tab.
        quote_char: one character, or empty if quotes have no meaning.
        escape_char: one character, or empty.
        skip_initial_space: whether spaces after a delimiter are dropped.
        comment: beginning of lines to ignore, or empty; a line inside of a quoted value is no comment.
        skip_lines: number of physical lines before the header, or before the first record without one.
        header: whether the first record names the columns; otherwise they are ``column_1``, ``column_2``, ...
        ragged: whether records with too few or too many values are rejected, or padded: short ones get empty values, and
            empty values at the end of long ones are dropped. Records with more values are rejected in any case.
        null: values that stand for a missing one. If one contains the escape character, only an unquoted field does.
        allow_empty_files: whether a file may lack its header line if it is empty, and then has no records.
        encoding: encoding of the file.
    """

    delimiter: str | None = None
    quote_char: str = '"'
    escape_char: str = ""
    skip_initial_space: bool = False
    comment: str = ""
    skip_lines: int = 0
    header: bool = True
    ragged: Ragged = "reject"
    null: tuple[str, ...] = ()
    allow_empty_files: bool = False
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        self._check_characters()
        self._check_differences()

    @property
    def null_values(self) -> frozenset[str]:
        """Values that stand for a missing one, quoted or not: those without the escape character."""
        return frozenset(self.null) - frozenset(self.escaped_nulls)

    @property
    def escaped_nulls(self) -> tuple[str, ...]:
        """Markers with the escape character, which only fields without quotes can be."""
        return tuple(marker for marker in self.null if self.escape_char and self.escape_char in marker)

    def _check_characters(self) -> None:
        for option, value in (("--quote-char", self.quote_char), ("--escape-char", self.escape_char)):
            if len(value) > 1:
                raise UsageError(f"{option} takes one character, not {value!r}.")
        if self.delimiter == "":
            raise UsageError("--delimiter takes at least one character, as in --delimiter ';'.")
        if self.skip_lines < 0:
            raise UsageError(f"--skip-lines takes a number of lines, not {self.skip_lines}.")
        if self.ragged not in get_args(Ragged):
            raise UsageError(f"--ragged takes reject or pad, not {self.ragged!r}.")
        given = [("--delimiter", self.delimiter or ""), ("--quote-char", self.quote_char)]
        given += [("--escape-char", self.escape_char), ("--comment", self.comment)]
        for option, value in given + [("--null", marker) for marker in self.null]:
            if "\n" in value or "\r" in value:
                raise UsageError(f"{option} cannot contain a line end.")
            if len(value) > _LONGEST:
                raise UsageError(f"{option} takes at most {_LONGEST} characters, not {len(value):,}.")

    def _check_differences(self) -> None:
        """Check that no character has two meanings."""
        for option, value in (("--quote-char", self.quote_char), ("--escape-char", self.escape_char)):
            if value and value in (self.delimiter or ""):
                raise UsageError(f"--delimiter and {option} must differ, and a delimiter cannot contain {value!r}.")
        if self.quote_char and self.quote_char == self.escape_char:
            raise UsageError(
                "--quote-char and --escape-char must differ. A quote that is doubled inside of quotes needs no --escape-char."
            )
        if self.comment and self.comment in (self.delimiter, self.quote_char, self.escape_char):
            raise UsageError("--comment must differ from --delimiter, --quote-char and --escape-char.")
        if self.skip_initial_space and self.delimiter is not None and self.delimiter.startswith(" "):
            raise UsageError(
                "--skip-initial-space drops spaces, so --delimiter cannot begin with one. Give only one of them."
            )
