"""Text encodings: those that --encoding accepts, and signs that a file has another one.

No file is ever decoded by guessing. The findings here go into messages, and refuse a file that would be garbled.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from scorer.base.errors import InputError, UsageError
from scorer.rows.lines import Line
from scorer.storage.inputs import is_recoded

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
_CHECKED_LINES = 1000
# Escapes of ISO 2022 that choose another set of characters. ESC ( B and ESC [ are not among them: terminals have those.
_ISO_2022 = re.compile(rb"\x1b(?:\$[@AB]|\$\([CDOPQ]|\$\)[ACG]|\([IJ]|\.[AF])")
_ISO_2022_NAMES = ("iso2022_jp", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr")
_LEFT_OVER = re.compile("[\x0e\x0f\x1b\ufffd]")
# Undecodable bytes as a recoded file has them, see `scorer.storage.inputs`.
_KEPT_BYTES = re.compile(rb"(?:[\x00-\x7f]|\xed[\xb0-\xb3][\x80-\xbf])+")
_KEPT_BYTE = re.compile(rb"\xed[\xb0-\xb3][\x80-\xbf]")
_BEYOND_ASCII = re.compile(rb"[^\x00-\x7f]")
_ROOM = 16 * 1024
_BEFORE, _AFTER = 40, 400


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
        problem = "is not one of files that are read line by line" if _is_unfit(encoding) else "is unknown"
        raise UsageError(f"--encoding {encoding!r} {problem}; use for instance utf-8, latin-1, cp1252 or utf-16.")
    return "utf-8" if name == "utf-8-sig" else name  # UTF-8 loses its byte order mark in any case


def _is_unfit(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name.replace("-", "_") in _UNFIT
    except (LookupError, ValueError):
        return False


def unicode_encoding(data: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if bytes begin with its mark or look like it, or None.

    >>> unicode_encoding("naïve\\n".encode("latin-1")), unicode_encoding("a,b\\n".encode("utf-16-le"))
    (None, 'utf-16-le')
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
    return None


def advice(data: bytes, encoding: str = "utf-8") -> str:
    """Return advice on a file with lines that cannot be decoded, or an empty string.

    Args:
        data: bytes of these lines; of a recoded file, their UTF-8 form.
        encoding: encoding that the file was read in.
    """
    if is_recoded(encoding):
        data = _as_stored(data)
    if data.isascii():
        return ""
    name = unicode_encoding(data)
    if name is not None:
        return f"This looks like {name.upper()}: use --encoding {name}."
    damaged = _counts_in_utf8(data)[1]
    if not damaged:
        return "This is UTF-8: leave out --encoding." if encoding != "utf-8" else _HALVES
    if seems_utf8(data):
        return (
            f"This is UTF-8 with damaged characters, {damaged:,} in the first such lines. No other --encoding reads it "
            "right: fix these records where they come from."
        )
    return _advice_on_readings(data)


_HALVES = (
    "This is UTF-8 but for halves of surrogate pairs, which some programs write for emoji. Fix these records where they "
    "come from."
)


def seems_utf8(data: bytes) -> bool:
    """Return whether bytes have so many characters of UTF-8 that they are hardly in another encoding."""
    characters, damaged = _counts_in_utf8(data)
    return characters > 0 and characters >= 2 * damaged


def _counts_in_utf8(data: bytes) -> tuple[int, int]:
    """Return the number of characters beyond ASCII if bytes are read as UTF-8, and how often they are damaged."""
    try:
        return sum(char > "\x7f" for char in data.decode(errors="surrogatepass")), 0
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
    damaged = text.count("\ufffd")
    return sum(char > "\x7f" for char in text) - damaged, damaged


def _advice_on_readings(data: bytes) -> str:
    from scorer.rows.readings import likely_readings  # only for files that cannot be decoded

    return (
        _choice(likely_readings(data)) or "These bytes are no text in any encoding: check that the file is a text file."
    )


def _choice(readings: Sequence[tuple[str, str]]) -> str:
    """Advise to use one of some encodings, each with an excerpt of the file; nothing without any."""
    each = [f"--encoding {name} reads {excerpt!r}" for name, excerpt in readings]
    if len(each) < 2:
        return f"Use another encoding: {each[0]}." if each else ""
    return f"Use the encoding that reads right: {'; '.join(each)}."


def _as_stored(data: bytes) -> bytes:
    """Return the bytes of a recoded file; nothing if some of them were decoded to other characters than ASCII."""
    if not _KEPT_BYTES.fullmatch(data):
        return b""
    return _KEPT_BYTE.sub(lambda match: bytes([ord(match[0].decode(errors="surrogatepass")) & 0xFF]), data)


class Undecoded:
    """Sample of lines that could not be decoded, in bounded memory.

    Attributes:
        records: number of records that such lines belong to.
        sample: lines with bytes beyond ASCII, each cut to some hundred bytes around the first.
    """

    def __init__(self) -> None:
        self.records = 0
        self.sample = b""

    def add(self, raw: bytes) -> None:
        """Add a record."""
        self.records += 1
        if len(self.sample) < _ROOM:
            self.sample += undecoded_lines(raw)[:_ROOM]


def undecoded_lines(raw: bytes) -> bytes:
    """Return those lines of some bytes that are not ASCII, each cut to some hundred bytes around the first such byte."""
    return b"".join(_cut(line) for line in raw.splitlines(keepends=True) if not line.isascii())


def _cut(line: bytes) -> bytes:
    match = _BEYOND_ASCII.search(line)
    first = match.start() if match else 0
    end = first + _AFTER
    kept = line[max(0, first - _BEFORE) : end]
    if end >= len(line):
        return kept
    if b" " in kept[-_BEFORE:]:  # rather at a space than inside a character
        kept = kept.rsplit(b" ", 1)[0]
    return kept + (b"\n" if line.endswith((b"\n", b"\r")) else b"")  # EBCDIC has other line ends


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
    name = unicode_encoding(sample)
    # Any file may contain a few zero bytes, but not this many.
    if name in ("utf-16", "utf-32") or (name is not None and sample.count(0) > 0.3 * len(sample)):
        raise InputError(f"{source} is not {given}. This looks like {name.upper()}: use --encoding {name}.")
    if first.offset and encoding != "utf-8":
        raise InputError(
            f"{source} begins with the byte order mark of UTF-8, so it is not {given}. Leave out --encoding."
        )


def without_escapes(source: str, physical_lines: Iterator[Line], given: str) -> Iterator[Line]:
    """Return the lines of a file, checking the first ones for escapes of ISO 2022, which pass as ASCII.

    Args:
        source: name of the file, for messages.
        physical_lines: lines of the file, decodable one by one.
        given: encoding that --encoding names; ``ascii`` accepts the escapes.

    Raises:
        InputError: raised with a line that has such an escape.
    """
    if given == "ascii" or is_recoded(given):
        return physical_lines
    return chain(_checked(source, islice(physical_lines, _CHECKED_LINES), given), physical_lines)


def _checked(source: str, physical_lines: Iterator[Line], given: str) -> Iterator[Line]:
    for line in physical_lines:
        if b"\x1b" in line.data and line.data.isascii() and (match := _ISO_2022.search(line.data)):
            # The designation of ISO-2022-KR may stand alone in the first line, with the texts on later ones.
            raise InputError(
                f"{source}, line {line.number:,}, is not {given}: it has escapes of ISO 2022. "
                f"{_iso_2022_advice(line.data, match.start())} If the escapes belong to the texts, use --encoding ascii."
            )
        yield line


def _iso_2022_advice(data: bytes, first: int) -> str:
    texts: dict[str, str] = {}
    for name in _ISO_2022_NAMES:
        text = data.decode(name, "replace")
        if not _LEFT_OVER.search(text):
            texts.setdefault(text, name)
    start = max(0, first - 15)
    found = [(name, text[start : start + 40].strip()) for text, name in texts.items()]
    return _choice(found) or "Convert it, for instance with iconv -f ISO-2022-CN -t UTF-8."


class UndecodedHeader(InputError):
    """Header line that cannot be decoded.

    Args:
        source: name of the file.
        raw: bytes of the line.
    """

    def __init__(self, source: str, raw: bytes, advice: str = "") -> None:
        self.source = source
        self.raw = raw
        super().__init__(
            f"{source}: the header line cannot be read (invalid_encoding). {advice or 'Check --encoding.'}"
        )
