"""Text encodings: which ones a file may be said to have, and what a file that is in another one looks like.

Nothing is ever decoded by guessing. What is found out here goes into messages, and refuses what would come out garbled.
"""

import codecs

from scorer.base.errors import InputError, UsageError
from scorer.rows.lines import Line
from scorer.rows.record import Reason

# Longest first: UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 4096
# Not a file's encodings: of names of hosts, of Python's and of mail's; in these a line's bytes do not stand for itself.
_UNFIT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7", "undefined", "mbcs", "oem", "charmap"}


def check_encoding(encoding: str) -> str:
    """The encoding's canonical name.

    Raises:
        UsageError: Python knows no such text encoding, or files are not written in it.
    """
    try:
        name = codecs.lookup(encoding).name
        known = name.replace("-", "_") not in _UNFIT and "a,\n".encode(encoding).decode(encoding) == "a,\n"
    except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL in the name
        known = False
    if not known:
        raise UsageError(f"--encoding {encoding!r} is not known; for instance utf-8, latin-1, cp1252, utf-16.")
    return "utf-8" if name == "utf-8-sig" else name  # a byte order mark is dropped from UTF-8 in any case


def likely_encoding(data: bytes) -> str | None:
    """What bytes that are no UTF-8 probably are, or None where nothing speaks for anything.

    >>> likely_encoding("naïve\\n".encode("latin-1")), likely_encoding("a,b\\n".encode("utf-16-le"))
    ('cp1252', 'utf-16-le')
    """
    data = data[:_SAMPLE]
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    zeros = [data[phase::4].count(0) for phase in range(4)]  # of UTF-16 every other byte is 0, of UTF-32 three of four
    if sum(zeros) > 0.6 * len(data) and min(zeros) == 0:
        return "utf-32-le" if zeros[0] < zeros[3] else "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if even + odd > 1 and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    if data.isascii():
        return None
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def advice(data: bytes) -> str:
    """What to try with a file that holds such bytes; empty where there is nothing to say."""
    if _is_utf8(data):
        return "This is UTF-8: leave out --encoding."
    return _advised(likely_encoding(data))


def _advised(name: str | None) -> str:
    if name is None:
        return ""
    if name in ("cp1252", "latin-1"):
        return f"If this is Western European text, say --encoding {name}."
    return f"This looks like {name.upper()}: say --encoding {name}."


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return not data.isascii()


def check_beginning(source: str, first: Line, encoding: str, given: str) -> None:
    """See that a file does not begin like one of another encoding.

    Args:
        source: the file's name, for messages.
        first: its first line.
        encoding: that the line is in.
        given: that was said; UTF-16 and UTF-32 come as UTF-8.

    Raises:
        InputError: it does.
    """
    if encoding != given:
        if first.data.startswith("\ufffe".encode()):
            raise InputError(f"{source} begins with the byte order mark of the other byte order: it is not {given}.")
        return
    sample = first.data[:_SAMPLE]
    name = likely_encoding(sample)
    marked = name in ("utf-16", "utf-32")
    # Single zero bytes may stand in any file; so many do not.
    if marked or (name not in (None, "cp1252", "latin-1") and sample.count(0) > 0.3 * len(sample)):
        raise InputError(f"{source} is not {given}. {_advised(name)}")
    if first.offset and encoding != "utf-8":
        raise InputError(f"{source} begins with the byte order mark of UTF-8: it is not {given}. Leave out --encoding.")


def hint(reason: Reason, raw: bytes) -> str:
    """One sentence or two for a person, or nothing.

    >>> hint("invalid_json", b"[\\n")
    "This looks like one JSON document; JSON Lines has an object a line: try `jq -c '.[]'` first."
    """
    if reason == "invalid_encoding":
        return advice(raw)
    if reason in ("invalid_json", "not_an_object") and (raw.strip() in (b"{", b"[") or raw.lstrip().startswith(b"[{")):
        return "This looks like one JSON document; JSON Lines has an object a line: try `jq -c '.[]'` first."
    if reason == "invalid_json" and raw.count(b"\r") > 1 and raw.count(b"\n") < 2:
        return "This looks like lines that end in a carriage return alone: try `tr '\\r' '\\n'` first."
    if reason == "column_count":
        return "If fields hold the delimiter or line ends, check --delimiter, --quote-char and --escape-char."
    return ""
