"""Marks: single characters for what the csv module cannot parse, long delimiters and NULL markers with an escape."""

import re
from collections.abc import Callable, Sequence

from scorer.rows.dialect import Dialect

# Decoded text has no high surrogates: bytes that cannot be decoded become low ones.
_DELIMITER = "\ud800"
_FIRST_NULL = 0xD801


class Marks:
    """Characters that stand for parts of a line while it is parsed.

    The csv module takes delimiters of one character only, and reads an escaped NULL (``\\N`` in MySQL's files) as the text
    ``N``. A mark that turns out to be a part of a longer value, in quotes for instance, becomes again what it stands for.

    Args:
        dialect: dialect of the file, with its delimiter.

    Attributes:
        delimiter: delimiter for the parser, one character.

    >>> marks = Marks(Dialect("||", escape_char="\\\\", null=(r"\\N",)))
    >>> line = marks.marked(r"a||\\N||N")
    >>> marks.restored(line.split(marks.delimiter)), marks.restored([line])
    (['a', None, 'N'], ['a||N||N'])
    """

    def __init__(self, dialect: Dialect) -> None:
        assert dialect.delimiter is not None
        self.delimiter = dialect.delimiter
        self._steps: list[Callable[[str], str]] = []
        self._originals: dict[str, str] = {}
        escape = dialect.escape_char
        if len(dialect.delimiter) > 1:
            self.delimiter = _DELIMITER
            self._steps.append(_delimiter_step(dialect.delimiter, escape))
            self._originals[_DELIMITER] = dialect.delimiter
        self._nulls: dict[str, str] = {}
        for number, marker in enumerate(dialect.escaped_nulls):
            mark = chr(_FIRST_NULL + number)
            self._steps.append(_null_step(marker, mark, self.delimiter, dialect.skip_initial_space))
            self._nulls[mark] = re.sub(f"{re.escape(escape)}(.)", r"\1", marker)  # what the csv module makes of it
        self._originals |= self._nulls

    def marked(self, text: str) -> str:
        """Return the text of a line for the parser."""
        for step in self._steps:
            text = step(text)
        return text

    def restored(self, values: list[str]) -> Sequence[str | None]:
        """Return parsed values without marks; None for a NULL that had an escape."""
        if not self._originals:
            return values
        return [None if value in self._nulls else self._original(value) for value in values]

    def _original(self, value: str) -> str:
        for mark, original in self._originals.items():
            value = value.replace(mark, original)
        return value


def _delimiter_step(delimiter: str, escape: str) -> Callable[[str], str]:
    """Return the function that marks delimiters; one whose first character is escaped stays as it is."""
    if not escape:
        return lambda text: text.replace(delimiter, _DELIMITER)
    pattern = re.compile(f"{re.escape(escape)}.|{re.escape(delimiter)}", re.DOTALL)
    return lambda text: pattern.sub(lambda match: _DELIMITER if match[0] == delimiter else match[0], text)


def _null_step(marker: str, mark: str, delimiter: str, skip_initial_space: bool) -> Callable[[str], str]:
    """Return the function that marks the fields of a line that are a marker, and nothing else."""
    edge, space = re.escape(delimiter), " *" if skip_initial_space else ""
    pattern = re.compile(f"((?:^|{edge}){space}){re.escape(marker)}(?={edge}|[\r\n]|$)")
    return lambda text: pattern.sub(lambda match: match[1] + mark, text)
