"""Options for reading inputs, and the inputs made from them: one place for every command."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from scorer.base.errors import UsageError
from scorer.rows.dialect import Dialect, Ragged
from scorer.rows.encodings import check_encoding
from scorer.rows.lines import MAX_RECORD_BYTES
from scorer.rows.reader import Inputs
from scorer.storage.inputs import expand


@dataclass(frozen=True)
class InputOptions:
    """Options for reading inputs, by their long names.

    Attributes:
        input_format: format of every input; None for the one that its name shows.
        delimiter, quote_char, escape_char, skip_initial_space, comment, skip_lines, ragged, null, allow_empty_files: see
            `Dialect`; a delimiter may be spelled as `delimiter_of` reads it.
        no_header: whether CSV files have no header.
        encoding: encoding of text files.
        max_record_bytes: largest size of a record, in bytes.
    """

    input_format: str | None = None
    delimiter: str | None = Dialect.delimiter
    quote_char: str = Dialect.quote_char
    escape_char: str = Dialect.escape_char
    skip_initial_space: bool = Dialect.skip_initial_space
    comment: str = Dialect.comment
    skip_lines: int = Dialect.skip_lines
    no_header: bool = not Dialect.header
    ragged: Ragged = Dialect.ragged
    null: tuple[str, ...] = Dialect.null
    allow_empty_files: bool = Dialect.allow_empty_files
    encoding: str = Dialect.encoding
    max_record_bytes: int = MAX_RECORD_BYTES

    def inputs(self, names: Sequence[str]) -> Inputs:
        """Return the files that some names stand for, with these options.

        Args:
            names: paths, globs, folders, addresses, or ``-`` alone.

        Raises:
            UsageError: a file is missing, its format is unknown, or an option is invalid.
        """
        check_decoded(
            {
                "--delimiter": self.delimiter,
                "--quote-char": self.quote_char,
                "--escape-char": self.escape_char,
                "--comment": self.comment,
                "--null": "".join(self.null),
            }
        )
        found = expand(names)
        inputs = Inputs(
            tuple(found.files), self.input_format, self._dialect(), self.max_record_bytes, tuple(found.left_out)
        )
        for path in inputs.files:
            inputs.format_of(path)
        return inputs

    def _dialect(self) -> Dialect:
        same = {one.name: getattr(self, one.name) for one in fields(Dialect) if hasattr(self, one.name)}
        return Dialect(
            **same
            | {
                "delimiter": None if self.delimiter is None else delimiter_of(self.delimiter),
                "header": not self.no_header,
                "encoding": check_encoding(self.encoding),
            }
        )


_NAMES = {"tab": r"\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_CONTROL = re.compile(r"\\x([0-7][0-9a-fA-F])")


def delimiter_of(given: str) -> str:
    r"""Return a delimiter; a shell does not turn ``\t`` into a tab, nor ``\x01`` into that character.

    Raises:
        UsageError: it is the name of a character, or an unknown spelling.

    >>> delimiter_of(r"\t"), delimiter_of(r"\x01"), delimiter_of("||")
    ('\t', '\x01', '||')
    """
    if given == r"\t":
        return "\t"
    control = _CONTROL.fullmatch(given)
    if control is not None:
        return chr(int(control[1], 16))
    if given.casefold() in _NAMES:
        raise UsageError(f"--delimiter takes the character itself: --delimiter '{_NAMES[given.casefold()]}'.")
    if re.match(r"\\\w", given):
        raise UsageError(
            rf"--delimiter {given!r} is unknown: write '\t' for a tab, or '\x01' for a control character by its number."
        )
    return given


def check_decoded(texts: Mapping[str, str | None]) -> None:
    """Raise `UsageError` if the text of an option has undecodable bytes: no decoded text of a file could equal it."""
    for option, text in texts.items():
        try:
            (text or "").encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{option} is not valid text in this terminal's encoding.") from error
