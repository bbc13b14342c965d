"""Names that look alike but are written with other characters, and how to type them.

Files of macOS spell é as e and an accent. Spreadsheets append invisible spaces. Keyboards for two scripts give a Cyrillic
letter for a Latin one. Names are never changed to match: one that looks like another is only reported.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable

_PLAIN = re.compile(r"[ -~]*")
_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухһΑΒΕΖΗΙΚΜΝΟΡΤΥΧο’‘ʼ",  # noqa: RUF001 -- letters that look Latin
    "ABESIJKMHOPCTYXaesijopcyxhABEZHIKMNOPTYXo'''",
)


def appearance(name: str) -> str:
    """Return what a reader sees of a name; names that look alike have the same appearance.

    >>> appearance("cafe\\u0301\\u200b") == appearance("caf\\u00e9"), appearance("\\ufefftext\\u00a0"), appearance("te\\u0445t")
    (True, 'text', 'text')
    """
    shown = unicodedata.normalize("NFKC", name)
    kinds = ((char, unicodedata.category(char)) for char in shown)
    seen = "".join("-" if kind == "Pd" else " " if char.isspace() else char for char, kind in kinds if kind != "Cf")
    return " ".join(seen.translate(_LATIN).split())


def look_alike(given: str, names: Iterable[str]) -> str | None:
    """Return another name that looks like the given one, or None."""
    seen = appearance(given)
    return next((name for name in names if name != given and appearance(name) == seen), None)


def difference(given: str, name: str) -> str:
    """Describe the characters that two names of the same appearance differ in.

    >>> difference("caf\\u00e9", "cafe\\u0301"), difference("text", "text\\u00a0")
    ('has U+0065 U+0301 where yours has U+00E9', 'has U+00A0 where yours has nothing')
    """
    begin = next(
        (at for at, (one, other) in enumerate(zip(given, name, strict=False)) if one != other),
        min(len(given), len(name)),
    )
    least = min(len(given), len(name)) - begin
    end = next((at for at in range(least) if given[-1 - at] != name[-1 - at]), least)
    return f"has {_codes(name[begin : len(name) - end])} where yours has {_codes(given[begin : len(given) - end])}"


def shell_word(name: str) -> str:
    r"""Write a name as a word for bash or zsh, in characters that no copying changes.

    A byte is written as \xHH rather than a character as \uHHHH, which bash leaves as it is in the locale of cron, C.

    >>> print(shell_word("text"), shell_word("the text"), shell_word("it's caf\u00e9"))
    text 'the text' $'it\'s caf\xc3\xa9'
    """
    if _PLAIN.fullmatch(name):
        return shlex.quote(name)
    escaped = name.replace("\\", "\\\\").replace("'", "\\'").encode(errors="surrogatepass")
    return "$'" + "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in escaped) + "'"


def _codes(characters: str) -> str:
    return " ".join(f"U+{ord(char):04X}" for char in characters) or "nothing"
