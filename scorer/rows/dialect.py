"""CSV dialects, as the options set them."""

from dataclasses import dataclass

from scorer.base.errors import UsageError

DELIMITERS = {"csv": ",", "tsv": "\t"}
"""Default delimiter of each format that has one."""


@dataclass(frozen=True)
class Dialect:
    """The dialect of a CSV file; it is never guessed.

    Attributes:
        delimiter: one character; None for the format's own, comma or tab.
        quote_char: one character, or empty if quotes have no meaning.
        escape_char: one character, or empty.
        header: whether the first record names the columns; otherwise they are ``column_1``, ``column_2``, ...
        encoding: encoding of the file.
    """

    delimiter: str | None = None
    quote_char: str = '"'
    escape_char: str = ""
    header: bool = True
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        for option, value, may_be_empty in (
            ("--delimiter", self.delimiter, False),
            ("--quote-char", self.quote_char, True),
            ("--escape-char", self.escape_char, True),
        ):
            if value is None:
                continue
            if len(value) > 1 or (not value and not may_be_empty):
                raise UsageError(f"{option} takes one character, not {value!r}.")
            if value in ("\n", "\r"):
                raise UsageError(f"{option} cannot be a line end.")
        given = [value for value in (self.delimiter, self.quote_char, self.escape_char) if value]
        if len(set(given)) != len(given):
            raise UsageError("--delimiter, --quote-char and --escape-char must differ from each other.")
