"""Text encodings: those that --encoding accepts, and signs that a file has another one.

No file is ever decoded by guessing. The findings here go into messages, and refuse a file that would be garbled.
"""

import codecs

from scorer.base.errors import InputError, UsageError
from scorer.rows.lines import Line

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 4096
# Encodings of host names, Python sources and mail, not of files: a line cannot be decoded from its bytes alone.
_UNFIT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7", "undefined", "mbcs", "oem", "charmap"}


def check_encoding(encoding: str) -> str:
    """Return the canonical name of an encoding.

    Raises:
        UsageError: Python has no such text encoding, or it is not used for files.
    """
    try:
        name = codecs.lookup(encoding).name
        known = name.replace("-", "_") not in _UNFIT and "a,\n".encode(encoding).decode(encoding) == "a,\n"
    except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL in the name
        known = False
    if not known:
        raise UsageError(f"--encoding {encoding!r} is unknown; use for instance utf-8, latin-1, cp1252 or utf-16.")
    return "utf-8" if name == "utf-8-sig" else name  # UTF-8 loses its byte order mark in any case


def likely_encoding(data: bytes) -> str | None:
    """Return the probable encoding of bytes that are not UTF-8, or None if nothing points to one.

    >>> likely_encoding("naïve\\n".encode("latin-1")), likely_encoding("a,b\\n".encode("utf-16-le"))
    ('cp1252', 'utf-16-le')
    """
    data = data[:_SAMPLE]
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    zeros = [data[phase::4].count(0) for phase in range(4)]  # every other byte is 0 in UTF-16, three of four in UTF-32
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
    """Return advice on a file that contains these bytes, or an empty string."""
    if _is_utf8(data):
        return "This is UTF-8: leave out --encoding."
    return _advised(likely_encoding(data))


def _advised(name: str | None) -> str:
    if name is None:
        return ""
    if name in ("cp1252", "latin-1"):
        return f"If this is Western European text, use --encoding {name}."
    return f"This looks like {name.upper()}: use --encoding {name}."


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return not data.isascii()


def check_beginning(source: str, first: Line, encoding: str, given: str) -> None:
    """Check that a file does not begin like a file in another encoding.

    Args:
        source: name of the file, for messages.
        first: first line of the file.
        encoding: encoding of that line; UTF-16 and UTF-32 arrive as UTF-8.
        given: encoding that --encoding names.

    Raises:
        InputError: the file begins like one in another encoding.
    """
    if encoding != given:
        if first.data.startswith("\ufffe".encode()):
            raise InputError(
                f"{source} begins with a byte order mark of the other byte order, so it is not {given}. Check --encoding."
            )
        return
    sample = first.data[:_SAMPLE]
    name = likely_encoding(sample)
    marked = name in ("utf-16", "utf-32")
    # Any file may contain a few zero bytes, but not this many.
    if marked or (name not in (None, "cp1252", "latin-1") and sample.count(0) > 0.3 * len(sample)):
        raise InputError(f"{source} is not {given}. {_advised(name)}")
    if first.offset and encoding != "utf-8":
        raise InputError(
            f"{source} begins with the byte order mark of UTF-8, so it is not {given}. Leave out --encoding."
        )
