"""Advice on rejected records of CSV and JSON Lines files: the options that read such a file, or its repair."""

import re
from dataclasses import dataclass

from scorer.rows.dialect import Dialect
from scorer.rows.record import Reason

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Shape:
    """A rejected record beside its file.

    Attributes:
        values: number of its values, 0 if it does not parse.
        columns: number of columns of the file.
        is_first: whether it is the first record after the header.
    """

    values: int = 0
    columns: int = 0
    is_first: bool = False


def csv_hint(reason: Reason, raw: bytes, dialect: Dialect, shape: Shape) -> str:
    """Return advice on a rejected record of a CSV file, or an empty string.

    Args:
        reason: reason of the reject.
        raw: beginning of the record.
        dialect: dialect of the file.
        shape: number of values and columns.

    >>> csv_hint("unterminated_quote", rb'1,"a \\"b\\" c",2', Dialect(","), Shape())
    "Backslashes stand before quotes: if they escape them, as in MySQL's files, use --escape-char '\\\\'."
    """
    if reason not in ("unterminated_quote", "column_count"):
        return ""
    text = raw.decode(dialect.encoding, "replace").rstrip("\r\n")
    delimiter, quote = dialect.delimiter or ",", dialect.quote_char
    if not dialect.escape_char and quote == '"' and '\\"' in text:
        return r"Backslashes stand before quotes: if they escape them, as in MySQL's files, use --escape-char '\'."
    if not dialect.comment and text.startswith(("#", "//", "--")):
        mark = "#" if text[0] == "#" else text[:2]
        return f"If lines that begin with {mark} are comments, use --comment '{mark}'."
    if not dialect.skip_initial_space and quote and f"{delimiter} {quote}" in text:
        return "Spaces stand before quotes: use --skip-initial-space."
    if reason == "unterminated_quote":
        return (
            "A quote is not closed, or text follows it. If quotes have no meaning in this file, use --quote-char ''; if "
            r"a backslash escapes them, use --escape-char '\'."
        )
    return (
        f"The first has {shape.values:,} instead of {shape.columns:,} values. {_count_hint(raw, text, dialect, shape)}"
    )


def _count_hint(raw: bytes, text: str, dialect: Dialect, shape: Shape) -> str:
    """Return advice on a record with too few or too many values."""
    if _CONTROL.search(raw) and not _CONTROL.search((dialect.delimiter or "").encode()):
        return "It has control characters: check that the file is complete and is text."
    pads = dialect.ragged == "reject"
    if shape.values == 1 < shape.columns:
        what = "If it is no record, such as a footer, nothing is lost."
        return f"{what} If values at the end may be missing, use --ragged pad." if pads else what
    if shape.values < shape.columns and pads:
        return "If values at the end may be missing, use --ragged pad."
    extra = shape.values - shape.columns
    if extra > 0 and pads and text.endswith((dialect.delimiter or ",") * extra):
        return "If delimiters at the end have no meaning, use --ragged pad."
    if shape.columns == 1:
        return r"If the file has one column of texts with delimiters in them, use one that they lack, as in --delimiter '\t'."
    general = "If fields contain delimiters or line ends, check --delimiter, --quote-char and --escape-char."
    if extra == 1 and shape.is_first and dialect.header:
        return (
            f"{general} If the header lacks a name for the first column, as in R's files, use --skip-lines "
            f"{dialect.skip_lines + 1} --no-header, and name the columns column_1, column_2, ..."
        )
    return general


def json_hint(reason: Reason, raw: bytes, line: int) -> str:
    """Return advice on a rejected record of a JSON Lines file, or an empty string.

    Args:
        reason: reason of the reject.
        raw: beginning of the record.
        line: number of its line, from 1.

    >>> json_hint("invalid_json", b"[\\n", 1)
    "This looks like a single JSON document. JSON Lines has one object per line: convert the file with `jq -c '.[]'`."
    >>> json_hint("invalid_json", b"id,text\\n", 1)
    'JSON Lines has an object on each line. If this file is CSV, use --input-format csv.'
    """
    if reason not in ("invalid_json", "not_an_object"):
        return ""
    start = raw.strip()
    if start in (b"{", b"[") or start.startswith(b"[{"):
        return (
            "This looks like a single JSON document. JSON Lines has one object per line: "
            "convert the file with `jq -c '.[]'`."
        )
    if raw.count(b"\r") > 1 and raw.count(b"\n") < 2:
        return "The lines seem to end in carriage returns alone: convert the file with `tr '\\r' '\\n'`."
    if start.startswith(b"{'"):
        return "JSON has double quotes around names and texts; these are Python's. Write the file with json.dumps."
    if start.endswith((b"},", b"],")):
        return "A comma follows the object: JSON Lines has none. Remove it, as with `sed 's/,$//'`."
    if re.search(rb":\s*(?:NaN|-?Infinity)\b", start):
        return "NaN and Infinity are not JSON: write null in their place."
    if line == 1 and not start.startswith((b"{", b"[")):
        return "JSON Lines has an object on each line. If this file is CSV, use --input-format csv."
    return ""
