# ruff: noqa: RUF001 - letters of several scripts look alike
"""Readings of undecodable bytes in other encodings, the likeliest first: for advice to people, never for reading a file.

A reading is implausible if words mix scripts, capitals stand inside words, or characters are rare. Where that leaves
several, charset-normalizer knows which letters are frequent in a language.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# The commonest first: of several encodings with the same reading, the first is named.
_ENCODINGS = (
    *("cp1252", "cp1251", "cp932", "gb18030", "cp950", "cp949", "cp1250", "cp1254", "cp1253", "cp1255", "cp1256"),
    *("cp874", "cp1257", "koi8-r", "cp850", "mac-roman", "cp437", "cp866", "euc_jp", "cp852", "koi8-u"),
    *(f"iso8859-{part}" for part in (2, 5, 7, 1, 15, 9, 6, 8, 13, 4, 10, 16, 3, 14, 11)),
    *("tis-620", "shift_jis", "euc_kr", "gbk", "gb2312", "big5", "big5hkscs", "cp1258", "cp737", "cp855", "cp857"),
    *("cp858", "cp862", "cp775", "cp861", "cp865", "cp863", "cp860", "cp869", "cp720", "cp864", "cp1125", "cp856"),
    *("cp1006", "mac-cyrillic", "mac-latin2", "mac-greek", "mac-turkish", "mac-iceland", "mac-croatian"),
    *("mac-romanian", "mac-arabic", "mac-farsi", "hp-roman8", "johab", "kz1048", "koi8-t", "ptcp154", "palmos"),
    *("euc_jis_2004", "euc_jisx0213", "shift_jis_2004", "shift_jisx0213"),
    *("cp037", "cp500", "cp1140", "cp273", "cp1026", "cp424", "cp875"),
)
_MOST = 3
_LEAST_PLAUSIBLE = 0.8  # cost a byte; random bytes cost more than 1, texts in their own encoding at most 0.4
_COHERENCE = 0.1  # more would let the detector decide on a few words, where it is weak
_DAMAGED = 50  # bytes beyond ASCII for each that may be damaged: files have characters that were cut in half
_BEFORE, _WIDTH = 15, 40  # of an excerpt, in characters


class Reading(NamedTuple):
    """Bytes as they read in an encoding.

    Attributes:
        encoding: name of the encoding.
        excerpt: a few characters, where the likeliest readings differ.
    """

    encoding: str
    excerpt: str


def likely_readings(data: bytes) -> list[Reading]:
    """Return the likeliest readings of lines that are not ASCII, at most three, all different.

    >>> likely_readings("Das Café".encode("latin-1"))[0]
    Reading(encoding='cp1252', excerpt='Das Café')
    """
    beyond = len(data) - len(data.decode("ascii", "ignore"))
    costs = {text: (_cost(text) / beyond, name) for name, text in _texts(data, beyond)}
    texts = [text for text, (cost, _) in costs.items() if cost < _LEAST_PLAUSIBLE]
    if not texts:
        return []
    coherence = _coherence(data)
    texts.sort(key=lambda text: costs[text][0] - _COHERENCE * coherence.get(text, 0.0))  # stable: the commonest first
    names = [costs[text][1] for text in texts[:_MOST]]
    return [Reading(*found) for found in zip(names, _excerpts(data, names), strict=True)]


def _texts(data: bytes, beyond: int) -> Iterator[tuple[str, str]]:
    """Yield encodings that decode the bytes, with the text; each text once, and none with control characters.

    Args:
        data: bytes to decode.
        beyond: number of those beyond ASCII.
    """
    seen = set()
    for name in _ENCODINGS:
        text = data.decode(name, "replace")
        if text not in seen and text.count("\ufffd") * _DAMAGED <= beyond and not _CONTROL.search(text):
            seen.add(text)
            yield name, text


def _coherence(data: bytes) -> dict[str, float]:
    """Return how much the letters of some readings resemble a language, from 0 to 1."""
    import charset_normalizer  # only for files that cannot be decoded

    return {data.decode(match.encoding, "replace"): match.coherence for match in charset_normalizer.from_bytes(data)}


def _excerpts(data: bytes, names: Sequence[str]) -> list[str]:
    """Return an excerpt in each encoding, from the first place where most of them differ."""
    best: list[str] = []
    for line in data.splitlines():
        texts = [line.decode(name, "replace").strip() for name in names]
        for at, chars in enumerate(zip(*texts, strict=False)):
            if len(set(chars)) == 1 and (len(names) > 1 or chars[0].isascii()):
                continue
            found = [_cut(text, max(0, at - _BEFORE)) for text in texts]
            if len(set(found)) > len(set(best)):
                best = found
            if len(set(best)) == len(names):
                return best
    return best or [_cut(data.decode(name, "replace").strip(), 0) for name in names]  # they differ in white space only


def _cut(text: str, start: int) -> str:
    """Return a part of a text, with dots where it was cut."""
    shown = text[start : start + _WIDTH].strip()
    return f"{'…' if start else ''}{shown}{'…' if start + _WIDTH < len(text) else ''}"


_CONTROL = re.compile(r"[\x80-\x9f]")
_COMMON_SIGNS = frozenset("‘“”„–—…«»€£°§•‚¿¡×©®™\xa0‹›№´½¼²³ºª")
_KINDS = {
    "LATIN": "eE",
    "GREEK": "gG",
    "CYRILLIC": "cC",
    "HEBREW": "hh",
    "ARABIC": "rr",
    "THAI": "tt",
    "HIRAGANA": "kk",
    "KATAKANA": "kk",
    "KATAKANA-HIRAGANA": "kk",
    "HALFWIDTH": "jj",
    "FULLWIDTH": "..",
}
_FREQUENT = (("gb2312", 0xD7), ("big5", 0xC6), ("euc_jp", 0xCF), ("euc_kr", 0xC8))
"""National standards, each with the highest first byte of its frequent characters: they are sorted by how frequent."""


class _Kinds(dict[int, str]):
    """Kind of each character, for `str.translate`.

    - ``aA`` ASCII letters, ``eE`` other Latin ones;
    - ``cC`` frequent and ``dD`` rare Cyrillic letters, ``gG`` Greek ones;
    - ``h`` Hebrew, ``r`` Arabic, ``p`` Arabic in fixed shapes, ``t`` Thai;
    - ``k`` kana, ``j`` narrow kana, ``z`` frequent and ``Z`` rare Chinese characters;
    - ``l`` frequent and ``L`` rare Korean syllables, ``o`` letters of other scripts;
    - ``m`` marks, ``s`` symbols, ``:`` frequent symbols, ``b`` boxes, ``x`` no character at all, ``.`` everything else.
    """

    def __missing__(self, code: int) -> str:
        kind = self[code] = _kind(chr(code))
        return kind


def _kind(char: str) -> str:
    category = unicodedata.category(char)
    if char.isascii():
        return "aA"[char.isupper()] if char.isalpha() else "x" if category == "Cc" and not char.isspace() else "."
    if category in ("Cc", "Cn", "Co", "Cs") or char == "\ufffd":
        return "x"
    if char in _COMMON_SIGNS:
        return ":"
    if char in "’·" or "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff60":
        return "."
    script = unicodedata.name(char, "").split(" ")[0]
    if category[0] == "M" and script != "THAI":
        return "m"
    if category[0] == "L" or script == "THAI":
        return _letter(char, script)
    if "\u2500" <= char <= "\u25ff":
        return "b"
    return "r" if script == "ARABIC" else "s"


def _letter(char: str, script: str) -> str:
    if script in ("CJK", "HANGUL"):
        return ("z" if script == "CJK" else "l") if _is_frequent(char) else ("Z" if script == "CJK" else "L")
    if script == "CYRILLIC" and not ("А" <= char <= "я" or char in "ЁёІіЇїЄєҐґ"):
        return "dD"[char.isupper()]
    if script == "ARABIC" and char >= "\ufb50":
        return "p"
    return _KINDS.get(script, "oo")[char.isupper()]


def _is_frequent(char: str) -> bool:
    for encoding, last in _FREQUENT:
        coded = char.encode(encoding, "ignore")
        if len(coded) == 2 and coded[0] <= last:
            return True
    return False


_KIND_OF = _Kinds()
_COSTS = [
    (re.compile(pattern), cost)
    for pattern, cost in (
        ("x", 4.0),
        ("[bo]", 1.2),
        ("[sZj]", 0.7),
        ("L", 0.9),
        ("p", 0.4),
        ("[dD]", 0.3),
        ("(?<=[aecdg])[AECDG]", 1.0),  # a capital inside a word
        ("(?<=[AECDG])[AECDG][aecdg]", 0.5),
        ("(?<=[aAeE])[cCdDgGhrpto]|(?<=[cCdD])[aAeEgGhrpto]|(?<=[gG])[aAeEcCdDhrpto]", 1.0),  # two scripts in a word
        ("(?<=[hrpt])[aAeEcCdDgG]|(?<=h)[rpt]|(?<=[rp])[ht]|(?<=t)[hrp]", 1.0),
        ("(?<=[eEcCdDgGhrpto])[zZkjlL]|(?<=[zZkjlL])[eEcCdDgGhrpto]|(?<=[lL])[zZkj]|(?<=[zZkj])[lL]", 0.7),
        ("(?<=[aA])[zZkjlL]|(?<=[zZkjlL])[aA]", 0.5),
        ("(?<=[eE])[eE]", 0.6),  # few languages have letters with accents side by side
        ("(?<=[^.sbxm:])[s:](?=[^.sbxm:])", 0.5),  # a symbol inside a word
        ("m", 0.2),
        ("(?<![aAeEhrcCgm])m", 1.0),
    )
]


def _cost(text: str) -> float:
    """Return how implausible a text is: the sum over its implausible characters."""
    kinds = text.translate(_KIND_OF)
    return sum(cost * sum(1 for _ in pattern.finditer(kinds)) for pattern, cost in _COSTS)
