"""Text for people: control characters, misspelt names, file names with odd bytes, durations, shares, sizes."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import blake2b
from itertools import islice
from typing import NoReturn

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


_LONGEST_LINE = 2000


def visible(message: str) -> str:
    """Shorten very long lines, and escape characters that would control a terminal: names come from files.

    >>> visible("no column '\\x1b[2J'")
    "no column '\\\\x1b[2J'"
    """
    lines = (line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..." for line in message.split("\n"))
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], "\n".join(lines))


def alternatives(names: Sequence[str]) -> str:
    """Join names for a sentence.

    >>> alternatives(["--data", "--errors", "--output"])
    '--data, --errors or --output'
    """
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def counted(count: int, noun: str) -> str:
    """Write a number of things.

    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def first_few(names: Collection[str], most: int, spell: Callable[[str], str] = str) -> str:
    """Join the first names for a sentence, and count the others.

    Args:
        names: names in order.
        most: number of names to spell out.
        spell: function that writes a name.

    >>> first_few(["a", "b", "c"], 2), first_few(["a", "b"], 2, repr)
    ('a, b and 1 more', "'a', 'b'")
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(map(spell, islice(names, most)))}{more}"


def text_digest(text: str, size: int, key: bytes = b"") -> bytes:
    """Return a hash of a text's bytes, by which equal texts are known; half of a surrogate pair has bytes, too.

    Args:
        text: any text.
        size: length of the hash in bytes.
        key: key of the hash, at most 64 bytes.

    >>> len(text_digest("good", 16)), text_digest("good", 16) == text_digest("good", 16, b"key")
    (16, False)
    """
    return blake2b(text.encode(errors="surrogatepass"), key=key, digest_size=size).digest()


def did_you_mean(given: str, names: Iterable[str], otherwise: str, option: str | None = None) -> str:
    """Ask for the name that a misspelt one resembles; without any, return the advice ``otherwise``.

    Args:
        given: misspelt name.
        names: names to choose from.
        otherwise: advice if none of them resembles it.
        option: option that gave the name, if one that looks the same has to be typed in another way.

    >>> did_you_mean("max_rejects", ["max-rejects", "text"], "see --help."), did_you_mean("body", ["text"], "see --help.")
    ("did you mean 'max-rejects'?", 'see --help.')
    >>> print(did_you_mean("text", ["text\\u200b"], "see --help.", "--text"))
    use --text $'text\\xe2\\x80\\x8b'. That name looks alike, but has U+200B where yours has nothing.
    """
    from difflib import get_close_matches  # needed only after a mistake

    from scorer.base.look_alikes import appearance, difference, look_alike, shell_word

    few = [name for name in islice(names, 10_000) if len(name) < 300]  # files can have more, and longer ones
    alike = look_alike(given, few)
    if alike is not None:
        typed = " ".join(filter(None, [option, shell_word(alike)]))
        return f"use {typed}. That name looks alike, but {difference(given, alike)}."
    same = [name for name in few if appearance(name).casefold() == appearance(given).casefold()]
    # Not 0.6: half of a folder reaches it by the extension alone.
    close = same or get_close_matches(given, few, 1, 0.75)
    if not close:
        return otherwise
    return f"did you mean {repr(close[0]) if appearance(close[0]) == close[0] else shell_word(close[0])}?"


def shown_source(path: str) -> str:
    """Turn a file's name, which may hold bytes that are not UTF-8, into text.

    >>> shown_source("a\\udcff.csv")
    'a\\\\xff.csv'
    """
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind if it has none.

    >>> first_line(ValueError("no model\\nSee the log.")), first_line(KeyError())
    ('no model', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def duration(seconds: float, *, tenths: bool = False) -> str:
    """Write seconds for people.

    Args:
        seconds: seconds to write.
        tenths: whether to write tenths of a second below 10 s, so that two durations can be compared.

    >>> duration(7.4), duration(754), duration(9000)
    ('7 s', '12 min 34 s', '2 h 30 min')
    >>> duration(7.44, tenths=True), duration(9.96, tenths=True), duration(61, tenths=True)
    ('7.4 s', '10 s', '1 min 1 s')
    """
    whole = round(seconds)
    if tenths and round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shown_number(value: float, sign: str = "") -> str:
    """Write a number of unknown size for people, with about four digits.

    Args:
        value: finite number.
        sign: ``+`` to write the sign of positive numbers as well.

    >>> shown_number(0.00012345), shown_number(3.14159, "+"), shown_number(1234567.8), shown_number(-0.0)
    ('0.0001234', '+3.142', '1,234,568', '0')
    """
    value += 0.0  # no minus before a zero
    return f"{value:{sign},.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:{sign}.4g}"


def share(part: float, whole: float = 1) -> str:
    """Format a part of a whole as a percentage.

    >>> share(1, 3), share(1, 100_000), share(0, 5), share(5, 5), share(0, 0)
    ('33.3%', '< 0.1%', '0%', '100%', '0%')
    """
    if not part or not whole:
        return "0%"
    if part == whole:
        return "100%"
    found = 100 * part / whole
    return "< 0.1%" if found < 0.05 else f"{min(found, 99.9):.1f}%"


def size(count: int | None) -> str:
    """Format a number of bytes for reading.

    >>> size(None), size(999), size(12_345_678)
    ('', '999 B', '12.3 MB')
    """
    if count is None:
        return ""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def refuse_constant(constant: str) -> NoReturn:
    """Raise `ValueError` for NaN and Infinity, which Python's JSON parser accepts by default."""
    raise ValueError(f"{constant} is not JSON")
